import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilImageAvailable,
  waitUntilInstanceRunning,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
  waitUntilVolumeInUse,
} from '@aws-sdk/client-ec2';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { snapshotPath } from '../../local/ec2/disks.ts';
import { lockDirectory } from '../../local/state-directory.ts';
import { openStage, quickly, type Stage } from './stage.ts';

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'local-cloud-'));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

const WORKER = '/aws/service/freebsd/amd64/small/ufs/14.3/RELEASE';

async function populate(stage: Stage) {
  const ec2 = new EC2Client(stage.client);
  const ssm = new SSMClient(stage.client);
  const s3 = new S3Client(stage.client);
  const zone = `${stage.cloud.region}a`;
  const waiting = { client: ec2, ...quickly };
  const ImageId = (await ssm.send(new GetParameterCommand({ Name: WORKER }))).Parameter?.Value ?? '';
  await ssm.send(new PutParameterCommand({ Name: '/mine', Value: 'v', Type: 'String' }));
  await s3.send(new CreateBucketCommand({ Bucket: 'kept-bucket' }));
  await s3.send(new PutObjectCommand({ Bucket: 'kept-bucket', Key: 'k', Body: 'kept' }));
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1, VolumeType: 'gp3' }),
  );
  const { VolumeId: attached = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1 }),
  );
  await waitUntilVolumeAvailable(waiting, { VolumeIds: [VolumeId, attached] });
  await ec2.send(new CreateTagsCommand({ Resources: [VolumeId], Tags: [{ Key: 'a', Value: 'b' }] }));
  const { SnapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
  await waitUntilSnapshotCompleted(waiting, { SnapshotIds: [SnapshotId] });
  const { ImageId: mine = '' } = await ec2.send(
    new RegisterImageCommand({
      Name: 'kept image',
      Architecture: 'arm64',
      VirtualizationType: 'hvm',
      BootMode: 'uefi',
      EnaSupport: true,
      RootDeviceName: '/dev/sda1',
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId } }],
    }),
  );
  await waitUntilImageAvailable(waiting, { ImageIds: [mine] });
  const run = async (behaviour: 'stop' | 'terminate') => {
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        ImageId,
        InstanceType: 't3.micro',
        MinCount: 1,
        MaxCount: 1,
        Placement: { AvailabilityZone: zone },
        InstanceInitiatedShutdownBehavior: behaviour,
        ClientToken: `token-${behaviour}`,
        UserData: Buffer.from('#!/bin/sh\necho "pid=$$"\nwhile :; do sleep 1; done\n').toString('base64'),
      }),
    );
    return Instances?.[0]?.InstanceId ?? '';
  };
  const stays = await run('stop');
  const goes = await run('terminate');
  await waitUntilInstanceRunning(waiting, { InstanceIds: [stays, goes] });
  await ec2.send(new AttachVolumeCommand({ InstanceId: stays, VolumeId: attached, Device: '/dev/sdf' }));
  await waitUntilVolumeInUse(waiting, { VolumeIds: [attached] });
  return { worker: ImageId, VolumeId, attached, SnapshotId, mine, stays, goes };
}

async function expectFoundAgain(stage: Stage, made: Awaited<ReturnType<typeof populate>>) {
  const ec2 = new EC2Client(stage.client);
  const ssm = new SSMClient(stage.client);
  const s3 = new S3Client(stage.client);
  expect((await ssm.send(new GetParameterCommand({ Name: WORKER }))).Parameter?.Value).toBe(made.worker);
  expect((await ssm.send(new GetParameterCommand({ Name: '/mine' }))).Parameter?.Value).toBe('v');
  const object = await s3.send(new GetObjectCommand({ Bucket: 'kept-bucket', Key: 'k' }));
  expect(await object.Body?.transformToString()).toBe('kept');
  const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
  expect(Images).toMatchObject([
    { ImageId: made.mine, Name: 'kept image', Architecture: 'arm64', BootMode: 'uefi', State: 'available' },
  ]);
  const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  expect(Snapshots).toMatchObject([{ SnapshotId: made.SnapshotId, State: 'completed', Progress: '100%' }]);
  const volumes = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [made.VolumeId, made.attached] }));
  expect(volumes.Volumes).toMatchObject([
    { State: 'available', Tags: [{ Key: 'a', Value: 'b' }] },
    { State: 'in-use', Attachments: [{ InstanceId: made.stays, State: 'attached' }] },
  ]);
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({}));
  const byId = new Map(
    Reservations.flatMap(({ Instances = [] }) => Instances).map((one) => [one.InstanceId, one]),
  );
  for (const [id, state] of [
    [made.stays, 'stopped'],
    [made.goes, 'terminated'],
  ] as const) {
    expect(byId.get(id)).toMatchObject({
      State: { Name: state },
      StateReason: { Code: 'Server.InternalError' },
    });
    expect(byId.get(id)?.StateReason?.Message).toContain('host was restarted');
  }
  // A client token is remembered too: no second instance.
  await expect(
    ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: `${stage.cloud.region}a`, Size: 1, ClientToken: 'fresh' }),
    ),
  ).resolves.toBeDefined();
}

