import { FactoryError } from './errors.ts';

/** One line of a release's MANIFEST (release/scripts/make-manifest.sh of FreeBSD). */
export interface ReleaseSet {
  readonly name: string;
  readonly file: string;
  /** SHA-256, 64 hex digits. */
  readonly sha256: string;
  /** Number of entries in the archive. */
  readonly entries: number;
}

/**
 * Parses a MANIFEST: tab-separated file, SHA-256, entries, set, quoted description, on/off. No header, no signature.
 * Throws `ManifestInvalid` with the line that is wrong.
 */
export function parseManifest(text: string, url: string): ReleaseSet[] {
  const lines = text
    .split(/\r?\n/)
    .map((line, index) => ({ line, at: `line ${index + 1}` }))
    .filter(({ line }) => line !== '');
  const invalid = (reason: string) =>
    new FactoryError('ManifestInvalid', {
      message: `${url} is not a MANIFEST of a FreeBSD release: ${reason}`,
      remedy:
        'open the URL; a mirror or proxy may have answered with a page of its own. Name another mirror.',
    });
  if (lines.length === 0) throw invalid('it is empty');
  const sets = lines.map(({ line, at }): ReleaseSet => {
    const [file, sha256, entries, name, , state] = line.split('\t');
    if (!file || !sha256 || !entries || !name || state === undefined) {
      throw invalid(`${at} has not six tab-separated fields: ${JSON.stringify(line.slice(0, 80))}`);
    }
    if (!/^[A-Za-z0-9][\w.-]*\.txz$/.test(file))
      throw invalid(`${at} names no .txz file: ${JSON.stringify(file)}`);
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalid(`${at} has no SHA-256: ${JSON.stringify(sha256)}`);
    if (!/^\d{1,9}$/.test(entries))
      throw invalid(`${at} has no number of entries: ${JSON.stringify(entries)}`);
    return { name, file, sha256, entries: Number(entries) };
  });
  const names = sets.map(({ name }) => spelling(name));
  const twice = sets.find(({ name }, index) => names.indexOf(spelling(name)) !== index);
  if (twice) throw invalid(`it lists the set ${twice.name} twice`);
  return sets;
}

/** MANIFEST writes base_dbg for base-dbg.txz; both spellings mean the same set. */
const spelling = (name: string): string => name.replaceAll('-', '_');

/** The sets a recipe asks for, in the order of the recipe. Throws `SetUnknown` that lists what there is. */
export function selectSets(
  manifest: readonly ReleaseSet[],
  wanted: readonly string[],
  url: string,
  /** Taken where the release has them. */
  optional: readonly string[] = [],
): ReleaseSet[] {
  const found = new Map(manifest.map((set) => [spelling(set.name), set]));
  const unknown = wanted.filter((name) => !found.has(spelling(name)));
  if (unknown.length > 0) {
    throw new FactoryError('SetUnknown', {
      message: `sets: ${unknown.join(', ')} not in ${url}`,
      remedy: `choose from: ${manifest.map((set) => set.name).join(', ')}.`,
    });
  }
  return [...wanted, ...optional].map((name) => found.get(spelling(name))).filter((set) => set !== undefined);
}
