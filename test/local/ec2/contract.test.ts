import { open, readFile, stat } from 'node:fs/promises';
import {
  AttachVolumeCommand,
  CreateImageCommand,
  CreateSnapshotCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  DisableImageBlockPublicAccessCommand,
  EC2Client,
  EnableImageDeprecationCommand,
  GetConsoleScreenshotCommand,
  ModifyImageAttributeCommand,
  ModifyInstanceAttributeCommand,
  paginateDescribeVolumes,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  waitUntilImageAvailable,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
  waitUntilInstanceTerminated,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
  waitUntilVolumeDeleted,
  waitUntilVolumeInUse,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snapshotPath, volumePath } from '../../../local/ec2/disks.ts';
import { openStage, quickly, type Stage } from '../stage.ts';

let stage: Stage;
let ec2: EC2Client;
let workerImage: string;
let zone: string;

beforeAll(async () => {
  stage = await openStage({ throttle: false, vcpuQuota: 1000 });
  ec2 = new EC2Client(stage.client);
  const name = '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE';
  workerImage =
    (await new SSMClient(stage.client).send(new GetParameterCommand({ Name: name }))).Parameter?.Value ?? '';
  zone = `${stage.cloud.region}a`;
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

const waiting = () => ({ client: ec2, ...quickly });
const refusal = (name: string) => expect.objectContaining({ name });

async function newVolume(settings: Partial<{ Size: number; SnapshotId: string }> = { Size: 1 }) {
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: zone, VolumeType: 'gp3', ...settings }),
  );
  await waitUntilVolumeAvailable(waiting(), { VolumeIds: [VolumeId] });
  return VolumeId;
}

async function newSnapshot(VolumeId?: string) {
  const { SnapshotId = '' } = await ec2.send(
    new CreateSnapshotCommand({ VolumeId: VolumeId ?? (await newVolume()) }),
  );
  await waitUntilSnapshotCompleted(waiting(), { SnapshotIds: [SnapshotId] });
  return SnapshotId;
}

let names = 0;
const newName = () => `image ${++names}`;

async function imageInput(
  change: Partial<RegisterImageCommandInput> = {},
): Promise<RegisterImageCommandInput> {
  return {
    Name: newName(),
    Architecture: 'x86_64',
    VirtualizationType: 'hvm',
    EnaSupport: true,
    RootDeviceName: '/dev/sda1',
    BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: await newSnapshot() } }],
    ...change,
  };
}

async function newImage(change: Partial<RegisterImageCommandInput> = {}) {
  const { ImageId = '' } = await ec2.send(new RegisterImageCommand(await imageInput(change)));
  await waitUntilImageAvailable(waiting(), { ImageIds: [ImageId] });
  return ImageId;
}

const script = (body: string) => Buffer.from(`#!/bin/sh\n${body}\n`).toString('base64');

async function newInstance(body: string, change: Partial<RunInstancesCommandInput> = {}) {
  const { Instances: [one] = [] } = await ec2.send(
    new RunInstancesCommand({
      ImageId: workerImage,
      InstanceType: 'm6i.large',
      MinCount: 1,
      MaxCount: 1,
      Placement: { AvailabilityZone: zone },
      UserData: script(body),
      ...change,
    }),
  );
  const id = one?.InstanceId ?? '';
  // Not the SDK's waiter: a short-lived instance may be past `running` before anybody looks.
  await eventually(
    () => described(id),
    (instance) => instance?.State?.Name !== 'pending',
  );
  return id;
}

const described = async (InstanceId: string) =>
  (await ec2.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }))).Reservations?.[0]
    ?.Instances?.[0];

