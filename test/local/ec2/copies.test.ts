import { readFile, stat, writeFile } from 'node:fs/promises';
import {
  CopyImageCommand,
  type CopyImageCommandInput,
  CopySnapshotCommand,
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImageAttributeCommand,
  DescribeSnapshotsCommand,
  ModifyImageAttributeCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snapshotPath, volumePath } from '../../../local/ec2/disks.ts';
import { openStage, quickly, type Stage } from '../stage.ts';
import { ImageOwner } from './image-owner.ts';

let stage: Stage;
let home: ImageOwner;
let away: ImageOwner;
beforeAll(async () => {
  stage = await openStage({ throttle: false });
  home = new ImageOwner(stage);
  away = new ImageOwner(stage, 'eu-west-1');
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

let names = 0;
const copy = async (SourceImageId: string, change: Partial<CopyImageCommandInput> = {}) =>
  (
    await away.ec2.send(
      new CopyImageCommand({ Name: `copy ${++names}`, SourceImageId, SourceRegion: home.region, ...change }),
    )
  ).ImageId ?? '';
const snapshotOf = async (owner: ImageOwner, id: string) => {
  const SnapshotId = (await owner.described(id))?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? '';
  const { Snapshots } = await owner.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
  return { ...Snapshots?.[0], SnapshotId };
};
const refusal = (name: string) => expect.objectContaining({ name });

describe('CopyImage', () => {
  // "How Amazon EC2 AMI copy works": "an identical but distinct new AMI".
  test('is an image with the properties of the original', async () => {
    const properties = {
      Architecture: 'arm64',
      BootMode: 'uefi',
      SriovNetSupport: 'simple',
      ImdsSupport: 'v2.0',
      TpmSupport: 'v2.0',
      Description: 'original',
    } as const;
    const original = await home.image(properties);
    const id = await copy(original, { Description: 'copied' });
    await away.available(id);
    expect(await away.described(id)).toMatchObject({
      ...properties,
      Description: 'copied',
      EnaSupport: true,
      RootDeviceName: '/dev/sda1',
      SourceImageId: original,
      SourceImageRegion: 'us-east-1',
      Public: false,
      PlatformDetails: 'Linux/UNIX',
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { VolumeSize: 1, Encrypted: false } }],
    });
    const snapshot = await snapshotOf(away, id);
    const source = await snapshotOf(home, original);
    expect(snapshot).toMatchObject({ State: 'completed', VolumeId: 'vol-ffffffff', VolumeSize: 1 });
    expect(snapshot.Description).toMatch(
      `Copied for DestinationAmi ${id} from SourceAmi ${original} for SourceSnapshot ${source.SnapshotId}. Task created on `,
    );
    expect(snapshot.SnapshotId).not.toBe(source.SnapshotId);
  });

  test('has the bytes of the original, which may go', async () => {
    const volume = await home.volume();
    await writeFile(volumePath(stage.stateDirectory, volume), 'content', { flag: 'r+' });
    const snapshotId = await home.snapshot(volume);
    const original = await home.image({ snapshotId });
    const id = await copy(original);
    await away.available(id);
    await home.ec2.send(new DeregisterImageCommand({ ImageId: original }));
    await home.ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
    const { SnapshotId } = await snapshotOf(away, id);
    const path = snapshotPath(stage.stateDirectory, SnapshotId);
    expect((await stat(path)).size).toBe(1024 ** 3);
    expect((await readFile(path)).subarray(0, 7).toString()).toBe('content');
  });

  // "How AMI copy works" / CopyingAMIs: "Launch permissions … are not copied"; CopyImageTags: "not copied" by default.
  test('takes tags when asked to, and never permissions', async () => {
    const original = await home.image({
      TagSpecifications: [
        {
          ResourceType: 'image',
          Tags: [
            { Key: 'a', Value: '1' },
            { Key: 'b', Value: '1' },
          ],
        },
      ],
    });
    await home.ec2.send(
      new ModifyImageAttributeCommand({
        ImageId: original,
        LaunchPermission: { Add: [{ UserId: '111122223333' }] },
      }),
    );
    const bare = await copy(original);
    expect((await away.described(bare))?.Tags).toEqual([]);
    const { LaunchPermissions } = await away.ec2.send(
      new DescribeImageAttributeCommand({ ImageId: bare, Attribute: 'launchPermission' }),
    );
    expect(LaunchPermissions).toEqual([]);
    const tagged = await copy(original, {
      CopyImageTags: true,
      TagSpecifications: [
        { ResourceType: 'image', Tags: [{ Key: 'b', Value: '2' }] },
        { ResourceType: 'snapshot', Tags: [{ Key: 'c', Value: '3' }] },
      ],
    });
    expect((await away.described(tagged))?.Tags).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: '2' },
    ]);
    expect((await snapshotOf(away, tagged)).Tags).toEqual([{ Key: 'c', Value: '3' }]);
  });

  test('a client token gives the same image', async () => {
    const original = await home.image();
    const request = { Name: 'with a token', ClientToken: 'copy-1' };
    const id = await copy(original, request);
    expect(await copy(original, request)).toBe(id);
    await expect(copy(original, { ...request, Description: 'other' })).rejects.toEqual(
      refusal('IdempotentParameterMismatch'),
    );
  });

  test.each([
    ['a name that is taken', { Name: 'taken' }, 'InvalidAMIName.Duplicate'],
    ['a name that is none', { Name: 'a' }, 'InvalidAMIName.Malformed'],
    ['an unknown image', { SourceImageId: 'ami-0123456789abcdef0' }, 'InvalidAMIID.NotFound'],
    ['a region that does not exist', { SourceRegion: 'eu-west-9' }, 'InvalidParameterValue'],
    [
      'a tag for something else',
      { TagSpecifications: [{ ResourceType: 'volume' as const, Tags: [] }] },
      'InvalidParameterValue',
    ],
    ['a key without encryption', { KmsKeyId: 'alias/aws/ebs' }, 'InvalidParameterDependency'],
    ['an Outpost', { DestinationOutpostArn: 'arn:aws:outposts:x' }, 'UnsupportedByLocalCloud'],
  ])('%s is refused', async (_what, change, name) => {
    const original = await home.image();
    await away.image({ Name: 'taken' }).catch(() => {}); // There from an earlier row.
    await expect(copy(original, change)).rejects.toEqual(refusal(name));
  });

  test('an image whose storage is not shared is refused', async () => {
    const { Parameter } = await new SSMClient(stage.client).send(
      new GetParameterCommand({ Name: '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE' }),
    );
    // "Copy an AMI": the owner of a public AMI must also "grant you read permissions for the storage".
    await expect(copy(Parameter?.Value ?? '')).rejects.toMatchObject({
      name: 'InvalidRequest',
      message: 'You do not have permission to access the storage of this ami',
    });
  });
});

