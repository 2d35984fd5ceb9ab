import { createHash } from 'node:crypto';

/** Tag keys of everything the factory makes. IAM policies and the reaper rely on them. */
export const tagKey = {
  /** Execution name of the build that made the resource. */
  build: 'ami-foundry:build',
  /** What the resource is for: worker, target, snapshot, image, boot-test, windows, copy. */
  role: 'ami-foundry:role',
  /** SHA-256 of the recipe with its defaults. */
  recipeDigest: 'ami-foundry:recipe-digest',
  /** SHA-256 over recipe and set checksums: equal means the same image. */
  contentDigest: 'ami-foundry:content-digest',
  release: 'ami-foundry:release',
  recipe: 'ami-foundry:recipe',
  /** When the image passed its boot test. */
  bootTested: 'ami-foundry:boot-tested',
  /** What its recipe wants of the lives of its images: core/retention-tag.ts. */
  retention: 'ami-foundry:retention',
  /** BUILDDATE of the release, YYYY-MM-DD. */
  builtOn: 'ami-foundry:built-on',
  /** REVISION of the release. */
  revision: 'ami-foundry:revision',
  /** Which of FreeBSD's patches are in the image: its patch level, or the beginning of the digest of the base packages' catalogue. */
  patches: 'ami-foundry:patches',
  /** When retention put the image and its snapshot away. */
  quarantined: 'ami-foundry:quarantined',
  /** Until when a failed build's thing waits for the next attempt; ISO time. */
  resumableUntil: 'ami-foundry:resumable-until',
  name: 'Name',
} as const;

export type ResourceRole = 'worker' | 'target' | 'snapshot' | 'image' | 'boot-test' | 'windows' | 'copy';

/** First hex digits of a digest that stand for it in names: 48 bits, so that two recipes of a company never meet. */
const SHORT = 12;

/**
 * Name of the execution, and so of the build. Step Functions keeps a name for 90 days (StartExecution), so a
 * build that is tried again is attempt 2, 3, …
 */
export function executionName(recipeName: string, recipeDigest: string, attempt = 1): string {
  const name = `${recipeName}-${recipeDigest.slice(0, SHORT)}`;
  return attempt === 1 ? name : `${name}-${attempt}`;
}

/** The name of an attempt, by that of the first one. */
export const attemptAt = (first: string, attempt: number): string =>
  attempt === 1 ? first : `${first}-${attempt}`;

/** Name of the execution of a matrix: all its builds and how they are run are in the digest. */
export const matrixName = (recipeName: string, digest: string, attempt = 1): string =>
  executionName(`matrix-${recipeName}`, digest, attempt);

/** The name of the next attempt at a build: 80 characters at most, as Step Functions allows. */
export function nextAttempt(name: string): string {
  const [, base = name, attempt = '1'] =
    /^(.*-[0-9a-f]{12})(?:-([0-9]{1,4}))?$/.exec(name) ?? /^(.*?)(?:-([0-9]{1,4}))?$/.exec(name) ?? [];
  const ending = `-${Number(attempt) + 1}`;
  return `${base.slice(0, 80 - ending.length)}${ending}`;
}

/**
 * Name of the AMI: what it is, then the digest of its content, so that two different images never share a name.
 * 3 to 128 characters out of letters, digits, space and ()[]./-'@_ (RegisterImage).
 */
export const imageName = (
  what: {
    readonly name: string;
    readonly release: string;
    readonly architecture: string;
    readonly filesystem: string;
    readonly flavour: string;
  },
  contentDigest: string,
): string =>
  `${what.name} ${what.release}-${what.architecture} ${what.flavour} ${what.filesystem.toUpperCase()} ${contentDigest.slice(0, SHORT)}`;

/** Client token of a create call: the same build asking for the same thing gets the same thing. At most 64 ASCII characters. */
export const clientToken = (build: string, ...what: readonly string[]): string =>
  createHash('sha256')
    .update([build, ...what].join('\n'))
    .digest('hex');

