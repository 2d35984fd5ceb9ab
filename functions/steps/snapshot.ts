import * as z from 'zod/mini';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { buildTags, tagKey } from '../../core/names.ts';
import { ownSnapshot } from '../../core/own-snapshot.ts';
import type { Instances, Snapshots, Volumes } from '../../core/ports.ts';

export const snapshotStep = {
  name: 'snapshot',
  input: z.pick(buildState, { plan: true, worker: true }),
  output: z.pick(buildState, { snapshot: true }),
  options: z.object({}),
};

interface SnapshotDependencies {
  readonly instances: Pick<Instances, 'terminate'>;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
}

/**
 * Half a minute of patience with a detachment. A guest that does not answer the ejection keeps a volume `busy` (EBS User Guide,
 * "Detach an Amazon EBS volume"); an instance that ends gives it up, and the worker has flushed all it had to write.
 */
const RETRIES_BEFORE_TERMINATION = 6;

/** Takes the volume from the worker, which has let it go in its report, and starts its snapshot. */
export const snapshot =
  ({ instances, volumes, snapshots, clock }: SnapshotDependencies) =>
  async (
    { plan, worker }: Pick<BuildState, 'plan' | 'worker'>,
    retryCount: number,
  ): Promise<Pick<BuildState, 'snapshot'>> => {
    const volumeId = required(worker.volumeId, 'worker.volumeId');
    const { build } = plan;
    const { instanceId, launchedAt } = worker;
    const existing = ownSnapshot(await snapshots.findByBuild(build), { build, launchedAt });
    if (existing !== undefined) {
      return { snapshot: { snapshotId: existing.snapshotId, startedAt: clock.now() } };
    }
    let volume = await volumes.describe(volumeId);
    if (volume?.state === 'in-use') {
      await volumes.detach(volumeId);
      volume = await volumes.describe(volumeId);
    }
    if (volume?.state !== 'available') {
      if (volume?.state === 'in-use' && retryCount >= RETRIES_BEFORE_TERMINATION) {
        await instances.terminate([instanceId]);
      }
      throw new FactoryError('VolumeBusy', {
        message: `${volumeId} is ${volume?.state ?? 'not found'}, not available, after its detachment was asked for`,
        remedy: 'nothing: the state machine tries again.',
      });
    }
    const { snapshotId } = await snapshots.create(volumeId, plan.image.name, {
      ...plan.image.tags,
      ...buildTags(plan.build, 'snapshot'),
      [tagKey.name]: plan.image.name,
    });
    return { snapshot: { snapshotId, startedAt: clock.now() } };
  };
