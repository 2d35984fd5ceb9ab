import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageFileReader } from '../../image/image-file.ts';
import { checkFileSystem, type FindingCode } from '../../image/ufs2/checker.ts';
import { CG, groupMaps } from '../../image/ufs2/cylinder-group.ts';
import { DINODE } from '../../image/ufs2/inode.ts';
import { SUPERBLOCK_FIELDS, type SuperblockField } from '../../image/ufs2/superblock.ts';
import { inodesByPath } from './expected-tree.ts';
import { referenceImage, removeReferenceImages } from './reference-images.ts';
import { MemoryImage, type SyntheticEntry, type Written, writeSynthetic } from './synthetic-image.ts';

const ENTRIES: readonly SyntheticEntry[] = [
  { path: 'dir', type: 'dir' },
  { path: 'dir/sub', type: 'dir' },
  { path: 'dir/a', type: 'file', size: 5000 },
  { path: 'dir/b', type: 'file', size: 70000 },
  { path: 'dir/c', type: 'file', size: 100 },
  { path: 'dir/hard', type: 'file', linkTo: 'dir/a' },
  { path: 'large', type: 'file', size: 1_000_000 },
  { path: 'link', type: 'link', target: 'dir/a' },
  { path: 'pipe', type: 'fifo' },
];
const SB = 65536;

afterAll(removeReferenceImages);

let sound: Written;
let numbers: Map<string, number>;
beforeAll(() => {
  sound = writeSynthetic(ENTRIES, 24 << 20);
  numbers = new Map([...inodesByPath(sound.reader)].map(([path, { number }]) => [path, number]));
});

/** Byte address of a field of a path's inode. */
const inodeField = (path: string, field: number): number =>
  sound.reader.inodeAddress(numbers.get(path) ?? Number.NaN) + field;
const pointer = (path: string, n = 0): number => sound.reader.inode(numbers.get(path) ?? 0).direct[n] ?? 0;
const groupAt = (group: number): number => {
  const { fs_fpg, fs_cblkno, fs_fsize } = sound.reader.superblock;
  return (group * fs_fpg + fs_cblkno) * fs_fsize;
};
const maps = () => {
  const sb = sound.reader.superblock;
  return groupMaps({
    inodesPerGroup: sb.fs_ipg,
    fragmentsPerGroup: sb.fs_fpg,
    clusterSizes: sb.fs_contigsumsize,
    frag: sb.fs_frag,
  });
};
/** Byte address of the record of `name` in a directory of one chunk or more. */
const record = (directory: string, name: string): number => {
  const at = pointer(directory) * 4096;
  const bytes = sound.reader.fragments(pointer(directory), 1);
  const found = bytes.indexOf(`${String.fromCharCode(name.length)}${name}\0`, 0, 'latin1');
  if (found < 0) throw new Error(`no record ${name}`);
  return at + found - 7;
};
const superblockField = (field: SuperblockField): number => SB + SUPERBLOCK_FIELDS[field][0];
const add = (delta: number) => (view: DataView) => view.setInt32(0, view.getInt32(0, true) + delta, true);
const flip = (bit: number) => (view: DataView) => view.setUint8(0, view.getUint8(0) ^ (1 << bit));
const word = (value: number) => (view: DataView) => view.setUint32(0, value, true);
const half = (value: number) => (view: DataView) => view.setUint16(0, value, true);
const byte = (value: number) => (view: DataView) => view.setUint8(0, value);

interface Damage {
  readonly name: string;
  /** The finding that must be among those reported. */
  readonly code: FindingCode;
  /** Whether no other kind of finding may appear. */
  readonly alone?: boolean;
  readonly at: () => number;
  readonly change: (view: DataView) => void;
}

