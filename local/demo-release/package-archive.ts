/**
 * Packages in pkg's format: a zstd-compressed tar with +COMPACT_MANIFEST, +MANIFEST and then the files under their absolute names, in
 * the order of the manifest.
 */
import { createHash } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import { gidOf, uidOf } from './accounts.ts';
import { BUILD_TIME } from './release.ts';
import { type Entry, tarStream } from './tar-stream.ts';

export type PackageEntry =
  | ({ readonly kind: 'file'; readonly content: string | Buffer } & PackageFacts)
  | ({ readonly kind: 'directory' } & PackageFacts)
  | ({ readonly kind: 'symlink' | 'hardlink'; readonly target: string } & PackageFacts);

interface PackageFacts {
  /** Absolute. */
  readonly path: string;
  readonly mode?: number;
  /** Names; the numbers in the archive are those of the image if it has them, else 0, as pkg stores only names that count. */
  readonly owner?: string;
  readonly group?: string;
  readonly flags?: string;
}

export interface DemoPackage {
  readonly name: string;
  readonly version: string;
  readonly origin: string;
  readonly comment: string;
  readonly prefix?: string;
  /** Default: the repository's own. */
  readonly abi?: string;
  readonly licenses?: readonly string[];
  readonly www?: string;
  readonly dependencies?: readonly string[];
  readonly requires?: readonly string[];
  readonly provides?: readonly string[];
  readonly shlibsRequired?: readonly string[];
  readonly shlibsProvided?: readonly string[];
  readonly conflicts?: readonly string[];
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  readonly options?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly config?: readonly string[];
  readonly scripts?: Readonly<Record<string, string>>;
  readonly luaScripts?: Readonly<Record<string, readonly string[]>>;
  readonly message?: string;
  readonly vital?: boolean;
  readonly entries: readonly PackageEntry[];
}

