import { ImageError } from '../errors.ts';
import { type FileType, MAX_NAME, S_IFDIR, S_IFMT, TYPE_BITS } from './format.ts';

/** What a specification says of one path. Absent keywords fall back to the other names of the same inode. */
export interface EntryAttributes {
  readonly type: FileType;
  /** Permission bits, 0…07777. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** File flags, see chflags(2). */
  readonly flags?: number;
  /** Seconds since the epoch, negative before 1970. */
  readonly seconds?: number;
  /** 0…999999999 */
  readonly nanoseconds?: number;
  /** Target of a symbolic link, bytes as latin1 characters. */
  readonly target?: string;
  /** Device number as low and high word. */
  readonly device?: { readonly low: number; readonly high: number };
  /** Bytes of a regular file, when the source knows them without a look at the disk. */
  readonly size?: number;
}

const HAS_MODE = 1;
const HAS_UID = 2;
const HAS_GID = 4;
const HAS_FLAGS = 8;
const HAS_TIME = 16;

export const ROOT = 0;
const NONE = 0xffffffff;
const FIRST_CAPACITY = 4096;

function grown<T extends { length: number; set(from: T): void }>(from: T, make: (length: number) => T): T {
  const to = make(from.length * 2);
  to.set(from);
  return to;
}

/**
 * A file tree in columns: some 80 bytes and the name per entry, so that half a million entries fit into little memory.
 * An entry ("node") is an index; node 0 is the root directory. Names and paths are latin1 strings, one character per
 * byte, whatever encoding the bytes have.
 */
export class FileTree {
  count = 0;
  parent = new Uint32Array(FIRST_CAPACITY);
  nameStart = new Uint32Array(FIRST_CAPACITY);
  nameLength = new Uint8Array(FIRST_CAPACITY);
  /** Type and permission bits; 0 = named only as the parent of something. */
  mode = new Uint16Array(FIRST_CAPACITY);
  uid = new Uint32Array(FIRST_CAPACITY);
  gid = new Uint32Array(FIRST_CAPACITY);
  flags = new Uint32Array(FIRST_CAPACITY);
  seconds = new Float64Array(FIRST_CAPACITY);
  nanoseconds = new Uint32Array(FIRST_CAPACITY);
  size = new Float64Array(FIRST_CAPACITY);
  /** The node that stands for the inode: itself, or the one that this name is a hard link of. */
  link = new Uint32Array(FIRST_CAPACITY);
  /** Where in the specification the entry was last named, for messages and for "later wins". */
  line = new Uint32Array(FIRST_CAPACITY);
  sparse = new Uint8Array(FIRST_CAPACITY);
  readonly targets = new Map<number, string>();
  readonly devices = new Map<number, { readonly low: number; readonly high: number }>();

  #has = new Uint8Array(FIRST_CAPACITY);
  #names: Buffer = Buffer.allocUnsafe(FIRST_CAPACITY * 16);
  #namesEnd = 0;
  #table = new Uint32Array(FIRST_CAPACITY * 2).fill(NONE);
  #lastDirectory = '';
  #lastNode = ROOT;

  constructor() {
    this.#append(ROOT, '');
  }

  /** The bytes of all names; `nameStart` and `nameLength` point into it. */
  get names(): Buffer {
    return this.#names;
  }

  name(node: number): string {
    const start = this.nameStart[node] ?? 0;
    return this.#names.toString('latin1', start, start + (this.nameLength[node] ?? 0));
  }

  /** Path from the root, `.` for the root itself, `./a/b` below. */
  path(node: number): string {
    const parts: string[] = [];
    for (let at = node; at !== ROOT; at = this.parent[at] ?? ROOT) parts.push(this.name(at));
    return parts.length === 0 ? '.' : `./${parts.reverse().join('/')}`;
  }

  isDirectory(node: number): boolean {
    return ((this.mode[node] ?? 0) & S_IFMT) === S_IFDIR;
  }

