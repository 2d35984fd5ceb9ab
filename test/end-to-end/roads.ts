import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  CreateLaunchTemplateCommand,
  DescribeImagesCommand,
  DescribeSubnetsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { CreateBucketCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { paginateGetExecutionHistory, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { DeleteParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { AwsClient } from 'aws4fetch';
import { expect } from 'vitest';
import { factoryApi } from '../../cli/api.ts';
import { matrixBuildKey } from '../../core/names.ts';
import type { Journal } from '../../core/publication.ts';
import { FINGERPRINT } from '../../local/demo-release/signing-key.ts';
import type { RecordedCall } from '../../local/faults.ts';
import type { StubBehaviour, StubMachineEnd } from '../../local/instance-host/stub.ts';
import { whatIsLeft } from './account.ts';
import type { Factory } from './local-build.ts';

/**
 * Builds by every road that there is, to a good end and to bad ones: what they call is what the functions may do
 * and what they write is what anybody may read (security.test.ts). A new road is a new line.
 */
type Changes = Readonly<Record<string, unknown>>;

export interface Road {
  readonly name: string;
  /** Changes of the test recipe. */
  readonly recipe?: Changes | ((factory: Factory) => Changes);
  readonly dryRun?: boolean;
  /** Stops the execution in this state. */
  readonly abortIn?: string;
  /** Built by a true worker; by a stub when absent, which leaves no image but asks for the same. */
  readonly trueWorker?: true;
  /** What a stub of a machine under test does. */
  readonly machine?: StubMachineEnd;
  readonly before?: (factory: Factory) => Promise<void> | void;
  /** Waits for what comes after its end. */
  readonly after?: (factory: Factory, name: string) => Promise<void>;
  /** How it ends: SUCCEEDED, ABORTED or the name of an error. */
  readonly end: string;
}

const base = '/releases/amd64/amd64/15.1-RELEASE/base.txz';

/** A bucket of the recipe's author, which the deployment lets recipes name. */
export const SOURCES = 'company';
/** Where images may go, beside the region of the factory. */
export const COPY_REGIONS = ['us-west-2', 'eu-west-1'] as const;
/** A key of the account, which the deployment lets recipes name. */
const KEY = 'alias/roads';

/** Its ARN in a region; it is made if it is not there. */
export async function keyArn({ cloud: { endpoint, credentials } }: Factory, region: string): Promise<string> {
  const client = new AwsClient({ ...credentials, service: 'kms', region });
  const kms = async (operation: string, body: object) => {
    const headers = {
      'x-amz-target': `TrentService.${operation}`,
      'content-type': 'application/x-amz-json-1.1',
    };
    const answer = await client.fetch(endpoint, { method: 'POST', headers, body: JSON.stringify(body) });
    return (await answer.json()) as { KeyMetadata?: { Arn: string; KeyId: string } };
  };
  const known = (await kms('DescribeKey', { KeyId: KEY })).KeyMetadata;
  if (known) return known.Arn;
  const { KeyMetadata: made } = await kms('CreateKey', {});
  await kms('CreateAlias', { AliasName: KEY, TargetKeyId: made?.KeyId });
  return made?.Arn ?? '';
}

/** Secrets of a recipe. */
export const PASSWORD_HASH = '$6$rounds=5000$foundry$ThisIsNotAHashButLooksLikeOneAndIsFoundByItsText';
export const URL_PASSWORD = 'hunter2hunter2';
const MOTD = 'hello\n';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const LAUNCH_BOOT_TEST = 'ami-foundry-launch-boot-test';

const noRoom = {
  service: 'ec2',
  action: 'RunInstances',
  times: Number.POSITIVE_INFINITY,
  error: { code: 'InsufficientInstanceCapacity', status: 500 },
};

/** Goes to all regions of the deployment; `path` is that of its parameters. */
const everywhere = (path: string, more: Changes = {}): Changes => ({
  distribution: {
    regions: [...COPY_REGIONS],
    share: { accounts: ['111122223333'] },
    parameters: `/ami-foundry/${path}`,
    deprecateAfter: 30,
    ...more,
  },
});

const isLatest = ({ input }: RecordedCall) => String(input.Name).endsWith('/latest');

/** At the last change in one region. */
const breaksAtLatest = ({ cloud: { faults } }: Factory) =>
  void faults.add({
    action: 'PutParameter',
    region: 'us-west-2',
    where: isLatest,
    error: { code: 'TooManyUpdates', status: 400 },
    times: Number.POSITIVE_INFINITY,
  });

/** When the last region has it: so there is something to put back in each. */
const stopsAtLatest =
  (name: string) =>
  ({ cloud: { faults, region, accountId }, sfn }: Factory) => {
    const executionArn = `arn:aws:states:${region}:${accountId}:execution:ami-foundry-build-image:${name}`;
    const without = new Set<string>([region, ...COPY_REGIONS]);
    faults.add({
      action: 'PutParameter',
      where: (call) => call.caller === 'ami-foundry-publish' && isLatest(call),
      afterEffect: true,
      times: without.size,
      strike: async (call) => {
        without.delete(call.region);
        if (without.size === 0) await sfn.send(new StopExecutionCommand({ executionArn }));
      },
    });
  };

/** A journal of an earlier build lies there just after the next that is written; the reaper comes when that has given way. */
const rivalAppears = ({ cloud: { faults, lambda }, s3 }: Factory) => {
  faults.add({
    action: 'DeleteObject',
    where: ({ caller, input }) =>
      caller === 'ami-foundry-publish' && String(input.Key).startsWith('publications/open/'),
    afterEffect: true,
    strike: () => void lambda.invoke('ami-foundry-reaper', {}),
  });
  faults.add({
    action: 'PutObject',
    where: ({ input }) => input.Key === 'publications/open/gives-way-to-another-publication.json',
    afterEffect: true,
    strike: async () => {
      const journal: Journal = {
        version: 1,
        build: 'cannot-be-registered',
        execution: '2026-01-01T00:00:00.000Z',
        at: '2026-01-01T00:00:00.000Z',
        begun: false,
        share: [],
        deprecateAt: null,
        parameters: ['/ami-foundry/given/latest'],
        regions: [
          {
            region: 'us-west-2',
            imageId: 'ami-0fedcba9876543210',
            before: { permissions: [], deprecatedAt: null, parameters: {} },
          },
        ],
      };
      const Key = `publications/open/${journal.build}.json`;
      await s3.send(
        new PutObjectCommand({ Bucket: 'ami-foundry-artifacts', Key, Body: JSON.stringify(journal) }),
      );
    },
  });
};

/** The reaper, which comes as its schedule has it come, has put everything back for good. */
async function journalGone({ s3, cloud }: Factory, name: string): Promise<void> {
  const Prefix = name === '' ? 'publications/open/' : `publications/open/${name}.json`;
  for (;;) {
    await cloud.lambda.invoke('ami-foundry-reaper', {});
    const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: 'ami-foundry-artifacts', Prefix }));
    if (KeyCount === 0) return;
    await pause(100);
  }
}

