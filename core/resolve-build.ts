import { digestOf, type Json } from './canonical-json.ts';
import { datasets, type Partition, partitions } from './disk-layout.ts';
import { FactoryError } from './errors.ts';
import { type ImageContents, imageContents } from './image-contents.ts';
import type { FileSource } from './image-parts.ts';
import { JOB_VERSION } from './job.ts';
import { type ReleaseSet, selectSets } from './manifest.ts';
import { contentUuid, imageName } from './names.ts';
import type { ImageSpec, Mirror, MirrorDigest, UpdateServer } from './ports.ts';
import { imageDigest, type Recipe, recipeDigest, releaseLabel, rootSizeBytes } from './recipe.ts';
import {
  buildDate,
  type FoundRelease,
  findRelease,
  releaseDirectories,
  revisionOf,
} from './release-directory.ts';
import { setsOf } from './system-files/flavour.ts';
import { BASE_REPOSITORY, isOptional, type Repository } from './system-files/package-repositories.ts';

/** A set to extract; `source` where it does not lie in the directories of the release. */
export interface JobSet extends ReleaseSet {
  readonly source?: FileSource;
}

/** A recipe with everything that the world had to say about it: what the worker's job and the image's name are made from. */
export interface ResolvedBuild {
  readonly recipe: Recipe;
  readonly recipeDigest: string;
  /** SHA-256 over all that goes into the image: equal means the same image. */
  readonly contentDigest: string;
  readonly release: string;
  /** Epoch seconds of the release: the time of everything that the factory adds. */
  readonly builtAt: number;
  /** REVISION of the release, where it says so. */
  readonly revision: string | undefined;
  /** Which of FreeBSD's patches go into the image; undefined when none do. */
  readonly patches: string | undefined;
  /** Directories that hold the sets, without a slash at the end. */
  readonly mirrors: readonly string[];
  readonly sets: readonly JobSet[];
  readonly contents: ImageContents;
  readonly disk: { readonly size: number; readonly id: string; readonly partitions: readonly Partition[] };
  /** What RegisterImage is asked for, as far as it is known before anything is made. */
  readonly image: Omit<ImageSpec, 'rootDeviceName' | 'snapshotId' | 'rootSizeGiB' | 'tags'>;
}

/**
 * Asks mirrors and repositories what a recipe means today. Reads, never writes.
 * Throws what findRelease and selectSets throw, and `RepositoryUnavailable`.
 */
export async function resolveBuild(
  recipe: Recipe,
  { mirror, updates }: { readonly mirror: Mirror; readonly updates: UpdateServer },
): Promise<ResolvedBuild> {
  const found = await findSets(recipe, mirror);
  const contents = imageContents(recipe);
  const catalogues = await findCatalogues(recipe, contents, mirror);
  const patchLevel = await findPatchLevel(recipe, contents, updates);
  const content = digestOf({
    // A worker that makes other bytes of the same job says so by a new version.
    job: JOB_VERSION,
    recipe: imageDigest(recipe),
    builtAt: found.builtAt,
    ...(patchLevel === undefined ? {} : { patchLevel }),
    sets: found.sets.map(({ name, sha256 }) => ({ name, sha256 })),
    catalogues: catalogues.map(({ repository, sha256 }) => ({ name: repository.name, sha256 })),
    contents: contents as unknown as Json,
    datasets: recipe.filesystem === 'zfs' ? (datasets as unknown as Json) : [],
  });
  const release = releaseLabel(recipe);
  const { architecture, filesystem, flavour } = recipe;
  return {
    recipe,
    recipeDigest: recipeDigest(recipe),
    contentDigest: content,
    release,
    builtAt: found.builtAt,
    revision: found.revision,
    patches:
      patchLevel === undefined
        ? catalogues.find(({ repository }) => repository.name === BASE_REPOSITORY)?.sha256.slice(0, 12)
        : `p${patchLevel}`,
    mirrors: found.mirrors,
    sets: found.sets,
    contents: { ...contents, repositories: catalogues.map(({ repository }) => repository) },
    disk: {
      size: rootSizeBytes(recipe),
      id: contentUuid(content, 'disk'),
      partitions: partitions(recipe, content),
    },
    image: {
      name: imageName({ ...recipe, release }, content),
      description:
        recipe.image.description ??
        `FreeBSD ${release} ${architecture} ${flavour} ${filesystem}, built by ami-foundry`,
      architecture: architecture === 'arm64' ? 'arm64' : 'x86_64',
      bootMode: recipe.image.bootMode ?? (architecture === 'arm64' ? 'uefi' : 'uefi-preferred'),
      imdsV2Only: recipe.image.imdsV2Only,
      tpm: recipe.image.tpm,
      ...recipe.image.volume,
    },
  };
}