const DAMAGES: readonly Damage[] = [
  {
    name: 'magic number',
    code: 'NotUfs2',
    alone: true,
    at: () => superblockField('fs_magic'),
    change: word(1),
  },
  {
    name: 'impossible block size',
    code: 'NotUfs2',
    alone: true,
    at: () => superblockField('fs_bsize'),
    change: word(1234),
  },
  {
    name: 'fs_sblockloc of a small volume',
    code: 'SuperblockField',
    at: () => superblockField('fs_sblockloc'),
    change: word(8192),
  },
  { name: 'fs_bshift', code: 'SuperblockField', at: () => superblockField('fs_bshift'), change: word(14) },
  { name: 'fs_qbmask', code: 'SuperblockField', at: () => superblockField('fs_qbmask'), change: word(0) },
  { name: 'fs_cgsize', code: 'SuperblockField', at: () => superblockField('fs_cgsize'), change: word(8192) },
  {
    name: 'fs_maxsymlinklen',
    code: 'SuperblockField',
    at: () => superblockField('fs_maxsymlinklen'),
    change: word(60),
  },
  {
    name: 'fs_contigsumsize',
    code: 'SuperblockField',
    at: () => superblockField('fs_maxcontig'),
    change: word(4),
  },
  { name: 'fs_dsize', code: 'SuperblockField', at: () => superblockField('fs_dsize'), change: add(1) },
  {
    name: 'fs_maxfilesize',
    code: 'SuperblockField',
    at: () => superblockField('fs_maxfilesize'),
    change: add(-1),
  },
  {
    name: 'a check is due',
    code: 'NotClean',
    at: () => superblockField('fs_flags'),
    change: word(2 | 4),
  },
  {
    name: 'a count that nobody keeps',
    code: 'SummaryTotal',
    alone: true,
    at: () => superblockField('fs_cstotal_numclusters'),
    change: add(1),
  },
  { name: 'mounted', code: 'NotClean', alone: true, at: () => superblockField('fs_clean'), change: byte(0) },
  {
    name: 'total of free blocks',
    code: 'SummaryTotal',
    alone: true,
    at: () => superblockField('fs_cstotal_nbfree'),
    change: add(1),
  },
  {
    name: 'total of free fragments',
    code: 'SummaryTotal',
    alone: true,
    at: () => superblockField('fs_cstotal_nffree'),
    change: add(1),
  },
  {
    name: 'total of free inodes',
    code: 'SummaryTotal',
    alone: true,
    at: () => superblockField('fs_cstotal_nifree'),
    change: add(-1),
  },
  {
    name: 'total of directories',
    code: 'SummaryTotal',
    alone: true,
    at: () => superblockField('fs_cstotal_ndir'),
    change: add(1),
  },
  {
    name: 'backup superblock',
    code: 'BackupSuperblock',
    alone: true,
    at: () => (2 * sound.reader.superblock.fs_fpg + 24) * 4096 + SUPERBLOCK_FIELDS.fs_ipg[0],
    change: add(128),
  },
  {
    name: 'lost backup superblock',
    code: 'BackupSuperblock',
    alone: true,
    at: () => 24 * 4096 + SUPERBLOCK_FIELDS.fs_magic[0],
    change: word(0),
  },
  { name: 'recovery record', code: 'RecoveryRecord', alone: true, at: () => SB - 8, change: add(8) },
  {
    name: 'summary area',
    code: 'SummaryArea',
    alone: true,
    at: () => sound.reader.superblock.fs_csaddr * 4096 + 16 + 4,
    change: add(-1),
  },
  { name: 'group magic', code: 'GroupHeader', alone: true, at: () => groupAt(1) + CG.magic, change: word(0) },
  { name: 'group number', code: 'GroupHeader', alone: true, at: () => groupAt(1) + CG.cgx, change: word(0) },
  { name: 'group length', code: 'GroupHeader', alone: true, at: () => groupAt(3) + CG.ndblk, change: add(8) },
  {
    name: 'place of the block map',
    code: 'GroupHeader',
    alone: true,
    at: () => groupAt(2) + CG.freeoff,
    change: add(1),
  },
  {
    name: 'initialised inodes',
    code: 'GroupHeader',
    alone: true,
    at: () => groupAt(2) + CG.initediblk,
    change: add(1),
  },
  {
    name: 'rotor',
    code: 'GroupHeader',
    alone: true,
    at: () => groupAt(2) + CG.rotor,
    change: word(0x7fffffff),
  },
  {
    name: 'free blocks of a group',
    code: 'GroupSummary',
    alone: true,
    at: () => groupAt(0) + CG.cs + 4,
    change: add(1),
  },
  {
    name: 'directories of a group',
    code: 'GroupSummary',
    alone: true,
    at: () => groupAt(0) + CG.cs,
    change: add(-1),
  },
  {
    name: 'fragment sums',
    code: 'FragmentSums',
    alone: true,
    at: () => groupAt(0) + CG.frsum + 4,
    change: add(1),
  },
  {
    name: 'cluster sums',
    code: 'ClusterSums',
    alone: true,
    at: () => groupAt(0) + maps().clusterSums + 4,
    change: add(1),
  },
  {
    name: 'cluster map',
    code: 'ClusterMap',
    alone: true,
    at: () => groupAt(1) + maps().clustersFree + 4,
    change: flip(3),
  },
  {
    name: 'a block in use marked as free',
    code: 'BlockMap',
    alone: true,
    at: () => groupAt(0) + maps().blocksFree + pointer('large') / 8,
    change: byte(255),
  },
  {
    name: 'a free fragment marked as used',
    code: 'BlockMap',
    alone: true,
    at: () => groupAt(3) + maps().blocksFree + 100,
    change: flip(2),
  },
  {
    name: 'fragments past the end of the last group marked as free',
    code: 'BlockMap',
    alone: true,
    at: () => {
      const { fs_size, fs_fpg, fs_ncg } = sound.reader.superblock;
      return groupAt(fs_ncg - 1) + maps().blocksFree + (fs_size - (fs_ncg - 1) * fs_fpg) / 8;
    },
    change: flip(0),
  },
  {
    name: 'metadata marked as free',
    code: 'BlockMap',
    alone: true,
    at: () => groupAt(1) + maps().blocksFree + 4,
    change: flip(0),
  },
  {
    name: 'an inode in use marked as free',
    code: 'InodeMap',
    alone: true,
    at: () => groupAt(0) + maps().inodesUsed,
    change: flip(4),
  },
  {
    name: 'a free inode marked as used',
    code: 'InodeMap',
    alone: true,
    at: () => groupAt(1) + maps().inodesUsed + 3,
    change: flip(0),
  },
  {
    name: 'an inode never initialised marked as used',
    code: 'InodeMap',
    alone: true,
    at: () => groupAt(1) + maps().inodesUsed + 40,
    change: flip(0),
  },
  {
    name: 'a spare word of a group',
    code: 'GroupHeader',
    alone: true,
    at: () => groupAt(1) + CG.time + 8,
    change: word(1),
  },
  {
    name: 'a cluster past the end of a group',
    code: 'GroupHeader',
    alone: true,
    at: () => groupAt(3) + maps().end - 1,
    change: flip(7),
  },
  {
    name: 'garbage behind a short link',
    code: 'InodeRemnant',
    alone: true,
    at: () => inodeField('link', DINODE.ib),
    change: word(1),
  },
  {
    name: 'a pipe with a pointer',
    code: 'InodeRemnant',
    alone: true,
    at: () => inodeField('pipe', DINODE.db),
    change: word(4000),
  },
  {
    name: 'a free inode with a size',
    code: 'InodeRemnant',
    alone: true,
    at: () => sound.reader.inodeAddress(sound.report.inodes + 2) + DINODE.size,
    change: word(512),
  },
  {
    name: 'mode without a type',
    code: 'InodeType',
    at: () => inodeField('pipe', DINODE.mode),
    change: half(0o3644),
  },
  {
    name: 'size of a pipe',
    code: 'InodeSize',
    alone: true,
    at: () => inodeField('pipe', DINODE.size),
    change: word(5),
  },
  {
    name: 'negative size',
    code: 'InodeSize',
    at: () => inodeField('dir/c', DINODE.size + 4),
    change: word(0x80000000),
  },
  {
    name: 'nanoseconds',
    code: 'InodeTime',
    alone: true,
    at: () => inodeField('dir/c', DINODE.mtimensec),
    change: word(1_000_000_000),
  },
  {
    name: 'di_blocks',
    code: 'InodeBlocks',
    alone: true,
    at: () => inodeField('large', DINODE.blocks),
    change: add(64),
  },
  {
    name: 'link count of a file',
    code: 'LinkCount',
    alone: true,
    at: () => inodeField('dir/a', DINODE.nlink),
    change: half(1),
  },
  {
    name: 'link count of a directory',
    code: 'LinkCount',
    alone: true,
    at: () => inodeField('dir', DINODE.nlink),
    change: half(2),
  },
  {
    name: 'depth of a directory',
    code: 'DirectoryDepth',
    alone: true,
    at: () => inodeField('dir/sub', DINODE.dirdepth),
    change: word(7),
  },
  {
    name: 'a block that belongs to another file',
    code: 'BlockDuplicate',
    at: () => inodeField('dir/b', DINODE.db),
    change: (view) => view.setBigUint64(0, BigInt(pointer('large')), true),
  },
  {
    name: 'a block past the volume',
    code: 'BlockRange',
    at: () => inodeField('dir/b', DINODE.db),
    change: (view) => view.setBigUint64(0, 1n << 40n, true),
  },
  {
    name: 'a block in the inode table',
    code: 'BlockRange',
    at: () => inodeField('dir/b', DINODE.db),
    change: (view) => view.setBigUint64(0, 48n, true),
  },
  {
    name: 'a block in the summary area',
    code: 'BlockRange',
    at: () => inodeField('dir/c', DINODE.db),
    change: (view) => view.setBigUint64(0, BigInt(sound.reader.superblock.fs_csaddr), true),
  },
  {
    name: 'an indirect block past the volume',
    code: 'BlockRange',
    at: () => inodeField('large', DINODE.ib),
    change: (view) => view.setBigUint64(0, 1n << 40n, true),
  },
  {
    name: 'a tail that crosses a block',
    code: 'BlockRange',
    at: () => inodeField('dir/a', DINODE.db),
    change: (view) =>
      view.setBigUint64(0, BigInt(Math.floor(sound.reader.superblock.fs_size / 16) * 8 + 7), true),
  },
  {
    name: 'a pointer past the end of the file',
    code: 'BlockBeyondEnd',
    at: () => inodeField('dir/c', DINODE.db + 8),
    change: (view) =>
      view.setBigUint64(0, BigInt(Math.floor(sound.reader.superblock.fs_size / 16) * 8), true),
  },
  {
    name: 'a hole at the end',
    code: 'EndsInHole',
    at: () => inodeField('dir/b', DINODE.db + 16),
    change: (view) => view.setBigUint64(0, 0n, true),
  },
  {
    name: 'a root that is no directory',
    code: 'RootInode',
    at: () => inodeField('', DINODE.mode),
    change: half(0o100755),
  },
  {
    name: 'size of a directory',
    code: 'DirectorySize',
    at: () => inodeField('dir/sub', DINODE.size),
    change: word(500),
  },
  {
    name: 'a directory without its block',
    code: 'DirectoryHole',
    at: () => inodeField('dir/sub', DINODE.db),
    change: (view) => view.setBigUint64(0, 0n, true),
  },
  { name: 'record length 0', code: 'DirectoryRecord', at: () => record('dir', 'b') + 4, change: half(0) },
  {
    name: 'record length past the chunk',
    code: 'DirectoryRecord',
    at: () => record('dir', 'b') + 4,
    change: half(600),
  },
  {
    name: 'record length that is not a multiple of 4',
    code: 'DirectoryRecord',
    at: () => record('dir', 'b') + 4,
    change: half(13),
  },
  {
    name: 'record shorter than its name',
    code: 'DirectoryRecord',
    at: () => record('dir', 'hard') + 4,
    change: half(12),
  },
  {
    name: '"." of another directory',
    code: 'DirectoryDot',
    at: () => pointer('dir') * 4096,
    change: word(2),
  },
  {
    name: '".." of another directory',
    code: 'DirectoryDotDot',
    at: () => pointer('dir/sub') * 4096 + 12,
    change: word(2),
  },
  {
    name: 'an entry that leads to a free inode',
    code: 'EntryInode',
    at: () => record('dir', 'c'),
    change: word(900),
  },
  {
    name: 'an entry that leads past all inodes',
    code: 'EntryInode',
    at: () => record('dir', 'c'),
    change: word(0x7fffffff),
  },
  {
    name: 'type of an entry',
    code: 'EntryType',
    alone: true,
    at: () => record('dir', 'c') + 6,
    change: byte(4),
  },
  {
    name: 'a slash in a name',
    code: 'EntryName',
    alone: true,
    at: () => record('dir', 'c') + 8,
    change: byte(47),
  },
  {
    name: 'the same name twice',
    code: 'EntryDuplicate',
    alone: true,
    at: () => record('dir', 'c') + 8,
    change: byte(98),
  },
  { name: 'a file without a name', code: 'OrphanInode', at: () => record('dir', 'c'), change: word(0) },
  {
    name: 'a directory with two names',
    code: 'DirectoryLinked',
    at: () => record('dir', 'c'),
    change: (view) => view.setUint32(0, numbers.get('dir/sub') ?? 0, true),
  },
];

