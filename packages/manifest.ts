/**
 * The +MANIFEST of a package: JSON, as pkg writes it since 1.3. Paths, description and shell scripts are percent-encoded there, Lua
 * and messages are not.
 */
import { PackageError, reason } from './errors.ts';

export type ScriptName =
  | 'pre-install'
  | 'post-install'
  | 'pre-deinstall'
  | 'post-deinstall'
  | 'pre-upgrade'
  | 'post-upgrade'
  | 'install'
  | 'deinstall'
  | 'upgrade';

export interface ManifestFile {
  /** As registered: `1$<sha256>`, or `-` for none. */
  readonly sum: string;
}

export interface Manifest {
  readonly name: string;
  readonly origin: string;
  readonly version: string;
  readonly comment: string;
  readonly maintainer: string;
  readonly www: string;
  readonly abi: string;
  readonly prefix: string;
  readonly flatsize: number;
  readonly licenseLogic: 'single' | 'and' | 'or';
  readonly licenses: readonly string[];
  readonly description: string;
  readonly vital: boolean;
  readonly dependencyFormula: string | undefined;
  /** Messages as the database stores them: a JSON array. */
  readonly message: string | undefined;
  readonly dependencies: readonly {
    readonly name: string;
    readonly origin: string;
    readonly version: string;
  }[];
  readonly categories: readonly string[];
  readonly shlibsRequired: readonly string[];
  readonly shlibsProvided: readonly string[];
  readonly provides: readonly string[];
  readonly requires: readonly string[];
  readonly conflicts: readonly string[];
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly options: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** By absolute path in the image. */
  readonly files: ReadonlyMap<string, ManifestFile>;
  readonly directories: ReadonlySet<string>;
  readonly config: ReadonlySet<string>;
  readonly scripts: ReadonlyMap<ScriptName, string>;
  /** pre-install, post-install, pre-deinstall, post-deinstall; several of each. */
  readonly luaScripts: ReadonlyMap<string, readonly string[]>;
}

/** pkg encodes `%` and everything beyond ASCII as %XX. */
export function percentDecoded(text: string): string {
  if (!text.includes('%')) return text;
  return text.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
  );
}

/** Paths are absolute; `/a//b` and a slash at the end are forms of one path. Null for what leads anywhere else. */
export function imagePath(path: string): string | null {
  const absolute = path.startsWith('/') ? path : `/${path}`;
  if (path === '' || absolute.includes('\0') || absolute.includes('\n')) return null;
  const parts = absolute.split('/').filter((part) => part !== '' && part !== '.');
  return parts.includes('..') || parts.length === 0 ? null : `/${parts.join('/')}`;
}

type Json = Record<string, unknown>;

