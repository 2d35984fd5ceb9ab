import { rootFile, type SystemFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';
import type { RecipeRepository } from '../recipe-contents.ts';

/** How a repository's catalogue is trusted. */
export type Trust =
  | { readonly signature: 'fingerprints'; readonly keys: string }
  | { readonly signature: 'fingerprints'; readonly fingerprints: readonly string[] }
  | { readonly signature: 'pubkey'; readonly key: string }
  | { readonly signature: 'none' };

/** A package repository as the worker is told of it. */
export interface Repository {
  readonly name: string;
  readonly url: string;
  readonly priority: number;
  readonly trust: Trust;
}

/** FreeBSD's own base packages. */
export const BASE_REPOSITORY = 'FreeBSD-base';

/** pkg(8) names a system by name, major version and architecture; FreeBSD calls arm64 aarch64 there. */
export const packageAbi = (recipe: Recipe): string =>
  `FreeBSD:${versionOf(recipe).major}:${recipe.architecture === 'arm64' ? 'aarch64' : 'amd64'}`;

/** __FreeBSD_version of a release: major, minor and three digits that are 000 for a RELEASE (param.h). */
export function osVersion(recipe: Recipe): number {
  const { major, minor } = versionOf(recipe);
  return major * 100_000 + minor * 1000;
}

/** A release of one's own that does not say its number counts as the newest that this factory knows. */
const NEWEST = { major: 15, minor: 1 };

function versionOf({ release }: Recipe): { readonly major: number; readonly minor: number } {
  const [major, minor] = (release ?? '').split(/[.-]/).map(Number);
  return release === undefined || major === undefined || minor === undefined ? NEWEST : { major, minor };
}

/** FreeBSD's own: /etc/pkg/FreeBSD.conf of the release (usr.sbin/pkg/FreeBSD.conf.quarterly-release). */
function ownRepositories(recipe: Recipe): Repository[] {
  const { major, minor } = versionOf(recipe);
  const host = `https://pkg.FreeBSD.org/${packageAbi(recipe)}`;
  const keys = (directory: string): Trust => ({
    signature: 'fingerprints',
    keys: `/usr/share/keys/${directory}`,
  });
  const own = (name: string, path: string, trust: Trust): Repository => ({
    name,
    url: `${host}/${path}`,
    priority: 0,
    trust,
  });
  return [
    own(nameIn(major, 'FreeBSD-ports'), 'quarterly', keys('pkg')),
    // Ports are built on the oldest release still looked after: since 14.3 modules for the newer kernel have a repository.
    ...(major > 14 || (major === 14 && minor >= 3)
      ? [own(nameIn(major, 'FreeBSD-ports-kmods'), `kmods_quarterly_${minor}`, keys('pkg'))]
      : []),
    ...(recipe.system === 'pkgbase'
      ? [own(BASE_REPOSITORY, basePath(recipe), keys(`pkgbase-${major}`))]
      : []),
  ];
}

/** The repositories of the ports as they were called before 15.0: a booted system goes on under the names that it knows. */
const namesBefore15 = new Map([
  ['FreeBSD-ports', 'FreeBSD'],
  ['FreeBSD-ports-kmods', 'FreeBSD-kmods'],
]);

const nameIn = (major: number, name: string): string =>
  (major < 15 ? namesBefore15.get(name) : undefined) ?? name;

/** base_release_1 for 15.1-RELEASE, base_release_1_beta5 for 15.1-BETA5. */
function basePath(recipe: Recipe): string {
  const suffix = (recipe.release ?? '').replace(/^[^-]*-/, '').toLowerCase();
  return `base_release_${versionOf(recipe).minor}${suffix === 'release' ? '' : `_${suffix}`}`;
}

function trustOf(
  { fingerprints, publicKey, keys, unsigned }: RecipeRepository,
  known: Trust | undefined,
): Trust {
  if (fingerprints !== undefined) return { signature: 'fingerprints', fingerprints };
  if (publicKey !== undefined) return { signature: 'pubkey', key: publicKey };
  if (keys !== undefined) return { signature: 'fingerprints', keys };
  // The schema lets only a repository that FreeBSD knows say nothing.
  return unsigned || known === undefined ? { signature: 'none' } : known;
}

/** The repositories of a build: FreeBSD's, changed and extended by those of the recipe. */
export function packageRepositories(recipe: Recipe): Repository[] {
  const own = ownRepositories(recipe);
  const { major, minor } = versionOf(recipe);
  const given = recipe.repositories.map((repository): Repository => {
    const name = nameIn(major, repository.name);
    return {
      name,
      url: repository.url
        .replaceAll('{abi}', packageAbi(recipe))
        .replaceAll('{major}', String(major))
        .replaceAll('{minor}', String(minor)),
      priority: repository.priority,
      trust: trustOf(repository, own.find((one) => one.name === name)?.trust),
    };
  });
  const names = new Set(given.map(({ name }) => name));
  // Whoever has a mirror of the ports has the kernel modules there too, or none.
  if (names.has(nameIn(major, 'FreeBSD-ports'))) names.add(nameIn(major, 'FreeBSD-ports-kmods'));
  return [...own.filter(({ name }) => !names.has(name)), ...given];
}

/** FreeBSD's own repository of kernel modules is there for releases only: without it a build goes on. */
export function isOptional(recipe: Recipe, { name }: Repository): boolean {
  const { major } = versionOf(recipe);
  return (
    name === nameIn(major, 'FreeBSD-ports-kmods') &&
    !recipe.repositories.some((one) => nameIn(major, one.name) === name)
  );
}

/** A string of UCL, which takes JSON's. */
const ucl = (value: string): string => JSON.stringify(value);

/** pkg.conf(5), REPOSITORY CONFIGURATION: what the booted system knows beside /etc/pkg/FreeBSD.conf. */
export function repositoryFiles(recipe: Recipe): SystemFile[] {
  const { major } = versionOf(recipe);
  const kept = new Set(
    recipe.repositories.filter(({ inImage }) => inImage).map(({ name }) => nameIn(major, name)),
  );
  const files = packageRepositories(recipe)
    .filter(({ name }) => kept.has(name))
    .flatMap((repository): SystemFile[] => {
      const because = `The booted system uses the repository ${repository.name} too.`;
      const place = `/usr/local/etc/pkg/fingerprints/${repository.name}`;
      const { trust } = repository;
      const trusted: Record<string, string> =
        trust.signature === 'none'
          ? { signature_type: 'none' }
          : trust.signature === 'pubkey'
            ? { signature_type: 'pubkey', pubkey: `/usr/local/etc/pkg/keys/${repository.name}.pem` }
            : { signature_type: 'fingerprints', fingerprints: 'keys' in trust ? trust.keys : place };
      const fields = { url: repository.url, ...trusted };
      const text = [
        `${ucl(repository.name)}: {`,
        ...Object.entries(fields).map(([key, value]) => `  ${key}: ${ucl(value)},`),
        `  priority: ${repository.priority},`,
        '  enabled: yes',
        '}',
      ];
      return [
        rootFile(
          `/usr/local/etc/pkg/repos/${repository.name}.conf`,
          text.map((one) => `${one}\n`).join(''),
          because,
        ),
        ...(trust.signature === 'pubkey'
          ? [rootFile(`/usr/local/etc/pkg/keys/${repository.name}.pem`, trust.key, because)]
          : []),
        ...(trust.signature === 'fingerprints' && 'fingerprints' in trust
          ? trust.fingerprints.map((fingerprint, index) =>
              rootFile(
                `${place}/trusted/key${index + 1}`,
                `function: "sha256"\nfingerprint: "${fingerprint}"\n`,
                because,
              ),
            )
          : []),
      ];
    });
  // The release has FreeBSD-base switched off; a system that is made of packages gets its updates from there.
  return recipe.system === 'pkgbase' && !kept.has(BASE_REPOSITORY)
    ? [
        ...files,
        rootFile(
          '/usr/local/etc/pkg/repos/FreeBSD-base.conf',
          'FreeBSD-base: { enabled: yes }\n',
          'The base system is made of packages: its updates come from their repository.',
        ),
      ]
    : files;
}
