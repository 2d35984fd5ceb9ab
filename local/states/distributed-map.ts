import type { Json, JsonObject, MapState } from './definition.ts';
import { StatesError } from './errors.ts';
import { DISTRIBUTED_MAP_CONCURRENCY, refuseLargeData } from './limits.ts';
import type { MapRun } from './map-runs.ts';
import { bindingsOf, fieldOf, isCount, join, type Transition, type Visit } from './visit.ts';

/** "The specified tolerated failure threshold was exceeded" is the service's own sentence. */
const EXCEEDED = 'The specified tolerated failure threshold was exceeded';

/**
 * Distributed mode: each item is worked on by an execution of its own, whose failure is the Map state's only beyond what is tolerated.
 * The order of events is that of AWS's histories: MapStateStarted (0 items, when a reader finds them), MapRunStarted, then what reads.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
 */
export async function distributedMap(
  visit: Visit<MapState>,
  itemsOf: (visit: Visit<MapState>) => Promise<Json[]>,
): Promise<Transition> {
  const { run, cursor, signal } = visit.line;
  const { ItemProcessor, ItemReader: reader, Label: label } = visit.state;
  const { ProcessorConfig: _mode, ...definition } = ItemProcessor;
  const concurrency = await limitOf(visit, 'MaxConcurrency', isCount);
  const given = reader === undefined ? await itemsOf(visit) : undefined;
  run.history.append(cursor, 'MapStateStarted', {
    mapStateStartedEventDetails: { length: given?.length ?? 0 },
  });
  const tolerated = {
    count: await limitOf(visit, 'ToleratedFailureCount', isCount),
    percentage: await limitOf(visit, 'ToleratedFailurePercentage', isPercentage),
  };
  const mapRun = run.integrations.mapRuns.start({
    label,
    definition: definition as unknown as JsonObject,
    maxConcurrency: concurrency ?? 0,
    toleratedFailureCount: tolerated.count ?? 0,
    toleratedFailurePercentage: tolerated.percentage ?? 0,
  });
  run.history.append(cursor, 'MapRunStarted', { mapRunStartedEventDetails: { mapRunArn: mapRun.arn } });
  const abort = () => {
    mapRun.stop('The Map Run was aborted.');
    mapRun.end('ABORTED');
  };
  signal.addEventListener('abort', abort, { once: true });
  let outputs: Json[];
  try {
    const items = given ?? (await readItems(visit));
    mapRun.expect(items.length);
    outputs = await work(visit, mapRun, items, concurrency || DISTRIBUTED_MAP_CONCURRENCY, tolerated);
    signal.throwIfAborted();
  } catch (thrown) {
    if (signal.aborted) {
      // The end of the whole execution has closed its history; that of a sibling has not.
      if (!run.history.sealed) run.history.append(cursor, 'MapRunAborted');
      throw thrown;
    }
    const failure = thrown instanceof StatesError ? thrown.details : {};
    run.history.append(cursor, 'MapRunFailed', { mapRunFailedEventDetails: failure });
    mapRun.end('FAILED');
    throw thrown;
  } finally {
    signal.removeEventListener('abort', abort);
  }
  mapRun.end('SUCCEEDED');
  run.history.append(cursor, 'MapRunSucceeded');
  return join(visit, 'MapStateSucceeded', outputs);
}

/** Runs the children; the outputs of those that succeeded, in the order of their items. */
async function work(
  visit: Visit<MapState>,
  mapRun: MapRun,
  items: readonly Json[],
  concurrency: number,
  tolerated: Tolerated,
): Promise<Json[]> {
  const { signal } = visit.line;
  const outputs = new Map<number, Json>();
  let [upcoming, failed] = [0, 0];
  let ended: unknown;
  const over = () => ended !== undefined || signal.aborted;

  const lane = async () => {
    while (upcoming < items.length && !over()) {
      const index = upcoming++;
      try {
        const input = await inputOf(visit, items, index);
        if (over()) return;
        const { status, output = null } = await mapRun.child(input);
        if (status === 'SUCCEEDED') outputs.set(index, output);
        if (status === 'FAILED' || status === 'TIMED_OUT') failed++;
        if (exceeded(failed, items.length, tolerated) && !over()) {
          throw new StatesError('States.ExceedToleratedFailureThreshold', EXCEEDED);
        }
      } catch (thrown) {
        ended ??= thrown;
        mapRun.stop('The Map Run failed.');
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane));
  if (ended !== undefined) throw ended;
  return [...outputs].sort(([a], [b]) => a - b).map(([, output]) => output);
}

interface Tolerated {
  readonly count: number | undefined;
  readonly percentage: number | undefined;
}

/**
 * "If you specify both values, the workflow fails when it exceeds either value"; of failed and timed out items, divided by all.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html#maprun-fail-threshold
 */
function exceeded(failed: number, total: number, { count, percentage }: Tolerated): boolean {
  if (failed === 0) return false;
  if (count === undefined && percentage === undefined) return true;
  return (
    (count !== undefined && failed > count) ||
    (percentage !== undefined && (failed / total) * 100 > percentage)
  );
}

/** `$states.context.Map.Item` is there for the selector, and for nothing inside a child. */
async function inputOf(visit: Visit<MapState>, items: readonly Json[], index: number): Promise<Json> {
  const value = items[index] ?? null;
  const { ItemSelector: selector } = visit.state;
  const line = { ...visit.line, map: { Item: { Index: index, Value: value } } };
  const input =
    selector === undefined
      ? value
      : await visit.line.run.expressions.template(selector, bindingsOf({ ...visit, line }), 'ItemSelector');
  refuseLargeData(visit.name, input);
  return input;
}

/**
 * "A JSON file … must contain a JSON array"; ItemsPointer is a JSON Pointer to one inside it.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
 */
async function readItems(visit: Visit<MapState>): Promise<Json[]> {
  const { run } = visit.line;
  const { Arguments: template = {}, ReaderConfig: config } = visit.state.ItemReader ?? {};
  const place = await run.expressions.template(template, bindingsOf(visit), 'ItemReader/Arguments');
  const failed = (cause: string, options?: ErrorOptions) =>
    new StatesError('States.ItemReaderFailed', cause, options);
  const { Bucket: bucket, Key: key } = place as JsonObject;
  if (typeof bucket !== 'string' || typeof key !== 'string') {
    throw failed("The fields 'Bucket' and 'Key' of the ItemReader's Arguments must be strings.");
  }
  let found: Json;
  try {
    found = JSON.parse(await run.integrations.readObject(bucket, key)) as Json;
  } catch (thrown) {
    throw failed(thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
  }
  const items = config?.ItemsPointer === undefined ? found : pointedAt(found, config.ItemsPointer);
  if (!Array.isArray(items)) throw failed('Attempting to map over non-iterable node.');
  return items;
}

/** RFC 6901; undefined where nothing is. */
function pointedAt(value: Json, pointer: string): Json | undefined {
  let found: Json | undefined = value;
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (found === null || typeof found !== 'object') return undefined;
    found = Array.isArray(found) ? found[Number(name)] : found[name];
  }
  return found;
}

async function limitOf(
  visit: Visit<MapState>,
  field: 'MaxConcurrency' | 'ToleratedFailureCount' | 'ToleratedFailurePercentage',
  is: (value: Json) => value is number,
): Promise<number | undefined> {
  const value = visit.state[field];
  return value === undefined ? undefined : await fieldOf(visit, field, value, 'number', is);
}

const isPercentage = (value: Json): value is number =>
  typeof value === 'number' && value >= 0 && value <= 100;
