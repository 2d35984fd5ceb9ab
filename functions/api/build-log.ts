import { findBuild } from '../../core/api/find-build.ts';
import { wrongField } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { consoleOf, machinesOf } from '../../core/build-machines.ts';
import type { Artifacts, BuildRuns, Consoles, ExecutionHistory } from '../../core/ports.ts';

interface BuildLogDependencies {
  readonly runs: BuildRuns;
  readonly history: ExecutionHistory;
  readonly artifacts: Artifacts;
  readonly consoles: Consoles;
}

/** EC2 keeps 64 KB of a console; what is kept at a machine's end is that. More is no console of a build. */
const TEXT_LIMIT = 1_000_000;

export const buildLog =
  ({ runs, history, artifacts, consoles }: BuildLogDependencies) =>
  async ({ params, query }: RouteRequest<'build-log'>): Promise<RouteReply<'build-log'>> => {
    const { name: id, arn, status } = await findBuild(runs, params.id);
    const machines = machinesOf(id, await history.newestState(arn));
    const source = query.source ?? 'worker';
    const machine = machines.find((one) => one.source === source);
    const sources = machines.map((one) => one.source);
    const over = status !== 'RUNNING';
    if (machine === undefined) {
      // A worker is what each build may come to; a machine of the test has a name that somebody has to know.
      if (source !== 'worker') {
        const there = sources.length === 0 ? 'no machine yet' : sources.join(', ');
        throw wrongField('source', `names no machine of ${id}, which has ${there}`, 'ask for one of these.');
      }
      return { status: 200, body: { id, source, sources, text: '', complete: over } };
    }
    const { text, kept } = await consoleOf(machine, { artifacts, consoles });
    return {
      status: 200,
      body: { id, source, sources, text: text.slice(-TEXT_LIMIT), complete: kept || over },
    };
  };