describe('a copy that takes long', () => {
  let slow: Stage;
  beforeAll(async () => {
    slow = await openStage({ throttle: false, delays: { snapshotCopying: 3_600_000 } });
  });
  afterAll(() => slow.close());

  test('is pending, cannot be copied itself, and is one of twenty for its destination', async () => {
    const [from, to] = [new ImageOwner(slow), new ImageOwner(slow, 'eu-west-1')];
    const original = await from.image();
    const start = (owner: ImageOwner, Name: string) =>
      owner.ec2.send(new CopyImageCommand({ Name, SourceImageId: original, SourceRegion: from.region }));
    const { ImageId = '' } = await start(to, 'first');
    expect(await to.described(ImageId)).toMatchObject({ State: 'pending' });
    await expect(
      from.ec2.send(new CopyImageCommand({ Name: 'again', SourceImageId: ImageId, SourceRegion: to.region })),
    ).rejects.toEqual(refusal('InvalidAMIID.Unavailable'));
    // "Amazon EBS quotas": 20 concurrent snapshot copies per destination Region.
    for (let number = 2; number <= 20; number++) await start(to, `copy ${number}`);
    await expect(start(to, 'one too many')).rejects.toEqual(refusal('ResourceLimitExceeded'));
    await start(new ImageOwner(slow, 'eu-west-2'), 'elsewhere');
  });
});

test('CopySnapshot copies one, also within the region', async () => {
  const SourceSnapshotId = await home.snapshot();
  const { SnapshotId = '' } = await away.ec2.send(
    new CopySnapshotCommand({ SourceRegion: home.region, SourceSnapshotId, Description: 'mine' }),
  );
  await waitUntilSnapshotCompleted({ client: away.ec2, ...quickly }, { SnapshotIds: [SnapshotId] });
  const again = await away.ec2.send(
    new CopySnapshotCommand({ SourceRegion: away.region, SourceSnapshotId: SnapshotId }),
  );
  expect(again.SnapshotId).toMatch(/^snap-/);
});
