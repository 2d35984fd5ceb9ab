import * as z from 'zod/mini';
import { described, text } from './described.ts';
import { distinct } from './recipe-values.ts';

/** How far along a release is, the furthest first. */
export const releaseKinds = ['RELEASE', 'RC', 'BETA'] as const;
export type ReleaseKind = (typeof releaseKinds)[number];

const pattern = text(
  /^(newest|[1-9]\d{0,2}\.(newest|\*|\d{1,3}))$/,
  'must be newest, 15.newest, 15.* or a version such as 15.1, in quotes',
);

/** Which releases a recipe is built of when they appear, and when again. No part of what an image or a build is. */
export const subscribeSchema = z.strictObject({
  releases: described(
    z._default(distinct(pattern, 20).check(z.minLength(1, { error: 'must name at least one' })), ['newest']),
    'Versions: newest of all, 15.newest, every 15.*, or one such as "15.1". Of each version what is furthest along: RELEASE, then RC, then BETA. Default: newest.',
  ),
  kinds: described(
    z._default(distinct(z.enum(releaseKinds), 3).check(z.minLength(1, { error: 'must name at least one' })), [
      'RELEASE',
    ]),
    'RELEASE, RC and BETA: which of them count. Default: RELEASE.',
  ),
  architectures: described(
    z.optional(
      distinct(z.enum(['amd64', 'arm64']), 2).check(z.minLength(1, { error: 'must name at least one' })),
    ),
    'For which machines: amd64, arm64. Default: the recipe’s own.',
  ),
  patches: described(
    z._default(z.boolean(), false),
    'Build again when FreeBSD publishes patches of the release. Needs an image with patches in it: updates: at-build, or system: pkgbase.',
  ),
  maxAge: described(
    z.optional(
      z
        .int({ error: 'must be a whole number of days' })
        .check(
          z.gte(1, { error: 'must be at least 1 day' }),
          z.lte(3650, { error: 'must be at most 3650 days' }),
        ),
    ),
    'Days after which it is built again. What would come out the same, bit for bit, is not made again but taken over.',
  ),
});

export type Subscribe = z.output<typeof subscribeSchema>;

interface Subscribing {
  readonly source?: unknown;
  readonly system: string;
  readonly updates?: string | undefined;
  readonly subscribe?: Subscribe | undefined;
}

/** What a subscription and the rest of a recipe ask of each other: a field, and what is wrong with it. */
export function subscriptionProblem({ source, system, updates, subscribe }: Subscribing) {
  if (subscribe === undefined) return undefined;
  if (source !== undefined) {
    return {
      path: ['subscribe'],
      message: 'must not be there with source, where no releases appear: name mirrors',
    };
  }
  if (subscribe.patches && system !== 'pkgbase' && updates !== 'at-build') {
    return {
      path: ['subscribe', 'patches'],
      message: 'must go with updates: at-build or system: pkgbase: other images have no patches in them',
    };
  }
  return undefined;
}

interface Version {
  readonly name: string;
  /** Such as 15.1. */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
  readonly kind: ReleaseKind;
  /** Of RC and BETA. */
  readonly number: number;
}

function versionOf(name: string): Version | undefined {
  const [, major = '', minor = '', kind, number = '0'] =
    /^([1-9]\d{0,2})\.(\d{1,3})-(RELEASE|RC|BETA)(\d*)$/.exec(name) ?? [];
  if (kind === undefined) return undefined;
  return {
    name,
    version: `${Number(major)}.${Number(minor)}`,
    major: Number(major),
    minor: Number(minor),
    kind: kind as ReleaseKind,
    number: Number(number),
  };
}

/** The newest first; of one version what is furthest along. */
const byAge = (a: Version, b: Version): number =>
  b.major - a.major ||
  b.minor - a.minor ||
  releaseKinds.indexOf(a.kind) - releaseKinds.indexOf(b.kind) ||
  b.number - a.number;

/** The releases, out of those that are there, that a subscription wants; the newest first. */
export function wantedReleases({ releases, kinds }: Subscribe, names: readonly string[]): string[] {
  const known = [...new Set(names)]
    .map(versionOf)
    .filter((version) => version !== undefined)
    .filter(({ kind }) => kinds.includes(kind))
    .sort(byAge);
  // RC2 takes the place of RC1, and RELEASE that of both.
  const furthest = known.filter(
    ({ version }, index) => known.findIndex((other) => other.version === version) === index,
  );
  const newest = (major?: number) =>
    furthest.find((each) => major === undefined || each.major === major)?.version;
  const wanted = (each: Version) =>
    releases.some((pattern) => {
      if (pattern === 'newest') return each.version === newest();
      const [major, minor] = pattern.split('.');
      if (Number(major) !== each.major) return false;
      if (minor === '*') return true;
      return minor === 'newest' ? each.version === newest(each.major) : Number(minor) === each.minor;
    });
  return furthest.filter(wanted).map(({ name }) => name);
}
