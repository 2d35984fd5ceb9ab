import { DIRECT_BLOCKS, INDIRECT_LEVELS, INODE_SIZE } from './format.ts';

/** Field offsets of `struct ufs2_dinode` (sys/ufs/ufs/dinode.h). */
export const DINODE = {
  mode: 0,
  nlink: 2,
  uid: 4,
  gid: 8,
  blksize: 12,
  size: 16,
  blocks: 24,
  atime: 32,
  mtime: 40,
  ctime: 48,
  birthtime: 56,
  mtimensec: 64,
  atimensec: 68,
  ctimensec: 72,
  birthnsec: 76,
  gen: 80,
  kernflags: 84,
  flags: 88,
  extsize: 92,
  db: 112,
  ib: 208,
  modrev: 232,
  /** Directories: depth below the root (FreeBSD 14 and later); di_freelink before, unused on a clean volume. */
  dirdepth: 240,
  ckhash: 244,
} as const;

/** Writes an unsigned 64-bit number below 2^53. */
export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Writes a signed 64-bit number of magnitude below 2^53. */
export function setInt64(view: DataView, offset: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  view.setUint32(offset, value - high * 2 ** 32, true);
  view.setInt32(offset + 4, high, true);
}

/** Reads a signed 64-bit number; exact below 2^53. */
export function getInt64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

/** All four times of an inode: seconds since the epoch (may be negative) and nanoseconds 0…999999999. */
export function setTimes(view: DataView, offset: number, seconds: number, nanoseconds: number): void {
  for (const field of [DINODE.atime, DINODE.mtime, DINODE.ctime, DINODE.birthtime]) {
    setInt64(view, offset + field, seconds);
  }
  for (const field of [DINODE.atimensec, DINODE.mtimensec, DINODE.ctimensec, DINODE.birthnsec]) {
    view.setInt32(offset + field, nanoseconds, true);
  }
}

/**
 * Generation number of an inode: never 0, different per file system and inode, the same in every run. Only NFS file
 * handles depend on it.
 */
export function generation(id: readonly [number, number], inode: number): number {
  let x = (id[0] ^ Math.imul(id[1], 0x9e3779b1) ^ Math.imul(inode, 0x85ebca6b)) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) >>> 0;
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39) >>> 0;
  return ((x ^ (x >>> 15)) & 0x7fffffff) | 1;
}

export interface Inode {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** In 512-byte units, indirect blocks included. */
  readonly blocks: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
  readonly birthtime: number;
  readonly atimensec: number;
  readonly mtimensec: number;
  readonly ctimensec: number;
  readonly birthnsec: number;
  readonly gen: number;
  readonly flags: number;
  readonly extsize: number;
  readonly direct: readonly number[];
  readonly indirect: readonly number[];
  readonly depth: number;
  readonly checkHash: number;
  /** The raw bytes: short symbolic links and device numbers live where the block pointers are. */
  readonly bytes: Uint8Array;
}

/** Reads one inode; makes no judgement. */
export function decodeInode(block: Uint8Array, offset: number): Inode {
  const view = new DataView(block.buffer, block.byteOffset + offset, INODE_SIZE);
  const pointers = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => getInt64(view, from + i * 8));
  return {
    mode: view.getUint16(DINODE.mode, true),
    nlink: view.getInt16(DINODE.nlink, true),
    uid: view.getUint32(DINODE.uid, true),
    gid: view.getUint32(DINODE.gid, true),
    size: getInt64(view, DINODE.size),
    blocks: getInt64(view, DINODE.blocks),
    atime: getInt64(view, DINODE.atime),
    mtime: getInt64(view, DINODE.mtime),
    ctime: getInt64(view, DINODE.ctime),
    birthtime: getInt64(view, DINODE.birthtime),
    atimensec: view.getInt32(DINODE.atimensec, true),
    mtimensec: view.getInt32(DINODE.mtimensec, true),
    ctimensec: view.getInt32(DINODE.ctimensec, true),
    birthnsec: view.getInt32(DINODE.birthnsec, true),
    gen: view.getUint32(DINODE.gen, true),
    flags: view.getUint32(DINODE.flags, true),
    extsize: view.getInt32(DINODE.extsize, true),
    direct: pointers(DINODE.db, DIRECT_BLOCKS),
    indirect: pointers(DINODE.ib, INDIRECT_LEVELS),
    depth: view.getUint32(DINODE.dirdepth, true),
    checkHash: view.getUint32(DINODE.ckhash, true),
    bytes: block.subarray(offset, offset + INODE_SIZE),
  };
}
