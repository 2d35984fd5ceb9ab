import {
  AttachVolumeCommand,
  CopyImageCommand,
  CreateImageCommand,
  DeleteVolumeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DetachVolumeCommand,
  ModifyInstanceAttributeCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
  waitUntilVolumeAvailable,
  waitUntilVolumeInUse,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, quickly, type Stage } from '../stage.ts';
import { ImageOwner } from './image-owner.ts';

const WINDOWS = { Platform: 'windows', PlatformDetails: 'Windows', UsageOperation: 'RunInstances:0002' };
const LINUX = { PlatformDetails: 'Linux/UNIX', UsageOperation: 'RunInstances' };

let stage: Stage;
let owner: ImageOwner;
beforeAll(async () => {
  stage = await openStage({ throttle: false });
  owner = new ImageOwner(stage);
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

const refusal = (name: string) => expect.objectContaining({ name });
const waiting = (by = owner) => ({ client: by.ec2, ...quickly });

async function windowsImage(on: Stage, region: string, name = 'Windows_Server-2022-English-Core-Base') {
  const { Parameter } = await new SSMClient({ ...on.client, region }).send(
    new GetParameterCommand({ Name: `/aws/service/ami-windows-latest/${name}` }),
  );
  return Parameter?.Value ?? '';
}

async function stoppedWindows(on = stage, by = owner) {
  const { Instances } = await by.ec2.send(
    new RunInstancesCommand({
      ImageId: await windowsImage(on, by.region),
      InstanceType: 'm6i.large',
      MinCount: 1,
      MaxCount: 1,
      Placement: { AvailabilityZone: `${by.region}a` },
    }),
  );
  const InstanceIds = [Instances?.[0]?.InstanceId ?? ''];
  await waitUntilInstanceRunning(waiting(by), { InstanceIds });
  await by.ec2.send(new StopInstancesCommand({ InstanceIds, SkipOsShutdown: true }));
  await waitUntilInstanceStopped(waiting(by), { InstanceIds });
  return InstanceIds[0] ?? '';
}

const instance = async (id: string, by = owner) =>
  (await by.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations?.[0]?.Instances?.[0];
const rootOf = async (id: string, by = owner) =>
  (await instance(id, by))?.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === '/dev/sda1')?.Ebs;

/** Section 8.2 of the facts, steps 5 to 7. */
async function swapRoot(id: string, by = owner) {
  const old = (await rootOf(id, by))?.VolumeId ?? '';
  await by.ec2.send(new DetachVolumeCommand({ VolumeId: old }));
  await waitUntilVolumeAvailable(waiting(by), { VolumeIds: [old] });
  await by.ec2.send(new DeleteVolumeCommand({ VolumeId: old }));
  const VolumeId = await by.volume();
  await by.ec2.send(new AttachVolumeCommand({ InstanceId: id, VolumeId, Device: '/dev/sda1' }));
  await waitUntilVolumeInUse(waiting(by), { VolumeIds: [VolumeId] });
  return VolumeId;
}

describe("Amazon's images of Windows", () => {
  test.each(['us-east-1', 'eu-west-1'])('are there in %s', async (region) => {
    const by = new ImageOwner(stage, region);
    expect(await by.described(await windowsImage(stage, region))).toMatchObject({
      ...WINDOWS,
      ImageOwnerAlias: 'amazon',
      Public: true,
      Architecture: 'x86_64',
      EnaSupport: true,
      RootDeviceName: '/dev/sda1',
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { VolumeSize: 30 } }],
    });
  });

  test('are found by owner and platform; one has a TPM and boots by UEFI only', async () => {
    const { Images = [] } = await owner.ec2.send(
      new DescribeImagesCommand({
        Owners: ['amazon'],
        Filters: [{ Name: 'platform', Values: ['windows'] }],
      }),
    );
    expect(Images).toHaveLength(4);
    const secure = await windowsImage(stage, owner.region, 'TPM-Windows_Server-2022-English-Core-Base');
    expect(await owner.described(secure)).toMatchObject({ BootMode: 'uefi', TpmSupport: 'v2.0' });
  });

  test('make instances that say Windows and live without doing anything', async () => {
    const id = await stoppedWindows();
    expect(await instance(id)).toMatchObject({ ...WINDOWS, State: { Name: 'stopped' } });
    expect(stage.cloud.instanceHost.alive(id)).toBe(false);
  });
});

