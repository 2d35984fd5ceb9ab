import { Listr, ListrLogger, ListrTaskState, ProcessOutput } from 'listr2';
import type { BuildDetails, Stage } from '../core/api/schemas.ts';
import { bar, dollars, megabytes, seconds } from './amounts.ts';
import { printable } from './secrets.ts';

/** What of a build is shown while it runs. */
export type ShownBuild = Pick<BuildDetails, 'id' | 'status' | 'seconds' | 'stages'> & {
  readonly receipt: Pick<BuildDetails['receipt'], 'dollars' | 'estimate'> | null;
};

const BAR = 14;

/** Seconds go on between two looks at a build. */
const TICK_MILLISECONDS = 500;

/** The stages of more builds would be more than a screen: they have a line each. */
const MOST_LISTS = 3;

const over = ({ state }: Stage): boolean => ['done', 'failed', 'skipped'].includes(state);

/** `worker: fetch   3.2 s of about 8.0 s ████··  141 MB`; `later` is how long ago the look was. */
export function stageLine(stage: Stage, later = 0): string {
  const { name, state, expectedSeconds, bytes } = stage;
  const running = state === 'running';
  const took = stage.seconds === null ? null : stage.seconds + (running ? later : 0);
  const time = took === null ? '' : seconds(took);
  const about = expectedSeconds === null || !running ? '' : `of about ${seconds(expectedSeconds)}`;
  const part =
    running && took !== null && expectedSeconds !== null && expectedSeconds > 0
      ? bar(took / expectedSeconds, BAR)
      : '';
  return printable(
    [name.padEnd(20), time.padStart(10), about, part, megabytes(bytes).padStart(9)]
      .filter((piece, index) => index < 2 || piece.trim() !== '')
      .join(' ')
      .trimEnd(),
  );
}

/** `web-0861ae9e7de4   1 min 12 s of about 9 min 40 s ██····  $0.0102 so far`. */
function buildLine(build: ShownBuild, later: number, withStage: boolean): string {
  const estimate = build.receipt?.estimate ?? null;
  const running = build.status === 'RUNNING';
  const took = build.seconds + (running ? later : 0);
  const stage = build.stages.find(({ state }) => state === 'running' || state === 'failed');
  return printable(
    [
      build.id,
      ` ${seconds(took)}`,
      ...(running && estimate !== null
        ? [`of about ${seconds(estimate.seconds)}`, bar(took / estimate.seconds, BAR)]
        : []),
      ...(build.receipt === null ? [] : [` ${dollars(build.receipt.dollars)}${running ? ' so far' : ''}`]),
      ...(withStage && stage !== undefined ? [` ${stage.name}`] : []),
      ...(running || build.status === 'SUCCEEDED' ? [] : [` ${build.status}`]),
    ].join(' '),
  );
}

/** The last look at a build, and who waits for the next. */
class Watch<Build extends ShownBuild> {
  latest: Build | undefined;
  ended = false;
  #at = 0;
  #waiters: (() => void)[] = [];

