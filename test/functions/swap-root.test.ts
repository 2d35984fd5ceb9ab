import { beforeEach, describe, expect, test } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { createImage } from '../../functions/steps/create-image.ts';
import { swapRoot } from '../../functions/steps/swap-root.ts';
import { rejected } from '../core/caught.ts';
import { launchedWindows, windowsPlan } from './builds.ts';
import { awsError, type FakeAccount, type HeldInstance, windowsProperties } from './fake-account.ts';

const MINUTE = 60_000;

let fake: FakeAccount;
let windows: BuildState['windows'];
let instance: HeldInstance;
let waiting: BuildState['waiting'] | undefined;
beforeEach(async () => {
  ({ fake, windows, instance } = await launchedWindows());
  waiting = undefined;
});

const look = async () => {
  const state = { plan: windowsPlan, windows, ...(waiting === undefined ? {} : { waiting }) };
  ({ waiting } = await swapRoot(fake)(state));
  return waiting;
};

/** Looks until it is ready, as the state machine does; the account moves on in between. */
async function swap(between: () => void = () => fake.settle()): Promise<string[]> {
  const seen: string[] = [];
  for (let n = 0; n < 1000; n++) {
    const { ready, seen: now } = await look();
    if (seen.at(-1) !== now) seen.push(now);
    if (ready) return seen;
    between();
    fake.time += 5000;
  }
  throw new Error(`never ready: ${seen.join('; ')}`);
}

const root = () => [...fake.heldVolumes.values()].find(({ attachedTo }) => attachedTo !== undefined);
const volumes = () => [...fake.heldVolumes.values()].filter(({ state }) => state !== 'deleting');

const createsImage = () => createImage(fake)({ plan: windowsPlan, windows });

