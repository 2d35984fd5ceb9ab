import { atOnce, REGIONS_AT_ONCE } from './at-once.ts';
import { tagKey } from './names.ts';
import type { Image, Images, OfBuild, Regional } from './ports.ts';
import { type RetainedImage, SETTLED_AFTER } from './retention.ts';
import { readRetentionTag } from './retention-tag.ts';

/** What retention has done to an image so far. `begun`: it was about to put it away, and may have. */
export type Shelved = 'no' | 'begun' | { readonly since: number } | 'unreadable';

/** One image of the factory, as retention sees it. */
export interface HeldImage extends RetainedImage {
  readonly name: string;
  readonly state: string;
  readonly shelved: Shelved;
  readonly snapshotId: string | undefined;
  readonly launchedAt: number | undefined;
  readonly isProtected: boolean;
  /** What its tag says, as it stands there. */
  readonly tagText: string;
}

export interface Inventory {
  readonly held: readonly HeldImage[];
  /** Root snapshots of all images of the factory, by region. */
  readonly roots: ReadonlyMap<string, ReadonlySet<string>>;
  /** Why something is not certain, by what it is about: a region or an image. */
  readonly doubts: ReadonlyMap<string, string>;
  /** Regions that did not answer. */
  readonly unseen: readonly string[];
  /** Recipes of which an image cannot be judged. */
  readonly unclear: ReadonlySet<string>;
}

const BEGUN = 'begun';
/** The values of the tag `ami-foundry:quarantined`. */
export const begunTag = (time: number): string => `${BEGUN} ${new Date(time).toISOString()}`;
export const shelvedTag = (time: number): string => new Date(time).toISOString();

export function readShelvedTag(text: string | undefined): Shelved {
  if (text === undefined) return 'no';
  if (text.startsWith(`${BEGUN} `)) return 'begun';
  const since = Date.parse(text);
  return Number.isNaN(since) ? 'unreadable' : { since };
}

/** Everything that retention may ever look at, in all regions. What has no tag of retention was made by another factory or an older one: it stays. */
export async function inventory(
  regions: readonly string[],
  home: string,
  place: Regional<{ readonly images: Images }>,
): Promise<Inventory> {
  const held: HeldImage[] = [];
  const roots = new Map<string, ReadonlySet<string>>();
  const doubts = new Map<string, string>();
  const unseen: string[] = [];
  const unclear = new Set<string>();
  const results = await atOnce(REGIONS_AT_ONCE, regions, async (region) => {
    const { images } = place(region);
    return await images.findOfAnyBuild();
  });
  for (const [index, region] of regions.entries()) {
    const result = results[index];
    if (result?.status !== 'fulfilled') {
      unseen.push(region);
      doubts.set(region, `its images cannot be listed: ${told(result?.reason)}`);
      continue;
    }
    roots.set(region, new Set(result.value.flatMap(({ rootSnapshotId }) => rootSnapshotId ?? [])));
    for (const image of result.value) {
      if (tagKey.retention in image.tags) {
        const judged = heldImage(image, region, home);
        if (typeof judged === 'object') held.push(judged);
        else {
          doubts.set(`${image.imageId} in ${region}`, judged);
          unclear.add(image.tags[tagKey.recipe] ?? '');
        }
      }
    }
  }
  return { held, roots, doubts, unseen, unclear };
}

/** Or why nobody can tell. */
function heldImage(image: OfBuild<Image>, region: string, home: string): HeldImage | string {
  const tagText = image.tags[tagKey.retention] ?? '';
  const tag = readRetentionTag(tagText);
  const content = image.tags[tagKey.contentDigest];
  const shelved = readShelvedTag(image.tags[tagKey.quarantined]);
  // What is no time is NaN, and never comes.
  const reserved = image.tags[tagKey.resumableUntil];
  if (tag === undefined) return `its tag ${tagKey.retention} is ${JSON.stringify(tagText)}`;
  if (shelved === 'unreadable') {
    return `its tag ${tagKey.quarantined} is ${JSON.stringify(image.tags[tagKey.quarantined])}`;
  }
  if (content === undefined) return `it has no tag ${tagKey.contentDigest}`;
  if (image.startedAt === undefined) return 'EC2 does not say when it was made';
  return {
    region,
    imageId: image.imageId,
    home: region === home,
    content,
    tag,
    tagText,
    madeAt: image.startedAt,
    settledAt: Math.max(image.startedAt + SETTLED_AFTER, reserved === undefined ? 0 : Date.parse(reserved)),
    launchable: image.state === 'available' && shelved === 'no',
    name: image.name,
    state: image.state,
    shelved,
    snapshotId: image.rootSnapshotId,
    launchedAt: image.launchedAt,
    isProtected: image.isProtected ?? false,
  };
}

export const told = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);
