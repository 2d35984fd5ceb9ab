import { findBuild } from '../../core/api/find-build.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { summaryOf } from '../../core/api/summary.ts';
import { regionOf } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { executionLink, prefixLink } from '../../core/console-links.ts';
import type { BuildRuns, ExecutionHistory } from '../../core/ports.ts';
import { receiptOf } from '../../core/receipt.ts';

interface ShowBuildDependencies {
  readonly runs: BuildRuns;
  readonly history: ExecutionHistory;
  readonly clock: Clock;
  readonly settings: { readonly ARTIFACTS_BUCKET: string };
}

export const showBuild =
  ({ runs, history, clock, settings }: ShowBuildDependencies) =>
  async ({ params }: RouteRequest<'show-build'>): Promise<RouteReply<'show-build'>> => {
    const run = await findBuild(runs, params.id);
    const [events, state] = await Promise.all([history.events(run.arn), history.newestState(run.arn)]);
    const region = regionOf(run.arn);
    const current =
      run.status === 'RUNNING'
        ? (events.findLast(({ type }) => type.endsWith('StateEntered'))?.name ?? null)
        : null;
    const receipt = receiptOf({
      build: run.name,
      status: run.status,
      region,
      startedAt: run.startedAt,
      endedAt: run.endedAt,
      now: clock.now(),
      events,
      state,
    });
    return {
      status: 200,
      body: {
        ...summaryOf(run, current, clock.now()),
        executionArn: run.arn,
        dryRun: (JSON.parse(run.input) as { dryRun?: unknown }).dryRun === true,
        image: null,
        warnings: [],
        stages: [],
        states: [],
        resources: [],
        result: null,
        failure: null,
        receipt,
        console: null,
        links: {
          execution: executionLink(run.arn),
          artifacts: prefixLink(
            run.arn.split(':')[1] ?? '',
            region,
            settings.ARTIFACTS_BUCKET,
            `builds/${run.name}/`,
          ),
        },
      },
    };
  };
