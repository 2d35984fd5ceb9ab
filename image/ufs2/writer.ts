import { ImageError, reason } from '../errors.ts';
import { Allocator, OutOfSpace } from './allocator.ts';
import { IndirectCounter } from './block-map.ts';
import { encodeGroup, encodeSummary, SUMMARY_BYTES } from './cylinder-group.ts';
import { DataStream, type ImageSink } from './data-stream.ts';
import { DirectoryPacker, DirectorySizer } from './directory.ts';
import {
  DIRECT_BLOCKS,
  INODE_SIZE,
  MAX_LINKS,
  ROOT_INODE,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SHORT_SYMLINK_LIMIT,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  VOLUME_LABEL_LENGTH,
} from './format.ts';
import { DINODE, generation, setInt64, setTimes, setUint64 } from './inode.ts';
import {
  type GeometryOptions,
  groupLength,
  groupStart,
  inodeAddress,
  type Layout,
  planLayout,
} from './layout.ts';
import {
  describeSuperblock,
  encodeBootArea,
  encodeSuperblock,
  type Identity,
  maxFileSize,
  type Summary,
} from './superblock.ts';
import { type FileTree, ROOT } from './tree.ts';

/** A range of bytes of a file that holds data, from `start` up to, not including, `end`. */
export interface DataRange {
  readonly start: number;
  readonly end: number;
}

/** The contents of the regular files of a tree. One file is open at a time. */
export interface FileContents {
  open(node: number): void;
  /** Fills `target` from `offset` on with `length` bytes of the open file from byte `position` on. */
  read(target: Uint8Array, offset: number, length: number, position: number): void;
  /** Where the open file has data, ascending and apart; asked only of nodes with `tree.sparse` set. */
  ranges(node: number): Iterable<DataRange>;
  close(): void;
}

export interface WriteOptions extends GeometryOptions {
  readonly label?: string;
  readonly softUpdates?: boolean;
  /** Seconds since the epoch that the file system says it was written at. */
  readonly time: number;
  readonly id: readonly [number, number];
}

export interface WriteReport {
  readonly size: number;
  readonly inodes: number;
  readonly directories: number;
  /** Fragments of file data, directories and indirect blocks. */
  readonly fragments: number;
  readonly bytesWritten: number;
  readonly groups: number;
  readonly blockSize: number;
  readonly fragmentSize: number;
}

/** Bytes held back to be written in one piece. */
const DATA_WINDOW = 4 << 20;
const INODE_WINDOW = 1 << 19;

/**
 * Writes a UFS2 file system. The same tree, contents and options give the same bytes. What is never written (holes in
 * the sink) is never read by a kernel either: free space, inodes not yet initialised, holes of files.
 *
 * Needs memory for the columns of the tree, the maps of the groups that hold data, and a few buffers; contents pass
 * through.
 * @throws ImageError `VolumeTooSmall` with the size needed, before anything is written; `TooFewInodes`,
 *   `FileTooLarge`, `TooManyLinks`, `Usage`, and what the contents throw
 */
export function writeFileSystem(
  tree: FileTree,
  contents: FileContents,
  sink: ImageSink,
  options: WriteOptions,
): WriteReport {
  return new Writer(tree, contents, sink, options).run();
}

class Writer {
  readonly #tree: FileTree;
  readonly #contents: FileContents;
  readonly #sink: ImageSink;
  readonly #options: WriteOptions;
  readonly #identity: Identity;
  readonly #starts: Uint32Array;
  readonly #order: Uint32Array;
  /** Inode number of each node that stands for an inode. */
  readonly #inode: Uint32Array;
  /** The node of each inode, in inode order from the root inode on. */
  readonly #nodes: Uint32Array;
  readonly #links: Uint32Array;
  readonly #depth: Uint16Array;
  #inodes = 0;
  #directories = 0;
  #bytesWritten = 0;
  readonly #layout: Layout;

