import * as z from 'zod/mini';
import { inRegions } from '../../core/at-once.ts';
import { type BuildState, buildState, type Execution, regionOf, required } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { type CopyWish, copyTags, wrongWithCopy } from '../../core/copies.ts';
import { FactoryError } from '../../core/errors.ts';
import { clientToken, tagKey } from '../../core/names.ts';
import type { Image, ImageCopies, Images, Regional, Snapshots } from '../../core/ports.ts';

export const distributeStep = {
  name: 'distribute',
  input: z.extend(
    z.pick(buildState, { plan: true, preflight: true }),
    z.partial(z.pick(buildState, { adopted: true, image: true, distribution: true })).shape,
  ),
  output: z.pick(buildState, { distribution: true }),
  options: z.object({}),
};

interface RegionPorts {
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly copies: ImageCopies;
}

interface DistributeDependencies {
  readonly regions: Regional<RegionPorts>;
  readonly clock: Clock;
}

type Copies = BuildState['distribution'];
type Copy = Copies['copies'][number];

/** What is read once may be read otherwise a moment later: EC2 is eventually consistent, and pubsys of Bottlerocket asks three times, too. */
const AGREEING_LOOKS = 3;
/** A tag or a property that comes late is there in half a minute, a copy that nobody finds in two minutes (coldsnap, issue 43). */
const DIFFERENT_LOOKS = 6;
const MISSING_LOOKS = 24;

/** "Concurrent snapshot copies per destination Region" (EBS quotas). */
const COPIES_IN_FLIGHT = 20;

/** AWS promises nothing; a full copy of a big image between far regions takes an hour or two. */
const LIMIT_HOURS = 8;

/** Pauses between looks, seconds: with a fortieth of the time gone by, eight hours are about 350 looks. */
const SHORTEST_PAUSE = 5;
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 120;
const PAUSES_SO_FAR = 40;

/** Whoever needs another build's copy keeps it from the reaper for a day, by when this build has delivered it or failed. */
const RESERVED_MILLISECONDS = 24 * 3_600_000;

/** What CopyImage says when the time for it has not come: too many copies, too many requests, or an image that is not known everywhere yet. */
const later = [
  'ResourceLimitExceeded',
  'RequestLimitExceeded',
  'Throttling',
  'ThrottlingException',
  'InvalidAMIID.NotFound',
  'InvalidAMIID.Unavailable',
  // Made by this very name a moment ago, and not found yet.
  'InvalidAMIName.Duplicate',
];

/** States of an image that is, or will be, of use. Others of the name are ruins of earlier builds, which the reaper takes away. */
const alive = ['pending', 'available'];

/**
 * Looks once at the copies in all regions, and begins those that are due. Get-or-create by name: what is there is taken over, also from
 * another build. Ready when each copy has been seen three times in a row as it should be.
 */
export const distribute =
  ({ regions, clock }: DistributeDependencies) =>
  async (
    { plan, preflight, adopted, image, distribution: before }: z.output<typeof distributeStep.input>,
    { arn }: Execution,
  ): Promise<Pick<BuildState, 'distribution'>> => {
    const { regions: places } = required(plan.distribution, 'plan.distribution');
    const now = clock.now();
    const since = before?.since ?? now;
    const home = { region: regionOf(arn), imageId: required(adopted ?? image, 'image').imageId };
    const source = await regions(home.region).images.describe(home.imageId);

    const copies = await inRegions(places, async ({ region, kmsKeyId }): Promise<Copy> => {
      const previous = before?.copies.find((one) => one.region === region) ?? fresh(region);
      if (source === undefined) return { ...previous, told: `${home.imageId} cannot be seen` };
      const done = previous.saw === 'agreed' && previous.looks >= AGREEING_LOOKS;
      if (done) return previous;
      const wish: CopyWish = {
        build: plan.build,
        contentDigest: plan.contentDigest,
        source,
        sourceRegion: home.region,
        encryption: plan.encryption === null && kmsKeyId === null ? null : { kmsKeyId },
        keyArn: preflight.kmsKeys[region],
      };
      return previous.imageId === null
        ? await begin(regions(region), previous, wish, now)
        : await look(regions(region), previous, previous.imageId, wish);
    });

    const ready = copies.every(({ saw, looks }) => saw === 'agreed' && looks >= AGREEING_LOOKS);
    if (!ready && now - since > LIMIT_HOURS * 3_600_000) {
      const missing = copies.filter(({ looks, saw }) => saw !== 'agreed' || looks < AGREEING_LOOKS);
      throw new FactoryError('DistributionTimedOut', {
        message: `after ${LIMIT_HOURS} hours there are no copies in ${missing.map(({ region, told }) => `${region} (${told})`).join(', ')}`,
        remedy:
          'see the AWS Health Dashboard of these regions and their images in state pending; then build again.',
      });
    }
    return { distribution: { ready, since, pauseSeconds: pauseAfter(copies, now - since), copies } };
  };

const fresh = (region: string): Copy => ({
  region,
  imageId: null,
  snapshotId: null,
  saw: 'none',
  looks: 0,
  told: 'nothing yet',
});

/** What was seen, and how often in a row by now. */
const noted = (previous: Copy, saw: Copy['saw'], told: string): Copy => ({
  ...previous,
  saw,
  told,
  looks: previous.saw === saw ? previous.looks + 1 : 1,
});