  async follow(views: AsyncIterable<Build>): Promise<void> {
    const ticks = setInterval(() => this.#wake(), TICK_MILLISECONDS);
    try {
      for await (const view of views) {
        this.latest = view;
        this.#at = performance.now();
        this.#wake();
      }
    } finally {
      clearInterval(ticks);
      this.ended = true;
      this.#wake();
    }
  }

  get later(): number {
    return (performance.now() - this.#at) / 1000;
  }

  changed(): Promise<void> {
    return this.ended ? Promise.resolve() : new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

interface Task {
  title: string;
  /** What its sign is drawn from. */
  readonly task: { state$: ListrTaskState };
  skip(message?: string): void;
}

/** A stage's line, until it is over or the build is. */
async function runStage<Build extends ShownBuild>(
  watch: Watch<Build>,
  index: number,
  task: Task,
): Promise<void> {
  const stage = () => watch.latest?.stages[index];
  // All lines begin at once, as stages may come in another order when something fails; most wait, and are shown to.
  const show = (state: ListrTaskState) => {
    task.task.state$ = state;
  };
  for (let at = stage(); at !== undefined && !watch.ended && !over(at); at = stage()) {
    show(at.state === 'running' ? ListrTaskState.STARTED : ListrTaskState.WAITING);
    if (at.state === 'running') task.title = stageLine(at, watch.later);
    await watch.changed();
  }
  // Only what has started can end.
  show(ListrTaskState.STARTED);
  const last = stage();
  if (last === undefined) return;
  task.title = stageLine(last);
  if (last.state === 'failed') throw new Error('failed');
  if (last.state === 'waiting') task.skip(`${last.name}: not reached`);
  if (last.state === 'skipped') task.skip(`${last.name}: not needed`);
  // Detached: the build goes on, and so does its stage.
  if (last.state === 'running') task.skip(`${last.name}: goes on`);
}

/**
 * A live list of builds and their stages, on standard error. Returns the last look at each; a failed build is no error here: its
 * look says so. What `views` throws is thrown.
 */
export async function showBuilds<Build extends ShownBuild>(
  builds: readonly { readonly id: string; readonly views: AsyncIterable<Build> }[],
): Promise<(Build | undefined)[]> {
  const watched = builds.map(({ id, views }) => {
    const watch = new Watch<Build>();
    const following = watch.follow(views);
    // Thrown below, when the list has been drawn to its end.
    following.catch(() => {});
    return { id, watch, following };
  });
  const withStages = builds.length <= MOST_LISTS;
  const tasks = watched.map(({ id, watch }) => {
    return {
      title: printable(id),
      task: async (_: unknown, task: Task & { newListr: (tasks: object[], options: object) => Listr }) => {
        while ((watch.latest?.stages.length ?? 0) === 0 && !watch.ended) await watch.changed();
        const first = watch.latest;
        if (first === undefined) return task.skip(`${id}: not seen`);
        const head = () => {
          if (watch.latest !== undefined) task.title = buildLine(watch.latest, watch.later, !withStages);
        };
        const drawHead = async () => {
          while (!watch.ended) {
            head();
            await watch.changed();
          }
          head();
        };
        if (!withStages) {
          await drawHead();
          if (watch.latest?.status === 'RUNNING') task.skip(`${id}: goes on`);
          else if (watch.latest?.status !== 'SUCCEEDED') throw new Error(watch.latest?.status);
          return undefined;
        }
        void drawHead();
        return task.newListr(
          first.stages.map((stage, at) => ({
            title: printable(stage.name),
            task: (_context: unknown, line: Task) => runStage(watch, at, line),
          })),
          { exitOnError: false, rendererOptions: { collapseSubtasks: false } },
        );
      },
    };
  });
  const output = new ProcessOutput(process.stderr, process.stderr);
  await new Listr(tasks as never, {
    concurrent: true,
    exitOnError: false,
    registerSignalListeners: false,
    forceTTY: true,
    rendererOptions: {
      collapseErrors: false,
      collapseSkips: false,
      collapseSubtasks: false,
      showErrorMessage: false,
      logger: new ListrLogger({ useIcons: false, processOutput: output }),
    } as never,
  }).run();
  await Promise.all(watched.map(({ following }) => following));
  return watched.map(({ watch }) => watch.latest);
}

/** `19:04:12 web-0861ae9e7de4  worker: fetch  done  3.2 s  141 MB`, a line for each change, for logs. */
export async function* progressLines<Build extends ShownBuild>(
  views: AsyncIterable<Build>,
  now: () => Date,
): AsyncGenerator<{ readonly line: string } | { readonly last: Build }, void> {
  const shown = new Map<string, Stage['state']>();
  let last: Build | undefined;
  for await (const build of views) {
    last = build;
    const line = (text: string) => ({
      line: `${now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z')} ${build.id}  ${text}`,
    });
    for (const stage of build.stages) {
      const before = shown.get(stage.name) ?? 'waiting';
      if (before === stage.state) continue;
      shown.set(stage.name, stage.state);
      const facts = [
        stage.state === 'running' && stage.expectedSeconds !== null
          ? `about ${seconds(stage.expectedSeconds)}`
          : '',
        over(stage) && stage.seconds !== null ? seconds(stage.seconds) : '',
        over(stage) ? megabytes(stage.bytes) : '',
      ].filter((fact) => fact !== '');
      yield line([stage.name, stage.state, ...facts].join('  '));
    }
  }
  if (last !== undefined) yield { last };
}