  constructor(tree: FileTree, contents: FileContents, sink: ImageSink, options: WriteOptions) {
    this.#tree = tree;
    this.#contents = contents;
    this.#sink = {
      write: (position, source, offset, length) => {
        this.#bytesWritten += length;
        sink.write(position, source, offset, length);
      },
    };
    this.#options = options;
    const label = options.label ?? '';
    // newfs(8) -L takes letters, digits, '-' and '_'; '.' appears in labels made by makefs(8).
    if (!/^[A-Za-z0-9_.-]*$/.test(label) || label.length >= VOLUME_LABEL_LENGTH) {
      throw new ImageError(
        'Usage',
        `label ${JSON.stringify(label)} is not possible`,
        "use up to 31 letters, digits, '-', '_' and '.'",
      );
    }
    this.#identity = {
      label,
      softUpdates: options.softUpdates ?? false,
      time: options.time,
      id: options.id,
    };
    const { starts, order } = tree.children();
    this.#starts = starts;
    this.#order = order;
    this.#inode = new Uint32Array(tree.count);
    this.#nodes = new Uint32Array(tree.count);
    this.#links = new Uint32Array(tree.count);
    this.#depth = new Uint16Array(tree.count);
    this.#number();
    this.#layout = this.#plan();
  }

  run(): WriteReport {
    const layout = this.#layout;
    const allocator = new Allocator(layout);
    const initialised = new FileWriter(
      this.#tree,
      this.#contents,
      this.#sink,
      layout,
      allocator,
      this.#identity.id,
      {
        starts: this.#starts,
        order: this.#order,
        inode: this.#inode,
        links: this.#links,
        depth: this.#depth,
      },
    ).write(this.#nodes.subarray(0, this.#inodes));
    this.#finish(allocator, initialised);
    return {
      size: layout.sizeBytes,
      inodes: this.#inodes,
      directories: this.#directories,
      fragments: allocator.fragments,
      bytesWritten: this.#bytesWritten,
      groups: layout.groups,
      blockSize: layout.blockSize,
      fragmentSize: layout.fragmentSize,
    };
  }

  /** Gives inode numbers: a directory, then all it holds, then what its directories hold, each in the order of names. */
  #number(): void {
    const tree = this.#tree;
    const give = (node: number): void => {
      const owner = tree.link[node] ?? node;
      this.#links[owner] = (this.#links[owner] ?? 0) + 1;
      if (this.#inode[owner] !== 0) return;
      this.#inode[owner] = ROOT_INODE + this.#inodes;
      this.#nodes[this.#inodes++] = owner;
    };
    give(ROOT);
    const pending = [ROOT];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      this.#directories++;
      // The name in its parent and "."; each subdirectory adds its "..". The root is its own parent.
      this.#links[node] = 2;
      const from = this.#starts[node] ?? 0;
      const to = this.#starts[node + 1] ?? 0;
      let subdirectories = 0;
      for (let i = from; i < to; i++) {
        const child = this.#order[i] ?? 0;
        give(child);
        if (tree.isDirectory(child)) subdirectories++;
      }
      // Last pushed is first popped: pushed backwards, so that directories too come in the order of names.
      for (let i = to - 1; i >= from; i--) {
        const child = this.#order[i] ?? 0;
        if (!tree.isDirectory(child)) continue;
        this.#depth[child] = (this.#depth[node] ?? 0) + 1;
        pending.push(child);
      }
      this.#links[node] = 2 + subdirectories;
    }
  }

  #checkLimits(options: GeometryOptions): void {
    const blockSize = options.blockSize ?? 32768;
    const limit = maxFileSize({ blockSize, pointersPerBlock: blockSize / 8 });
    for (let i = 0; i < this.#inodes; i++) {
      const node = this.#nodes[i] ?? 0;
      const size = this.#tree.size[node] ?? 0;
      if (size > limit) {
        throw new ImageError(
          'FileTooLarge',
          `${JSON.stringify(this.#tree.path(node))} has ${size} bytes, UFS takes ${limit}`,
          'leave the file out',
        );
      }
      if ((this.#links[node] ?? 0) > MAX_LINKS) {
        throw new ImageError(
          'TooManyLinks',
          `${JSON.stringify(this.#tree.path(node))} has ${this.#links[node]} links, UFS takes ${MAX_LINKS}`,
          'spread the names over more files or directories',
        );
      }
    }
  }

  /**
   * The layout for the tree. Makes all allocations once without writing, so that a volume that is too small is refused
   * before any write.
   */
  #plan(): Layout {
    const options = { ...this.#options, inodes: this.#inodes };
    this.#checkLimits(options);
    // What one inode needs never changes: sparse files are read through only once.
    const sparseBlocks = new Map<number, { data: number; indirect: number }>();
    let tooSmall: unknown;
    try {
      const layout = planLayout(options);
      if (this.#fits(layout, sparseBlocks)) return layout;
    } catch (error) {
      // Too few inodes is a matter of size as long as nobody asked for a density.
      const small = error instanceof ImageError && error.code !== 'Usage' && options.density === undefined;
      if (!small) throw error;
      tooSmall = error;
    }
    const fits = (size: number): boolean => {
      try {
        return this.#fits(planLayout({ ...options, size }), sparseBlocks);
      } catch (error) {
        if (error instanceof ImageError && error.code !== 'Usage') return false;
        throw error;
      }
    };
    let low = options.size;
    let high = Math.max(1 << 20, Math.ceil(low / 4096) * 8192);
    while (!fits(high)) {
      low = high;
      high *= 2;
    }
    while (high - low > 1 << 20) {
      const middle = low + Math.max(1, Math.floor((high - low) / 2 / 4096)) * 4096;
      if (fits(middle)) high = middle;
      else low = middle;
    }
    const needed = Math.ceil(high / (1 << 20));
    const minfree = options.minfree ?? 8;
    const comfortable = Math.ceil(needed / (1 - minfree / 100));
    throw new ImageError(
      'VolumeTooSmall',
      `the tree does not fit into ${options.size} bytes, it needs at least ${needed} MiB (${comfortable} MiB with the ${minfree}% reserve free)`,
      'raise rootSize',
      tooSmall,
    );
  }

  #fits(layout: Layout, sparseBlocks: Map<number, { data: number; indirect: number }>): boolean {
    const allocator = new Allocator(layout);
    try {
      for (let i = 0; i < this.#inodes; i++) {
        const node = this.#nodes[i] ?? 0;
        const size = contentSize(this.#tree, node, this.#starts, this.#order);
        if (size === 0) continue;
        const shape = shapeOf(size, layout);
        let blocks = shape.blocks;
        if (this.#tree.sparse[node] === 1) {
          let known = sparseBlocks.get(node);
          if (known === undefined) {
            known = this.#measureSparse(node, size, layout);
            sparseBlocks.set(node, known);
          }
          blocks = known.data + known.indirect - (shape.tail > 0 ? 1 : 0);
        } else if (shape.last > DIRECT_BLOCKS) {
          const counter = new IndirectCounter(layout.pointersPerBlock);
          counter.range(0, shape.last);
          blocks += counter.blocks;
        }
        while (blocks > 0) {
          allocator.blocks(blocks);
          blocks -= allocator.count;
        }
        if (shape.tail > 0) allocator.tail(shape.tail);
      }
      return true;
    } catch (error) {
      if (error instanceof OutOfSpace) return false;
      throw error;
    }
  }

  #measureSparse(node: number, size: number, layout: Layout): { data: number; indirect: number } {
    const counter = new IndirectCounter(layout.pointersPerBlock);
    let data = 0;
    this.#contents.open(node);
    try {
      for (const [from, to] of dataBlocks(this.#contents.ranges(node), size, layout.blockSize)) {
        data += to - from;
        counter.range(from, to);
      }
    } finally {
      this.#contents.close();
    }
    return { data, indirect: counter.blocks };
  }

  /** Cylinder groups, summary area, superblocks: known only when everything else is written. */
  #finish(allocator: Allocator, initialised: Uint32Array): void {
    const layout = this.#layout;
    const total: Summary = { directories: 0, freeBlocks: 0, freeInodes: 0, freeFragments: 0 };
    const summaries = new Uint8Array(layout.summaryBytes);
    const summaryView = new DataView(summaries.buffer);
    const directories = new Uint32Array(layout.groups);
    for (let i = 0; i < this.#inodes; i++) {
      if (!this.#tree.isDirectory(this.#nodes[i] ?? 0)) continue;
      const group = Math.floor((i + ROOT_INODE) / layout.inodesPerGroup);
      directories[group] = (directories[group] ?? 0) + 1;
    }
    const usedInodes = this.#inodes + ROOT_INODE;
    for (let group = 0; group < layout.groups; group++) {
      const fragments = groupLength(layout, group);
      const freeMap = allocator.freeMap(group, fragments);
      if (group === layout.groups - 1) this.#clearEnd(freeMap, fragments);
      const used = Math.max(0, Math.min(layout.inodesPerGroup, usedInodes - group * layout.inodesPerGroup));
      const { block, summary } = encodeGroup(
        layout,
        group,
        fragments,
        freeMap,
        used,
        initialised[group] ?? 0,
        directories[group] ?? 0,
        this.#identity.time,
      );
      this.#put(groupStart(layout, group) + layout.groupBlock, block);
      encodeSummary(summaryView, group * SUMMARY_BYTES, summary);
      total.directories += summary.directories;
      total.freeBlocks += summary.freeBlocks;
      total.freeInodes += summary.freeInodes;
      total.freeFragments += summary.freeFragments;
    }
    this.#put(layout.summaryAddress, summaries);
    const superblock = describeSuperblock(layout, this.#identity, total);
    for (let group = 0; group < layout.groups; group++) {
      const address = groupStart(layout, group) + layout.superblock;
      this.#put(address, encodeSuperblock(superblock, address * layout.fragmentSize));
    }
    this.#sink.write(0, encodeBootArea(layout), 0, SUPERBLOCK_OFFSET);
    // Last: until now the image is no file system, so a run that broke off cannot be taken for a whole one.
    this.#sink.write(SUPERBLOCK_OFFSET, encodeSuperblock(superblock, SUPERBLOCK_OFFSET), 0, SUPERBLOCK_SIZE);
  }

  /**
   * Zeroes the last fragment, if nothing is stored there, and what follows it. GEOM classes keep their metadata in the
   * last sector (sys/geom/mirror, eli, label): what an earlier use of the disk left there would claim the volume.
   */
  #clearEnd(freeMap: Uint8Array, fragments: number): void {
    const { size, sizeBytes, fragmentSize } = this.#layout;
    const last = fragments - 1;
    const free = ((freeMap[last >> 3] ?? 0) & (1 << (last & 7))) !== 0;
    const from = (free ? size - 1 : size) * fragmentSize;
    if (from < sizeBytes) this.#sink.write(from, new Uint8Array(sizeBytes - from), 0, sizeBytes - from);
  }

  #put(fragment: number, bytes: Uint8Array): void {
    this.#sink.write(fragment * this.#layout.fragmentSize, bytes, 0, bytes.length);
  }
}

