import { findBuild } from '../../core/api/find-build.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { FactoryError } from '../../core/errors.ts';
import type { BuildRuns } from '../../core/ports.ts';

interface AbortBuildDependencies {
  readonly runs: BuildRuns;
}

/** Stops an execution; what it made is the reaper's then, which its end calls at once. Stopping twice is stopping once. */
export const abortBuild =
  ({ runs }: AbortBuildDependencies) =>
  async ({ params }: RouteRequest<'abort-build'>): Promise<RouteReply<'abort-build'>> => {
    const { name, status } = await findBuild(runs, params.id);
    if (status === 'ABORTED') return { status: 202, body: { id: name, status } };
    if (status !== 'RUNNING') {
      throw new FactoryError('BuildEnded', {
        message: `${name} is over: ${status}`,
        remedy: 'nothing is to be stopped; what a failed build left is cleaned up already.',
      });
    }
    await runs.stop(name, { error: 'Aborted', cause: 'stopped through the HTTP API' });
    return { status: 202, body: { id: name, status: 'ABORTED' } };
  };
