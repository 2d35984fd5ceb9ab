import { FactoryError } from './errors.ts';
import { type ReleaseSet, selectSets } from './manifest.ts';
import type { Mirror, MirrorAnswer, MirrorBytes, MirrorDigest, MirrorFiles, MirrorHead } from './ports.ts';
import type { Recipe } from './recipe.ts';
import {
  builtOn,
  findRelease,
  type ReleaseWish,
  releasesIn,
  releasesUrl,
  revisionIn,
} from './release-directory.ts';
import { findCatalogue } from './resolve-build.ts';
import { setsOf } from './system-files/flavour.ts';
import { BASE_REPOSITORY, packageRepositories } from './system-files/package-repositories.ts';

/** A release that is whole on its mirror. */
export interface ReleaseSight {
  readonly builtOn: string;
  readonly revision: string;
  /** When this build of the release was seen first, epoch milliseconds. */
  readonly firstSeenAt: number;
}

/** What a look at something came to. `waits`: it is not all there yet. `failed`: nobody can tell. */
export type Look<T> =
  | { readonly status: 'seen'; readonly value: T }
  | { readonly status: 'waits' | 'failed'; readonly because: string };

type Mirrors = Mirror & MirrorFiles;

const seen = <T>(value: T): Look<T> => ({ status: 'seen', value });
const waits = (because: string) => ({ status: 'waits', because }) as const;
const failed = (because: string) => ({ status: 'failed', because }) as const;

type Unreachable = Extract<MirrorAnswer, { readonly status: 'unreachable' }>;

/**
 * Asks for everything once: what a mirror says at the beginning of a run holds for all of it. A server that is silent is asked no more, as
 * each question would take as long; and nobody is, when the run has no time left for an answer.
 */
export function remembering(mirror: Mirrors, isLate: () => boolean): Mirrors {
  const once = <T extends { readonly status: string }>(
    ask: (url: string) => Promise<T | Unreachable>,
    silent: Map<string, Unreachable>,
  ) => {
    const answers = new Map<string, Promise<T | Unreachable>>();
    const answerOf = async (url: string): Promise<T | Unreachable> => {
      const origin = new URL(url).origin;
      const outage = silent.get(origin);
      if (outage !== undefined) return outage;
      if (isLate()) return { status: 'unreachable', reason: 'not asked: the run has no time left' };
      const answer = await ask(url);
      if (isSilent(answer)) silent.set(origin, answer);
      return answer;
    };
    return (url: string): Promise<T | Unreachable> => {
      const answer = answers.get(url) ?? answerOf(url);
      answers.set(url, answer);
      return answer;
    };
  };
  const silent = new Map<string, Unreachable>();
  return {
    read: once<MirrorAnswer>((url) => mirror.read(url), silent),
    // A catalogue that takes too long says nothing about small files.
    digest: once<MirrorDigest>((url) => mirror.digest(url), new Map()),
    head: once<MirrorHead>((url) => mirror.head(url), silent),
    bytes: once<MirrorBytes>((url) => mirror.bytes(url), silent),
  };
}

const isSilent = (answer: { readonly status: string }): answer is Unreachable =>
  answer.status === 'unreachable' && 'silent' in answer && answer.silent === true;

/** The names of releases that a mirror's index lists. */
export async function listReleases(
  mirror: string,
  architecture: Recipe['architecture'],
  { read }: Pick<Mirror, 'read'>,
): Promise<Look<string[]>> {
  const url = releasesUrl(mirror, architecture);
  const answer = await read(url);
  if (answer.status !== 'found') {
    return failed(`${url}: ${answer.status === 'absent' ? 'there is no such directory' : answer.reason}`);
  }
  const names = releasesIn(answer.text, url);
  return names.length > 0
    ? seen(names)
    : failed(`${url} answers something that lists no releases: ${JSON.stringify(answer.text.slice(0, 60))}`);
}

/** A release as its directory describes it. */
interface FoundWhole {
  readonly builtOn: string;
  readonly revision: string;
  readonly directory: string;
  readonly sets: readonly ReleaseSet[];
}

/** What cannot be told of a release, because a mirror does not answer. */
const isOutage = ({ code }: FactoryError): boolean => code === 'MirrorUnreachable';

/** Reads MANIFEST, BUILDDATE and REVISION of a release, all of which a whole one has. */
export async function lookAtRelease(wish: ReleaseWish, mirror: Mirrors): Promise<Look<FoundWhole>> {
  try {
    const { directories, sets } = await findRelease(wish, mirror);
    const [directory = ''] = directories;
    const [date, commit] = await Promise.all(
      ['BUILDDATE', 'REVISION'].map(async (file) => await mirror.read(`${directory}/${file}`)),
    );
    for (const answer of [date, commit]) {
      if (answer?.status === 'unreachable') return failed(`${directory}: ${answer.reason}`);
    }
    const day = date?.status === 'found' ? builtOn(date.text) : undefined;
    const revision = commit?.status === 'found' ? revisionIn(commit.text) : undefined;
    if (day === undefined) return waits(`${directory} has no BUILDDATE`);
    if (revision === undefined) return waits(`${directory} has no REVISION`);
    return seen({ builtOn: day, revision, directory, sets });
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const because = firstLines(error);
    return isOutage(error) ? failed(because) : waits(because);
  }
}

/** Whether all that a recipe takes of a release is there, beside its description. */
export async function lookAtParts(
  recipe: Recipe,
  found: FoundWhole,
  mirror: Mirrors,
): Promise<Look<undefined>> {
  const { directory } = found;
  const { required, optional } = setsOf(recipe);
  try {
    const sets = selectSets(found.sets, required, `${directory}/MANIFEST`, optional);
    for (const { file, name } of sets) {
      // The recipe has a kernel of its own.
      if (name === 'kernel' && recipe.kernel !== undefined) continue;
      const answer = await mirror.head(`${directory}/${file}`);
      if (answer.status === 'unreachable') return failed(`${directory}/${file}: ${answer.reason}`);
      if (answer.status === 'absent') return waits(`${directory}/${file} is not there`);
      if (answer.bytes === 0 || answer.type.startsWith('text/html')) {
        return waits(`${directory}/${file} is no archive: ${answer.bytes ?? 'some'} bytes of ${answer.type}`);
      }
    }
    return seen(undefined);
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    return waits(firstLines(error));
  }
}

/** The base packages of a release: the beginning of the digest of their catalogue, as Plan writes it into the tag of an image. */
export async function lookAtBasePackages(recipe: Recipe, mirror: Mirrors): Promise<Look<string>> {
  const repository = packageRepositories(recipe).find(({ name }) => name === BASE_REPOSITORY);
  if (repository === undefined) return waits('the recipe has no base packages');
  // The description of a repository is text: a page in its place shows, which the digest of a catalogue would not.
  const about = await mirror.read(`${repository.url}/meta.conf`);
  if (about.status === 'unreachable') return failed(`${repository.url}: ${about.reason}`);
  if (about.status === 'absent' || !/^\s*packing_format\s*=/m.test(about.text)) {
    return waits(`${repository.url}/meta.conf is not there, or no meta.conf`);
  }
  const catalogue = await findCatalogue(repository, mirror);
  if (catalogue.status === 'found') return seen(catalogue.sha256.slice(0, 12));
  return catalogue.status === 'absent'
    ? waits(`${repository.url} has no catalogue`)
    : failed(`${repository.url}: ${catalogue.reason}`);
}

/** What an error says, without what is for readers of a Cause. */
const firstLines = ({ message }: FactoryError): string =>
  (message.split('\nRemedy: ')[0] ?? '').replaceAll('\n', ' ');