interface Numbers {
  readonly starts: Uint32Array;
  readonly order: Uint32Array;
  readonly inode: Uint32Array;
  readonly links: Uint32Array;
  readonly depth: Uint16Array;
}

/** Bytes that an inode stores outside itself. */
function contentSize(tree: FileTree, node: number, starts: Uint32Array, order: Uint32Array): number {
  const type = (tree.mode[node] ?? 0) & S_IFMT;
  if (type === S_IFREG) return tree.size[node] ?? 0;
  if (type === S_IFLNK) {
    const length = tree.targets.get(node)?.length ?? 0;
    return length < SHORT_SYMLINK_LIMIT ? 0 : length;
  }
  if (type !== S_IFDIR) return 0;
  const sizer = new DirectorySizer();
  const to = starts[node + 1] ?? 0;
  for (let i = starts[node] ?? 0; i < to; i++) sizer.add(tree.nameLength[order[i] ?? 0] ?? 0);
  return sizer.bytes;
}

/**
 * How content of `size` bytes is stored without holes: `last` logical blocks, of which `blocks` are whole blocks on disk
 * and one may be a tail of `tail` fragments. Only a file within the direct blocks has a tail (blksize in fs.h).
 */
function shapeOf(size: number, layout: Layout): { last: number; blocks: number; tail: number } {
  const last = Math.ceil(size / layout.blockSize);
  const rest = Math.ceil((size - (last - 1) * layout.blockSize) / layout.fragmentSize);
  const tail = last <= DIRECT_BLOCKS && rest < layout.frag ? rest : 0;
  return { last, blocks: tail > 0 ? last - 1 : last, tail };
}

