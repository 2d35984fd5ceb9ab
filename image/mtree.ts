import { ImageError } from './errors.ts';
import { encodeDevice, type FileType, MAX_SYMLINK, parseFlags, TYPE_BITS } from './ufs2/format.ts';
import type { EntryAttributes, FileTree } from './ufs2/tree.ts';

/** Keywords that say nothing a file system stores, or that are taken from the tree itself. */
const IGNORED = new Set([
  'nlink',
  'size',
  'inode',
  'cksum',
  'md5',
  'md5digest',
  'rmd160',
  'rmd160digest',
  'ripemd160digest',
  'sha1',
  'sha1digest',
  'sha256',
  'sha256digest',
  'sha384',
  'sha384digest',
  'sha512',
  'sha512digest',
  'resdevice',
  'uname',
  'gname',
  'tags',
  'contents',
  'ignore',
  'nochange',
  'optional',
]);

type Draft = { -readonly [K in keyof EntryAttributes]?: EntryAttributes[K] };

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  '#': '#',
  s: ' ',
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};

function badSpec(line: number, problem: string): ImageError {
  return new ImageError('BadSpec', `line ${line} of the specification: ${problem}`, 'correct that line');
}

/** Undoes the vis(3) quoting of mtree(5): `\ooo` octal, and the C-style escapes. */
function unquote(text: string, line: number): string {
  if (!text.includes('\\')) return text;
  return text.replaceAll(/\\([0-3][0-7]{2}|.?)/gs, (whole, code: string) => {
    if (/^\d{3}$/.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
    const plain = ESCAPES[code];
    if (plain === undefined) throw badSpec(line, `the escape ${JSON.stringify(whole)} is unknown`);
    return plain;
  });
}

function integer(text: string, radix: 8 | 10, limit: number, what: string, line: number): number {
  const value = (radix === 8 ? /^[0-7]+$/ : /^\d+$/).test(text) ? Number.parseInt(text, radix) : Number.NaN;
  if (!(value <= limit))
    throw badSpec(line, `${what} ${JSON.stringify(text)} is not a number up to ${limit}`);
  return value;
}

/** Device number: `native,MAJOR,MINOR` (or `freebsd,…`), or the raw number in decimal, octal or hexadecimal. */
function device(text: string, line: number): { low: number; high: number } {
  const parts = text.split(',');
  const number = (part: string | undefined): number => {
    if (part === undefined || !/^(0[xX][0-9a-fA-F]+|\d+)$/.test(part)) {
      throw badSpec(line, `device ${JSON.stringify(text)} is not a device number`);
    }
    return /^0[0-7]+$/.test(part) ? Number.parseInt(part, 8) : Number(part);
  };
  if (parts.length === 1) {
    const raw = number(parts[0]);
    return { low: raw % 2 ** 32, high: Math.floor(raw / 2 ** 32) };
  }
  if (parts.length !== 3 || (parts[0] !== 'native' && parts[0] !== 'freebsd')) {
    throw badSpec(line, `device ${JSON.stringify(text)} is not native,MAJOR,MINOR`);
  }
  const [major, minor] = [number(parts[1]), number(parts[2])];
  if (major > 0xffffffff || minor > 0xffffffff) {
    throw badSpec(line, `device ${JSON.stringify(text)} does not fit into 64 bits`);
  }
  return encodeDevice(major, minor);
}

/** One keyword into the draft of an entry. */
function keyword(draft: Draft, word: string, line: number): void {
  const equals = word.indexOf('=');
  const key = equals < 0 ? word : word.slice(0, equals);
  const value = equals < 0 ? '' : word.slice(equals + 1);
  switch (key) {
    case 'type':
      if (!Object.hasOwn(TYPE_BITS, value)) throw badSpec(line, `type ${JSON.stringify(value)} is unknown`);
      draft.type = value as FileType;
      break;
    case 'mode':
      draft.mode = integer(value, 8, 0o7777, 'mode', line);
      break;
    case 'uid':
      draft.uid = integer(value, 10, 0xffffffff, 'uid', line);
      break;
    case 'gid':
      draft.gid = integer(value, 10, 0xffffffff, 'gid', line);
      break;
    case 'flags': {
      const flags = parseFlags(value);
      if (typeof flags !== 'number') throw badSpec(line, `flag ${JSON.stringify(flags.unknown)} is unknown`);
      draft.flags = flags;
      break;
    }
    case 'link':
      draft.target = unquote(value, line);
      if (draft.target.length > MAX_SYMLINK) {
        throw badSpec(line, `link target of ${draft.target.length} bytes is longer than ${MAX_SYMLINK}`);
      }
      break;
    case 'time': {
      // libarchive and mtree(8) print the nanoseconds as an integer after the dot, libarchive without leading zeros:
      // `5.1` is 5 s and 1 ns, not 5.1 s.
      const match = /^(-?\d{1,15})(?:\.(\d{1,9}))?$/.exec(value);
      if (match === null) throw badSpec(line, `time ${JSON.stringify(value)} is not SECONDS.NANOSECONDS`);
      draft.seconds = Number(match[1]);
      draft.nanoseconds = Number(match[2] ?? '0');
      break;
    }
    case 'device':
      draft.device = device(value, line);
      break;
    default:
      if (!IGNORED.has(key)) throw badSpec(line, `keyword ${JSON.stringify(key)} is unknown`);
  }
}

/** Names joined by `/` from the path of an entry: `./a/b`, `.`, and bsdtar's `/.` for the root of an archive. */
function entryPath(quoted: string, line: number): string {
  if (quoted !== '.' && !quoted.includes('/')) {
    throw badSpec(
      line,
      `${JSON.stringify(quoted)} is not a full path: the dialect with a current directory is not read`,
    );
  }
  const names: string[] = [];
  for (const part of quoted.split('/')) {
    const name = unquote(part, line);
    if (name === '' || name === '.') continue;
    if (name === '..' || name.includes('/') || name.includes('\0')) {
      throw badSpec(line, `${JSON.stringify(quoted)} has a part that names no file`);
    }
    names.push(name);
  }
  return names.join('/');
}

/**
 * Reads an mtree(5) specification in the dialect that bsdtar writes: full paths, vis(3) escapes, `/set`, `/unset`,
 * comments, continued lines. Feed it with chunks of any size, then call `end`.
 * @throws ImageError `BadSpec` with the line number, `NameTooLong`
 */
export class MtreeReader {
  readonly #tree: FileTree;
  readonly #defaults: Draft = {};
  #rest = '';
  #line = 0;
  #joined = '';
  #first = 0;
  #described = false;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /** @param chunk latin1 text */
  write(chunk: string): void {
    const text = this.#rest + chunk;
    let from = 0;
    for (;;) {
      const to = text.indexOf('\n', from);
      if (to < 0) break;
      this.#take(text.slice(from, text.charCodeAt(to - 1) === 13 && to > from ? to - 1 : to));
      from = to + 1;
    }
    this.#rest = text.slice(from);
  }

  /** @throws ImageError also when an entry's parent directory was never described */
  end(): void {
    if (this.#rest !== '') this.#take(this.#rest);
    this.#rest = '';
    if (this.#joined !== '') throw badSpec(this.#line, 'the last line is continued by a backslash');
    const tree = this.#tree;
    if (!this.#described) throw badSpec(Math.max(1, this.#line), 'it has no entries');
    for (let node = 0; node < tree.count; node++) {
      const parent = tree.parent[node] ?? 0;
      if (tree.mode[node] === 0) {
        const user = tree.line.findIndex(
          (_, at) => at < tree.count && at !== node && tree.parent[at] === node,
        );
        throw badSpec(
          tree.line[user] ?? this.#line,
          `the parent directory ${JSON.stringify(tree.path(node))} has no entry of its own`,
        );
      }
      if (node !== parent && tree.mode[parent] !== 0 && !tree.isDirectory(parent)) {
        throw badSpec(tree.line[node] ?? 0, `${JSON.stringify(tree.path(parent))} is not a directory`);
      }
    }
    if (!tree.isDirectory(0)) throw badSpec(tree.line[0] ?? 0, 'the root is not a directory');
  }

  #take(line: string): void {
    this.#line++;
    if (this.#joined === '') this.#first = this.#line;
    if (this.#joined === '' && line.startsWith('#')) return;
    if (line.endsWith('\\') && !line.endsWith('\\\\')) {
      this.#joined += `${line.slice(0, -1)} `;
      return;
    }
    const whole = this.#joined === '' ? line : this.#joined + line;
    this.#joined = '';
    const words = whole.split(/[ \t]+/);
    if (words[0] === '') words.shift();
    if (words.at(-1) === '') words.pop();
    const [name, ...rest] = words;
    if (name === undefined || name.startsWith('#')) return;
    this.#entry(name, rest, this.#first);
  }

  #entry(name: string, words: readonly string[], line: number): void {
    if (name === '/set') {
      for (const word of words) keyword(this.#defaults, word, line);
      return;
    }
    if (name === '/unset') {
      for (const word of words) this.#unset(word, line);
      return;
    }
    const draft: Draft = { ...this.#defaults };
    for (const word of words) keyword(draft, word, line);
    const { type } = draft;
    if (type === undefined) throw badSpec(line, 'the entry has no type');
    if (draft.mode === undefined) throw badSpec(line, 'the entry has no mode');
    if (draft.uid === undefined) throw badSpec(line, 'the entry has no uid (a name is not enough)');
    if (draft.gid === undefined) throw badSpec(line, 'the entry has no gid (a name is not enough)');
    if ((type === 'char' || type === 'block') && draft.device === undefined) {
      throw badSpec(line, 'the device node has no device number');
    }
    if (type !== 'link') delete draft.target;
    if (type !== 'char' && type !== 'block') delete draft.device;
    let node: number;
    try {
      node = this.#tree.resolve(entryPath(name, line));
    } catch (error) {
      if (!(error instanceof ImageError) || error.code !== 'NameTooLong') throw error;
      throw new ImageError(
        error.code,
        `line ${line} of the specification: ${error.message}`,
        error.remedy,
        error,
      );
    }
    this.#tree.describe(node, { ...draft, type }, line);
    this.#described = true;
  }

  #unset(word: string, line: number): void {
    const defaults = this.#defaults;
    if (word === 'all') {
      for (const key of Object.keys(defaults)) delete defaults[key as keyof Draft];
    } else if (word === 'time') {
      delete defaults.seconds;
      delete defaults.nanoseconds;
    } else if (word === 'link') delete defaults.target;
    else if (word === 'type' || word === 'mode' || word === 'uid' || word === 'gid' || word === 'flags') {
      delete defaults[word];
    } else if (word === 'device') delete defaults.device;
    else if (!IGNORED.has(word)) throw badSpec(line, `keyword ${JSON.stringify(word)} is unknown`);
  }
}