export interface PackageFile {
  readonly name: string;
  readonly version: string;
  /** Of the file in the repository. */
  readonly path: string;
  readonly bytes: Buffer;
  /** The line of the catalogue. */
  readonly line: string;
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

/** Numbers of accounts that only packages bring. */
function number(of: (name: string) => number, name: string): number {
  try {
    return of(name);
  } catch {
    return 0;
  }
}

/** Everything beyond ASCII and `%` as %XX, as pkg writes descriptions, scripts and paths. */
function encoded(text: string): string {
  return text.replaceAll(/[%\u0080-\u{10ffff}]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

/** Of an absolute target pkg's checksum leaves out the slash and takes a NUL instead. */
const linkSum = (target: string): string => sha256(target.startsWith('/') ? `${target.slice(1)}\0` : target);

/** What a package's archive and line are made of; `known` gives origin and version of dependencies. */
export function packageFile(
  given: DemoPackage,
  abi: string,
  known: ReadonlyMap<string, { readonly origin: string; readonly version: string }>,
  osversion: number,
): PackageFile {
  const contents = new Map<string, Buffer>();
  for (const entry of given.entries) {
    if (entry.kind === 'file') contents.set(entry.path, Buffer.from(entry.content));
  }
  const files: Record<string, string> = {};
  const directories: Record<string, string> = {};
  for (const entry of given.entries) {
    if (entry.kind === 'directory') directories[encoded(entry.path)] = 'y';
    else if (entry.kind === 'symlink') files[encoded(entry.path)] = `1$${linkSum(entry.target)}`;
    else
      files[encoded(entry.path)] =
        `1$${sha256(contents.get(entry.kind === 'file' ? entry.path : entry.target) ?? '')}`;
  }
  const machine = abi.split(':')[2] === 'amd64' ? 'x86:64' : 'aarch64:64';
  const compact = {
    name: given.name,
    origin: given.origin,
    version: given.version,
    comment: `${given.comment} (stand-in of the ami-foundry demo release)`,
    maintainer: 'nobody@ami-foundry.invalid',
    www: given.www ?? 'https://ami-foundry.invalid/demo-release',
    abi: given.abi ?? abi,
    arch: `freebsd:${abi.split(':')[1]}:${machine}`,
    prefix: given.prefix ?? '/usr/local',
    flatsize: [...contents.values()].reduce((sum, { length }) => sum + length, 0),
    licenselogic: 'single',
    licenses: given.licenses ?? ['BSD2CLAUSE'],
    desc: encoded(
      `${given.comment}.\n\nA stand-in that ami-foundry has made for its demo release. This is not the FreeBSD package.`,
    ),
    ...(given.dependencies === undefined
      ? {}
      : {
          deps: Object.fromEntries(
            given.dependencies.map((name) => [
              name,
              known.get(name) ?? { origin: `demo/${name}`, version: '0' },
            ]),
          ),
        }),
    categories: [given.origin.split('/')[0] ?? 'demo'],
    ...(given.users === undefined ? {} : { users: given.users }),
    ...(given.groups === undefined ? {} : { groups: given.groups }),
    ...(given.shlibsRequired === undefined ? {} : { shlibs_required: given.shlibsRequired }),
    ...(given.shlibsProvided === undefined ? {} : { shlibs_provided: given.shlibsProvided }),
    ...(given.conflicts === undefined ? {} : { conflicts: given.conflicts }),
    ...(given.provides === undefined ? {} : { provides: given.provides }),
    ...(given.requires === undefined ? {} : { requires: given.requires }),
    ...(given.options === undefined ? {} : { options: given.options }),
    annotations: { FreeBSD_version: String(osversion), built_by: 'ami-foundry-demo', ...given.annotations },
    ...(given.vital === undefined ? {} : { vital: given.vital }),
  };
  const scripts = Object.fromEntries(
    Object.entries(given.scripts ?? {}).map(([name, text]) => [name, encoded(text)]),
  );
  const manifest = {
    ...compact,
    files,
    ...(given.config === undefined ? {} : { config: given.config.map(encoded) }),
    directories,
    ...(given.scripts === undefined ? {} : { scripts }),
    ...(given.luaScripts === undefined ? {} : { lua_scripts: given.luaScripts }),
    ...(given.message === undefined ? {} : { messages: [{ message: given.message }] }),
  };
  const root = { uid: 0, gid: 0, uname: 'root', gname: 'wheel', mtime: BUILD_TIME } as const;
  const text = (path: string, value: object): Entry => {
    const bytes = Buffer.from(JSON.stringify(value));
    return {
      ...root,
      kind: 'file',
      path,
      mode: 0o644,
      size: bytes.length,
      read: (at, length) => bytes.subarray(at, at + length),
    };
  };
  const entries: Entry[] = [text('+COMPACT_MANIFEST', compact), text('+MANIFEST', manifest)];
  for (const entry of given.entries) {
    const { owner = 'root', group = 'wheel' } = entry;
    const facts = {
      path: entry.path,
      mode: entry.mode ?? (entry.kind === 'file' || entry.kind === 'hardlink' ? 0o644 : 0o755),
      uid: number(uidOf, owner),
      gid: number(gidOf, group),
      uname: owner,
      gname: group,
      mtime: BUILD_TIME,
      ...(entry.flags === undefined ? {} : { flags: entry.flags }),
    };
    if (entry.kind === 'directory') entries.push({ ...facts, kind: 'directory' });
    else if (entry.kind === 'file') {
      const bytes = contents.get(entry.path) ?? Buffer.alloc(0);
      entries.push({
        ...facts,
        kind: 'file',
        size: bytes.length,
        read: (at, length) => bytes.subarray(at, at + length),
      });
    } else entries.push({ ...facts, kind: entry.kind, target: entry.target });
  }
  const bytes = compressed(Buffer.concat([...tarStream(entries)]));
  const sum = sha256(bytes);
  // As pkg.FreeBSD.org has it: a name that changes with the content.
  const path = `All/Hashed/${given.name}-${given.version}~${sum.slice(0, 10)}.pkg`;
  const line = JSON.stringify({ ...compact, path, repopath: path, sum, pkgsize: bytes.length });
  return { name: given.name, version: given.version, path, bytes, line };
}

/** Level 1: set-up time counts more than size. */
export function compressed(bytes: Buffer): Buffer {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}
