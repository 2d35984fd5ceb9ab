import * as z from 'zod/mini';
import { inRegions } from '../../core/at-once.ts';
import { type BuildState, buildState, type Execution } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { PublicationPorts } from '../../core/flips.ts';
import { journals } from '../../core/journals.ts';
import { tagKey } from '../../core/names.ts';
import type { Image, Images, Records, Regional, Snapshots } from '../../core/ports.ts';
import { putBack } from '../../core/put-back.ts';
import { reserve, resumableUntil } from '../../core/resumable.ts';

export const rollBackStep = {
  name: 'roll-back',
  input: z.extend(
    z.pick(buildState, { plan: true }),
    z.partial(z.pick(buildState, { distribution: true })).shape,
  ),
  output: z.pick(buildState, { rolledBack: true }),
  options: z.object({
    /** False when surely no function of this publication goes on: then a journal that was only opened goes at once. */
    shown: z._default(z.boolean(), true),
  }),
};

interface RegionPorts extends PublicationPorts {
  readonly images: Images;
  readonly snapshots: Snapshots;
}

interface RollBackDependencies {
  readonly regions: Regional<RegionPorts>;
  readonly records: Records;
  readonly clock: Clock;
  readonly pause: (milliseconds: number) => Promise<unknown>;
  readonly settings: { readonly RESUMABLE_HOURS: number };
}

/**
 * After a failure of Distribute or Publish: gives readers back what they saw before, in all regions; then sees to the copies. Those that
 * were verified wait for the next attempt, all others of this build go. Safe to run again, and forgiving of absence.
 */
export const rollBack =
  ({ regions, records, clock, pause, settings }: RollBackDependencies) =>
  async (
    { plan, distribution }: z.output<typeof rollBackStep.input>,
    { startTime }: Execution,
    { shown }: z.output<typeof rollBackStep.options> = { shown: true },
  ): Promise<Pick<BuildState, 'rolledBack'>> => {
    const { build } = plan;
    const kept = journals(records);
    const journal = await kept.read(build);
    if (journal?.execution === startTime) {
      const stuck = await putBack({ regions, pause }, journal);
      if (stuck.length > 0) {
        throw new FactoryError('RollBackIncomplete', {
          message: `readers of these regions do not see again what they saw before:\n${stuck.map(({ region, why }) => `- ${region}: ${why}`).join('\n')}`,
          remedy:
            'the reaper tries again every quarter of an hour, from the journal in the artifacts bucket; what AWS refuses for good must be put back by hand.',
        });
      }
      if (!journal.begun && !shown) await kept.close(build);
      // Any other journal stays: what AWS was asked for may take effect after this. The reaper looks again, and closes it after the grace period.
    }

    // An execution of this name may have delivered before: names come free after 90 days (StartExecution).
    const ofThisExecution = ({ startedAt }: { readonly startedAt?: number | undefined }) =>
      startedAt === undefined || startedAt >= Date.parse(startTime);
    const places = plan.distribution?.regions ?? [];
    const results = await inRegions(places, async ({ region }) => {
      const { images, snapshots } = regions(region);
      const copy = distribution?.copies.find((one) => one.region === region);
      const verified = copy?.saw === 'agreed';
      const spared = new Set<string>();
      const result: BuildState['rolledBack'] = { kept: [], removed: [] };
      // EC2 may not say which snapshot is that of a copy under way: then none goes.
      let unsaid = false;
      const own = await ofBuild(images, build, copy?.imageId ?? undefined);
      for (const image of own.filter(ofThisExecution)) {
        const wanted = verified && image.imageId === copy.imageId && settings.RESUMABLE_HOURS > 0;
        // Reserved: another build relies on it.
        if (wanted || resumableUntil(image.tags) > clock.now()) {
          if (wanted) await reserve(images, image, clock.now() + settings.RESUMABLE_HOURS * 3_600_000);
          if (image.rootSnapshotId === undefined) unsaid = true;
          else spared.add(image.rootSnapshotId);
          result.kept.push(image.imageId);
          continue;
        }
        await images.deregister(image.imageId);
        result.removed.push(image.imageId);
      }
      for (const { snapshotId } of (await snapshots.findByBuild(build)).filter(ofThisExecution)) {
        if (unsaid || spared.has(snapshotId)) continue;
        await snapshots.delete(snapshotId);
        result.removed.push(snapshotId);
      }
      return result;
    });
    return {
      rolledBack: {
        kept: results.flatMap((one) => one.kept),
        removed: results.flatMap((one) => one.removed),
      },
    };
  };

/** Found by tag; and by its id, because a search may not see yet what was made a moment ago. */
async function ofBuild(images: Images, build: string, known: string | undefined): Promise<Image[]> {
  const found = await images.findByBuild(build);
  if (known === undefined || found.some(({ imageId }) => imageId === known)) return found;
  const one = await images.describe(known);
  // What was taken over from another build is that one's.
  return one?.tags[tagKey.build] === build ? [...found, one] : found;
}
