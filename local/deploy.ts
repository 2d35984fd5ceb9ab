import { readFile } from 'node:fs/promises';
import {
  CreateSecurityGroupCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateStateMachineCommand, SFNClient, UpdateStateMachineCommand } from '@aws-sdk/client-sfn';
import { CreateTopicCommand, SNSClient } from '@aws-sdk/client-sns';
import { apiRoutes } from '../core/api/routes.ts';
import { busEventTypes, SOURCE } from '../core/events.ts';
import {
  apiFunctions,
  type EnvironmentOf,
  type FunctionName,
  matrixFunctions,
  pascalCase,
} from '../core/function-environment.ts';
import type { Cloud } from './cloud.ts';
import type { EventPattern } from './event-pattern.ts';
import type { Statement } from './iam/policy.ts';

/** What CDK does on AWS, done on the local cloud: the same bundles, the same state machine file, the same variables. */
export interface Deployment {
  readonly stateMachineArn: string;
  readonly artifactsBucket: string;
  /** Tells of builds and images. */
  readonly topicArn: string;
  readonly matrixStateMachineArn: string;
}

const root = new URL('../', import.meta.url);
const artifactsBucket = 'ami-foundry-artifacts';
const stateMachineName = 'ami-foundry-build-image';
const matrixMachineName = 'ami-foundry-build-matrix';
const securityGroupName = 'ami-foundry-worker';

/** A Windows that boots by UEFI, as the demo release does; infra/ takes one that boots by BIOS, which FreeBSD does too. */
export const windowsImageParameter = '/aws/service/ami-windows-latest/Windows_Server-2025-English-Core-Base';

/** Lambda's time limit in seconds, of a step and of others: infra/ uses the same. */
const TIMEOUT_SECONDS = 60;
const LONGER_TIMEOUT_SECONDS: Partial<Record<FunctionName, number>> = {
  reaper: 300,
  retention: 900,
  'watch-releases': 300,
};

/** infra/ uses the same. */
const REAPER_EVERY_SECONDS = 15 * 60;
const RETENTION_EVERY_SECONDS = 24 * 3600;
const WATCH_EVERY_SECONDS = 3600;

/** Seconds a worker may take, launch to report; infra/ allows as many as a process. An emulated FreeBSD takes hours. */
const WORKER_SECONDS = { processes: 2700, machines: 4 * 3600 } as const;

/** All events but the beginnings of builds, as infra/settings.ts has it. */
const noticed: EventPattern = {
  source: [SOURCE],
  'detail-type': busEventTypes.filter((type) => type !== 'Build Started'),
};

const distributionRegions = 'us-west-2,eu-west-1,eu-central-1,ap-southeast-2';

export interface DeploySettings {
  /** Seconds a worker may take, launch to report. */
  readonly workerSeconds?: number;
  /** The policy of each role, as infra/ grants it; without one a role may do everything. */
  readonly policies?: (place: DeployedPlace) => Readonly<Record<string, readonly Statement[]>>;
  /** How long the verified copies of a failed build wait for the next attempt; infra/ has 24. */
  readonly resumableHours?: number;
  /** What the paths of SSM parameters begin with; infra/ has /ami-foundry/. */
  readonly parameterPrefix?: string;
  /** The environment of the notify function: who is told by mail and webhook; nobody when absent. */
  readonly notify?: EnvironmentOf<'notify'>;
  /** Mirrors whose releases the watcher tells of, beside those of subscriptions; infra/ has FreeBSD's own. */
  readonly watchedMirrors?: readonly string[];
  /** How many days an image that retires is put away before it is deleted; infra/ has 14. */
  readonly quarantineDays?: number;
  /** How long after the end of an execution its last calls may still take effect; infra/ has 600. */
  readonly graceSeconds?: number;
}

/** Names and ids that policies speak of. */
export interface DeployedPlace {
  readonly region: string;
  readonly accountId: string;
  readonly artifactsBucket: string;
  readonly payloadKey: string;
  readonly subnetIds: readonly string[];
  readonly securityGroupId: string;
  readonly stateMachineName: string;
  readonly matrixMachineName: string;
}

/** Functions and their roles have one name; the state machine's role has the state machine's. */
export const functionNameOf = (name: FunctionName): string => `ami-foundry-${name}`;

