import { FactoryError } from './errors.ts';
import { parseManifest, type ReleaseSet } from './manifest.ts';
import type { Mirror } from './ports.ts';
import { type Recipe, releaseLabel } from './recipe.ts';

/** Finding a release takes small text files only. */
type ReleaseReader = Pick<Mirror, 'read'>;

/** What of a recipe says where a release is. */
export type ReleaseWish = Pick<Recipe, 'source' | 'architecture' | 'mirrors' | 'release'>;

/** A release as found on its mirrors. */
export interface FoundRelease {
  /** Directories that answered with the MANIFEST first, then the others. */
  readonly directories: readonly string[];
  readonly manifestUrl: string;
  readonly sets: readonly ReleaseSet[];
  /** Epoch seconds of the day in BUILDDATE. */
  readonly builtAt: number;
}

/** release/Makefile.mirrors of FreeBSD: releases/<TARGET>/<TARGET_ARCH>/<release>. */
const targetArch = { amd64: 'amd64', arm64: 'aarch64' } as const;

/** Where a release without BUILDDATE is dated, so that its images are reproducible too: 1 January 2000. */
const UNDATED = 946_684_800;

/** The directory of a mirror that has the releases for an architecture, with a slash at the end. */
export const releasesUrl = (mirror: string, architecture: Recipe['architecture']): string =>
  `${mirror}/releases/${architecture}/${targetArch[architecture]}/`;

export function releaseDirectories(recipe: ReleaseWish): string[] {
  if (recipe.source !== undefined) return [recipe.source];
  const { architecture, mirrors, release } = recipe;
  return mirrors.map((mirror) => `${releasesUrl(mirror, architecture)}${release}`);
}

/**
 * Reads MANIFEST and BUILDDATE of a release from its mirrors. Mirrors that have it must agree on every byte.
 * Throws `ReleaseNotFound`, `ManifestMissing`, `ManifestInvalid`, `ManifestMismatch` or `MirrorUnreachable`.
 */
export async function findRelease(recipe: ReleaseWish, mirror: ReleaseReader): Promise<FoundRelease> {
  const directories = releaseDirectories(recipe);
  const answers = await Promise.all(
    directories.map(async (directory) => ({ directory, answer: await mirror.read(`${directory}/MANIFEST`) })),
  );
  const found = answers.flatMap(({ directory, answer }) =>
    answer.status === 'found' ? [{ directory, text: answer.text }] : [],
  );
  const first = found[0];
  if (first === undefined) throw await explainAbsence(recipe, answers, mirror);
  const other = found.find(({ text }) => text !== first.text);
  if (other !== undefined) {
    throw new FactoryError('ManifestMismatch', {
      message: `${first.directory}/MANIFEST and ${other.directory}/MANIFEST differ`,
      remedy:
        'one mirror is out of date or not what it seems: leave it out of mirrors, or wait until it has caught up.',
    });
  }
  const manifestUrl = `${first.directory}/MANIFEST`;
  const rest = directories.filter((directory) => !found.some((item) => item.directory === directory));
  return {
    directories: [...found.map(({ directory }) => directory), ...rest],
    manifestUrl,
    sets: parseManifest(first.text, manifestUrl),
    builtAt: await buildDate(first.directory, mirror),
  };
}

/** Epoch seconds of the day a release was built, as its directory says. Throws `MirrorUnreachable`. */
export async function buildDate(directory: string, mirror: ReleaseReader): Promise<number> {
  return dateOf((await textAt(`${directory}/BUILDDATE`, mirror)) ?? '');
}

/** What a file of a release says; undefined when it is not there. What nobody can tell is no answer: another date makes another image. */
async function textAt(url: string, mirror: ReleaseReader): Promise<string | undefined> {
  const answer = await mirror.read(url);
  if (answer.status === 'found') return answer.text;
  // S3 answers 403 for what is not there, to who may read a bucket and not list it (GetObject, Amazon S3 API Reference), as Plan may.
  const absent = answer.status === 'absent' || (url.startsWith('s3://') && answer.reason === 'HTTP 403');
  if (absent) return undefined;
  throw new FactoryError('MirrorUnreachable', {
    message: `nobody can tell whether the release has ${url}: ${answer.reason}`,
    remedy:
      'try again later. A server that answers 403 for what is not there has to have the file: add it to your source.',
  });
}

