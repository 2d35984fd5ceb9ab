import { groupStart, type Layout } from './layout.ts';

/** Thrown by the allocator when the volume is full; the writer turns it into `VolumeTooSmall`. */
export class OutOfSpace extends Error {}

/**
 * Hands out data space from the front of the volume to its end: whole blocks one after the other, and tails of less
 * than a block from the smallest gap that holds them. Metadata of the groups is never part of what it hands out.
 */
export class Allocator {
  /** First fragment of what the last call handed out. */
  start = 0;
  /** Blocks of what the last `blocks` call handed out. */
  count = 0;
  /** True if the last `tail` call opened a new block at `start`. */
  opened = false;
  /** Fragments handed out so far. */
  fragments = 0;

  readonly #layout: Layout;
  /** Bit per fragment of a group, set = in use; null for groups without data. */
  readonly #used: (Uint8Array | null)[];
  /** Index n: addresses of gaps of n free fragments inside blocks that are partly used. */
  readonly #gaps: number[][];
  #area = -1;
  #next = 0;
  #end = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
    this.#used = Array.from({ length: layout.groups }, () => null);
    this.#gaps = Array.from({ length: layout.frag + 1 }, () => []);
    this.#openArea();
  }

  /**
   * Data areas: from the end of a group's metadata to the superblock copy of the next group, as the space before that
   * copy (boot block in the first group) carries data.
   */
  #openArea(): void {
    const { layout, frag } = { layout: this.#layout, frag: this.#layout.frag };
    for (;;) {
      this.#area++;
      if (this.#area >= layout.groups) throw new OutOfSpace();
      const base = groupStart(layout, this.#area);
      let start = base + layout.dataBlocks;
      if (this.#area === 0) start += layout.summaryBytes / layout.fragmentSize;
      this.#end = Math.min(base + layout.fragmentsPerGroup + layout.superblock, layout.size);
      if (start >= this.#end) continue;
      const over = start % frag;
      if (over !== 0) {
        const length = Math.min(frag - over, this.#end - start);
        this.#gap(start, length);
        start += length;
      }
      this.#next = start;
      return;
    }
  }

  #gap(start: number, length: number): void {
    if (length > 0) this.#gaps[length]?.push(start);
  }

  /** Takes up to `most` contiguous blocks: `start`, `count`. */
  blocks(most: number): void {
    const frag = this.#layout.frag;
    while (this.#end - this.#next < frag) {
      this.#gap(this.#next, this.#end - this.#next);
      this.#next = this.#end;
      this.#openArea();
    }
    this.start = this.#next;
    this.count = Math.min(most, Math.floor((this.#end - this.#next) / frag));
    this.#next += this.count * frag;
    this.#mark(this.start, this.count * frag);
  }

  /** Takes `length` fragments (less than a block) inside one block: `start`, `opened`. */
  tail(length: number): void {
    const frag = this.#layout.frag;
    for (let size = length; size < frag; size++) {
      const at = this.#gaps[size]?.pop();
      if (at !== undefined) {
        this.#gap(at + length, size - length);
        this.start = at;
        this.opened = false;
        this.#mark(at, length);
        return;
      }
    }
    while (this.#end - this.#next < frag) {
      const rest = this.#end - this.#next;
      this.#gap(this.#next, rest);
      this.#next = this.#end;
      if (rest >= length) {
        this.tail(length);
        return;
      }
      this.#openArea();
    }
    this.start = this.#next;
    this.opened = true;
    this.#next += frag;
    this.#gap(this.start + length, frag - length);
    this.#mark(this.start, length);
  }

  #mark(start: number, length: number): void {
    this.fragments += length;
    const fpg = this.#layout.fragmentsPerGroup;
    let at = start;
    let rest = length;
    while (rest > 0) {
      const group = Math.floor(at / fpg);
      const first = at - group * fpg;
      const part = Math.min(rest, fpg - first);
      let map = this.#used[group];
      if (map === null || map === undefined) {
        map = new Uint8Array(Math.ceil(fpg / 8));
        this.#used[group] = map;
      }
      setBits(map, first, part);
      at += part;
      rest -= part;
    }
  }

  /** The map of group `group`, bit set = free, metadata counted as used. */
  freeMap(group: number, fragments: number): Uint8Array {
    const layout = this.#layout;
    const used = this.#used[group]?.slice() ?? new Uint8Array(Math.ceil(layout.fragmentsPerGroup / 8));
    let metadataEnd = layout.dataBlocks;
    if (group === 0) metadataEnd += layout.summaryBytes / layout.fragmentSize;
    // The first group begins with the boot block, which is in use like the superblock after it.
    const metadataStart = group === 0 ? 0 : layout.superblock;
    setBits(used, metadataStart, metadataEnd - metadataStart);
    for (let i = 0; i < used.length; i++) used[i] = ~(used[i] ?? 0) & 0xff;
    // Bits past the end of the group are not free space.
    const whole = fragments >> 3;
    if (whole < used.length) {
      used[whole] = (used[whole] ?? 0) & ((1 << (fragments & 7)) - 1);
      used.fill(0, whole + 1);
    }
    return used;
  }
}

function setBits(map: Uint8Array, first: number, count: number): void {
  let at = first;
  const end = first + count;
  while (at < end && (at & 7) !== 0) {
    map[at >> 3] = (map[at >> 3] ?? 0) | (1 << (at & 7));
    at++;
  }
  const bytes = (end - at) >> 3;
  if (bytes > 0) {
    map.fill(0xff, at >> 3, (at >> 3) + bytes);
    at += bytes * 8;
  }
  while (at < end) {
    map[at >> 3] = (map[at >> 3] ?? 0) | (1 << (at & 7));
    at++;
  }
}
