import * as z from 'zod/mini';
import { atOnce } from '../../core/at-once.ts';
import type { Clock } from '../../core/clock.ts';
import {
  type Attempt,
  type Combination,
  mayStart,
  type Reason,
  reasonToBuild,
  WATCH_SECONDS,
} from '../../core/due-build.ts';
import { FactoryError } from '../../core/errors.ts';
import type { BusEventType, DetailOf } from '../../core/events.ts';
import {
  executionName,
  seenReleasesKey,
  subscriptions as subscriptionsPrefix,
  watchedStartKey,
  watchedStarts,
} from '../../core/names.ts';
import type {
  BuildRuns,
  Image,
  Images,
  Mirror,
  MirrorFiles,
  Notices,
  Records,
  UpdateServer,
} from '../../core/ports.ts';
import { type Recipe, recipeDigest } from '../../core/recipe.ts';
import { wantedReleases } from '../../core/recipe-subscription.ts';
import {
  type Look,
  listReleases,
  lookAtBasePackages,
  lookAtParts,
  lookAtRelease,
  remembering,
} from '../../core/release-sight.ts';
import { readSeenReleases, type SeenRelease } from '../../core/seen-releases.ts';
import { buildInput } from '../../core/start-build.ts';
import {
  buildOf,
  lastAttempt,
  parseStored,
  readSubscription,
  type Subscription,
  startsOf,
} from '../../core/subscriptions.ts';

/** From the schedule: nothing. */
export const watchReleasesEvent = { name: 'watch-releases', input: z.object({}) };

interface WatcherDependencies {
  readonly mirror: Mirror & MirrorFiles;
  readonly updates: UpdateServer;
  readonly images: Pick<Images, 'findOfAnyBuild'>;
  readonly runs: Pick<BuildRuns, 'find' | 'start'>;
  readonly records: Pick<Records, 'get' | 'list' | 'put'>;
  readonly notices: Notices;
  readonly clock: Clock;
  /** Writes one structured line. */
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly settings: {
    /** Mirrors whose releases are told of, beside those of subscriptions. */
    readonly WATCHED_MIRRORS?: readonly string[] | undefined;
  };
}

export interface WatcherSummary {
  /** Releases that are known now. */
  readonly releases: number;
  readonly subscriptions: number;
  readonly started: number;
  /** What is due, and is not whole, runs, was tried lately, or is more than a run may start. */
  readonly waiting: number;
}

/** Each launches a worker of two processors: ten, which a new account may have at once, and the rest an hour later. */
const MOST_STARTS = 5;

/** Nothing is begun after these: one catalogue that does not come takes two minutes, and what a run has seen has to be noted. */
const LATE_SECONDS = WATCH_SECONDS - 130;

/** Small files of one server: as many as a browser would ask for at once. */
const REQUESTS_AT_ONCE = 6;

/** How many attempts before the last are looked at: enough to tell a row of failures from a single one. */
const ATTEMPTS_BACK = 5;

const HOUR = 3_600_000;

type Architecture = Recipe['architecture'];

/** A combination that a build may be due for. */
interface Wanted {
  readonly subscription: Subscription;
  readonly release: string;
  readonly architecture: Architecture;
}

/**
 * Looks at the mirrors, tells of releases that are new, and starts what subscriptions want and is not there. Whatever is not certain starts
 * nothing. It may run twice, at once or late: the name of the next attempt is read before anything is judged, and Step Functions gives it away once.
 */
