import { Duration, Stack } from 'aws-cdk-lib';
import { EventField, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { CfnElement } from 'aws-cdk-lib/core';
import type { Construct } from 'constructs';
import { buildEventTypes, SOURCE } from '../core/events.ts';
import type { EnvironmentOf } from '../core/function-environment.ts';
import { artifactKey, imageRecordKey, toldFiles } from '../core/names.ts';
import { acknowledge } from './acknowledge.ts';
import { factoryFunction } from './functions.ts';
import { allow, executionsOf } from './grants.ts';
import { buildImageName } from './state-machine.ts';

/** A history of 25,000 events is 25 calls; a cold start and some seconds for the rest. */
const TIMEOUT = Duration.seconds(60);

/** When a build begins or ends: its receipt, and an event of the factory's own. */
export function recordBuild(
  scope: Construct,
  { stateMachine, artifacts }: { readonly stateMachine: StateMachine; readonly artifacts: Bucket },
): void {
  const { partition, region, account } = Stack.of(scope);
  const environment: EnvironmentOf<'record-build'> = { ARTIFACTS_BUCKET: artifacts.bucketName };
  const written = [artifactKey('*', 'receipt.json'), imageRecordKey('*', 'receipt.json')];
  const told = toldFiles.map((file) => artifactKey('*', file));
  const { lambda, role } = factoryFunction(scope, 'record-build', {
    description: 'receipts and events of builds that begin and end',
    timeout: TIMEOUT,
    environment,
    grants: [
      allow(['states:DescribeExecution', 'states:GetExecutionHistory'], executionsOf(scope)),
      allow(
        's3:PutObject',
        [...written, ...told].map((key) => artifacts.arnForObjects(key)),
      ),
      allow(
        's3:GetObject',
        told.map((key) => artifacts.arnForObjects(key)),
      ),
      allow('events:PutEvents', `arn:${partition}:events:${region}:${account}:event-bus/default`, {
        'ForAllValues:StringEquals': { 'events:source': SOURCE, 'events:detail-type': [...buildEventTypes] },
      }),
    ],
  });
  const because = (resource: string, reason: string) =>
    acknowledge(role, `AwsSolutions-IAM5[Resource::${resource}]`, reason);
  const bucket = Stack.of(role).getLogicalId(artifacts.node.defaultChild as CfnElement);
  for (const key of [...written, ...told])
    because(`<${bucket}.Arn>/${key}`, 'Each build has a prefix of its own.');
  because(
    `arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${buildImageName(role)}:*`,
    'Callers choose the names of executions; they are those of one state machine.',
  );

  new Rule(scope, 'RecordBuildRule', {
    description: 'ami-foundry: a build begins or ends',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: { stateMachineArn: [stateMachine.stateMachineArn] },
    },
    // Not more: the event has the recipe in it.
    targets: [
      new LambdaFunction(lambda, {
        event: RuleTargetInput.fromObject({
          execution: EventField.fromPath('$.detail.executionArn'),
          status: EventField.fromPath('$.detail.status'),
        }),
      }),
    ],
  });
}
