import { Duration, Stack } from 'aws-cdk-lib';
import { Dashboard, GraphWidget, type IMetric, Metric, PeriodOverride } from 'aws-cdk-lib/aws-cloudwatch';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { FunctionName } from '../core/function-environment.ts';
import { apiMetric, functionMetric, machineMetric } from './metrics.ts';
import type { FoundrySettings } from './settings.ts';

/** The functions that no build calls; what a step fails at, its build does. */
const watched: readonly FunctionName[] = ['reaper', 'retention', 'record-build', 'notify', 'watch-releases'];

/**
 * One page of graphs, if the deployment wants it. Metrics that AWS counts anyway, and fewer than fifty: an account's first three
 * dashboards of that size are free (Amazon CloudWatch pricing, "Free tier").
 */
export function dashboard(
  scope: Construct,
  {
    stateMachine,
    matrices,
    settings,
  }: {
    readonly stateMachine: StateMachine;
    readonly matrices: StateMachine;
    readonly settings: FoundrySettings;
  },
): void {
  if (!settings.dashboard) return;
  const hour = Duration.hours(1);
  const quarter = Duration.minutes(15);
  const labelled = (label: string, metric: Metric) => metric.with({ label });
  const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
    new GraphWidget({ title, left, right, width: 12, height: 6, leftYAxis: { min: 0 } });
  const ofAccount = (metricName: string, statistic: string) =>
    new Metric({ namespace: 'AWS/Lambda', metricName, statistic, period: quarter });

  new Dashboard(scope, 'Dashboard', {
    dashboardName: Stack.of(scope).stackName,
    defaultInterval: Duration.days(7),
    periodOverride: PeriodOverride.INHERIT,
    widgets: [
      [
        graph('Builds', [
          labelled('started', machineMetric(stateMachine, 'ExecutionsStarted', hour)),
          labelled('succeeded', machineMetric(stateMachine, 'ExecutionsSucceeded', hour)),
          labelled('failed', machineMetric(stateMachine, 'ExecutionsFailed', hour)),
          labelled('stopped', machineMetric(stateMachine, 'ExecutionsAborted', hour)),
          labelled('timed out', machineMetric(stateMachine, 'ExecutionsTimedOut', hour)),
        ]),
        graph('How long builds take', [
          labelled('median', machineMetric(stateMachine, 'ExecutionTime', hour, 'p50')),
          labelled('longest', machineMetric(stateMachine, 'ExecutionTime', hour, 'Maximum')),
        ]),
      ],
      [
        graph(
          'Errors of functions that no build calls',
          watched.map((name) => labelled(name, functionMetric(scope, name, 'Errors', quarter))),
        ),
        graph(
          'Reaper',
          [
            labelled('runs', functionMetric(scope, 'reaper', 'Invocations', hour)),
            // There only with alarms=yes.
            new Metric({
              namespace: Stack.of(scope).stackName,
              metricName: 'LeftoversEscaped',
              statistic: 'Sum',
              period: hour,
              label: 'ended that a CleanUp should have',
            }),
          ],
          [labelled('longest run', functionMetric(scope, 'reaper', 'Duration', hour, 'Maximum'))],
        ),
      ],
      [
        graph(
          'Matrices',
          [
            labelled('succeeded', machineMetric(matrices, 'ExecutionsSucceeded', hour)),
            labelled('failed', machineMetric(matrices, 'ExecutionsFailed', hour)),
            labelled('stopped', machineMetric(matrices, 'ExecutionsAborted', hour)),
          ],
          [
            labelled(
              'runs of the release watcher',
              functionMetric(scope, 'watch-releases', 'Invocations', hour),
            ),
          ],
        ),
        graph(
          'API',
          [
            labelled('requests', apiMetric(scope, 'Count', quarter)),
            labelled('refused (4xx)', apiMetric(scope, '4xx', quarter)),
            labelled('failed (5xx)', apiMetric(scope, '5xx', quarter)),
          ],
          [labelled('one in ten takes longer', apiMetric(scope, 'Latency', quarter, 'p90'))],
        ),
        // Functions of the whole account share one limit, whoever they belong to.
        graph('Lambda of the account', [
          ofAccount('ConcurrentExecutions', 'Maximum'),
          ofAccount('Throttles', 'Sum'),
        ]),
      ],
    ],
  });
}
