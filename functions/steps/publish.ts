import * as z from 'zod/mini';
import { inRegions } from '../../core/at-once.ts';
import { type BuildState, buildState, type Execution, regionOf, required } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { flip, type PublicationPorts } from '../../core/flips.ts';
import { journals } from '../../core/journals.ts';
import type { Records, Regional } from '../../core/ports.ts';
import {
  type Flip,
  flipStages,
  type Journal,
  parameterNames,
  permissionsOf,
  toMinute,
} from '../../core/publication.ts';

export const publishStep = {
  name: 'publish',
  input: z.extend(
    z.pick(buildState, { plan: true, distribution: true }),
    z.partial(z.pick(buildState, { adopted: true, image: true, snapshot: true })).shape,
  ),
  output: z.pick(buildState, { publication: true }),
  options: z.object({}),
};

type PublishInput = z.output<typeof publishStep.input>;
type Place = BuildState['publication']['regions'][number];

interface PublishDependencies {
  readonly regions: Regional<PublicationPorts>;
  readonly records: Records;
  readonly clock: Clock;
  readonly pause: (milliseconds: number) => Promise<unknown>;
}

const DAY = 24 * 3_600_000;

/** Public images are deprecated two years after they were made, at the latest (EC2 User Guide, "Deprecate an Amazon EC2 AMI"). */
const PUBLIC_LIMIT = 2 * 365 * DAY;

/**
 * Shows the image to its readers, in all regions. What they saw before is written down first, and once: a second try goes on with what the first
 * one wrote. What fails half way is put back by RollBack.
 */
export const publish =
  ({ regions, records, clock, pause }: PublishDependencies) =>
  async (state: PublishInput, { arn, startTime }: Execution): Promise<Pick<BuildState, 'publication'>> => {
    const { plan } = state;
    const places = placesOf(state, regionOf(arn));
    const kept = journals(records);
    const written = await kept.read(plan.build);
    // Its name may have come again.
    const first = written === undefined || written.execution !== startTime;
    const journal = first ? await describeBefore(plan, places, startTime, regions, clock) : written;
    if (first) await kept.write(journal);

    for (const stage of flipStages(journal)) {
      await inRegions(stage, async (change) => {
        await flip({ regions, pause }, change).catch((error: unknown) => {
          throw explained(change, error);
        });
      });
    }
    return { publication: { at: journal.at, regions: places, parameters: journal.parameters } };
  };

/** The image of every region, the factory's own first. */
function placesOf({ adopted, image, snapshot, distribution }: PublishInput, home: string): Place[] {
  const { imageId } = required(adopted ?? image, 'image');
  const { snapshotId } = required(adopted ?? snapshot, 'snapshot');
  return [
    { region: home, imageId, snapshotId },
    ...distribution.copies.map(({ region, ...copy }) => ({
      region,
      imageId: required(copy.imageId, `distribution of ${region}`),
      snapshotId: required(copy.snapshotId, `distribution of ${region}`),
    })),
  ];
}

async function describeBefore(
  { build, contentDigest, distribution: planned }: BuildState['plan'],
  places: readonly Place[],
  execution: string,
  regions: Regional<PublicationPorts>,
  clock: Clock,
): Promise<Journal> {
  const { share, parameters: path, deprecateAfter } = required(planned, 'plan.distribution');
  const now = clock.now();
  const parameters = path === null ? [] : parameterNames(path, contentDigest);
  const madeAt: number[] = [];
  const before = await inRegions(places, async ({ region, imageId }) => {
    const { images, access, parameters: store } = regions(region);
    const image = required(await images.describe(imageId), `${imageId} in ${region}`);
    madeAt.push(image.startedAt ?? now);
    const values = await Promise.all(
      parameters.map(async (name) => {
        const found = await store.get(name);
        return [name, found ? { value: found.value, version: found.version } : null] as const;
      }),
    );
    return {
      region,
      imageId,
      before: {
        permissions: await access.permissions(imageId),
        deprecatedAt: image.deprecatedAt ?? null,
        parameters: Object.fromEntries(values),
      },
    };
  });
  const latest = share.public ? Math.min(...madeAt) + PUBLIC_LIMIT : Number.POSITIVE_INFINITY;
  return {
    version: 1,
    build,
    execution,
    at: new Date(now).toISOString(),
    share: permissionsOf(share),
    // Counted from now, also for an image that is published again: what `latest` names is not to be deprecated.
    deprecateAt: deprecateAfter === null ? null : toMinute(Math.min(now + deprecateAfter * DAY, latest)),
    parameters: [...parameters],
    regions: before,
  };
}

/** Says where a change failed, by the name that AWS gave it unless there is a better one. */
function explained(change: Flip, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof FactoryError) return error;
  // EC2 says so of public images where block public access for AMIs is on.
  if (change.kind === 'share' && change.add.includes('all') && error.name === 'OperationNotPermitted') {
    return new FactoryError(
      'PublicAccessBlocked',
      {
        message: `${change.imageId} cannot be public in ${change.region}: ${error.message}`,
        remedy:
          'switch block public access for AMIs off in that region (aws ec2 disable-image-block-public-access), wait ten minutes, and build again.',
      },
      { cause: error },
    );
  }
  error.message = `${change.kind} of ${change.imageId} in ${change.region}: ${error.message}`;
  return error;
}
