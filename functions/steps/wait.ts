import * as z from 'zod/mini';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { Instances, Snapshots, Volumes } from '../../core/ports.ts';
import { beginWaiting, noteSeen, within } from '../../core/waiting.ts';

/** What a WaitFor… state waits for, but for those that judge what they see. */
const awaited = z.enum(['worker-running', 'snapshot']);
type Awaited = z.output<typeof awaited>;

const before = z.partial(z.pick(buildState, { worker: true, snapshot: true, waiting: true }));

export const waitStep = {
  name: 'wait',
  input: z.extend(z.pick(buildState, { plan: true }), before.shape),
  output: z.pick(buildState, { waiting: true }),
  options: z.object({ for: awaited }),
};

type WaitInput = z.output<typeof waitStep.input>;
type WaitOutput = z.output<typeof waitStep.output>;
type Waiting = BuildState['waiting'];

interface WaitDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
}

const MINUTE = 60_000;

/** Instances start within two minutes or not at all; FreeBSD's slowest measured start was 24 s. */
const RUNNING_LIMIT = 5 * MINUTE;
/** A volume is listed within seconds of its creation ("eventual consistency", EC2 API Reference). */
const VANISHED_AFTER = MINUTE;
/** A first snapshot of a few GB takes minutes; EBS promises nothing, and users saw hours for hundreds of GB. */
const SNAPSHOT_LIMIT = 120 * MINUTE;

const fail = (
  code: ConstructorParameters<typeof FactoryError>[0],
  message: string,
  remedy: string,
): FactoryError => new FactoryError(code, { message, remedy });

/** Looks once at what is awaited and says whether it is ready. The state machine sleeps between looks. */
export const wait = (dependencies: WaitDependencies) => {
  const { instances, volumes, snapshots, clock } = dependencies;

  const look = (waiting: Waiting, seen: string): Waiting => noteSeen(waiting, seen, clock.now());

  const withinLimit = (waiting: Waiting, limit: number, what: string): Waiting =>
    within(waiting, clock.now(), limit, what);

  async function workerRunning({ plan, worker }: WaitInput, waiting: Waiting): Promise<WaitOutput> {
    const { instanceId, volumeId } = required(worker, 'worker');
    const instance = await instances.describe(instanceId);
    const volume = volumeId === undefined ? undefined : await volumes.describe(volumeId);
    if (volume?.state === 'error') {
      throw fail(
        'VolumeFailed',
        `${volumeId} could not be created`,
        'build again; if it recurs, see AWS Health.',
      );
    }
    if (instance && !['pending', 'running'].includes(instance.state)) {
      throw fail(
        'WorkerDied',
        `${instanceId} went to ${instance.state} while it started: ${instance.stateReason || 'no reason given'}`,
        "see StateReason's code in the EC2 User Guide, Troubleshoot instance launch issues.",
      );
    }
    if (
      plan.encryption &&
      volumeId !== undefined &&
      volume === undefined &&
      clock.now() - waiting.since > VANISHED_AFTER
    ) {
      throw fail(
        'VolumeFailed',
        `${volumeId} has vanished: EC2 takes a volume away whose KMS key it may not use`,
        'see that image.encryption.kmsKey exists in this region and is enabled, that its policy lets this account use it, and that it is among kmsKeys of the deployment.',
      );
    }
    const has = volumeId === undefined || volume?.state === 'available';
    const ready = instance?.state === 'running' && has;
    const beside = volumeId === undefined ? 'no volume' : `volume ${volume?.state ?? 'unknown'}`;
    const seen = look(waiting, `${instance?.state ?? 'unknown'} with ${beside}`);
    return { waiting: withinLimit({ ...seen, ready }, RUNNING_LIMIT, instanceId) };
  }

  async function snapshotCompleted({ snapshot }: WaitInput, waiting: Waiting): Promise<WaitOutput> {
    const { snapshotId } = required(snapshot, 'snapshot');
    const found = await snapshots.describe(snapshotId);
    if (found?.state === 'error') {
      throw fail(
        'SnapshotFailed',
        `${snapshotId} failed: ${found.stateMessage || 'no reason given'}`,
        'build again.',
      );
    }
    const seen = look(waiting, found?.state ?? 'unknown');
    return {
      waiting: withinLimit({ ...seen, ready: found?.state === 'completed' }, SNAPSHOT_LIMIT, snapshotId),
    };
  }

  const looks = {
    'worker-running': workerRunning,
    snapshot: snapshotCompleted,
  } as const satisfies Record<Awaited, unknown>;

  return (what: Awaited, state: WaitInput): Promise<WaitOutput> =>
    looks[what](state, beginWaiting(state.waiting, clock.now()));
};
