/**
 * Constants of the UFS2 on-disk format, little endian.
 * Sources: FreeBSD sys/ufs/ffs/fs.h, sys/ufs/ufs/dinode.h, sys/ufs/ufs/dir.h, sys/sys/stat.h, fs(5).
 */

/** Byte offset of the UFS2 superblock. FreeBSD 14 and later accept no other (validate_sblock in ffs_subr.c). */
export const SUPERBLOCK_OFFSET = 65536;
/** Bytes reserved for a superblock, wherever it lies. */
export const SUPERBLOCK_SIZE = 8192;
/** Bytes of `struct fs`; what follows up to fs_sbsize is zero. */
export const SUPERBLOCK_STRUCT_SIZE = 1376;
export const SUPERBLOCK_MAGIC = 0x19540119;
export const CYLINDER_GROUP_MAGIC = 0x090255;
/** Bytes before the maps in a cylinder group block (offset of cg_space in `struct cg`). */
export const CYLINDER_GROUP_HEADER = 168;
/**
 * `sizeof(struct cg)` counted the one byte of cg_space, rounded to the alignment of the architecture, until
 * FreeBSD 15; a geometry must satisfy the CGSIZE limit under both readings.
 */
export const CYLINDER_GROUP_HEADER_PADDED = 176;
/** `struct csum`: ndir, nbfree, nifree, nffree as int32. */
export const SUMMARY_SIZE = 16;
/** Longest run of free blocks that the cluster summary counts apart (FS_MAXCONTIG). */
export const MAX_CLUSTER = 16;
export const MIN_BLOCK_SIZE = 4096;
export const MAX_BLOCK_SIZE = 65536;
export const MAX_FRAGMENTS_PER_BLOCK = 8;
export const VOLUME_LABEL_LENGTH = 32;
/** newfs(8) makes at least so many cylinder groups (MINCYLGRPS). */
export const MIN_CYLINDER_GROUPS = 4;

export const INODE_SIZE = 256;
export const ROOT_INODE = 2;
export const DIRECT_BLOCKS = 12;
export const INDIRECT_LEVELS = 3;
/** A symbolic link shorter than this lives in the inode, in place of the block pointers. */
export const SHORT_SYMLINK_LIMIT = (DIRECT_BLOCKS + INDIRECT_LEVELS) * 8;
/** PATH_MAX without the terminating NUL: symlink(2) takes no longer target. */
export const MAX_SYMLINK = 1023;
/** di_nlink is a signed 16-bit number; FreeBSD 13 stops at 32767 (UFS_LINK_MAX). */
export const MAX_LINKS = 32767;

/** A directory record never crosses a multiple of this (DIRBLKSIZ). */
export const DIRECTORY_CHUNK = 512;
/** Longest file name in bytes (UFS_MAXNAMLEN). */
export const MAX_NAME = 255;

export const FS_UNCLEAN = 0x01;
export const FS_DOSOFTDEP = 0x02;
export const FS_NEEDSFSCK = 0x04;
export const FS_FLAGS_UPDATED = 0x80;
export const FS_METACKHASH = 0x200;
export const FS_44INODEFMT = 2;
export const CK_SUPERBLOCK = 1;
export const CK_CYLGRP = 2;
export const CK_INODE = 4;

export const S_IFMT = 0o170000;
export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFBLK = 0o060000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFSOCK = 0o140000;

export type FileType = 'file' | 'dir' | 'link' | 'char' | 'block' | 'fifo' | 'socket';

/** The type bits of an inode mode by the name that mtree(5) gives the type. */
export const TYPE_BITS: Readonly<Record<FileType, number>> = {
  fifo: S_IFIFO,
  char: S_IFCHR,
  dir: S_IFDIR,
  block: S_IFBLK,
  file: S_IFREG,
  link: S_IFLNK,
  socket: S_IFSOCK,
};

const TYPE_NAMES = new Map(Object.entries(TYPE_BITS).map(([name, bits]) => [bits, name as FileType]));

/** The mtree name of a mode's type, or null when the bits name no type. */
export function typeName(mode: number): FileType | null {
  return TYPE_NAMES.get(mode & S_IFMT) ?? null;
}

/** File flags and their names, the usual name first (strtofflags(3), sys/stat.h). */
const FLAG_NAMES: readonly (readonly [number, readonly string[]])[] = [
  [0x00000001, ['nodump']],
  [0x00000002, ['uchg', 'uchange', 'uimmutable']],
  [0x00000004, ['uappnd', 'uappend']],
  [0x00000008, ['opaque']],
  [0x00000010, ['uunlnk', 'uunlink']],
  [0x00000080, ['usystem', 'usys', 'system']],
  [0x00000100, ['usparse', 'sparse']],
  [0x00000200, ['uoffline', 'offline']],
  [0x00000400, ['ureparse', 'reparse']],
  [0x00000800, ['uarch', 'uarchive']],
  [0x00001000, ['urdonly', 'rdonly', 'readonly']],
  [0x00008000, ['uhidden', 'hidden']],
  [0x00010000, ['arch', 'archived']],
  [0x00020000, ['schg', 'schange', 'simmutable']],
  [0x00040000, ['sappnd', 'sappend']],
  [0x00100000, ['sunlnk', 'sunlink']],
];

const FLAG_BITS = new Map(FLAG_NAMES.flatMap(([bit, names]) => names.map((name) => [name, bit] as const)));

/** Flag bits of a comma-separated list, or the name that is unknown. `none` and `no…` names set nothing. */
export function parseFlags(list: string): number | { unknown: string } {
  let flags = 0;
  for (const name of list.split(',')) {
    if (name === '' || name === 'none') continue;
    const bit = FLAG_BITS.get(name);
    if (bit !== undefined) flags |= bit;
    // strtofflags(3): "no" before a name clears it; `nodump` is itself a flag and its reverse is `dump`.
    else if (name !== 'dump' && !(name.startsWith('no') && FLAG_BITS.has(name.slice(2)))) {
      return { unknown: name };
    }
  }
  return flags;
}

/** The usual names of flag bits, comma separated; bits without a name follow in hexadecimal. */
export function formatFlags(flags: number): string {
  const names: string[] = [];
  let rest = flags;
  for (const [bit, [name]] of FLAG_NAMES) {
    if ((flags & bit) !== 0 && name !== undefined) {
      names.push(name);
      rest &= ~bit;
    }
  }
  if (rest !== 0) names.push(`0x${(rest >>> 0).toString(16)}`);
  return names.join(',');
}

/**
 * FreeBSD's 64-bit dev_t (since 12.0): `makedev` in sys/sys/types.h spreads major and minor over both halves.
 * Returned as the low and the high 32-bit word.
 */
export function encodeDevice(major: number, minor: number): { low: number; high: number } {
  const low = (((major & 0xff) << 8) | (minor & 0xffff00ff)) >>> 0;
  const high = ((major & 0xffffff00) | ((minor & 0xff00) >>> 8)) >>> 0;
  return { low, high };
}

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
