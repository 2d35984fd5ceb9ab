import {
  CopyImageCommand,
  CreateVolumeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DisableEbsEncryptionByDefaultCommand,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  ModifyImageAttributeCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { AwsClient } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';
import { ImageOwner } from './image-owner.ts';

let stage: Stage;
let home: ImageOwner;
let away: ImageOwner;
let key: string;
beforeAll(async () => {
  stage = await openStage({ throttle: false });
  home = new ImageOwner(stage);
  away = new ImageOwner(stage, 'eu-west-1');
  key = (await kms('CreateKey', {})).KeyMetadata.Arn;
  await kms('CreateAlias', { AliasName: 'alias/factory', TargetKeyId: key });
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

/** The protocol of KMS by hand: the project has no client for it. */
// biome-ignore lint/suspicious/noExplicitAny: an answer of another service's, looked into at once.
async function kms(operation: string, input: object, region = home.region): Promise<any> {
  const client = new AwsClient({ ...stage.cloud.credentials, service: 'kms', region });
  const response = await client.fetch(stage.cloud.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': `TrentService.${operation}`, 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify(input),
  });
  return response.json();
}

const refusal = (name: string) => expect.objectContaining({ name });
const volumeOf = async (owner: ImageOwner, id: string) =>
  (await owner.ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }))).Volumes?.[0];
const snapshotOf = async (owner: ImageOwner, id: string) =>
  (await owner.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }))).Snapshots?.[0];