export const watchReleases = (world: WatcherDependencies) => async (): Promise<WatcherSummary> => {
  const { records, log, settings } = world;
  const begun = world.clock.now();
  const isLate = () => world.clock.now() - begun > LATE_SECONDS * 1000;
  const mirror = remembering(world.mirror, isLate);
  const problems: string[] = [];
  /** What goes wrong with one thing keeps no other back. */
  const apart = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      problems.push(`${what}: ${told(error)}`);
      return undefined;
    }
  };

  const before = await readSeenReleases(records);
  // Another one is first each hour: what a run does not come to is not always the same.
  const subscriptions = rotated(await readSubscriptions(records, apart), Math.floor(begun / HOUR));
  const listed = await listPlaces(
    [
      ...(settings.WATCHED_MIRRORS ?? []).flatMap((url) => placesOf([url], ['amd64', 'arm64'])),
      ...subscriptions.flatMap(({ recipe, architectures }) => placesOf(recipe.mirrors, architectures)),
    ],
    mirror,
    problems,
  );
  const levels = patchLevels(world.updates, isLate);
  const known = await seeReleases(world, mirror, before.releases, listed, levels, problems);

  const wanted = subscriptions.flatMap((subscription): Wanted[] =>
    subscription.architectures.flatMap((architecture) => {
      const lists = subscription.recipe.mirrors.map((url) => listed.get(placeKey(url, architecture)));
      // A mirror that does not answer may have what the others lack: an older release must not become the newest.
      const remembered = lists.includes(undefined)
        ? [...known.values()].filter((one) => one.architecture === architecture).map(({ release }) => release)
        : [];
      const names = [...lists.flatMap((list) => list ?? []), ...remembered];
      return wantedReleases(subscription.subscribe, names).map((release) => ({
        subscription,
        release,
        architecture,
      }));
    }),
  );
  let [started, waiting] = [0, 0];
  const images = wanted.length > 0 ? await world.images.findOfAnyBuild() : [];
  for (const [index, each] of wanted.entries()) {
    if (isLate()) {
      const rest = wanted.length - index;
      waiting += rest;
      problems.push(
        `${rest} of ${wanted.length} combinations, from ${Object.values(namesOf(each)).join(' ')} on, were not looked at: the run had taken ${LATE_SECONDS} s; the next run begins with another subscription`,
      );
      break;
    }
    const what = `${each.subscription.recipe.name} of ${each.release} ${each.architecture}`;
    const put = (because: string) => {
      waiting++;
      log('waits', { ...namesOf(each), because });
    };
    await apart(what, async () => {
      const found = await judge(world, mirror, each, { images, known, levels });
      if (found === undefined) return;
      if ('because' in found) {
        put(found.because);
        if (found.failed) throw new Error(found.because);
        return;
      }
      if (started >= MOST_STARTS) {
        put(`${MOST_STARTS} builds were started in this run`);
        return;
      }
      const { build, recipe, reason } = found;
      const start = await world.runs.start(build, buildInput(recipe));
      if (start === 'taken') {
        // Another run was faster, and its build is over already.
        put(`${build} was started by somebody else`);
        return;
      }
      started++;
      log('started', { ...namesOf(each), build, reason });
      // The same for each of two runs that started it at once.
      const at = new Date(start.startedAt).toISOString();
      const { release, architecture } = each;
      await records.put(watchedStartKey(recipe.name, { at, release, architecture, build }), '{}');
    });
  }

  const summary = {
    releases: known.size,
    subscriptions: subscriptions.length,
    started,
    waiting,
  };
  log('watcher done', { ...summary, problems: problems.length });
  if (problems.length === 0) return summary;
  throw new FactoryError('WatchIncomplete', {
    message: `not everything could be looked at or started:\n${problems.map((line) => `- ${line}`).join('\n')}`,
    remedy:
      'nothing, if the next run succeeds; else see to what is named: a mirror, a subscription, a permission.',
  });
};

const rotated = <T>(items: readonly T[], by: number): T[] => {
  const first = items.length > 0 ? by % items.length : 0;
  return [...items.slice(first), ...items.slice(0, first)];
};

const namesOf = ({ subscription, release, architecture }: Wanted) => ({
  recipe: subscription.recipe.name,
  release,
  architecture,
});

type Apart = <T>(what: string, work: () => Promise<T>) => Promise<T | undefined>;

async function readSubscriptions(
  records: WatcherDependencies['records'],
  apart: Apart,
): Promise<Subscription[]> {
  const read: Subscription[] = [];
  for (const key of (await records.list(subscriptionsPrefix)).sort()) {
    const subscription = await apart(key, async () => {
      return readSubscription(parseStored(await records.get(key)).recipe);
    });
    if (subscription !== undefined) read.push(subscription);
  }
  return read;
}

interface Place {
  readonly mirror: string;
  readonly architecture: Architecture;
}

const placeKey = (mirror: string, architecture: Architecture): string => `${architecture} ${mirror}`;

const placesOf = (mirrors: readonly string[], architectures: readonly Architecture[]): Place[] =>
  mirrors.flatMap((mirror) => architectures.map((architecture) => ({ mirror, architecture })));

/** The names of releases by place; what does not answer has none, and is a problem. */
async function listPlaces(
  places: readonly Place[],
  mirror: Mirror,
  problems: string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const distinct = new Map(places.map((place) => [placeKey(place.mirror, place.architecture), place]));
  const listed = new Map<string, readonly string[]>();
  const looks = await atOnce(REQUESTS_AT_ONCE, [...distinct], async ([key, place]) => ({
    key,
    look: await listReleases(place.mirror, place.architecture, mirror),
  }));
  for (const result of looks) {
    if (result.status === 'rejected') throw result.reason;
    const { key, look } = result.value;
    if (look.status === 'seen') listed.set(key, look.value);
    else problems.push(`mirror ${look.because}`);
  }
  return listed;
}

