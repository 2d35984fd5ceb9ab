import { fileURLToPath } from 'node:url';
import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { DefinitionBody, LogLevel, StateMachine, StateMachineType } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { pascalCase, type StepName } from '../core/function-environment.ts';
import { acknowledge } from './acknowledge.ts';

const definition = fileURLToPath(new URL('../statemachines/build-image.asl.json', import.meta.url));

/** Its name, which functions' policies need before there is a state machine, and by which the CLI finds it. */
export const buildImageName = (scope: Construct): string => `${Stack.of(scope).stackName}-build-image`;

/** The state machine, from the very file that the local cloud runs; its holes are filled with the functions' ARNs. */
export function buildImage(scope: Construct, functions: Readonly<Record<StepName, IFunction>>): StateMachine {
  const stateMachine = new StateMachine(scope, 'BuildImage', {
    stateMachineName: buildImageName(scope),
    stateMachineType: StateMachineType.STANDARD,
    definitionBody: DefinitionBody.fromFile(definition),
    definitionSubstitutions: Object.fromEntries(
      Object.entries(functions).map(([name, { functionArn }]) => [
        `${pascalCase(name)}FunctionArn`,
        functionArn,
      ]),
    ),
    logs: {
      destination: new LogGroup(scope, 'BuildImageLog', {
        // Step Functions adds each group to one resource policy of limited size, unless it has this prefix.
        logGroupName: `/aws/vendedlogs/states/${Stack.of(scope).stackName}-build-image`,
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
      resources: Object.values(functions).map(({ functionArn }) => functionArn),
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