const create = (settings: object) =>
  home.ec2.send(new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', Size: 1, ...settings }));
const defaultKey = async (owner: ImageOwner) =>
  (await owner.ec2.send(new GetEbsDefaultKmsKeyIdCommand({}))).KmsKeyId;

async function eventually<T>(read: () => Promise<T>, enough: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read();
    if (enough(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function launch(ImageId: string, mappings: RunInstancesCommandInput['BlockDeviceMappings']) {
  const { Instances } = await home.ec2.send(
    new RunInstancesCommand({
      ImageId,
      InstanceType: 'm6i.large',
      MinCount: 1,
      MaxCount: 1,
      BlockDeviceMappings: mappings,
    }),
  );
  return Instances?.[0]?.InstanceId ?? '';
}

const worker = async () =>
  (
    await new SSMClient(stage.client).send(
      new GetParameterCommand({ Name: '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE' }),
    )
  ).Parameter?.Value ?? '';
const instanceOf = async (id: string) =>
  (await home.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations?.[0]
    ?.Instances?.[0];
const disksOf = async (id: string) => {
  const { Volumes = [] } = await home.ec2.send(
    new DescribeVolumesCommand({ Filters: [{ Name: 'attachment.instance-id', Values: [id] }] }),
  );
  return Object.fromEntries(Volumes.map((one) => [one.Attachments?.[0]?.Device, one]));
};

describe('an encrypted volume', () => {
  test.each([
    ['a key id', () => key.split('/')[1] ?? ''],
    ['an alias', () => 'alias/factory'],
    ['the ARN of a key', () => key],
    ['the ARN of an alias', () => key.replace(/:key\/.*/, ':alias/factory')],
  ])('names its key by ARN, whoever asked with %s', async (_what, name) => {
    const id = await home.volume({ Encrypted: true, KmsKeyId: name() });
    expect(await volumeOf(home, id)).toMatchObject({ Encrypted: true, KmsKeyId: key });
  });

  test('without a key has that of EBS in the region', async () => {
    const id = await home.volume({ Encrypted: true });
    expect(await volumeOf(home, id)).toMatchObject({ Encrypted: true, KmsKeyId: await defaultKey(home) });
    const { KeyMetadata } = await kms('DescribeKey', { KeyId: 'alias/aws/ebs' });
    expect(KeyMetadata).toMatchObject({
      Arn: await defaultKey(home),
      KeyManager: 'AWS',
      KeyState: 'Enabled',
    });
    expect(await defaultKey(away)).not.toBe(await defaultKey(home));
  });

  // "How Amazon EBS encryption works": snapshots of it, volumes of those, and images are encrypted too, by the same key.
  test('passes its key on to snapshots, images and volumes', async () => {
    const snapshotId = await home.snapshot(await home.volume({ Encrypted: true, KmsKeyId: key }));
    expect(await snapshotOf(home, snapshotId)).toMatchObject({ Encrypted: true, KmsKeyId: key });
    const volume = await home.volume({ SnapshotId: snapshotId });
    expect(await volumeOf(home, volume)).toMatchObject({ Encrypted: true, KmsKeyId: key });
    const image = await home.described(await home.image({ snapshotId }));
    expect(image?.BlockDeviceMappings?.[0]?.Ebs).toMatchObject({ Encrypted: true });
    expect(image?.BlockDeviceMappings?.[0]?.Ebs).not.toHaveProperty('KmsKeyId');
    await expect(create({ SnapshotId: snapshotId, Encrypted: false })).rejects.toEqual(
      refusal('InvalidParameterCombination'),
    );
    const other = await home.volume({ SnapshotId: await home.snapshot(), Encrypted: true, KmsKeyId: key });
    expect(await volumeOf(home, other)).toMatchObject({ Encrypted: true, KmsKeyId: key });
  });

  test('a key without encryption is refused', async () => {
    await expect(create({ KmsKeyId: key })).rejects.toEqual(refusal('InvalidParameterDependency'));
  });

  // CreateVolume, KmsKeyId: "the action can appear to complete, but eventually fails".
  test.each(['alias/nobody', '1234abcd-12ab-34cd-56ef-1234567890ab'])(
    'vanishes when there is no key %s',
    async (KmsKeyId) => {
      const { VolumeId = '', State } = await create({ Encrypted: true, KmsKeyId });
      expect(State).toBe('creating');
      await expect(
        eventually(
          () => volumeOf(home, VolumeId),
          (one) => one?.State !== 'creating',
        ),
      ).rejects.toEqual(refusal('InvalidVolume.NotFound'));
    },
  );
});

describe('RunInstances', () => {
  test('encrypts root and other disks when the mapping says so', async () => {
    const id = await launch(await worker(), [
      { DeviceName: '/dev/sda1', Ebs: { Encrypted: true, KmsKeyId: 'alias/factory' } },
      { DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1, Encrypted: true } },
      { DeviceName: '/dev/sdg', Ebs: { VolumeSize: 1 } },
    ]);
    expect(await disksOf(id)).toMatchObject({
      '/dev/sda1': { Encrypted: true, KmsKeyId: key },
      '/dev/sdf': { Encrypted: true, KmsKeyId: await defaultKey(home) },
      '/dev/sdg': { Encrypted: false },
    });
  });

  // "Troubleshoot Amazon EC2 instance launch issues": Client.InternalError, the key cannot be used.
  test('ends the instance whose key does not exist', async () => {
    const id = await launch(await worker(), [
      { DeviceName: '/dev/sda1', Ebs: { Encrypted: true, KmsKeyId: 'alias/nobody' } },
    ]);
    const ended = await eventually(
      () => instanceOf(id),
      (one) => one?.State?.Name === 'terminated',
    );
    expect(ended?.StateReason).toEqual({
      Code: 'Client.InternalError',
      Message: 'Client.InternalError: Client error on launch',
    });
    expect(await disksOf(id)).toEqual({});
  });
});

test('encryption by default', async () => {
  await home.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
  const { EbsEncryptionByDefault } = await home.ec2.send(new GetEbsEncryptionByDefaultCommand({}));
  expect(EbsEncryptionByDefault).toBe(true);
  expect(await volumeOf(home, await home.volume())).toMatchObject({ Encrypted: true });
  // "… you can't create an unencrypted volume": false changes nothing.
  expect(await volumeOf(home, await home.volume({ Encrypted: false }))).toMatchObject({ Encrypted: true });
  expect(await disksOf(await launch(await worker(), []))).toMatchObject({ '/dev/sda1': { Encrypted: true } });
  // It is a Region's own setting.
  expect(await volumeOf(away, await away.volume())).toMatchObject({ Encrypted: false });
  await home.ec2.send(new DisableEbsEncryptionByDefaultCommand({}));
  expect(await volumeOf(home, await home.volume())).toMatchObject({ Encrypted: false });
});

describe('CopyImage', () => {
  let names = 0;
  const copy = async (SourceImageId: string, settings: object) =>
    (
      await away.ec2.send(
        new CopyImageCommand({
          Name: `encrypted ${++names}`,
          SourceRegion: home.region,
          SourceImageId,
          ...settings,
        }),
      )
    ).ImageId ?? '';
  const copiedSnapshot = async (id: string) =>
    snapshotOf(away, (await away.described(id))?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? '');

  test('encrypts with a key of the destination, or that of EBS', async () => {
    const { KeyMetadata } = await kms('CreateKey', {}, away.region);
    const image = await home.image();
    const named = await copy(image, { Encrypted: true, KmsKeyId: KeyMetadata.KeyId });
    await away.available(named);
    expect(await copiedSnapshot(named)).toMatchObject({ Encrypted: true, KmsKeyId: KeyMetadata.Arn });
    const unnamed = await copy(image, { Encrypted: true });
    expect(await copiedSnapshot(unnamed)).toMatchObject({ KmsKeyId: await defaultKey(away) });
  });

  test('of an encrypted image is encrypted, with the key of EBS when it goes elsewhere', async () => {
    const snapshotId = await home.snapshot(await home.volume({ Encrypted: true, KmsKeyId: key }));
    const image = await home.image({ snapshotId });
    expect(await copiedSnapshot(await copy(image, {}))).toMatchObject({
      Encrypted: true,
      KmsKeyId: await defaultKey(away),
    });
    await expect(copy(image, { Encrypted: false })).rejects.toEqual(refusal('InvalidParameterCombination'));
  });

  // CopyImage, KmsKeyId: "The specified KMS key must exist in the destination Region"; checked later.
  test('fails after all with a key of another region', async () => {
    const id = await copy(await home.image(), { Encrypted: true, KmsKeyId: key });
    const failed = await eventually(
      async () => (await away.ec2.send(new DescribeImagesCommand({ ImageIds: [id] }))).Images?.[0],
      (image) => image?.State !== 'pending',
    );
    expect(failed).toMatchObject({
      State: 'failed',
      StateReason: { Message: 'Given key ID is not accessible' },
    });
    expect(await copiedSnapshot(id)).toMatchObject({
      State: 'error',
      StateMessage: 'Given key ID is not accessible',
    });
  });
});

describe('sharing', () => {
  const share = (ImageId: string, permission: { UserId: string } | { Group: 'all' }) =>
    home.ec2.send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add: [permission] } }));

  test('is refused for the key of EBS, and for the public with any key', async () => {
    const managed = await home.image({
      snapshotId: await home.snapshot(await home.volume({ Encrypted: true })),
    });
    await expect(share(managed, { UserId: '111122223333' })).rejects.toMatchObject({
      name: 'InvalidParameter',
      message: expect.stringContaining('AWS Managed CMK'),
    });
    const snapshotId = await home.snapshot(await home.volume({ Encrypted: true, KmsKeyId: key }));
    const own = await home.image({ snapshotId });
    await share(own, { UserId: '111122223333' });
    await expect(share(own, { Group: 'all' })).rejects.toEqual(refusal('InvalidParameter'));
  });
});
