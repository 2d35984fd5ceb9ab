import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { DefinitionBody, LogLevel, StateMachine, StateMachineType } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { pascalCase, type StepName } from '../core/function-environment.ts';
import { acknowledge } from './acknowledge.ts';

/** Its name, which functions' policies need before there is a state machine, and by which the CLI finds it. */
export const buildImageName = (scope: Construct): string => `${Stack.of(scope).stackName}-build-image`;

/** The same of the state machine that builds all images of a matrix. */
export const buildMatrixName = (scope: Construct): string => `${Stack.of(scope).stackName}-build-matrix`;

export function stateMachineArn(scope: Construct, name: string): string {
  const { partition, region, account } = Stack.of(scope);
  return `arn:${partition}:states:${region}:${account}:stateMachine:${name}`;
}

/** The state machine that builds an image. */
export const buildImage = (
  scope: Construct,
  functions: Readonly<Record<StepName, IFunction>>,
): StateMachine => stateMachineOf(scope, 'build-image', buildImageName(scope), functions, {});

/** A state machine, from the very file that the local cloud runs; its holes are filled with the functions' ARNs, and others. */
export function stateMachineOf(
  scope: Construct,
  file: 'build-image' | 'build-matrix',
  stateMachineName: string,
  functions: Readonly<Record<StepName, IFunction>>,
  others: Readonly<Record<string, string>>,
): StateMachine {
  const id = pascalCase(file);
  const definition = fileURLToPath(new URL(`../statemachines/${file}.asl.json`, import.meta.url));
  const text = readFileSync(definition, 'utf8');
  const called = Object.entries(functions).filter(([name]) =>
    text.includes(`\${${pascalCase(name)}FunctionArn}`),
  );
  const stateMachine = new StateMachine(scope, id, {
    stateMachineName,
    stateMachineType: StateMachineType.STANDARD,
    definitionBody: DefinitionBody.fromFile(definition),
    definitionSubstitutions: {
      ...Object.fromEntries(
        called.map(([name, { functionArn }]) => [`${pascalCase(name)}FunctionArn`, functionArn]),
      ),
      ...others,
    },
    logs: {
      destination: new LogGroup(scope, `${id}Log`, {
        // Step Functions adds each group to one resource policy of limited size, unless it has this prefix.
        logGroupName: `/aws/vendedlogs/states/${Stack.of(scope).stackName}-${file}`,
        retention: RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
      level: LogLevel.ERROR,
      // Inputs hold recipes, and recipes hold files for images: they stay in the execution's history.
      includeExecutionData: false,
    },
    tracingEnabled: true,
  });
  stateMachine.addToRolePolicy(
    new PolicyStatement({
      actions: ['lambda:InvokeFunction'],
      resources: called.map(([, { functionArn }]) => functionArn),
    }),
  );
  acknowledge(
    stateMachine,
    'AwsSolutions-SF1',
    'A standard execution keeps its whole history for 90 days, where the console and DescribeExecution show it. Level ALL would bill for a copy with three lines per poll of each wait.',
  );
  acknowledge(
    stateMachine,
    'AwsSolutions-IAM5[Resource::*]',
    'Delivery of logs and X-Ray segments has no resource-level permissions (Step Functions Developer Guide, "Logging", "X-Ray"); functions are named one by one.',
  );
  return stateMachine;
}
