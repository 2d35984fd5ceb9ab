import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  EC2Client,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Disks } from '../../../local/ec2/disks.ts';
import { openStage } from '../stage.ts';

const MEBIBYTE = 1024 ** 2;
let directory: string;
let disks: Disks;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'disks-'));
  disks = new Disks(directory);
  await disks.open();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function put(path: string, text: string, at = 0) {
  const file = await open(path, 'r+');
  await file.write(text, at);
  await file.close();
}

describe('a snapshot', () => {
  test('costs nothing while nobody writes, and is parted from the volume before somebody does', async () => {
    await disks.createBlank('vol-1', 64 * MEBIBYTE);
    await put(disks.volume('vol-1'), 'before', MEBIBYTE);
    await disks.takeSnapshot('vol-1', 'snap-1', 64 * MEBIBYTE, false);
    expect((await stat(disks.snapshot('snap-1'))).ino).toBe((await stat(disks.volume('vol-1'))).ino);
    await disks.makePrivate('vol-1', 64 * MEBIBYTE);
    await put(disks.volume('vol-1'), 'after!', MEBIBYTE);
    const read = async (path: string) => (await readFile(path)).subarray(MEBIBYTE, MEBIBYTE + 6).toString();
    expect(await read(disks.snapshot('snap-1'))).toBe('before');
    expect(await read(disks.volume('vol-1'))).toBe('after!');
  });

  test('of a disk in use is a copy with the same bytes and the same holes', async () => {
    await disks.createBlank('vol-1', 64 * MEBIBYTE);
    await put(disks.volume('vol-1'), 'x'.repeat(8 * MEBIBYTE), 16 * MEBIBYTE);
    await disks.takeSnapshot('vol-1', 'snap-1', 64 * MEBIBYTE, true);
    const [volume, snapshot] = [await stat(disks.volume('vol-1')), await stat(disks.snapshot('snap-1'))];
    expect(snapshot.ino).not.toBe(volume.ino);
    expect(
      Buffer.compare(await readFile(disks.volume('vol-1')), await readFile(disks.snapshot('snap-1'))),
    ).toBe(0);
    expect(snapshot.blocks * 512).toBeGreaterThanOrEqual(8 * MEBIBYTE);
    expect(snapshot.blocks * 512).toBeLessThan(16 * MEBIBYTE);
  });

  test('of a volume larger than the snapshot it came from is as large as the volume', async () => {
    await disks.createBlank('vol-1', MEBIBYTE);
    await disks.takeSnapshot('vol-1', 'snap-1', MEBIBYTE, false);
    await disks.createFromSnapshot('vol-2', 'snap-1');
    await disks.takeSnapshot('vol-2', 'snap-2', 2 * MEBIBYTE, false);
    expect((await stat(disks.snapshot('snap-2'))).size).toBe(2 * MEBIBYTE);
    expect((await stat(disks.snapshot('snap-1'))).size).toBe(MEBIBYTE);
  });

  test('outlives its volume', async () => {
    await disks.createBlank('vol-1', MEBIBYTE);
    await put(disks.volume('vol-1'), 'kept');
    await disks.takeSnapshot('vol-1', 'snap-1', MEBIBYTE, false);
    await disks.deleteVolume('vol-1');
    expect(await disks.hasVolume('vol-1')).toBe(false);
    expect((await readFile(disks.snapshot('snap-1'))).subarray(0, 4).toString()).toBe('kept');
  });
});

test('turns: one after the other, also after a failure', async () => {
  const order: string[] = [];
  const slow = disks.exclusively('vol-1', async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    order.push('slow');
    throw new Error('broken');
  });
  const next = disks.exclusively('vol-1', async () => order.push('next'));
  const other = disks.exclusively('vol-2', async () => order.push('other'));
  await expect(slow).rejects.toThrow('broken');
  await Promise.all([next, other]);
  expect(order).toEqual(['other', 'slow', 'next']);
});

test('a disk that cannot be made is an error and nothing else falls over', async () => {
  const stage = await openStage();
  try {
    const ec2 = new EC2Client(stage.client);
    const name = '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE';
    const { Parameter } = await new SSMClient(stage.client).send(new GetParameterCommand({ Name: name }));
    await rm(join(stage.stateDirectory, 'volumes'), { recursive: true });
    const AvailabilityZone = `${stage.cloud.region}a`;
    await expect(ec2.send(new CreateVolumeCommand({ AvailabilityZone, Size: 1 }))).rejects.toMatchObject({
      name: 'InternalError',
    });
    expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes).toMatchObject([{ State: 'error' }]);
    const launch = { ImageId: Parameter?.Value, InstanceType: 't3.micro' as const, MinCount: 1, MaxCount: 1 };
    const { Instances: [instance] = [] } = await ec2.send(new RunInstancesCommand(launch));
    let state = '';
    const until = Date.now() + 5000;
    while (state !== 'terminated' && Date.now() < until) {
      const { Reservations } = await ec2.send(
        new DescribeInstancesCommand({ InstanceIds: [instance?.InstanceId ?? ''] }),
      );
      const now = Reservations?.[0]?.Instances?.[0];
      state = now?.State?.Name ?? '';
      if (state === 'terminated') expect(now?.StateReason?.Code).toBe('Server.InternalError');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(state).toBe('terminated');
    expect(stage.log.join('\n')).toContain('ENOENT');
  } finally {
    await stage.close();
  }
});