test('the file system is sound before it is damaged', () => {
  expect(checkFileSystem(sound.image).findings).toEqual([]);
});

describe('the checker reports', () => {
  test.each(DAMAGES.map((damage) => [damage.name, damage] as const))(
    '%s',
    (_, { code, alone, at, change }) => {
      const damaged = sound.image.copy();
      damaged.patch(at(), change);
      const codes = new Set(checkFileSystem(damaged).findings.map((finding) => finding.code));
      expect([...codes]).toContain(code);
      if (alone === true) expect([...codes]).toEqual([code]);
    },
  );
});

describe('check hashes', () => {
  const original = () => {
    const reader = new ImageFileReader(referenceImage('newfs'));
    const image = new MemoryImage(reader.size);
    const bytes = Buffer.alloc(65536);
    for (let at = 0; at < reader.size; at += bytes.length) {
      reader.read(at, bytes, 0, bytes.length);
      image.write(at, bytes, 0, bytes.length);
    }
    reader.close();
    return image;
  };
  let image: MemoryImage;
  beforeAll(() => {
    image = original();
  });

  test.each<[string, FindingCode, number]>([
    ['superblock', 'SuperblockHash', SB + SUPERBLOCK_FIELDS.fs_ckhash[0]],
    // fs_time is compared with nothing else.
    ['time in the superblock', 'SuperblockHash', SB + SUPERBLOCK_FIELDS.fs_time[0]],
    ['backup superblock', 'SuperblockHash', (2056 + 24) * 4096 + SUPERBLOCK_FIELDS.fs_time[0]],
    ['cylinder group', 'GroupHash', (2056 + 32) * 4096 + CG.time],
    ['root inode', 'InodeHash', 40 * 4096 + 2 * 256 + DINODE.atime],
  ])('of the %s', (_, code, at) => {
    expect(checkFileSystem(image).findings).toEqual([]);
    const damaged = image.copy();
    damaged.patch(at, flip(0));
    expect([...new Set(checkFileSystem(damaged).findings.map((finding) => finding.code))]).toEqual([code]);
  });
});

