import type { Duration } from 'aws-cdk-lib';
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { type FunctionName, pascalCase } from '../core/function-environment.ts';

/** What AWS counts of its own accord, which costs nothing. */

/** Of a function of the stack, which factoryFunction has made. */
export function functionMetric(
  scope: Construct,
  name: FunctionName,
  // AsyncEventsDropped: what Lambda has given up after three tries (Lambda Developer Guide, "Types of metrics for Lambda functions").
  metricName: 'Errors' | 'Invocations' | 'Duration' | 'AsyncEventsDropped',
  period: Duration,
  statistic = 'Sum',
): Metric {
  const { functionName } = scope.node.findChild(pascalCase(name)) as LambdaFunction;
  return new Metric({
    namespace: 'AWS/Lambda',
    metricName,
    dimensionsMap: { FunctionName: functionName },
    statistic,
    period,
  });
}

/** Step Functions Developer Guide, "Monitoring Step Functions metrics using Amazon CloudWatch". */
export function machineMetric(
  { stateMachineArn }: StateMachine,
  metricName:
    | 'ExecutionsStarted'
    | 'ExecutionsSucceeded'
    | 'ExecutionsFailed'
    | 'ExecutionsAborted'
    | 'ExecutionsTimedOut'
    | 'ExecutionTime',
  period: Duration,
  statistic = 'Sum',
): Metric {
  return new Metric({
    namespace: 'AWS/States',
    metricName,
    dimensionsMap: { StateMachineArn: stateMachineArn },
    statistic,
    period,
  });
}

/** API Gateway Developer Guide, "Monitoring HTTP API metrics with CloudWatch". */
export function apiMetric(
  scope: Construct,
  metricName: '4xx' | '5xx' | 'Count' | 'Latency',
  period: Duration,
  statistic = 'Sum',
): Metric {
  const { apiId } = scope.node.findChild('Api') as HttpApi;
  return new Metric({
    namespace: 'AWS/ApiGateway',
    metricName,
    dimensionsMap: { ApiId: apiId },
    statistic,
    period,
  });
}
