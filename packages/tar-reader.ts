/**
 * A streaming reader of tar archives: ustar, pax (with the file flags that libarchive stores as `SCHILY.fflags`), GNU's
 * long names and GNU.sparse 1.0. It holds one header and one chunk at a time. Nothing is believed: checksums, sizes and
 * lengths are checked, and names are handed on as they are for the caller to judge.
 */

export type TarKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'other';

export interface TarEntry {
  readonly kind: TarKind;
  readonly path: string;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Empty if the archive has none. */
  readonly uname: string;
  readonly gname: string;
  /** Seconds since the epoch, and nanoseconds. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** File flags as strtofflags(3) writes them, or empty. */
  readonly flags: string;
  /** Target of a symbolic or hard link, else empty. */
  readonly target: string;
  /** Bytes of a file as a reader of it sees them. */
  readonly size: number;
  /** Parts that hold data, ascending, when the file has holes. */
  readonly extents?: readonly { readonly offset: number; readonly length: number }[];
  /** The stored bytes (without the holes). May be left unread; the next entry skips them. */
  body(): AsyncGenerator<Buffer>;
}

const BLOCK = 512;
/** pax headers and long names beyond this are hostile. */
const MAX_HEADER = 1 << 20;

export class TarError extends Error {
  override readonly name = 'TarError';
}