const dead = async (pid: number) => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text === '' || /\) Z /.test(text);
};

async function pidsOf(stage: Stage, ids: string[]): Promise<number[]> {
  return Promise.all(
    ids.map(async (id) => {
      for (;;) {
        const found = /pid=(\d+)/.exec(
          await readFile(stage.cloud.instanceHost.consolePath(id), 'utf8').catch(() => ''),
        );
        if (found) return Number(found[1]);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }),
  );
}

describe('after a stop', () => {
  test('everything is found again, and no machine outlives the cloud', async () => {
    const before = await openStage({ stateDirectory });
    const made = await populate(before);
    const pids = await pidsOf(before, [made.stays, made.goes]);
    await before.cloud.stop();
    expect(await Promise.all(pids.map(dead))).toEqual([true, true]);
    await expect(stat(join(stateDirectory, 'lock'))).rejects.toMatchObject({ code: 'ENOENT' });
    const after = await openStage({ stateDirectory });
    try {
      await expectFoundAgain(after, made);
      expect(after.log).toEqual([]);
    } finally {
      await after.cloud.stop();
    }
  });
});

describe('after a kill', () => {
  /** A cloud in a process of its own, so that it can be killed. */
  async function startProcess() {
    const main = fileURLToPath(new URL('../../local/main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, '--state', stateDirectory, '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    const endpoint = await new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (text) => {
        output += String(text);
        const found = /^export AWS_ENDPOINT_URL=(\S+)$/m.exec(output);
        if (found?.[1] && output.includes('Ctrl-C')) resolve(found[1]);
      });
      child.once('exit', (code) => reject(new Error(`main.ts ended with ${code}: ${output}`)));
    });
    return { child, endpoint, output };
  }

  test('the orphans are ended, the lock is taken over, and everything is found again', async () => {
    const { child, endpoint } = await startProcess();
    const consolePath = (id: string) => join(stateDirectory, 'consoles', `${id}.log`);
    const cloud = { region: 'us-east-1', endpoint, instanceHost: { consolePath } };
    const stage = {
      cloud,
      client: {
        region: 'us-east-1',
        endpoint,
        credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
        maxAttempts: 1,
      },
    } as unknown as Stage;
    const made = await populate(stage);
    const pids = await pidsOf(stage, [made.stays, made.goes]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await Promise.all(pids.map(dead))).toEqual([false, false]); // Orphans now.
    const after = await openStage({ stateDirectory });
    try {
      expect(await Promise.all(pids.map(dead))).toEqual([true, true]);
      await expectFoundAgain(after, made);
    } finally {
      await after.cloud.stop();
    }
  });

  test('SIGTERM stops it cleanly', async () => {
    const { child } = await startProcess();
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).toBe(0);
    await expect(stat(join(stateDirectory, 'lock'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a copy that was cut off is an error, not a snapshot', async () => {
    const before = await openStage({ stateDirectory });
    const made = await populate(before);
    await before.cloud.stop();
    await rm(snapshotPath(stateDirectory, made.SnapshotId));
    const after = await openStage({ stateDirectory });
    try {
      const ec2 = new EC2Client(after.client);
      const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [made.SnapshotId] }));
      expect(Snapshots?.[0]).toMatchObject({ State: 'error' });
    } finally {
      await after.cloud.stop();
    }
  });
});

describe('the lock', () => {
  test('keeps a second cloud out, and says who is there', async () => {
    const first = await openStage({ stateDirectory });
    await expect(openStage({ stateDirectory })).rejects.toThrow(new RegExp(`process ${process.pid}`));
    await first.cloud.stop();
    await (await openStage({ stateDirectory })).cloud.stop();
  });

  test.each([
    ['of a process that is gone', JSON.stringify({ pid: 2 ** 22 + 1, start: '1' })],
    ['of an earlier process with the same number', JSON.stringify({ pid: process.pid, start: '1' })],
    ['that was cut off', '{"pi'],
  ])('%s is taken over', async (_what, content) => {
    await writeFile(join(stateDirectory, 'lock'), content);
    const unlock = await lockDirectory(stateDirectory);
    expect(JSON.parse(await readFile(join(stateDirectory, 'lock'), 'utf8'))).toMatchObject({
      pid: process.pid,
    });
    await unlock();
  });

  test('a port that is taken leaves no lock behind', async () => {
    const first = await openStage();
    const port = Number(new URL(first.cloud.endpoint).port);
    await expect(openStage({ stateDirectory, port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await (await openStage({ stateDirectory })).cloud.stop();
    await first.close();
  });
});