export async function deploy(
  cloud: Cloud,
  {
    workerSeconds = WORKER_SECONDS[cloud.workers],
    resumableHours = 24,
    quarantineDays = 14,
    // Functions end with their execution, and what is asynchronous takes some tens of milliseconds: this is many times as long.
    graceSeconds = 1,
    parameterPrefix = '/',
    notify = {},
    watchedMirrors = [],
    policies,
  }: DeploySettings = {},
): Promise<Deployment> {
  const client = {
    region: cloud.region,
    endpoint: cloud.endpoint,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  };
  const payloadSha256 = (await readFile(new URL('dist/worker-payload.sha256', root), 'utf8')).trim();
  const payloadKey = `worker/${payloadSha256}.tar.gz`;
  await uploadPayload(new S3Client(client), payloadKey);
  const { subnetIds, securityGroupId } = await findNetwork(new EC2Client(client));
  const granted = policies?.({
    region: cloud.region,
    accountId: cloud.accountId,
    artifactsBucket,
    payloadKey,
    subnetIds,
    securityGroupId,
    stateMachineName,
    matrixMachineName,
  });
  for (const [role, statements] of Object.entries(granted ?? {})) cloud.iam.setPolicy(role, statements);

  const [stateMachineArn, matrixStateMachineArn] = [
    stateMachineArnOf(cloud, stateMachineName),
    stateMachineArnOf(cloud, matrixMachineName),
  ];
  const place = { SUBNET_IDS: subnetIds.join(','), SECURITY_GROUP_ID: securityGroupId };
  const environments: { [Name in FunctionName]: EnvironmentOf<Name> } = {
    plan: {
      ARTIFACTS_BUCKET: artifactsBucket,
      WORKER_IMAGE_PARAMETER: '/aws/service/freebsd/{architecture}/small/ufs/15.1/RELEASE',
      // A process instance runs what this machine runs.
      WORKER_PLATFORM: cloud.workers === 'machines' || process.platform === 'freebsd' ? 'freebsd' : 'linux',
      WORKER_INSTANCE_TYPES_AMD64: 'm6i.large,m5.large',
      WORKER_INSTANCE_TYPES_ARM64: 'm7g.large,m6g.large',
      WORKER_SECONDS: String(workerSeconds),
      BOOT_TEST_INSTANCE_TYPES_AMD64: 'm6i.large,m5.large',
      BOOT_TEST_INSTANCE_TYPES_ARM64: 'm7g.large,m6g.large',
      WINDOWS_IMAGE_PARAMETER: windowsImageParameter,
      WINDOWS_INSTANCE_TYPES: 'm6i.large,m5.large',
      DISTRIBUTION_REGIONS: distributionRegions,
      PARAMETER_PREFIX: parameterPrefix,
    },
    launch: {
      ARTIFACTS_BUCKET: artifactsBucket,
      ...place,
      PAYLOAD_BUCKET: artifactsBucket,
      PAYLOAD_KEY: payloadKey,
      PAYLOAD_SHA256: payloadSha256,
    },
    attach: {},
    'wait-for-worker': { ARTIFACTS_BUCKET: artifactsBucket },
    wait: {},
    snapshot: {},
    'start-snapshot': {},
    'write-blocks': { ARTIFACTS_BUCKET: artifactsBucket },
    'complete-snapshot': { ARTIFACTS_BUCKET: artifactsBucket },
    register: {},
    'launch-windows': place,
    'swap-root': {},
    'create-image': {},
    'wait-for-image': {},
    'launch-boot-test': place,
    'wait-for-boot': { ARTIFACTS_BUCKET: artifactsBucket },
    preflight: {},
    distribute: {},
    publish: { ARTIFACTS_BUCKET: artifactsBucket },
    'roll-back': { ARTIFACTS_BUCKET: artifactsBucket, RESUMABLE_HOURS: String(resumableHours) },
    salvage: { ARTIFACTS_BUCKET: artifactsBucket, RESUMABLE_HOURS: String(resumableHours) },
    'clean-up': { ARTIFACTS_BUCKET: artifactsBucket },
    'name-build': { ARTIFACTS_BUCKET: artifactsBucket, STATE_MACHINE_ARN: stateMachineArn },
    'recall-build': { STATE_MACHINE_ARN: stateMachineArn },
    'report-matrix': { ARTIFACTS_BUCKET: artifactsBucket, STATE_MACHINE_ARN: stateMachineArn },
    reaper: {
      MATRIX_STATE_MACHINE_ARN: matrixStateMachineArn,
      RESUMABLE_HOURS: String(resumableHours),
      ARTIFACTS_BUCKET: artifactsBucket,
      DISTRIBUTION_REGIONS: distributionRegions,
      STATE_MACHINE_ARN: stateMachineArn,
      GRACE_SECONDS: String(graceSeconds),
      DRY_RUN: 'no',
    },
    'start-build': {
      STATE_MACHINE_ARN: stateMachineArn,
      MATRIX_STATE_MACHINE_ARN: matrixStateMachineArn,
      ARTIFACTS_BUCKET: artifactsBucket,
    },
    'show-matrix': {
      STATE_MACHINE_ARN: stateMachineArn,
      MATRIX_STATE_MACHINE_ARN: matrixStateMachineArn,
      ARTIFACTS_BUCKET: artifactsBucket,
    },
    'abort-matrix': { MATRIX_STATE_MACHINE_ARN: matrixStateMachineArn },
    'list-builds': { STATE_MACHINE_ARN: stateMachineArn },
    'show-build': { STATE_MACHINE_ARN: stateMachineArn, ARTIFACTS_BUCKET: artifactsBucket },
    'resume-build': { STATE_MACHINE_ARN: stateMachineArn },
    'abort-build': { STATE_MACHINE_ARN: stateMachineArn },
    'build-log': { STATE_MACHINE_ARN: stateMachineArn, ARTIFACTS_BUCKET: artifactsBucket },
    'list-images': { DISTRIBUTION_REGIONS: distributionRegions },
    'retire-image': { RETENTION_FUNCTION: functionNameOf('retention') },
    'list-releases': { ARTIFACTS_BUCKET: artifactsBucket },
    'list-subscriptions': { ARTIFACTS_BUCKET: artifactsBucket },
    subscribe: { ARTIFACTS_BUCKET: artifactsBucket },
    unsubscribe: { ARTIFACTS_BUCKET: artifactsBucket },
    'openapi-document': {},
    retention: {
      ARTIFACTS_BUCKET: artifactsBucket,
      DISTRIBUTION_REGIONS: distributionRegions,
      PARAMETER_PREFIX: parameterPrefix,
      QUARANTINE_DAYS: String(quarantineDays),
      DRY_RUN: 'no',
    },
    'record-build': { ARTIFACTS_BUCKET: artifactsBucket },
    notify,
    'watch-releases': {
      STATE_MACHINE_ARN: stateMachineArn,
      ARTIFACTS_BUCKET: artifactsBucket,
      ...(watchedMirrors.length > 0 ? { WATCHED_MIRRORS: watchedMirrors.join(',') } : {}),
    },
  };
  const arns = new Map<FunctionName, string>();
  for (const name of Object.keys(environments) as FunctionName[]) {
    const { arn } = await cloud.lambda.deploy({
      name: functionNameOf(name),
      role: functionNameOf(name),
      bundle: new URL(`dist/functions/${name}/index.mjs`, root).pathname,
      handler: 'handler',
      environment: environments[name],
      timeoutSeconds: LONGER_TIMEOUT_SECONDS[name] ?? TIMEOUT_SECONDS,
      memoryMegabytes: 256,
    });
    arns.set(name, arn);
  }
  // A build waits for none of these: most who build here never ask them.
  cloud.lambda.warm([...apiFunctions, ...matrixFunctions].map(functionNameOf));
  for (const name of apiFunctions) {
    const { method, path } = apiRoutes[name];
    cloud.api.route(method, path, functionNameOf(name));
  }
  const holes = new Map([...arns].map(([name, arn]) => [substitutionOf(name), arn]));
  const sfn = new SFNClient(client);
  await createStateMachine(sfn, cloud, 'build-image', stateMachineName, holes);
  const others = [
    ['BuildImageArn', stateMachineArn],
    ['ArtifactsBucketName', artifactsBucket],
  ] as const;
  await createStateMachine(sfn, cloud, 'build-matrix', matrixMachineName, new Map([...holes, ...others]));
  cloud.events.rule('ami-foundry-reaper', {
    stateMachineArn,
    statuses: ['ABORTED', 'FAILED', 'SUCCEEDED', 'TIMED_OUT'],
    target: 'ami-foundry-reaper',
    input: ({ name, status }) => ({ build: name, status }),
  });
  cloud.events.rule('ami-foundry-matrix-reaper', {
    stateMachineArn: matrixStateMachineArn,
    statuses: ['ABORTED', 'FAILED', 'SUCCEEDED', 'TIMED_OUT'],
    target: 'ami-foundry-reaper',
    input: ({ status }) => ({ status }),
  });
  cloud.events.schedule('ami-foundry-reaper', {
    everySeconds: REAPER_EVERY_SECONDS,
    target: 'ami-foundry-reaper',
    input: {},
  });
  cloud.events.schedule('ami-foundry-retention', {
    everySeconds: RETENTION_EVERY_SECONDS,
    target: 'ami-foundry-retention',
    input: {},
  });
  cloud.events.rule('ami-foundry-record-build', {
    stateMachineArn,
    statuses: ['RUNNING', 'SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT'],
    target: 'ami-foundry-record-build',
    input: ({ executionArn: execution, status }) => ({ execution, status }),
  });
  for (const channel of ['email', 'webhook'] as const) {
    if (notify[channel === 'email' ? 'MAIL_TO' : 'WEBHOOK_URL'] === undefined) continue;
    cloud.events.patternRule(`ami-foundry-notify-${channel}`, {
      pattern: noticed,
      target: 'ami-foundry-notify',
      input: (event) => ({ channel, event }),
    });
  }
  cloud.events.schedule('ami-foundry-watch-releases', {
    everySeconds: WATCH_EVERY_SECONDS,
    target: 'ami-foundry-watch-releases',
    input: {},
  });
  const topic = await announcements(new SNSClient(client), cloud);
  return { stateMachineArn, artifactsBucket, topicArn: topic, matrixStateMachineArn };
}

