import { FactoryError } from './errors.ts';
import { parseManifest, type ReleaseSet } from './manifest.ts';
import type { Mirror } from './ports.ts';
import { type Recipe, releaseLabel } from './recipe.ts';

/** Finding a release takes small text files only. */
type ReleaseReader = Pick<Mirror, 'read'>;

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

export function releaseDirectories(recipe: Recipe): string[] {
  if (recipe.source !== undefined) return [recipe.source];
  const { architecture, mirrors, release } = recipe;
  return mirrors.map((mirror) => `${mirror}/releases/${architecture}/${targetArch[architecture]}/${release}`);
}

/**
 * Reads MANIFEST and BUILDDATE of a release from its mirrors. Mirrors that have it must agree on every byte.
 * Throws `ReleaseNotFound`, `ManifestMissing`, `ManifestInvalid`, `ManifestMismatch` or `MirrorUnreachable`.
 */
export async function findRelease(recipe: Recipe, mirror: ReleaseReader): Promise<FoundRelease> {
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

/** Epoch seconds of the day a release was built, as its directory says. */
export async function buildDate(directory: string, mirror: ReleaseReader): Promise<number> {
  const answer = await mirror.read(`${directory}/BUILDDATE`);
  return answer.status === 'found' ? dateOf(answer.text) : UNDATED;
}

function dateOf(text: string): number {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)\s*$/.exec(text) ?? [];
  return year && month && day ? Date.UTC(Number(year), Number(month) - 1, Number(day)) / 1000 : UNDATED;
}

async function explainAbsence(
  recipe: Recipe,
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
  const parent = await mirror.read(`${first.slice(0, first.lastIndexOf('/'))}/`);
  const known = parent.status === 'found' ? releasesIn(parent.text) : [];
  return new FactoryError('ReleaseNotFound', {
    message: `${releaseLabel(recipe)} for ${recipe.architecture} is not on any mirror: tried ${absent.join(', ')}`,
    remedy:
      known.length > 0
        ? `choose a release that is there: ${known.join(', ')}.`
        : 'check release, architecture and mirrors; old releases move to the archive mirror.',
  });
}

/** Names of releases in a directory index, newest first. */
export function releasesIn(html: string): string[] {
  const names = [...html.matchAll(/href="(\d+\.\d+-(?:RELEASE|RC\d+|BETA\d+))\/?"/g)].map(
    (match) => match[1] ?? '',
  );
  const byVersion = new Intl.Collator('en', { numeric: true });
  return [...new Set(names)].sort((a, b) => byVersion.compare(b, a));
}