test('every kind of finding is produced by some damage', () => {
  // The list of kinds is a type; this list is what the compiler makes complete.
  const kinds: Record<FindingCode, true> = {
    NotUfs2: true,
    SuperblockField: true,
    SuperblockHash: true,
    BackupSuperblock: true,
    RecoveryRecord: true,
    NotClean: true,
    GroupHeader: true,
    GroupHash: true,
    GroupSummary: true,
    BlockMap: true,
    FragmentSums: true,
    ClusterMap: true,
    ClusterSums: true,
    InodeMap: true,
    InodeHash: true,
    InodeType: true,
    InodeSize: true,
    InodeBlocks: true,
    InodeTime: true,
    InodeRemnant: true,
    BlockRange: true,
    BlockDuplicate: true,
    BlockBeyondEnd: true,
    EndsInHole: true,
    RootInode: true,
    DirectorySize: true,
    DirectoryHole: true,
    DirectoryRecord: true,
    DirectoryDot: true,
    DirectoryDotDot: true,
    DirectoryLinked: true,
    DirectoryDepth: true,
    EntryInode: true,
    EntryType: true,
    EntryName: true,
    EntryDuplicate: true,
    LinkCount: true,
    OrphanInode: true,
    SummaryArea: true,
    SummaryTotal: true,
  };
  const tried = new Set<string>([
    ...DAMAGES.map(({ code }) => code),
    'SuperblockHash',
    'GroupHash',
    'InodeHash',
  ]);
  expect(Object.keys(kinds).filter((kind) => !tried.has(kind))).toEqual([]);
});
