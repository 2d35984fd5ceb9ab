import { describe, expect, test } from 'vitest';
import { artifactKey, buildTags, imageRecordKey, imageRecords, tagKey } from '../../core/names.ts';
import { attach } from '../../functions/steps/attach.ts';
import { cleanUp } from '../../functions/steps/clean-up.ts';
import { register } from '../../functions/steps/register.ts';
import { snapshot } from '../../functions/steps/snapshot.ts';
import { rejected } from '../core/caught.ts';
import { account, BUILD, execution, launched, madeOfWindows, plan } from './builds.ts';
import { awsError, type FakeAccount } from './fake-account.ts';

type State = Parameters<ReturnType<typeof cleanUp>>[0];

/** A whole build up to its image, and another build's things beside it. */
async function built() {
  const { fake, worker } = await launched();
  await attach(fake)({ worker });
  const taken = await snapshot(fake)({ plan, worker }, 0);
  fake.settle();
  const { image } = await register(fake)({ plan, ...taken });
  fake.settle();
  const beside = buildTags('other-build', 'target');
  const other = {
    volume: (await fake.volumes.create({ clientToken: 'o', zone: 'eu-central-1a', sizeGiB: 1, tags: beside }))
      .volumeId,
    snapshot: (await fake.snapshots.create(worker.volumeId, 'other', beside)).snapshotId,
  };
  fake.settle();
  for (const file of imageRecords) {
    fake.objects.set(artifactKey(BUILD, file), { body: file, contentType: 'application/octet-stream' });
  }
  return { fake, worker, image, other, state: { worker, ...taken } satisfies State };
}

/** As the state machine does it: again while it is StillTerminating, and time goes by. */
async function untilDone(fake: FakeAccount, state: State, outcome: 'succeeded' | 'failed') {
  for (let tries = 1; tries <= 5; tries++) {
    try {
      return await cleanUp(fake)(state, outcome, execution);
    } catch (error) {
      if (!(error instanceof Error && error.name === 'StillTerminating')) throw error;
      fake.settle();
    }
  }
  throw new Error('clean-up never ended');
}

const alive = (fake: FakeAccount) =>
  [...fake.heldInstances.values()]
    .filter(({ state }) => state !== 'terminated')
    .map(({ instanceId }) => instanceId);

