import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { buildTags, tagKey } from '../../core/names.ts';
import type { Snapshots, Volumes } from '../../core/ports.ts';

export const snapshotStep = {
  name: 'snapshot',
  input: z.pick(buildState, { plan: true, worker: true }),
  output: z.pick(buildState, { snapshot: true }),
  options: z.object({}),
};

interface SnapshotDependencies {
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
}

/** Takes the volume from the worker, which has let it go in its report, and starts its snapshot. */
export const snapshot =
  ({ volumes, snapshots, clock }: SnapshotDependencies) =>
  async ({ plan, worker }: Pick<BuildState, 'plan' | 'worker'>): Promise<Pick<BuildState, 'snapshot'>> => {
    const [existing, another] = await snapshots.findByBuild(plan.build);
    if (another !== undefined) {
      throw new FactoryError('AmbiguousResource', {
        message: `build ${plan.build} has two snapshots: ${existing?.snapshotId} and ${another.snapshotId}`,
        remedy: 'delete both and build again.',
      });
    }
    if (existing !== undefined) {
      return { snapshot: { snapshotId: existing.snapshotId, startedAt: clock.now() } };
    }
    await volumes.detach(worker.volumeId);
    const volume = await volumes.describe(worker.volumeId);
    if (volume?.state !== 'available') {
      throw new FactoryError('VolumeBusy', {
        message: `${worker.volumeId} is ${volume?.state ?? 'not found'}, not available, after its detachment was asked for`,
        remedy: 'nothing: the state machine tries again.',
      });
    }
    const { snapshotId } = await snapshots.create(worker.volumeId, plan.image.name, {
      ...plan.image.tags,
      ...buildTags(plan.build, 'snapshot'),
      [tagKey.name]: plan.image.name,
    });
    return { snapshot: { snapshotId, startedAt: clock.now() } };
  };
