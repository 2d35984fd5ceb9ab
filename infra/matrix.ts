import { type CfnElement, Stack } from 'aws-cdk-lib';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { StepName } from '../core/function-environment.ts';
import { matrixListKey } from '../core/names.ts';
import { acknowledge } from './acknowledge.ts';
import { allow, executionsOf } from './grants.ts';
import { buildImageName, buildMatrixName, stateMachineArn, stateMachineOf } from './state-machine.ts';

export interface MatrixProps {
  readonly functions: Readonly<Record<StepName, IFunction>>;
  readonly artifacts: Bucket;
}

/** The state machine that builds all images of a matrix, each by an execution of the other one. */
export function buildMatrix(scope: Construct, { functions, artifacts }: MatrixProps): StateMachine {
  const { partition, region, account } = Stack.of(scope);
  const buildImageArn = stateMachineArn(scope, buildImageName(scope));
  const stateMachine = stateMachineOf(scope, 'build-matrix', buildMatrixName(scope), functions, {
    BuildImageArn: buildImageArn,
    ArtifactsBucketName: artifacts.bucketName,
  });
  const statements = [
    // Builds by startExecution.sync:2, and its own children ("IAM policies for using Distributed Map states"), by name: it cannot refer to itself.
    allow('states:StartExecution', [buildImageArn, stateMachineArn(scope, buildMatrixName(scope))]),
    // "Start a new AWS Step Functions state machine from a running execution", IAM policies: how it waits, and stops what it waits for.
    allow(['states:DescribeExecution', 'states:StopExecution'], executionsOf(scope)),
    allow(
      ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
      `arn:${partition}:events:${region}:${account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule`,
    ),
    allow('s3:GetObject', artifacts.arnForObjects(matrixListKey('*'))),
  ];
  for (const statement of statements) stateMachine.addToRolePolicy(statement);
  acknowledge(
    stateMachine,
    `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${buildImageName(scope)}:*]`,
    'Callers choose the names of executions; they are those of one state machine.',
  );
  const bucket = Stack.of(scope).getLogicalId(artifacts.node.defaultChild as CfnElement);
  acknowledge(
    stateMachine,
    `AwsSolutions-IAM5[Resource::<${bucket}.Arn>/${matrixListKey('*')}]`,
    'Each matrix has a list of its own.',
  );
  return stateMachine;
}