/**
 * Logical blocks that hold data, as [from, to). The last block always does: UFS has no hole at the end of a file, and
 * fsck_ffs(8) would cut the file there.
 */
function* dataBlocks(
  ranges: Iterable<DataRange>,
  size: number,
  blockSize: number,
): Generator<[from: number, to: number]> {
  const last = Math.ceil(size / blockSize);
  let from = -1;
  let to = -1;
  for (const { start, end } of ranges) {
    const a = Math.floor(start / blockSize);
    const b = Math.min(last, Math.ceil(end / blockSize));
    if (b <= a) continue;
    if (from >= 0 && a <= to) {
      to = Math.max(to, b);
    } else {
      if (from >= 0) yield [from, to];
      from = a;
      to = b;
    }
  }
  if (from >= 0 && to === last) {
    yield [from, to];
  } else {
    if (from >= 0) yield [from, to];
    if (last > 0) yield [last - 1, last];
  }
}

/** Writes contents and inodes, in the order of the inode numbers. */
class FileWriter {
  readonly #tree: FileTree;
  readonly #contents: FileContents;
  readonly #layout: Layout;
  readonly #allocator: Allocator;
  readonly #id: readonly [number, number];
  readonly #numbers: Numbers;
  readonly #data: DataStream;
  readonly #inodeData: DataStream;
  readonly #inode = new DataView(new ArrayBuffer(INODE_SIZE));
  readonly #inodeBytes = new Uint8Array(this.#inode.buffer);
  /** Single, double and triple indirect block in work: its bytes, its address, and its place among its kind. */
  readonly #indirect: { block: Buffer; view: DataView; address: number; index: number }[];
  /** Whole blocks the open file holds so far. */
  #blocks = 0;

