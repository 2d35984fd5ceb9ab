import { Duration, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IAlarmAction,
  type IMetric,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { FilterPattern, type LogGroup, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { pascalCase } from '../core/function-environment.ts';
import { apiMetric, functionMetric, machineMetric } from './metrics.ts';
import type { FoundrySettings } from './settings.ts';

interface AlarmTargets {
  readonly stateMachine: StateMachine;
  /** The one that builds matrices. */
  readonly matrices: StateMachine;
  readonly settings: FoundrySettings;
}

/** One alarm. Its name is its entry in docs/runbook.md: `builds-failed` is "Alarm: builds failed". */
interface Watch {
  /** What it means, in a sentence. */
  readonly tells: string;
  /** One metric, never an expression: an alarm is billed by its metrics. */
  readonly metric: IMetric;
  /** Of so many periods, how many must be bad; one of one if absent. */
  readonly bad?: { readonly of: number; readonly count: number };
  /** Rings when it counts nothing, instead of when it counts something. */
  readonly silence?: boolean;
}

const watches = (
  scope: Construct,
  { stateMachine, matrices }: AlarmTargets,
): Readonly<Record<string, Watch>> => {
  const fiveMinutes = Duration.minutes(5);
  const quarter = Duration.minutes(15);
  return {
    'builds-failed': {
      tells: 'A build failed.',
      metric: machineMetric(stateMachine, 'ExecutionsFailed', fiveMinutes),
    },
    'builds-timed-out': {
      tells: 'A build did not end in its fourteen hours.',
      metric: machineMetric(stateMachine, 'ExecutionsTimedOut', fiveMinutes),
    },
    'matrices-failed': {
      tells:
        'A matrix of builds failed: more of them failed than it tolerates, or it could not be published as one.',
      metric: machineMetric(matrices, 'ExecutionsFailed', fiveMinutes),
    },
    'leftovers-escaped': {
      tells: 'The reaper ended what a CleanUp should have ended.',
      metric: escapedMetric(scope, quarter),
    },
    'leftovers-remain': {
      tells: 'The reaper cannot end something, or cannot tell whether it may, for half an hour.',
      metric: functionMetric(scope, 'reaper', 'Errors', quarter),
      // Throttling passes by the next run.
      bad: { of: 3, count: 2 },
    },
    'reaper-silent': {
      tells: 'The reaper has not run for an hour.',
      metric: functionMetric(scope, 'reaper', 'Invocations', Duration.hours(1)),
      silence: true,
    },
    'watcher-failing': {
      tells: 'The release watcher could not look at everything, or not start what is due, for three hours.',
      metric: functionMetric(scope, 'watch-releases', 'Errors', Duration.hours(1)),
      // A mirror may be away for a while.
      bad: { of: 4, count: 3 },
    },
    'watcher-silent': {
      tells: 'The release watcher has not run for three hours.',
      metric: functionMetric(scope, 'watch-releases', 'Invocations', Duration.hours(3)),
      silence: true,
    },
    'api-failed': {
      tells: 'The API answered with 5xx, twice in a quarter of an hour.',
      metric: apiMetric(scope, '5xx', fiveMinutes),
      // One answer in thousands is a function that just starts, or a moment of AWS's.
      bad: { of: 3, count: 2 },
    },
    'notices-lost': {
      tells: 'Somebody could not be told of a build or an image, although it was tried three times.',
      metric: functionMetric(scope, 'notify', 'AsyncEventsDropped', fiveMinutes),
    },
    'records-lost': {
      tells: 'The receipt of a build, or the event that it began or ended, could not be written.',
      metric: functionMetric(scope, 'record-build', 'AsyncEventsDropped', fiveMinutes),
    },
    'retention-failed': {
      tells: 'Retention could not tell whether an image may go, or AWS refused.',
      metric: functionMetric(scope, 'retention', 'Errors', Duration.hours(1)),
    },
  };
};

/**
 * Lines of the reaper's log that say so. A metric of one's own costs 30 cents in a month in which it is told all the time: without a default
 * value this one is told only in hours in which something escaped.
 */
function escapedMetric(scope: Construct, period: Duration): IMetric {
  const metric = { metricNamespace: Stack.of(scope).stackName, metricName: 'LeftoversEscaped' };
  new MetricFilter(scope, 'EscapedFilter', {
    logGroup: scope.node.findChild(`${pascalCase('reaper')}Log`) as LogGroup,
    filterPattern: FilterPattern.all(
      FilterPattern.stringValue('$.message', '=', 'reaped'),
      FilterPattern.booleanValue('$.escaped', true),
    ),
    ...metric,
    metricValue: '1',
  });
  return new Metric({
    namespace: metric.metricNamespace,
    metricName: metric.metricName,
    statistic: 'Sum',
    period,
  });
}

/** Alarms for whoever runs the factory, if the deployment wants them. */
export function alarms(scope: Construct, targets: AlarmTargets): void {
  const { settings } = targets;
  if (!settings.alarms) return;
  const listeners = listenersOf(scope, settings);
  for (const [name, { tells, metric, bad = { of: 1, count: 1 }, silence = false }] of Object.entries(
    watches(scope, targets),
  )) {
    const alarm = new Alarm(scope, `${pascalCase(name)}Alarm`, {
      alarmName: `${Stack.of(scope).stackName}-${name}`,
      alarmDescription: `${tells} See docs/runbook.md#alarm-${name}`,
      metric,
      threshold: 1,
      comparisonOperator: silence
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: bad.of,
      datapointsToAlarm: bad.count,
      // No metric is told of what does not happen.
      treatMissingData: silence ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(...listeners);
    alarm.addOkAction(...listeners);
  }
}

function listenersOf(scope: Construct, { alarmTopic, alarmEmail }: FoundrySettings): IAlarmAction[] {
  const listeners: IAlarmAction[] = [];
  if (alarmTopic !== undefined) {
    listeners.push(new SnsAction(Topic.fromTopicArn(scope, 'AlarmTopic', alarmTopic)));
  }
  if (alarmEmail !== undefined) {
    // Without a key of its own, which costs a dollar a month: an alarm says a name and a count. alias/aws/sns is closed to CloudWatch.
    const topic = new Topic(scope, 'AlarmMail', { displayName: 'ami-foundry: alarms', enforceSSL: true });
    topic.addSubscription(new EmailSubscription(alarmEmail));
    topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } },
      }),
    );
    listeners.push(new SnsAction(topic));
  }
  return listeners;
}
