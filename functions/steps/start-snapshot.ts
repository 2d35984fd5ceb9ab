import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { buildTags, clientToken, tagKey } from '../../core/names.ts';
import { ownSnapshot } from '../../core/own-snapshot.ts';
import type { SnapshotBlocks, Snapshots } from '../../core/ports.ts';

export const startSnapshotStep = {
  name: 'start-snapshot',
  input: z.pick(buildState, { plan: true, worker: true }),
  output: z.pick(buildState, { snapshot: true }),
  options: z.object({}),
};

interface StartSnapshotDependencies {
  readonly snapshots: Snapshots;
  readonly blocks: Pick<SnapshotBlocks, 'start'>;
  readonly clock: Clock;
}

/** Begins the snapshot that the worker's blocks go into; goes on with the one that an earlier try has begun. */
export const startSnapshot =
  ({ snapshots, blocks, clock }: StartSnapshotDependencies) =>
  async ({ plan, worker }: Pick<BuildState, 'plan' | 'worker'>): Promise<Pick<BuildState, 'snapshot'>> => {
    const { build } = plan;
    const { launchedAt } = worker;
    const found = await snapshots.findByBuild(build);
    // EBS gives up what nobody writes to for an hour. CleanUp takes it away.
    const alive = found.filter(({ state }) => state !== 'error');
    const existing = ownSnapshot(alive, { build, launchedAt });
    if (existing !== undefined) {
      return { snapshot: { snapshotId: existing.snapshotId, startedAt: clock.now() } };
    }
    const failed = found.map(({ snapshotId }) => snapshotId).sort();
    const { snapshotId } = await blocks.start({
      // A token whose snapshot has failed returns the failed one. The instance is of this execution and of no other.
      clientToken: clientToken(plan.build, 'blocks', worker.instanceId, ...failed),
      sizeGiB: plan.rootSizeGiB,
      description: plan.image.name,
      encryption: plan.encryption,
      tags: {
        ...plan.image.tags,
        ...buildTags(plan.build, 'snapshot'),
        [tagKey.name]: plan.image.name,
      },
    });
    return { snapshot: { snapshotId, startedAt: clock.now() } };
  };
