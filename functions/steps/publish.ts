import * as z from 'zod/mini';
import { inRegions } from '../../core/at-once.ts';
import { type BuildState, buildState, type Execution, regionOf, required } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { flip, type PublicationPorts } from '../../core/flips.ts';
import { journals } from '../../core/journals.ts';
import type { Outcomes, Records, Regional } from '../../core/ports.ts';
import {
  type Flip,
  flipStages,
  type Journal,
  parameterNames,
  permissionsOf,
  toMinute,
} from '../../core/publication.ts';
import { publicationPending, rivalsOf } from '../../core/rivals.ts';

export const publishStep = {
  name: 'publish',
  input: z.extend(
    z.pick(buildState, { plan: true, distribution: true }),
    z.partial(z.pick(buildState, { adopted: true, image: true, snapshot: true, matrix: true })).shape,
  ),
  output: z.partial(z.pick(buildState, { publication: true })),
  options: z.object({
    /** `only` keeps others away and changes nothing; `made` goes on with what that has done. */
    claim: z.optional(z.enum(['only', 'made'])),
  }),
};

type PublishInput = z.output<typeof publishStep.input>;
type Place = BuildState['publication']['regions'][number];

interface PublishDependencies {
  readonly regions: Regional<PublicationPorts>;
  readonly records: Records;
  /** Of the builds of the same factory as that execution. */
  readonly outcomes: (executionArn: string) => Outcomes;
  readonly clock: Clock;
  readonly pause: (milliseconds: number) => Promise<unknown>;
}

const DAY = 24 * 3_600_000;

/** Public images are deprecated two years after they were made, at the latest (EC2 User Guide, "Deprecate an Amazon EC2 AMI"). */
const PUBLIC_LIMIT = 2 * 365 * DAY;

/**
 * Shows the image to its readers, in all regions. What they saw before is written down first, and once: a second try goes on with what the first
 * one wrote. What fails half way is put back by RollBack. What is published together is claimed as a whole before any of it is shown.
 */
export const publish =
  ({ regions, records, outcomes, clock, pause }: PublishDependencies) =>
  async (
    state: PublishInput,
    { arn, startTime }: Execution,
    { claim }: z.output<typeof publishStep.options> = {},
  ): Promise<Partial<Pick<BuildState, 'publication'>>> => {
    const { plan } = state;
    const places = placesOf(state, regionOf(arn));
    const kept = journals(records);
    const written = await kept.read(plan.build);
    // Its name may have come again.
    const own = written?.execution === startTime ? written : undefined;
    const opened =
      own?.begun || (own && claim === 'made')
        ? own
        : await open(kept, outcomes(arn), {
            build: plan.build,
            execution: startTime,
            matrix: state.matrix,
            places,
            parameters: parametersOf(plan),
          });
    if (claim === 'only') return {};
    const journal = opened.begun
      ? opened
      : { ...opened, ...(await describeBefore(plan, places, regions, clock)), begun: true };
    if (!opened.begun) await kept.write(journal);

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

const parametersOf = ({ contentDigest, distribution }: BuildState['plan']): readonly string[] => {
  const { parameters: path } = required(distribution, 'plan.distribution');
  return path === null ? [] : parameterNames(path, contentDigest);
};

/**
 * Opens the journal, if no other publication is in the way: their journals would each hold what the other has made. Looked for before it is
 * written and after that, so that of two which begin at once at least one sees the other and gives way; nothing is changed before. Who comes
 * later gives way to it.
 */
async function open(
  kept: ReturnType<typeof journals>,
  outcomes: Outcomes,
  {
    build,
    execution,
    matrix,
    places,
    parameters,
  }: Pick<Journal, 'build' | 'execution' | 'matrix'> & {
    readonly places: readonly Place[];
    readonly parameters: readonly string[];
  },
): Promise<Journal> {
  const regions = places.map(({ region, imageId }) => ({
    region,
    imageId,
    before: { permissions: [], deprecatedAt: null, parameters: {} },
  }));
  const claim = {
    version: 1 as const,
    build,
    execution,
    ...(matrix === undefined ? {} : { matrix }),
    parameters: [...parameters],
    begun: false,
  };
  const others = await rivalsOf({ ...claim, regions }, kept, outcomes);
  if (others.length > 0) throw publicationPending(others);
  const journal = { ...claim, at: execution, share: [], deprecateAt: null, regions };
  await kept.write(journal);
  const rivals = await rivalsOf({ ...claim, regions }, kept, outcomes);
  if (rivals.length > 0) {
    await kept.close(build);
    throw publicationPending(rivals);
  }
  return journal;
}

type Described = Pick<Journal, 'at' | 'share' | 'deprecateAt' | 'regions'>;

async function describeBefore(
  plan: BuildState['plan'],
  places: readonly Place[],
  regions: Regional<PublicationPorts>,
  clock: Clock,
): Promise<Described> {
  const { share, deprecateAfter } = required(plan.distribution, 'plan.distribution');
  const now = clock.now();
  const parameters = parametersOf(plan);
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
    at: new Date(now).toISOString(),
    share: permissionsOf(share),
    // Counted from now, also for an image that is published again: what `latest` names is not to be deprecated.
    deprecateAt: deprecateAfter === null ? null : toMinute(Math.min(now + deprecateAfter * DAY, latest)),
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