/** Exact reads from a stream of chunks. */
class Source {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done) return false;
    this.#held = this.#held.length === 0 ? next.value : Buffer.concat([this.#held, next.value]);
    return true;
  }

  /** Exactly `length` bytes; null at a clean end. */
  async read(length: number): Promise<Buffer | null> {
    while (this.#held.length < length) {
      if (await this.#more()) continue;
      if (this.#held.length === 0) return null;
      throw new TarError('the archive ends in the middle of an entry');
    }
    const bytes = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return bytes;
  }

  /** Up to `limit` bytes, at least one. */
  async some(limit: number): Promise<Buffer> {
    if (this.#held.length === 0 && !(await this.#more())) {
      throw new TarError('the archive ends in the middle of a file');
    }
    const bytes = this.#held.subarray(0, limit);
    this.#held = this.#held.subarray(bytes.length);
    return bytes;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

function text(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString('utf8', offset, end < 0 || end > offset + length ? offset + length : end);
}

/** Octal, or base 256 when the first bit is set (GNU and libarchive for large numbers). */
function number(block: Buffer, offset: number, length: number): number {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first & 0x3f;
    for (let at = offset + 1; at < offset + length; at++) value = value * 256 + (block[at] ?? 0);
    if (!Number.isSafeInteger(value) || (first & 0x40) !== 0)
      throw new TarError('a number in a header is out of range');
    return value;
  }
  const digits = text(block, offset, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw new TarError(`${JSON.stringify(digits)} in a header is not octal`);
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function checkSum(block: Buffer): void {
  const wanted = number(block, 148, 8);
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 32 : (block[at] ?? 0);
  if (sum !== wanted) throw new TarError('the checksum of a header is wrong');
}

/** Records `LENGTH key=value\n`. */
function paxRecords(bytes: Buffer, into: Map<string, string>): void {
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(32, at);
    const length = Number(bytes.toString('latin1', at, space < 0 ? at : space));
    if (space < 0 || !Number.isSafeInteger(length) || length < 5 || at + length > bytes.length) {
      throw new TarError('a pax header is damaged');
    }
    const equals = bytes.indexOf(61, space);
    if (equals < 0 || equals >= at + length) throw new TarError('a pax header has a record without =');
    into.set(bytes.toString('utf8', space + 1, equals), bytes.toString('utf8', equals + 1, at + length - 1));
    at += length;
  }
}

function time(value: string): { seconds: number; nanoseconds: number } {
  const match = /^(-?\d{1,15})(?:\.(\d{1,}))?$/.exec(value);
  if (match === null) throw new TarError(`the time ${JSON.stringify(value)} is not a number`);
  return { seconds: Number(match[1]), nanoseconds: Number((match[2] ?? '').slice(0, 9).padEnd(9, '0')) };
}

function size(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new TarError(`${JSON.stringify(value)} in a pax header is not a size`);
  return Number(value);
}

const KINDS: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
};

/** GNU.sparse 1.0: the map stands in front of the data, decimal numbers in lines, padded to a block. */
async function sparseMap(read: (length: number) => Promise<Buffer>): Promise<{
  extents: { offset: number; length: number }[];
  bytes: number;
}> {
  let map = '';
  let bytes = 0;
  const numbers: number[] = [];
  for (;;) {
    map += (await read(BLOCK)).toString('latin1');
    bytes += BLOCK;
    if (bytes > MAX_HEADER) throw new TarError('the map of a sparse file is too long');
    const lines = map.split('\n');
    numbers.length = 0;
    const count = Number(lines[0]);
    if (lines.length <= 1) continue;
    if (!Number.isSafeInteger(count)) throw new TarError('the map of a sparse file is damaged');
    if (lines.length <= 1 + 2 * count) continue;
    for (const line of lines.slice(1, 1 + 2 * count)) numbers.push(size(line));
    const extents = [];
    let end = 0;
    for (let n = 0; n < numbers.length; n += 2) {
      const [offset = 0, length = 0] = [numbers[n], numbers[n + 1]];
      if (offset < end) throw new TarError('the map of a sparse file is not in order');
      end = offset + length;
      extents.push({ offset, length });
    }
    return { extents, bytes };
  }
}

/**
 * The entries of an archive, in its order.
 * @throws TarError when the archive is damaged or ends early
 */
export async function* readTar(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const source = new Source(chunks);
  const exactly = async (length: number): Promise<Buffer> => {
    const bytes = await source.read(length);
    if (bytes === null) throw new TarError('the archive ends in the middle of an entry');
    return bytes;
  };
  const padded = (length: number) => Math.ceil(length / BLOCK) * BLOCK;
  const header = async (length: number): Promise<Buffer> => {
    if (length > MAX_HEADER) throw new TarError(`an extended header has ${length} bytes`);
    return (await exactly(padded(length))).subarray(0, length);
  };
  const global = new Map<string, string>();
  let records = new Map<string, string>();
  try {
    for (;;) {
      const block = await source.read(BLOCK);
      // Some writers leave out the two empty blocks at the end.
      if (block === null) break;
      if (block.every((byte) => byte === 0)) break;
      checkSum(block);
      const type = String.fromCharCode(block[156] ?? 0);
      const stored = records.has('size') ? size(records.get('size') ?? '') : number(block, 124, 12);
      if (type === 'x' || type === 'g') {
        paxRecords(await header(stored), type === 'g' ? global : records);
        continue;
      }
      if (type === 'L' || type === 'K') {
        const name = (await header(stored)).toString('utf8').replace(/\0.*$/s, '');
        records.set(type === 'L' ? 'path' : 'linkpath', name);
        continue;
      }
      const pax = (key: string): string | undefined => records.get(key) ?? global.get(key);
      const prefix = block.toString('latin1', 257, 262) === 'ustar' ? text(block, 345, 155) : '';
      const plain = text(block, 0, 100);
      const sparse = pax('GNU.sparse.major') === '1' && pax('GNU.sparse.minor') === '0';
      const path =
        (sparse ? pax('GNU.sparse.name') : undefined) ??
        pax('path') ??
        (prefix === '' ? plain : `${prefix}/${plain}`);
      const kind =
        path.endsWith('/') && (type === '0' || type === '\0') ? 'directory' : (KINDS[type] ?? 'other');
      // Only files have bytes; for links some writers state the size of what they point to.
      let left = kind === 'file' || kind === 'other' ? stored : 0;
      const padding = padded(left) - left;
      let extents: { offset: number; length: number }[] | undefined;
      if (kind === 'file' && sparse) {
        const map = await sparseMap(exactly);
        extents = map.extents;
        left -= map.bytes;
        if (left !== extents.reduce((sum, extent) => sum + extent.length, 0)) {
          throw new TarError(`the map of ${JSON.stringify(path)} does not fit its data`);
        }
      } else if (
        pax('GNU.sparse.map') !== undefined ||
        pax('GNU.sparse.numblocks') !== undefined ||
        type === 'S'
      ) {
        throw new TarError(`${JSON.stringify(path)} is a sparse file in a format that is not read`);
      }
      const fileSize = sparse ? size(pax('GNU.sparse.realsize') ?? '') : left;
      let begun = false;
      const entry: TarEntry = {
        kind,
        path,
        mode: number(block, 100, 8) & 0o7777,
        uid: pax('uid') === undefined ? number(block, 108, 8) : size(pax('uid') ?? ''),
        gid: pax('gid') === undefined ? number(block, 116, 8) : size(pax('gid') ?? ''),
        uname: pax('uname') ?? text(block, 265, 32),
        gname: pax('gname') ?? text(block, 297, 32),
        ...time(pax('mtime') ?? String(number(block, 136, 12))),
        flags: pax('SCHILY.fflags') ?? '',
        target: kind === 'symlink' || kind === 'hardlink' ? (pax('linkpath') ?? text(block, 157, 100)) : '',
        size: fileSize,
        ...(extents === undefined ? {} : { extents }),
        async *body() {
          if (begun) throw new TarError('the bytes of an entry can be read once');
          begun = true;
          while (left > 0) {
            const bytes = await source.some(left);
            left -= bytes.length;
            yield bytes;
          }
        },
      };
      yield entry;
      while (left > 0) left -= (await source.some(left)).length;
      if (padding > 0) await exactly(padding);
      records = new Map();
    }
  } finally {
    await source.close();
  }
}

/** All of a small file. @throws TarError beyond `limit` bytes */
export async function wholeBody(entry: TarEntry, limit: number): Promise<Buffer> {
  if (entry.size > limit)
    throw new TarError(`${JSON.stringify(entry.path)} has ${entry.size} bytes, more than ${limit}`);
  const pieces: Buffer[] = [];
  for await (const piece of entry.body()) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
