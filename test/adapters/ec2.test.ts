import { EC2Client } from '@aws-sdk/client-ec2';
import { expect, test } from 'vitest';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';

/** A client that answers every call with this, or each with the next of these. */
function answering(...outputs: object[]): EC2Client {
  const ec2 = new EC2Client({ region: 'eu-west-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
  ec2.middlewareStack.add(
    () =>
      async ({ input }) => {
        asked.push(input);
        const output = outputs.length > 1 ? outputs.shift() : outputs[0];
        return { output: { $metadata: {}, ...output } as never, response: {} };
      },
    {
      step: 'initialize',
      priority: 'high',
    },
  );
  return ec2;
}

const asked: unknown[] = [];
const began = Date.UTC(2026, 10, 23, 12);

test('a snapshot says when it was begun, if EC2 does', async () => {
  const of = (snapshot: object) => ec2Snapshots(answering({ Snapshots: [snapshot] })).describe('snap-1');
  expect((await of({ SnapshotId: 'snap-1', StartTime: new Date(began) }))?.startedAt).toBe(began);
  expect((await of({ SnapshotId: 'snap-1' }))?.startedAt).toBeUndefined();
});

test('an image says when it was registered, if EC2 does', async () => {
  const of = (image: object) => ec2Images(answering({ Images: [image] })).describe('ami-1');
  expect((await of({ ImageId: 'ami-1', CreationDate: '2026-11-23T12:00:00.000Z' }))?.startedAt).toBe(began);
  expect((await of({ ImageId: 'ami-1' }))?.startedAt).toBeUndefined();
});

test('an image says when it was launched last, and whether it is protected, if EC2 does', async () => {
  const of = (image: object) => ec2Images(answering({ Images: [image] })).describe('ami-1');
  expect(await of({ ImageId: 'ami-1' })).toMatchObject({ launchedAt: undefined, isProtected: false });
  expect(
    await of({ LastLaunchedTime: '2026-11-23T12:00:00.000Z', DeregistrationProtection: 'disabled' }),
  ).toMatchObject({ launchedAt: began, isProtected: false });
  // Image, DeregistrationProtection: a protection that ends with a cooldown names its end.
  for (const DeregistrationProtection of ['enabled-without-cooldown', 'enabled-until 2026-11-24T12:00:00Z'])
    expect(await of({ DeregistrationProtection })).toMatchObject({ isProtected: true });
});

test('what any build made says which build, and when it was made; on every page', async () => {
  const Tags = (build: string) => [
    { Key: 'team', Value: 'x' },
    { Key: 'ami-foundry:build', Value: build },
  ];
  const paged = (first: object, last: object) => answering({ ...first, NextToken: 'more' }, last);
  const time = new Date(began);
  const machine = (InstanceId: string) => ({ InstanceId, LaunchTime: time, Tags: Tags(`of ${InstanceId}`) });
  asked.length = 0;
  const found = {
    instances: await ec2Instances(
      paged(
        { Reservations: [{ Instances: [machine('i-1')] }] },
        { Reservations: [{ Instances: [machine('i-2')] }] },
      ),
    ).findOfAnyBuild(),
    volumes: await ec2Volumes(
      paged({ Volumes: [{ VolumeId: 'vol-1', CreateTime: time, Tags: Tags('b') }] }, { Volumes: [{}] }),
    ).findOfAnyBuild(),
    snapshots: await ec2Snapshots(
      paged({ Snapshots: [{ SnapshotId: 'snap-1', StartTime: time, Tags: Tags('c') }] }, { Snapshots: [{}] }),
    ).findOfAnyBuild(),
    images: await ec2Images(
      paged(
        { Images: [{ ImageId: 'ami-1', CreationDate: time.toISOString(), Tags: Tags('d') }] },
        { Images: [{}] },
      ),
    ).findOfAnyBuild(),
  };
  expect(found).toMatchObject({
    instances: [
      { instanceId: 'i-1', build: 'of i-1', startedAt: began },
      { instanceId: 'i-2', build: 'of i-2', startedAt: began },
    ],
    volumes: [{ volumeId: 'vol-1', build: 'b', startedAt: began }, { build: '' }],
    snapshots: [{ snapshotId: 'snap-1', build: 'c', startedAt: began }, { build: '' }],
    images: [{ imageId: 'ami-1', build: 'd', startedAt: began }, { build: '' }],
  });
  const Filters = [{ Name: 'tag-key', Values: ['ami-foundry:build'] }];
  expect(asked).toMatchObject(Array(8).fill({ Filters }));
});

test('Windows is launched with IMDSv2, tags on its disks too, and nothing that it could use', async () => {
  asked.length = 0;
  await ec2Instances(answering({ Instances: [{ InstanceId: 'i-1' }] })).runWindows({
    clientToken: 'token',
    imageId: 'ami-1',
    instanceType: 'm6i.large',
    subnetId: 'subnet-1',
    securityGroupId: 'sg-1',
    tags: { 'ami-foundry:build': 'demo' },
  });
  const Tags = [{ Key: 'ami-foundry:build', Value: 'demo' }];
  expect(asked).toEqual([
    {
      ClientToken: 'token',
      MinCount: 1,
      MaxCount: 1,
      ImageId: 'ami-1',
      InstanceType: 'm6i.large',
      SubnetId: 'subnet-1',
      SecurityGroupIds: ['sg-1'],
      InstanceInitiatedShutdownBehavior: 'stop',
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, HttpEndpoint: 'enabled' },
      TagSpecifications: [
        { ResourceType: 'instance', Tags },
        { ResourceType: 'volume', Tags },
      ],
    },
  ]);
});

test('an instance says which disks it has and under which name its root must be', async () => {
  const instance = {
    InstanceId: 'i-1',
    State: { Name: 'stopped' },
    LaunchTime: new Date(began),
    RootDeviceName: '/dev/sda1',
    BlockDeviceMappings: [
      {
        DeviceName: '/dev/sda1',
        Ebs: {
          VolumeId: 'vol-1',
          Status: 'attached',
          DeleteOnTermination: false,
          AttachTime: new Date(began + 1000),
        },
      },
      // Windows AMIs map ephemeral disks, which instances of today have not.
      { DeviceName: 'xvdca' },
    ],
  };
  const described = await ec2Instances(answering({ Reservations: [{ Instances: [instance] }] })).describe(
    'i-1',
  );
  expect(described).toMatchObject({
    rootDeviceName: '/dev/sda1',
    startedAt: began,
    disks: [
      {
        device: '/dev/sda1',
        volumeId: 'vol-1',
        state: 'attached',
        deleteOnTermination: false,
        attachedAt: began + 1000,
      },
    ],
  });
  expect(described?.disks).toHaveLength(1);
});

test('an image of an instance carries its tags, and its snapshot its own, from the very call', async () => {
  asked.length = 0;
  await ec2Images(answering({ ImageId: 'ami-1' })).createFromInstance({
    instanceId: 'i-1',
    name: 'demo',
    description: 'FreeBSD',
    tags: { role: 'image' },
    snapshotTags: { role: 'snapshot' },
  });
  expect(asked).toEqual([
    {
      InstanceId: 'i-1',
      Name: 'demo',
      Description: 'FreeBSD',
      NoReboot: true,
      TagSpecifications: [
        { ResourceType: 'image', Tags: [{ Key: 'role', Value: 'image' }] },
        { ResourceType: 'snapshot', Tags: [{ Key: 'role', Value: 'snapshot' }] },
      ],
    },
  ]);
});
