import { CreateVolumeCommand, DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';

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
