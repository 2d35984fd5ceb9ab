import { type CfnElement, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import { HttpApi, HttpMethod, HttpStage, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { apiRoutes } from '../core/api/routes.ts';
import {
  type ApiFunctionName,
  apiFunctions,
  type EnvironmentOf,
  pascalCase,
} from '../core/function-environment.ts';
import {
  artifactKey,
  bootFileKey,
  matrixBuilds,
  matrixListKey,
  seenReleasesKey,
  subscriptionKey,
  subscriptions,
  watchedStarts,
} from '../core/names.ts';
import { factoryFunction } from './functions.ts';
import { acknowledgeSharedWildcards, allow, describe, everywhere, executionsOf, ours } from './grants.ts';
import type { FoundrySettings } from './settings.ts';
import { buildMatrixName, stateMachineArn } from './state-machine.ts';

/** API Gateway gives up after 30 s ("Quotas for configuring and running an HTTP API"); the function gives up first, and says so in its log. */
const TIMEOUT = Duration.seconds(29);

/** Requests a second of all callers: what Step Functions gives an account for the calls behind them, and far more than people ask. */
const THROTTLE = { rateLimit: 50, burstLimit: 100 };

/** One line for each request, also of those that reach no function. */
const accessLog = {
  requestId: '$context.requestId',
  time: '$context.requestTime',
  route: '$context.routeKey',
  status: '$context.status',
  caller: '$context.identity.userArn',
  sourceIp: '$context.identity.sourceIp',
  milliseconds: '$context.responseLatency',
  error: '$context.error.message',
  integrationError: '$context.integrationErrorMessage',
};

interface ApiTargets {
  readonly stateMachine: StateMachine;
  readonly artifacts: Bucket;
  readonly retention: IFunction;
  readonly settings: FoundrySettings;
}

interface ApiFunction {
  readonly environment: Readonly<Record<string, string>>;
  readonly grants: readonly PolicyStatement[];
}

type ApiFunctions = {
  readonly [Name in ApiFunctionName]: ApiFunction & { readonly environment: EnvironmentOf<Name> };
};

/** The settings of each function, and its grants: the calls of its handler. Nobody has iam:PassRole, and only start, resume, abort, retire (by retention) and the subscriptions change anything. */
function functionsOf(
  scope: Construct,
  { stateMachine, artifacts, retention, settings }: ApiTargets,
): ApiFunctions {
  const { partition, region, account } = Stack.of(scope);
  const machine = stateMachine.stateMachineArn;
  const executions = executionsOf(scope);
  const matrices = executionsOf(scope, buildMatrixName(scope));
  const STATE_MACHINE_ARN = machine;
  const MATRIX_STATE_MACHINE_ARN = stateMachineArn(scope, buildMatrixName(scope));
  const ARTIFACTS_BUCKET = artifacts.bucketName;
  const consoles = [
    allow('ec2:GetConsoleOutput', `arn:${partition}:ec2:${region}:${account}:instance/*`, ours),
    allow('s3:GetObject', [
      artifacts.arnForObjects(artifactKey('*', 'console.log')),
      artifacts.arnForObjects(bootFileKey('*', '*', 'log')),
    ]),
  ];
  const lists = (...prefixes: string[]) =>
    allow('s3:ListBucket', artifacts.bucketArn, { StringLike: { 's3:prefix': prefixes } });
  const reads = allow(['states:DescribeExecution', 'states:GetExecutionHistory'], executions);
  return {
    'start-build': {
      environment: { STATE_MACHINE_ARN, MATRIX_STATE_MACHINE_ARN, ARTIFACTS_BUCKET },
      grants: [
        allow(['states:StartExecution', 'states:ListExecutions'], machine),
        allow('states:StartExecution', MATRIX_STATE_MACHINE_ARN),
        allow('states:DescribeExecution', [executions, matrices]),
        allow('s3:PutObject', artifacts.arnForObjects(matrixListKey('*'))),
      ],
    },
    'show-matrix': {
      environment: { STATE_MACHINE_ARN, MATRIX_STATE_MACHINE_ARN, ARTIFACTS_BUCKET },
      grants: [
        allow('states:ListExecutions', machine),
        allow('states:DescribeExecution', [executions, matrices]),
        allow('s3:GetObject', artifacts.arnForObjects(matrixListKey('*'))),
        allow('s3:ListBucket', artifacts.bucketArn, { StringLike: { 's3:prefix': matrixBuilds('*') } }),
      ],
    },
    'abort-matrix': {
      environment: { MATRIX_STATE_MACHINE_ARN },
      grants: [allow(['states:DescribeExecution', 'states:StopExecution'], matrices)],
    },
    'list-builds': {
      environment: { STATE_MACHINE_ARN },
      grants: [allow('states:ListExecutions', machine), allow('states:GetExecutionHistory', executions)],
    },
    'show-build': {
      environment: { STATE_MACHINE_ARN, ARTIFACTS_BUCKET },
      grants: [
        reads,
        ...consoles,
        allow('s3:GetObject', artifacts.arnForObjects(artifactKey('*', 'failure.json'))),
      ],
    },
    'resume-build': {
      environment: { STATE_MACHINE_ARN },
      grants: [allow('states:StartExecution', machine), allow('states:DescribeExecution', executions)],
    },
    'abort-build': {
      environment: { STATE_MACHINE_ARN },
      grants: [allow(['states:DescribeExecution', 'states:StopExecution'], executions)],
    },
    'build-log': { environment: { STATE_MACHINE_ARN, ARTIFACTS_BUCKET }, grants: [reads, ...consoles] },
    'list-images': {
      environment: settings.distributionRegions
        ? { DISTRIBUTION_REGIONS: settings.distributionRegions.join(',') }
        : {},
      grants: [
        describe('Images'),
        allow('ec2:DescribeImageAttribute', everywhere(scope, settings).images, ours),
      ],
    },
    'retire-image': {
      environment: { RETENTION_FUNCTION: retention.functionName },
      grants: [allow('lambda:InvokeFunction', retention.functionArn)],
    },
    'list-releases': {
      environment: { ARTIFACTS_BUCKET },
      grants: [lists(seenReleasesKey), allow('s3:GetObject', artifacts.arnForObjects(seenReleasesKey))],
    },
    'list-subscriptions': {
      environment: { ARTIFACTS_BUCKET },
      grants: [
        lists(subscriptions, watchedStarts),
        allow('s3:GetObject', artifacts.arnForObjects(subscriptionKey('*'))),
      ],
    },
    subscribe: {
      environment: { ARTIFACTS_BUCKET },
      grants: [
        lists(`${subscriptions}*`, `${watchedStarts}*`),
        allow('s3:PutObject', artifacts.arnForObjects(subscriptionKey('*'))),
      ],
    },
    unsubscribe: {
      environment: { ARTIFACTS_BUCKET },
      grants: [
        lists(`${subscriptions}*`),
        allow('s3:DeleteObject', artifacts.arnForObjects(subscriptionKey('*'))),
      ],
    },
    'openapi-document': { environment: {}, grants: [] },
  };
}

/** The HTTP API: IAM decides who may call which route, and behind each stands a function of its own. No browser calls it, so there is no CORS. */
export function api(scope: Construct, targets: ApiTargets): void {
  const name = `${Stack.of(scope).stackName}-api`;
  const http = new HttpApi(scope, 'Api', {
    apiName: name,
    description: 'ami-foundry: builds, images and releases (docs/openapi.json)',
    createDefaultStage: false,
    defaultAuthorizer: new HttpIamAuthorizer(),
  });
  const stage = new HttpStage(scope, 'ApiStage', {
    httpApi: http,
    stageName: '$default',
    autoDeploy: true,
    throttle: THROTTLE,
    accessLogSettings: {
      destination: new LogGroupLogDestination(
        new LogGroup(scope, 'ApiLog', {
          // As of the state machine's log: a name for which no resource policy grows.
          logGroupName: `/aws/vendedlogs/apis/${name}`,
          retention: RetentionDays.ONE_MONTH,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      ),
      format: AccessLogFormat.custom(JSON.stringify(accessLog)),
    },
  });
  const made = functionsOf(scope, targets);
  for (const route of apiFunctions) {
    const { method, path } = apiRoutes[route];
    const { environment, grants } = made[route];
    const { lambda, role } = factoryFunction(scope, route, {
      description: `${method} ${path}`,
      timeout: TIMEOUT,
      environment: { ...environment },
      grants,
    });
    http.addRoutes({
      path,
      methods: [HttpMethod[method]],
      integration: new HttpLambdaIntegration(`${pascalCase(route)}Route`, lambda),
    });
    const because = acknowledgeSharedWildcards(role, targets.settings);
    const bucket = Stack.of(role).getLogicalId(targets.artifacts.node.defaultChild as CfnElement);
    for (const key of [
      artifactKey('*', 'console.log'),
      artifactKey('*', 'failure.json'),
      bootFileKey('*', '*', 'log'),
      matrixListKey('*'),
    ]) {
      because(`<${bucket}.Arn>/${key}`, 'Each build has a prefix of its own.');
    }
    because(`<${bucket}.Arn>/${subscriptionKey('*')}`, 'Each subscription has an object of its own.');
  }
  new CfnOutput(scope, 'ApiUrl', {
    value: stage.url.replace(/\/$/, ''),
    description: 'The HTTP API: requests are signed for the service execute-api (docs/api.md)',
  });
}
