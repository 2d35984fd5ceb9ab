import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import {
  type EnvironmentOf,
  type FunctionName,
  pascalCase,
  type StepName,
} from '../core/function-environment.ts';
import { memoryOf } from '../core/function-memory.ts';
import type { WorkerPayload } from './artifacts.ts';
import { acknowledgeWildcards, grantsOf } from './grants.ts';
import type { WorkerNetwork } from './network.ts';
import type { FoundrySettings } from './settings.ts';
import { buildImageName, stateMachineArn } from './state-machine.ts';

/** Half of a Task's TimeoutSeconds (120): Lambda gives up first and says so (Sandbox.Timedout), which the state machine retries. */
const TIMEOUT = Duration.seconds(60);

/** From launch to report. A worker needs ten minutes at most with a near mirror; slow mirrors get the rest. */
const WORKER_SECONDS = 2700;

/** Nitro types that every region has one of, the newer first; 2 vCPUs and 8 GB hold a release's tree and its compressed sets. */
export const workerInstanceTypes = {
  amd64: ['m6i.large', 'm5.large'],
  arm64: ['m7g.large', 'm6g.large'],
} as const;

/**
 * What a recipe may have its image tried on; the first that has capacity when it names none. Nitro, whose console can be read while it
 * runs; UEFI and BIOS on amd64. One per family that FreeBSD users ask for, no size that costs more than a worker.
 */
export const bootTestInstanceTypes = {
  amd64: ['m6i.large', 'm5.large', 'm7i.large', 'c6i.large', 't3.small'],
  arm64: ['m7g.large', 'm6g.large', 'c7g.large', 't4g.small'],
} as const;

/** Where Windows is launched to be replaced: Nitro like the rest, and its licence is paid by vCPU. */
export const windowsInstanceTypes = ['m6i.large', 'm5.large'] as const;

export interface FunctionsProps {
  readonly artifacts: Bucket;
  readonly payload: WorkerPayload;
  readonly network: WorkerNetwork;
  readonly settings: FoundrySettings;
}

type Environments = { readonly [Name in StepName]: EnvironmentOf<Name> };

const environments = (
  scope: Construct,
  { artifacts, payload, network, settings }: FunctionsProps,
): Environments => {
  const STATE_MACHINE_ARN = stateMachineArn(scope, buildImageName(scope));
  const ARTIFACTS_BUCKET = artifacts.bucketName;
  const place = { SUBNET_IDS: network.subnetIds.join(','), SECURITY_GROUP_ID: network.securityGroupId };
  return {
    plan: {
      ARTIFACTS_BUCKET,
      WORKER_IMAGE_PARAMETER: settings.workerImageParameter,
      WORKER_PLATFORM: 'freebsd',
      WORKER_INSTANCE_TYPES_AMD64: workerInstanceTypes.amd64.join(','),
      WORKER_INSTANCE_TYPES_ARM64: workerInstanceTypes.arm64.join(','),
      WORKER_SECONDS: String(WORKER_SECONDS),
      BOOT_TEST_INSTANCE_TYPES_AMD64: bootTestInstanceTypes.amd64.join(','),
      BOOT_TEST_INSTANCE_TYPES_ARM64: bootTestInstanceTypes.arm64.join(','),
      WINDOWS_IMAGE_PARAMETER: settings.windowsImageParameter,
      WINDOWS_INSTANCE_TYPES: windowsInstanceTypes.join(','),
      ...(settings.distributionRegions
        ? { DISTRIBUTION_REGIONS: settings.distributionRegions.join(',') }
        : {}),
      PARAMETER_PREFIX: settings.parameterPrefix,
    },
    launch: {
      ARTIFACTS_BUCKET,
      ...place,
      PAYLOAD_BUCKET: payload.bucketName,
      PAYLOAD_KEY: payload.key,
      PAYLOAD_SHA256: payload.sha256,
    },
    attach: {},
    'wait-for-worker': { ARTIFACTS_BUCKET },
    wait: {},
    snapshot: {},
    'start-snapshot': {},
    'write-blocks': { ARTIFACTS_BUCKET },
    'complete-snapshot': { ARTIFACTS_BUCKET },
    register: {},
    'launch-windows': place,
    'swap-root': {},
    'create-image': {},
    'wait-for-image': {},
    'launch-boot-test': place,
    'wait-for-boot': { ARTIFACTS_BUCKET },
    preflight: {},
    distribute: {},
    publish: { ARTIFACTS_BUCKET },
    'roll-back': { ARTIFACTS_BUCKET, RESUMABLE_HOURS: String(settings.resumableHours) },
    salvage: { ARTIFACTS_BUCKET, RESUMABLE_HOURS: String(settings.resumableHours) },
    'clean-up': { ARTIFACTS_BUCKET },
    'name-build': { ARTIFACTS_BUCKET, STATE_MACHINE_ARN },
    'recall-build': { STATE_MACHINE_ARN },
    'report-matrix': { ARTIFACTS_BUCKET, STATE_MACHINE_ARN },
  };
};