/** As infra/announcements.ts: what is said of builds and images is told to a topic. */
async function announcements(sns: SNSClient, cloud: Cloud): Promise<string> {
  const { TopicArn: topicArn = '' } = await sns.send(
    new CreateTopicCommand({ Name: 'ami-foundry-published' }),
  );
  cloud.events.patternRule('ami-foundry-published', {
    pattern: noticed,
    target: topicArn,
  });
  return topicArn;
}

async function uploadPayload(s3: S3Client, key: string): Promise<void> {
  try {
    await s3.send(new CreateBucketCommand({ Bucket: artifactsBucket }));
  } catch (error) {
    if (!(error instanceof Error && error.name === 'BucketAlreadyOwnedByYou')) throw error;
  }
  const body = await readFile(new URL('dist/worker-payload.tar.gz', root));
  await s3.send(new PutObjectCommand({ Bucket: artifactsBucket, Key: key, Body: body }));
}

async function findNetwork(ec2: EC2Client) {
  const { Subnets = [] } = await ec2.send(new DescribeSubnetsCommand({}));
  const { SecurityGroups: [existing] = [] } = await ec2.send(
    new DescribeSecurityGroupsCommand({ Filters: [{ Name: 'group-name', Values: [securityGroupName] }] }),
  );
  const securityGroupId =
    existing?.GroupId ??
    (
      await ec2.send(
        new CreateSecurityGroupCommand({ GroupName: securityGroupName, Description: 'Worker: no ingress' }),
      )
    ).GroupId;
  if (securityGroupId === undefined) throw new Error('CreateSecurityGroup returned no id');
  return { subnetIds: Subnets.map(({ SubnetId = '' }) => SubnetId), securityGroupId };
}