/** The image is put away, taken out, put away again and deleted, everywhere. */
async function retires({ cloud, ec2 }: Factory, name: string): Promise<void> {
  const { region: home, endpoint, credentials } = cloud;
  const Filters = [{ Name: 'tag:ami-foundry:build', Values: [name] }];
  const { Images: [image] = [] } = await ec2.send(new DescribeImagesCommand({ Filters }));
  for (const region of [home, ...COPY_REGIONS]) {
    const client = { region, endpoint, credentials };
    // Whoever reads `latest` uses it.
    await new SSMClient(client).send(
      new DeleteParameterCommand({ Name: '/ami-foundry/once-published/latest' }),
    );
    await new EC2Client(client).send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: name,
        LaunchTemplateData: { ImageId: 'resolve:ssm:/ami-foundry/once-published/latest:1' },
      }),
    );
  }
  for (const event of [
    { retire: image?.ImageId },
    { restore: image?.ImageId },
    { retire: image?.ImageId },
    {},
  ]) {
    const { functionError, payload } = await cloud.lambda.invoke('ami-foundry-retention', event);
    expect(functionError, JSON.stringify(payload)).toBeUndefined();
  }
  expect((await ec2.send(new DescribeImagesCommand({ Filters, IncludeDisabled: true }))).Images).toEqual([]);
}

