import * as z from 'zod/mini';
import { buildState, type Execution } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { errorCatalogue, isOurs } from '../../core/errors.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { artifactKey, bootFileKey, tagKey } from '../../core/names.ts';
import type { Artifacts, ExecutionHistory, Images, Snapshots } from '../../core/ports.ts';
import { reserve } from '../../core/resumable.ts';

export const salvageStep = {
  name: 'salvage',
  input: z.partial(
    z.pick(buildState, {
      plan: true,
      adopted: true,
      worker: true,
      report: true,
      snapshot: true,
      windows: true,
      image: true,
      bootTest: true,
      rolledBack: true,
    }),
  ),
  output: z.pick(buildState, { salvaged: true }),
  /** What the build failed with. */
  options: z.object({ error: z.string(), cause: z.string() }),
};

interface SalvageDependencies {
  readonly snapshots: Snapshots;
  readonly images: Images;
  readonly artifacts: Artifacts;
  readonly history: Pick<ExecutionHistory, 'events'>;
  readonly clock: Clock;
  readonly settings: z.output<(typeof functionEnvironment)['salvage']>;
}

type Known = z.output<typeof salvageStep.input>;

/**
 * Before a failed build is cleaned up: marks what is whole, so that it waits for the next attempt instead of going, and keeps all that tells
 * of the failure in one object of the artifacts bucket.
 */
export const salvage =
  ({ snapshots, images, artifacts, history, clock, settings }: SalvageDependencies) =>
  async (
    state: Known,
    { error, cause }: z.output<typeof salvageStep.options>,
    { name: build, arn, startTime }: Execution,
  ): Promise<z.output<typeof salvageStep.output>> => {
    const until = new Date(clock.now() + settings.RESUMABLE_HOURS * 3_600_000).toISOString();

    /** The image if it has passed its test, else the snapshot that a worker has filled. */
    async function keep(): Promise<string[]> {
      // An image that is not what it should be would not be another time; one that was adopted is not this build's.
      const worthless =
        /^(Boot|ImageMismatch|ImageNotWindows)/.test(error) || (state.adopted ?? null) !== null;
      if (settings.RESUMABLE_HOURS === 0 || worthless) return [];
      const image = state.image && (await images.describe(state.image.imageId));
      if (image?.state === 'available' && image.tags[tagKey.bootTested] !== undefined) {
        // Another build may have adopted it meanwhile, and asked for more.
        await reserve(images, image, Date.parse(until));
        if (image.rootSnapshotId !== undefined) {
          await snapshots.tag(image.rootSnapshotId, tagKey.resumableUntil, until);
        }
        return [image.imageId, ...(image.rootSnapshotId === undefined ? [] : [image.rootSnapshotId])];
      }
      // What CreateImage makes is of an image; the disk that it began with is what another attempt can take.
      const disk = state.windows ?? state.snapshot;
      const snapshot = disk && (await snapshots.describe(disk.snapshotId));
      if (snapshot?.state !== 'completed') return [];
      await snapshots.tag(snapshot.snapshotId, tagKey.resumableUntil, until);
      return [snapshot.snapshotId];
    }

    const kept = await keep();
    const bundle = artifactKey(build, 'failure.json');
    const resume = `foundry resume ${arn}`;
    await artifacts.put(
      artifactKey(build, 'history.json'),
      JSON.stringify(await history.events(arn), null, 1),
      'application/json',
    );
    await artifacts.put(
      bundle,
      JSON.stringify(
        {
          build,
          execution: arn,
          startedAt: startTime,
          failedAt: new Date(clock.now()).toISOString(),
          error,
          cause,
          resume,
          kept,
          until: kept.length > 0 ? until : null,
          files: filesOf(state, build),
          state,
        },
        null,
        2,
      ),
      'application/json',
    );
    const lines = [
      `Evidence: s3://${settings.ARTIFACTS_BUCKET}/${bundle}`,
      ...(kept.length > 0 ? [`Kept until ${until} for the next attempt: ${kept.join(', ')}`] : []),
      // What its author has to change is another recipe, and so another build.
      ...(ofCaller(error, cause) ? [] : [`Resume: ${resume}`]),
    ];
    return { salvaged: { kept, told: `\n\n${lines.join('\n')}` } };
  };

const ofCaller = (error: string, cause: string): boolean =>
  isOurs(error, cause) && errorCatalogue[error].owner === 'caller';

/** Objects that tell more: those that the steps so far have written, or would have. */
const filesOf = ({ worker, bootTest }: Known, build: string): string[] => [
  artifactKey(build, 'history.json'),
  ...(worker ? [artifactKey(build, 'console.log')] : []),
  ...(bootTest?.machines ?? []).flatMap(({ instanceType }) => [
    bootFileKey(build, instanceType, 'log'),
    bootFileKey(build, instanceType, 'jpg'),
  ]),
];
