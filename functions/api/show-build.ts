import { consolesWanted, detailsOf } from '../../core/api/details.ts';
import { findBuild } from '../../core/api/find-build.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { consoleOf, machinesOf } from '../../core/build-machines.ts';
import type { Clock } from '../../core/clock.ts';
import { artifactKey } from '../../core/names.ts';
import type { Artifacts, BuildRuns, Consoles, ExecutionHistory } from '../../core/ports.ts';

interface ShowBuildDependencies {
  readonly runs: BuildRuns;
  readonly history: ExecutionHistory;
  readonly artifacts: Pick<Artifacts, 'get'>;
  readonly consoles: Consoles;
  readonly clock: Clock;
  readonly settings: { readonly ARTIFACTS_BUCKET: string };
}

export const showBuild =
  ({ runs, history, artifacts, consoles, clock, settings }: ShowBuildDependencies) =>
  async ({ params }: RouteRequest<'show-build'>): Promise<RouteReply<'show-build'>> => {
    const run = await findBuild(runs, params.id);
    const failed = run.status !== 'RUNNING' && run.status !== 'SUCCEEDED';
    const [events, state, bundle] = await Promise.all([
      history.events(run.arn),
      history.newestState(run.arn),
      failed ? artifacts.get(artifactKey(run.name, 'failure.json')) : undefined,
    ]);
    const wanted = consolesWanted(run.name, state, failed);
    const read = await Promise.all(
      machinesOf(run.name, state)
        .filter(({ source }) => wanted.includes(source))
        .map(async (machine) => {
          const { text } = await consoleOf(machine, { artifacts, consoles });
          return [machine.source, text] as const;
        }),
    );
    return {
      status: 200,
      body: detailsOf({
        run,
        events,
        state,
        consoles: new Map(read),
        failure: bundle && JSON.parse(Buffer.from(bundle).toString('utf8')),
        artifactsBucket: settings.ARTIFACTS_BUCKET,
        now: clock.now(),
      }),
    };
  };