/** Its recipe is subscribed, a release appears, and the watcher has it built and nothing twice. */
async function isWatched(factory: Factory): Promise<void> {
  const { cloud, s3 } = factory;
  const { region, accountId, endpoint: url, credentials } = cloud;
  const api = factoryApi({ url, region, credentials: () => Promise.resolve(credentials) });
  const params = { name: 'watched' };
  await api.call('subscribe', { params, body: { recipe: factory.recipe({ ...params, subscribe: {} }) } });
  // The watcher has been there before: what it sees now is news.
  const before = {
    release: '15.0-RELEASE',
    architecture: 'amd64',
    builtOn: null,
    revision: null,
    patchLevel: null,
    firstSeenAt: new Date(0).toISOString(),
  };
  await s3.send(
    new PutObjectCommand({
      Bucket: 'ami-foundry-artifacts',
      Key: 'releases.json',
      Body: JSON.stringify({ checkedAt: null, releases: [before] }),
    }),
  );
  for (const started of [1, 0]) {
    const { functionError, payload } = await cloud.lambda.invoke('ami-foundry-watch-releases', {});
    expect(functionError, JSON.stringify(payload)).toBeUndefined();
    expect(payload).toMatchObject({ started });
    const [build] = (await api.call('list-subscriptions', {})).subscriptions[0]?.started ?? [];
    await factory.end(
      `arn:aws:states:${region}:${accountId}:execution:ami-foundry-build-image:${build?.build}`,
    );
  }
  expect((await api.call('list-releases', {})).releases).toHaveLength(2);
  await api.call('unsubscribe', { params });
}

/** The calls after which a build goes on, if they are refused once. */
const oftenThrottled = [
  'DescribeInstances',
  'DescribeVolumes',
  'AttachVolume',
  'CreateSnapshot',
  'RegisterImage',
];

