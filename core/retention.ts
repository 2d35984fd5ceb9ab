import type { Retention } from './recipe-distribution.ts';

/** Days in milliseconds. */
export const DAY = 86_400_000;

/**
 * How long a build may take: TimeoutSeconds of the state machine, six hours, and as long again for its clean-up. What is younger may
 * still fail, and stands neither for itself nor against another.
 */
export const SETTLED_AFTER = 12 * 3_600_000;

/**
 * A launch in the last month is a use although no instance is left of it: what runs for an hour each month names its image somewhere that
 * nobody can ask.
 */
export const LAUNCH_MEMORY = 31 * DAY;

/** What the recipe of an image says of the lives of its images: the value of the tag `ami-foundry:retention`. */
export interface RetentionTag extends Retention {
  /** Images that replace each other. */
  readonly line: string;
  /** When a build last wanted it that found it made, epoch milliseconds. */
  readonly wantedAt?: number | undefined;
  /** Somebody wants this very image for ever. */
  readonly never: boolean;
}

/**
 * The line that an image belongs to: a recipe's images of one kind. A new minor release replaces the old one; 15 does not replace 14, nor
 * arm64 amd64. The factory sees no parameters: those that a recipe's name does not have in it do not make lines of their own.
 */
export const imageLine = (of: {
  readonly name: string;
  readonly release: string;
  readonly architecture: string;
  readonly flavour: string;
  readonly filesystem: string;
}): string => [of.name, of.release.replace(/\..*/, ''), of.architecture, of.flavour, of.filesystem].join('/');

/** A tag's value has at most 256 characters of letters, digits, spaces and `+-=._:/@` (EC2, "Tag restrictions"). */
export const retentionTag = ({ line, keep, days, wantedAt, never }: RetentionTag): string =>
  [
    `line=${line}`,
    ...(keep === undefined ? [] : [`keep=${keep}`]),
    ...(days === undefined ? [] : [`days=${days}`]),
    ...(wantedAt === undefined ? [] : [`wanted=${new Date(wantedAt).toISOString()}`]),
    ...(never ? ['never'] : []),
  ].join(' ');

const wholeNumber = (text: string): number => (/^[1-9]\d{0,8}$/.test(text) ? Number(text) : Number.NaN);

/** Reads the tag; undefined when it is not what the factory writes. `never` alone, by hand, pins an image that has no line. */
export function readRetentionTag(text: string): RetentionTag | undefined {
  const words = text.split(' ').filter((word) => word !== '');
  const never = words.includes('never');
  const found = new Map<string, string>();
  for (const word of words) {
    if (word === 'never') continue;
    const [, key, value] = /^(line|keep|days|wanted)=(.+)$/.exec(word) ?? [];
    if (key === undefined || value === undefined || found.has(key)) return undefined;
    found.set(key, value);
  }
  const number = (key: string, read: (value: string) => number) => {
    const value = found.get(key);
    return value === undefined ? undefined : read(value);
  };
  const keep = number('keep', wholeNumber);
  const days = number('days', wholeNumber);
  const wantedAt = number('wanted', Date.parse);
  if ([keep, days, wantedAt].some(Number.isNaN)) return undefined;
  const line = found.get('line') ?? (never ? '' : undefined);
  return line === undefined ? undefined : { line, keep, days, wantedAt, never };
}

/** One image of a line, in one region, as far as its retention goes. */
export interface RetainedImage {
  readonly region: string;
  readonly imageId: string;
  /** In the region where images are made; elsewhere it is a copy. */
  readonly home: boolean;
  /** SHA-256 of the content: what an image and its copies have in common. */
  readonly content: string;
  readonly tag: RetentionTag;
  /** Epoch milliseconds. */
  readonly madeAt: number;
  /** Somebody may launch it: it is available, and nobody has put it away. */
  readonly launchable: boolean;
}

/** An image with its copies in other regions: all of it goes, or nothing. */
export interface Edition<One extends RetainedImage = RetainedImage> {
  readonly line: string;
  readonly content: string;
  /** The original first. */
  readonly images: readonly One[];
  /** When a build last delivered it, epoch milliseconds. */
  readonly deliveredAt: number;
}

/** The editions of all lines, newest first. */
export function editionsOf<One extends RetainedImage>(images: readonly One[]): Edition<One>[] {
  const groups = Map.groupBy(images, ({ tag, content }) => `${tag.line}\n${content}`);
  return [...groups.values()]
    .map((all) => {
      const sorted = all.toSorted((a, b) => Number(b.home) - Number(a.home) || compare(a, b));
      const originals = sorted.filter(({ home }) => home);
      const deciding = originals.length > 0 ? originals : sorted;
      return {
        line: sorted[0]?.tag.line ?? '',
        content: sorted[0]?.content ?? '',
        images: sorted,
        deliveredAt: Math.max(...deciding.map(({ madeAt, tag }) => Math.max(madeAt, tag.wantedAt ?? 0))),
      };
    })
    .sort((a, b) => b.deliveredAt - a.deliveredAt || (a.content < b.content ? 1 : -1));
}

const compare = (a: RetainedImage, b: RetainedImage): number =>
  `${a.region} ${a.imageId}` < `${b.region} ${b.imageId}` ? -1 : 1;

/** Stands for its line: others may go because it is there. */
const stands = ({ images }: Edition, now: number): boolean =>
  images.every(({ launchable }) => launchable) &&
  images.some(({ home, madeAt }) => home && now - madeAt >= SETTLED_AFTER);

/**
 * The editions that no recipe's wish keeps. The newest edition that stands decides for its whole line, by the tag of its original, so
 * that what a recipe says today holds for what it made before. An edition stays while fewer than `keep` newer ones stand (one, when
 * there is only `days`), while it is younger than `days`, when it is pinned, and when its line has no wish: nothing goes then.
 */
export function unwanted<One extends RetainedImage>(images: readonly One[], now: number): Edition<One>[] {
  const lines = Map.groupBy(editionsOf(images), ({ line }) => line);
  return [...lines.values()].flatMap((editions) => {
    const { keep, days } = editions.find((each) => stands(each, now))?.images[0]?.tag ?? {};
    if (keep === undefined && days === undefined) return [];
    return editions.filter((edition, index) => {
      const newer = editions.slice(0, index).filter((each) => stands(each, now)).length;
      const young =
        (days !== undefined && now - edition.deliveredAt < days * DAY) ||
        edition.images.some(({ madeAt }) => now - madeAt < SETTLED_AFTER);
      return newer >= (keep ?? 1) && !young && !edition.images.some(({ tag }) => tag.never);
    });
  });
}

/** Whether a launch at that time counts as a use: a boot test launches what has just been made. */
export const launchedLately = (launchedAt: number, madeAt: number, now: number): boolean =>
  now - launchedAt < LAUNCH_MEMORY && launchedAt - madeAt >= SETTLED_AFTER;