interface FoundSets {
  readonly mirrors: readonly string[];
  readonly sets: readonly JobSet[];
  readonly builtAt: number;
  readonly revision: string | undefined;
}

/** The sets of the release, with the recipe's kernel and further sets in their places. */
async function findSets(recipe: Recipe, mirror: Mirror): Promise<FoundSets> {
  // Base packages have no directory of a release: their repository is looked at like every other.
  if (recipe.system === 'pkgbase') {
    const [directory = ''] = releaseDirectories(recipe);
    return {
      mirrors: [],
      sets: [],
      builtAt: await buildDate(directory, mirror),
      revision: await revisionOf(directory, mirror),
    };
  }
  const release = await findRelease(recipe, mirror);
  const { required, optional } = setsOf(recipe);
  const { kernel } = recipe;
  const sets = selectSets(release.sets, required, release.manifestUrl, optional)
    .map((set) => placed(release, set))
    .map((set): JobSet => (set.name === 'kernel' && kernel ? fetchedSet('kernel', kernel) : set));
  return {
    mirrors: release.directories.filter((directory) => !directory.startsWith('s3://')),
    sets: [...sets, ...recipe.extraSets.map(({ name, ...artifact }) => fetchedSet(name, artifact))],
    builtAt: release.builtAt,
    revision: await revisionOf(directoryOf(release), mirror),
  };
}

const directoryOf = ({ manifestUrl }: FoundRelease): string =>
  manifestUrl.slice(0, manifestUrl.lastIndexOf('/'));

/** Sets are never patched: what freebsd-update(8) makes of them today is another image than tomorrow. A release of one's own has a server of its own. */
async function findPatchLevel(
  { release, source, architecture }: Recipe,
  { update }: ImageContents,
  updates: UpdateServer,
): Promise<number | undefined> {
  if (update !== 'freebsd-update' || release === undefined || source !== undefined) return undefined;
  return await updates.patchLevel(release, architecture);
}

/** S3 is no mirror: each set of a release there is fetched by a URL of its own. */
function placed({ directories }: FoundRelease, set: ReleaseSet): JobSet {
  const bucket = directories.find((directory) => directory.startsWith('s3://'));
  return bucket === undefined ? set : { ...set, source: { s3: `${bucket}/${set.file}`, sha256: set.sha256 } };
}

const fetchedSet = (
  name: string,
  {
    url,
    s3,
    sha256,
  }: { readonly url?: string | undefined; readonly s3?: string | undefined; readonly sha256: string },
): JobSet => ({
  name,
  file: `${name}.txz`,
  sha256,
  entries: 0,
  source: url !== undefined ? { url, sha256 } : { s3: s3 ?? '', sha256 },
});

/** Names of a catalogue, the newer first (pkg-repo(8)). */
const CATALOGUES = ['packagesite.pkg', 'packagesite.tzst', 'packagesite.txz'];

interface Catalogue {
  readonly repository: Repository;
  readonly sha256: string;
}

/** The repositories that are there, each with the SHA-256 of its catalogue: newer packages make another image. */
async function findCatalogues(recipe: Recipe, contents: ImageContents, mirror: Mirror): Promise<Catalogue[]> {
  const found = await Promise.all(
    contents.repositories.map(async (repository): Promise<Catalogue[]> => {
      const answer = await findCatalogue(repository, mirror);
      if (answer.status === 'found') return [{ repository, sha256: answer.sha256 }];
      if (answer.status === 'absent' && isOptional(recipe, repository)) return [];
      throw new FactoryError('RepositoryUnavailable', {
        message: `package repository ${repository.name} at ${repository.url} ${
          answer.status === 'absent'
            ? `has none of ${CATALOGUES.join(', ')}`
            : `does not answer: ${answer.reason}`
        }`,
        remedy: 'check the url under repositories and that the functions reach it; else try again later.',
      });
    }),
  );
  return found.flat();
}

export async function findCatalogue(
  { url }: Pick<Repository, 'url'>,
  mirror: Pick<Mirror, 'digest'>,
): Promise<MirrorDigest> {
  let answer: MirrorDigest = { status: 'absent' };
  for (const name of CATALOGUES) {
    answer = await mirror.digest(`${url}/${name}`);
    if (answer.status !== 'absent') return answer;
  }
  return answer;
}