export const roads: readonly Road[] = [
  { name: 'boots', recipe: { bootTest: {} }, end: 'SUCCEEDED' },
  // By the very recipe above, but for what makes no difference to the image.
  {
    name: 'adopts',
    recipe: { name: 'boots', bootTest: {}, retention: { keep: 3 } },
    end: 'SUCCEEDED',
  },
  {
    name: 'plans for arm64',
    // The mirror has nothing for arm64; what it has is as good for a plan.
    recipe: ({ mirror }) => ({
      architecture: 'arm64',
      repositories: [
        {
          name: 'FreeBSD-ports',
          url: `${mirror.url}/packages/FreeBSD:15:amd64/quarterly`,
          fingerprints: [FINGERPRINT],
        },
      ],
      mirrors: undefined,
      source: `${mirror.url}/releases/amd64/amd64/15.1-RELEASE`,
    }),
    dryRun: true,
    end: 'SUCCEEDED',
  },
  {
    name: 'takes a file from a bucket',
    trueWorker: true,
    recipe: {
      files: [{ path: '/etc/motd.template', s3: `s3://${SOURCES}/motd`, sha256: sha256(MOTD) }],
      users: [{ name: 'ops', password: PASSWORD_HASH }],
    },
    async before({ s3 }) {
      await s3.send(new CreateBucketCommand({ Bucket: SOURCES }));
      await s3.send(new PutObjectCommand({ Bucket: SOURCES, Key: 'motd', Body: MOTD }));
    },
    end: 'SUCCEEDED',
  },
  {
    name: 'wants a file that its bucket has not',
    trueWorker: true,
    recipe: { files: [{ path: '/etc/motd.template', s3: `s3://${SOURCES}/gone`, sha256: sha256(MOTD) }] },
    end: 'SourceUnavailable',
  },
  {
    name: 'names a mirror with a password',
    recipe: { mirrors: [`http://ops:${URL_PASSWORD}@127.0.0.1/freebsd`] },
    end: 'InvalidRecipe',
  },
  { name: 'is billed as windows', recipe: { bootTest: {}, image: { road: 'windows' } }, end: 'SUCCEEDED' },
  {
    name: 'finds no room beside windows',
    recipe: { image: { road: 'windows' } },
    before({ cloud: { faults } }) {
      const where = ({ caller }: RecordedCall) => caller === 'ami-foundry-launch-windows';
      const error = { code: 'InsufficientVolumeCapacity', status: 500 };
      // As often as the SDK asks when the service has a bad moment.
      faults.add({ action: 'CreateVolume', where, error, times: 3 });
    },
    end: 'SUCCEEDED',
  },
  {
    name: 'finds no room in its first zone',
    async before({ ec2, cloud: { faults } }) {
      const { Subnets: [first] = [] } = await ec2.send(new DescribeSubnetsCommand({}));
      const where = ({ input }: RecordedCall) => input.SubnetId === first?.SubnetId;
      faults.add({ ...noRoom, where });
    },
    end: 'SUCCEEDED',
  },
  { name: 'goes without a volume', recipe: { image: { road: 'ebs-direct' } }, end: 'SUCCEEDED' },
  {
    name: 'is throttled',
    before({ cloud: { faults } }) {
      const error = { code: 'RequestLimitExceeded', status: 503 };
      for (const action of oftenThrottled) faults.add({ action, error });
    },
    end: 'SUCCEEDED',
  },
  {
    name: 'cannot be registered',
    before: ({ cloud: { faults } }) =>
      void faults.add({
        service: 'ec2',
        action: 'RegisterImage',
        times: Number.POSITIVE_INFINITY,
        error: { code: 'InvalidRequest', status: 400 },
      }),
    end: 'InvalidRequest',
  },
  // By the very recipe that could not be registered: its snapshot was kept.
  { name: 'goes on after that', recipe: { name: 'cannot-be-registered' }, end: 'SUCCEEDED' },
  {
    name: 'has a worker that fails',
    trueWorker: true,
    before: ({ mirror }) => void mirror.faults.set(base, [{ kind: 'corrupt', atByte: 70_000 }]),
    end: 'SetChecksumMismatch',
  },
  {
    name: 'makes an image that panics',
    recipe: {
      bootTest: { instanceTypes: ['m6i.large', 'm5.large'] },
      image: { encryption: { kmsKey: KEY } },
    },
    before({ cloud: { faults } }) {
      // Until the machine that was launched already is given up.
      const given = () =>
        faults.calls.some(
          ({ action, caller }) => action === 'TerminateInstances' && caller === LAUNCH_BOOT_TEST,
        );
      const where = ({ input, caller }: RecordedCall) =>
        caller === LAUNCH_BOOT_TEST && input.InstanceType === 'm5.large' && !given();
      faults.add({ ...noRoom, where });
    },
    machine: 'panic',
    end: 'BootPanicked',
  },
  {
    name: 'makes an image that says nothing',
    recipe: { bootTest: { timeout: 10 } },
    machine: 'hang',
    end: 'BootSilent',
  },
  { name: 'is encrypted', recipe: { image: { encryption: {} } }, end: 'SUCCEEDED' },
  { name: 'goes to other regions', recipe: everywhere('image'), end: 'SUCCEEDED' },
  {
    name: 'goes there with another key',
    recipe: everywhere('keyed', { kmsKeys: { [COPY_REGIONS[0]]: KEY } }),
    end: 'SUCCEEDED',
  },
  {
    // A second try of the step goes on with the journal of the first.
    name: 'is throttled in its publication',
    recipe: everywhere('image'),
    before: ({ cloud: { faults } }) =>
      void faults.add({
        action: 'PutParameter',
        region: 'us-west-2',
        where: isLatest,
        times: 3,
        error: { code: 'ThrottlingException', status: 400 },
      }),
    end: 'SUCCEEDED',
  },
  {
    name: 'breaks in the midst of its publication',
    recipe: everywhere('image'),
    before: breaksAtLatest,
    end: 'TooManyUpdates',
  },
  {
    // Another publication to the same path begins at the same moment; it is one that failed, and the reaper closes it.
    name: 'gives way to another publication',
    recipe: everywhere('given'),
    before: rivalAppears,
    end: 'SUCCEEDED',
  },
  {
    // Of the very recipe that went there: it has a date of deprecation already.
    name: 'breaks as it is published again',
    recipe: { name: 'goes-to-other-regions', ...everywhere('again') },
    before: breaksAtLatest,
    end: 'TooManyUpdates',
  },
  {
    name: 'takes over the copies that are there',
    recipe: { name: 'breaks-in-the-midst-of-its-publication', ...everywhere('image') },
    end: 'SUCCEEDED',
  },
  {
    name: 'cannot be copied to one region',
    // It has passed its test, and is kept for the next attempt.
    recipe: { bootTest: {}, ...everywhere('image') },
    before: ({ cloud: { faults } }) =>
      void faults.add({
        action: 'CopyImage',
        region: 'us-west-2',
        times: Number.POSITIVE_INFINITY,
        error: { code: 'InvalidRequest', status: 400 },
      }),
    end: 'InvalidRequest',
  },
  // It keeps its name, which the API knows builds by.
  {
    name: 'is asked about',
    recipe: { bootTest: {}, ...everywhere('asked') },
    after: asksTheApi,
    end: 'SUCCEEDED',
  },
  { name: 'stands beside matrices', after: asksForMatrices, end: 'SUCCEEDED' },
  { name: 'retires', recipe: everywhere('once-published'), after: retires, end: 'SUCCEEDED' },
  {
    name: 'would be public',
    recipe: everywhere('image', { share: { public: true } }),
    end: 'PreflightFailed',
  },
  {
    name: 'is stopped in its publication',
    recipe: everywhere('image'),
    before: stopsAtLatest('is-stopped-in-its-publication'),
    after: journalGone,
    end: 'ABORTED',
  },
  {
    name: 'is stopped as it is published again',
    recipe: { name: 'goes-to-other-regions', ...everywhere('once-more') },
    before: stopsAtLatest('is-stopped-as-it-is-published-again'),
    after: journalGone,
    end: 'ABORTED',
  },
  { name: 'is watched', recipe: {}, after: isWatched, end: 'SUCCEEDED' },
  { name: 'is stopped while it works', abortIn: 'WaitForWorker', end: 'ABORTED' },
  { name: 'is stopped with an image', recipe: { bootTest: {} }, abortIn: 'WaitForBoot', end: 'ABORTED' },
];