const dateOf = (text: string): number => {
  const day = builtOn(text);
  return day === undefined ? UNDATED : Date.parse(day) / 1000;
};

/** What BUILDDATE says, as YYYY-MM-DD; undefined when it is no BUILDDATE. */
export function builtOn(text: string): string | undefined {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)\s*$/.exec(text) ?? [];
  if (!year || !month || !day) return undefined;
  const time = Date.UTC(Number(year), Number(month) - 1, Number(day));
  return new Date(time).toISOString().slice(0, 10);
}

/** What REVISION says: the hash of a commit; undefined when it is no REVISION. */
export const revisionIn = (text: string): string | undefined => /^([0-9a-f]{7,40})\s*$/.exec(text)?.[1];

/** The commit that a release was built from, where its directory says so. Throws `MirrorUnreachable`. */
export async function revisionOf(directory: string, mirror: ReleaseReader): Promise<string | undefined> {
  return revisionIn((await textAt(`${directory}/REVISION`, mirror)) ?? '');
}

async function explainAbsence(
  recipe: ReleaseWish,
  answers: readonly { directory: string; answer: { status: string; reason?: string } }[],
  mirror: ReleaseReader,
): Promise<FactoryError> {
  const absent = answers.filter(({ answer }) => answer.status === 'absent').map(({ directory }) => directory);
  const first = absent[0];
  // A mirror that does not answer may have what the others have not.
  if (first === undefined || absent.length < answers.length) {
    const reasons = answers.map(
      ({ directory, answer }) => `- ${directory}/MANIFEST: ${answer.reason ?? 'not there'}`,
    );
    return new FactoryError('MirrorUnreachable', {
      message: `${first === undefined ? 'No mirror answered' : `No mirror that answered has ${releaseLabel(recipe)}`}:\n${reasons.join('\n')}`,
      remedy: 'check the URLs in mirrors or source, and that the functions reach them; else try again later.',
    });
  }
  const index = await mirror.read(`${first}/`);
  if (index.status === 'found') {
    return new FactoryError('ManifestMissing', {
      message: `${first}/ exists, but has no MANIFEST`,
      remedy:
        'wait until the mirror has finished its copy, name another mirror, or add the MANIFEST to your source.',
    });
  }
  const parentUrl = `${first.slice(0, first.lastIndexOf('/'))}/`;
  const parent = await mirror.read(parentUrl);
  const known = parent.status === 'found' ? releasesIn(parent.text, parentUrl) : [];
  return new FactoryError('ReleaseNotFound', {
    message: `${releaseLabel(recipe)} for ${recipe.architecture} is not on any mirror: tried ${absent.join(', ')}`,
    remedy:
      known.length > 0
        ? `choose a release that is there: ${known.join(', ')}.`
        : 'check release, architecture and mirrors; old releases move to the archive mirror.',
  });
}

/** A link in any spelling of HTML: its value in double quotes, single quotes or none. */
const LINK = /<a\s[^<>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi;

/**
 * Names of releases in a directory index, newest first. Servers write indexes in many ways (nginx, its fancyindex, Apache, lighttpd): links may be
 * relative or absolute, with or without a slash at the end; whatever lies directly in the directory and is called like a release is one.
 */
export function releasesIn(html: string, url: string): string[] {
  const names = [...html.matchAll(LINK)].flatMap(([, double, single, bare]) => {
    const link = (double ?? single ?? bare ?? '').replaceAll('&amp;', '&');
    // Most links of other pages are none; to resolve each would take its time.
    if (!/(RELEASE|RC\d+|BETA\d+)(\/|[?#]|$)/.test(link) || !URL.canParse(link, url)) return [];
    const { pathname } = new URL(link, url);
    const { pathname: here } = new URL(url);
    const name = (pathname.startsWith(here) ? pathname.slice(here.length) : '')
      .replace(/\/$/, '')
      .replaceAll(/%(2d|2e|3\d)/gi, (_code, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return /^[1-9]\d{0,2}\.\d{1,3}-(RELEASE|RC[1-9]\d?|BETA[1-9]\d?)$/.test(name) ? [name] : [];
  });
  const byVersion = new Intl.Collator('en', { numeric: true });
  return [...new Set(names)].sort((a, b) => byVersion.compare(b, a));
}
