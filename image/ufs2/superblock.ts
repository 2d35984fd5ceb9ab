import {
  FS_44INODEFMT,
  FS_DOSOFTDEP,
  FS_FLAGS_UPDATED,
  SHORT_SYMLINK_LIMIT,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  SUPERBLOCK_STRUCT_SIZE,
  VOLUME_LABEL_LENGTH,
} from './format.ts';
import type { Layout } from './layout.ts';

/** Byte offset and width of the fields of `struct fs` that are numbers (sys/ufs/ffs/fs.h). */
export const SUPERBLOCK_FIELDS = {
  fs_firstfield: [0, 'i32'],
  fs_unused_1: [4, 'i32'],
  fs_sblkno: [8, 'i32'],
  fs_cblkno: [12, 'i32'],
  fs_iblkno: [16, 'i32'],
  fs_dblkno: [20, 'i32'],
  fs_old_cgoffset: [24, 'i32'],
  fs_old_cgmask: [28, 'i32'],
  fs_old_time: [32, 'i32'],
  fs_old_size: [36, 'i32'],
  fs_old_dsize: [40, 'i32'],
  fs_ncg: [44, 'u32'],
  fs_bsize: [48, 'i32'],
  fs_fsize: [52, 'i32'],
  fs_frag: [56, 'i32'],
  fs_minfree: [60, 'i32'],
  fs_old_rotdelay: [64, 'i32'],
  fs_old_rps: [68, 'i32'],
  fs_bmask: [72, 'i32'],
  fs_fmask: [76, 'i32'],
  fs_bshift: [80, 'i32'],
  fs_fshift: [84, 'i32'],
  fs_maxcontig: [88, 'i32'],
  fs_maxbpg: [92, 'i32'],
  fs_fragshift: [96, 'i32'],
  fs_fsbtodb: [100, 'i32'],
  fs_sbsize: [104, 'i32'],
  fs_nindir: [116, 'i32'],
  fs_inopb: [120, 'u32'],
  fs_old_nspf: [124, 'i32'],
  fs_optim: [128, 'i32'],
  fs_old_npsect: [132, 'i32'],
  fs_old_interleave: [136, 'i32'],
  fs_old_trackskew: [140, 'i32'],
  fs_id0: [144, 'u32'],
  fs_id1: [148, 'u32'],
  fs_old_csaddr: [152, 'i32'],
  fs_cssize: [156, 'i32'],
  fs_cgsize: [160, 'i32'],
  fs_spare2: [164, 'i32'],
  fs_old_nsect: [168, 'i32'],
  fs_old_spc: [172, 'i32'],
  fs_old_ncyl: [176, 'i32'],
  fs_old_cpg: [180, 'i32'],
  fs_ipg: [184, 'u32'],
  fs_fpg: [188, 'i32'],
  fs_old_cstotal_ndir: [192, 'i32'],
  fs_old_cstotal_nbfree: [196, 'i32'],
  fs_old_cstotal_nifree: [200, 'i32'],
  fs_old_cstotal_nffree: [204, 'i32'],
  fs_fmod: [208, 'u8'],
  fs_clean: [209, 'u8'],
  fs_ronly: [210, 'u8'],
  fs_old_flags: [211, 'u8'],
  fs_swuid: [712, 'i64'],
  fs_pad: [720, 'i32'],
  fs_cgrotor: [724, 'i32'],
  fs_old_cpc: [856, 'i32'],
  fs_maxbsize: [860, 'i32'],
  fs_unrefs: [864, 'i64'],
  fs_providersize: [872, 'i64'],
  fs_metaspace: [880, 'i64'],
  fs_sblockactualloc: [992, 'i64'],
  fs_sblockloc: [1000, 'i64'],
  fs_cstotal_ndir: [1008, 'i64'],
  fs_cstotal_nbfree: [1016, 'i64'],
  fs_cstotal_nifree: [1024, 'i64'],
  fs_cstotal_nffree: [1032, 'i64'],
  fs_cstotal_numclusters: [1040, 'i64'],
  fs_time: [1072, 'i64'],
  fs_size: [1080, 'i64'],
  fs_dsize: [1088, 'i64'],
  fs_csaddr: [1096, 'i64'],
  fs_pendingblocks: [1104, 'i64'],
  fs_pendinginodes: [1112, 'u32'],
  fs_avgfilesize: [1196, 'u32'],
  fs_avgfpdir: [1200, 'u32'],
  fs_save_cgsize: [1204, 'i32'],
  fs_mtime: [1208, 'i64'],
  fs_sujfree: [1216, 'i32'],
  fs_ckhash: [1304, 'u32'],
  fs_metackhash: [1308, 'u32'],
  fs_flags: [1312, 'i32'],
  fs_contigsumsize: [1316, 'i32'],
  fs_maxsymlinklen: [1320, 'i32'],
  fs_old_inodefmt: [1324, 'i32'],
  fs_maxfilesize: [1328, 'i64'],
  fs_qbmask: [1336, 'i64'],
  fs_qfmask: [1344, 'i64'],
  fs_state: [1352, 'i32'],
  fs_old_postblformat: [1356, 'i32'],
  fs_old_nrpos: [1360, 'i32'],
  fs_magic: [1372, 'i32'],
} as const satisfies Record<string, readonly [number, 'i32' | 'u32' | 'i64' | 'u8']>;

