import {
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  DisableImageBlockPublicAccessCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import { SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { AwsClient } from 'aws4fetch';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CloudOptions } from '../../local/cloud.ts';
import type { RecordedCall } from '../../local/faults.ts';
import { type Factory, startFactory } from './local-build.ts';

/** Images that go to five regions of the local cloud; workers are stubs, so that a build takes a second or two. */

const HOME = 'us-east-1';
const OTHERS = ['us-west-2', 'eu-west-1', 'eu-central-1', 'ap-southeast-2'];
const REGIONS = [HOME, ...OTHERS];
const READER = '111122223333';

const stubs: Partial<CloudOptions> = { stub: { worker: () => 'ok', machine: () => 'ok' } };

let factory: Factory;
let count = 0;
beforeAll(async () => {
  factory = await startFactory({ cloud: stubs });
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());
afterEach(() => factory.cloud.faults.clear());

const client = (region: string) => ({
  region,
  endpoint: factory.cloud.endpoint,
  credentials: factory.cloud.credentials,
});
const ec2 = (region: string) => new EC2Client(client(region));

/** `description` makes another image of the same recipe: a next release for its readers. */
const recipe = (name: string, description: string, distribution: object = {}) =>
  factory.recipe({
    name,
    image: { description },
    distribution: {
      regions: OTHERS,
      share: { accounts: [READER] },
      parameters: '/company/{name}',
      deprecateAfter: 30,
      ...distribution,
    },
  });

async function build(recipe: object, name = `build-${++count}`) {
  const executionArn = await factory.start({ recipe }, name);
  const ended = await factory.end(executionArn);
  return { ...ended, name, output: JSON.parse(ended.output ?? '{}') };
}

const valueIn = (region: string, Name: string): Promise<string | undefined> =>
  new SSMClient(client(region)).send(new GetParameterCommand({ Name })).then(
    ({ Parameter }) => Parameter?.Value,
    (error: unknown) => {
      if (error instanceof Error && error.name === 'ParameterNotFound') return undefined;
      throw error;
    },
  );

/** What a reader of `latest` finds in a region: the image's id, if its account may launch it. */
async function resolved(region: string, recipeName: string): Promise<string | undefined> {
  const value = await valueIn(region, `/company/${recipeName}/latest`);
  if (value === undefined) return undefined;
  const { LaunchPermissions = [] } = await ec2(region).send(
    new DescribeImageAttributeCommand({ ImageId: value, Attribute: 'launchPermission' }),
  );
  return LaunchPermissions.some(({ UserId }) => UserId === READER)
    ? value
    : `${value}, which nobody may launch`;
}

const latest = (recipeName: string) => Promise.all(REGIONS.map((region) => resolved(region, recipeName)));

/** Images and snapshots of a build, by region. */
async function madeBy(buildName: string): Promise<Record<string, number>> {
  const Filters = [{ Name: 'tag:ami-foundry:build', Values: [buildName] }];
  const counts = REGIONS.map(async (region) => {
    const { Images = [] } = await ec2(region).send(new DescribeImagesCommand({ Owners: ['self'], Filters }));
    const { Snapshots = [] } = await ec2(region).send(
      new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters }),
    );
    return [region, Images.length + Snapshots.length] as const;
  });
  return Object.fromEntries(await Promise.all(counts));
}

/** Until the reaper, which comes as its schedule has it come, has left nothing of a build. */
async function reaped(buildName: string): Promise<void> {
  const nothing = Object.fromEntries(REGIONS.map((region) => [region, 0]));
  const left = async () => {
    await factory.cloud.lambda.invoke('ami-foundry-reaper', {});
    return await madeBy(buildName);
  };
  await expect.poll(left, { timeout: 45_000, interval: 250 }).toEqual(nothing);
}

async function journals(): Promise<string[]> {
  const { Contents = [] } = await factory.s3.send(
    new ListObjectsV2Command({ Bucket: 'ami-foundry-artifacts', Prefix: 'publications/open/' }),
  );
  return Contents.map(({ Key = '' }) => Key);
}

const calls = (action: string, since = 0) =>
  factory.cloud.faults.calls.slice(since).filter((call) => call.action === action);

const isLatest = (call: RecordedCall) => String(call.input.Name).endsWith('/latest');
const flips: { action: string; where?: (call: RecordedCall) => boolean; what: string }[] = [
  { action: 'ModifyImageAttribute', what: 'launch permissions' },
  { action: 'EnableImageDeprecation', what: 'deprecation' },
  { action: 'PutParameter', where: (call) => !isLatest(call), what: 'the parameter of the image' },
  { action: 'PutParameter', where: isLatest, what: 'latest' },
];

