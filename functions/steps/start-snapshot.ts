import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { buildTags, clientToken, tagKey } from '../../core/names.ts';
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
    // Not one of an earlier execution of this name (names come free after 90 days): it holds another disk.
    const found = (await snapshots.findByBuild(plan.build)).filter(
      ({ startedAt }) => startedAt === undefined || startedAt >= worker.launchedAt,
    );
    // EBS gives up what nobody writes to for an hour. CleanUp takes it away.
    const [existing, another] = found.filter(({ state }) => state !== 'error');
    if (another !== undefined) {
      throw new FactoryError('AmbiguousResource', {
        message: `build ${plan.build} has two snapshots: ${existing?.snapshotId} and ${another.snapshotId}`,
        remedy: 'delete both and build again.',
      });
    }
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