type PatchLevels = (release: string, architecture: Architecture) => Promise<Look<number | undefined>>;

/** Asks the update server for each release once, and no more after it did not answer or when the time is over. */
function patchLevels(updates: UpdateServer, isLate: () => boolean): PatchLevels {
  const asked = new Map<string, ReturnType<PatchLevels>>();
  let outage: string | undefined;
  const ask: PatchLevels = async (release, architecture) => {
    if (outage !== undefined) return { status: 'failed', because: outage };
    if (isLate()) return { status: 'failed', because: 'the update server was not asked: no time was left' };
    try {
      return { status: 'seen', value: await updates.patchLevel(release, architecture) };
    } catch (error) {
      if (!(error instanceof FactoryError)) throw error;
      if (error.code === 'MirrorUnreachable') outage = told(error);
      return { status: 'failed', because: told(error) };
    }
  };
  return (release, architecture) => {
    const key = releaseKey({ release, architecture });
    const answer = asked.get(key) ?? ask(release, architecture);
    asked.set(key, answer);
    return answer;
  };
}

const releaseKey = ({ release, architecture }: Pick<SeenRelease, 'release' | 'architecture'>): string =>
  `${release} ${architecture}`;

/** Reads every release that is listed, tells of those that are new, and notes all that were ever seen. */
async function seeReleases(
  { records, notices, clock, log, settings }: WatcherDependencies,
  mirror: Mirror & MirrorFiles,
  before: readonly SeenRelease[],
  listed: ReadonlyMap<string, readonly string[]>,
  levels: PatchLevels,
  problems: string[],
): Promise<ReadonlyMap<string, SeenRelease>> {
  const now = new Date(clock.now()).toISOString();
  const known = new Map(before.map((release) => [releaseKey(release), release]));
  const todo = [...listed].flatMap(([key, names]) => {
    const [architecture, url] = key.split(' ') as [Architecture, string];
    return names.map((release) => ({ release, architecture, url }));
  });
  const looks = await atOnce(REQUESTS_AT_ONCE, todo, async ({ release, architecture, url }) => {
    const look = await lookAtRelease({ source: undefined, mirrors: [url], release, architecture }, mirror);
    const watched = settings.WATCHED_MIRRORS?.includes(url) && release.endsWith('-RELEASE');
    const level = look.status === 'seen' && watched ? await levels(release, architecture) : undefined;
    return { look, level };
  });
  const news: { readonly seen: SeenRelease; readonly old: SeenRelease | undefined }[] = [];
  /** One release of each mirror that lists what it does not give. */
  const outages = new Map<string, string>();
  const told = new Set<string>();
  for (const [index, result] of looks.entries()) {
    if (result.status === 'rejected') throw result.reason;
    const { release = '', architecture = 'amd64' } = todo[index] ?? {};
    const { look, level } = result.value;
    const key = releaseKey({ release, architecture });
    if (look.status !== 'seen') {
      log('waits', { release, architecture, because: look.because });
      if (look.status === 'failed') outages.set(todo[index]?.url ?? '', look.because);
      continue;
    }
    if (level?.status === 'failed')
      log('patch level unknown', { release, architecture, because: level.because });
    // Mirrors may differ for a while: the first that was asked for decides.
    if (told.has(key)) continue;
    told.add(key);
    const { builtOn, revision } = look.value;
    const old = known.get(key);
    const same = old?.builtOn === builtOn && old.revision === revision;
    const seen = {
      release,
      architecture,
      builtOn,
      revision,
      patchLevel: (level?.status === 'seen' ? level.value : old?.patchLevel) ?? null,
      firstSeenAt: same ? old.firstSeenAt : now,
    };
    known.set(key, seen);
    if (!same) news.push({ seen, old });
  }
  problems.push(...[...outages.values()].map((because) => `mirror ${because}`));
  const noted = new Map(known);
  // On the first day everything is new, which is no news.
  for (const { seen, old } of before.length > 0 ? news : []) {
    const { release, architecture, builtOn, revision } = seen;
    const id = [release, architecture, revision, builtOn].join('/');
    const detail: DetailOf<'Release Seen'> = { id, release, architecture, builtOn, revision };
    try {
      await notices.tell('Release Seen' satisfies BusEventType, detail);
      log('release seen', detail);
    } catch (error) {
      problems.push(`event Release Seen of ${id}: ${reasonIn(error)}`);
      // What nobody was told of is new for the next run too.
      if (old === undefined) noted.delete(releaseKey(seen));
      else noted.set(releaseKey(seen), old);
    }
  }
  try {
    await records.put(
      seenReleasesKey,
      JSON.stringify({ checkedAt: now, releases: [...noted.values()] }, undefined, 1),
    );
  } catch (error) {
    problems.push(`${seenReleasesKey}: ${reasonIn(error)}`);
  }
  return known;
}

