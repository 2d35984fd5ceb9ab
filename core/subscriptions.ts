import * as z from 'zod/mini';
import { FactoryError } from './errors.ts';
import { executionName, watchedStarts } from './names.ts';
import { buildable, parseRecipe, type Recipe, recipeDigest } from './recipe.ts';
import type { Subscribe } from './recipe-subscription.ts';

/** A subscription as it lies in the artifacts bucket. */
const storedSubscription = z.object({
  /** As it was put. */
  recipe: z.record(z.string(), z.unknown()),
  updatedAt: z.iso.datetime(),
});

export const parseStored = (text: string): z.output<typeof storedSubscription> =>
  storedSubscription.parse(JSON.parse(text));

/** A recipe that is built when a release appears. */
export interface Subscription {
  readonly recipe: Recipe;
  readonly subscribe: Subscribe;
  readonly architectures: readonly Recipe['architecture'][];
}

/** What clients resolve before they subscribe: a subscription varies release and architecture itself. */
const composed = ['extends', 'parameters', 'matrix'];

const invalid = (lines: readonly string[]) =>
  new FactoryError('InvalidRecipe', {
    message: `the recipe cannot be subscribed:\n${lines.map((line) => `- ${line}`).join('\n')}`,
    remedy: 'correct the fields named above; docs/subscriptions.md says what a subscription takes.',
  });

/** Reads a recipe with its `subscribe`, for all architectures that it is for. Throws `InvalidRecipe`. */
export function readSubscription(value: Readonly<Record<string, unknown>>): Subscription {
  const early = composed
    .filter((key) => Object.hasOwn(value, key))
    .map((key) => `${key} must not be there: a subscription takes one recipe, with everything in its place`);
  if (early.length > 0) throw invalid(early);
  const recipe = parseRecipe(value);
  const { subscribe } = recipe;
  if (subscribe === undefined) {
    throw invalid(['subscribe is missing: {} is the newest RELEASE for the recipe’s own architecture']);
  }
  const subscription = {
    recipe,
    subscribe,
    architectures: subscribe.architectures ?? [recipe.architecture],
  };
  for (const architecture of subscription.architectures) {
    buildOf(subscription, recipe.release ?? '', architecture);
  }
  return subscription;
}

/** What is built of it. Throws `InvalidRecipe` when the recipe makes no sense for that release or architecture. */
export const buildOf = (
  { recipe }: Pick<Subscription, 'recipe'>,
  release: string,
  architecture: Recipe['architecture'],
): Recipe =>
  parseRecipe({ ...buildable(recipe), release, architecture }, `the recipe for ${release} ${architecture}`);

/** A build that the watcher started. */
interface WatchedStart {
  readonly at: string;
  readonly release: string;
  readonly architecture: string;
  readonly build: string;
}

/** Builds that the watcher started, the newest first: out of the keys of their notes. */
export function startsOf(keys: readonly string[]): WatchedStart[] {
  const starts = [...keys].sort().flatMap((key): WatchedStart[] => {
    const [, at, release, architecture, build] = key
      .slice(watchedStarts.length)
      .replace(/\.json$/, '')
      .split('/');
    return at && release && architecture && build ? [{ at, release, architecture, build }] : [];
  });
  return starts.reverse();
}

/** How many of them people are told of. */
const STARTS_TOLD = 20;

export const lastStarts = (starts: readonly WatchedStart[]): WatchedStart[] => starts.slice(0, STARTS_TOLD);

/** The number of the last attempt at a build that the watcher started; 0 when there is none. */
export function lastAttempt(starts: readonly Pick<WatchedStart, 'build'>[], recipe: Recipe): number {
  const name = executionName(recipe.name, recipeDigest(recipe));
  const attempts = starts.map(({ build }) => {
    if (build === name) return 1;
    return build.startsWith(`${name}-`) ? Number(build.slice(name.length + 1)) : 0;
  });
  return Math.max(0, ...attempts);
}
