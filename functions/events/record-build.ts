import * as z from 'zod/mini';
import { receiptSchema } from '../../core/api/receipt.ts';
import { readFailure } from '../../core/build-failure.ts';
import { regionOf } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { type BusEventType, busEvents, type DetailOf } from '../../core/events.ts';
import { artifactKey, imageRecordKey } from '../../core/names.ts';
import type { Artifacts, ExecutionHistory, Notices } from '../../core/ports.ts';
import { receiptOf } from '../../core/receipt.ts';

const ends = ['SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT'] as const;

/** From "Step Functions Execution Status Change": the execution and its status. The rest is asked for: the event has the recipe in it. */
export const recordBuildEvent = {
  name: 'record-build',
  input: z.object({
    execution: z.string().check(z.regex(/^arn:[^:]+:states:[^:]+:[^:]+:execution:[^:]+:[^:]+$/)),
    status: z.enum(['RUNNING', ...ends]),
  }),
};

interface RecordBuildDependencies {
  readonly history: ExecutionHistory;
  readonly artifacts: Artifacts;
  readonly notices: Notices;
  readonly clock: Clock;
}

/** What Done ends with, as far as it is told on. */
const doneSchema = z.object({
  imageId: z.string(),
  snapshotId: z.string(),
  name: z.string(),
  release: z.string(),
  adopted: z.boolean(),
  regions: z._default(z.array(z.object({ region: z.string(), imageId: z.string() })), []),
  /** Of a build that its matrix will publish: its regions have copies that nobody sees yet. */
  held: z.optional(z.looseObject({})),
});

const inputSchema = z.object({
  dryRun: z._default(z.boolean(), false),
  recipe: z.optional(z.object({ name: z.optional(z.string()) })),
});

/** What is known of the input of an execution that anybody may have started with anything. */
function readInput(text: string): z.output<typeof inputSchema> {
  try {
    return inputSchema.safeParse(JSON.parse(text)).data ?? { dryRun: false };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { dryRun: false };
  }
}

/**
 * When a build begins or ends: writes its receipt and tells the event bus. Comes as often as EventBridge likes: what was told is written
 * down afterwards, and is not told again. One that dies between the two tells it twice, with one `id`.
 */
export const recordBuild =
  ({ history, artifacts, notices, clock }: RecordBuildDependencies) =>
  async ({
    execution: arn,
    status,
  }: z.output<typeof recordBuildEvent.input>): Promise<{ told: string | null }> => {
    const build = arn.split(':').at(-1) ?? '';
    const run = await history.describe(arn);
    const { dryRun, recipe } = readInput(run.input);
    if (dryRun) return { told: null };

    async function tell<Type extends BusEventType>(
      type: Type,
      file: 'told-started.json' | 'told-ended.json',
      detail: DetailOf<Type> & { readonly id: string },
    ): Promise<{ told: string | null }> {
      const key = artifactKey(build, file);
      const before = await artifacts.get(key);
      if (before !== undefined && wasTold(before, detail.id)) return { told: null };
      await notices.tell(type, busEvents[type].detail.parse(detail) as Record<string, unknown>);
      await artifacts.put(key, JSON.stringify({ type, detail }, null, 2), 'application/json');
      return { told: type };
    }

    const about = {
      build,
      execution: arn,
      region: regionOf(arn),
      recipe: recipe?.name ?? null,
      startedAt: run.startedAt,
    };
    if (status === 'RUNNING') {
      return await tell('Build Started', 'told-started.json', { id: `${build}/${run.startedAt}`, ...about });
    }
    // DescribeExecution is eventually consistent: the event may be ahead of it. One that was redriven since has an event of its own coming.
    if (run.endedAt === null || run.status !== status) {
      throw new FactoryError('ExecutionNotSettled', {
        message: `${arn} is ${status} by its event, and ${run.status} by DescribeExecution`,
        remedy: 'nothing: Lambda tries again, in one minute and in two more.',
      });
    }
    const receipt = receiptOf({
      ...about,
      status,
      endedAt: run.endedAt,
      now: clock.now(),
      events: await history.events(arn),
      state: await history.newestState(arn),
    });
    const key = artifactKey(build, 'receipt.json');
    const text = JSON.stringify(receiptSchema.parse(receipt), null, 2);
    await artifacts.put(key, text, 'application/json');
    const ended = {
      id: `${build}/${run.endedAt}`,
      ...about,
      endedAt: run.endedAt,
      seconds: receipt.seconds,
      dollars: receipt.dollars,
      receipt: key,
    };
    if (status === 'SUCCEEDED') {
      const { regions, held, ...done } = doneSchema.parse(JSON.parse(run.output ?? '{}'));
      // What an adopted image cost is in the receipt of its maker.
      if (!done.adopted) await artifacts.put(imageRecordKey(build, 'receipt.json'), text, 'application/json');
      return await tell('Build Succeeded', 'told-ended.json', {
        ...ended,
        ...done,
        monthlyDollars: receipt.monthlyDollars,
        held: held !== undefined,
        regions: Object.fromEntries(
          held === undefined ? regions.map(({ region, imageId }) => [region, imageId]) : [],
        ),
      });
    }
    const resume = `foundry resume ${arn}`;
    if (status === 'FAILED') {
      const failure = readFailure(run.error, run.cause);
      return await tell('Build Failed', 'told-ended.json', { ...ended, ...failure, status });
    }
    const evidence: string[] = [];
    const stopped = readFailure(run.error ?? status, run.cause ?? `the execution is ${status}`);
    if (status === 'TIMED_OUT') {
      return await tell('Build Failed', 'told-ended.json', {
        ...ended,
        ...stopped,
        evidence,
        resume,
        status,
      });
    }
    return await tell('Build Aborted', 'told-ended.json', { ...ended, ...stopped, evidence, resume });
  };

const toldSchema = z.object({ detail: z.object({ id: z.string() }) });

const wasTold = (object: Uint8Array, id: string): boolean =>
  toldSchema.safeParse(JSON.parse(Buffer.from(object).toString('utf8'))).data?.detail.id === id;