  /** The node of a name in a directory, or -1. */
  find(parent: number, name: string): number {
    const mask = this.#table.length - 1;
    for (let slot = hash(parent, name) & mask; ; slot = (slot + 1) & mask) {
      const node = this.#table[slot] ?? NONE;
      if (node === NONE) return -1;
      if (this.parent[node] === parent && this.#hasName(node, name)) return node;
    }
  }

  /** Like `find`, but makes the node if there is none. */
  child(parent: number, name: string): number {
    const found = this.find(parent, name);
    return found >= 0 ? found : this.#append(parent, name);
  }

  /**
   * The node of a path of names joined by `/`, made with its parents where missing.
   * @throws ImageError `NameTooLong`
   */
  resolve(path: string): number {
    if (path === '') return ROOT;
    const cut = path.lastIndexOf('/');
    const directory = cut < 0 ? '' : path.slice(0, cut);
    const name = path.slice(cut + 1);
    if (name.length > MAX_NAME) throw nameTooLong(path, name.length);
    // Neighbours in a listing mostly share their directory.
    if (directory !== this.#lastDirectory) {
      let node = ROOT;
      if (directory !== '') {
        for (const part of directory.split('/')) {
          if (part.length > MAX_NAME) throw nameTooLong(path, part.length);
          node = this.child(node, part);
        }
      }
      this.#lastDirectory = directory;
      this.#lastNode = node;
    }
    return this.child(this.#lastNode, name);
  }

  /** Says what a node is; everything said of it before is forgotten. */
  describe(node: number, attributes: EntryAttributes, line = 0): void {
    this.mode[node] = TYPE_BITS[attributes.type] | ((attributes.mode ?? 0) & 0o7777);
    this.uid[node] = attributes.uid ?? 0;
    this.gid[node] = attributes.gid ?? 0;
    this.flags[node] = attributes.flags ?? 0;
    this.seconds[node] = attributes.seconds ?? 0;
    this.nanoseconds[node] = attributes.nanoseconds ?? 0;
    this.size[node] = attributes.size ?? 0;
    this.line[node] = line;
    this.link[node] = node;
    this.#has[node] =
      (attributes.mode === undefined ? 0 : HAS_MODE) |
      (attributes.uid === undefined ? 0 : HAS_UID) |
      (attributes.gid === undefined ? 0 : HAS_GID) |
      (attributes.flags === undefined ? 0 : HAS_FLAGS) |
      (attributes.seconds === undefined ? 0 : HAS_TIME);
    if (attributes.target === undefined) this.targets.delete(node);
    // A copy: a part of a string would keep all the text alive that it was cut from.
    else this.targets.set(node, Buffer.from(attributes.target, 'latin1').toString('latin1'));
    if (attributes.device === undefined) this.devices.delete(node);
    else this.devices.set(node, attributes.device);
  }

  /** Adds one entry of a synthetic tree: `path` is names joined by `/`, the empty path is the root. */
  add(path: string, attributes: EntryAttributes): number {
    const node = this.resolve(path);
    this.describe(node, attributes, this.count);
    return node;
  }

  /**
   * Makes nodes the names of one inode. What the names say differently is settled keyword by keyword: the name that
   * comes last in the specification decides, as a later line of mtree(5) does for one name.
   */
  joinLinks(nodes: readonly number[]): void {
    // Not toSorted: a Linux worker may have no newer Node than Debian 12's 18.
    const ordered = [...nodes].sort((a, b) => (this.line[a] ?? 0) - (this.line[b] ?? 0));
    const [first] = ordered;
    if (first === undefined) return;
    for (const node of ordered) {
      this.link[node] = first;
      if (node === first) continue;
      const has = this.#has[node] ?? 0;
      this.#has[first] = (this.#has[first] ?? 0) | has;
      if ((has & HAS_MODE) !== 0) this.mode[first] = this.mode[node] ?? 0;
      if ((has & HAS_UID) !== 0) this.uid[first] = this.uid[node] ?? 0;
      if ((has & HAS_GID) !== 0) this.gid[first] = this.gid[node] ?? 0;
      if ((has & HAS_FLAGS) !== 0) this.flags[first] = this.flags[node] ?? 0;
      if ((has & HAS_TIME) !== 0) {
        this.seconds[first] = this.seconds[node] ?? 0;
        this.nanoseconds[first] = this.nanoseconds[node] ?? 0;
      }
    }
  }

  hasTime(node: number): boolean {
    return ((this.#has[node] ?? 0) & HAS_TIME) !== 0;
  }

  /**
   * The children of every directory, each directory's sorted by the bytes of their names: `order` from
   * `starts[node]` to `starts[node + 1]`.
   */
  children(): { starts: Uint32Array; order: Uint32Array } {
    const count = this.count;
    const starts = new Uint32Array(count + 2);
    for (let node = 1; node < count; node++) {
      const at = (this.parent[node] ?? 0) + 2;
      starts[at] = (starts[at] ?? 0) + 1;
    }
    for (let i = 2; i < starts.length; i++) starts[i] = (starts[i] ?? 0) + (starts[i - 1] ?? 0);
    const order = new Uint32Array(Math.max(0, count - 1));
    for (let node = 1; node < count; node++) {
      const at = (this.parent[node] ?? 0) + 1;
      const position = starts[at] ?? 0;
      order[position] = node;
      starts[at] = position + 1;
    }
    const names = this.#names;
    const compare = (a: number, b: number): number => {
      const sa = this.nameStart[a] ?? 0;
      const sb = this.nameStart[b] ?? 0;
      return names.compare(names, sb, sb + (this.nameLength[b] ?? 0), sa, sa + (this.nameLength[a] ?? 0));
    };
    for (let node = 0; node < count; node++) {
      const from = starts[node] ?? 0;
      const to = starts[node + 1] ?? 0;
      for (let i = from + 1; i < to; i++) {
        if (compare(order[i - 1] ?? 0, order[i] ?? 0) > 0) {
          order.subarray(from, to).sort(compare);
          break;
        }
      }
    }
    return { starts: starts.subarray(0, count + 1), order };
  }

  #hasName(node: number, name: string): boolean {
    const start = this.nameStart[node] ?? 0;
    if (this.nameLength[node] !== name.length) return false;
    for (let i = 0; i < name.length; i++) {
      if (this.#names[start + i] !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  #append(parent: number, name: string): number {
    if (name.length > MAX_NAME) throw nameTooLong(name, name.length);
    if (this.count === this.parent.length) this.#grow();
    const node = this.count++;
    while (this.#namesEnd + name.length > this.#names.length) {
      const larger = Buffer.allocUnsafe(this.#names.length * 2);
      this.#names.copy(larger);
      this.#names = larger;
    }
    this.#names.write(name, this.#namesEnd, 'latin1');
    this.parent[node] = parent;
    this.nameStart[node] = this.#namesEnd;
    this.nameLength[node] = name.length;
    this.link[node] = node;
    this.#namesEnd += name.length;
    if (node !== ROOT) this.#insert(node, hash(parent, name));
    return node;
  }

  #insert(node: number, code: number): void {
    const mask = this.#table.length - 1;
    let slot = code & mask;
    while (this.#table[slot] !== NONE) slot = (slot + 1) & mask;
    this.#table[slot] = node;
  }

  #grow(): void {
    this.parent = grown(this.parent, (n) => new Uint32Array(n));
    this.nameStart = grown(this.nameStart, (n) => new Uint32Array(n));
    this.nameLength = grown(this.nameLength, (n) => new Uint8Array(n));
    this.mode = grown(this.mode, (n) => new Uint16Array(n));
    this.uid = grown(this.uid, (n) => new Uint32Array(n));
    this.gid = grown(this.gid, (n) => new Uint32Array(n));
    this.flags = grown(this.flags, (n) => new Uint32Array(n));
    this.seconds = grown(this.seconds, (n) => new Float64Array(n));
    this.nanoseconds = grown(this.nanoseconds, (n) => new Uint32Array(n));
    this.size = grown(this.size, (n) => new Float64Array(n));
    this.link = grown(this.link, (n) => new Uint32Array(n));
    this.line = grown(this.line, (n) => new Uint32Array(n));
    this.sparse = grown(this.sparse, (n) => new Uint8Array(n));
    this.#has = grown(this.#has, (n) => new Uint8Array(n));
    this.#table = new Uint32Array(this.#table.length * 2).fill(NONE);
    for (let node = 1; node < this.count; node++) {
      this.#insert(node, hash(this.parent[node] ?? 0, this.name(node)));
    }
  }
}

/** FNV-1a over the parent and the bytes of the name. */
function hash(parent: number, name: string): number {
  let h = Math.imul(0x811c9dc5 ^ parent, 0x01000193);
  h = Math.imul(h ^ (parent >>> 16), 0x01000193);
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return (h ^ (h >>> 15)) >>> 0;
}

function nameTooLong(path: string, length: number): ImageError {
  const shown = path.length > 120 ? `${path.slice(0, 120)}…` : path;
  return new ImageError(
    'NameTooLong',
    `a name in ${JSON.stringify(shown)} has ${length} bytes, UFS takes ${MAX_NAME}`,
    'shorten the name',
  );
}
