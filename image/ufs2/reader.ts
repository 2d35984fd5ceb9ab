import { createHash } from 'node:crypto';
import { ImageError } from '../errors.ts';
import { readRecords } from './directory.ts';
import {
  DIRECT_BLOCKS,
  INDIRECT_LEVELS,
  INODE_SIZE,
  MAX_BLOCK_SIZE,
  ROOT_INODE,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SHORT_SYMLINK_LIMIT,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from './format.ts';
import { DINODE, decodeInode, getInt64, type Inode } from './inode.ts';
import { decodeSuperblock, type Superblock } from './superblock.ts';

/** Random access to the bytes of a file system. */
export interface ByteReader {
  /** Bytes of the volume. */
  readonly size: number;
  /** Fills `length` bytes of `target` from `offset` on with what lies at `position`; zeros past the end. */
  read(position: number, target: Uint8Array, offset: number, length: number): void;
}

/** One piece of a file on disk: a whole block, or the tail of a small file. */
export interface FileBlock {
  /** Logical block number within the file. */
  readonly block: number;
  /** First fragment on disk. */
  readonly address: number;
  readonly fragments: number;
}

/** What a pointer of an inode leads to: file data, or an indirect block of level 1, 2, 3. */
export interface Pointer extends FileBlock {
  /** 0 = data */
  readonly level: number;
}

export interface WalkEntry {
  /** `.` for the root, `./a/b` below; one character per byte. */
  readonly path: string;
  readonly number: number;
  readonly inode: Inode;
}

/** Reads a UFS2 file system. Trusts the structure; the checker does not use what it has not checked. */
export class FileSystemReader {
  readonly superblock: Superblock;
  /** The SBLOCKSIZE bytes of the superblock. */
  readonly superblockBytes: Uint8Array;
  readonly bytes: ByteReader;
  readonly #inodeBlock: Uint8Array;
  #inodeBlockAddress = -1;

  /** @throws ImageError `NotUfs2` when there is no superblock at 65536 or its sizes are impossible */
  constructor(bytes: ByteReader) {
    this.bytes = bytes;
    const block = new Uint8Array(SUPERBLOCK_SIZE);
    if (bytes.size >= SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) {
      bytes.read(SUPERBLOCK_OFFSET, block, 0, SUPERBLOCK_SIZE);
    }
    this.superblockBytes = block;
    const superblock = decodeSuperblock(block);
    if (superblock.fs_magic !== SUPERBLOCK_MAGIC) {
      throw new ImageError(
        'NotUfs2',
        `no UFS2 superblock at byte ${SUPERBLOCK_OFFSET}`,
        'name the offset of the file system, or look for a backup superblock',
      );
    }
    const { fs_bsize, fs_fsize, fs_frag, fs_ipg, fs_fpg, fs_ncg } = superblock;
    const shape =
      fs_bsize >= 4096 &&
      fs_bsize <= MAX_BLOCK_SIZE &&
      fs_fsize >= 512 &&
      fs_frag >= 1 &&
      fs_frag <= 8 &&
      fs_fsize * fs_frag === fs_bsize &&
      fs_ipg > 0 &&
      fs_fpg > 0 &&
      fs_ncg > 0 &&
      // A number of groups beyond the volume would have the reader run through nothing for hours.
      (fs_ncg - 1) * fs_fpg * fs_fsize < bytes.size;
    if (!shape) {
      throw new ImageError('NotUfs2', 'the superblock has impossible sizes', 'look for a backup superblock');
    }
    this.superblock = superblock;
    this.#inodeBlock = new Uint8Array(fs_bsize);
  }

  get inodes(): number {
    return this.superblock.fs_ncg * this.superblock.fs_ipg;
  }

  /** Byte address of an inode. */
  inodeAddress(number: number): number {
    const { fs_ipg, fs_fpg, fs_iblkno, fs_fsize } = this.superblock;
    const group = Math.floor(number / fs_ipg);
    return (group * fs_fpg + fs_iblkno) * fs_fsize + (number % fs_ipg) * INODE_SIZE;
  }

  /** The inode; its `bytes` are valid until the next call. */
  inode(number: number): Inode {
    const address = this.inodeAddress(number);
    const size = this.#inodeBlock.length;
    const start = Math.floor(address / size) * size;
    if (start !== this.#inodeBlockAddress) {
      this.bytes.read(start, this.#inodeBlock, 0, size);
      this.#inodeBlockAddress = start;
    }
    return decodeInode(this.#inodeBlock, address - start);
  }

  /** Bytes of fragments from `address` on. */
  fragments(address: number, count: number): Buffer {
    const { fs_fsize } = this.superblock;
    const buffer = Buffer.alloc(count * fs_fsize);
    this.bytes.read(address * fs_fsize, buffer, 0, buffer.length);
    return buffer;
  }

  /** True if the inode's pointers are something else: a short symbolic link, a device, a pipe, a socket. */
  hasBlocks(inode: Inode): boolean {
    const type = inode.mode & S_IFMT;
    if (type === S_IFLNK) return inode.size >= this.superblock.fs_maxsymlinklen;
    return type === S_IFDIR || type === S_IFREG;
  }

  /** Fragments of logical block `block` of a file of `size` bytes (sblksize in fs.h). */
  blockFragments(size: number, block: number): number {
    const { fs_bsize, fs_fsize, fs_frag } = this.superblock;
    if (block >= DIRECT_BLOCKS || size >= (block + 1) * fs_bsize) return fs_frag;
    return Math.ceil((size - block * fs_bsize) / fs_fsize);
  }

  /**
   * Every pointer that is set, indirect blocks before what they lead to, data in the order of the file. `usable` may
   * refuse an indirect block, whose pointers then are not followed.
   */
  *pointers(inode: Inode, usable: (pointer: Pointer) => boolean = () => true): Generator<Pointer> {
    if (!this.hasBlocks(inode)) return;
    const { fs_frag, fs_nindir } = this.superblock;
    for (let block = 0; block < DIRECT_BLOCKS; block++) {
      const address = inode.direct[block] ?? 0;
      if (address === 0) continue;
      yield { level: 0, block, address, fragments: Math.max(1, this.blockFragments(inode.size, block)) };
    }
    let first = DIRECT_BLOCKS;
    for (let level = 1; level <= INDIRECT_LEVELS; level++) {
      const address = inode.indirect[level - 1] ?? 0;
      if (address !== 0) {
        yield* this.#below({ level, block: first, address, fragments: fs_frag }, usable);
      }
      first += fs_nindir ** level;
    }
  }

  *#below(pointer: Pointer, usable: (pointer: Pointer) => boolean): Generator<Pointer> {
    yield pointer;
    if (!usable(pointer)) return;
    const { fs_frag, fs_nindir } = this.superblock;
    const block = this.fragments(pointer.address, fs_frag);
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    const span = fs_nindir ** (pointer.level - 1);
    for (let i = 0; i < fs_nindir; i++) {
      const address = getInt64(view, i * 8);
      if (address === 0) continue;
      const next = { level: pointer.level - 1, block: pointer.block + i * span, address, fragments: fs_frag };
      if (next.level === 0) yield next;
      else yield* this.#below(next, usable);
    }
  }

  /** The content of a file, directory or symbolic link piece by piece; a hole comes as one piece of null. */
  *pieces(inode: Inode): Generator<{ readonly bytes: Buffer | null; readonly length: number }> {
    const { fs_bsize } = this.superblock;
    let position = 0;
    if (!this.hasBlocks(inode)) {
      if ((inode.mode & S_IFMT) === S_IFLNK) {
        const length = Math.min(inode.size, SHORT_SYMLINK_LIMIT);
        yield { bytes: Buffer.from(inode.bytes.slice(DINODE.db, DINODE.db + length)), length };
      }
      return;
    }
    for (const { level, block, address, fragments } of this.pointers(inode)) {
      if (level > 0) continue;
      const start = block * fs_bsize;
      if (start >= inode.size) break;
      if (start > position) yield { bytes: null, length: start - position };
      const length = Math.min(fs_bsize, inode.size - start);
      yield { bytes: this.fragments(address, fragments).subarray(0, length), length };
      position = start + length;
    }
    if (position < inode.size) yield { bytes: null, length: inode.size - position };
  }

  /** The whole content in memory. @param limit most bytes to return */
  content(inode: Inode, limit = 1 << 30): Buffer {
    const parts: Buffer[] = [];
    let total = 0;
    for (const { bytes, length } of this.pieces(inode)) {
      total += length;
      if (total > limit) throw new RangeError(`content is longer than ${limit} bytes`);
      parts.push(bytes ?? Buffer.alloc(length));
    }
    return Buffer.concat(parts);
  }

  /** SHA-256 of the content in hexadecimal. */
  sha256(inode: Inode): string {
    const hash = createHash('sha256');
    const zeros = Buffer.alloc(1 << 16);
    for (const { bytes, length } of this.pieces(inode)) {
      if (bytes !== null) hash.update(bytes);
      else for (let rest = length; rest > 0; rest -= zeros.length) hash.update(zeros.subarray(0, rest));
    }
    return hash.digest('hex');
  }

  /** Names and inode numbers of a directory without `.` and `..`. */
  names(directory: Inode): { readonly name: string; readonly number: number }[] {
    const names: { name: string; number: number }[] = [];
    for (const record of readRecords(this.content(directory))) {
      if ('problem' in record || record.inode === 0) continue;
      if (record.name !== '.' && record.name !== '..')
        names.push({ name: record.name, number: record.inode });
    }
    return names;
  }

  /** Every name of the tree, a directory before what it holds, in the order of the directories. */
  *walk(): Generator<WalkEntry> {
    const pending: { path: string; number: number }[] = [{ path: '.', number: ROOT_INODE }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const read = this.inode(next.number);
      const inode = { ...read, bytes: read.bytes.slice() };
      yield { ...next, inode };
      if ((inode.mode & S_IFMT) !== S_IFDIR) continue;
      const { path } = next;
      for (const { name, number } of this.names(inode).reverse()) {
        pending.push({ path: `${path}/${name}`, number });
      }
    }
  }
}
