import { heldFor } from './matrix.ts';
import { tagKey } from './names.ts';
import type { BuildRun, Image } from './ports.ts';
import type { Recipe } from './recipe.ts';
import type { Subscribe } from './recipe-subscription.ts';
import type { ReleaseSight } from './release-sight.ts';
import { resumableUntil } from './resumable.ts';

/** What a run of the watcher may take. */
export const WATCH_SECONDS = 300;

const DAY = 24 * 3_600_000;

/** The longest that a build waits which fails again and again: somebody has to look at it, and may resume it at once. */
const LONGEST_WAIT_DAYS = 7;

export type Reason = 'missing' | 'rebuilt' | 'patches' | 'age';

/** What a combination of recipe, release and architecture is judged by. */
export interface Combination {
  readonly recipe: Recipe;
  readonly recipeDigest: string;
  readonly subscribe: Subscribe;
  readonly sight: ReleaseSight;
  /** As in the tag of images; undefined when nobody wants to know. */
  readonly patches: string | undefined;
  readonly now: number;
}

/** Images that are there for the combination, the newest first: tested, and delivered as far as their tags tell. */
const standing = ({ recipe, recipeDigest, now }: Combination, images: readonly Image[]): Image[] =>
  images
    .filter(({ state, tags }) => {
      const mine = tags[tagKey.recipe] === recipe.name && tags[tagKey.recipeDigest] === recipeDigest;
      const tested = recipe.bootTest === false || tags[tagKey.bootTested] !== undefined;
      // What waits for a next attempt was not delivered. The reaper ends it afterwards, unless somebody did.
      const waits = resumableUntil(tags) > now;
      // Disabled: retention has put it away.
      return mine && tested && !waits && ['available', 'disabled', 'pending'].includes(state);
    })
    .sort((a, b) => (b.startedAt ?? 0) - (a.startedAt ?? 0));

/** Why a build may be wanted, as far as images tell; undefined when all is well. */
export function reasonToBuild(combination: Combination, images: readonly Image[]): Reason | undefined {
  const { subscribe, sight, patches, now } = combination;
  const there = standing(combination, images);
  const [image] = there;
  if (image === undefined) return 'missing';
  const { [tagKey.builtOn]: builtOn, [tagKey.revision]: revision } = image.tags;
  // Images of before the tags say nothing about it.
  if ((builtOn ?? sight.builtOn) !== sight.builtOn || (revision ?? sight.revision) !== sight.revision)
    return 'rebuilt';
  // Any of them will do: patches that are taken back make the content of an earlier image, which a build would take over again and again.
  if (patches !== undefined && there.every(({ tags }) => arePatchesNewer(tags[tagKey.patches], patches)))
    return 'patches';
  if (isOlder(image.startedAt, subscribe.maxAge, now)) return 'age';
  return undefined;
}

/** p10 after p9; of a catalogue only the digest is known, and another one is a newer one. */
function arePatchesNewer(before: string | undefined, now: string): boolean {
  const level = (patches = '') => Number(/^p(\d+)$/.exec(patches)?.[1]);
  return Number.isNaN(level(now)) || Number.isNaN(level(before))
    ? now !== before
    : level(now) > level(before);
}

const isOlder = (since: number | undefined, days: number | undefined, now: number): boolean =>
  days !== undefined && since !== undefined && now - since > days * DAY;

/** An attempt at a build before. */
export type Attempt = Pick<BuildRun, 'status' | 'startedAt' | 'endedAt'> & {
  /** The JSON that it ended with. */
  readonly output?: string | undefined;
};

/** What was held for a matrix its matrix delivers, or nobody: then the image is gone, and it was not built. */
const isDelivered = ({ status, output }: Attempt): boolean =>
  status === 'SUCCEEDED' && heldFor(output) === undefined;

/** Whether the build may be started now, by what became of the attempts at it before, in their order; else why not. */
export function mayStart(
  { subscribe, sight, now }: Pick<Combination, 'subscribe' | 'sight' | 'now'>,
  reason: Reason,
  attempts: readonly Attempt[],
): { readonly start: true } | { readonly start: false; readonly because: string } {
  const not = (because: string) => ({ start: false, because }) as const;
  if (attempts.some(({ status }) => status === 'RUNNING')) return not('it is being built');
  const success = attempts.findLast(isDelivered);
  if (success !== undefined) {
    const begun = Date.parse(success.startedAt);
    const ended = Date.parse(success.endedAt ?? success.startedAt);
    // Its image may have gone since, or have been there before it.
    if (reason === 'missing' && !isOlder(ended, subscribe.maxAge, now)) return not('it was built');
    if (reason === 'rebuilt' && begun >= sight.firstSeenAt) return not('it was built since');
    if (reason === 'age' && !isOlder(ended, subscribe.maxAge, now)) return not('it was found unchanged');
  }
  const last = attempts.at(-1);
  if (last === undefined) return { start: true };
  const failures = attempts.length - 1 - attempts.findLastIndex(isDelivered);
  const days = Math.min(2 ** Math.max(0, failures - 1), LONGEST_WAIT_DAYS);
  const next = Date.parse(last.startedAt) + days * DAY;
  return now < next
    ? not(`it was tried at ${last.startedAt}: not before ${new Date(next).toISOString()}`)
    : { start: true };
}
