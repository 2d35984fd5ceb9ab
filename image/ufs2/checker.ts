import { ImageError } from '../errors.ts';
import { checkHash } from './crc32c.ts';
import {
  CG,
  type CylinderGroup,
  decodeGroup,
  decodeSummary,
  type GroupMaps,
  groupMaps,
  measureFreeSpace,
} from './cylinder-group.ts';
import { readRecords } from './directory.ts';
import {
  CK_CYLGRP,
  CK_INODE,
  CK_SUPERBLOCK,
  CYLINDER_GROUP_HEADER,
  CYLINDER_GROUP_MAGIC,
  DIRECTORY_CHUNK,
  FS_METACKHASH,
  FS_NEEDSFSCK,
  FS_UNCLEAN,
  MAX_SYMLINK,
  ROOT_INODE,
  roundUp,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SHORT_SYMLINK_LIMIT,
  SUMMARY_SIZE,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  SUPERBLOCK_STRUCT_SIZE,
  typeName,
} from './format.ts';
import { DINODE, type Inode } from './inode.ts';
import { groupBlockBytes } from './layout.ts';
import { type ByteReader, FileSystemReader } from './reader.ts';
import {
  decodeSuperblock,
  exactMaxFileSize,
  SUPERBLOCK_FIELDS,
  type Summary,
  type Superblock,
  type SuperblockField,
} from './superblock.ts';

/** What can be wrong; each kind of damage has a code of its own. */
export type FindingCode =
  | 'NotUfs2'
  | 'SuperblockField'
  | 'SuperblockHash'
  | 'BackupSuperblock'
  | 'RecoveryRecord'
  | 'NotClean'
  | 'GroupHeader'
  | 'GroupHash'
  | 'GroupSummary'
  | 'BlockMap'
  | 'FragmentSums'
  | 'ClusterMap'
  | 'ClusterSums'
  | 'InodeMap'
  | 'InodeHash'
  | 'InodeType'
  | 'InodeSize'
  | 'InodeBlocks'
  | 'InodeTime'
  | 'InodeRemnant'
  | 'BlockRange'
  | 'BlockDuplicate'
  | 'BlockBeyondEnd'
  | 'EndsInHole'
  | 'RootInode'
  | 'DirectorySize'
  | 'DirectoryHole'
  | 'DirectoryRecord'
  | 'DirectoryDot'
  | 'DirectoryDotDot'
  | 'DirectoryLinked'
  | 'DirectoryDepth'
  | 'EntryInode'
  | 'EntryType'
  | 'EntryName'
  | 'EntryDuplicate'
  | 'LinkCount'
  | 'OrphanInode'
  | 'SummaryArea'
  | 'SummaryTotal';

export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
}

export interface CheckReport {
  readonly findings: readonly Finding[];
  /** Findings that were not kept because there were too many of their kind. */
  readonly dropped: number;
  /** Inodes in use without the two reserved ones, as fsck_ffs(8) counts "files". */
  readonly files: number;
  /** Fragments of data, directories and indirect blocks, as fsck_ffs(8) counts "used". */
  readonly used: number;
  readonly freeBlocks: number;
  readonly freeFragments: number;
  readonly checkHashes: readonly ('superblock' | 'cylinder-groups' | 'inodes')[];
}

/** So many findings of a kind are enough to understand it. */
const FINDINGS_PER_CODE = 50;

/**
 * Checks a UFS2 file system without writing: every map, count and link is derived anew from the inodes and directories
 * and compared with what is stored, like fsck_ffs(8) does in its five phases.
 */
export function checkFileSystem(bytes: ByteReader): CheckReport {
  let reader: FileSystemReader;
  try {
    reader = new FileSystemReader(bytes);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    return {
      findings: [{ code: 'NotUfs2', message: error.message }],
      dropped: 0,
      files: 0,
      used: 0,
      freeBlocks: 0,
      freeFragments: 0,
      checkHashes: [],
    };
  }
  return new Checker(reader).run();
}

class Checker {
  readonly #reader: FileSystemReader;
  readonly #sb: Superblock;
  readonly #hashes: number;
  readonly #findings: Finding[] = [];
  readonly #counts = new Map<FindingCode, number>();
  #dropped = 0;
  /** Per group: fragments in use, bit set = used; what the inodes and the metadata occupy. */
  readonly #used: Uint8Array[] = [];
  readonly #groups: (CylinderGroup | null)[] = [];
  readonly #groupBytes: Buffer[] = [];
  /** Mode of every inode, 0 = free. */
  readonly #modes: Uint16Array;
  readonly #linkCounts: Int32Array;
  readonly #found: Int32Array;
  readonly #parent: Uint32Array;
  readonly #directories: Uint32Array;
  readonly #inodesUsed: Uint32Array;
  #fragments = 0;

