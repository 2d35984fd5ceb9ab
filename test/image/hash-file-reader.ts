/**
 * A reader of Berkeley DB 1.85 hash files that shares nothing with the writer: written from the layout in FreeBSD's
 * lib/libc/db/hash (hash.h, page.h) and from the road a lookup takes there. It trusts nothing in the file.
 */

export interface HashHeader {
  readonly pageSize: number;
  readonly overflowPoint: number;
  readonly lastFreed: number;
  readonly maxBucket: number;
  readonly highMask: number;
  readonly lowMask: number;
  readonly fillFactor: number;
  readonly keys: number;
  readonly headerPages: number;
  readonly spares: readonly number[];
  readonly bitmaps: readonly number[];
}

function refuse(what: string): never {
  throw new Error(`hash file: ${what}`);
}

/** Smallest n with 2^n >= value. */
const log2 = (value: number): number => {
  let n = 0;
  while (2 ** n < value) n++;
  return n;
};

/** In BigInt, so that it cannot share a mistake of 32-bit arithmetic. */
export function torekHash(key: Buffer): number {
  let h = 0n;
  for (const byte of key) h = (h * 33n + BigInt(byte)) % 0x1_0000_0000n;
  return Number(h);
}

export class HashFile {
  readonly bytes: Buffer;
  readonly header: HashHeader;

  constructor(bytes: Buffer) {
    if (bytes.length < 260) refuse('shorter than a header');
    const word = (i: number) => bytes.readUInt32BE(4 * i);
    if (word(0) !== 0x61561) refuse('wrong magic');
    if (word(1) !== 2) refuse('wrong version');
    if (word(2) !== 4321) refuse('not in big-endian order');
    if (word(16) !== torekHash(Buffer.from('%$sniglet^&\0'))) refuse('made with another hash function');
    if (2 ** word(4) !== word(3)) refuse('page size and shift differ');
    if (2 ** word(7) !== word(6)) refuse('segment size and shift differ');
    if (word(5) * word(6) <= word(10)) refuse('directory too small for the buckets');
    this.bytes = bytes;
    this.header = {
      pageSize: word(3),
      overflowPoint: word(8),
      lastFreed: word(9),
      maxBucket: word(10),
      highMask: word(11),
      lowMask: word(12),
      fillFactor: word(13),
      keys: word(14),
      headerPages: word(15),
      spares: Array.from({ length: 32 }, (_, i) => word(17 + i)),
      bitmaps: Array.from({ length: 32 }, (_, i) => bytes.readUInt16BE(4 * 49 + 2 * i)),
    };
    const { pageSize, maxBucket, highMask, lowMask } = this.header;
    if (bytes.length % pageSize !== 0) refuse('ends within a page');
    if (highMask !== 2 * lowMask + 1) refuse('masks do not fit each other');
    if ((lowMask & (lowMask + 1)) !== 0) refuse('low mask is no mask');
    if (maxBucket < lowMask || maxBucket > highMask) refuse('masks do not fit the number of buckets');
  }

  bucketOf(key: Buffer): number {
    const { highMask, lowMask, maxBucket } = this.header;
    const h = torekHash(key);
    const bucket = h % (highMask + 1);
    return bucket > maxBucket ? h % (lowMask + 1) : bucket;
  }

