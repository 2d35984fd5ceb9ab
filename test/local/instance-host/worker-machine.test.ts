import { execFileSync } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  type InstanceMetadataOptionsRequest,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
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
import { guestMissing, makeGuest, type UserDataSource } from './guest/make.ts';

/**
 * Workers as machines, tried with a Linux that does what FreeBSD's EC2 images do at their first boot. A FreeBSD was never seen here.
 * The interface of an instance to what runs in it is QEMU's; where AWS says how it has to look, the page stands beside.
 */

const missing = await guestMissing();
if (missing !== undefined) console.warn(`SKIPPED: machines as workers are not tried: ${missing}`);

const directory = new URL('../../../.state/worker-guest', import.meta.url).pathname;

let stage: Stage;
let ec2: EC2Client;
let imageId: string;

/** A cloud whose workers boot the guest. */
async function start(source: UserDataSource): Promise<void> {
  const disk = `${directory}/machine-test-${source}`;
  await mkdir(directory, { recursive: true });
  await makeGuest(`${disk}.raw`, source);
  // As FreeBSD publishes its disks for machines like these.
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${disk}.raw`, `${disk}.qcow2`]);
  await rm(`${disk}.raw`);
  stage = await openStage({ throttle: false, workerImage: `${disk}.qcow2` });
  await rm(`${disk}.qcow2`);
  ec2 = new EC2Client(stage.client);
  const { Parameter } = await new SSMClient(stage.client).send(
    new GetParameterCommand({ Name: '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE' }),
  );
  imageId = Parameter?.Value ?? '';
}

describe.skipIf(missing !== undefined)('a worker that is a machine', () => {
  beforeAll(() => start('imds'), 120_000);
  afterAll(() => stage?.close());

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
    await says(id, 'written: yes');

    // A snapshot of a disk that a live machine has: the machine stands still for its copy.
    const { SnapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId: volumeId }));
    await waitUntilSnapshotCompleted(waiting(), { SnapshotIds: [SnapshotId] });
    const snapshot = await open(snapshotPath(stage.stateDirectory, SnapshotId));
    const { buffer } = await snapshot.read(Buffer.alloc(22), 0, 22, 4096 * 512);
    await snapshot.close();
    expect(buffer.toString()).toBe('written by the machine');

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
  }, 400_000);
});

describe.skipIf(missing !== undefined)('a worker whose system knows no metadata service', () => {
  beforeAll(() => start('cidata'), 120_000);
  afterAll(() => stage?.close());

  test('has its user-data on a disk, and is rebooted, stopped and started with the disks that it has then', async () => {
    const volumeId = await newVolume();
    const id = await launch(
      `#!/bin/sh
boot=$(cat /root/boots 2>/dev/null || echo 0)
boot=$((boot + 1))
echo $boot >/root/boots
sync
cat /sys/block/nvme*/device/serial | tr -d ' ' | grep -q ${volumeId.replace('-', '')} && disk=there || disk=absent
echo "boot $boot: disk $disk"
[ $boot -lt 3 ] || poweroff
while :; do sleep 1; done
`,
      { HttpEndpoint: 'disabled' },
    );
    await says(id, 'boot 1: disk absent');
    expect(await consoleOf(id)).toMatch(new RegExp(`seed instance-id: ${id} local-hostname: ip-172-31-`));
    await ec2.send(new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: id, Device: '/dev/sdf' }));

    // RebootInstances: "the instance remains on the same host computer and maintains its … data".
    await ec2.send(new RebootInstancesCommand({ InstanceIds: [id] }));
    await says(id, 'boot 2: disk there');
    await ec2.send(new DetachVolumeCommand({ VolumeId: volumeId }));
    await waitUntilVolumeAvailable(waiting(), { VolumeIds: [volumeId] });

    await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [id] });
    await ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    await says(id, 'boot 3: disk absent');
    await waitUntilInstanceTerminated(waiting(), { InstanceIds: [id] });
    expect(stage.log).toEqual([]);
  }, 600_000);
});

const waiting = () => ({ client: ec2, ...quickly, maxWaitTime: 240 });

async function newVolume(): Promise<string> {
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', VolumeType: 'gp3', Size: 1 }),
  );
  await waitUntilVolumeAvailable(waiting(), { VolumeIds: [VolumeId] });
  return VolumeId;
}

async function launch(
  userData: string,
  metadata: InstanceMetadataOptionsRequest = { HttpTokens: 'required' },
): Promise<string> {
  const { Instances: [one] = [] } = await ec2.send(
    new RunInstancesCommand({
      ImageId: imageId,
      InstanceType: 'm6i.large',
      MinCount: 1,
      MaxCount: 1,
      UserData: Buffer.from(userData).toString('base64'),
      InstanceInitiatedShutdownBehavior: 'terminate',
      MetadataOptions: metadata,
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

async function says(id: string, line: string): Promise<void> {
  for (const end = Date.now() + 240_000; ; await pause(100)) {
    const console = await consoleOf(id);
    if (console.includes(line)) return;
    if (Date.now() > end) throw new Error(`never said "${line}", but:\n${console.slice(-2000)}`);
  }
}
