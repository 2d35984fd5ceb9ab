import { Duration, Stack } from 'aws-cdk-lib';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { CfnElement } from 'aws-cdk-lib/core';
import type { Construct } from 'constructs';
import { WATCH_SECONDS } from '../core/due-build.ts';
import { SOURCE, watcherEventTypes } from '../core/events.ts';
import type { EnvironmentOf } from '../core/function-environment.ts';
import { seenReleasesKey, subscriptionKey, subscriptions, watchedStarts } from '../core/names.ts';
import { acknowledge } from './acknowledge.ts';
import { factoryFunction } from './functions.ts';
import { allow, describe, executionsOf } from './grants.ts';
import { schedule } from './schedule.ts';
import type { FoundrySettings } from './settings.ts';
import { buildImageName } from './state-machine.ts';

/** Releases take days to be announced, and an hour to build nothing of. */
const EVERY_MINUTES = 60;

/** Some hundred small files of a mirror, with retries for one that is slow. */
const TIMEOUT = Duration.seconds(WATCH_SECONDS);

interface WatcherTargets {
  readonly stateMachine: StateMachine;
  readonly artifacts: Bucket;
  readonly settings: FoundrySettings;
}

/** Notes of starts; what is in their names is theirs. */
const notes = `${watchedStarts}*.json`;

/** It reads what is subscribed and what is there, notes what it saw and started, and starts builds. */
function grants(scope: Construct, { stateMachine, artifacts }: WatcherTargets): PolicyStatement[] {
  const { partition, region, account } = Stack.of(scope);
  return [
    describe('Images'),
    allow('states:StartExecution', stateMachine.stateMachineArn),
    allow('states:DescribeExecution', executionsOf(scope)),
    allow('s3:ListBucket', artifacts.bucketArn, {
      StringLike: { 's3:prefix': [`${subscriptions}*`, `${watchedStarts}*`, seenReleasesKey] },
    }),
    allow('s3:GetObject', [
      artifacts.arnForObjects(seenReleasesKey),
      artifacts.arnForObjects(subscriptionKey('*')),
    ]),
    allow('s3:PutObject', [artifacts.arnForObjects(seenReleasesKey), artifacts.arnForObjects(notes)]),
    allow('events:PutEvents', `arn:${partition}:events:${region}:${account}:event-bus/default`, {
      'ForAllValues:StringEquals': { 'events:source': SOURCE, 'events:detail-type': [...watcherEventTypes] },
    }),
  ];
}

/** The release watcher: once an hour. */
export function watcher(scope: Construct, targets: WatcherTargets): void {
  const { stateMachine, artifacts, settings } = targets;
  const environment: EnvironmentOf<'watch-releases'> = {
    STATE_MACHINE_ARN: stateMachine.stateMachineArn,
    ARTIFACTS_BUCKET: artifacts.bucketName,
    WATCHED_MIRRORS: settings.watchedMirrors.join(','),
  };
  const { lambda, role } = factoryFunction(scope, 'watch-releases', {
    description: 'starts builds of subscribed recipes when releases appear',
    timeout: TIMEOUT,
    // A run that names a problem may have started builds: its repetition would start as many more within minutes.
    retryAttempts: 0,
    environment,
    grants: grants(scope, targets),
  });
  const because = (resource: string, reason: string) =>
    acknowledge(role, `AwsSolutions-IAM5[Resource::${resource}]`, reason);
  because('*', 'Describe calls of EC2 have no resource-level permissions.');
  because(
    `arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${buildImageName(role)}:*`,
    'Callers choose the names of executions; they are those of one state machine.',
  );
  const bucket = Stack.of(role).getLogicalId(artifacts.node.defaultChild as CfnElement);
  because(`<${bucket}.Arn>/${subscriptionKey('*')}`, 'Each subscription has an object of its own.');
  because(`<${bucket}.Arn>/${notes}`, 'Each start has a note of its own.');

  schedule(scope, 'WatcherSchedule', {
    description: 'ami-foundry: releases that appear',
    lambda,
    minutes: EVERY_MINUTES,
  });
}