describe('swap-root', () => {
  test('stops Windows, deletes its root and puts the disk in its place, to go with the instance', async () => {
    const before = root()?.volumeId;
    const seen = await swap();
    expect(seen.at(-1)).toBe('swapped');
    expect(instance.state).toBe('stopped');
    expect(volumes()).toHaveLength(1);
    expect(root()).toMatchObject({
      volumeId: windows.volumeId,
      attachedTo: { device: '/dev/sda1', deleteOnTermination: true, state: 'attached' },
    });
    expect(fake.changes.slice(-5)).toEqual([
      `stop ${windows.instanceId}`,
      `detach ${before}`,
      `deleteVolume ${before}`,
      `attach ${windows.volumeId}`,
      `deleteOnTermination ${windows.volumeId}`,
    ]);
  });

  test('takes whichever name the instance has for its root', async () => {
    ({ fake, windows, instance } = await launchedWindows({ ...windowsProperties, RootDeviceName: 'xvda' }));
    await swap();
    expect(root()?.attachedTo?.device).toBe('xvda');
  });

  test('goes on from wherever an earlier call ended: every answer is lost once', async () => {
    const calls = ['instances.stop', 'volumes.detach', 'volumes.delete', 'volumes.attach'] as const;
    const lost = new Set<string>();
    for (const call of [...calls, 'instances.deleteOnTermination'] as const) {
      const [port, method] = call.split('.') as ['volumes', 'attach'];
      const real = fake[port][method].bind(fake[port]) as (...args: unknown[]) => Promise<void>;
      Object.assign(fake[port], {
        [method]: async (...args: unknown[]) => {
          await real(...args);
          if (lost.has(call)) return;
          lost.add(call);
          throw awsError('TimeoutError');
        },
      });
    }
    const failed: string[] = [];
    for (let n = 0; n < 40 && !waiting?.ready; n++) {
      await look().catch((error: Error) => failed.push(error.name));
      fake.settle();
    }
    expect(failed).toEqual(Array(5).fill('TimeoutError'));
    expect(waiting?.ready).toBe(true);
    expect(volumes()).toHaveLength(1);
  });

  test('waits while the account does not show the instance or its disk yet', async () => {
    const held = fake.heldInstances.get(windows.instanceId);
    fake.heldInstances.delete(windows.instanceId);
    expect(await look()).toMatchObject({ ready: false, seen: 'the instance is unknown' });
    if (held) fake.heldInstances.set(windows.instanceId, held);
    await swap();
  });

  test('stops one that somebody has started before the disk was in it', async () => {
    let started = false;
    await swap(() => {
      fake.settle();
      if (instance.state !== 'stopped' || started) return;
      fake.start(windows.instanceId);
      started = true;
    });
    expect(started).toBe(true);
    expect(instance.state).toBe('stopped');
  });

  test.each(['running', 'stopped'] as const)(
    'fails when it was started with the disk in it, and is %s now',
    async (state) => {
      await swap();
      waiting = undefined;
      fake.time += MINUTE;
      fake.start(windows.instanceId);
      instance.state = state;
      const error = await rejected(look());
      expect(error.name).toBe('RootSwapDisturbed');
      expect(error.message).toContain(windows.volumeId);
      expect((await rejected(createsImage())).name).toBe('RootSwapDisturbed');
    },
  );

  test('fails when the disk is another’s or deleted', async () => {
    const disk = fake.heldVolumes.get(windows.volumeId);
    if (!disk) throw new Error('no disk');
    disk.attachedTo = {
      instanceId: 'i-0f',
      device: '/dev/sdf',
      state: 'attached',
      deleteOnTermination: false,
      attachedAt: 0,
    };
    expect((await rejected(look())).message).toContain('i-0f');
    delete disk.attachedTo;
    disk.state = 'deleting';
    expect((await rejected(look())).name).toBe('RootSwapDisturbed');
  });

  test('fails when the disk cannot be made', async () => {
    const disk = fake.heldVolumes.get(windows.volumeId);
    if (disk) disk.state = 'error';
    const error = await rejected(look());
    expect(error.name).toBe('VolumeFailed');
    expect(error.message).toContain(windows.snapshotId);
  });

  test.each(['shutting-down', 'terminated'] as const)('fails when Windows is %s', async (state) => {
    fake.end(windows.instanceId, 'Server.SpotInstanceTermination: because');
    instance.state = state;
    const error = await rejected(look());
    expect(error.name).toBe('WindowsDied');
    expect(error.message).toContain('because');
  });

  test.each([
    ['never runs', () => instance.state === 'pending', 'pending'],
    ['never stops', () => instance.state === 'stopping', 'stopping'],
  ])('ends after a quarter of an hour when Windows %s', async (_what, stuck, state) => {
    instance.state = 'pending';
    const since = fake.time;
    const error = await rejected(
      swap(() => {
        if (!stuck()) fake.settle();
      }),
    );
    expect(error.name).toBe('WaitTimedOut');
    expect(error.message).toContain(state);
    expect((fake.time - since) / MINUTE).toBeGreaterThan(15);
    expect((fake.time - since) / MINUTE).toBeLessThan(16);
  });

  test('ends after three quarters of an hour when it stops and runs again and again', async () => {
    const since = fake.time;
    const error = await rejected(
      swap(() => {
        instance.state = waiting?.seen === 'the instance is running' ? 'stopping' : 'running';
      }),
    );
    expect(error.name).toBe('WaitTimedOut');
    expect((fake.time - since) / MINUTE).toBeGreaterThan(45);
    expect((fake.time - since) / MINUTE).toBeLessThan(46);
  });
});

describe('create-image', () => {
  test('makes the image of the instance, with the tags of the build on it and on its snapshot', async () => {
    await swap();
    const { image } = await createsImage();
    const held = fake.heldImages.get(image.imageId);
    expect(held).toMatchObject({ name: windowsPlan.image.name, tags: windowsPlan.image.tags });
    expect(fake.heldSnapshots.get(held?.rootSnapshotId ?? '')).toMatchObject({
      volumeId: windows.volumeId,
      tags: {
        ...windowsPlan.image.tags,
        'ami-foundry:build': windowsPlan.build,
        'ami-foundry:role': 'snapshot',
      },
    });
  });

  test('again takes the image that it made before', async () => {
    await swap();
    expect(await createsImage()).toEqual(await createsImage());
    expect(fake.heldImages.size).toBe(1);
  });

  test('of an instance whose root is not the disk is RootSwapDisturbed', async () => {
    const error = await rejected(createsImage());
    expect(error.name).toBe('RootSwapDisturbed');
    expect(error.message).toContain(root()?.volumeId);
  });

  test('lets errors of CreateImage pass untouched', async () => {
    await swap();
    const failure = awsError('IncorrectState');
    fake.failures.set('images.createFromInstance', failure);
    await expect(createsImage()).rejects.toBe(failure);
  });
});
