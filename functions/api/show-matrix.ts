import { findMatrix } from '../../core/api/find-matrix.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import type { BuildStatus } from '../../core/api/schemas.ts';
import { atOnce } from '../../core/at-once.ts';
import type { Clock } from '../../core/clock.ts';
import { type MatrixBuild, type MatrixItem, matrixInput, summarized } from '../../core/matrix.ts';
import { chosenNames, matrixBuilds } from '../../core/names.ts';
import type { BuildRuns, Records } from '../../core/ports.ts';

interface ShowMatrixDependencies {
  readonly matrices: BuildRuns;
  readonly runs: BuildRuns;
  readonly records: Pick<Records, 'get' | 'list'>;
  readonly clock: Clock;
}

/** Of ListExecutions. */
const PAGE = 1000;
const AT_ONCE = 4;

/** How far a matrix has come: the list says which builds there are, keys beside it what they are called, one list of executions how they are. */
export const showMatrix =
  ({ matrices, runs, records, clock }: ShowMatrixDependencies) =>
  async ({ params }: RouteRequest<'show-matrix'>): Promise<RouteReply<'show-matrix'>> => {
    const matrix = await findMatrix(matrices, params.id);
    const { list, publishTogether } = matrixInput.parse(JSON.parse(matrix.input));
    const items = JSON.parse(await records.get(list)) as readonly MatrixItem[];
    const names = chosenNames(await records.list(matrixBuilds(matrix.name)));
    const statuses = await statusesOf([...names.values()], matrix.startedAt, runs);
    const builds = items.map(({ build }, index): MatrixBuild => {
      const name = names.get(index);
      const status = name === undefined ? undefined : statuses.get(name);
      return { build: name ?? build, status: status ?? 'WAITING', imageId: null, error: null };
    });
    const until = matrix.endedAt === null ? clock.now() : Date.parse(matrix.endedAt);
    return {
      status: 200,
      body: {
        id: matrix.name,
        status: matrix.status,
        startedAt: matrix.startedAt,
        endedAt: matrix.endedAt,
        seconds: Math.max(0, until - Date.parse(matrix.startedAt)) / 1000,
        publishTogether,
        summary: summarized(builds).summary,
        builds: builds.map(({ build, status }) => ({ build, status })),
        failure:
          matrix.status === 'SUCCEEDED' || matrix.status === 'RUNNING'
            ? null
            : { code: matrix.error ?? matrix.status, message: matrix.cause ?? '' },
      },
    };
  };

/** Those that began with the matrix stand together in the list; what ran already is asked for by its name. */
async function statusesOf(
  names: readonly string[],
  since: string,
  runs: BuildRuns,
): Promise<ReadonlyMap<string, BuildStatus>> {
  const found = new Map<string, BuildStatus>();
  const missing = () => names.filter((name) => !found.has(name));
  let nextToken: string | undefined;
  while (missing().length > 0) {
    const page = await runs.list({ limit: PAGE, nextToken });
    for (const { name, status } of page.runs) found.set(name, status);
    const last = page.runs.at(-1);
    if (page.nextToken === null || last === undefined || last.startedAt < since) break;
    nextToken = page.nextToken;
  }
  for (const look of await atOnce(AT_ONCE, missing(), async (name) => ({
    name,
    run: await runs.find(name),
  }))) {
    if (look.status === 'rejected') throw look.reason;
    const { name, run } = look.value;
    if (run !== undefined) found.set(name, run.status);
  }
  return found;
}