/** One function per step. */
export function stepFunctions(
  scope: Construct,
  props: FunctionsProps,
): Readonly<Record<StepName, LambdaFunction>> {
  const grants = grantsOf(scope, {
    ...props,
    workerTypes: Object.values(workerInstanceTypes).flat(),
    bootTestTypes: Object.values(bootTestInstanceTypes).flat(),
    windowsTypes: windowsInstanceTypes,
  });
  const made = Object.entries(environments(scope, props)).map(([name, environment]) => [
    name,
    stepFunction(scope, name as StepName, props, environment, grants[name as StepName]),
  ]);
  return Object.fromEntries(made) as Record<StepName, LambdaFunction>;
}

function stepFunction(
  scope: Construct,
  name: StepName,
  { artifacts, settings }: FunctionsProps,
  environment: Readonly<Record<string, string>>,
  grants: readonly PolicyStatement[],
): LambdaFunction {
  const made = factoryFunction(scope, name, {
    description: `the ${name} step`,
    timeout: TIMEOUT,
    environment,
    grants,
  });
  acknowledgeWildcards(made.role, artifacts, settings);
  return made.lambda;
}

/** A function of the factory with a role and a log group of its own. */
export function factoryFunction(
  scope: Construct,
  name: FunctionName,
  {
    description,
    timeout,
    environment,
    grants,
    retryAttempts,
  }: {
    readonly description: string;
    readonly timeout: Duration;
    /** How often Lambda repeats a call that nobody waits for and that failed: twice, when absent. */
    readonly retryAttempts?: 0;
    readonly environment: Readonly<Record<string, string>>;
    readonly grants: readonly PolicyStatement[];
  },
): { readonly lambda: LambdaFunction; readonly role: Role } {
  const id = pascalCase(name);
  // Made here, not by Lambda at the first call: with a retention, and gone with the stack.
  const logGroup = new LogGroup(scope, `${id}Log`, {
    retention: RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const role = new Role(scope, `${id}Role`, {
    assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    inlinePolicies: {
      Log: new PolicyDocument({
        statements: [
          new PolicyStatement({
            actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
            resources: [logGroup.logGroupArn],
          }),
        ],
      }),
      ...(grants.length > 0 ? { Grants: new PolicyDocument({ statements: [...grants] }) } : {}),
    },
  });
  const lambda = new LambdaFunction(scope, id, {
    description: `ami-foundry: ${description}`,
    // Lambda would not read the source map; who deployed has it in dist/.
    code: Code.fromAsset(fileURLToPath(new URL(`../dist/functions/${name}`, import.meta.url)), {
      exclude: ['*.map'],
    }),
    handler: 'index.handler',
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    memorySize: memoryOf(name),
    timeout,
    environment: { ...environment },
    role,
    logGroup,
    ...(retryAttempts === undefined ? {} : { retryAttempts }),
  });
  return { lambda, role };
}
