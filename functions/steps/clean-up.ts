import * as z from 'zod/mini';
import { buildState, type Execution } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { artifactKey, imageRecordKey, imageRecords } from '../../core/names.ts';
import type { Artifacts, Images, Instances, Snapshots, Volumes } from '../../core/ports.ts';
import { resumableUntil } from '../../core/resumable.ts';

export const cleanUpStep = {
  name: 'clean-up',
  input: z.partial(
    z.pick(buildState, {
      worker: true,
      snapshot: true,
      windows: true,
      image: true,
      bootTest: true,
      salvaged: true,
    }),
  ),
  output: z.pick(buildState, { cleaned: true }),
  options: z.object({ outcome: z.enum(['succeeded', 'failed']) }),
};

interface CleanUpDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly images: Images;
  readonly artifacts: Artifacts;
  readonly clock: Clock;
}

/**
 * Removes what the build made and does not deliver: all of it after a failure, but for what Salvage has kept, and all but image and snapshot
 * after success.
 * Finds by tag as well as by id, because a create whose answer was lost has left only its tags, and a search by tag may
 * not see yet what was made a moment ago. Forgiving of absence.
 * Keeps the manifest and the SBOM of what is delivered.
 * Order keeps a retry possible: instances, volumes, images, then the snapshots that images hold.
 */
export const cleanUp =
  ({ instances, volumes, snapshots, images, artifacts, clock }: CleanUpDependencies) =>
  async (
    state: z.output<typeof cleanUpStep.input>,
    outcome: z.output<typeof cleanUpStep.options>['outcome'],
    { name: build, startTime }: Execution,
  ): Promise<z.output<typeof cleanUpStep.output>> => {
    const knownInstances = [state.worker, state.windows, ...(state.bootTest?.machines ?? [])];
    const workers = await ofBuild(instances, build, knownInstances, 'instanceId');
    const alive = workers.filter(({ state }) => state !== 'terminated').map(({ instanceId }) => instanceId);
    const kept = new Set(state.salvaged?.kept);
    // The name of an execution comes free after 90 days (StartExecution), at once when the state machine is made anew: what an
    // earlier one delivered carries the same tag, and stays.
    const ofThisExecution = ({ startedAt }: { readonly startedAt?: number | undefined }) =>
      startedAt === undefined || startedAt >= Date.parse(startTime);
    // Not those that have terminated: their tags go away in time, and with them the right to touch them.
    await instances.terminate(alive);

    const found = await ofBuild(volumes, build, [state.worker, state.windows], 'volumeId');
    const disks = found.filter(({ state }) => state !== 'deleted');
    const busy: string[] = [];
    for (const { volumeId, state: volumeState } of disks) {
      // What is attached comes free, or goes away with its instance, when the termination is through: a root volume
      // refuses to be detached before.
      if (volumeState === 'available' || volumeState === 'error') await volumes.delete(volumeId);
      else if (volumeState !== 'deleting') busy.push(`${volumeId} (${volumeState})`);
    }
    const workersNow = await ofBuild(instances, build, knownInstances, 'instanceId');
    const ending = workersNow.filter(({ state }) => state !== 'terminated');
    busy.push(...ending.map(({ instanceId, state }) => `${instanceId} (${state})`));

    const failed = outcome === 'failed';
    // The records of a build go after a month; those of an image stay as long as it may be asked about.
    if (!failed) {
      for (const file of imageRecords)
        await artifacts.copy(artifactKey(state.snapshot?.from ?? build, file), imageRecordKey(build, file));
    }
    const allImages = failed ? await ofBuild(images, build, [state.image], 'imageId') : [];
    // Another build may have adopted the image meanwhile: then it is that one's.
    for (const { imageId, rootSnapshotId, tags } of allImages) {
      if (resumableUntil(tags) <= clock.now()) continue;
      kept.add(imageId);
      if (rootSnapshotId !== undefined) kept.add(rootSnapshotId);
    }
    const doomed = allImages.filter(ofThisExecution).filter(({ imageId }) => !kept.has(imageId));
    const doomedImages = doomed.map(({ imageId }) => imageId);
    for (const imageId of doomedImages) await images.deregister(imageId);
    // CreateImage makes a snapshot too, whose id only its image tells at first.
    const held = doomed.flatMap(({ rootSnapshotId }) =>
      rootSnapshotId === undefined ? [] : { snapshotId: rootSnapshotId },
    );
    const knownSnapshots = [state.snapshot, state.windows, ...held];
    const allSnapshots = (await ofBuild(snapshots, build, knownSnapshots, 'snapshotId'))
      .filter(ofThisExecution)
      .map(({ snapshotId }) => snapshotId)
      .filter((id) => !kept.has(id));
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
          state.windows?.volumeId,
        ),
        snapshots: doomedSnapshots,
        images: doomedImages,
      },
    };
  };

interface Findable<T> {
  findByBuild(build: string): Promise<T[]>;
  describe(id: string): Promise<T | undefined>;
}

/** What carries the build's tag, and what the state knows by its id beside that. */
async function ofBuild<Key extends string, T extends Readonly<Record<Key, string>>>(
  port: Findable<T>,
  build: string,
  known: readonly (Readonly<Partial<Record<Key, string | undefined>>> | undefined)[],
  key: Key,
): Promise<T[]> {
  const found = await port.findByBuild(build);
  for (const id of known.flatMap((each) => each?.[key] ?? [])) {
    const one = found.some((each) => each[key] === id) ? undefined : await port.describe(id);
    if (one !== undefined) found.push(one);
  }
  return found;
}

const union = (ids: readonly string[], ...more: readonly (string | undefined)[]): string[] => [
  ...new Set([...ids, ...more.filter((id) => id !== undefined)]),
];
