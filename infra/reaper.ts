import { Duration } from 'aws-cdk-lib';
import { EventField, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { EnvironmentOf } from '../core/function-environment.ts';
import { factoryFunction } from './functions.ts';
import { acknowledgeReaperWildcards, reaperGrants } from './grants.ts';
import { schedule } from './schedule.ts';
import type { FoundrySettings } from './settings.ts';
import { buildMatrixName, stateMachineArn } from './state-machine.ts';

/** What a worker that nobody watches may cost: a quarter of an hour of it. */
const EVERY_MINUTES = 15;

/**
 * The function of a step goes on for up to a minute when its execution is stopped, and what Step Functions says of an execution
 * that has just begun or ended is eventually consistent (DescribeExecution): ten minutes are both, many times over.
 */
const GRACE_SECONDS = 600;

/** It waits two and a half minutes for instances to end, and for throttled answers beside that. */
const TIMEOUT = Duration.minutes(5);

/**
 * A build that ended in another way than by its own CleanUp. FAILED went through CleanUpAfterFailure, which may have failed itself. What SUCCEEDED
 * leaves the journal of its publication, which keeps others waiting.
 */
const ends = ['ABORTED', 'FAILED', 'SUCCEEDED', 'TIMED_OUT'];

/** The reaper: at once for a build that ended, and every quarter of an hour for whatever any build left. */
export function reaper(
  scope: Construct,
  {
    stateMachine,
    artifacts,
    settings,
  }: { readonly stateMachine: StateMachine; readonly artifacts: Bucket; readonly settings: FoundrySettings },
): void {
  const environment: EnvironmentOf<'reaper'> = {
    STATE_MACHINE_ARN: stateMachine.stateMachineArn,
    MATRIX_STATE_MACHINE_ARN: stateMachineArn(scope, buildMatrixName(scope)),
    RESUMABLE_HOURS: String(settings.resumableHours),
    ARTIFACTS_BUCKET: artifacts.bucketName,
    ...(settings.distributionRegions ? { DISTRIBUTION_REGIONS: settings.distributionRegions.join(',') } : {}),
    GRACE_SECONDS: String(GRACE_SECONDS),
    DRY_RUN: settings.reaperDryRun ? 'yes' : 'no',
  };
  const { lambda, role } = factoryFunction(scope, 'reaper', {
    description: 'ends what builds left behind',
    timeout: TIMEOUT,
    environment,
    grants: reaperGrants(scope, { stateMachine, artifacts, settings }),
  });
  acknowledgeReaperWildcards(role, { stateMachine, artifacts, settings });

  new Rule(scope, 'ReaperRule', {
    description: 'ami-foundry: a build that ended is cleaned up at once',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: { stateMachineArn: [stateMachine.stateMachineArn], status: ends },
    },
    // The name and nothing else: the event has the recipe in it.
    targets: [
      new LambdaFunction(lambda, {
        event: RuleTargetInput.fromObject({
          build: EventField.fromPath('$.detail.name'),
          status: EventField.fromPath('$.detail.status'),
        }),
      }),
    ],
  });

  new Rule(scope, 'MatrixReaperRule', {
    description:
      'ami-foundry: what a matrix published is rolled back at once when it ended badly, and is done else',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: { stateMachineArn: [stateMachineArn(scope, buildMatrixName(scope))], status: ends },
    },
    // All builds: which of them were held for it, only these know.
    targets: [
      new LambdaFunction(lambda, {
        event: RuleTargetInput.fromObject({ status: EventField.fromPath('$.detail.status') }),
      }),
    ],
  });

  schedule(scope, 'ReaperSchedule', {
    description: 'ami-foundry: what any build left behind',
    lambda,
    minutes: EVERY_MINUTES,
  });
}
