import { Listr } from 'listr2';
import type { BuildView, Stage } from './follow-build.ts';

/** `12.4 s`, with the bytes a stage moved. */
export function describeStage({ title, seconds, bytes }: Stage): string {
  const time = seconds === undefined ? '' : `${seconds.toFixed(1).padStart(8)} s`;
  const size = bytes ? `${(bytes / 1e6).toFixed(0).padStart(8)} MB` : '';
  return `${title.padEnd(20)}${time}${size}`.trimEnd();
}

/**
 * Shows a build while it runs: a live list on a terminal, plain lines otherwise (listr2 chooses). Returns the last view.
 * A failed build is not an error here: the view says so.
 */
export async function showProgress(views: AsyncIterable<BuildView>): Promise<BuildView> {
  const iterator = views[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) throw new Error('the execution showed no state');
  let view = first.value;
  let ended = false;
  const advance = async () => {
    const next = await iterator.next();
    if (next.done) ended = true;
    else view = next.value;
  };
  const show = (from: number, until: number) =>
    new Listr(
      view.stages.slice(from, until).map(({ title }, index) => ({
        title,
        task: async (_: unknown, task: { title: string; skip(message?: string): void }) => {
          const stage = () => view.stages[from + index] ?? { title, state: 'waiting' as const };
          while (!ended && !['done', 'failed'].includes(stage().state)) {
            await advance();
            if (stage().state === 'running') task.title = describeStage(stage());
          }
          if (stage().state === 'done') task.title = describeStage(stage());
          else if (stage().state === 'waiting') task.skip('not reached');
          else throw new Error(title);
        },
      })),
      {
        exitOnError: false,
        registerSignalListeners: false,
        rendererOptions: { collapseErrors: false, collapseSkips: false },
      },
    ).run();
  // The plan first and alone: an image that exists is adopted, and nothing else happens.
  await show(0, 1);
  while (!ended && view.stages[1]?.state === 'waiting') await advance();
  if (!ended) await show(1, view.stages.length);
  while (!ended) await advance();
  return view;
}
