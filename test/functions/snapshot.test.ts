import { describe, expect, test } from 'vitest';
import { buildTags, tagKey } from '../../core/names.ts';
import { attach } from '../../functions/steps/attach.ts';
import { snapshot } from '../../functions/steps/snapshot.ts';
import { rejected } from '../core/caught.ts';
import { BUILD, launched, plan } from './builds.ts';
import { awsError } from './fake-account.ts';

const attached = async () => {
  const one = await launched();
  await attach(one.fake)({ worker: one.worker });
  return one;
};

describe('snapshot', () => {
  test('takes the volume from a worker that still runs, and snapshots it with all tags', async () => {
    const { fake, worker, volume } = await attached();
    const { snapshot: made } = await snapshot(fake)({ plan, worker }, 0);
    expect(made.startedAt).toBe(fake.time);
    expect(volume).not.toHaveProperty('attachedTo');
    const held = fake.heldSnapshots.get(made.snapshotId);
    expect(held).toMatchObject({ volumeId: worker.volumeId, description: plan.image.name });
    expect(held?.tags).toEqual({
      ...plan.image.tags,
      [tagKey.build]: BUILD,
      [tagKey.role]: 'snapshot',
      Name: plan.image.name,
    });
  });

  test('also when the worker has gone already', async () => {
    const { fake, worker } = await attached();
    fake.end(worker.instanceId, 'Client.InstanceInitiatedShutdown');
    expect((await snapshot(fake)({ plan, worker }, 0)).snapshot.snapshotId).toMatch(/^snap-/);
  });

  test.each(['in-use', 'error', 'creating'] as const)(
    'is VolumeBusy while the volume is %s',
    async (state) => {
      const { fake, worker, volume } = await attached();
      // The detachment has been asked for and takes its time.
      delete volume.attachedTo;
      volume.state = state;
      const error = await rejected(snapshot(fake)({ plan, worker }, 0));
      expect(error.name).toBe('VolumeBusy');
      expect(error.message).toContain(`${worker.volumeId} is ${state}`);
      expect(fake.heldSnapshots.size).toBe(0);
    },
  );

  test('is VolumeBusy, not a snapshot of anything, when the volume is not there', async () => {
    const { fake, worker } = await attached();
    fake.heldVolumes.delete(worker.volumeId);
    expect((await rejected(snapshot(fake)({ plan, worker }, 0))).message).toContain('not found');
  });

  test.each([
    [5, 'running'],
    [6, 'shutting-down'],
  ])('of a volume that stays busy, retry %d leaves the worker %s', async (retryCount, state) => {
    const { fake, worker, volume, instance } = await attached();
    fake.volumes.detach = async () => {};
    expect((await rejected(snapshot(fake)({ plan, worker }, retryCount))).name).toBe('VolumeBusy');
    expect(instance.state).toBe(state);
    fake.settle();
    expect(volume.state).toBe(state === 'running' ? 'in-use' : 'available');
  });

  test('does not end the worker for a volume that no detachment would free', async () => {
    const { fake, worker, volume, instance } = await attached();
    delete volume.attachedTo;
    volume.state = 'error';
    await rejected(snapshot(fake)({ plan, worker }, 9));
    expect(instance.state).toBe('running');
  });

  test('does not ask for a detachment that has happened: the worker may have lost its tags', async () => {
    const { fake, worker } = await attached();
    fake.end(worker.instanceId, 'Client.InstanceInitiatedShutdown');
    fake.failures.set('volumes.detach', awsError('UnauthorizedOperation'));
    expect((await snapshot(fake)({ plan, worker }, 0)).snapshot.snapshotId).toMatch(/^snap-/);
  });

  test('does not adopt that of an earlier execution of the same name', async () => {
    const { fake, worker } = await attached();
    const tags = buildTags(BUILD, 'snapshot');
    const { snapshotId } = await fake.snapshots.create(worker.volumeId, 'earlier', tags);
    const earlier = fake.heldSnapshots.get(snapshotId);
    if (earlier) earlier.startedAt = worker.launchedAt - 1;
    expect((await snapshot(fake)({ plan, worker }, 0)).snapshot.snapshotId).not.toBe(snapshotId);
  });

  test('adopts the one that an earlier try began, without touching the volume', async () => {
    const { fake, worker } = await attached();
    const first = await snapshot(fake)({ plan, worker }, 0);
    const changes = fake.changes.length;
    expect(await snapshot(fake)({ plan, worker }, 0)).toEqual(first);
    expect(fake.changes).toHaveLength(changes);
  });

  test('does not adopt that of another build', async () => {
    const { fake, worker } = await attached();
    await fake.snapshots.create(worker.volumeId, plan.image.name, buildTags('other-build', 'snapshot'));
    await snapshot(fake)({ plan, worker }, 0);
    expect(fake.heldSnapshots.size).toBe(2);
  });

  test('of two is AmbiguousResource with both', async () => {
    const { fake, worker } = await attached();
    const tags = buildTags(BUILD, 'snapshot');
    const ids = [
      await fake.snapshots.create(worker.volumeId, 'x', tags),
      await fake.snapshots.create(worker.volumeId, 'x', tags),
    ];
    const error = await rejected(snapshot(fake)({ plan, worker }, 0));
    expect(error.name).toBe('AmbiguousResource');
    for (const { snapshotId } of ids) expect(error.message).toContain(snapshotId);
  });
});
