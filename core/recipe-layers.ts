import { readText } from './recipe-text.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** Tells of a problem, as a line that begins with the field. */
export type Report = (problem: string) => void;

/** The text of a file, or why there is none. */
export type ReadFile = (path: string) => Promise<{ readonly text: string } | { readonly reason: string }>;

/** One file of a recipe: what it extends comes before it. */
interface Layer {
  readonly file: string;
  readonly value: Fields;
}

/** More is a mistake: nobody can follow a value through eleven files. */
const DEEPEST = 10;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The files a recipe is made of, in the order in which they count: what a file extends, left to right, then the file itself. A file
 * that is reached twice counts once, at its first place, so that it never takes back what another made of it.
 */
export async function readLayers(
  value: Fields,
  where: string,
  read: ReadFile,
  report: Report,
): Promise<Layer[]> {
  const layers: Layer[] = [];
  const seen = new Set<string>();

  const visit = async (layer: Layer, chain: readonly string[]): Promise<void> => {
    seen.add(layer.file);
    for (const path of parentsOf(layer, where, report)) {
      const way = [...chain, path].join(' → ');
      const tell = (problem: string) => report(`${place(layer.file, where)}extends ${problem}`);
      if (chain.includes(path)) tell(`goes round in a circle: ${way}`);
      else if (seen.has(path)) continue;
      else if (chain.length >= DEEPEST) tell(`goes more than ${DEEPEST} files deep: ${way}`);
      else {
        const answer = await read(path);
        if ('reason' in answer) {
          tell(`${path}, which cannot be read: ${answer.reason}`);
          continue;
        }
        const parent = readText(answer.text);
        if ('problems' in parent) {
          seen.add(path);
          for (const problem of parent.problems)
            report(`${path} is not well-formed YAML or JSON: ${problem}`);
        } else if (isFields(parent.value)) {
          await visit({ file: path, value: parent.value }, [...chain, path]);
        } else tell(`${path}, which is not a map of keys and values`);
      }
    }
    layers.push(layer);
  };

  const start = resolvePath('', where);
  await visit({ file: start, value }, [start]);
  return layers;
}

/** Where a problem is, if it is not in the file that was asked for. */
const place = (file: string, where: string): string => (file === resolvePath('', where) ? '' : `${file}: `);

function parentsOf({ file, value }: Layer, where: string, report: Report): string[] {
  if (!Object.hasOwn(value, 'extends')) return [];
  const given = value.extends;
  const paths: unknown[] = Array.isArray(given) && given.length > 0 ? given : [given];
  return paths.flatMap((path) => {
    if (typeof path === 'string' && path !== '' && !/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) {
      return [resolvePath(file, path)];
    }
    report(
      `${place(file, where)}extends must be the path of a file, or a list of paths; ${JSON.stringify(path)} is none`,
    );
    return [];
  });
}

/** A path as seen from the directory of `from`. Pure: core/ has no file system. */
function resolvePath(from: string, path: string): string {
  const whole = path.startsWith('/') ? path : `${from.slice(0, from.lastIndexOf('/') + 1)}${path}`;
  const parts: string[] = [];
  for (const part of whole.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else parts.push(part);
  }
  return `${whole.startsWith('/') ? '/' : ''}${parts.join('/')}`;
}

/**
 * One map out of all layers. Maps are merged key by key; anything else of a later layer takes the place of the earlier one; null
 * removes a key; a list under `key+` is added to the list under `key`.
 */
export function mergeLayers(layers: readonly Layer[], where: string, report: Report): Fields {
  let whole: Fields = {};
  for (const { file, value } of layers) {
    // A file's own `extends` has done its work.
    const own = Object.fromEntries(Object.entries(value).filter(([key]) => key !== 'extends'));
    whole = merged(whole, own, [], (problem) => report(`${place(file, where)}${problem}`));
  }
  return whole;
}

function merged(below: Fields, above: Fields, path: readonly string[], report: Report): Fields {
  // A Map and fromEntries: a key called __proto__ stays a key.
  const result = new Map(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    const field = [...path, key].join('.');
    const plain = key.slice(0, -1);
    if (value === null) {
      if (!result.delete(key)) {
        report(`${field} is empty (null): that removes what an extended file sets, and none sets it`);
      }
    } else if (key.endsWith('+') && key !== '+' && Array.isArray(value)) {
      const list = result.get(plain) ?? [];
      if (Object.hasOwn(above, plain))
        report(`${field} and ${plain} stand in one file: put all into one list`);
      else if (!Array.isArray(list)) report(`${field} adds to a list, and ${plain} is none`);
      else result.set(plain, added(list, value));
    } else if (isFields(value)) {
      const before = result.get(key);
      result.set(key, merged(isFields(before) ? before : {}, value, [...path, key], report));
    } else result.set(key, value);
  }
  return Object.fromEntries(result);
}

/** A list with more entries: one that is known by the same path or name takes the place of the old one. */
function added(list: readonly unknown[], more: readonly unknown[]): unknown[] {
  const rest = [...more];
  const kept = list.map((entry) => {
    const index = rest.findIndex((other) => identity(other) === identity(entry));
    return index < 0 ? entry : rest.splice(index, 1)[0];
  });
  return [...kept, ...rest];
}

/** What an entry of a list is known by: a file by its path, a user by its name, a word by itself. */
function identity(entry: unknown): string {
  if (isFields(entry)) {
    for (const key of ['path', 'name']) {
      if (Object.hasOwn(entry, key)) return JSON.stringify([key, entry[key]]);
    }
  }
  return JSON.stringify(entry);
}
