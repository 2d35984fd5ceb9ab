import type { RouteAnswer } from '../core/api/routes.ts';
import { seconds } from './amounts.ts';
import { type Api, ApiProblem } from './api.ts';
import { detachOnInterrupt } from './detach.ts';
import { EXIT } from './exit.ts';
import { patiently, rest } from './follow-build.ts';
import { isWatched, print, printJsonLine, say } from './terminal.ts';
import { columns, listed } from './text.ts';

type Matrix = RouteAnswer<'show-matrix'>;

/** As the factory calls matrices (core/names.ts); a recipe may be called so, too. */
export const mayBeMatrix = (id: string): boolean => id.startsWith('matrix-');

/** The matrix of that name; undefined when it is none. */
export const findMatrix = (api: Api, id: string): Promise<Matrix | undefined> =>
  api.call('show-matrix', { params: { id } }).catch((error: unknown) => {
    if (error instanceof ApiProblem && error.problem.code === 'BuildNotFound') return undefined;
    throw error;
  });

const sums = ({ summary: { total, succeeded, running, waiting, failed } }: Matrix): string =>
  `${succeeded} of ${total} succeeded, ${running} running, ${waiting} waiting, ${failed} failed`;

export const matrixText = (matrix: Matrix): string[] => [
  `${matrix.id}  ${matrix.status} after ${seconds(matrix.seconds)}: ${sums(matrix)}`,
  ...(matrix.publishTogether ? listed('publishes', ['all or none']) : []),
  ...listed(
    'builds',
    columns(
      matrix.builds.map(({ build, status }) => [build, status]),
      '',
    ),
  ),
  ...(matrix.failure === null
    ? []
    : listed('failed', [matrix.failure.code, ...matrix.failure.message.split('\n')])),
];

/** Follows a matrix: a line for each change. Then the AMIs of its builds alone go to standard output. */
export async function followMatrix(api: Api, id: string, json: boolean): Promise<number> {
  using interrupt = detachOnInterrupt();
  const { signal } = interrupt;
  const following = {
    signal,
    trouble: (error: Error) => say(`${error.message.split('\n')[0]}; trying again`),
  };
  let shown = '';
  for (;;) {
    const matrix = await patiently(api, () => api.call('show-matrix', { params: { id } }), following);
    if (matrix === undefined) break;
    const now = sums(matrix);
    if (now !== shown) {
      if (json) printJsonLine({ event: 'matrix', matrix: id, summary: matrix.summary });
      else say(`${new Date().toISOString().replace(/\.\d+Z$/, 'Z')} ${id}  ${now}`);
    }
    shown = now;
    if (matrix.status !== 'RUNNING') {
      if (json) printJsonLine({ event: 'ended', matrix: id, details: matrix });
      else {
        say(`\n${matrixText(matrix).join('\n')}`);
        if (!isWatched()) await printImages(api, matrix);
      }
      return matrix.status === 'SUCCEEDED' ? EXIT.ok : EXIT.problems;
    }
    await rest(api, signal);
  }
  say(
    `\nDetached. The builds go on:\n  foundry show --follow ${id}    to come back\n  foundry abort ${id}    to stop all of them`,
  );
  return EXIT.detached;
}

async function printImages(api: Api, { status: ended, builds }: Matrix): Promise<void> {
  for (const { build, status } of builds) {
    if (status !== 'SUCCEEDED') continue;
    const { result, held } = await api.call('show-build', { params: { id: build } });
    // What is held is delivered when its matrix is.
    const delivered = result ?? (ended === 'SUCCEEDED' ? held : null);
    if (delivered !== null) print(delivered.imageId);
  }
}