type Judgement =
  | { readonly build: string; readonly recipe: Recipe; readonly reason: Reason }
  | { readonly because: string; readonly failed: boolean }
  | undefined;

/** What is to be done for a combination: a build to start, a reason to wait, or nothing. */
async function judge(
  world: WatcherDependencies,
  mirror: Mirror & MirrorFiles,
  { subscription, release, architecture }: Wanted,
  {
    images,
    known,
    levels,
  }: {
    readonly images: readonly Image[];
    readonly known: ReadonlyMap<string, SeenRelease>;
    readonly levels: PatchLevels;
  },
): Promise<Judgement> {
  const { subscribe } = subscription;
  const recipe = buildOf(subscription, release, architecture);
  const look = await lookAtRelease(recipe, mirror);
  if (look.status !== 'seen') return { because: look.because, failed: look.status === 'failed' };
  const { builtOn, revision } = look.value;
  const noted = known.get(releaseKey({ release, architecture }));
  const firstSeenAt =
    noted?.builtOn === builtOn && noted.revision === revision
      ? Date.parse(noted.firstSeenAt)
      : world.clock.now();
  const patches = await patchesOf(recipe, subscribe.patches, mirror, levels);
  if (patches.status !== 'seen') return { because: patches.because, failed: patches.status === 'failed' };
  const combination: Combination = {
    recipe,
    recipeDigest: recipeDigest(recipe),
    subscribe,
    sight: { builtOn, revision, firstSeenAt },
    patches: patches.value,
    now: world.clock.now(),
  };
  const reason = reasonToBuild(combination, images);
  if (reason === undefined) return undefined;
  // The order matters: whoever starts a build after this takes the name that is free here.
  const { attempts, next } = await attemptsAt(world, recipe);
  const verdict = mayStart(combination, reason, attempts);
  if (!verdict.start) return { because: verdict.because, failed: false };
  const parts = await lookAtParts(recipe, look.value, mirror);
  if (parts.status !== 'seen') return { because: parts.because, failed: parts.status === 'failed' };
  return { build: next, recipe, reason };
}

/** Which patches the image would have, as its tag will say; undefined when the subscription does not ask. */
async function patchesOf(
  recipe: Recipe,
  wanted: boolean,
  mirror: Mirror & MirrorFiles,
  levels: PatchLevels,
): Promise<Look<string | undefined>> {
  if (recipe.system === 'pkgbase') {
    const look = await lookAtBasePackages(recipe, mirror);
    return look.status === 'seen' && !wanted ? { status: 'seen', value: undefined } : look;
  }
  if (!wanted) return { status: 'seen', value: undefined };
  const level = await levels(recipe.release ?? '', recipe.architecture);
  if (level.status !== 'seen') return level;
  return { status: 'seen', value: level.value === undefined ? undefined : `p${level.value}` };
}

/** What became of the last attempts at a build, and the name of the next. */
async function attemptsAt(
  { records, runs }: WatcherDependencies,
  recipe: Recipe,
): Promise<{ readonly attempts: readonly Attempt[]; readonly next: string }> {
  const starts = startsOf(await records.list(`${watchedStarts}${recipe.name}/`));
  const last = lastAttempt(starts, recipe);
  const nameOf = (attempt: number) => executionName(recipe.name, recipeDigest(recipe), attempt);
  const attempts: Attempt[] = [];
  for (let attempt = Math.max(1, last - ATTEMPTS_BACK); ; attempt++) {
    const run = await runs.find(nameOf(attempt));
    if (run !== undefined) attempts.push(run);
    // Old ones are forgotten before young ones, and people start builds too.
    else if (attempt > last) return { attempts: inTime(attempts), next: nameOf(attempt) };
  }
}

/** The number of an attempt does not tell its age: a name that was forgotten is given away again. */
const inTime = (attempts: readonly Attempt[]): Attempt[] =>
  [...attempts].sort((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt));

const told = (error: unknown): string =>
  error instanceof FactoryError
    ? `${error.code}: ${error.message.split('\nRemedy: ')[0]?.replaceAll('\n', ' ') ?? ''}`
    : reasonIn(error);

const reasonIn = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);
