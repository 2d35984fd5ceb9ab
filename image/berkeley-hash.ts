/**
 * Writer of Berkeley DB 1.85 hash files, the format that db(3) of FreeBSD's libc reads. Source: the layout and the rules in
 * FreeBSD's lib/libc/db/hash (hash.h, page.h; 15.0); numbers are big-endian, which libc reads on every machine.
 *
 * The file is a header page, 2^n bucket pages, and an area of overflow pages whose first page is the bitmap of those in use:
 *
 *   page 0         header: 17 words, then `spares` (32 words) and `bitmaps` (32 half-words)
 *   page 1 + b     bucket b: keys whose hash has the low bits b
 *   page 1 + 2^n   bitmap; behind it overflow page 2, 3, … of split point n
 *
 * libc grows such a file bucket by bucket while it inserts. Everything is known here from the start, so the table is made at
 * its final size: the least power of two that keeps the mean at or under `fillFactor` and no page overflowing. More buckets
 * than keys are not tried: what still collides then has (nearly) equal hashes, and gets overflow pages. Without overflow and
 * with 8 buckets, the file is what pwd_mkdb(8) writes, byte for byte, but for what that leaves of its memory in free space.
 */
import { ImageError } from './errors.ts';

export interface HashPair {
  readonly key: Buffer;
  readonly value: Buffer;
}

const MAGIC = 0x061561;
const VERSION = 2;
/** What `lorder` says: the byte order of the pages. The header is big-endian in any case. */
const BIG_ENDIAN = 4321;
const PAGE = 4096;
const PAGE_SHIFT = 12;
/** Of libc's directory of bucket pages in memory: buckets per segment, and segments at least. */
const SEGMENT = 256;
const SEGMENT_SHIFT = 8;
/** A file opened for writing is grown by libc when there are more keys than this per bucket; pwd_mkdb(8)'s number. */
const FILL_FACTOR = 32;
/** pwd_mkdb(8) says that it expects 256 keys: 256 / 32 buckets. */
const LEAST_BUCKETS = 8;
/** Hashed, with its NUL, to see whether the file was made with the same hash function. */
const CHARKEY = Buffer.from('%$sniglet^&\0', 'latin1');
/** An overflow page's address is the split point and an 11-bit number from 1; the area of one split point is all we use. */
const SPLIT_SHIFT = 11;
const MOST_OVERFLOW_PAGES = 2046;

/** Of a page's table: two half-words for each pair, the count before it, free bytes and lowest used byte behind it. */
const PAIR_OVERHEAD = 4;
const TABLE_OVERHEAD = 6;
/** Kept free on every page, so that a link to an overflow page always fits. */
const LINK = 4;

/** Chris Torek's hash: h × 33 + byte, in 32 bits. */
export function hash(key: Buffer): number {
  let h = 0;
  for (const byte of key) h = (Math.imul(h, 33) + byte) >>> 0;
  return h;
}

const cost = (pair: HashPair): number => PAIR_OVERHEAD + pair.key.length + pair.value.length;

/** Pairs of one bucket, in the order they came, page by page. */
function paginate(pairs: readonly HashPair[]): HashPair[][] {
  const pages: HashPair[][] = [[]];
  let free = PAGE - TABLE_OVERHEAD;
  for (const pair of pairs) {
    if (cost(pair) + LINK > free) {
      pages.push([]);
      free = PAGE - TABLE_OVERHEAD;
    }
    pages.at(-1)?.push(pair);
    free -= cost(pair);
  }
  return pages;
}

function distribute(pairs: readonly HashPair[], hashes: readonly number[], buckets: number): HashPair[][][] {
  const content: HashPair[][] = Array.from({ length: buckets }, () => []);
  for (const [i, pair] of pairs.entries()) content[(hashes[i] ?? 0) & (buckets - 1)]?.push(pair);
  return content.map(paginate);
}

/** Contents grow down from the end of the page, the table of their offsets grows up from its beginning. */
function renderPage(pairs: readonly HashPair[], next: number | undefined): Buffer {
  const page = Buffer.alloc(PAGE);
  // As libc: a page that nothing was put on is not written; it reads zeros as an empty page.
  if (pairs.length === 0) return page;
  let slot = 0;
  let low = PAGE;
  const put = (content: Buffer) => {
    low -= content.length;
    content.copy(page, low);
    page.writeUInt16BE(low, 2 * ++slot);
  };
  for (const { key, value } of pairs) {
    put(key);
    put(value);
  }
  if (next !== undefined) {
    page.writeUInt16BE(next, 2 * ++slot);
    // In the place of a value's offset 0 says that the number before it is an overflow page.
    page.writeUInt16BE(0, 2 * ++slot);
  }
  page.writeUInt16BE(slot, 0);
  page.writeUInt16BE(low - 2 * (slot + 3), 2 * (slot + 1));
  page.writeUInt16BE(low, 2 * (slot + 2));
  return page;
}

