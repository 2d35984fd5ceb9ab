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

/** That of BuildEach: in the ARNs of its children it stands behind the machine's name. */
const LABEL = 'Build';

export interface MatrixProps {
  readonly functions: Readonly<Record<StepName, IFunction>>;
  readonly artifacts: Bucket;
}

/** The state machine that builds all images of a matrix, each by an execution of the other one. */
export function buildMatrix(scope: Construct, { functions, artifacts }: MatrixProps): StateMachine {
  const { partition, region, account } = Stack.of(scope);
  const buildImageArn = stateMachineArn(scope, buildImageName(scope));
  const name = buildMatrixName(scope);
  const stateMachine = stateMachineOf(scope, 'build-matrix', name, functions, {
    BuildImageArn: buildImageArn,
    ArtifactsBucketName: artifacts.bucketName,
  });
  const statements = [
    // Builds by startExecution.sync:2, and its own children ("IAM policies for using Distributed Map states"), by name: it cannot refer to itself.
    allow('states:StartExecution', [buildImageArn, stateMachineArn(scope, name)]),
    // "Start a new AWS Step Functions state machine from a running execution", IAM policies: how it waits, and stops what it waits for.
    allow(
      ['states:DescribeExecution', 'states:StopExecution'],
      [executionsOf(scope), executionsOf(scope, name)],
    ),
    // "IAM policies for using Distributed Map states": what the Map Run needs of its children, the label being the Map state's.
    allow('states:RedriveExecution', executionsOf(scope, `${name}/${LABEL}`)),
    allow(
      ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
      `arn:${partition}:events:${region}:${account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule`,
    ),
    allow('s3:GetObject', artifacts.arnForObjects(matrixListKey('*'))),
  ];
  for (const statement of statements) stateMachine.addToRolePolicy(statement);
  for (const one of [buildImageName(scope), name, `${name}/${LABEL}`]) {
    acknowledge(
      stateMachine,
      `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${one}:*]`,
      'Callers and Step Functions choose the names of executions; they are those of one state machine.',
    );
  }
  const bucket = Stack.of(scope).getLogicalId(artifacts.node.defaultChild as CfnElement);
  acknowledge(
    stateMachine,
    `AwsSolutions-IAM5[Resource::<${bucket}.Arn>/${matrixListKey('*')}]`,
    'Each matrix has a list of its own.',
  );
  return stateMachine;
}