export type SuperblockField = keyof typeof SUPERBLOCK_FIELDS;
export type SuperblockNumbers = Record<SuperblockField, number>;

const FIELD_LIST = Object.entries(SUPERBLOCK_FIELDS) as [
  SuperblockField,
  readonly [number, 'i32' | 'u32' | 'i64' | 'u8'],
][];
const MOUNT_POINT: readonly [number, number] = [212, 468];
const VOLUME_LABEL: readonly [number, number] = [680, VOLUME_LABEL_LENGTH];

export interface Superblock extends SuperblockNumbers {
  readonly fs_fsmnt: string;
  readonly fs_volname: string;
}

/** The free counts of a file system or of one cylinder group. */
export interface Summary {
  directories: number;
  freeBlocks: number;
  freeInodes: number;
  freeFragments: number;
}

export interface Identity {
  /** Volume label, at most 31 bytes. */
  readonly label: string;
  readonly softUpdates: boolean;
  /** Seconds since the epoch. */
  readonly time: number;
  /** fs_id: two 32-bit words, as dumpfs(8) prints them. */
  readonly id: readonly [number, number];
}

function text(block: Uint8Array, [offset, length]: readonly [number, number]): string {
  const bytes = Buffer.from(block.buffer, block.byteOffset + offset, length);
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? length : end);
}

/** Reads every field; makes no judgement. 64-bit fields come as numbers, exact below 2^53. */
export function decodeSuperblock(block: Uint8Array): Superblock {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const numbers = {} as SuperblockNumbers;
  for (const [name, [offset, kind]] of FIELD_LIST) {
    if (kind === 'i32') numbers[name] = view.getInt32(offset, true);
    else if (kind === 'u32') numbers[name] = view.getUint32(offset, true);
    else if (kind === 'u8') numbers[name] = view.getUint8(offset);
    else numbers[name] = Number(view.getBigInt64(offset, true));
  }
  return { ...numbers, fs_fsmnt: text(block, MOUNT_POINT), fs_volname: text(block, VOLUME_LABEL) };
}

/** Size of the largest file that three levels of indirection address, less one; beyond 2^53 rounded. */
export function maxFileSize(layout: Pick<Layout, 'blockSize' | 'pointersPerBlock'>): number {
  return Number(exactMaxFileSize(layout.blockSize));
}

/**
 * fs_maxfilesize to the byte. Blocks of 64 KiB take it past 2^53, and a kernel from FreeBSD 14 on does not mount a
 * file system where it is off by one (WCHK of fs_maxfilesize in validate_sblock, sys/ufs/ffs/ffs_subr.c).
 */
export function exactMaxFileSize(blockSize: number): bigint {
  const n = BigInt(blockSize / 8);
  return BigInt(blockSize) * (12n + n + n * n + n * n * n) - 1n;
}

