import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import type { Construct } from 'constructs';

/** Calls a function again and again, with an empty event. */
export function schedule(
  scope: Construct,
  id: string,
  {
    description,
    lambda,
    minutes,
  }: { readonly description: string; readonly lambda: IFunction; readonly minutes: number },
): void {
  new CfnSchedule(scope, id, {
    description,
    scheduleExpression: `rate(${minutes} minutes)`,
    flexibleTimeWindow: { mode: 'OFF' },
    target: {
      arn: lambda.functionArn,
      input: '{}',
      roleArn: new Role(scope, `${id}Role`, {
        assumedBy: new ServicePrincipal('scheduler.amazonaws.com'),
        inlinePolicies: {
          Invoke: new PolicyDocument({
            statements: [
              new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [lambda.functionArn] }),
            ],
          }),
        },
      }).roleArn,
      // For a call that Lambda does not take. What a call comes to, Scheduler never learns: that is Lambda's to repeat (factoryFunction). The next run
      // does what this one would have; a day is the most that Scheduler keeps an event.
      retryPolicy: { maximumRetryAttempts: 2, maximumEventAgeInSeconds: Math.min(minutes * 60, 86_400) },
    },
  });
}