const stateMachineArnOf = ({ region, accountId }: Cloud, name: string): string =>
  `arn:aws:states:${region}:${accountId}:stateMachine:${name}`;

/** `clean-up` fills `${CleanUpFunctionArn}`. */
const substitutionOf = (functionName: string): string => `${pascalCase(functionName)}FunctionArn`;

async function createStateMachine(
  sfn: SFNClient,
  cloud: Cloud,
  file: string,
  name: string,
  holes: ReadonlyMap<string, string>,
): Promise<void> {
  const text = await readFile(new URL(`statemachines/${file}.asl.json`, root), 'utf8');
  const definition = text.replace(/\$\{(\w+)\}/g, (hole, what: string) => {
    const filling = holes.get(what);
    if (filling === undefined)
      throw new Error(`statemachines/${file}.asl.json has ${hole}, which nothing fills`);
    return filling;
  });
  const roleArn = `arn:aws:iam::${cloud.accountId}:role/${name}`;
  const stateMachineArn = stateMachineArnOf(cloud, name);
  try {
    await sfn.send(new UpdateStateMachineCommand({ stateMachineArn, definition, roleArn }));
  } catch (error) {
    if (!(error instanceof Error && error.name === 'StateMachineDoesNotExist')) throw error;
    await sfn.send(new CreateStateMachineCommand({ name, definition, roleArn }));
  }
}
