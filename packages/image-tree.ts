/**
 * The staged tree as the booted machine will see it. Files are written with the worker's own owner; what they shall really be (owner,
 * mode, flags, time) is kept here and goes to the specification at the end. Every path is walked name by name: a symbolic
 * link counts as it would on the machine, where `/` is this tree and `..` of `/` is `/`, so that nothing leads out of it.
 */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { PackageError } from './errors.ts';
import { parseSpecLine, specLine } from './spec.ts';

export interface Attributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  /** Names are looked up when everything is installed. */
  readonly owner: string | number;
  readonly group: string | number;
  /** As strtofflags(3) writes them, or empty. */
  readonly flags: string;
  readonly seconds: number;
  readonly nanoseconds: number;
}

export type Entry = Attributes & { readonly type: 'file' | 'dir' | 'link'; readonly target: string };

/** More links than this in one path are a circle (MAXSYMLINKS of sys/param.h). */
const MAX_LINKS = 32;

export class ImageTree {
  /** Absolute, without symbolic links. */
  readonly root: string;
  readonly #specification: string;
  readonly #timestamp: number;
  readonly #entries = new Map<string, Entry>();
  #before: Map<string, Entry> | undefined;
  /** Directories that are known to lead where they seem to: path in the image → real path in the image. */
  readonly #directories = new Map<string, string>();

  constructor(root: string, specification: string, timestamp: number) {
    this.root = realpathSync(root);
    this.#specification = specification;
    this.#timestamp = timestamp;
  }

  /** What a thing that is made by us and not by an archive has. */
  attributes(mode: number, owner: string | number = 0, group: string | number = 0): Attributes {
    return { mode, owner, group, flags: '', seconds: this.#timestamp, nanoseconds: 0 };
  }

  /**
   * The real path in the image (absolute) of a path whose last name need not exist.
   * @param follow whether a symbolic link as the last name is followed
   */
  resolve(path: string, follow = false): string {
    const rest = path.split('/').filter((part) => part !== '' && part !== '.');
    const last = rest.pop();
    if (last === undefined || last === '..') {
      if (last === '..') rest.push('..');
      return this.#walk(rest);
    }
    const parent = this.#walk(rest);
    const whole = parent === '/' ? `/${last}` : `${parent}/${last}`;
    return follow && this.#lstat(whole)?.isSymbolicLink() ? this.#walk(whole.slice(1).split('/')) : whole;
  }

  #walk(names: readonly string[]): string {
    const wanted = names.join('/');
    const known = this.#directories.get(wanted);
    if (known !== undefined) return known;
    let at: string[] = [];
    const rest = [...names].reverse();
    for (let links = 0; rest.length > 0; ) {
      const name = rest.pop() ?? '';
      if (name === '' || name === '.') continue;
      if (name === '..') {
        at.pop();
        continue;
      }
      const next = `/${[...at, name].join('/')}`;
      if (!this.#lstat(next)?.isSymbolicLink()) {
        at.push(name);
        continue;
      }
      if (++links > MAX_LINKS) {
        throw new PackageError(
          'PackageFailed',
          `/${wanted} is a circle of symbolic links`,
          'leave the package out',
        );
      }
      const target = readlinkSync(this.root + next);
      if (target.startsWith('/')) at = [];
      rest.push(...target.split('/').reverse());
    }
    const real = `/${at.join('/')}`;
    this.#directories.set(wanted, real);
    return real;
  }

  /** Path on this machine of a path in the image, the last link not followed. */
  onDisk(path: string): string {
    return this.root + this.resolve(path);
  }

  /** The same with the last link followed: what reading the path would read. */
  readable(path: string): string {
    return this.root + this.resolve(path, true);
  }