/** What people ask of the HTTP API: of a build that is over, one that runs, one that is stopped and goes on. */
async function asksTheApi(factory: Factory, name: string): Promise<void> {
  const { cloud } = factory;
  const { endpoint: url, region } = cloud;
  const api = factoryApi({ url, region, credentials: () => Promise.resolve(cloud.credentials) });
  const ended = async (id: string) => {
    for (;;) {
      const build = await api.call('show-build', { params: { id } });
      if (build.status !== 'RUNNING') return build;
      await pause(100);
    }
  };
  await ended(name);
  machineEnd = 'hang';
  const body = { recipe: factory.recipe({ name: 'asked', bootTest: {} }) };
  const { id } = await api.call('start-build', { body });
  expect(await api.call('start-build', { body })).toMatchObject({ id, created: false });
  const state = async () =>
    (await api.call('list-builds', { query: { status: 'RUNNING' } })).builds[0]?.state;
  while ((await state()) !== 'PauseForBoot') await pause(20);
  const query = { source: 'boot-m6i.large' };
  await api.call('show-build', { params: { id } });
  await api.call('build-log', { params: { id }, query });
  await api.call('abort-build', { params: { id } });
  machineEnd = 'panic';
  const again = await api.call('resume-build', { params: { id } });
  expect(await ended(again.id)).toMatchObject({ failure: { code: 'BootPanicked' } });
  for (const one of [{}, query]) await api.call('build-log', { params: { id: again.id }, query: one });
  machineEnd = 'ok';
  const { images } = await api.call('list-images', { query: { recipe: name } });
  expect(new Set(images.map((image) => image.region))).toEqual(new Set([region, ...COPY_REGIONS]));
  const imageId = images[0]?.imageId ?? '';
  expect(await api.call('retire-image', { params: { imageId } })).toMatchObject({ imageId });
  await api.call('openapi-document', {});
}

