import { describe, expect, test } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { register } from '../../functions/steps/register.ts';
import { rejected } from '../core/caught.ts';
import { imageSpec, launched, plan } from './builds.ts';
import { awsError } from './fake-account.ts';

const snapshotted = async () => {
  const { fake, worker } = await launched();
  const { snapshotId } = await fake.snapshots.create(worker.volumeId, 'x', {});
  fake.settle();
  return { fake, snapshot: { snapshotId, startedAt: fake.time } };
};

describe('register', () => {
  test('registers what was planned', async () => {
    const { fake, snapshot } = await snapshotted();
    const { image } = await register(fake)({ plan, snapshot });
    expect(image.registeredAt).toBe(fake.time);
    expect(fake.heldImages.get(image.imageId)?.spec).toEqual(imageSpec(snapshot.snapshotId));
  });

  test('again takes the image that it registered before', async () => {
    const { fake, snapshot } = await snapshotted();
    const first = await register(fake)({ plan, snapshot });
    expect(await register(fake)({ plan, snapshot })).toEqual(first);
    expect(fake.heldImages.size).toBe(1);
  });

  test('is ImageNameTaken when another build was faster', async () => {
    const { fake, snapshot } = await snapshotted();
    const other = fake.holdImage(
      imageSpec(snapshot.snapshotId, { ...plan.image.tags, [tagKey.build]: 'demo-0123456789ab-2' }),
      'available',
    );
    const error = await rejected(register(fake)({ plan, snapshot }));
    expect(error.name).toBe('ImageNameTaken');
    expect(error.message).toContain(other.imageId);
    expect(error.message).toContain(plan.image.name);
  });

  test('is ImageNameTaken when a foreign image without tags has the name', async () => {
    const { fake, snapshot } = await snapshotted();
    fake.holdImage(imageSpec(snapshot.snapshotId, {}), 'available');
    expect((await rejected(register(fake)({ plan, snapshot }))).name).toBe('ImageNameTaken');
  });

  test('of two of the name is AmbiguousResource with both', async () => {
    const { fake, snapshot } = await snapshotted();
    const images = [
      fake.holdImage(imageSpec(snapshot.snapshotId)),
      fake.holdImage(imageSpec(snapshot.snapshotId)),
    ];
    const error = await rejected(register(fake)({ plan, snapshot }));
    expect(error.name).toBe('AmbiguousResource');
    for (const { imageId } of images) expect(error.message).toContain(imageId);
  });

  test('lets errors of RegisterImage pass untouched', async () => {
    const { fake, snapshot } = await snapshotted();
    const failure = awsError('InvalidSnapshot.NotFound');
    fake.failures.set('images.register', failure);
    await expect(register(fake)({ plan, snapshot })).rejects.toBe(failure);
  });
});
