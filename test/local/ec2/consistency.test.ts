import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStage, quickly, type Stage } from '../stage.ts';

/**
 * "Eventual consistency in the Amazon EC2 API" (Amazon EC2 Developer Guide): "the result of an API command you run that affects your resources
 * might not be immediately visible to all subsequent commands you run"; a describe of a new id may answer `InvalidInstanceID.NotFound`.
 */

let stage: Stage;
let ec2: EC2Client;
beforeAll(async () => {
  stage = await openStage();
  ec2 = new EC2Client(stage.client);
});
afterAll(() => stage.close());

const zone = () => `${stage.cloud.region}a`;
const tagged = (type: 'volume' | 'snapshot', Value: string) => [
  { ResourceType: type, Tags: [{ Key: 'made-by', Value }] },
];
const volume = async (by: string) =>
  (
    await ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: zone(), Size: 1, TagSpecifications: tagged('volume', by) }),
    )
  ).VolumeId ?? '';

test('a new thing is missed by lists, by its id and by calls that use it, for as many looks as a test says', async () => {
  const lag = { action: 'CreateVolume', where: () => true, looks: 3 };
  stage.cloud.consistency.lag(lag);
  const id = await volume('late');
  const Filters = [{ Name: 'tag:made-by', Values: ['late'] }];
  expect((await ec2.send(new DescribeVolumesCommand({ Filters }))).Volumes).toEqual([]);
  await expect(ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }))).rejects.toMatchObject({
    name: 'InvalidVolume.NotFound',
  });
  const attach = new AttachVolumeCommand({
    VolumeId: id,
    InstanceId: 'i-0123456789abcdef0',
    Device: '/dev/sdf',
  });
  await expect(ec2.send(attach)).rejects.toMatchObject({ name: 'InvalidVolume.NotFound' });
  expect((await ec2.send(new DescribeVolumesCommand({ Filters }))).Volumes).toMatchObject([{ VolumeId: id }]);
});

test('only what was meant is: a snapshot of a volume hides neither the volume nor the next snapshot', async () => {
  const id = await volume('seen');
  await waitUntilVolumeAvailable({ client: ec2, ...quickly }, { VolumeIds: [id] });
  stage.cloud.consistency.lag({
    action: 'CreateSnapshot',
    where: (input) => JSON.stringify(input).includes('hidden'),
    looks: 1,
  });
  const snapshot = async (by: string) =>
    (await ec2.send(new CreateSnapshotCommand({ VolumeId: id, TagSpecifications: tagged('snapshot', by) })))
      .SnapshotId;
  const open = await snapshot('open');
  const hidden = await snapshot('hidden');
  const list = async () =>
    (await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots?.map(
      ({ SnapshotId }) => SnapshotId,
    );
  expect(await list()).toEqual([open]);
  expect(new Set(await list())).toEqual(new Set([open, hidden]));
  expect((await ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }))).Volumes).toHaveLength(1);
});