describe('distribution', () => {
  it('publishes an image in all regions, tells it, and the next release takes its place', async () => {
    const queues = new AwsClient({
      accessKeyId: 'local',
      secretAccessKey: 'local',
      service: 'sqs',
      region: HOME,
    });
    const sqs = async (operation: string, input: object): Promise<unknown> => {
      const answer = await queues.fetch(factory.cloud.endpoint, {
        method: 'POST',
        body: JSON.stringify(input),
        headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${operation}` },
      });
      return await answer.json();
    };
    const { QueueUrl } = (await sqs('CreateQueue', { QueueName: 'listener' })) as { QueueUrl: string };
    await new SNSClient(client(HOME)).send(
      new SubscribeCommand({
        TopicArn: factory.topicArn,
        Protocol: 'sqs',
        Endpoint: `arn:aws:sqs:${HOME}:${factory.cloud.accountId}:listener`,
        Attributes: { RawMessageDelivery: 'true' },
      }),
    );

    const first = await build(recipe('usual', 'first'));
    expect({ status: first.status, cause: first.cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    expect(first.output.regions.map(({ region }: { region: string }) => region)).toEqual(REGIONS);
    const ids = first.output.regions.map(({ imageId }: { imageId: string }) => imageId);
    expect(new Set(ids).size).toBe(REGIONS.length);
    expect(await latest('usual')).toEqual(ids);
    for (const [index, region] of REGIONS.entries()) {
      const { Images: [image] = [] } = await ec2(region).send(
        new DescribeImagesCommand({ ImageIds: [ids[index]] }),
      );
      expect(image).toMatchObject({ State: 'available', Description: 'first', ImdsSupport: 'v2.0' });
      const days = (Date.parse(image?.DeprecationTime ?? '') - Date.now()) / 86_400_000;
      expect(days).toBeGreaterThan(29.9);
      expect(days).toBeLessThanOrEqual(30);
    }

    const { Messages: [message] = [] } = (await sqs('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 5 })) as {
      Messages?: { Body: string }[];
    };
    expect(JSON.parse(message?.Body ?? '{}')).toMatchObject({
      source: 'ami-foundry',
      'detail-type': 'Image Published',
      detail: {
        recipe: 'usual',
        regions: Object.fromEntries(REGIONS.map((region, index) => [region, ids[index]])),
      },
    });
    expect(first.output.announced).toBe(true);

    const second = await build(recipe('usual', 'second'));
    expect(second.status).toBe('SUCCEEDED');
    const next = second.output.regions.map(({ imageId }: { imageId: string }) => imageId);
    expect(next.some((id: string) => ids.includes(id))).toBe(false);
    expect(await latest('usual')).toEqual(next);
    // Each very image keeps the parameter of its own.
    const parameter = first.output.parameters[0];
    const own = await new SSMClient(client('eu-west-1')).send(new GetParameterCommand({ Name: parameter }));
    expect(own.Parameter?.Value).toBe(ids[2]);
    expect(factory.cloud.faults.calls.filter(({ error }) => error === 'RequestLimitExceeded')).toEqual([]);
  }, 120_000);

  it('of an adopted image copies only to the region that is new', async () => {
    const { output: before } = await build(recipe('grows', 'same', { regions: ['eu-west-1'] }));
    const since = factory.cloud.faults.calls.length;
    const { status, output } = await build(recipe('grows', 'same', { regions: ['eu-west-1', 'us-west-2'] }));
    expect(status).toBe('SUCCEEDED');
    expect(output).toMatchObject({ adopted: true, imageId: before.imageId });
    expect(output.regions[1]).toEqual(before.regions[1]);
    expect(calls('CopyImage', since)).toHaveLength(1);
    expect(calls('RunInstances', since)).toEqual([]);
  }, 120_000);

  it('is refused before anything is launched when a region says no', async () => {
    const since = factory.cloud.faults.calls.length;
    const blocked = await build(recipe('blocked', 'x', { share: { public: true } }));
    expect(blocked).toMatchObject({ status: 'FAILED', error: 'PreflightFailed' });
    // In a new account block public access is on, in every region.
    for (const region of REGIONS) expect(blocked.cause).toContain(`${region}: block public access`);

    const keyless = await build(recipe('keyless', 'x', { kmsKeys: { 'eu-west-1': 'alias/none' } }));
    expect(keyless.cause).toContain('- eu-west-1: there is no KMS key alias/none in this region');
    expect(calls('RunInstances', since)).toEqual([]);
    expect(calls('CreateVolume', since)).toEqual([]);
  }, 120_000);

  it('is refused when there is no room for one more public image', async () => {
    for (const region of [HOME, 'us-west-2']) {
      await ec2(region).send(new DisableImageBlockPublicAccessCommand({}));
    }
    const open = { regions: ['us-west-2'], share: { public: true } };
    for (let n = 1; n <= 5; n++)
      expect((await build(recipe(`public-${n}`, 'x', open))).status).toBe('SUCCEEDED');
    const sixth = await build(recipe('public-6', 'x', open));
    expect(sixth).toMatchObject({ status: 'FAILED', error: 'PreflightFailed' });
    expect(sixth.cause).toContain('us-west-2: the account has 5 public AMIs there, and its quota is 5');
    // What is public already can be published again.
    expect((await build(recipe('public-3', 'x', open))).status).toBe('SUCCEEDED');
  }, 120_000);

  it.each(flips)(
    'that breaks at $what in one region leaves the old release everywhere',
    async ({ what, ...call }) => {
      const name = `breaks-at-${what.replaceAll(' ', '-')}`;
      expect((await build(recipe(name, 'old'))).status).toBe('SUCCEEDED');
      const before = await latest(name);
      factory.cloud.faults.add({
        ...call,
        region: 'eu-central-1',
        times: Number.POSITIVE_INFINITY,
        error: { code: 'InvalidRequest', status: 400 },
      });
      const broken = await build(recipe(name, 'new'));
      expect(broken).toMatchObject({ status: 'FAILED', error: 'InvalidRequest' });
      expect(broken.cause).toContain('in eu-central-1');
      expect(await latest(name)).toEqual(before);
      // Until the grace is over, for what AWS may show late.
      const open = async () => {
        await factory.cloud.lambda.invoke('ami-foundry-reaper', {});
        return (await journals()).includes(`publications/open/${broken.name}.json`);
      };
      await expect.poll(open, { timeout: 45_000, interval: 250 }).toBe(false);
      expect(await latest(name)).toEqual(before);
    },
    120_000,
  );
});

describe('a build that is stopped in the midst', () => {
  const moments = [{ action: 'CopyImage', what: 'copies' }, ...flips];
  it.each(moments)(
    'of $what leaves the old release, and nothing of its own',
    async ({ what, ...call }) => {
      const name = `stopped-at-${what.replaceAll(' ', '-')}`;
      expect((await build(recipe(name, 'old'))).status).toBe('SUCCEEDED');
      const before = await latest(name);
      const executionArn = await factory.start({ recipe: recipe(name, 'new') }, `${name}-2`);
      // The call takes effect; at that moment the execution ends.
      factory.cloud.faults.add({
        ...call,
        region: 'eu-west-1',
        afterEffect: true,
        strike: async () => void (await factory.sfn.send(new StopExecutionCommand({ executionArn }))),
      });
      expect((await factory.end(executionArn)).status).toBe('ABORTED');
      await reaped(`${name}-2`);
      expect(await latest(name)).toEqual(before);
    },
    120_000,
  );
});

describe('a build that is stopped while Parameter Store has yet to look at the image', () => {
  let usual: Factory;
  beforeAll(async () => {
    usual = factory;
    factory = await startFactory({
      cloud: { ...stubs, delays: { parameterValidation: 1_000 } },
      graceSeconds: 3,
    });
  }, 120_000);
  afterAll(async () => {
    await factory[Symbol.asyncDispose]();
    factory = usual;
  });

  it('leaves the old release, though `latest` names the new one after the reaper has looked', async () => {
    const name = 'shown-late';
    expect((await build(recipe(name, 'old'))).status).toBe('SUCCEEDED');
    const before = await latest(name);
    const executionArn = await factory.start({ recipe: recipe(name, 'new') }, `${name}-2`);
    factory.cloud.faults.add({
      action: 'PutParameter',
      where: isLatest,
      region: 'eu-west-1',
      afterEffect: true,
      strike: async () => void (await factory.sfn.send(new StopExecutionCommand({ executionArn }))),
    });
    // Should anybody take the image away, Parameter Store was quicker.
    const shown = Promise.withResolvers<void>();
    factory.cloud.faults.add({
      action: 'DeregisterImage',
      region: 'eu-west-1',
      times: Number.POSITIVE_INFINITY,
      strike: () => shown.promise,
    });
    expect((await factory.end(executionArn)).status).toBe('ABORTED');
    const old = before[REGIONS.indexOf('eu-west-1')];
    await expect
      .poll(() => valueIn('eu-west-1', `/company/${name}/latest`), { timeout: 10_000, interval: 20 })
      .not.toBe(old);
    shown.resolve();
    await reaped(`${name}-2`);
    expect(await latest(name)).toEqual(before);
  }, 120_000);
});
