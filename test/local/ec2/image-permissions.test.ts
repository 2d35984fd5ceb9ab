import {
  CreateVolumeCommand,
  DeregisterImageCommand,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeSnapshotAttributeCommand,
  DisableImageBlockPublicAccessCommand,
  DisableImageCommand,
  DisableImageDeprecationCommand,
  EnableImageBlockPublicAccessCommand,
  EnableImageCommand,
  EnableImageDeprecationCommand,
  GetImageBlockPublicAccessStateCommand,
  type LaunchPermission,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  ResetImageAttributeCommand,
  ResetSnapshotAttributeCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';
import { ImageOwner } from './image-owner.ts';

let stage: Stage;
let owner: ImageOwner;
beforeAll(async () => {
  stage = await openStage({ throttle: false, publicImageQuota: 2, delays: { lastLaunchedReported: 0 } });
  owner = new ImageOwner(stage);
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

const refusal = (name: string) => expect.objectContaining({ name });
const change = (
  ImageId: string,
  LaunchPermission: { Add?: LaunchPermission[]; Remove?: LaunchPermission[] },
) => owner.ec2.send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission }));
const permissions = async (ImageId: string) =>
  (await owner.ec2.send(new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' })))
    .LaunchPermissions;
const ALL = { Add: [{ Group: 'all' as const }] };
const ORGANIZATION = 'arn:aws:organizations::111122223333:organization/o-123example01';
const UNIT = 'arn:aws:organizations::111122223333:ou/o-123example01/ou-1234-5example';

describe('launch permissions', () => {
  test('for accounts, organizations and units: added, removed, reset', async () => {
    const id = await owner.image();
    await change(id, {
      Add: [{ UserId: '111122223333' }, { OrganizationArn: ORGANIZATION }, { OrganizationalUnitArn: UNIT }],
    });
    await change(id, { Add: [{ UserId: '111122223333' }] });
    expect(await permissions(id)).toEqual([
      { UserId: '111122223333' },
      { OrganizationArn: ORGANIZATION },
      { OrganizationalUnitArn: UNIT },
    ]);
    await change(id, { Remove: [{ OrganizationArn: ORGANIZATION }, { UserId: '444455556666' }] });
    expect(await permissions(id)).toEqual([{ UserId: '111122223333' }, { OrganizationalUnitArn: UNIT }]);
    // The old form of the call.
    await owner.ec2.send(
      new ModifyImageAttributeCommand({
        ImageId: id,
        Attribute: 'launchPermission',
        OperationType: 'add',
        OrganizationArns: [ORGANIZATION],
      }),
    );
    expect(await permissions(id)).toHaveLength(3);
    await owner.ec2.send(new ResetImageAttributeCommand({ ImageId: id, Attribute: 'launchPermission' }));
    expect(await permissions(id)).toEqual([]);
  });

  test.each([
    { UserId: '1234' },
    { Group: 'everybody' as 'all' },
    { OrganizationArn: 'o-123example01' },
    { OrganizationalUnitArn: ORGANIZATION },
  ])('%j is no one', async (permission) => {
    await expect(change(await owner.image(), { Add: [permission] })).rejects.toEqual(
      refusal('InvalidAMIAttributeItemValue'),
    );
  });
});

describe('public images', () => {
  const state = async () =>
    (await owner.ec2.send(new GetImageBlockPublicAccessStateCommand({}))).ImageBlockPublicAccessState;

  // "Block public access to your AMIs": on by default for new accounts; the error is the one users report.
  test('are refused while public access is blocked', async () => {
    const id = await owner.image();
    expect(await state()).toBe('block-new-sharing');
    await expect(change(id, ALL)).rejects.toMatchObject({
      name: 'OperationNotPermitted',
      message: expect.stringContaining('block public access for AMIs is enabled for this account'),
    });
    await owner.ec2.send(new DisableImageBlockPublicAccessCommand({}));
    expect(await state()).toBe('unblocked');
    await change(id, ALL);
    await owner.ec2.send(
      new EnableImageBlockPublicAccessCommand({ ImageBlockPublicAccessState: 'block-new-sharing' }),
    );
    // "block-new-sharing": what is public already stays so.
    expect(await owner.described(id)).toMatchObject({ Public: true });
    await owner.ec2.send(new DisableImageBlockPublicAccessCommand({}));
    await owner.ec2.send(new DeregisterImageCommand({ ImageId: id }));
  });

  test('have a quota per region', async () => {
    const ids = [await owner.image(), await owner.image(), await owner.image()];
    for (const id of ids.slice(0, 2)) await change(id, ALL);
    await expect(change(ids[2] ?? '', ALL)).rejects.toEqual(refusal('ResourceLimitExceeded'));
    await change(ids[0] ?? '', ALL); // Public already.
    await change(ids[0] ?? '', { Remove: [{ Group: 'all' }] });
    await change(ids[2] ?? '', ALL);
    for (const id of ids) await owner.ec2.send(new DeregisterImageCommand({ ImageId: id }));
  });

  // "Deprecate an Amazon EC2 AMI", considerations on public AMIs.
  test('are deprecated after two years at the latest', async () => {
    const id = await owner.image();
    await change(id, ALL);
    const { CreationDate = '', DeprecationTime = '' } = (await owner.described(id)) ?? {};
    const years = (Date.parse(DeprecationTime) - Date.parse(CreationDate)) / (365.25 * 24 * 3600 * 1000);
    expect(years).toBeCloseTo(2, 3);
    await expect(owner.ec2.send(new DisableImageDeprecationCommand({ ImageId: id }))).rejects.toEqual(
      refusal('OperationNotPermitted'),
    );
    const DeprecateAt = new Date(Date.now() + 3 * 365.25 * 24 * 3600 * 1000);
    const later = new EnableImageDeprecationCommand({ ImageId: id, DeprecateAt });
    await expect(owner.ec2.send(later)).rejects.toEqual(refusal('InvalidParameter'));
    await change(id, { Remove: [{ Group: 'all' }] });
    await owner.ec2.send(later);
    await owner.ec2.send(new DisableImageDeprecationCommand({ ImageId: id }));
    expect(await owner.described(id)).not.toHaveProperty('DeprecationTime');
  });
});

test('a disabled image is private, hidden and cannot be launched, until it is enabled', async () => {
  const id = await owner.image();
  await change(id, { Add: [{ UserId: '111122223333' }] });
  await owner.ec2.send(new DisableImageCommand({ ImageId: id }));
  expect(await owner.described(id)).toBeUndefined();
  const { Images } = await owner.ec2.send(
    new DescribeImagesCommand({ ImageIds: [id], IncludeDisabled: true }),
  );
  expect(Images).toMatchObject([{ State: 'disabled' }]);
  expect(await permissions(id)).toEqual([]);
  const launch = () =>
    owner.ec2.send(
      new RunInstancesCommand({ ImageId: id, InstanceType: 'm6i.large', MinCount: 1, MaxCount: 1 }),
    );
  await expect(launch()).rejects.toEqual(refusal('InvalidAMIID.Unavailable'));
  await expect(change(id, { Add: [{ UserId: '111122223333' }] })).rejects.toEqual(
    refusal('InvalidAMIID.Unavailable'),
  );
  await owner.ec2.send(new EnableImageCommand({ ImageId: id }));
  expect(await owner.described(id)).toMatchObject({ State: 'available' });
});

test("a snapshot of somebody else's makes no volume", async () => {
  const { Images } = await owner.ec2.send(
    new DescribeImagesCommand({ Filters: [{ Name: 'name', Values: ['FreeBSD 15.1*amd64 small*'] }] }),
  );
  const SnapshotId = Images?.[0]?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId;
  await expect(
    owner.ec2.send(new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', SnapshotId })),
  ).rejects.toEqual(refusal('InvalidSnapshot.NotFound'));
});

test('permissions of snapshots', async () => {
  const SnapshotId = await owner.snapshot();
  const read = async () =>
    (
      await owner.ec2.send(
        new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' }),
      )
    ).CreateVolumePermissions;
  expect(await read()).toEqual([]);
  await owner.ec2.send(
    new ModifySnapshotAttributeCommand({
      SnapshotId,
      CreateVolumePermission: { Add: [{ UserId: '111122223333' }, { Group: 'all' }] },
    }),
  );
  await owner.ec2.send(
    new ModifySnapshotAttributeCommand({
      SnapshotId,
      Attribute: 'createVolumePermission',
      OperationType: 'remove',
      GroupNames: ['all'],
    }),
  );
  expect(await read()).toEqual([{ UserId: '111122223333' }]);
  await owner.ec2.send(
    new ResetSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' }),
  );
  expect(await read()).toEqual([]);
});
