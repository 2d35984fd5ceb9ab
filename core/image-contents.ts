import type { FileEdit, ImageParts, SystemFile } from './image-parts.ts';
import { mailParts } from './mail.ts';
import { panicmailParts } from './panicmail.ts';
import type { Recipe } from './recipe.ts';
import { bootConfig } from './system-files/boot-config.ts';
import { firstBoot, updatesOf } from './system-files/first-boot.ts';
import { basePackagesOf, flavour } from './system-files/flavour.ts';
import { fstab } from './system-files/fstab.ts';
import { loaderConf } from './system-files/loader-conf.ts';
import {
  packageRepositories,
  type Repository,
  repositoryFiles,
} from './system-files/package-repositories.ts';
import { rcConf } from './system-files/rc-conf.ts';
import { releaseEdits } from './system-files/release-edits.ts';
import { scripts } from './system-files/scripts.ts';
import { sysctlConf } from './system-files/sysctl-conf.ts';

/** A package to install; `repository` where only that one may give it. */
export interface WantedPackage {
  readonly name: string;
  readonly repository: string;
}

/** Everything that a recipe makes of a release. */
export interface ImageContents {
  readonly packages: readonly WantedPackage[];
  readonly repositories: readonly Repository[];
  /** Sorted by path. Every file the factory or the recipe puts into the image, with its reason. */
  readonly files: readonly SystemFile[];
  /** In the order in which they are made. */
  readonly edits: readonly FileEdit[];
  /** What patches the release at build time. */
  readonly update: 'none' | 'freebsd-update' | 'pkg';
}

/** The features of a recipe, each a file of its own. */
const features = (recipe: Recipe): ImageParts[] => [
  flavour(recipe),
  ...firstBoot(recipe),
  ...(recipe.mail ? [mailParts(recipe.mail)] : []),
  ...(recipe.panicmail ? [panicmailParts(recipe.panicmail)] : []),
];

/** What the image of a recipe has beside the release. A file of the recipe takes the place of the factory's of the same path. */
export function imageContents(recipe: Recipe): ImageContents {
  const parts = features(recipe);
  const all = <Key extends keyof ImageParts>(key: Key) =>
    parts.flatMap((part) => (part[key] ?? []) as readonly NonNullable<ImageParts[Key]>[number][]);
  const byPath = new Map<string, SystemFile>();
  for (const file of [
    fstab(recipe),
    rcConf(recipe, all('rcConf')),
    loaderConf(recipe, all('loaderConf')),
    ...bootConfig(recipe),
    ...scripts(recipe),
    ...repositoryFiles(recipe),
    ...all('files'),
    ...recipe.files.map(recipeFile),
  ]) {
    byPath.set(file.path, file);
  }
  const own = new Set(recipe.files.map(({ path }) => path));
  return {
    packages: wantedPackages(recipe, all('packages')),
    repositories: packageRepositories(recipe),
    files: [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
    edits: [...releaseEdits(recipe), sysctlConf(recipe, all('sysctlConf')), ...all('edits')].filter(
      ({ path }) => !own.has(path),
    ),
    update: updatesOf(recipe) !== 'at-build' ? 'none' : recipe.system === 'sets' ? 'freebsd-update' : 'pkg',
  };
}

function wantedPackages(recipe: Recipe, fromFeatures: readonly string[]): WantedPackage[] {
  const base = basePackagesOf(recipe).map((name) => ({ name, repository: 'FreeBSD-base' }));
  // pkg itself, so that the booted system can manage what it has been given.
  const others = new Set(['pkg', ...fromFeatures, ...recipe.packages]);
  return [...base, ...[...others].sort().map((name) => ({ name, repository: '' }))];
}

const recipeFile = ({
  path,
  mode,
  owner,
  group,
  content,
  url,
  s3,
  sha256 = '',
}: Recipe['files'][number]): SystemFile => ({
  path,
  mode,
  owner,
  group,
  source:
    content !== undefined ? { content } : url !== undefined ? { url, sha256 } : { s3: s3 ?? '', sha256 },
  because: 'The recipe says so.',
});