/** The superblock of a clean file system, without check hashes (fs_metackhash = 0, as makefs(8)). */
export function describeSuperblock(layout: Layout, identity: Identity, total: Summary): Superblock {
  const shift = (n: number) => Math.round(Math.log2(n));
  const numbers = {} as SuperblockNumbers;
  for (const [name] of FIELD_LIST) numbers[name] = 0;
  return {
    ...numbers,
    fs_sblkno: layout.superblock,
    fs_cblkno: layout.groupBlock,
    fs_iblkno: layout.inodeBlocks,
    fs_dblkno: layout.dataBlocks,
    fs_ncg: layout.groups,
    fs_bsize: layout.blockSize,
    fs_fsize: layout.fragmentSize,
    fs_frag: layout.frag,
    fs_minfree: layout.minfree,
    fs_bmask: -layout.blockSize,
    fs_fmask: -layout.fragmentSize,
    fs_bshift: shift(layout.blockSize),
    fs_fshift: shift(layout.fragmentSize),
    fs_maxcontig: layout.maxContig,
    fs_maxbpg: layout.blockSize / 8,
    fs_fragshift: shift(layout.frag),
    fs_fsbtodb: shift(layout.fragmentSize / 512),
    fs_sbsize: superblockBytes(layout),
    fs_nindir: layout.pointersPerBlock,
    fs_inopb: layout.inodesPerBlock,
    fs_id0: identity.id[0],
    fs_id1: identity.id[1],
    fs_cssize: layout.summaryBytes,
    fs_cgsize: layout.groupBytes,
    fs_ipg: layout.inodesPerGroup,
    fs_fpg: layout.fragmentsPerGroup,
    fs_clean: 1,
    fs_old_flags: FS_FLAGS_UPDATED,
    fs_maxbsize: layout.blockSize,
    fs_providersize: layout.size,
    fs_metaspace: layout.metaspace,
    fs_sblockactualloc: SUPERBLOCK_OFFSET,
    fs_sblockloc: SUPERBLOCK_OFFSET,
    fs_cstotal_ndir: total.directories,
    fs_cstotal_nbfree: total.freeBlocks,
    fs_cstotal_nifree: total.freeInodes,
    fs_cstotal_nffree: total.freeFragments,
    fs_time: identity.time,
    fs_size: layout.size,
    fs_dsize: layout.dataFragments,
    fs_csaddr: layout.summaryAddress,
    fs_avgfilesize: 16384,
    fs_avgfpdir: 64,
    fs_flags: identity.softUpdates ? FS_DOSOFTDEP : 0,
    fs_contigsumsize: layout.clusterSizes,
    fs_maxsymlinklen: SHORT_SYMLINK_LIMIT,
    fs_old_inodefmt: FS_44INODEFMT,
    fs_maxfilesize: maxFileSize(layout),
    fs_qbmask: layout.blockSize - 1,
    fs_qfmask: layout.fragmentSize - 1,
    fs_magic: SUPERBLOCK_MAGIC,
    fs_fsmnt: '',
    fs_volname: identity.label,
  };
}

/** fs_sbsize: `struct fs` in whole fragments, at most SBLOCKSIZE. */
export function superblockBytes(layout: Pick<Layout, 'fragmentSize'>): number {
  return Math.min(
    SUPERBLOCK_SIZE,
    Math.ceil(SUPERBLOCK_STRUCT_SIZE / layout.fragmentSize) * layout.fragmentSize,
  );
}

/**
 * The SBLOCKSIZE bytes of a superblock that lies at byte `location`: newfs(8) and the kernel write a copy's own
 * place into fs_sblockactualloc.
 */
export function encodeSuperblock(superblock: Superblock, location: number): Uint8Array {
  const block = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(block.buffer);
  for (const [name, [offset, kind]] of FIELD_LIST) {
    const value = name === 'fs_sblockactualloc' ? location : superblock[name];
    if (kind === 'i32') view.setInt32(offset, value, true);
    else if (kind === 'u32') view.setUint32(offset, value, true);
    else if (kind === 'u8') view.setUint8(offset, value);
    else view.setBigInt64(offset, BigInt(value), true);
  }
  view.setBigInt64(SUPERBLOCK_FIELDS.fs_maxfilesize[0], exactMaxFileSize(superblock.fs_bsize), true);
  Buffer.from(block.buffer).write(superblock.fs_fsmnt, MOUNT_POINT[0], MOUNT_POINT[1] - 1, 'latin1');
  Buffer.from(block.buffer).write(superblock.fs_volname, VOLUME_LABEL[0], VOLUME_LABEL[1] - 1, 'latin1');
  return block;
}

/**
 * What lies before the superblock: zeros, and `struct fsrecovery` as the last bytes, by which fsck_ffs(8) finds the
 * backup superblocks when the first is lost.
 *
 * The zeros count. GEOM looks for a disklabel in the second sector (sys/geom/part/g_part_bsd.c,
 * sys/geom/label/g_label_ufs.c), which on a used disk may still be there.
 */
export function encodeBootArea(layout: Layout): Uint8Array {
  const area = new Uint8Array(SUPERBLOCK_OFFSET);
  const view = new DataView(area.buffer, SUPERBLOCK_OFFSET - 20);
  view.setInt32(0, SUPERBLOCK_MAGIC, true);
  view.setInt32(4, Math.round(Math.log2(layout.fragmentSize / 512)), true);
  view.setInt32(8, layout.superblock, true);
  view.setInt32(12, layout.fragmentsPerGroup, true);
  view.setUint32(16, layout.groups, true);
  return area;
}