/** Matrices as people ask for them: all or none, twice over, so that one meets the journals of the other; one that is stopped. */
async function asksForMatrices(factory: Factory): Promise<void> {
  const { cloud } = factory;
  const { endpoint: url, region } = cloud;
  const api = factoryApi({ url, region, credentials: () => Promise.resolve(cloud.credentials) });
  const ended = async (id: string) => {
    for (;;) {
      const matrix = await api.call('show-matrix', { params: { id } });
      if (matrix.status !== 'RUNNING') return matrix;
      await pause(100);
    }
  };
  const start = async (description: string) => {
    const recipe = {
      ...factory.recipe({
        name: 'set',
        image: { description },
        bootTest: {},
        ...everywhere('set/{flavour}'),
      }),
      matrix: { flavour: ['base', 'small'] },
    };
    return await api.call('start-build', { body: { recipe, matrix: { publishTogether: true } } });
  };
  const first = await start('first');
  expect(first).toMatchObject({ kind: 'matrix', created: true });
  expect(await ended(first.id)).toMatchObject({ status: 'SUCCEEDED', summary: { succeeded: 2 } });
  // A build that has a name and did not begin yet is asked for by it.
  await factory.s3.send(
    new PutObjectCommand({
      Bucket: factory.artifactsBucket,
      Key: matrixBuildKey(first.id, 2, 'has-not-begun'),
      Body: '{}',
    }),
  );
  expect(await ended(first.id)).toMatchObject({ summary: { total: 2, succeeded: 2 } });
  // A name that is taken: the next attempt. And a journal that is still open: how its matrix ended is asked.
  await factory.s3.send(
    new PutObjectCommand({
      Bucket: factory.artifactsBucket,
      Key: 'publications/open/other.json',
      Body: JSON.stringify({
        version: 1,
        build: 'other',
        execution: new Date().toISOString(),
        matrix: first.id,
        at: new Date().toISOString(),
        share: [],
        deprecateAt: null,
        parameters: ['/ami-foundry/set/base/latest'],
        regions: [
          {
            region,
            imageId: 'ami-0',
            before: { permissions: [], deprecatedAt: null, parameters: {} },
          },
        ],
      }),
    }),
  );
  const again = await start('first');
  expect(again.id).toBe(`${first.id}-2`);
  expect(await ended(again.id)).toMatchObject({ status: 'SUCCEEDED' });
  // None can be shown: what was changed is put back.
  cloud.faults.add({
    service: 'ssm',
    action: 'PutParameter',
    where: ({ caller }) => caller === 'ami-foundry-publish',
    times: Number.POSITIVE_INFINITY,
    error: { code: 'AccessDeniedException' },
  });
  expect(await ended((await start('second')).id)).toMatchObject({ failure: { code: 'MatrixFailed' } });
  cloud.faults.clear();
  // Not all can be claimed: what was claimed is let go of.
  let claims = 0;
  cloud.faults.add({
    service: 's3',
    action: 'PutObject',
    where: ({ caller }) => caller === 'ami-foundry-publish' && ++claims > 1,
    times: Number.POSITIVE_INFINITY,
    error: { code: 'AccessDenied' },
  });
  expect(await ended((await start('claimed')).id)).toMatchObject({ failure: { code: 'MatrixFailed' } });
  cloud.faults.clear();
  machineEnd = 'hang';
  const stopped = await start('third');
  while ((await api.call('show-matrix', { params: { id: stopped.id } })).summary.running < 2) await pause(50);
  await api.call('abort-matrix', { params: { id: stopped.id } });
  machineEnd = 'ok';
  await journalGone(factory, '');
}

let machineEnd: StubMachineEnd = 'ok';
/** The stub that roads ask for. */
export const stub: StubBehaviour = { machine: () => machineEnd };

/** Builds by a road and returns the execution's last word. */
export async function take(factory: Factory, road: Road) {
  const name = road.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  machineEnd = road.machine ?? 'ok';
  await road.before?.(factory);
  const before = await whatIsLeft(factory.ec2);
  const changes = typeof road.recipe === 'function' ? road.recipe(factory) : road.recipe;
  const input = { recipe: factory.recipe({ name, ...changes }), dryRun: road.dryRun ?? false };
  const executionArn = await factory.start(input, name);
  if (road.abortIn !== undefined) {
    while (!(await entered(factory, executionArn, road.abortIn))) await pause(20);
    await factory.sfn.send(new StopExecutionCommand({ executionArn }));
  }
  const ended = await factory.end(executionArn);
  // The reaper comes after the event.
  while (road.abortIn !== undefined && (await whatIsLeft(factory.ec2)).length > before.length)
    await pause(100);
  await road.after?.(factory, name);
  factory.cloud.faults.clear();
  factory.mirror.faults.clear();
  const end = ended.status === 'FAILED' ? ended.error : ended.status;
  expect(end, ended.cause).toBe(road.end);
  return ended;
}

/** Whether the execution has come to a state. */
export async function entered({ sfn }: Factory, executionArn: string, state: string): Promise<boolean> {
  const input = { executionArn, reverseOrder: true };
  for await (const { events = [] } of paginateGetExecutionHistory({ client: sfn }, input)) {
    if (events.some(({ stateEnteredEventDetails: details }) => details?.name === state)) return true;
  }
  return false;
}