  constructor(reader: FileSystemReader) {
    this.#reader = reader;
    this.#sb = reader.superblock;
    // A kernel without check hashes clears the flag and leaves the rest stale.
    this.#hashes = (this.#sb.fs_flags & FS_METACKHASH) !== 0 ? this.#sb.fs_metackhash : 0;
    this.#modes = new Uint16Array(reader.inodes);
    this.#linkCounts = new Int32Array(reader.inodes);
    this.#found = new Int32Array(reader.inodes);
    this.#parent = new Uint32Array(reader.inodes);
    this.#directories = new Uint32Array(this.#sb.fs_ncg);
    this.#inodesUsed = new Uint32Array(this.#sb.fs_ncg);
  }

  run(): CheckReport {
    const sb = this.#sb;
    this.#superblock();
    this.#backups();
    this.#recovery();
    for (let group = 0; group < sb.fs_ncg; group++) this.#group(group);
    for (let group = 0; group < sb.fs_ncg; group++) this.#inodes(group);
    this.#directoryTree();
    this.#links();
    const total: Summary = { directories: 0, freeBlocks: 0, freeInodes: 0, freeFragments: 0 };
    for (let group = 0; group < sb.fs_ncg; group++) this.#maps(group, total);
    this.#totals(total);
    const used = this.#inodesUsed.reduce((a, b) => a + b, 0);
    const kinds = [
      [CK_SUPERBLOCK, 'superblock'],
      [CK_CYLGRP, 'cylinder-groups'],
      [CK_INODE, 'inodes'],
    ] as const;
    return {
      findings: this.#findings,
      dropped: this.#dropped,
      files: Math.max(0, used - ROOT_INODE),
      used: this.#fragments,
      freeBlocks: total.freeBlocks,
      freeFragments: total.freeFragments,
      checkHashes: kinds.filter(([bit]) => (this.#hashes & bit) !== 0).map(([, name]) => name),
    };
  }

  #find(code: FindingCode, message: string): void {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (count <= FINDINGS_PER_CODE) this.#findings.push({ code, message });
    else this.#dropped++;
  }

  /** The conditions that FreeBSD's kernel sets before it mounts (validate_sblock in sys/ufs/ffs/ffs_subr.c). */
  #superblock(): void {
    const sb = this.#sb;
    const log2 = (n: number) => Math.round(Math.log2(n));
    const expect = (field: SuperblockField, wanted: number) => {
      if (sb[field] !== wanted) this.#find('SuperblockField', `${field} is ${sb[field]}, not ${wanted}`);
    };
    const require = (field: SuperblockField, holds: boolean, rule: string) => {
      if (!holds) this.#find('SuperblockField', `${field} is ${sb[field]}: ${rule}`);
    };
    const powerOfTwo = (n: number) => n > 0 && 2 ** log2(n) === n;
    const inodesPerFragment = sb.fs_inopb / sb.fs_frag;
    // The kernel fills in fs_sblockactualloc when it reads; makefs(8) leaves it 0.
    require('fs_sblockactualloc', sb.fs_sblockactualloc === 0 ||
      sb.fs_sblockactualloc === SUPERBLOCK_OFFSET, 'it is neither 0 nor where the superblock lies');
    expect('fs_sblockloc', SUPERBLOCK_OFFSET);
    expect('fs_maxsymlinklen', SHORT_SYMLINK_LIMIT);
    expect('fs_nindir', sb.fs_bsize / 8);
    expect('fs_inopb', sb.fs_bsize / 256);
    require('fs_bsize', powerOfTwo(sb.fs_bsize), 'not a power of two');
    require('fs_fsize', powerOfTwo(sb.fs_fsize), 'not a power of two');
    require('fs_fpg', sb.fs_fpg >= 3 * sb.fs_frag && sb.fs_fpg % sb.fs_frag === 0, 'not three whole blocks');
    require('fs_ipg', sb.fs_ipg >= sb.fs_inopb && sb.fs_ipg % sb.fs_inopb === 0, 'not whole blocks');
    require('fs_ipg', sb.fs_ipg * sb.fs_ncg <= 2 ** 32 - sb.fs_inopb, 'too many inodes in all');
    require('fs_cstotal_nifree', sb.fs_cstotal_nifree >= 0 &&
      sb.fs_cstotal_nifree <= sb.fs_ipg * sb.fs_ncg, 'more free inodes than inodes');
    require('fs_cstotal_ndir', sb.fs_cstotal_ndir >= 0 &&
      sb.fs_cstotal_ndir <=
        sb.fs_ipg * sb.fs_ncg - sb.fs_cstotal_nifree, 'more directories than inodes in use');
    require('fs_sbsize', sb.fs_sbsize <= SUPERBLOCK_SIZE &&
      sb.fs_sbsize >= SUPERBLOCK_STRUCT_SIZE &&
      sb.fs_sbsize % 512 === 0, 'not the size of a superblock');
    require('fs_maxbsize', sb.fs_maxbsize >= sb.fs_bsize &&
      powerOfTwo(sb.fs_maxbsize) &&
      sb.fs_maxbsize <= 16 * sb.fs_bsize, 'not one to 16 blocks');
    expect('fs_bmask', -sb.fs_bsize);
    expect('fs_fmask', -sb.fs_fsize);
    expect('fs_qbmask', sb.fs_bsize - 1);
    expect('fs_qfmask', sb.fs_fsize - 1);
    expect('fs_bshift', log2(sb.fs_bsize));
    expect('fs_fshift', log2(sb.fs_fsize));
    expect('fs_fragshift', log2(sb.fs_frag));
    expect('fs_fsbtodb', log2(sb.fs_fsize / 512));
    expect('fs_old_cgoffset', 0);
    expect('fs_old_cpg', 0);
    const bytes = groupBlockBytes(
      sb.fs_fpg,
      sb.fs_ipg,
      sb.fs_frag,
      sb.fs_contigsumsize,
      CYLINDER_GROUP_HEADER,
    );
    require('fs_cgsize', bytes <= sb.fs_bsize, `the maps of a group take ${bytes} bytes, more than a block`);
    expect('fs_cgsize', roundUp(bytes, sb.fs_fsize));
    const blockOf = (bytesUpTo: number) => roundUp(Math.ceil(bytesUpTo / sb.fs_fsize), sb.fs_frag);
    expect('fs_sblkno', blockOf(SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE));
    expect('fs_cblkno', sb.fs_sblkno + blockOf(SUPERBLOCK_SIZE));
    expect('fs_iblkno', sb.fs_cblkno + sb.fs_frag);
    expect('fs_dblkno', sb.fs_iblkno + sb.fs_ipg / inodesPerFragment);
    require('fs_minfree', sb.fs_minfree >= 0 && sb.fs_minfree <= 99, 'not a percentage');
    require('fs_optim', sb.fs_optim === 0 || sb.fs_optim === 1, 'neither time nor space');
    require('fs_maxcontig', sb.fs_maxcontig >= 0 && sb.fs_maxcontig <= 256, 'not 0 to 256');
    const raw = this.#reader.superblockBytes;
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const limit = exactMaxFileSize(sb.fs_bsize);
    const largest = view.getBigInt64(SUPERBLOCK_FIELDS.fs_maxfilesize[0], true);
    if (largest !== limit) this.#find('SuperblockField', `fs_maxfilesize is ${largest}, not ${limit}`);
    require('fs_size', sb.fs_size >= 8 * sb.fs_frag &&
      sb.fs_size > (sb.fs_ncg - 1) * sb.fs_fpg &&
      sb.fs_size <= sb.fs_ncg * sb.fs_fpg, 'does not end in the last group');
    require('fs_size', sb.fs_size * sb.fs_fsize <= this.#reader.bytes.size, 'larger than the volume');
    require('fs_providersize', sb.fs_providersize === 0 ||
      sb.fs_providersize >= sb.fs_size, 'smaller than fs_size');
    expect('fs_cssize', roundUp(sb.fs_ncg * SUMMARY_SIZE, sb.fs_fsize));
    const summaryFragments = sb.fs_cssize / sb.fs_fsize;
    // Less, not equal: validate_sblock wants the fragment after the area in the same group.
    require('fs_csaddr', sb.fs_csaddr >= sb.fs_dblkno &&
      sb.fs_csaddr + summaryFragments <
        Math.min(sb.fs_fpg, sb.fs_size), 'the summary area is not within the data of the first group');
    expect(
      'fs_dsize',
      sb.fs_size - sb.fs_sblkno - sb.fs_ncg * (sb.fs_dblkno - sb.fs_sblkno) - summaryFragments,
    );
    require('fs_metaspace', sb.fs_metaspace >= 0 &&
      sb.fs_metaspace <= sb.fs_fpg / 2, 'more than half a group');
    const clusterSizes = sb.fs_maxcontig > 1 ? Math.min(sb.fs_maxcontig, 16) : 0;
    expect('fs_contigsumsize', clusterSizes);
    expect('fs_unrefs', 0);
    expect('fs_pendingblocks', 0);
    expect('fs_pendinginodes', 0);
    if (sb.fs_clean !== 1) this.#find('NotClean', `fs_clean is ${sb.fs_clean}`);
    // growfs(8) refuses either; the kernel mounts FS_NEEDSFSCK for reading only.
    if ((sb.fs_flags & (FS_UNCLEAN | FS_NEEDSFSCK)) !== 0) {
      this.#find('NotClean', `fs_flags is ${sb.fs_flags}: a check is due`);
    }
    this.#superblockHash(this.#reader.superblockBytes, sb, 'superblock');
  }

  #superblockHash(block: Uint8Array, sb: Superblock, what: string): void {
    if ((this.#hashes & CK_SUPERBLOCK) === 0) return;
    const size = Math.min(Math.max(0, sb.fs_sbsize), SUPERBLOCK_SIZE);
    const hash = checkHash(block.subarray(0, size), SUPERBLOCK_FIELDS.fs_ckhash[0]);
    if (hash !== sb.fs_ckhash) {
      this.#find('SuperblockHash', `${what}: check hash ${sb.fs_ckhash} stored, ${hash} computed`);
    }
  }

  #backups(): void {
    const sb = this.#sb;
    // What a mount changes in the first superblock only, or what differs by place.
    const free = new Set<string>([
      'fs_fmod',
      'fs_clean',
      'fs_ronly',
      'fs_cgrotor',
      'fs_sblockactualloc',
      'fs_cstotal_ndir',
      'fs_cstotal_nbfree',
      'fs_cstotal_nifree',
      'fs_cstotal_nffree',
      'fs_cstotal_numclusters',
      'fs_old_cstotal_ndir',
      'fs_old_cstotal_nbfree',
      'fs_old_cstotal_nifree',
      'fs_old_cstotal_nffree',
      'fs_time',
      'fs_mtime',
      'fs_ckhash',
      'fs_fsmnt',
      'fs_pendingblocks',
      'fs_pendinginodes',
      'fs_unrefs',
      'fs_sujfree',
    ]);
    const block = new Uint8Array(SUPERBLOCK_SIZE);
    for (let group = 0; group < sb.fs_ncg; group++) {
      const address = (group * sb.fs_fpg + sb.fs_sblkno) * sb.fs_fsize;
      this.#reader.bytes.read(address, block, 0, SUPERBLOCK_SIZE);
      const backup = decodeSuperblock(block);
      for (const [field, value] of Object.entries(backup)) {
        if (free.has(field) || value === sb[field as keyof Superblock]) continue;
        this.#find(
          'BackupSuperblock',
          `group ${group}: ${field} is ${value}, the superblock has ${sb[field as keyof Superblock]}`,
        );
      }
      this.#superblockHash(block, backup, `backup superblock of group ${group}`);
    }
  }

