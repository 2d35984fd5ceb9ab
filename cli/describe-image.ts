import { partitions } from '../core/disk-layout.ts';
import { imageContents } from '../core/image-contents.ts';
import type { FileEdit, SystemFile } from '../core/image-parts.ts';
import { freebsdOnly } from '../core/platform-limits.ts';
import { type Recipe, recipeDigest, releaseLabel } from '../core/recipe.ts';
import { setsOf } from '../core/system-files/flavour.ts';
import { roadWarnings } from '../core/windows-road.ts';

/** What a recipe makes of a release, without asking anybody: for `validate`, as text and as JSON. */
export interface ImageDescription {
  readonly name: string;
  readonly release: string;
  readonly architecture: string;
  readonly filesystem: string;
  readonly flavour: string;
  readonly rootSizeGiB: number;
  /** How the disk becomes an AMI. */
  readonly road: string;
  /** What its author should know before it is built. */
  readonly warnings: readonly string[];
  /** Sets by name; `optional` ones are taken if the release has them. Empty for a system made of packages. */
  readonly system: {
    readonly from: 'sets' | 'pkgbase';
    readonly sets: readonly string[];
    readonly optional: readonly string[];
  };
  readonly updates: string;
  readonly packages: readonly string[];
  readonly repositories: readonly { readonly name: string; readonly url: string; readonly trust: string }[];
  readonly files: readonly DescribedFile[];
  readonly edits: readonly { readonly path: string; readonly because: string }[];
  readonly users: readonly {
    readonly name: string;
    readonly groups: readonly string[];
    readonly keys: number;
  }[];
  readonly groups: readonly string[];
  readonly services: Readonly<Record<string, boolean>>;
  readonly scripts: readonly string[];
  readonly partitions: readonly { readonly label: string; readonly type: string; readonly size: string }[];
  readonly firstBoot: readonly string[];
  /** Why only a FreeBSD worker can make it; empty if a Linux one can. */
  readonly freebsdWorker: readonly string[];
}

export interface DescribedFile {
  readonly path: string;
  readonly mode: string;
  readonly owner: string;
  readonly from: string;
  readonly because: string;
}

export const describeFile = ({ path, mode, owner, group, source, because }: SystemFile): DescribedFile => ({
  path,
  mode,
  owner: `${owner}:${group}`,
  from:
    'url' in source ? source.url : 's3' in source ? source.s3 : `${Buffer.byteLength(source.content)} bytes`,
  because,
});

/** One line for each file, with every reason it is changed for. */
export function describeEdits(edits: readonly FileEdit[]): { path: string; because: string }[] {
  const reasons = new Map<string, Set<string>>();
  for (const { path, because } of edits) reasons.set(path, (reasons.get(path) ?? new Set()).add(because));
  return [...reasons].map(([path, texts]) => ({ path, because: [...texts].join(' ') }));
}

export function describeImage(recipe: Recipe): ImageDescription {
  const contents = imageContents(recipe);
  const sets = setsOf(recipe);
  const settings = shellSettings(contents.files.find(({ path }) => path === '/etc/rc.conf'));
  return {
    name: recipe.name,
    release: releaseLabel(recipe),
    architecture: recipe.architecture,
    filesystem: recipe.filesystem,
    flavour: recipe.flavour,
    rootSizeGiB: recipe.rootSize,
    road: recipe.image.road ?? 'unix',
    warnings: roadWarnings(recipe),
    system: { from: recipe.system, sets: sets.required, optional: sets.optional },
    updates: contents.update,
    packages: contents.packages.map(({ name }) => name),
    repositories: contents.repositories.map(({ name, url, trust }) => ({
      name,
      url,
      trust: trust.signature,
    })),
    files: contents.files.map(describeFile),
    edits: describeEdits(contents.edits),
    users: recipe.users.map(({ name, groups, sshKeys }) => ({ name, groups, keys: sshKeys.length })),
    groups: recipe.groups.map(({ name }) => name),
    services: servicesOf(settings),
    scripts: recipe.scripts.map(({ name }) => name),
    partitions: partitions(recipe, recipeDigest(recipe)).map(({ label, type, size }) => ({
      label,
      type,
      size: size === 0 ? 'the rest' : sizeText(size),
    })),
    firstBoot: firstBootJobs(settings),
    freebsdWorker: freebsdOnly(recipe),
  };
}

/** A size in the unit that makes it a small number. */
export function sizeText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[power]}`;
}

/** The assignments of the rc.conf that the image will have: what the recipe says in rcConf or by a file of its own counts too. */
function shellSettings(file: SystemFile | undefined): ReadonlyMap<string, string> {
  const text = file !== undefined && 'content' in file.source ? file.source.content : '';
  return new Map(
    [...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key = '', value = '']) => [
      key,
      value.replace(/^(["'])(.*)\1$/, '$2'),
    ]),
  );
}

/** rc.subr(8), checkyesno: these words, in any case. */
const isYes = (value: string | undefined): boolean => /^(yes|true|on|1)$/i.test(value ?? '');

const servicesOf = (settings: ReadonlyMap<string, string>): Record<string, boolean> =>
  Object.fromEntries(
    [...settings].flatMap(([key, value]) => {
      const [, name] = /^(\w+)_enable$/.exec(key) ?? [];
      return name === undefined || firstBootScripts.has(name) ? [] : [[name, isYes(value)]];
    }),
  );

/** rc scripts with KEYWORD firstboot, and what each does. */
const firstBootScripts = new Map<string, (settings: ReadonlyMap<string, string>) => string>([
  ['growfs', () => 'grows the root to the size of the volume'],
  [
    'firstboot_freebsd_update',
    () => 'installs security updates (freebsd-update), and reboots if there were any',
  ],
  [
    'firstboot_pkg_upgrade',
    (settings) =>
      `upgrades the packages of ${settings.get('firstboot_pkg_upgrade_repos') ?? 'all repositories'}`,
  ],
  ['firstboot_pkgs', (settings) => `installs packages: ${settings.get('firstboot_pkgs_list') ?? 'none'}`],
  ['ec2_configinit', () => 'runs the user-data (configinit)'],
  [
    'ec2_fetchkey',
    (settings) => `gives the launch key to ${settings.get('ec2_fetchkey_user') ?? 'ec2-user'}`,
  ],
  ['ec2_loghostkey', () => 'prints the fingerprints of the SSH host keys on the console'],
]);

function firstBootJobs(settings: ReadonlyMap<string, string>): string[] {
  const pool = ['zpool_reguid', 'zpool_upgrade'].flatMap((name) =>
    settings.has(name) ? [`${name}: for the pool ${settings.get(name)}`] : [],
  );
  const scripts = [...firstBootScripts].flatMap(([name, job]) =>
    isYes(settings.get(`${name}_enable`)) ? [`${name}: ${job(settings)}`] : [],
  );
  return [...pool, ...scripts];
}
