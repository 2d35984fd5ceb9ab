import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EC2Client } from '@aws-sdk/client-ec2';
import { S3Client } from '@aws-sdk/client-s3';
import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { type Cloud, type CloudOptions, startCloud } from '../../local/cloud.ts';
import { type DemoRelease, makeDemoRelease } from '../../local/demo-release/make.ts';
import { type Mirror, startMirror } from '../../local/demo-release/serve.ts';
import { FINGERPRINT } from '../../local/demo-release/signing-key.ts';
import { type DeploySettings, deploy } from '../../local/deploy.ts';
import { HOST_ADDRESS } from '../../local/instance-host/machine.ts';

const root = new URL('../../', import.meta.url).pathname;

/** A fiftieth of the demo release: every kind of entry, quick to build. */
const SMALL = 0.02;

/** A local cloud with the factory deployed, and a mirror with a small release. */
export interface Factory extends AsyncDisposable {
  readonly cloud: Cloud;
  readonly mirror: Mirror;
  readonly release: DemoRelease;
  readonly sfn: SFNClient;
  readonly ec2: EC2Client;
  readonly s3: S3Client;
  readonly stateDirectory: string;
  /** Tells of builds and images. */
  readonly topicArn: string;
  readonly stateMachineArn: string;
  readonly matrixStateMachineArn: string;
  readonly artifactsBucket: string;
  /** Starts an execution with this very input and returns its ARN. */
  start(input: unknown, name?: string): Promise<string>;
  /** Waits for the end of an execution. */
  end(executionArn: string): Promise<DescribeExecutionCommandOutput>;
  /** What a recipe says to get everything from the local mirror. */
  upstream(system?: string): Record<string, unknown>;
  /** A good recipe for the mirror, with changes. */
  recipe(changes?: Record<string, unknown>): Record<string, unknown>;
}

interface FactorySettings extends DeploySettings {
  readonly cloud?: Partial<CloudOptions>;
  /** Of a cloud that lived before, and goes on; a new one when absent. */
  readonly stateDirectory?: string | undefined;
}

export async function startFactory({
  cloud: options,
  stateDirectory: former,
  ...settings
}: FactorySettings = {}): Promise<Factory> {
  const directory = join(root, '.state/demo-release-small');
  const release = await makeDemoRelease({ directory, scale: SMALL });
  const stateDirectory = former ?? (await mkdtemp(join(root, '.state/cloud-test-')));
  const cloud = await startCloud({ log: () => {}, ...options, stateDirectory });
  const mirror = await startMirror({ directory });
  const mirrorUrl = cloud.workers === 'machines' ? mirror.url.replace('127.0.0.1', HOST_ADDRESS) : mirror.url;
  const client = { region: cloud.region, endpoint: cloud.endpoint, credentials: cloud.credentials };
  const sfn = new SFNClient(client);
  const { stateMachineArn, topicArn, ...places } = await deploy(cloud, settings);
  let count = 0;
  const repository = (name: string, path: string) => ({
    name,
    url: `${mirrorUrl}/packages/{abi}/${path}`,
    inImage: false,
    fingerprints: [FINGERPRINT],
  });
  const upstream = (system = 'sets') => ({
    mirrors: [mirrorUrl],
    repositories: [
      repository('FreeBSD-ports', 'quarterly'),
      ...(system === 'pkgbase' ? [repository('FreeBSD-base', 'base_release_1')] : []),
    ],
  });
  return {
    cloud,
    mirror,
    release,
    sfn,
    ec2: new EC2Client(client),
    s3: new S3Client({ ...client, forcePathStyle: true }),
    stateDirectory,
    topicArn,
    stateMachineArn,
    ...places,
    upstream,
    async start(input, name = `test-${++count}`) {
      const { executionArn = '' } = await sfn.send(
        new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }),
      );
      return executionArn;
    },
    async end(executionArn) {
      for (;;) {
        const execution = await sfn.send(new DescribeExecutionCommand({ executionArn }));
        if (execution.status !== 'RUNNING') return execution;
        await pause(50);
      }
    },
    recipe: (changes = {}) => ({
      name: 'test-image',
      release: '15.1-RELEASE',
      architecture: 'amd64',
      rootSize: 1,
      // What is about booting asks for it: it takes seconds.
      bootTest: false,
      ...upstream(),
      ...changes,
    }),
    async [Symbol.asyncDispose]() {
      await cloud.stop();
      await mirror.close();
      await rm(stateDirectory, { recursive: true, force: true });
    },
  };
}