  #pageOfBucket(bucket: number): number {
    const before = bucket === 0 ? 0 : (this.header.spares[log2(bucket + 1) - 1] ?? 0);
    return bucket + this.header.headerPages + before;
  }

  #pageOfOverflow(address: number): number {
    return this.#pageOfBucket(2 ** (address >> 11) - 1) + (address & 0x7ff);
  }

  #page(number: number): Buffer {
    const { pageSize } = this.header;
    const start = number * pageSize;
    // As libc: what lies behind the end of the file is an empty page.
    if (start >= this.bytes.length) return Buffer.alloc(pageSize);
    return this.bytes.subarray(start, start + pageSize);
  }

  /** Pairs of one page and the address of the next, 0 for none. */
  #pairs(page: Buffer): { pairs: [Buffer, Buffer][]; next: number } {
    const { pageSize } = this.header;
    const half = (i: number) => page.readUInt16BE(2 * i);
    const slots = half(0);
    const pairs: [Buffer, Buffer][] = [];
    if (slots === 0) return { pairs, next: 0 };
    if (slots % 2 !== 0) refuse('odd number of slots');
    if (2 * (slots + 3) > pageSize) refuse('table larger than the page');
    let top = pageSize;
    let next = 0;
    for (let i = 1; i < slots; i += 2) {
      if (half(i + 1) === 0) {
        if (i + 1 !== slots) refuse('a link that is not the last slot');
        next = half(i);
        if (next === 0) refuse('a link to nowhere');
        break;
      }
      const [keyAt, valueAt] = [half(i), half(i + 1)];
      if (valueAt < 4) refuse('a pair of several pages, which an account database never has');
      if (keyAt > top || valueAt > keyAt) refuse('offsets that do not fall');
      pairs.push([page.subarray(keyAt, top), page.subarray(valueAt, keyAt)]);
      top = valueAt;
    }
    if (half(slots + 2) !== top) refuse('the lowest offset is not that of the last pair');
    if (half(slots + 1) !== top - 2 * (slots + 3)) refuse('wrong number of free bytes');
    return { pairs, next };
  }

  #chain(bucket: number): { pairs: [Buffer, Buffer][]; addresses: number[] } {
    const pairs: [Buffer, Buffer][] = [];
    const addresses: number[] = [];
    let page = this.#page(this.#pageOfBucket(bucket));
    for (;;) {
      const found = this.#pairs(page);
      pairs.push(...found.pairs);
      if (found.next === 0) return { pairs, addresses };
      if (addresses.includes(found.next)) refuse('a chain that bites its tail');
      addresses.push(found.next);
      page = this.#page(this.#pageOfOverflow(found.next));
    }
  }

  /** What db->get finds, or undefined. */
  get(key: Buffer): Buffer | undefined {
    return this.#chain(this.bucketOf(key)).pairs.find(([candidate]) => candidate.equals(key))?.[1];
  }

  /** Every pair; refuses a file in which a lookup would miss one, or in which writing would overwrite a page in use. */
  check(): Map<string, Buffer> {
    const { maxBucket, keys, spares, overflowPoint, bitmaps, pageSize } = this.header;
    const found = new Map<string, Buffer>();
    const used = new Set<number>([bitmaps[0] ?? 0]);
    for (let bucket = 0; bucket <= maxBucket; bucket++) {
      const { pairs, addresses } = this.#chain(bucket);
      for (const [key, value] of pairs) {
        if (this.bucketOf(key) !== bucket) refuse('a key in the wrong bucket');
        const name = key.toString('latin1');
        if (found.has(name)) refuse('a key that is there twice');
        found.set(name, value);
      }
      for (const address of addresses) {
        if (used.has(address)) refuse('an overflow page in two chains');
        used.add(address);
      }
    }
    if (found.size !== keys) refuse('another number of keys than the header says');
    if (overflowPoint !== log2(maxBucket + 1)) refuse('overflow point is not that of the last bucket');

    // Bit n of the map is the overflow page n + 1, counted over all split points.
    const total = spares[overflowPoint] ?? 0;
    const last = this.#pageOfBucket(maxBucket);
    const bitmap = this.#page(this.#pageOfOverflow(bitmaps[0] ?? 0));
    if (total > 8 * pageSize) refuse('more overflow pages than one bitmap has bits');
    for (let bit = 0; bit < 8 * pageSize; bit++) {
      const set = (bitmap.readUInt32BE(4 * Math.floor(bit / 32)) >>> (bit % 32)) % 2 === 1;
      const split = spares.findIndex((spare) => spare > bit);
      const address = split * 2048 + bit + 1 - (split > 0 ? (spares[split - 1] ?? 0) : 0);
      if (bit >= total) {
        if (!set) refuse('a free overflow page that is not there');
      } else if (set !== used.has(address)) {
        refuse(set ? 'an overflow page that nobody uses' : 'an overflow page in use that is marked free');
      } else if (this.#pageOfOverflow(address) <= last && split === overflowPoint) {
        refuse('an overflow page on a bucket');
      }
      if (bit < total) used.delete(address);
    }
    if (used.size > 0) refuse('an overflow page beyond those there are');
    return found;
  }
}