/** A text or number as text; anything else as nothing. */
const plain = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function parseManifest(text: string, what: string): Manifest {
  const bad = (problem: string, cause?: unknown): PackageError =>
    new PackageError(
      'PackageFailed',
      `the manifest of ${what} is damaged: ${problem}`,
      'the repository has built it wrongly: name another, or leave the package out',
      cause,
    );
  let facts: unknown;
  try {
    facts = JSON.parse(text);
  } catch (error) {
    throw bad(`it is not JSON (${reason(error)})`, error);
  }
  if (!isObject(facts)) throw bad('it is no object');
  const all = facts;
  const word = (key: string, otherwise?: string): string => {
    const value = all[key] ?? otherwise;
    if (typeof value !== 'string') throw bad(`${key} is missing or no text`);
    return value;
  };
  const words = (key: string): string[] => {
    const value = all[key];
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value.map(String);
    if (isObject(value)) return Object.keys(value);
    throw bad(`${key} is no list`);
  };
  const pairs = (key: string): Map<string, string> => {
    const value = all[key];
    if (value === undefined || value === null) return new Map();
    if (!isObject(value)) throw bad(`${key} is no object`);
    return new Map(Object.entries(value).map(([name, text]) => [name, String(text)]));
  };
  const path = (given: string): string => {
    const found = imagePath(percentDecoded(given));
    if (found === null) throw bad(`the path ${JSON.stringify(given).slice(0, 200)} leads out of the image`);
    return found;
  };

  const files = new Map<string, ManifestFile>();
  const listed = all.files ?? {};
  if (!isObject(listed)) throw bad('files is no object');
  for (const [name, value] of Object.entries(listed)) {
    const sum = isObject(value) ? (value.sum ?? '-') : value;
    if (typeof sum !== 'string') throw bad(`the file ${name} has no checksum`);
    files.set(path(name), { sum });
  }
  const directories = new Set<string>();
  const listedDirectories = all.directories ?? {};
  const directoryNames = Array.isArray(listedDirectories)
    ? listedDirectories.map(String)
    : Object.keys(listedDirectories as Json);
  for (const name of directoryNames) if (!/^\/*$/.test(name)) directories.add(path(name));

  const scripts = new Map<ScriptName, string>();
  for (const [name, script] of pairs('scripts')) scripts.set(name as ScriptName, percentDecoded(script));
  const luaScripts = new Map<string, readonly string[]>();
  const lua = all.lua_scripts;
  if (isObject(lua)) {
    for (const [name, list] of Object.entries(lua)) {
      if (!Array.isArray(list)) throw bad(`lua_scripts.${name} is no list`);
      luaScripts.set(name, list.map(String));
    }
  }

  const messages = all.messages ?? all.message;
  let message: string | undefined;
  if (Array.isArray(messages)) {
    const kept = messages.filter(isObject).map((one) => ({ ...one, message: plain(one.message) }));
    if (kept.length > 0) message = JSON.stringify(kept);
  } else if (typeof messages === 'string' && messages !== '') {
    message = JSON.stringify([{ message: percentDecoded(messages) }]);
  }

  const dependencies = [];
  const deps = all.deps;
  if (isObject(deps)) {
    for (const [name, value] of Object.entries(deps)) {
      // A list when one name is needed in several versions.
      for (const one of Array.isArray(value) ? value : [value]) {
        const { origin, version } = isObject(one) ? one : {};
        dependencies.push({ name, origin: plain(origin), version: plain(version) });
      }
    }
  }
  const logic = word('licenselogic', 'single');
  const formula = all.dep_formula;
  const name = word('name');
  const version = word('version');
  if (!/^[A-Za-z0-9][A-Za-z0-9._+@~-]*$/.test(name) || !/^[A-Za-z0-9._+,~*:-]+$/.test(version)) {
    throw bad(`${JSON.stringify(`${name}-${version}`).slice(0, 200)} is no name`);
  }
  return {
    name,
    version,
    origin: word('origin'),
    comment: word('comment', ''),
    maintainer: word('maintainer', ''),
    www: word('www', ''),
    abi: word('abi', typeof all.arch === 'string' ? all.arch : '*'),
    prefix: word('prefix', '/usr/local'),
    flatsize: Number(all.flatsize ?? 0) || 0,
    licenseLogic:
      logic === 'and' || logic === 'dual' || logic === 'or' ? (logic === 'and' ? 'and' : 'or') : 'single',
    licenses: words('licenses'),
    description: percentDecoded(word('desc', '')),
    vital: all.vital === true,
    dependencyFormula: typeof formula === 'string' ? formula : undefined,
    message,
    dependencies,
    categories: words('categories'),
    shlibsRequired: words('shlibs_required'),
    shlibsProvided: words('shlibs_provided'),
    provides: words('provides'),
    requires: words('requires'),
    conflicts: words('conflicts'),
    users: words('users'),
    groups: words('groups'),
    options: pairs('options'),
    annotations: pairs('annotations'),
    files,
    directories,
    config: new Set(words('config').map(path)),
    scripts,
    luaScripts,
  };
}
