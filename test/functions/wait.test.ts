import { beforeEach, describe, expect, test } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { wait, waitStep } from '../../functions/steps/wait.ts';
import { rejected } from '../core/caught.ts';
import { launched, plan } from './builds.ts';

type State = Parameters<ReturnType<typeof wait>>[1];
type Awaited = Parameters<ReturnType<typeof wait>>[0];

const MINUTE = 60_000;

let { fake, worker, instance, volume } = await launched();
let state: State;
beforeEach(async () => {
  ({ fake, worker, instance, volume } = await launched());
  state = { plan, worker };
});

/** One look, with the state handed on as the state machine does. */
const look = async (what: Awaited): Promise<State> => {
  const output = await wait(fake)(what, state);
  expect(waitStep.output.safeParse(output).error).toBeUndefined();
  state = { ...state, ...output } as State;
  return state;
};

/** Looks every five seconds until it is ready or fails. */
const poll = async (what: Awaited, every = 8_000, most = 20_000): Promise<State> => {
  for (let looks = 0; looks < most; looks++) {
    if ((await look(what)).waiting?.ready) return state;
    fake.time += every;
  }
  throw new Error(`not ready after ${most} looks`);
};

const minutes = (since: number) => (fake.time - since) / MINUTE;

describe('waiting for the worker to run', () => {
  test('is ready when the instance runs and the volume is available', async () => {
    instance.state = 'pending';
    volume.state = 'creating';
    expect((await look('worker-running')).waiting).toMatchObject({
      ready: false,
      seen: 'pending with volume creating',
    });
    instance.state = 'running';
    expect((await look('worker-running')).waiting?.ready).toBe(false);
    volume.state = 'available';
    expect((await look('worker-running')).waiting?.ready).toBe(true);
  });

  test('tells of a key when an encrypted volume has vanished', async () => {
    state = { plan: { ...plan, encryption: { kmsKeyId: 'alias/images' } }, worker };
    fake.heldVolumes.clear();
    expect((await look('worker-running')).waiting?.ready).toBe(false);
    fake.time += 61_000;
    const error = await rejected(look('worker-running'));
    expect(error.name).toBe('VolumeFailed');
    expect(error.message).toContain('KMS key');
  });

  test('bears with an instance and a volume that EC2 does not know yet', async () => {
    fake.heldInstances.clear();
    fake.heldVolumes.clear();
    expect((await look('worker-running')).waiting).toMatchObject({
      ready: false,
      seen: 'unknown with volume unknown',
    });
  });

  test('ends when the instance dies, with the reason of EC2', async () => {
    fake.end(worker.instanceId, 'Client.InvalidSnapshot.NotFound: The snapshot does not exist');
    const error = await rejected(look('worker-running'));
    expect(error.name).toBe('WorkerDied');
    expect(error.message).toContain('terminated while it started: Client.InvalidSnapshot.NotFound');
  });

  test('ends when the volume fails', async () => {
    volume.state = 'error';
    expect((await rejected(look('worker-running'))).name).toBe('VolumeFailed');
  });

  test('ends after five minutes, not before', async () => {
    instance.state = 'pending';
    const since = fake.time;
    const error = await rejected(poll('worker-running'));
    expect(error.name).toBe('WaitTimedOut');
    expect(error.message).toContain(`${worker.instanceId} is still pending`);
    expect(minutes(since)).toBeGreaterThan(5);
    expect(minutes(since)).toBeLessThan(5.2);
  });
});

const snapshotted = async (settled: boolean) => {
  const { snapshotId } = await fake.snapshots.create(worker.volumeId, 'x', {});
  if (settled) fake.settle();
  const held = fake.heldSnapshots.get(snapshotId);
  if (!held) throw new Error('no snapshot');
  state = { ...state, snapshot: { snapshotId, startedAt: fake.time } };
  return held;
};

describe('waiting for the snapshot', () => {
  test('is ready when it is completed', async () => {
    const held = await snapshotted(false);
    expect((await look('snapshot')).waiting).toMatchObject({ ready: false, seen: 'pending' });
    held.state = 'completed';
    expect((await look('snapshot')).waiting?.ready).toBe(true);
  });

  test('ends when it fails, with what EC2 says', async () => {
    const held = await snapshotted(false);
    Object.assign(held, { state: 'error', stateMessage: 'Given key ID is not accessible' });
    const error = await rejected(look('snapshot'));
    expect(error.name).toBe('SnapshotFailed');
    expect(error.message).toContain('Given key ID is not accessible');
  });

  test('ends after two hours', async () => {
    await snapshotted(false);
    const since = fake.time;
    expect((await rejected(poll('snapshot'))).name).toBe('WaitTimedOut');
    expect(minutes(since)).toBeGreaterThan(120);
    expect(minutes(since)).toBeLessThan(121);
  });
});

describe('a wait without what it is about', () => {
  test.each<[Awaited, keyof BuildState]>([
    ['worker-running', 'worker'],
    ['snapshot', 'snapshot'],
  ])('for %s is InvalidState that names %s', async (what, field) => {
    state = { plan };
    const error = await rejected(look(what));
    expect(error.name).toBe('InvalidState');
    expect(error.message).toContain(field);
  });
});
