import { beforeEach, describe, expect, test } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { launchWindows } from '../../functions/steps/launch-windows.ts';
import { rejected } from '../core/caught.ts';
import { account, BUILD, windowsPlan } from './builds.ts';
import { awsError, type FakeAccount, windowsProperties } from './fake-account.ts';

const settings = { SUBNET_IDS: ['subnet-b', 'subnet-a'], SECURITY_GROUP_ID: 'sg-1' };
const windowsImage = windowsPlan.windows?.imageId ?? '';

let fake: FakeAccount;
let snapshotId: string;
beforeEach(async () => {
  fake = account();
  fake.windowsImages.set(windowsImage, windowsProperties);
  const { volumeId } = await fake.volumes.create({
    clientToken: 'v',
    zone: 'eu-central-1a',
    sizeGiB: 12,
    tags: {},
  });
  ({ snapshotId } = await fake.snapshots.create(volumeId, 'x', {}));
  await fake.volumes.delete(volumeId).catch(() => undefined);
  fake.settle();
  fake.heldVolumes.clear();
});
const run = (retryCount = 0) =>
  launchWindows({
    instances: fake.instances,
    volumes: fake.volumes,
    network: fake.network,
    clock: fake.clock,
    settings,
  })({ plan: windowsPlan, snapshot: { snapshotId, startedAt: fake.time } }, retryCount);
const instances = () => [...fake.heldInstances.values()];
const disks = () =>
  [...fake.heldVolumes.values()].filter(({ attachedTo }) => attachedTo === undefined).map(({ spec }) => spec);

describe('launch-windows', () => {
  test('launches Windows without a word, and makes a disk of the snapshot in its zone', async () => {
    const { windows } = await run();
    const [instance] = instances();
    expect(windows).toEqual({
      instanceId: instance?.instanceId,
      volumeId: expect.stringMatching(/^vol-/),
      snapshotId,
      instanceType: 'm6i.large',
      launchedAt: fake.time,
    });
    expect(instance?.spec).toMatchObject({
      imageId: windowsImage,
      subnetId: 'subnet-b',
      securityGroupId: 'sg-1',
      tags: { [tagKey.build]: BUILD, [tagKey.role]: 'windows' },
    });
    expect(instance?.spec.userData).toBeUndefined();
    expect(disks()).toMatchObject([
      {
        zone: 'eu-central-1b',
        sizeGiB: 12,
        snapshotId,
        tags: { [tagKey.build]: BUILD, [tagKey.role]: 'windows' },
      },
    ]);
  });

  test('whose answer was lost makes the same again', async () => {
    expect(await run()).toEqual(await run());
    expect(instances()).toHaveLength(1);
  });

  test('goes on to the next type and zone where there is no capacity', async () => {
    for (const type of ['m6i.large', 'm5.large'])
      fake.refusals.set(`${type} eu-central-1b`, awsError('InsufficientInstanceCapacity'));
    fake.refusals.set('m6i.large eu-central-1a', awsError('Unsupported'));
    expect((await run()).windows.instanceType).toBe('m5.large');
    expect(disks()).toMatchObject([{ zone: 'eu-central-1a' }]);
  });

  test('ends the instance of a zone that has no room for its disk', async () => {
    fake.refusals.set('volume eu-central-1b', awsError('InsufficientVolumeCapacity', 'full'));
    await run();
    expect(instances().map(({ spec, state }) => [spec.subnetId, state])).toEqual([
      ['subnet-b', 'shutting-down'],
      ['subnet-a', 'pending'],
    ]);
  });

  test('ends the instance whose disk cannot be made, whatever the reason', async () => {
    const refusal = awsError('InvalidSnapshot.NotFound');
    fake.refusals.set('volume eu-central-1b', refusal);
    await expect(run()).rejects.toBe(refusal);
    expect(instances().map(({ state }) => state)).toEqual(['shutting-down']);
  });

  test('without capacity anywhere says why in each place', async () => {
    for (const zone of ['eu-central-1a', 'eu-central-1b']) {
      for (const type of ['m6i.large', 'm5.large'])
        fake.refusals.set(`${type} ${zone}`, awsError('InsufficientInstanceCapacity', `no ${type}`));
    }
    const error = await rejected(run());
    expect(error.name).toBe('InsufficientCapacity');
    expect(error.message.match(/^- .*$/gm)).toHaveLength(4);
    expect(disks()).toEqual([]);
  });

  test.each(['instances.runWindows', 'volumes.create'])('lets other errors of %s pass', async (call) => {
    const failure = awsError('UnauthorizedOperation');
    fake.failures.set(call, failure);
    await expect(run()).rejects.toBe(failure);
  });
});
