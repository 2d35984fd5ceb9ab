import { findBuild } from '../../core/api/find-build.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { stopRun } from '../../core/api/stop-run.ts';
import type { BuildRuns } from '../../core/ports.ts';

interface AbortBuildDependencies {
  readonly runs: BuildRuns;
}

/** Stops an execution; what it made is the reaper's then, which its end calls at once. */
export const abortBuild =
  ({ runs }: AbortBuildDependencies) =>
  async ({ params }: RouteRequest<'abort-build'>): Promise<RouteReply<'abort-build'>> => {
    const remedy = 'nothing is to be stopped; what a failed build left is cleaned up already.';
    return { status: 202, body: await stopRun(runs, await findBuild(runs, params.id), remedy) };
  };