  #lstat(real: string): Stats | undefined {
    return lstatSync(this.root + real, { throwIfNoEntry: false });
  }

  /** Without following the last link. */
  lstat(path: string): Stats | undefined {
    return this.#lstat(this.resolve(path));
  }

  stat(path: string): Stats | undefined {
    const facts = this.#lstat(this.resolve(path, true));
    return facts?.isSymbolicLink() ? undefined : facts;
  }

  /** Attributes of anything in the tree, whoever put it there. */
  describe(path: string): Entry | undefined {
    const real = this.resolve(path);
    return this.#entries.get(real) ?? this.#earlier().get(real);
  }

  #earlier(): Map<string, Entry> {
    if (this.#before) return this.#before;
    this.#before = new Map();
    if (existsSync(this.#specification)) {
      for (const line of readFileSync(this.#specification, 'latin1').split('\n')) {
        const found = parseSpecLine(line);
        if (found) this.#before.set(found.path, found.entry);
      }
    }
    return this.#before;
  }

  #failed(path: string, problem: string): PackageError {
    return new PackageError(
      'PackageFailed',
      `${path} ${problem}`,
      'the package does not fit this image: leave it out',
    );
  }

  /** Makes the parents of a real path. */
  #parents(real: string): void {
    const parent = real.slice(0, real.lastIndexOf('/'));
    if (parent === '') return;
    const facts = this.#lstat(parent);
    if (facts?.isDirectory()) return;
    if (facts) throw this.#failed(real, `has a parent that is no directory (${parent})`);
    this.#parents(parent);
    mkdirSync(this.root + parent, { mode: 0o755 });
    this.#entries.set(parent, { ...this.attributes(0o755), type: 'dir', target: '' });
  }

  /** Clears the way for something that is no directory; returns the real path. */
  #place(path: string): string {
    const real = this.resolve(path);
    const facts = this.#lstat(real);
    if (facts?.isDirectory()) throw this.#failed(path, 'is a directory in the image');
    this.#parents(real);
    // Never written into: an old name may be a hard link of something else, or a link that leads elsewhere.
    if (facts) unlinkSync(this.root + real);
    if (facts?.isSymbolicLink()) this.#directories.clear();
    return real;
  }

  makeDirectory(path: string, attributes: Attributes): void {
    // A link to a directory stays what it is, as pkg leaves it.
    if (this.lstat(path)?.isSymbolicLink() && this.stat(path)?.isDirectory()) return;
    const real = this.resolve(path);
    const facts = this.#lstat(real);
    if (facts && !facts.isDirectory()) throw this.#failed(path, 'is in the image and no directory');
    this.#parents(real);
    if (!facts) mkdirSync(this.root + real, { mode: 0o755 });
    this.#entries.set(real, { ...attributes, type: 'dir', target: '' });
  }

  /** Writes a file from pieces; `extents` says where they go if the file has holes. */
  async writeFile(
    path: string,
    attributes: Attributes,
    size: number,
    body: AsyncIterable<Buffer>,
    extents?: readonly { readonly offset: number; readonly length: number }[],
  ): Promise<void> {
    const real = this.#place(path);
    const file = openSync(this.root + real, 'wx', 0o644);
    try {
      let part = 0;
      let at = extents?.[0]?.offset ?? 0;
      let left = extents?.[0]?.length ?? Number.POSITIVE_INFINITY;
      for await (let piece of body) {
        while (piece.length > 0) {
          while (left === 0) {
            part++;
            at = extents?.[part]?.offset ?? at;
            left = extents?.[part]?.length ?? Number.POSITIVE_INFINITY;
          }
          const written = writeSync(file, piece, 0, Math.min(piece.length, left), at);
          piece = piece.subarray(written);
          at += written;
          left -= written;
        }
      }
      if (extents) ftruncateSync(file, size);
    } finally {
      closeSync(file);
    }
    this.#entries.set(real, { ...attributes, type: 'file', target: '' });
  }

  /** Writes a small file at once. Attributes stay those of a file that is there, if none are given. */
  writeText(path: string, text: string | Buffer, attributes?: Attributes): void {
    const followed = this.resolve(path, attributes === undefined);
    const kept = attributes ?? this.describe(followed) ?? this.attributes(0o644);
    const real = this.#place(followed);
    writeFileSync(this.root + real, text, { mode: 0o644, flag: 'wx' });
    this.#entries.set(real, { ...kept, type: 'file', target: '' });
  }

  readText(path: string): string {
    return readFileSync(this.readable(path), 'utf8');
  }

  readBytes(path: string): Buffer {
    return readFileSync(this.readable(path));
  }

  makeLink(path: string, target: string, attributes: Attributes): void {
    const real = this.#place(path);
    symlinkSync(target, this.root + real);
    this.#directories.clear();
    this.#entries.set(real, { ...attributes, type: 'link', target });
  }

  /** Another name of a file of ours. */
  makeHardLink(path: string, existing: string): void {
    const from = this.resolve(existing);
    const entry = this.#entries.get(from);
    if (entry?.type !== 'file')
      throw this.#failed(path, `is a link to ${existing}, which is no file of the package`);
    const real = this.#place(path);
    linkSync(this.root + from, this.root + real);
    this.#entries.set(real, entry);
  }

  copy(from: string, to: string, attributes: Attributes): void {
    const source = this.readable(from);
    const real = this.#place(this.resolve(to, true));
    copyFileSync(source, this.root + real);
    this.#entries.set(real, { ...attributes, type: 'file', target: '' });
  }

  /** Removes a file or link that a package has brought. */
  remove(path: string): void {
    const real = this.resolve(path);
    const facts = this.#lstat(real);
    if (!facts) return;
    if (!this.#entries.has(real)) throw this.#failed(path, 'is not of a package, and would be removed');
    if (facts.isDirectory()) rmdirSync(this.root + real);
    else unlinkSync(this.root + real);
    this.#directories.clear();
    this.#entries.delete(real);
  }

  /** Changes what is known of something in the tree, links not followed. Hard links of ours share it. */
  change(path: string, changes: Partial<Attributes>): void {
    const real = this.resolve(path);
    const entry = this.describe(real);
    if (!entry) throw this.#failed(path, 'is to be changed and is not in the image');
    this.#entries.set(real, { ...entry, ...changes });
  }

  /** Names in a directory, sorted; none if it is no directory. */
  list(path: string): string[] {
    return this.stat(path)?.isDirectory() ? readdirSync(this.readable(path)).sort() : [];
  }

  /**
   * Appends a line for everything that was made to the specification, parents before children, names before numbers looked up.
   * @param idOf number of a user or group by name
   */
  appendSpecification(
    userId: (name: string, path: string) => number,
    groupId: (name: string, path: string) => number,
  ): void {
    const lines: string[] = [];
    for (const [path, entry] of [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const uid = typeof entry.owner === 'number' ? entry.owner : userId(entry.owner, path);
      const gid = typeof entry.group === 'number' ? entry.group : groupId(entry.group, path);
      lines.push(specLine(path, entry, uid, gid));
    }
    appendFileSync(this.#specification, lines.join(''), 'latin1');
  }
}
