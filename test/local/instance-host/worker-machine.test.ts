import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RunInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilInstanceTerminated,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snapshotPath } from '../../../local/ec2/disks.ts';
import { HOST_ADDRESS } from '../../../local/instance-host/machine.ts';
import { openStage, quickly, type Stage } from '../stage.ts';
import { guestMissing, makeGuest } from './guest/make.ts';

/**
 * Workers as machines, tried with a Linux that does what FreeBSD's EC2 images do at their first boot. A FreeBSD was never seen here.
 * The interface of an instance to what runs in it is QEMU's; where AWS says how it has to look, the page stands beside.
 */

const missing = await guestMissing();
if (missing !== undefined) console.warn(`SKIPPED: machines as workers are not tried: ${missing}`);

const directory = new URL('../../../.state/worker-guest', import.meta.url).pathname;
const disk = `${directory}/machine-test.qcow2`;

let stage: Stage;
let ec2: EC2Client;
let imageId: string;

describe.skipIf(missing !== undefined)('a worker that is a machine', () => {
  beforeAll(async () => {
    await mkdir(directory, { recursive: true });
    await makeGuest(`${disk}.raw`, 'imds');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${disk}.raw`, disk]);
    await rm(`${disk}.raw`);
    stage = await openStage({ throttle: false, workerImage: disk });
    ec2 = new EC2Client(stage.client);
    const { Parameter } = await new SSMClient(stage.client).send(
      new GetParameterCommand({ Name: '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE' }),
    );
    imageId = Parameter?.Value ?? '';
  }, 120_000);
  afterAll(async () => {
    await stage?.close();
    await rm(disk, { force: true });
  });

  test('runs its user-data, fetches by presigned URL, works on a disk that comes later, and is gone with its power', async () => {
    const s3 = new S3Client({ ...stage.client, forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: 'things' }));
    await s3.send(new PutObjectCommand({ Bucket: 'things', Key: 'a thing', Body: 'content of a thing' }));
    // As functions sign: for the address that this host has in machines.
    const endpoint = stage.cloud.endpoint.replace('127.0.0.1', HOST_ADDRESS);
    const signer = new S3Client({ ...stage.client, endpoint, forcePathStyle: true });
    const url = await getSignedUrl(signer, new GetObjectCommand({ Bucket: 'things', Key: 'a thing' }));

    const volumeId = await newVolume();
    const serial = volumeId.replace('-', '');
    const id = await launch(`#!/bin/sh
echo "says: $(curl -sS '${url}')"
echo "unsigned: $(curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/instance-id)"
ask() { curl -sS -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"; }
token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
echo "id: $(ask instance-id)"
for i in 1 2 3 4 5 6 7 8 9 10; do ask mac; echo; done >/tmp/one-by-one
for i in 1 2 3 4 5 6 7 8 9 10; do { ask mac >/tmp/at-once.$i; } & done
wait
echo "one by one: $(sort /tmp/one-by-one | uniq -c | tr -s ' \\n' ' ')"
echo "at once: $(for file in /tmp/at-once.*; do cat $file; echo; done | sort | uniq -c | tr -s ' \\n' ' ')"
echo "card: $(cat /sys/class/net/eth0/address)"
find_disk() { for d in /sys/block/nvme*; do [ "$(tr -d ' ' <$d/device/serial)" = ${serial} ] && echo /dev/\${d##*/}; done; }
until disk=$(find_disk) && [ -n "$disk" ]; do sleep 0.2; done
echo "disk: $(blockdev --getsize64 $disk)"
echo 'written by the machine' | dd of=$disk bs=512 seek=4096 conv=fsync,sync 2>/dev/null
echo 'written: yes'
while [ -n "$(find_disk)" ]; do sleep 0.2; done
echo 'disk: gone'
poweroff
`);
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    await ec2.send(new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: id, Device: '/dev/sdf' }));
    await until(async () => (await consoleOf(id)).includes('written: yes'));

    // A snapshot of a disk that a live machine has: the machine stands still for its copy.
    const { SnapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId: volumeId }));
    await waitUntilSnapshotCompleted(waiting(), { SnapshotIds: [SnapshotId] });
    const bytes = await readFile(snapshotPath(stage.stateDirectory, SnapshotId));
    expect(bytes.toString('latin1', 4096 * 512, 4096 * 512 + 22)).toBe('written by the machine');

    // DetachVolume: "Make sure to unmount any file systems on the device": a quiet disk is let go.
    await ec2.send(new DetachVolumeCommand({ VolumeId: volumeId }));
    await waitUntilVolumeAvailable(waiting(), { VolumeIds: [volumeId] });
    await waitUntilInstanceTerminated(waiting(), { InstanceIds: [id] });
    const { Reservations: [{ Instances: [instance] = [] } = {}] = [] } = await ec2.send(
      new DescribeInstancesCommand({ InstanceIds: [id] }),
    );
    // "Client.InstanceInitiatedShutdown" (Troubleshoot instance launch issues): it went off by itself.
    expect(instance?.StateReason?.Code).toBe('Client.InstanceInitiatedShutdown');

    const console = await consoleOf(id);
    const said = (what: string) => new RegExp(`^${what}: *(.*?)\\s*$`, 'm').exec(console)?.[1];
    expect(said('says')).toBe('content of a thing');
    expect(said('unsigned')).toBe('401');
    expect(said('id')).toBe(id);
    const mac = said('card');
    expect(said('one by one')).toBe(`10 ${mac}`);
    expect(said('at once')).toBe(`10 ${mac}`);
    expect(said('disk')).toBe(String(2 ** 30));
    expect(stage.log).toEqual([]);
  }, 240_000);
});

const waiting = () => ({ client: ec2, ...quickly, maxWaitTime: 120 });

async function newVolume(): Promise<string> {
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', VolumeType: 'gp3', Size: 1 }),
  );
  await waitUntilVolumeAvailable(waiting(), { VolumeIds: [VolumeId] });
  return VolumeId;
}

async function launch(userData: string): Promise<string> {
  const { Instances: [one] = [] } = await ec2.send(
    new RunInstancesCommand({
      ImageId: imageId,
      InstanceType: 'm6i.large',
      MinCount: 1,
      MaxCount: 1,
      UserData: Buffer.from(userData).toString('base64'),
      InstanceInitiatedShutdownBehavior: 'terminate',
      MetadataOptions: { HttpTokens: 'required' },
      Placement: { AvailabilityZone: 'us-east-1a' },
    }),
  );
  return one?.InstanceId ?? '';
}

/** GetConsoleOutput, Latest: of a Nitro instance, while it runs. */
async function consoleOf(id: string): Promise<string> {
  const read = async (Latest: boolean) =>
    (await ec2.send(new GetConsoleOutputCommand({ InstanceId: id, Latest }))).Output ?? '';
  return Buffer.from((await read(true)) || (await read(false)), 'base64')
    .toString()
    .replaceAll('\r', '');
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 120_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error('it never came to be');
    await pause(100);
  }
}