describe('the root volume of a stopped instance', () => {
  test('is exchanged under the name of the root device, and loses DeleteOnTermination by it', async () => {
    const id = await stoppedWindows();
    expect(await rootOf(id)).toMatchObject({ DeleteOnTermination: true });
    const VolumeId = await swapRoot(id);
    // AttachVolume: a volume that is attached by hand stays when the instance is terminated.
    expect(await rootOf(id)).toMatchObject({ VolumeId, DeleteOnTermination: false });
    await owner.ec2.send(
      new ModifyInstanceAttributeCommand({
        InstanceId: id,
        BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { DeleteOnTermination: true } }],
      }),
    );
    expect(await rootOf(id)).toMatchObject({ DeleteOnTermination: true });
  });

  test('is not detached from a running one, nor does one start without it', async () => {
    const id = await stoppedWindows();
    const VolumeId = (await rootOf(id))?.VolumeId ?? '';
    await owner.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    await expect(owner.ec2.send(new DetachVolumeCommand({ VolumeId }))).rejects.toEqual(
      refusal('OperationNotPermitted'),
    );
    await owner.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [id] });
    await owner.ec2.send(new DetachVolumeCommand({ VolumeId }));
    await waitUntilVolumeAvailable(waiting(), { VolumeIds: [VolumeId] });
    await expect(owner.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }))).rejects.toEqual(
      refusal('IncorrectInstanceState'),
    );
    await owner.ec2.send(new AttachVolumeCommand({ InstanceId: id, VolumeId, Device: '/dev/sdf' }));
    await expect(owner.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }))).rejects.toEqual(
      refusal('IncorrectInstanceState'),
    );
  });
});

describe('what an image is billed as', () => {
  // CreateImage: from the instance. CopyImage: from the original. RegisterImage: from the snapshot of the root.
  test('comes from the instance, the original or the snapshot', async () => {
    const id = await stoppedWindows();
    await swapRoot(id);
    const { ImageId: made = '' } = await owner.ec2.send(
      new CreateImageCommand({ InstanceId: id, Name: 'defenestrated' }),
    );
    await owner.available(made);
    const image = await owner.described(made);
    expect(image).toMatchObject(WINDOWS);

    const away = new ImageOwner(stage, 'eu-west-1');
    const { ImageId: copy = '' } = await away.ec2.send(
      new CopyImageCommand({ Name: 'defenestrated', SourceImageId: made, SourceRegion: owner.region }),
    );
    expect(await away.described(copy)).toMatchObject(WINDOWS);

    const snapshotId = image?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? '';
    const registered = await owner.described(await owner.image({ snapshotId }));
    expect(registered).toMatchObject(LINUX);
    expect(registered).not.toHaveProperty('Platform');
    const windows = await owner.snapshot((await rootOf(await stoppedWindows()))?.VolumeId);
    expect(await owner.described(await owner.image({ snapshotId: windows }))).toMatchObject(WINDOWS);
  });

  test('may come from the root volume in CreateImage too: nobody but AWS knows', async () => {
    const other = await openStage({ throttle: false, createImageBilling: 'root volume' });
    try {
      const by = new ImageOwner(other);
      const id = await stoppedWindows(other, by);
      await swapRoot(id, by);
      const { ImageId = '' } = await by.ec2.send(
        new CreateImageCommand({ InstanceId: id, Name: 'not Windows any more' }),
      );
      expect(await by.described(ImageId)).toMatchObject(LINUX);
    } finally {
      await other.close();
    }
  });
});