/** A UUID (RFC 9562, version 8) and other fixed identifiers that come from the content instead of from chance. */
export function contentUuid(contentDigest: string, what: string): string {
  const bytes = createHash('sha256').update(`${contentDigest}\n${what}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export const contentId = (contentDigest: string, what: string): string =>
  createHash('sha256').update(`${contentDigest}\n${what}`).digest('hex').slice(0, 16);

/** What the worker found out about the image: a gzipped mtree(5) specification, and an SBOM in CycloneDX JSON. */
export const imageRecords = ['manifest.mtree.gz', 'sbom.cdx.json'] as const;
export type ImageRecord = (typeof imageRecords)[number];

/** The events that were told of a build's beginning and its end: who comes again finds that it was done. */
export const toldFiles = ['told-started.json', 'told-ended.json'] as const;

/** What a build leaves in the artifacts bucket. */
export const buildFiles = [
  'job',
  'console.log',
  'report.json',
  'failure.json',
  'history.json',
  'receipt.json',
  ...toldFiles,
  ...imageRecords,
] as const;

/** Keys of a build's objects in the artifacts bucket, which forgets them after a month. */
export const artifactKey = (build: string, file: (typeof buildFiles)[number]): string =>
  `builds/${build}/${file}`;

/** What a machine of the boot test showed: its console (log) or screen (jpg). */
export const bootFileKey = (build: string, instanceType: string, kind: 'log' | 'jpg'): string =>
  `builds/${build}/boot/${instanceType}.${kind}`;

/** A piece of a disk that no volume holds, and the index of all; forgotten after two days. */
export const pieceKey = (build: string, piece: number | 'index' | '*'): string =>
  `pieces/${build}/${piece === 'index' ? 'index' : `piece-${piece}`}`;

/** SHA-256 of each block of a piece, once all of them stand in the snapshot. */
export const blockDigestsKey = (build: string, snapshotId: string, piece: number | '*'): string =>
  `pieces/${build}/${snapshotId}/digests-${piece}`;

/** Where the records of a delivered image are kept for as long as somebody may ask. */
export const imageRecordKey = (build: string, file: ImageRecord | 'receipt.json'): string =>
  `images/${build}/${file}`;

/** What an image was before retention put it away: kept beside the records of images, which do not expire. */
export const quarantineKey = (region: string, imageId: string): string => `retired/${region}/${imageId}.json`;
/** Where the journals of publications lie until these have succeeded or been rolled back. */
export const openJournals = 'publications/open/';
export const journalKey = (build: string): string => `${openJournals}${build}.json`;

/** The builds that a matrix consists of: their inputs. */
export const matrixListKey = (matrix: string): string => `matrices/${matrix}.json`;
/** Names of the executions that its builds became, one object for each: the keys say all. */
export const matrixBuilds = (matrix: string): string => `matrices/${matrix}/`;
export const matrixBuildKey = (matrix: string, index: number | '*', build: string): string =>
  `${matrixBuilds(matrix)}${index}/${build}.json`;

/** By the index of the build, out of such keys. A name that somebody else took in between stands beside the one that was taken then. */
export function chosenNames(keys: readonly string[]): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  const attempt = (name: string) => Number(/-[0-9a-f]{12}-(\d+)$/.exec(name)?.[1] ?? 1);
  for (const key of keys) {
    const [file = '', index] = key.split('/').reverse();
    const name = file.replace(/\.json$/, '');
    const known = names.get(Number(index));
    if (known === undefined || attempt(known) < attempt(name)) names.set(Number(index), name);
  }
  return names;
}

/** What the release watcher has seen; written anew at each of its runs. */
export const seenReleasesKey = 'releases.json';
/** Where the recipes lie that are built when a release appears. */
export const subscriptions = 'subscriptions/';
export const subscriptionKey = (recipe: string): string => `${subscriptions}${recipe}.json`;

/** Where the builds are noted that the release watcher started. */
export const watchedStarts = 'started/';
/** One of them: all that there is to know of it stands in the key, so that a list of keys is a list of builds, in the order of their beginnings. */
export const watchedStartKey = (
  recipe: string,
  start: {
    readonly at: string;
    readonly release: string;
    readonly architecture: string;
    readonly build: string;
  },
): string =>
  `${watchedStarts}${recipe}/${start.at}/${start.release}/${start.architecture}/${start.build}.json`;

export type Tags = Readonly<Record<string, string>>;

/** Tags that make a resource findable after a crash: given in the very call that creates it. */
export const buildTags = (build: string, role: ResourceRole): Tags => ({
  [tagKey.name]: `ami-foundry ${role} ${build}`,
  [tagKey.build]: build,
  [tagKey.role]: role,
});