function renderHeader(splitPoint: number, keys: number, spares: number): Buffer {
  const buckets = 2 ** splitPoint;
  const page = Buffer.alloc(PAGE);
  const words = [
    MAGIC,
    VERSION,
    BIG_ENDIAN,
    PAGE,
    PAGE_SHIFT,
    Math.max(SEGMENT, buckets / SEGMENT),
    SEGMENT,
    SEGMENT_SHIFT,
    splitPoint,
    2, // where libc begins to look for a free overflow page
    buckets - 1,
    2 * buckets - 1,
    buckets - 1,
    FILL_FACTOR,
    keys,
    1, // pages of the header
    hash(CHARKEY),
  ];
  for (const [i, word] of words.entries()) page.writeUInt32BE(word, 4 * i);
  // Overflow pages up to each split point: none before this table's own, and the next bucket comes behind them.
  const sparesAt = 4 * words.length;
  page.writeUInt32BE(spares, sparesAt + 4 * splitPoint);
  page.writeUInt32BE(spares, sparesAt + 4 * (splitPoint + 1));
  page.writeUInt16BE(overflowAddress(splitPoint, 1), sparesAt + 4 * 32);
  return page;
}

const overflowAddress = (splitPoint: number, number: number): number =>
  splitPoint * 2 ** SPLIT_SHIFT + number;

/** A set bit is an overflow page in use, or one that is not there; words of 32 bits. The bitmap itself is the first. */
function renderBitmap(used: number, spares: number): Buffer {
  const page = Buffer.alloc(PAGE, 0xff);
  for (let bit = used; bit < spares; bit++) {
    const at = 4 * Math.floor(bit / 32);
    page.writeUInt32BE((page.readUInt32BE(at) & ~(1 << (bit % 32))) >>> 0, at);
  }
  return page;
}

/**
 * The bytes of a hash file with these pairs. Of two equal keys the first counts (R_NOOVERWRITE). The same pairs in the same
 * order give the same bytes. Errors: AccountInvalid for a pair larger than a page and for more overflow pages than fit.
 */
export function hashFile(given: Iterable<HashPair>): Buffer {
  const unique = new Map<string, HashPair>();
  for (const pair of given) {
    const name = pair.key.toString('latin1');
    if (!unique.has(name)) unique.set(name, pair);
    if (cost(pair) + LINK > PAGE - TABLE_OVERHEAD) {
      throw new ImageError('AccountInvalid', 'an entry is larger than a page of the database', 'shorten it');
    }
  }
  const pairs = [...unique.values()];
  const hashes = pairs.map((pair) => hash(pair.key));

  let buckets = LEAST_BUCKETS;
  while (pairs.length > buckets * FILL_FACTOR) buckets *= 2;
  let content = distribute(pairs, hashes, buckets);
  while (buckets < pairs.length && content.some((pages) => pages.length > 1)) {
    buckets *= 2;
    content = distribute(pairs, hashes, buckets);
  }
  const splitPoint = Math.log2(buckets);

  // Number 1 is the bitmap.
  let used = 1;
  const primary: Buffer[] = [];
  const overflow: Buffer[] = [];
  for (const pages of content) {
    for (const [i, page] of pages.entries()) {
      const last = i === pages.length - 1;
      if (!last) used++;
      (i === 0 ? primary : overflow).push(
        renderPage(page, last ? undefined : overflowAddress(splitPoint, used)),
      );
    }
  }
  if (used - 1 > MOST_OVERFLOW_PAGES) {
    throw new ImageError(
      'AccountInvalid',
      `too many accounts have names of equal hash: ${used - 1} overflow pages`,
      'choose other names',
    );
  }
  // As libc: at least so many as the table has split points, free ones included.
  const spares = Math.max(splitPoint + 1, used);
  return Buffer.concat([
    renderHeader(splitPoint, pairs.length, spares),
    ...primary,
    renderBitmap(used, spares),
    ...overflow,
  ]);
}
