import type { RetentionTag } from './retention-tag.ts';

/** Days in milliseconds. */
export const DAY = 86_400_000;

/**
 * How long a build may take: TimeoutSeconds of the state machine, fourteen hours, and an hour for its clean-up.
 */
export const SETTLED_AFTER = 15 * 3_600_000;

/**
 * A launch in the last month is a use although no instance is left of it: what runs for an hour each month names its image somewhere that
 * nobody can ask.
 */
export const LAUNCH_MEMORY = 31 * DAY;

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
  /** From when on it is certain that it was delivered: what is younger, or waits for another attempt of its build, may still go with that. */
  readonly settledAt: number;
  /** Somebody may launch it: it is available, and nobody has put it away. */
  readonly launchable: boolean;
}

/** An image with its copies in other regions: all of it goes, or nothing. */
export interface Edition<One extends RetainedImage = RetainedImage> {
  readonly line: string;
  readonly content: string;
  /** The original first. */
  readonly members: readonly One[];
  /** When a build last delivered it, epoch milliseconds. */
  readonly deliveredAt: number;
}

/** The editions of all lines, newest first. */
export function editionsOf<One extends RetainedImage>(all: readonly One[]): Edition<One>[] {
  const groups = Map.groupBy(all, ({ tag, content }) => `${tag.line}\n${content}`);
  return [...groups.values()]
    .map((group) => {
      const sorted = group.toSorted((a, b) => Number(b.home) - Number(a.home) || compare(a, b));
      const originals = sorted.filter(({ home }) => home);
      const deciding = originals.length > 0 ? originals : sorted;
      return {
        line: sorted[0]?.tag.line ?? '',
        content: sorted[0]?.content ?? '',
        members: sorted,
        deliveredAt: Math.max(...deciding.map(({ madeAt, tag }) => Math.max(madeAt, tag.wantedAt ?? 0))),
      };
    })
    .sort((a, b) => b.deliveredAt - a.deliveredAt || (a.content < b.content ? 1 : -1));
}

const compare = (a: RetainedImage, b: RetainedImage): number =>
  `${a.region} ${a.imageId}` < `${b.region} ${b.imageId}` ? -1 : 1;

/** Stands for its line: others may go because it is there. */
const stands = ({ members }: Edition, now: number): boolean =>
  members.every(({ launchable, tag }) => launchable && !tag.gone) &&
  members.some(({ home, settledAt }) => home && now >= settledAt);

/**
 * The editions that no recipe's wish keeps. The newest edition that stands decides for its whole line, by the tag of its original, so
 * that what a recipe says today holds for what it made before. An edition stays while fewer than `keep` newer ones stand (one, when
 * there is only `days`), while it is younger than `days`, and when its line has no wish. What people have said of an edition comes
 * first: pinned it stays, whatever else is said; and gone is gone.
 */
export function unwanted<One extends RetainedImage>(all: readonly One[], now: number): Edition<One>[] {
  const lines = Map.groupBy(editionsOf(all), ({ line }) => line);
  return [...lines.values()].flatMap((editions) => {
    const { keep, days } = editions.find((each) => stands(each, now))?.members[0]?.tag ?? {};
    const kept = (edition: Edition, index: number): boolean => {
      if (keep === undefined && days === undefined) return true;
      const newer = editions.slice(0, index).filter((each) => stands(each, now)).length;
      return (
        newer < (keep ?? 1) ||
        (days !== undefined && now - edition.deliveredAt < days * DAY) ||
        !edition.members.every(({ settledAt }) => now >= settledAt)
      );
    };
    return editions.filter((edition, index) => {
      if (edition.members.some(({ tag }) => tag.never)) return false;
      return edition.members.some(({ tag }) => tag.gone) || !kept(edition, index);
    });
  });
}

/** Whether a launch at that time counts as a use: a boot test launches what has just been made. */
export const launchedLately = (launchedAt: number, madeAt: number, now: number): boolean =>
  now - launchedAt < LAUNCH_MEMORY && launchedAt - madeAt >= SETTLED_AFTER;