describe('clean-up', () => {
  test('keeps the manifest and the SBOM of a delivered image, and of no other', async () => {
    const kept = ({ objects }: FakeAccount) => [...objects.keys()].filter((key) => key.startsWith('images/'));
    const delivered = await built();
    await untilDone(delivered.fake, delivered.state, 'succeeded');
    expect(kept(delivered.fake)).toEqual(imageRecords.map((file) => imageRecordKey(BUILD, file)));
    const broken = await built();
    await untilDone(broken.fake, broken.state, 'failed');
    expect(kept(broken.fake)).toEqual([]);
  });

  test.each(['succeeded', 'failed'] as const)(
    'after a build that %s ends the boot test and its root, also when no search by tag sees it yet',
    async (outcome) => {
      const { fake, state, image } = await built();
      const { instanceId } = await fake.instances.runBootTest({
        clientToken: 'boot',
        imageId: image.imageId,
        instanceType: 'm6i.large',
        subnetId: 'subnet-a',
        securityGroupId: 'sg-1',
        tags: buildTags(BUILD, 'boot-test'),
      });
      fake.settle();
      fake.hidden.add(instanceId);
      const watch = { ready: true, since: 0, goneFor: 0, seen: '', seenAt: 0 };
      const bootTest = {
        machines: [{ instanceId, instanceType: 'm6i.large', launchedAt: fake.time, phases: [], watch }],
      };
      const { cleaned } = await untilDone(fake, { ...state, image, bootTest }, outcome);
      expect(cleaned.instances).toContain(instanceId);
      expect(alive(fake)).toEqual([]);
      expect(fake.heldImages.size).toBe(outcome === 'failed' ? 0 : 1);
    },
  );

  test('after success leaves image and snapshot, and nothing else of the build', async () => {
    const { fake, state, image, other } = await built();
    const { cleaned } = await untilDone(fake, state, 'succeeded');
    fake.settle();
    expect(alive(fake)).toEqual([]);
    expect([...fake.heldVolumes.keys()]).toEqual([other.volume]);
    expect([...fake.heldSnapshots.keys()]).toEqual([state.snapshot.snapshotId, other.snapshot]);
    expect([...fake.heldImages.keys()]).toEqual([image.imageId]);
    expect(cleaned).toMatchObject({ instances: [state.worker.instanceId], snapshots: [], images: [] });
    expect(cleaned.volumes).toContain(state.worker.volumeId);
  });

  test('after failure leaves nothing of the build, and all of the others', async () => {
    const { fake, state, image, other } = await built();
    await untilDone(fake, state, 'failed');
    fake.settle();
    expect(alive(fake)).toEqual([]);
    expect([...fake.heldVolumes.keys()]).toEqual([other.volume]);
    expect([...fake.heldSnapshots.keys()]).toEqual([other.snapshot]);
    expect([...fake.heldImages.keys()]).toEqual([]);
    expect(fake.changes).toContain(`deregister ${image.imageId}`);
  });

  test('after failure leaves the image that another build has adopted meanwhile, and its snapshot', async () => {
    const { fake, state, image, other } = await built();
    const held = fake.heldImages.get(image.imageId);
    const until = new Date(fake.time + 60_000).toISOString();
    if (held) held.tags = { ...held.tags, [tagKey.resumableUntil]: until };
    await untilDone(fake, { ...state, image }, 'failed');
    expect([...fake.heldImages.keys()]).toEqual([image.imageId]);
    expect([...fake.heldSnapshots.keys()]).toEqual([state.snapshot.snapshotId, other.snapshot]);
  });

  test('after success removes a second volume and a second snapshot that a lost answer left', async () => {
    const { fake, state } = await built();
    const tags = buildTags(BUILD, 'target');
    await fake.volumes.create({ clientToken: 'lost', zone: 'eu-central-1b', sizeGiB: 1, tags });
    const lost = await fake.snapshots.create(state.worker.volumeId, 'lost', buildTags(BUILD, 'snapshot'));
    fake.settle();
    await untilDone(fake, state, 'succeeded');
    fake.settle();
    expect(await fake.volumes.findByBuild(BUILD)).toEqual([]);
    expect(fake.heldSnapshots.has(lost.snapshotId)).toBe(false);
    expect(fake.heldSnapshots.has(state.snapshot.snapshotId)).toBe(true);
  });

  test('finds by tag what the state does not know', async () => {
    const { fake } = await launched();
    await untilDone(fake, {}, 'failed');
    fake.settle();
    expect(alive(fake)).toEqual([]);
    expect(fake.heldVolumes.size).toBe(0);
  });

  test('finds by id what a search by tag does not see yet', async () => {
    const { fake, state, image } = await built();
    for (const id of [image.imageId, state.snapshot.snapshotId]) fake.hidden.add(id);
    fake.hidden.add(state.worker.instanceId).add(state.worker.volumeId);
    await untilDone(fake, { ...state, image }, 'failed');
    fake.settle();
    expect(alive(fake)).toEqual([]);
    expect(fake.heldVolumes.has(state.worker.volumeId)).toBe(false);
    expect(fake.heldSnapshots.has(state.snapshot.snapshotId)).toBe(false);
    expect(fake.heldImages.size).toBe(0);
  });

  test('leaves what an earlier execution of the same name delivered', async () => {
    const { fake, state, image } = await built();
    const delivered = fake.heldImages.get(image.imageId);
    const held = fake.heldSnapshots.get(state.snapshot.snapshotId);
    if (!delivered || !held) throw new Error('the fake account lost what it made');
    delivered.startedAt = held.startedAt = Date.parse(execution.startTime) - 1;
    await untilDone(fake, {}, 'failed');
    expect([...fake.heldImages.keys()]).toEqual([image.imageId]);
    expect(fake.heldSnapshots.has(state.snapshot.snapshotId)).toBe(true);
    delivered.startedAt = held.startedAt = Date.parse(execution.startTime);
    await untilDone(fake, {}, 'failed');
    expect(fake.heldImages.size).toBe(0);
    expect(fake.heldSnapshots.has(state.snapshot.snapshotId)).toBe(false);
  });

  test('of nothing is nothing', async () => {
    expect(await cleanUp(account())({}, 'failed', execution)).toEqual({
      cleaned: { instances: [], volumes: [], snapshots: [], images: [] },
    });
  });

  test('forgives that all is gone already', async () => {
    const { worker } = (await launched()) satisfies { worker: State['worker'] };
    await expect(
      cleanUp(account())({ worker, snapshot: { snapshotId: 'snap-0a', startedAt: 1 } }, 'failed', execution),
    ).resolves.toBeDefined();
  });

  test('twice is once', async () => {
    const { fake, state } = await built();
    await untilDone(fake, state, 'failed');
    fake.settle();
    const changes = fake.changes.length;
    await untilDone(fake, state, 'failed');
    expect(fake.changes).toHaveLength(changes);
  });

  test('is StillTerminating with what is left, while an instance or a volume is going', async () => {
    const { fake, state } = await built();
    const error = await rejected(cleanUp(fake)(state, 'succeeded', execution));
    expect(error.name).toBe('StillTerminating');
    expect(error.message).toContain(`${state.worker.instanceId} (shutting-down)`);
  });

  test('is StillTerminating while a volume is being made, and deletes it then', async () => {
    const fake = account();
    const tags = buildTags(BUILD, 'target');
    const { volumeId } = await fake.volumes.create({
      clientToken: 't',
      zone: 'eu-central-1a',
      sizeGiB: 1,
      tags,
    });
    expect((await rejected(cleanUp(fake)({}, 'failed', execution))).message).toContain(
      `${volumeId} (creating)`,
    );
    await untilDone(fake, {}, 'failed');
    expect(fake.changes.at(-1)).toBe(`deleteVolume ${volumeId}`);
  });

  test('deletes snapshot and image although the instance is still going', async () => {
    const { fake, state } = await built();
    await rejected(cleanUp(fake)(state, 'failed', execution));
    expect(fake.heldImages.size).toBe(0);
    expect(fake.heldSnapshots.has(state.snapshot.snapshotId)).toBe(false);
  });

  test.each(['instances.terminate', 'volumes.delete', 'images.deregister', 'snapshots.delete'])(
    'lets an error of %s pass untouched, for a retry',
    async (call) => {
      const { fake, state } = await built();
      const failure = awsError('RequestLimitExceeded');
      if (call === 'instances.terminate') {
        fake.failures.set(call, failure);
        await expect(cleanUp(fake)(state, 'failed', execution)).rejects.toBe(failure);
      } else {
        fake.end(state.worker.instanceId, '');
        fake.failures.set(call, failure);
        await expect(cleanUp(fake)(state, 'failed', execution)).rejects.toBe(failure);
      }
      await untilDone(fake, state, 'failed');
      fake.settle();
      expect(await fake.volumes.findByBuild(BUILD)).toEqual([]);
      expect(await fake.snapshots.findByBuild(BUILD)).toEqual([]);
      expect(await fake.images.findByBuild(BUILD)).toEqual([]);
    },
  );

  describe('of the windows road', () => {
    const made = async () => {
      const { fake, windows, image, held, instance } = await madeOfWindows();
      for (const file of imageRecords) {
        fake.objects.set(artifactKey(BUILD, file), { body: file, contentType: 'application/octet-stream' });
      }
      const delivered = { snapshotId: held.rootSnapshotId ?? '', startedAt: fake.time };
      return { fake, instance, image, windows, state: { windows, image, snapshot: delivered } };
    };
    const things = ({ heldVolumes, heldSnapshots, heldImages }: FakeAccount) => [
      ...[...heldVolumes.values()]
        .filter(({ state }) => state !== 'deleting')
        .map(({ volumeId }) => volumeId),
      ...heldSnapshots.keys(),
      ...heldImages.keys(),
    ];

    test('keeps what CreateImage has made, and nothing of what it was made of', async () => {
      const { fake, state } = await made();
      await untilDone(fake, state, 'succeeded');
      expect(alive(fake)).toEqual([]);
      expect(things(fake)).toEqual([state.snapshot.snapshotId, state.image.imageId]);
    });

    test.each(['running', 'stopping', 'stopped'] as const)(
      'after a failure leaves nothing of a %s Windows',
      async (now) => {
        const { fake, state, instance } = await made();
        instance.state = now;
        await untilDone(fake, state, 'failed');
        expect(alive(fake)).toEqual([]);
        expect(things(fake)).toEqual([]);
      },
    );

    test('finds by id what searches by tag do not see yet', async () => {
      const { fake, windows, image } = await made();
      fake.hidden.add(windows.instanceId).add(windows.volumeId).add(image.imageId).add(windows.snapshotId);
      for (const id of fake.heldSnapshots.keys()) fake.hidden.add(id);
      await untilDone(fake, { windows, image }, 'failed');
      expect(alive(fake)).toEqual([]);
      expect(things(fake)).toEqual([]);
    });
  });
});
