/**
 * A tar writer for sets that look like FreeBSD's own.
 *
 * FreeBSD makes its sets with bsdtar from a METALOG, without root: `./` before every name, ustar headers, and a pax header
 * only where ustar does not carry the fact (file flags as `SCHILY.fflags`, long or non-ASCII names, fractions of
 * seconds). bsdtar's mtree reader cannot express holes, so the stream is written here; the layout of the pax
 * and GNU.sparse 1.0 records is that which bsdtar 3.6.2 writes, and bsdtar and Python's tarfile read it in the tests.
 */

/** What every entry has. `path` starts with `./`; owners by number and name as in an mtree spec. */
interface EntryFacts {
  readonly path: string;
  /** Permission bits including setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly uname: string;
  readonly gname: string;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Nanoseconds past `mtime`; 0 when absent. */
  readonly nanoseconds?: number;
  /** FreeBSD file flags, comma-separated as in strtofflags(3), e.g. `schg,uarch`. */
  readonly flags?: string;
}

export interface Extent {
  readonly offset: number;
  readonly length: number;
}

export type Entry = EntryFacts &
  (
    | { readonly kind: 'directory' }
    | { readonly kind: 'symlink'; readonly target: string }
    /** `target` is the path of an earlier file of the same archive. */
    | { readonly kind: 'hardlink'; readonly target: string }
    | {
        readonly kind: 'file';
        /** Bytes as a reader of the file sees them, holes included. */
        readonly size: number;
        /** The bytes from `offset`; called in pieces so that no large file is held twice. */
        readonly read: (offset: number, length: number) => Buffer;
        /** The parts that hold data, ascending, multiples of 512; the rest are holes. Absent: no holes. */
        readonly extents?: readonly Extent[];
      }
  );

const BLOCK = 512;
/** bsdtar pads its output to whole records of 20 blocks. */
const RECORD = 20 * BLOCK;
const PIECE = 1 << 20;

const TYPE_FLAG = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const;

function padding(length: number): Buffer {
  return Buffer.alloc((BLOCK - (length % BLOCK)) % BLOCK);
}

function octal(header: Buffer, value: number, offset: number, digits: number): void {
  const text = value.toString(8).padStart(digits, '0');
  if (text.length > digits) throw new RangeError(`${value} needs more than ${digits} octal digits.`);
  header.write(text, offset, 'latin1');
}

/** Splits a name as ustar wants it: prefix (155 bytes) and name (100 bytes). Undefined if it does not fit. */
function ustarName(path: string): { name: string; prefix: string } | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ustar names are ASCII; anything else goes to pax.
  if (!/^[\x00-\x7f]*$/.test(path)) return undefined;
  if (path.length <= 100) return { name: path, prefix: '' };
  const slash = path.indexOf('/', path.length - 101);
  if (slash <= 0 || slash > 155 || slash === path.length - 1) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

/** One pax record: its decimal length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`);
  let total = rest.length + 1;
  while (String(total).length + rest.length !== total) total = String(total).length + rest.length;
  return Buffer.concat([Buffer.from(String(total)), rest]);
}

function header(
  facts: EntryFacts,
  name: { name: string; prefix: string },
  type: string,
  size: number,
  link: string,
): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name.name, 0, 'utf8');
  octal(block, facts.mode, 100, 6);
  octal(block, facts.uid, 108, 6);
  octal(block, facts.gid, 116, 6);
  octal(block, size, 124, 11);
  octal(block, facts.mtime, 136, 11);
  for (const at of [106, 114, 122, 135, 147]) block.write(' ', at, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(link, 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.write(facts.uname, 265, 'latin1');
  block.write(facts.gname, 297, 'latin1');
  block.write('000000 \x00000000 ', 329, 'latin1');
  block.write(name.prefix, 345, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  octal(block, sum, 148, 6);
  block.write('\x00 ', 154, 'latin1');
  return block;
}

/** The place-holder names that bsdtar gives to pax headers and to names which ustar cannot hold. */
function shortName(path: string, directory: string): { name: string; prefix: string } {
  const last = Buffer.from(path.replace(/\/$/, '').replace(/^.*\//, ''))
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, '_')
    .slice(0, 80);
  return { name: `${directory}/${last}`, prefix: '' };
}

function* entryBytes(entry: Entry): Generator<Buffer> {
  const path = entry.kind === 'directory' ? `${entry.path}/` : entry.path;
  const records: Buffer[] = [];
  let name = ustarName(path);
  let link = '';
  if (entry.kind === 'symlink' || entry.kind === 'hardlink') {
    link = ustarName(entry.target)?.prefix === '' ? entry.target : '';
    if (link === '') records.push(paxRecord('linkpath', entry.target));
  }
  if (entry.nanoseconds) {
    const fraction = String(entry.nanoseconds).padStart(9, '0').replace(/0+$/, '');
    records.push(paxRecord('mtime', `${entry.mtime}.${fraction}`));
  }
  if (entry.flags) records.push(paxRecord('SCHILY.fflags', entry.flags));

  let map: Buffer | undefined;
  let stored = 0;
  if (entry.kind === 'file') {
    stored = entry.size;
    if (entry.extents) {
      // As GNU tar and bsdtar do, an empty last extent states the end when the file ends in a hole.
      const extents = [...entry.extents];
      const last = extents.at(-1);
      if (!last || last.offset + last.length < entry.size) extents.push({ offset: entry.size, length: 0 });
      const lines = [extents.length, ...extents.flatMap((extent) => [extent.offset, extent.length])];
      const text = Buffer.from(`${lines.join('\n')}\n`);
      map = Buffer.concat([text, padding(text.length)]);
      stored = map.length + extents.reduce((total, extent) => total + extent.length, 0);
      records.push(
        paxRecord('GNU.sparse.major', '1'),
        paxRecord('GNU.sparse.minor', '0'),
        paxRecord('GNU.sparse.name', path),
        paxRecord('GNU.sparse.realsize', String(entry.size)),
      );
      name = shortName(path, './GNUSparseFile.0');
    }
  }
  if (!name) {
    records.push(paxRecord('path', path));
    name = shortName(path, '.');
  }
  if (records.length > 0) {
    const body = Buffer.concat(records);
    yield header(
      { ...entry, mode: entry.mode & 0o777 },
      shortName(path, './PaxHeader'),
      'x',
      body.length,
      '',
    );
    yield body;
    yield padding(body.length);
  }
  yield header(entry, name, TYPE_FLAG[entry.kind], stored, link);
  if (entry.kind !== 'file') return;
  if (map) yield map;
  for (const extent of entry.extents ?? [{ offset: 0, length: entry.size }]) {
    for (let done = 0; done < extent.length; done += PIECE) {
      yield entry.read(extent.offset + done, Math.min(PIECE, extent.length - done));
    }
  }
  yield padding(stored);
}

/** The whole archive. Small pieces are joined, since twenty thousand tiny writes cost more than the data. */
export function* tarStream(entries: Iterable<Entry>): Generator<Buffer> {
  let held: Buffer[] = [];
  let heldLength = 0;
  let total = 0;
  for (const entry of entries) {
    for (const piece of entryBytes(entry)) {
      held.push(piece);
      heldLength += piece.length;
      if (heldLength >= PIECE) {
        yield Buffer.concat(held);
        total += heldLength;
        held = [];
        heldLength = 0;
      }
    }
  }
  total += heldLength;
  const end = 2 * BLOCK;
  held.push(Buffer.alloc(end + ((RECORD - ((total + end) % RECORD)) % RECORD)));
  yield Buffer.concat(held);
}
