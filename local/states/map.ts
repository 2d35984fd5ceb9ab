import type { Json, JsonObject, MapState } from './definition.ts';
import { distributedMap } from './distributed-map.ts';
import { INLINE_MAP_CONCURRENCY, refuseLargeData } from './limits.ts';
import { LinesFailed, runLines } from './lines.ts';
import { Scope } from './scope.ts';
import {
  bindingsOf,
  fieldOf,
  isCount,
  join,
  type Line,
  type Transition,
  unexpectedType,
  type Visit,
} from './visit.ts';

/**
 * Inline mode, unless the processor says that it is distributed.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
 */
export async function map(visit: Visit<MapState>): Promise<Transition> {
  if (visit.state.ItemProcessor.ProcessorConfig?.Mode === 'DISTRIBUTED')
    return distributedMap(visit, itemsOf);
  const { run, scope, cursor, signal } = visit.line;
  const { ItemProcessor: processor, MaxConcurrency: concurrency } = visit.state;
  const items = await itemsOf(visit);
  const limit =
    concurrency === undefined ? 0 : await fieldOf(visit, 'MaxConcurrency', concurrency, 'number', isCount);
  const startedEventId = run.history.append(cursor, 'MapStateStarted', {
    mapStateStartedEventDetails: { length: items.length },
  });

  let outputs: Json[];
  try {
    outputs = await runLines(
      signal,
      items.map((value, index) => (ending) => {
        const line: Line = {
          run,
          cursor: { previous: startedEventId },
          scope: new Scope(scope),
          signal: ending,
          outermost: false,
          interrupted: [],
          map: { Item: { Index: index, Value: value } },
        };
        return { line, done: iterate(visit, line, { name: visit.name, index }) };
      }),
      // "The default is 0, which places no limit": inline mode still runs 40 at most.
      limit === 0 ? INLINE_MAP_CONCURRENCY : Math.min(limit, INLINE_MAP_CONCURRENCY),
      (index, how, eventId) => {
        run.history.append({ previous: eventId }, `MapIteration${how}`, {
          [`mapIteration${how}EventDetails` as const]: { name: visit.name, index },
        });
      },
    );
  } catch (thrown) {
    if (!(thrown instanceof LinesFailed)) throw thrown;
    cursor.previous = thrown.eventId;
    throw thrown.failure;
  }
  return join(visit, 'MapStateSucceeded', outputs);

  async function iterate(outer: Visit<MapState>, line: Line, details: JsonObject): Promise<Json> {
    run.history.append(line.cursor, 'MapIterationStarted', { mapIterationStartedEventDetails: details });
    const { ItemSelector: selector } = outer.state;
    // The selector belongs to the Map state: `$states.input` is the state's input, `$states.context.Map.Item` the item's.
    const input =
      selector === undefined
        ? (items[details.index as number] ?? null)
        : await run.expressions.template(selector, bindingsOf({ ...outer, line }), 'ItemSelector');
    refuseLargeData(outer.name, input);
    const output = await run.walk(line, processor, input);
    run.history.append(line.cursor, 'MapIterationSucceeded', { mapIterationSucceededEventDetails: details });
    cursor.previous = line.cursor.previous; // the join comes after the iteration that ended last
    return output;
  }
}

async function itemsOf(visit: Visit<MapState>): Promise<Json[]> {
  const { Items: template } = visit.state;
  const items =
    template === undefined
      ? visit.input
      : await visit.line.run.expressions.template(template, bindingsOf(visit), 'Items');
  if (!Array.isArray(items)) throw unexpectedType('Items', template ?? '{% $states.input %}', 'array', items);
  return items;
}