function pauseAfter(copies: readonly Copy[], elapsed: number): number {
  // Nothing is copying any more: the rest is a matter of looks.
  if (copies.every(({ saw }) => saw !== 'pending' && saw !== 'none')) return SHORTEST_PAUSE;
  const share = Math.round(elapsed / 1000 / PAUSES_SO_FAR);
  return Math.min(Math.max(share, FIRST_PAUSE), LONGEST_PAUSE);
}

/** Takes over the copy that is there, or begins one if the region has room for it. */
async function begin(
  { images, copies }: RegionPorts,
  previous: Copy,
  wish: CopyWish,
  now: number,
): Promise<Copy> {
  const { region } = previous;
  const { source, build } = wish;
  const ofName = await images.findByName(source.name);
  const away = ofName.find(({ state }) => state === 'disabled');
  if (away !== undefined) {
    throw new FactoryError('ImageNameTaken', {
      message: `${away.imageId} in ${region} is the copy, but it is disabled`,
      remedy: 'take it out of quarantine, or deregister it to have it copied anew.',
    });
  }
  const found = ofName.filter(({ state }) => alive.includes(state));
  const [existing, another] = found;
  if (another !== undefined) {
    throw new FactoryError('AmbiguousResource', {
      message: `two images in ${region} are called ${source.name}: ${existing?.imageId} and ${another.imageId}`,
      remedy: 'deregister the one that is not wanted.',
    });
  }
  if (existing !== undefined) {
    if (existing.tags[tagKey.contentDigest] !== wish.contentDigest) {
      throw new FactoryError('ImageNameTaken', {
        message: `${existing.imageId} in ${region} is called ${source.name}, but its tags say that it is another image`,
        remedy: 'deregister that image, or give the recipe another name.',
      });
    }
    const { imageId, tags } = existing;
    // What its recipe says of retention today holds for its copies, too.
    const retention = source.tags[tagKey.retention];
    if (retention !== undefined && tags[tagKey.retention] !== retention) {
      await images.tag(imageId, tagKey.retention, retention);
    }
    if (tags[tagKey.build] !== build) {
      // Its own build may end badly while this one relies on it.
      const until = new Date(now + RESERVED_MILLISECONDS).toISOString();
      await images.tag(imageId, tagKey.resumableUntil, until);
    }
    return { ...noted(previous, 'pending', `found ${existing.imageId}`), imageId: existing.imageId };
  }
  if ((await copies.pending()) >= COPIES_IN_FLIGHT) {
    return noted(previous, 'none', `${COPIES_IN_FLIGHT} copies are under way there: waits for a place`);
  }
  try {
    const { imageId } = await copies.copy({
      clientToken: clientToken(build, 'copy', region, source.imageId),
      name: source.name,
      description: source.properties.Description ?? '',
      source: { region: wish.sourceRegion, imageId: source.imageId },
      encryption: wish.encryption,
      tags: copyTags(source.tags, build),
    });
    return { ...noted(previous, 'pending', 'copying'), imageId };
  } catch (error) {
    if (!(error instanceof Error && later.includes(error.name))) throw error;
    return noted(previous, 'none', `${error.name}: comes later`);
  }
}

/** What a known copy looks like now. */
async function look(
  { images, snapshots }: RegionPorts,
  previous: Copy,
  imageId: string,
  wish: CopyWish,
): Promise<Copy> {
  const { region } = previous;
  const image = await images.describe(imageId);
  if (image === undefined) {
    const missing = noted(previous, 'missing', `${imageId} cannot be seen`);
    if (missing.looks < MISSING_LOOKS) return missing;
    throw failed(
      `${imageId}, the copy in ${region}, is gone`,
      'somebody deregistered it, or this execution was redriven after its copies had been taken away: start a new one.',
    );
  }
  if (image.state === 'pending') return noted(previous, 'pending', 'copying');
  if (image.state !== 'available') {
    throw failed(
      `${imageId}, the copy in ${region}, went to ${image.state}: ${image.stateReason || 'no reason given'}`,
      'a KMS key that the function’s role may not use in both regions is the usual reason; else build again.',
    );
  }
  const wrong = await lookClosely(image, snapshots, wish);
  const snapshotId = image.rootSnapshotId ?? null;
  if (wrong.length === 0) return { ...noted(previous, 'agreed', 'as it should be'), snapshotId };
  const different = { ...noted(previous, 'different', wrong[0] ?? ''), snapshotId };
  if (different.looks < DIFFERENT_LOOKS) return different;
  throw new FactoryError('CopyMismatch', {
    message: `${imageId}, the copy in ${region}, is not what the image is:\n${wrong.join('\n')}`,
    remedy: 'deregister that copy and build again; if it comes back, report this.',
  });
}

async function lookClosely(image: Image, snapshots: Snapshots, wish: CopyWish): Promise<string[]> {
  const snapshot = image.rootSnapshotId && (await snapshots.describe(image.rootSnapshotId));
  return wrongWithCopy(image, snapshot || undefined, wish);
}

const failed = (message: string, remedy: string): FactoryError =>
  new FactoryError('CopyFailed', { message, remedy });