  #recovery(): void {
    const sb = this.#sb;
    const bytes = Buffer.alloc(20);
    this.#reader.bytes.read(SUPERBLOCK_OFFSET - bytes.length, bytes, 0, bytes.length);
    // makefs(8) leaves it out.
    if (bytes.every((byte) => byte === 0)) return;
    const wanted = [SUPERBLOCK_MAGIC, sb.fs_fsbtodb, sb.fs_sblkno, sb.fs_fpg, sb.fs_ncg];
    const stored = wanted.map((_, i) => bytes.readInt32LE(i * 4));
    if (stored.join() !== wanted.join()) {
      this.#find(
        'RecoveryRecord',
        `[${stored.join()}] stored before the superblock, [${wanted.join()}] is right`,
      );
    }
  }

  #group(index: number): void {
    const sb = this.#sb;
    const block = this.#reader
      .fragments(index * sb.fs_fpg + sb.fs_cblkno, sb.fs_frag)
      .subarray(0, sb.fs_cgsize);
    const group = decodeGroup(block);
    const fragments = this.#groupLength(index);
    const layout = {
      inodesPerGroup: sb.fs_ipg,
      fragmentsPerGroup: sb.fs_fpg,
      clusterSizes: sb.fs_contigsumsize,
      frag: sb.fs_frag,
    };
    const maps = groupMaps(layout);
    const wanted: [string, number, number][] = [
      ['cg_magic', group.magic, CYLINDER_GROUP_MAGIC],
      ['cg_cgx', group.index, index],
      ['cg_ndblk', group.fragments, fragments],
      ['cg_niblk', group.inodes, sb.fs_ipg],
      ['cg_iusedoff', group.maps.inodesUsed, maps.inodesUsed],
      ['cg_freeoff', group.maps.blocksFree, maps.blocksFree],
      ['cg_nextfreeoff', group.maps.end, maps.end],
      ['cg_clustersumoff', group.maps.clusterSums, maps.clusterSums],
      ['cg_clusteroff', group.maps.clustersFree, maps.clustersFree],
      [
        'cg_nclusterblks',
        group.clusterBlocks,
        sb.fs_contigsumsize > 0 ? Math.floor(fragments / sb.fs_frag) : 0,
      ],
      ['cg_unrefs', group.unreferenced, 0],
    ];
    let sound = maps.end <= sb.fs_cgsize;
    for (const [field, value, right] of wanted) {
      if (value === right) continue;
      sound = false;
      this.#find('GroupHeader', `group ${index}: ${field} is ${value}, not ${right}`);
    }
    const initialised = group.initialisedInodes;
    if (initialised > sb.fs_ipg || initialised % sb.fs_inopb !== 0) {
      sound = false;
      this.#find(
        'GroupHeader',
        `group ${index}: cg_initediblk is ${initialised}, not whole blocks of inodes`,
      );
    }
    // fsck_ffs(8) compares the header and the maps with ones of its own, byte by byte: what has no meaning is zero
    // (pass5 in sbin/fsck_ffs/pass5.c).
    const blank = this.#groupRemnant(block, maps, fragments);
    if (blank >= 0) this.#find('GroupHeader', `group ${index}: byte ${blank} is not zero`);
    for (const [name, rotor, end] of [
      ['cg_rotor', group.rotor, fragments],
      ['cg_frotor', group.fragmentRotor, fragments],
      ['cg_irotor', group.inodeRotor, sb.fs_ipg],
    ] as const) {
      if (rotor >= end) this.#find('GroupHeader', `group ${index}: ${name} ${rotor} is past the group`);
    }
    if ((this.#hashes & CK_CYLGRP) !== 0) {
      const hash = checkHash(block, CG.ckhash);
      if (hash !== group.checkHash) {
        this.#find('GroupHash', `group ${index}: check hash ${group.checkHash} stored, ${hash} computed`);
      }
    }
    this.#groups[index] = sound ? group : null;
    this.#groupBytes[index] = block;
    const used = new Uint8Array(Math.ceil(sb.fs_fpg / 8));
    const metadataStart = index === 0 ? 0 : sb.fs_sblkno;
    setBits(used, metadataStart, Math.min(sb.fs_dblkno, fragments));
    if (index === 0) setBits(used, sb.fs_csaddr, sb.fs_csaddr + Math.ceil(sb.fs_cssize / sb.fs_fsize));
    this.#used[index] = used;
  }

  /** The first byte of a group block that is set though nothing lies there, or -1. */
  #groupRemnant(block: Buffer, maps: GroupMaps, fragments: number): number {
    const sb = this.#sb;
    const blockMapEnd = maps.blocksFree + Math.ceil(sb.fs_fpg / 8);
    const clusterMapEnd = maps.clustersFree + Math.ceil(Math.floor(fragments / sb.fs_frag) / 8);
    const ranges: [from: number, to: number][] = [
      [0, CG.magic],
      [CG.cgx + 4, CG.ndblk],
      [CG.frsum, CG.frsum + 4],
      [CG.frsum + 32, CG.iusedoff],
      [CG.unrefs + 4, CG.ckhash],
      [CG.time + 8, CYLINDER_GROUP_HEADER],
    ];
    if (sb.fs_contigsumsize > 0) {
      ranges.push([blockMapEnd, maps.clusterSums + 4], [clusterMapEnd, maps.end]);
    }
    for (const [from, to] of ranges) {
      for (let at = from; at < Math.min(to, block.length); at++) if (block[at] !== 0) return at;
    }
    return -1;
  }

  #groupLength(index: number): number {
    return Math.min(this.#sb.fs_fpg, this.#sb.fs_size - index * this.#sb.fs_fpg);
  }

  #inodes(index: number): void {
    const sb = this.#sb;
    const group = this.#groups[index] ?? null;
    // Of an unsound header the number of valid inodes is still the best guess, in whole blocks.
    const claimed = Math.min(
      decodeGroup(this.#groupBytes[index] ?? Buffer.alloc(sb.fs_cgsize)).initialisedInodes,
      sb.fs_ipg,
    );
    const initialised = Math.floor(claimed / sb.fs_inopb) * sb.fs_inopb;
    const map = this.#groupBytes[index] ?? Buffer.alloc(sb.fs_cgsize);
    const mapStart = groupMaps({
      inodesPerGroup: sb.fs_ipg,
      fragmentsPerGroup: sb.fs_fpg,
      clusterSizes: sb.fs_contigsumsize,
      frag: sb.fs_frag,
    }).inodesUsed;
    for (let i = 0; i < sb.fs_ipg; i++) {
      const number = index * sb.fs_ipg + i;
      const marked = ((map[mapStart + (i >> 3)] ?? 0) & (1 << (i & 7))) !== 0;
      const reserved = number < ROOT_INODE;
      if (i >= initialised) {
        if (marked) this.#find('InodeMap', `inode ${number} is marked as used and was never initialised`);
        continue;
      }
      const inode = this.#reader.inode(number);
      const inUse = inode.mode !== 0 && (group !== null || typeName(inode.mode) !== null);
      if (group !== null && marked !== (inUse || reserved)) {
        this.#find(
          'InodeMap',
          `inode ${number} is ${inUse || reserved ? 'in use and marked as free' : 'free and marked as used'}`,
        );
      }
      if (inUse || reserved) this.#inodesUsed[index] = (this.#inodesUsed[index] ?? 0) + 1;
      if (inUse && !reserved) this.#inode(number, inode);
      // checkinode in sbin/fsck_ffs/pass1.c: "partially allocated inode".
      if (inode.mode === 0 && !reserved && (inode.size !== 0 || this.#pointerBytes(inode, 0))) {
        this.#find('InodeRemnant', `inode ${number} is free and has a size or pointers`);
      }
    }
  }

  #inode(number: number, inode: Inode): void {
    const sb = this.#sb;
    this.#modes[number] = inode.mode;
    this.#linkCounts[number] = inode.nlink;
    const type = inode.mode & S_IFMT;
    if (typeName(inode.mode) === null) {
      this.#find('InodeType', `inode ${number}: mode ${inode.mode.toString(8)} has no type`);
      return;
    }
    if (type === S_IFDIR) {
      const group = Math.floor(number / sb.fs_ipg);
      this.#directories[group] = (this.#directories[group] ?? 0) + 1;
    }
    if ((this.#hashes & CK_INODE) !== 0) {
      const hash = checkHash(inode.bytes, DINODE.ckhash);
      if (hash !== inode.checkHash) {
        this.#find('InodeHash', `inode ${number}: check hash ${inode.checkHash} stored, ${hash} computed`);
      }
    }
    for (const nanoseconds of [inode.atimensec, inode.mtimensec, inode.ctimensec, inode.birthnsec]) {
      if (nanoseconds < 0 || nanoseconds > 999999999) {
        this.#find('InodeTime', `inode ${number}: ${nanoseconds} nanoseconds`);
      }
    }
    const linkLimit = type === S_IFLNK ? MAX_SYMLINK : sb.fs_maxfilesize;
    const sized = type === S_IFREG || type === S_IFDIR || type === S_IFLNK;
    if (inode.size < 0 || inode.size > linkLimit || (!sized && inode.size !== 0)) {
      this.#find('InodeSize', `inode ${number}: size ${inode.size}`);
      return;
    }
    if (type === S_IFDIR && (inode.size === 0 || inode.size % DIRECTORY_CHUNK !== 0)) {
      this.#find('DirectorySize', `directory inode ${number}: size ${inode.size} is not whole chunks of 512`);
    }
    // Where the pointers are something else, fsck_ffs(8) wants the rest of them zero ("invalid direct block").
    if (!this.#reader.hasBlocks(inode)) {
      const isDevice = type === S_IFCHR || type === S_IFBLK;
      const length = isDevice ? 8 : inode.size;
      if (this.#pointerBytes(inode, roundUp(length, 8))) {
        this.#find('InodeRemnant', `inode ${number}: bytes are set behind its link target or device number`);
      }
      if (isDevice && inode.bytes.subarray(DINODE.db, DINODE.db + 8).every((byte) => byte === 0xff)) {
        this.#find('InodeType', `inode ${number}: a device without a number`);
      }
    }
    this.#blocks(number, inode);
  }

  /** True if the pointers of an inode have a byte set from `offset` on. */
  #pointerBytes(inode: Inode, offset: number): boolean {
    return inode.bytes.subarray(DINODE.db + offset, DINODE.modrev).some((byte) => byte !== 0);
  }

  #blocks(number: number, inode: Inode): void {
    const sb = this.#sb;
    const last = Math.ceil(inode.size / sb.fs_bsize);
    let fragments = 0;
    let lastSeen = -1;
    let dataBlocks = 0;
    const usable = new Set<number>();
    const take = (address: number, count: number): boolean => {
      const problem = this.#claim(address, count);
      if (problem === 'range') {
        this.#find('BlockRange', `inode ${number}: fragment ${address} is not in a data area`);
        return false;
      }
      if (problem === 'duplicate') {
        this.#find('BlockDuplicate', `inode ${number}: fragment ${address} belongs to another block too`);
      }
      return true;
    };
    for (const pointer of this.#reader.pointers(inode, (p) => usable.has(p.address))) {
      if (pointer.block >= last) {
        this.#find('BlockBeyondEnd', `inode ${number}: block ${pointer.block} lies past the end of the file`);
      }
      fragments += pointer.fragments;
      const sound = take(pointer.address, pointer.fragments);
      if (pointer.level > 0) {
        if (sound) usable.add(pointer.address);
      } else {
        dataBlocks++;
        lastSeen = Math.max(lastSeen, pointer.block);
      }
    }
    if (inode.extsize > 0) {
      const view = new DataView(inode.bytes.buffer, inode.bytes.byteOffset, inode.bytes.byteLength);
      for (let i = 0; i * sb.fs_bsize < inode.extsize; i++) {
        const count = Math.min(sb.fs_frag, Math.ceil((inode.extsize - i * sb.fs_bsize) / sb.fs_fsize));
        const address = Number(view.getBigInt64(96 + i * 8, true));
        if (address !== 0 && take(address, count)) fragments += count;
      }
    }
    this.#fragments += fragments;
    const sectors = (fragments * sb.fs_fsize) / 512;
    if (sectors !== inode.blocks) {
      this.#find('InodeBlocks', `inode ${number}: di_blocks is ${inode.blocks}, ${sectors} are in use`);
    }
    if (!this.#reader.hasBlocks(inode)) return;
    if (last > 0 && lastSeen < last - 1) {
      this.#find('EndsInHole', `inode ${number}: the last of ${last} blocks is a hole`);
    }
    const directory = (inode.mode & S_IFMT) !== S_IFREG;
    if (directory && dataBlocks < last) {
      this.#find('DirectoryHole', `inode ${number}: ${dataBlocks} of ${last} blocks are there`);
    }
  }

  /** Marks fragments as used; says what is wrong with them. */
  #claim(address: number, count: number): 'range' | 'duplicate' | null {
    const sb = this.#sb;
    if (address < 0 || address + count > sb.fs_size) return 'range';
    // A piece never crosses a block, so it lies in one group.
    if (Math.floor(address / sb.fs_frag) !== Math.floor((address + count - 1) / sb.fs_frag)) return 'range';
    const group = Math.floor(address / sb.fs_fpg);
    const first = address - group * sb.fs_fpg;
    const start = group === 0 ? 0 : sb.fs_sblkno;
    if (first < sb.fs_dblkno && first + count > start) return 'range';
    const summaryEnd = sb.fs_csaddr + Math.ceil(sb.fs_cssize / sb.fs_fsize);
    if (address < summaryEnd && address + count > sb.fs_csaddr) return 'range';
    const used = this.#used[group];
    if (used === undefined) return 'range';
    let duplicate = false;
    for (let i = first; i < first + count; i++) {
      const bit = 1 << (i & 7);
      if (((used[i >> 3] ?? 0) & bit) !== 0) duplicate = true;
      used[i >> 3] = (used[i >> 3] ?? 0) | bit;
    }
    return duplicate ? 'duplicate' : null;
  }

  #directoryTree(): void {
    if (((this.#modes[ROOT_INODE] ?? 0) & S_IFMT) !== S_IFDIR) {
      this.#find('RootInode', 'inode 2 is not a directory');
      return;
    }
    this.#parent[ROOT_INODE] = ROOT_INODE;
    const pending: { number: number; depth: number }[] = [{ number: ROOT_INODE, depth: 0 }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const number of this.#directory(next.number, next.depth)) {
        pending.push({ number, depth: next.depth + 1 });
      }
    }
  }

  /** Checks one directory; returns the directories in it. */
  #directory(number: number, depth: number): number[] {
    const inode = this.#reader.inode(number);
    if (inode.depth !== 0 && inode.depth !== depth) {
      this.#find(
        'DirectoryDepth',
        `directory inode ${number}: depth ${inode.depth} stored, ${depth} is right`,
      );
    }
    const content = this.#directoryContent(inode);
    const names = new Set<string>();
    const below: number[] = [];
    let position = 0;
    for (const record of readRecords(content)) {
      const where = `directory inode ${number} at ${record.offset}`;
      if ('problem' in record) {
        this.#find('DirectoryRecord', `${where}: ${record.problem}`);
        continue;
      }
      const place = position++;
      if (place === 0 && (record.name !== '.' || record.inode !== number)) {
        this.#find('DirectoryDot', `${where}: "${record.name}" → ${record.inode} instead of "."`);
      }
      if (place === 1 && (record.name !== '..' || record.inode !== this.#parent[number])) {
        this.#find(
          'DirectoryDotDot',
          `${where}: "${record.name}" → ${record.inode} instead of ".." → ${this.#parent[number]}`,
        );
      }
      if (record.inode === 0) continue;
      const mode = this.#modes[record.inode] ?? 0;
      if (record.inode < ROOT_INODE || record.inode >= this.#reader.inodes || mode === 0) {
        this.#find('EntryInode', `${where}: "${record.name}" leads to inode ${record.inode}, which is free`);
        continue;
      }
      this.#found[record.inode] = (this.#found[record.inode] ?? 0) + 1;
      if (record.type !== (mode & S_IFMT) >> 12) {
        this.#find(
          'EntryType',
          `${where}: "${record.name}" has type ${record.type}, its inode ${mode >> 12}`,
        );
      }
      if (place < 2) continue;
      const { name } = record;
      if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
        this.#find('EntryName', `${where}: ${JSON.stringify(name)} is no name`);
        continue;
      }
      if (names.has(name)) this.#find('EntryDuplicate', `${where}: "${name}" is there twice`);
      names.add(name);
      if ((mode & S_IFMT) !== S_IFDIR) continue;
      if (this.#parent[record.inode] !== 0) {
        this.#find('DirectoryLinked', `${where}: "${name}" is a second name of directory ${record.inode}`);
        continue;
      }
      this.#parent[record.inode] = number;
      below.push(record.inode);
    }
    if (position < 2) this.#find('DirectoryDot', `directory inode ${number} has no "." and ".."`);
    return below;
  }

  /** Content as far as its blocks lie within the volume. */
  #directoryContent(inode: Inode): Buffer {
    const { fs_size, fs_bsize } = this.#sb;
    const parts: Buffer[] = [];
    const inside = (address: number, count: number) => address > 0 && address + count <= fs_size;
    for (const piece of this.#reader.pointers(inode, (p) => inside(p.address, p.fragments))) {
      if (piece.level > 0 || !inside(piece.address, piece.fragments)) continue;
      const length = Math.min(fs_bsize, inode.size - piece.block * fs_bsize);
      if (length > 0) {
        parts.push(this.#reader.fragments(piece.address, piece.fragments).subarray(0, length));
      }
    }
    return Buffer.concat(parts);
  }

  #links(): void {
    for (let number = ROOT_INODE; number < this.#modes.length; number++) {
      if (this.#modes[number] === 0) continue;
      const found = this.#found[number] ?? 0;
      const isDirectory = ((this.#modes[number] ?? 0) & S_IFMT) === S_IFDIR;
      if (isDirectory ? this.#parent[number] === 0 : found === 0) {
        this.#find('OrphanInode', `inode ${number} is in use and no directory leads to it`);
      } else if (found !== this.#linkCounts[number]) {
        this.#find(
          'LinkCount',
          `inode ${number}: di_nlink is ${this.#linkCounts[number]}, ${found} links found`,
        );
      }
    }
  }

  /** Compares maps and counts of one group with what inodes and metadata really occupy. */
  #maps(index: number, total: Summary): void {
    const sb = this.#sb;
    const used = this.#used[index];
    const block = this.#groupBytes[index];
    if (used === undefined || block === undefined) return;
    const fragments = this.#groupLength(index);
    const free = used.map((byte) => ~byte & 0xff);
    for (let i = fragments; i < free.length * 8; i++) {
      free[i >> 3] = (free[i >> 3] ?? 0) & ~(1 << (i & 7));
    }
    const space = measureFreeSpace(free, fragments, sb.fs_frag, sb.fs_contigsumsize);
    const right: Summary = {
      directories: this.#directories[index] ?? 0,
      freeBlocks: space.freeBlocks,
      freeInodes: sb.fs_ipg - (this.#inodesUsed[index] ?? 0),
      freeFragments: space.freeFragments,
    };
    total.directories += right.directories;
    total.freeBlocks += right.freeBlocks;
    total.freeInodes += right.freeInodes;
    total.freeFragments += right.freeFragments;
    const stored = Buffer.alloc(SUMMARY_SIZE);
    this.#reader.bytes.read(sb.fs_csaddr * sb.fs_fsize + index * SUMMARY_SIZE, stored, 0, SUMMARY_SIZE);
    this.#compareSummary(
      'SummaryArea',
      `summary area, group ${index}`,
      decodeSummary(new DataView(stored.buffer, stored.byteOffset), 0),
      right,
    );
    const group = this.#groups[index] ?? null;
    if (group === null) return;
    this.#compareSummary('GroupSummary', `group ${index}`, group.summary, right);
    const { maps } = group;
    let wronglyFree = 0;
    let wronglyUsed = 0;
    let firstWrong = -1;
    // Past the end of a short last group nothing is free either: fsck_ffs(8) compares the whole map.
    for (let i = 0; i < sb.fs_fpg; i++) {
      const bit = 1 << (i & 7);
      const isFree = ((free[i >> 3] ?? 0) & bit) !== 0;
      const marked = ((block[maps.blocksFree + (i >> 3)] ?? 0) & bit) !== 0;
      if (isFree === marked) continue;
      if (firstWrong < 0) firstWrong = index * sb.fs_fpg + i;
      if (marked) wronglyFree++;
      else wronglyUsed++;
    }
    if (firstWrong >= 0) {
      this.#find(
        'BlockMap',
        `group ${index}: ${wronglyFree} fragments in use are marked as free, ${wronglyUsed} free ones as used, first ${firstWrong}`,
      );
    }
    for (let n = 1; n < sb.fs_frag; n++) {
      if (group.fragmentRuns[n] !== space.fragmentRuns[n]) {
        this.#find(
          'FragmentSums',
          `group ${index}: cg_frsum[${n}] is ${group.fragmentRuns[n]}, not ${space.fragmentRuns[n]}`,
        );
      }
    }
    if (sb.fs_contigsumsize <= 0) return;
    for (let n = 1; n <= sb.fs_contigsumsize; n++) {
      const sum = block.readUInt32LE(maps.clusterSums + n * 4);
      if (sum !== space.clusterRuns[n]) {
        this.#find(
          'ClusterSums',
          `group ${index}: ${sum} clusters of ${n} blocks stored, ${space.clusterRuns[n]} are there`,
        );
      }
    }
    const clusters = block.subarray(maps.clustersFree, maps.clustersFree + space.clusters.length);
    const wrong = space.clusters.findIndex((byte, i) => byte !== clusters[i]);
    if (wrong >= 0)
      this.#find('ClusterMap', `group ${index}: cluster map differs from block ${wrong * 8} on`);
  }

  #compareSummary(code: FindingCode, where: string, stored: Summary, right: Summary): void {
    for (const key of Object.keys(right) as (keyof Summary)[]) {
      if (stored[key] !== right[key]) {
        this.#find(code, `${where}: ${key} is ${stored[key]}, not ${right[key]}`);
      }
    }
  }

  #totals(total: Summary): void {
    const sb = this.#sb;
    // fsck_ffs(8) compares the whole struct csum_total: cs_numclusters and the spare words are zero (pass5.c).
    const rest = this.#reader.superblockBytes.subarray(
      SUPERBLOCK_FIELDS.fs_cstotal_numclusters[0],
      SUPERBLOCK_FIELDS.fs_time[0],
    );
    if (rest.some((byte) => byte !== 0)) {
      this.#find('SummaryTotal', 'superblock: fs_cstotal has bytes set behind its counts');
    }
    this.#compareSummary(
      'SummaryTotal',
      'superblock',
      {
        directories: sb.fs_cstotal_ndir,
        freeBlocks: sb.fs_cstotal_nbfree,
        freeInodes: sb.fs_cstotal_nifree,
        freeFragments: sb.fs_cstotal_nffree,
      },
      total,
    );
  }
}

function setBits(map: Uint8Array, from: number, to: number): void {
  for (let i = from; i < to; i++) map[i >> 3] = (map[i >> 3] ?? 0) | (1 << (i & 7));
}