async function eventually<T>(read: () => Promise<T>, enough: (value: T) => boolean): Promise<T> {
  const until = Date.now() + 10_000;
  for (;;) {
    const value = await read();
    if (enough(value)) return value;
    if (Date.now() > until) throw new Error(`never: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const FOREVER = 'while :; do sleep 1; done';

describe('volumes', () => {
  test('only a volume with a size or a snapshot, and never smaller than the snapshot', async () => {
    const snapshot = await newSnapshot(await newVolume({ Size: 2 }));
    await expect(newVolume({})).rejects.toEqual(refusal('MissingParameter'));
    await expect(newVolume({ Size: 1, SnapshotId: snapshot })).rejects.toEqual(
      refusal('InvalidParameterValue'),
    );
    const volume = await newVolume({ SnapshotId: snapshot });
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [volume] }));
    expect(Volumes?.[0]).toMatchObject({ Size: 2, SnapshotId: snapshot });
  });

  test.each([
    ['a zone that is not there', { AvailabilityZone: 'mars-1a', Size: 1 }, 'InvalidZone.NotFound'],
    ['IOPS on gp2', { Size: 1, VolumeType: 'gp2', Iops: 3000 }, 'InvalidParameterCombination'],
    ['too few IOPS on gp3', { Size: 1, VolumeType: 'gp3', Iops: 100 }, 'InvalidParameterValue'],
    ['io2 without IOPS', { Size: 4, VolumeType: 'io2' }, 'MissingParameter'],
    ['an outpost', { Size: 1, OutpostArn: 'arn:x' }, 'UnsupportedByLocalCloud'],
    ['a snapshot that is not there', { SnapshotId: 'snap-0123456789abcdef0' }, 'InvalidSnapshot.NotFound'],
    ['a malformed snapshot id', { SnapshotId: 'snap-xyz' }, 'InvalidSnapshotID.Malformed'],
    [
      'tags for another kind',
      { Size: 1, TagSpecifications: [{ ResourceType: 'image', Tags: [] }] },
      'InvalidParameterValue',
    ],
    [
      'a reserved tag key',
      { Size: 1, TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'aws:x', Value: '' }] }] },
      'InvalidParameterValue',
    ],
  ] as const)('are refused with %s', async (_what, input, code) => {
    const command = new CreateVolumeCommand({ AvailabilityZone: zone, ...input } as never);
    await expect(ec2.send(command)).rejects.toEqual(refusal(code));
  });

  test('come in pages that neither lose nor repeat one', async () => {
    const made = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const { VolumeId = '' } = await ec2.send(
          new CreateVolumeCommand({
            AvailabilityZone: zone,
            Size: 1,
            TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'pages', Value: 'yes' }] }],
          }),
        );
        return VolumeId;
      }),
    );
    const sizes: number[] = [];
    const seen: string[] = [];
    const pages = paginateDescribeVolumes(
      { client: ec2, pageSize: 5 },
      { Filters: [{ Name: 'tag:pages', Values: ['yes'] }] },
    );
    for await (const { Volumes = [] } of pages) {
      sizes.push(Volumes.length);
      seen.push(...Volumes.map(({ VolumeId = '' }) => VolumeId));
    }
    expect(sizes).toEqual([5, 5, 2]);
    expect(seen.toSorted()).toEqual(made.toSorted());
    await expect(ec2.send(new DescribeVolumesCommand({ NextToken: 'made up' }))).rejects.toEqual(
      refusal('InvalidNextToken'),
    );
    await expect(ec2.send(new DescribeVolumesCommand({ MaxResults: 2 }))).rejects.toEqual(
      refusal('InvalidParameterValue'),
    );
    await expect(ec2.send(new DescribeVolumesCommand({ MaxResults: 5, VolumeIds: made }))).rejects.toEqual(
      refusal('InvalidParameterCombination'),
    );
  });

  test('filters: wildcards, tags, several values are OR, several filters are AND', async () => {
    const [a, b] = [await newVolume(), await newVolume()];
    await ec2.send(new CreateTagsCommand({ Resources: [a], Tags: [{ Key: 'colour', Value: 'dark blue' }] }));
    await ec2.send(new CreateTagsCommand({ Resources: [b], Tags: [{ Key: 'colour', Value: 'dark*' }] }));
    const find = async (...filters: [string, string[]][]) => {
      const { Volumes = [] } = await ec2.send(
        new DescribeVolumesCommand({ Filters: filters.map(([Name, Values]) => ({ Name, Values })) }),
      );
      return Volumes.map(({ VolumeId = '' }) => VolumeId).toSorted();
    };
    expect(await find(['tag:colour', ['dark*']])).toEqual([a, b].toSorted());
    expect(await find(['tag:colour', ['dark?blue']])).toEqual([a]);
    expect(await find(['tag:colour', ['dark\\*']])).toEqual([b]);
    expect(await find(['tag:colour', ['Dark*']])).toEqual([]);
    expect(await find(['tag-key', ['col*']], ['volume-id', [a, 'vol-x']])).toEqual([a]);
    await expect(find(['fast-restored', ['true']])).rejects.toEqual(refusal('UnsupportedByLocalCloud'));
    await expect(find(['constructor', ['x']])).rejects.toEqual(refusal('InvalidParameterValue'));
  });

  test('attach only where and when EC2 would', async () => {
    const instance = await newInstance(FOREVER);
    const volume = await newVolume();
    const attach = (Device: string, VolumeId = volume, InstanceId = instance) =>
      ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device }));
    await expect(attach('/dev/sda1')).rejects.toEqual(refusal('InvalidParameterValue')); // The root's.
    await expect(attach('nvme1n1')).rejects.toEqual(refusal('InvalidParameterValue'));
    await expect(attach('/dev/sdf', 'vol-0123456789abcdef0')).rejects.toEqual(
      refusal('InvalidVolume.NotFound'),
    );
    await expect(attach('/dev/sdf', volume, 'i-1')).rejects.toEqual(refusal('InvalidInstanceID.Malformed'));
    await attach('/dev/sdf');
    await waitUntilVolumeInUse(waiting(), { VolumeIds: [volume] });
    const detach = (input: object) => ec2.send(new DetachVolumeCommand({ VolumeId: volume, ...input }));
    await expect(detach({ Device: '/dev/sdg' })).rejects.toEqual(refusal('InvalidAttachment.NotFound'));
    await detach({});
    await waitUntilVolumeAvailable(waiting(), { VolumeIds: [volume] });
    await expect(detach({})).rejects.toEqual(refusal('IncorrectState'));
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instance], SkipOsShutdown: true }));
    await expect(attach('/dev/sdf')).rejects.toEqual(refusal('IncorrectState'));
  });

  test('a snapshot holds what the volume held, whatever is written later, and a volume made from it likewise', async () => {
    const path = (id: string) => volumePath(stage.stateDirectory, id);
    const volume = await newVolume();
    const write = `set -- "$FOUNDRY_DEV"/disk/by-id/*; while [ $# -lt 2 ]; do sleep 0.02; set -- "$FOUNDRY_DEV"/disk/by-id/*; done`;
    const fill = (text: string) =>
      newInstance(
        `${write}; for d in "$@"; do printf ${text} | dd of="$d" conv=notrunc 2>/dev/null; done; echo written; ${FOREVER}`,
      );
    const writeTo = async (id: string, text: string) => {
      const instance = await fill(text);
      await ec2.send(new AttachVolumeCommand({ VolumeId: id, InstanceId: instance, Device: '/dev/sdf' }));
      await eventually(
        () => readFile(stage.cloud.instanceHost.consolePath(instance), 'utf8'),
        (console) => console.includes('written'),
      );
      return instance;
    };
    const first = await writeTo(volume, 'first');
    // While the writer lives, the snapshot is a copy; so it stays what it is.
    const live = await newSnapshot(volume);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [first], SkipOsShutdown: true }));
    await waitUntilVolumeAvailable(waiting(), { VolumeIds: [volume] });
    // Nobody can write now: the snapshot is a link, and the next writer gets a copy.
    const linked = await newSnapshot(volume);
    expect((await stat(snapshotPath(stage.stateDirectory, linked))).nlink).toBe(2);
    const second = await writeTo(volume, 'other');
    const read = async (file: string) => {
      const handle = await open(file);
      const { buffer } = await handle.read(Buffer.alloc(5), 0, 5, 0);
      await handle.close();
      return buffer.toString();
    };
    expect(await read(path(volume))).toBe('other');
    expect(await read(snapshotPath(stage.stateDirectory, live))).toBe('first');
    expect(await read(snapshotPath(stage.stateDirectory, linked))).toBe('first');
    const copy = await newVolume({ SnapshotId: linked, Size: 2 });
    const third = await writeTo(copy, 'third');
    expect(await read(snapshotPath(stage.stateDirectory, linked))).toBe('first');
    expect(await read(path(copy))).toBe('third');
    expect((await stat(path(copy))).size).toBe(2 * 1024 ** 3);
    // Sparse all along: 1 GiB volumes with a few bytes in them.
    expect((await stat(snapshotPath(stage.stateDirectory, live))).blocks * 512).toBeLessThan(1024 ** 2);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [second, third], SkipOsShutdown: true }));
  });

  test('at most five snapshots of one volume are pending', async () => {
    const slow = await openStage({ throttle: false, delays: { snapshotPending: 5000 } });
    try {
      const client = new EC2Client(slow.client);
      const { VolumeId } = await client.send(new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1 }));
      await waitUntilVolumeAvailable({ client, ...quickly }, { VolumeIds: [VolumeId ?? ''] });
      for (let index = 0; index < 5; index++) await client.send(new CreateSnapshotCommand({ VolumeId }));
      await expect(client.send(new CreateSnapshotCommand({ VolumeId }))).rejects.toEqual(
        refusal('ConcurrentSnapshotLimitExceeded'),
      );
      const { Snapshots = [] } = await client.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
      expect(Snapshots.map(({ State }) => State)).toEqual(Array(5).fill('pending'));
      await expect(
        client.send(
          new RegisterImageCommand({
            ...(await imageInput()),
            BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: Snapshots[0]?.SnapshotId } }],
          }),
        ),
      ).rejects.toEqual(refusal('InvalidSnapshot.NotCompleted'));
    } finally {
      await slow.close();
    }
  });
});

describe('images', () => {
  test('have the defaults of RegisterImage, which nobody wants', async () => {
    const id = await newImage({
      Architecture: undefined,
      VirtualizationType: undefined,
      EnaSupport: undefined,
    });
    const { Images } = await ec2.send(new DescribeImagesCommand({ ImageIds: [id] }));
    expect(Images?.[0]).toMatchObject({
      Architecture: 'i386',
      VirtualizationType: 'paravirtual',
      EnaSupport: false,
    });
    expect(Images?.[0]?.BootMode).toBeUndefined();
    expect(Images?.[0]?.BlockDeviceMappings?.[0]?.Ebs).toMatchObject({
      DeleteOnTermination: true,
      VolumeSize: 1,
      VolumeType: 'gp2',
    });
    await expect(newInstance('', { ImageId: id })).rejects.toEqual(refusal('InvalidParameterValue'));
  });

  test.each([
    ['a short name', { Name: 'ab' }, 'InvalidAMIName.Malformed'],
    ['a long name', { Name: 'x'.repeat(129) }, 'InvalidAMIName.Malformed'],
    ['a colon in the name', { Name: 'a:bc' }, 'InvalidAMIName.Malformed'],
    ['another CPU', { Architecture: 'riscv64' }, 'InvalidParameterValue'],
    ['arm64 with BIOS', { Architecture: 'arm64', BootMode: 'legacy-bios' }, 'InvalidParameterCombination'],
    [
      'arm64 with uefi-preferred',
      { Architecture: 'arm64', BootMode: 'uefi-preferred' },
      'InvalidParameterCombination',
    ],
    ['a TPM without UEFI', { TpmSupport: 'v2.0' }, 'InvalidParameterCombination'],
    ['ENA on paravirtual', { VirtualizationType: 'paravirtual' }, 'InvalidParameterCombination'],
    ['IMDS of version 1', { ImdsSupport: 'v1.0' }, 'InvalidParameterValue'],
    ['no root device', { RootDeviceName: undefined }, 'MissingParameter'],
    ['a root device that is not mapped', { RootDeviceName: '/dev/sdb' }, 'InvalidBlockDeviceMapping'],
    ['billing products', { BillingProducts: ['bp-1'] }, 'UnsupportedByLocalCloud'],
    [
      'tags for a snapshot',
      { TagSpecifications: [{ ResourceType: 'snapshot', Tags: [{ Key: 'a', Value: 'b' }] }] },
      'InvalidParameterValue',
    ],
  ] as const)('are refused with %s', async (_what, change, code) => {
    await expect(newImage(change as never)).rejects.toEqual(refusal(code));
  });

  test('need room for the snapshot and may not say Encrypted beside it', async () => {
    const SnapshotId = await newSnapshot(await newVolume({ Size: 3 }));
    const mapping = (ebs: object) => ({
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId, ...ebs } }],
    });
    await expect(newImage(mapping({ VolumeSize: 2 }))).rejects.toEqual(refusal('InvalidBlockDeviceMapping'));
    await expect(newImage(mapping({ Encrypted: false }))).rejects.toEqual(
      refusal('InvalidBlockDeviceMapping'),
    );
    await newImage(mapping({ VolumeSize: 3 }));
  });

  test('keep their snapshots from being deleted until they go, and take them along if asked', async () => {
    const SnapshotId = await newSnapshot();
    const mappings = { BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId } }] };
    const [one, two] = [await newImage(mappings), await newImage(mappings)];
    await expect(ec2.send(new DeleteSnapshotCommand({ SnapshotId }))).rejects.toEqual(
      refusal('InvalidSnapshot.InUse'),
    );
    const first = await ec2.send(
      new DeregisterImageCommand({ ImageId: one, DeleteAssociatedSnapshots: true }),
    );
    expect(first.DeleteSnapshotResults).toEqual([{ SnapshotId, ReturnCode: 'skipped' }]);
    const second = await ec2.send(
      new DeregisterImageCommand({ ImageId: two, DeleteAssociatedSnapshots: true }),
    );
    expect(second.DeleteSnapshotResults).toEqual([{ SnapshotId, ReturnCode: 'success' }]);
    await expect(ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }))).rejects.toEqual(
      refusal('InvalidSnapshot.NotFound'),
    );
    await expect(stat(snapshotPath(stage.stateDirectory, SnapshotId))).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  test('public means public: permissions, owners, deprecation of at most two years', async () => {
    const id = await newImage();
    const year = 365 * 24 * 3600 * 1000;
    const deprecate = (milliseconds: number) =>
      ec2.send(
        new EnableImageDeprecationCommand({ ImageId: id, DeprecateAt: new Date(Date.now() + milliseconds) }),
      );
    await ec2.send(new DisableImageBlockPublicAccessCommand({}));
    await deprecate(9 * year);
    await expect(deprecate(-year)).rejects.toEqual(refusal('InvalidParameter'));
    await ec2.send(
      new ModifyImageAttributeCommand({ ImageId: id, LaunchPermission: { Add: [{ Group: 'all' }] } }),
    );
    await expect(deprecate(3 * year)).rejects.toEqual(refusal('InvalidParameter'));
    const found = async (input: object) =>
      (await ec2.send(new DescribeImagesCommand(input))).Images?.map(({ ImageId }) => ImageId);
    expect(await found({ ExecutableUsers: ['all'], Owners: ['self'] })).toEqual([id]);
    expect(await found({ Owners: ['aws-marketplace'] })).toEqual([]);
    await expect(found({ Owners: ['nobody'] })).rejects.toEqual(refusal('InvalidUserID.Malformed'));
    await ec2.send(
      new ModifyImageAttributeCommand({
        ImageId: id,
        Attribute: 'launchPermission',
        OperationType: 'remove',
        UserGroups: ['all'],
      }),
    );
    expect(await found({ ExecutableUsers: ['all'], Owners: ['self'] })).toEqual([]);
    await expect(
      ec2.send(new ModifyImageAttributeCommand({ ImageId: workerImage, Description: { Value: 'mine' } })),
    ).rejects.toEqual(refusal('AuthFailure'));
  });
});

describe('instances', () => {
  test.each([
    ['an unknown type', { InstanceType: 'z9.mega' }, 'InvalidParameterValue'],
    ['the wrong architecture', { InstanceType: 'm7g.large' }, 'InvalidParameterValue'],
    ['an unknown image', { ImageId: 'ami-0123456789abcdef0' }, 'InvalidAMIID.NotFound'],
    ['a malformed image id', { ImageId: 'FreeBSD' }, 'InvalidAMIID.Malformed'],
    [
      'user data over 16 KB',
      { UserData: Buffer.alloc(16 * 1024 + 1).toString('base64') },
      'InvalidParameterValue',
    ],
    [
      'an unknown subnet',
      { SubnetId: 'subnet-0123456789abcdef0', Placement: undefined },
      'InvalidSubnetID.NotFound',
    ],
    ['an unknown group', { SecurityGroupIds: ['sg-0123456789abcdef0'] }, 'InvalidGroup.NotFound'],
    ['an unknown key pair', { KeyName: 'nobody' }, 'InvalidKeyPair.NotFound'],
    ['an instance profile', { IamInstanceProfile: { Name: 'admin' } }, 'UnsupportedByLocalCloud'],
    ['a spot market', { InstanceMarketOptions: { MarketType: 'spot' } }, 'UnsupportedByLocalCloud'],
    ['a bad hop limit', { MetadataOptions: { HttpPutResponseHopLimit: 65 } }, 'InvalidParameterValue'],
    ['more than none', { MinCount: 0 }, 'InvalidParameterValue'],
    ['a dry run', { DryRun: true }, 'DryRunOperation'],
  ] as const)('are refused with %s', async (_what, change, code) => {
    const count = async () => (await ec2.send(new DescribeInstancesCommand({}))).Reservations?.length;
    const before = await count();
    await expect(newInstance(FOREVER, change as never)).rejects.toEqual(refusal(code));
    expect(await count()).toBe(before);
  });

  test('an image without ENA does not start on Nitro, nor one that boots otherwise than the type', async () => {
    const plain = await newImage({ EnaSupport: false });
    await expect(newInstance('', { ImageId: plain })).rejects.toEqual(refusal('InvalidParameterCombination'));
    const uefi = await newImage({ BootMode: 'uefi' });
    await expect(newInstance('', { ImageId: uefi, InstanceType: 'm4.large' })).rejects.toEqual(
      refusal('InvalidParameterCombination'),
    );
  });

  test('power-off ends in stopped or terminated, as the shutdown behaviour says', async () => {
    const stays = await newInstance('"$FOUNDRY_POWER_OFF"; sleep 60', {
      InstanceInitiatedShutdownBehavior: 'stop',
    });
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [stays] });
    expect((await described(stays))?.StateReason?.Code).toBe('Client.InstanceInitiatedShutdown');
    const goes = await newInstance('exit 3', { InstanceInitiatedShutdownBehavior: 'terminate' });
    await waitUntilInstanceTerminated(waiting(), { InstanceIds: [goes] });
    const gone = await described(goes);
    expect(gone).toMatchObject({
      BlockDeviceMappings: [],
      StateReason: { Code: 'Client.InstanceInitiatedShutdown' },
    });
  });

  test('user data runs at the first boot only', async () => {
    const id = await newInstance('echo booting; "$FOUNDRY_POWER_OFF"; sleep 60');
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [id] });
    await ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    const console = await readFile(stage.cloud.instanceHost.consolePath(id), 'utf8');
    expect(console.match(/booting/g)).toHaveLength(1);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [id] });
  });

  test('a stopped instance without its root volume does not start', async () => {
    const id = await newInstance('exit 0');
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [id] });
    const root = (await described(id))?.BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? '';
    await ec2.send(new DetachVolumeCommand({ VolumeId: root }));
    await waitUntilVolumeAvailable(waiting(), { VolumeIds: [root] });
    await expect(ec2.send(new StartInstancesCommand({ InstanceIds: [id] }))).rejects.toEqual(
      refusal('IncorrectInstanceState'),
    );
    await ec2.send(new AttachVolumeCommand({ VolumeId: root, InstanceId: id, Device: '/dev/sda1' }));
    await waitUntilVolumeInUse(waiting(), { VolumeIds: [root] });
    await ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
  });

  test('protection keeps them from being terminated', async () => {
    const id = await newInstance(FOREVER);
    const protect = (Value: boolean) =>
      ec2.send(new ModifyInstanceAttributeCommand({ InstanceId: id, DisableApiTermination: { Value } }));
    await protect(true);
    await expect(ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }))).rejects.toEqual(
      refusal('OperationNotPermitted'),
    );
    await protect(false);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceTerminated(waiting(), { InstanceIds: [id] });
  });

  test('terminating deletes the volumes marked so and lets the others go', async () => {
    const id = await newInstance(FOREVER, {
      BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1, DeleteOnTermination: false } }],
      TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'of', Value: 'terminating' }] }],
    });
    const devices = (await described(id))?.BlockDeviceMappings ?? [];
    const volumeAt = (device: string) =>
      devices.find(({ DeviceName }) => DeviceName === device)?.Ebs?.VolumeId ?? '';
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceTerminated(waiting(), { InstanceIds: [id] });
    await waitUntilVolumeDeleted(waiting(), { VolumeIds: [volumeAt('/dev/sda1')] });
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeAt('/dev/sdf')] }));
    expect(Volumes?.[0]).toMatchObject({
      State: 'available',
      Attachments: [],
      Tags: [{ Key: 'of', Value: 'terminating' }],
    });
    await expect(stat(stage.cloud.instanceHost.scratch(id))).rejects.toMatchObject({ code: 'ENOENT' });
    await ec2.send(new DeleteVolumeCommand({ VolumeId: volumeAt('/dev/sdf') }));
  });

  test('a running process instance is not rebooted behind its back', async () => {
    const id = await newInstance(FOREVER);
    await expect(ec2.send(new CreateImageCommand({ InstanceId: id, Name: newName() }))).rejects.toEqual(
      refusal('UnsupportedByLocalCloud'),
    );
    const { ImageId = '' } = await ec2.send(
      new CreateImageCommand({ InstanceId: id, Name: newName(), NoReboot: true }),
    );
    await waitUntilImageAvailable(waiting(), { ImageIds: [ImageId] });
  });

  test('an image of ours is a machine, whose disks cannot be changed while it runs', async () => {
    const id = await newInstance('', { ImageId: await newImage(), UserData: undefined });
    const attaching = { InstanceId: id, VolumeId: await newVolume(), Device: '/dev/sdf' };
    await expect(ec2.send(new AttachVolumeCommand(attaching))).rejects.toEqual(
      refusal('UnsupportedByLocalCloud'),
    );
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id], SkipOsShutdown: true }));
  });

  test('an instance has no screen', async () => {
    const id = await newInstance('sleep 60');
    const screen = (InstanceId: string) => ec2.send(new GetConsoleScreenshotCommand({ InstanceId }));
    await expect(screen(id)).rejects.toEqual(refusal('UnsupportedOperation'));
    await expect(screen('i-0123456789abcdef0')).rejects.toEqual(refusal('InvalidInstanceID.NotFound'));
  });

  test('more vCPUs than the quota are refused', async () => {
    const small = await openStage({ vcpuQuota: 2 });
    try {
      const client = new EC2Client(small.client);
      const { Images = [] } = await client.send(
        new DescribeImagesCommand({ Filters: [{ Name: 'name', Values: ['FreeBSD 15.1*amd64*base*'] }] }),
      );
      const run = () =>
        client.send(
          new RunInstancesCommand({
            ImageId: Images[0]?.ImageId,
            InstanceType: 't3.micro',
            MinCount: 1,
            MaxCount: 1,
          }),
        );
      await run();
      await expect(run()).rejects.toEqual(refusal('VcpuLimitExceeded'));
    } finally {
      await small.close();
    }
  });
});

describe('idempotency', () => {
  test('one token launches one instance, also for callers at the same time', async () => {
    const command = () =>
      ec2.send(
        new RunInstancesCommand({
          ImageId: workerImage,
          InstanceType: 'm6i.large',
          MinCount: 1,
          MaxCount: 1,
          ClientToken: 'at-once',
          UserData: script(FOREVER),
        }),
      );
    const answers = await Promise.all([command(), command(), command()]);
    expect(new Set(answers.map(({ Instances }) => Instances?.[0]?.InstanceId)).size).toBe(1);
  });

  test('a token of 65 characters is refused', async () => {
    const command = new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1, ClientToken: 'x'.repeat(65) });
    await expect(ec2.send(command)).rejects.toEqual(refusal('InvalidParameterValue'));
  });
});

test('the state on disk is whole JSON at any time', async () => {
  const read = async () =>
    JSON.parse(await readFile(`${stage.stateDirectory}/ec2.json`, 'utf8')) as { volumes: { id: string }[] };
  await read();
  const made = await Promise.all(
    Array.from({ length: 20 }, () => ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1 }))),
  );
  // Volumes of earlier tests may be going meanwhile: these must all be there.
  const ids = (await read()).volumes.map(({ id }) => id);
  expect(ids).toEqual(expect.arrayContaining(made.map(({ VolumeId }) => VolumeId)));
});
