import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateVolumeCommand, DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { CreateTopicCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
let ec2: EC2Client;
beforeAll(async () => {
  stage = await openStage();
  ec2 = new EC2Client(stage.client);
});
afterAll(() => stage.close());

const create = (ClientToken?: string) =>
  ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${stage.cloud.region}a`, Size: 1, ClientToken }));
const count = async () => (await ec2.send(new DescribeVolumesCommand({}))).Volumes?.length;

test('an error before the effect: nothing is made, and the next call passes', async () => {
  stage.cloud.faults.add({ action: 'CreateVolume', error: { code: 'InternalError', status: 500 } });
  await expect(create()).rejects.toMatchObject({ name: 'InternalError', $metadata: { httpStatusCode: 500 } });
  expect(await count()).toBe(0);
  await create();
  expect(await count()).toBe(1);
});

test('a lost answer: the volume is made, and the same token finds it again', async () => {
  stage.cloud.faults.add({ action: 'CreateVolume', afterEffect: true });
  await expect(create('lost')).rejects.toThrow('lost on purpose');
  expect(await count()).toBe(2);
  await create('lost');
  expect(await count()).toBe(2);
});

test('a number of times, slowly', async () => {
  const fault = {
    action: 'DescribeVolumes',
    times: 2,
    delayMilliseconds: 150,
    error: { code: 'RequestLimitExceeded', status: 503 },
  };
  stage.cloud.faults.add(fault);
  const started = Date.now();
  await expect(count()).rejects.toMatchObject({ name: 'RequestLimitExceeded' });
  expect(Date.now() - started).toBeGreaterThanOrEqual(149);
  await expect(count()).rejects.toMatchObject({ name: 'RequestLimitExceeded' });
  expect(await count()).toBe(2);
  stage.cloud.faults.add(fault);
  stage.cloud.faults.clear();
  expect(await count()).toBe(2);
});

test('every call is remembered: what, when, by whom and how it ended', async () => {
  const before = stage.cloud.faults.calls.length;
  const client = new EC2Client({ ...stage.client, userAgentAppId: 'ami-foundry-launch' });
  await client.send(new DescribeVolumesCommand({}));
  await expect(
    client.send(new DescribeVolumesCommand({ VolumeIds: ['vol-0123456789abcdef0'] })),
  ).rejects.toThrow();
  const [good, bad] = stage.cloud.faults.calls.slice(before);
  expect(good).toMatchObject({ action: 'DescribeVolumes', input: {}, caller: 'ami-foundry-launch' });
  expect(good).not.toHaveProperty('error');
  expect(bad).toMatchObject({ error: 'InvalidVolume.NotFound' });
});

describe('of every service', () => {
  let s3: S3Client;
  let ssm: SSMClient;
  beforeAll(async () => {
    s3 = new S3Client({ ...stage.client, forcePathStyle: true });
    ssm = new SSMClient(stage.client);
    await s3.send(new CreateBucketCommand({ Bucket: 'broken' }));
  });
  const put = (Key: string) => s3.send(new PutObjectCommand({ Bucket: 'broken', Key, Body: 'a body' }));
  const keys = async () =>
    (await s3.send(new ListObjectsV2Command({ Bucket: 'broken' }))).Contents?.map(({ Key }) => Key) ?? [];

  test('errors come in its own words, before and after the effect', async () => {
    const { faults } = stage.cloud;
    faults.add({ service: 's3', action: 'PutObject', error: { code: 'SlowDown', status: 503 } });
    await expect(put('before')).rejects.toMatchObject({ name: 'SlowDown' });
    faults.add({ service: 's3', action: 'PutObject', afterEffect: true });
    await expect(put('after')).rejects.toMatchObject({ name: 'InternalError' });
    expect(await keys()).toEqual(['after']);
    faults.add({ service: 'ssm', error: { code: 'ThrottlingException' } });
    await expect(ssm.send(new GetParameterCommand({ Name: '/none' }))).rejects.toMatchObject({
      name: 'ThrottlingException',
    });
  });

  test('an answer that is cut off: the effect is there', async () => {
    stage.cloud.faults.add({ action: 'PutParameter', afterEffect: true, cut: true });
    const parameter = { Name: '/cut', Value: 'here', Type: 'String' } as const;
    await expect(ssm.send(new PutParameterCommand(parameter))).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect((await ssm.send(new GetParameterCommand({ Name: '/cut' }))).Parameter?.Value).toBe('here');
    expect(stage.cloud.faults.calls.at(-2)).toMatchObject({ action: 'PutParameter', error: 'ECONNRESET' });
  });

  test('calls are told by their operation and what it is about', async () => {
    const before = stage.cloud.faults.calls.length;
    await s3.send(new CopyObjectCommand({ Bucket: 'broken', Key: 'copy', CopySource: '/broken/after' }));
    await expect(s3.send(new GetObjectCommand({ Bucket: 'broken', Key: 'none' }))).rejects.toThrow();
    await new SNSClient(stage.client).send(new CreateTopicCommand({ Name: 'told' }));
    await ssm.send(new GetParameterCommand({ Name: '/cut' }));
    expect(stage.cloud.faults.calls.slice(before)).toMatchObject([
      {
        service: 's3',
        action: 'CopyObject',
        input: { Bucket: 'broken', Key: 'copy', CopySource: '/broken/after' },
      },
      { service: 's3', action: 'GetObject', input: { Bucket: 'broken', Key: 'none' }, error: 'NoSuchKey' },
      { service: 'sns', action: 'CreateTopic' },
      { service: 'ssm', action: 'GetParameter', region: stage.cloud.region, input: { Name: '/cut' } },
    ]);
  });

  test('a function is known by its session token, and can be killed at a call', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'killed-'));
    const bundle = join(directory, 'index.mjs');
    // Signed by hand, as aws4fetch does it: no SDK says here who calls.
    await writeFile(
      bundle,
      `import { AwsClient } from ${JSON.stringify(import.meta.resolve('aws4fetch'))};
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL } = process.env;
      const client = new AwsClient({ accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY,
        sessionToken: AWS_SESSION_TOKEN, service: 's3', region: AWS_REGION });
      export const handler = async ({ key }) =>
        (await client.fetch(AWS_ENDPOINT_URL + '/broken/' + key, { method: 'PUT', body: 'x' })).status;`,
    );
    const { cloud } = stage;
    await cloud.lambda.deploy({
      name: 'writer',
      bundle,
      handler: 'handler',
      environment: {},
      timeoutSeconds: 5,
      memoryMegabytes: 128,
    });
    expect(await cloud.lambda.invoke('writer', { key: 'first' })).toEqual({ payload: 200 });
    expect(cloud.faults.calls.at(-1)).toMatchObject({
      action: 'PutObject',
      caller: 'writer',
      invocation: { functionName: 'writer', payload: { key: 'first' } },
    });
    cloud.faults.add({
      where: ({ invocation }) => invocation !== undefined,
      afterEffect: true,
      strike: ({ invocation }) => invocation && cloud.lambda.kill(invocation),
    });
    expect(await cloud.lambda.invoke('writer', { key: 'second' })).toMatchObject({
      functionError: 'Unhandled',
      payload: { errorType: 'Runtime.ExitError' },
    });
    expect(await cloud.lambda.invoke('writer', { key: 'third' })).toEqual({ payload: 200 });
    expect(await keys()).toEqual(['after', 'copy', 'first', 'second', 'third']);
    await rm(directory, { recursive: true });
  });
});
