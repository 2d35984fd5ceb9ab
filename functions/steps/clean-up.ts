import * as z from 'zod/mini';
import { buildState, type Execution } from '../../core/build-state.ts';
import { FactoryError } from '../../core/errors.ts';
import type { Images, Instances, Snapshots, Volumes } from '../../core/ports.ts';

export const cleanUpStep = {
  name: 'clean-up',
  input: z.partial(z.pick(buildState, { worker: true, snapshot: true })),
  output: z.pick(buildState, { cleaned: true }),
  options: z.object({ outcome: z.enum(['succeeded', 'failed']) }),
};

interface CleanUpDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly images: Images;
}

/**
 * Removes what the build made and does not deliver: all of it after a failure, all but image and snapshot after success.
 * Finds by tag as well as by id, because a create whose answer was lost has left only its tags. Forgiving of absence.
 * Order keeps a retry possible: instances, volumes, images, then the snapshots that images hold.
 */
export const cleanUp =
  ({ instances, volumes, snapshots, images }: CleanUpDependencies) =>
  async (
    state: z.output<typeof cleanUpStep.input>,
    outcome: z.output<typeof cleanUpStep.options>['outcome'],
    { name: build }: Execution,
  ): Promise<z.output<typeof cleanUpStep.output>> => {
    const workers = await instances.findByBuild(build);
    const alive = workers.filter(({ state }) => state !== 'terminated').map(({ instanceId }) => instanceId);
    await instances.terminate(union(alive, state.worker?.instanceId));

    const disks = (await volumes.findByBuild(build)).filter(({ state }) => state !== 'deleted');
    const busy: string[] = [];
    for (const { volumeId, state: volumeState } of disks) {
      // What is attached comes free, or goes away with its instance, when the termination is through: a root volume
      // refuses to be detached before.
      if (volumeState === 'available' || volumeState === 'error') await volumes.delete(volumeId);
      else if (volumeState !== 'deleting') busy.push(`${volumeId} (${volumeState})`);
    }
    const ending = (await instances.findByBuild(build)).filter(({ state }) => state !== 'terminated');
    busy.push(...ending.map(({ instanceId, state }) => `${instanceId} (${state})`));

    const failed = outcome === 'failed';
    const doomedImages = failed ? (await images.findByBuild(build)).map(({ imageId }) => imageId) : [];
    for (const imageId of doomedImages) await images.deregister(imageId);
    const allSnapshots = (await snapshots.findByBuild(build)).map(({ snapshotId }) => snapshotId);
    const doomedSnapshots = failed
      ? allSnapshots
      : allSnapshots.filter((snapshotId) => snapshotId !== state.snapshot?.snapshotId);
    for (const snapshotId of doomedSnapshots) await snapshots.delete(snapshotId);

    if (busy.length > 0) {
      throw new FactoryError('StillTerminating', {
        message: `build ${build} still has ${busy.join(', ')}`,
        remedy: 'nothing: the state machine tries again.',
      });
    }
    return {
      cleaned: {
        instances: workers.map(({ instanceId }) => instanceId),
        volumes: union(
          disks.map(({ volumeId }) => volumeId),
          state.worker?.volumeId,
        ),
        snapshots: doomedSnapshots,
        images: doomedImages,
      },
    };
  };

const union = (ids: readonly string[], id: string | undefined): string[] => [
  ...new Set(id === undefined ? ids : [...ids, id]),
];