  constructor(
    tree: FileTree,
    contents: FileContents,
    sink: ImageSink,
    layout: Layout,
    allocator: Allocator,
    id: readonly [number, number],
    numbers: Numbers,
  ) {
    this.#tree = tree;
    this.#contents = contents;
    this.#layout = layout;
    this.#allocator = allocator;
    this.#id = id;
    this.#numbers = numbers;
    this.#data = new DataStream(sink, DATA_WINDOW);
    this.#inodeData = new DataStream(sink, INODE_WINDOW);
    this.#indirect = Array.from({ length: 3 }, () => {
      const block = Buffer.alloc(layout.blockSize);
      return { block, view: new DataView(block.buffer, block.byteOffset), address: 0, index: -1 };
    });
  }

  /** Returns how many inodes of each group have valid bytes on disk. */
  write(nodes: Uint32Array): Uint32Array {
    for (let i = 0; i < ROOT_INODE; i++) this.#putInode(i, true);
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i] ?? 0;
      this.#inodeBytes.fill(0);
      try {
        this.#content(node);
      } catch (error) {
        if (error instanceof ImageError || error instanceof OutOfSpace) throw error;
        throw new ImageError(
          'WriteFailed',
          `${JSON.stringify(this.#tree.path(node))}: ${reason(error)}`,
          'see the cause',
          error,
        );
      }
      this.#describe(node, ROOT_INODE + i);
      this.#putInode(ROOT_INODE + i, false);
    }
    this.#data.flush();
    const initialised = this.#initialise(ROOT_INODE + nodes.length);
    this.#inodeData.flush();
    return initialised;
  }

  #putInode(inode: number, empty: boolean): void {
    this.#inodeData.room(inodeAddress(this.#layout, inode), INODE_SIZE);
    const { buffer, offset } = this.#inodeData;
    if (empty) buffer.fill(0, offset, offset + INODE_SIZE);
    else buffer.set(this.#inodeBytes, offset);
  }

  /**
   * Zeroes the rest of the inode blocks that count as initialised: two blocks per group as newfs(8) does, and at least
   * one block of free inodes after the last used one, as the kernel keeps it.
   */
  #initialise(used: number): Uint32Array {
    const layout = this.#layout;
    const initialised = new Uint32Array(layout.groups);
    for (let group = 0; group < layout.groups; group++) {
      const first = group * layout.inodesPerGroup;
      const inUse = Math.max(0, Math.min(layout.inodesPerGroup, used - first));
      const blocks = Math.max(2, Math.ceil(inUse / layout.inodesPerBlock) + (inUse > 0 ? 1 : 0));
      const count = Math.min(layout.inodesPerGroup, blocks * layout.inodesPerBlock);
      initialised[group] = count;
      let at = inUse;
      while (at < count) {
        const next = Math.min(count, (Math.floor(at / layout.inodesPerBlock) + 1) * layout.inodesPerBlock);
        const length = (next - at) * INODE_SIZE;
        this.#inodeData.room(inodeAddress(layout, first + at), length);
        this.#inodeData.buffer.fill(0, this.#inodeData.offset, this.#inodeData.offset + length);
        at = next;
      }
    }
    return initialised;
  }

  #describe(node: number, inode: number): void {
    const tree = this.#tree;
    const view = this.#inode;
    const mode = tree.mode[node] ?? 0;
    view.setUint16(DINODE.mode, mode, true);
    view.setInt16(DINODE.nlink, this.#numbers.links[node] ?? 0, true);
    view.setUint32(DINODE.uid, tree.uid[node] ?? 0, true);
    view.setUint32(DINODE.gid, tree.gid[node] ?? 0, true);
    setTimes(view, 0, tree.seconds[node] ?? 0, tree.nanoseconds[node] ?? 0);
    view.setUint32(DINODE.gen, generation(this.#id, inode), true);
    view.setUint32(DINODE.flags, tree.flags[node] ?? 0, true);
    if ((mode & S_IFMT) === S_IFDIR) {
      view.setUint32(DINODE.dirdepth, this.#numbers.depth[node] ?? 0, true);
    }
  }

  /** Stores what the node contains and fills in size, blocks and pointers. */
  #content(node: number): void {
    const tree = this.#tree;
    const type = (tree.mode[node] ?? 0) & S_IFMT;
    this.#blocks = 0;
    if (type === S_IFREG) {
      const size = tree.size[node] ?? 0;
      setUint64(this.#inode, DINODE.size, size);
      if (size === 0) return;
      this.#contents.open(node);
      try {
        if (tree.sparse[node] === 1) this.#sparse(node, size);
        else this.#dense(size);
      } finally {
        this.#contents.close();
      }
    } else if (type === S_IFDIR) {
      this.#directory(node);
    } else if (type === S_IFLNK) {
      const target = Buffer.from(tree.targets.get(node) ?? '', 'latin1');
      setUint64(this.#inode, DINODE.size, target.length);
      if (target.length < SHORT_SYMLINK_LIMIT) this.#inodeBytes.set(target, DINODE.db);
      else this.#memory(target);
    } else if (type === S_IFCHR || type === S_IFBLK) {
      const device = tree.devices.get(node);
      this.#inode.setUint32(DINODE.db, device?.low ?? 0, true);
      this.#inode.setUint32(DINODE.db + 4, device?.high ?? 0, true);
    }
  }

  #dense(size: number): void {
    const shape = shapeOf(size, this.#layout);
    this.#wholeBlocks(0, shape.blocks, size);
    if (shape.tail > 0) this.#tail(shape, size);
    this.#closeIndirect(shape.tail);
  }

  #sparse(node: number, size: number): void {
    const shape = shapeOf(size, this.#layout);
    for (const [from, to] of dataBlocks(this.#contents.ranges(node), size, this.#layout.blockSize)) {
      this.#wholeBlocks(from, Math.min(to, shape.blocks), size);
    }
    if (shape.tail > 0) this.#tail(shape, size);
    this.#closeIndirect(shape.tail);
  }

  /** Copies logical blocks [from, to) of the open file. */
  #wholeBlocks(from: number, to: number, size: number): void {
    const { blockSize, fragmentSize, frag } = this.#layout;
    let block = from;
    while (block < to) {
      this.#enter(block);
      this.#allocator.blocks(Math.min(to, this.#boundary(block)) - block);
      const { start, count } = this.#allocator;
      for (let i = 0; i < count; i++) this.#point(block + i, start + i * frag);
      this.#blocks += count;
      let done = 0;
      while (done < count) {
        const address = start * fragmentSize + done * blockSize;
        const space = Math.floor(this.#data.space(address) / blockSize);
        const most = space > 0 ? space : Math.floor(this.#data.capacity / blockSize);
        const part = Math.min(count - done, most);
        const position = (block + done) * blockSize;
        const length = Math.min(part * blockSize, size - position);
        this.#data.room(address, part * blockSize);
        const { buffer, offset } = this.#data;
        this.#contents.read(buffer, offset, length, position);
        if (length < part * blockSize) buffer.fill(0, offset + length, offset + part * blockSize);
        done += part;
      }
      block += count;
    }
  }

  #tail(shape: { last: number; tail: number }, size: number): void {
    const { blockSize } = this.#layout;
    const position = (shape.last - 1) * blockSize;
    const offset = this.#tailRoom(shape.last - 1, shape.tail);
    const length = size - position;
    this.#contents.read(this.#data.buffer, offset, length, position);
    this.#data.buffer.fill(0, offset + length, offset + shape.tail * this.#layout.fragmentSize);
  }

  /** Allocates a tail for logical block `block` and gives its room; returns the offset in the data buffer. */
  #tailRoom(block: number, fragments: number): number {
    const { blockSize, fragmentSize } = this.#layout;
    this.#allocator.tail(fragments);
    const { start, opened } = this.#allocator;
    this.#point(block, start);
    const address = start * fragmentSize;
    if (opened) {
      // The whole block is held, so that the tails that come into its gap join the same write.
      this.#data.room(address, blockSize);
      this.#data.buffer.fill(0, this.#data.offset + fragments * fragmentSize, this.#data.offset + blockSize);
    } else {
      this.#data.room(address, fragments * fragmentSize);
    }
    return this.#data.offset;
  }

  /** Stores content that is in memory: long symbolic links. */
  #memory(content: Uint8Array): void {
    const shape = shapeOf(content.length, this.#layout);
    if (shape.last !== 1) throw new Error('content in memory exceeds a block');
    const length = shape.tail > 0 ? shape.tail * this.#layout.fragmentSize : this.#layout.blockSize;
    const offset = this.#firstRoom(shape);
    this.#data.buffer.set(content, offset);
    this.#data.buffer.fill(0, offset + content.length, offset + length);
    this.#closeIndirect(shape.tail);
  }

  #firstRoom(shape: { tail: number }): number {
    if (shape.tail > 0) return this.#tailRoom(0, shape.tail);
    this.#allocator.blocks(1);
    this.#blocks++;
    this.#point(0, this.#allocator.start);
    this.#data.room(this.#allocator.start * this.#layout.fragmentSize, this.#layout.blockSize);
    return this.#data.offset;
  }

  #directory(node: number): void {
    const { starts, order, inode } = this.#numbers;
    const tree = this.#tree;
    const layout = this.#layout;
    const size = contentSize(tree, node, starts, order);
    setUint64(this.#inode, DINODE.size, size);
    const shape = shapeOf(size, layout);
    const packer = new DirectoryPacker();
    const directoryType = S_IFDIR >> 12;
    const dots = Buffer.from('..');
    packer.add(inode[node] ?? 0, directoryType, dots, 0, 1);
    packer.add(inode[tree.parent[node] ?? ROOT] ?? 0, directoryType, dots, 0, 2);
    let at = starts[node] ?? 0;
    const end = starts[node + 1] ?? 0;
    const chunkSize = packer.chunk.length;
    let written = 0;
    for (let block = 0; block < shape.last; block++) {
      let offset: number;
      let length = layout.blockSize;
      if (block === shape.last - 1 && shape.tail > 0) {
        length = shape.tail * layout.fragmentSize;
        offset = this.#tailRoom(block, shape.tail);
      } else {
        this.#enter(block);
        this.#allocator.blocks(1);
        this.#blocks++;
        this.#point(block, this.#allocator.start);
        this.#data.room(this.#allocator.start * layout.fragmentSize, length);
        offset = this.#data.offset;
      }
      const { buffer } = this.#data;
      buffer.fill(0, offset, offset + length);
      for (let chunk = 0; chunk < length && written < size; chunk += chunkSize) {
        while (at < end) {
          const child = order[at] ?? 0;
          const nameLength = tree.nameLength[child] ?? 0;
          if (!packer.fits(nameLength)) break;
          const owner = tree.link[child] ?? child;
          packer.add(
            inode[owner] ?? 0,
            (tree.mode[owner] ?? 0) >> 12,
            tree.names,
            tree.nameStart[child] ?? 0,
            nameLength,
          );
          at++;
        }
        packer.close();
        buffer.set(packer.chunk, offset + chunk);
        packer.reset();
        written += chunkSize;
      }
    }
    this.#closeIndirect(shape.tail);
  }

  /** First logical block after `block` that another indirect block points to. */
  #boundary(block: number): number {
    if (block < DIRECT_BLOCKS) return DIRECT_BLOCKS;
    const n = this.#layout.pointersPerBlock;
    return DIRECT_BLOCKS + (Math.floor((block - DIRECT_BLOCKS) / n) + 1) * n;
  }

  /** Makes sure that the indirect blocks above logical block `block` are the ones in work. */
  #enter(block: number): void {
    if (block < DIRECT_BLOCKS) return;
    const n = this.#layout.pointersPerBlock;
    const group = Math.floor((block - DIRECT_BLOCKS) / n);
    if (this.#level(0).index === group) return;
    if (group === 0) {
      this.#open(0, 0, (address) => setInt64(this.#inode, DINODE.ib, address));
      return;
    }
    const second = Math.floor((group - 1) / n);
    if (this.#level(1).index !== second) {
      if (second === 0) {
        this.#open(1, 0, (address) => setInt64(this.#inode, DINODE.ib + 8, address));
      } else {
        if (this.#level(2).index !== 0) {
          this.#open(2, 0, (address) => setInt64(this.#inode, DINODE.ib + 16, address));
        }
        const slot = second - 1;
        this.#open(1, second, (address) => setInt64(this.#level(2).view, slot * 8, address));
      }
    }
    const slot = (group - 1) % n;
    this.#open(0, group, (address) => setInt64(this.#level(1).view, slot * 8, address));
  }

  #level(level: number) {
    const indirect = this.#indirect[level];
    if (indirect === undefined) throw new RangeError(`no indirect level ${level}`);
    return indirect;
  }

  #open(level: number, index: number, attach: (address: number) => void): void {
    const indirect = this.#level(level);
    this.#store(level);
    this.#allocator.blocks(1);
    this.#blocks++;
    indirect.index = index;
    indirect.address = this.#allocator.start;
    attach(indirect.address);
    // Its room is taken now, in the order of addresses, and filled when all its pointers are known.
    this.#data.room(indirect.address * this.#layout.fragmentSize, this.#layout.blockSize);
    this.#data.buffer.fill(0, this.#data.offset, this.#data.offset + this.#layout.blockSize);
  }

  #store(level: number): void {
    const indirect = this.#level(level);
    if (indirect.index < 0) return;
    this.#data.room(indirect.address * this.#layout.fragmentSize, this.#layout.blockSize);
    this.#data.buffer.set(indirect.block, this.#data.offset);
    indirect.block.fill(0);
    indirect.index = -1;
  }

  #point(block: number, address: number): void {
    if (block < DIRECT_BLOCKS) {
      setInt64(this.#inode, DINODE.db + block * 8, address);
    } else {
      const slot = (block - DIRECT_BLOCKS) % this.#layout.pointersPerBlock;
      setInt64(this.#level(0).view, slot * 8, address);
    }
  }

  /** Ends a file: stores its indirect blocks and counts what it occupies, in 512-byte units. */
  #closeIndirect(tail: number): void {
    for (let level = 0; level < 3; level++) this.#store(level);
    const { blockSize, fragmentSize } = this.#layout;
    setUint64(this.#inode, DINODE.blocks, (this.#blocks * blockSize + tail * fragmentSize) / 512);
  }
}
