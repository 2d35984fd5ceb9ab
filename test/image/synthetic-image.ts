import type { ImageSink } from '../../image/ufs2/data-stream.ts';
import type { FileType } from '../../image/ufs2/format.ts';
import { type ByteReader, FileSystemReader } from '../../image/ufs2/reader.ts';
import { type EntryAttributes, FileTree } from '../../image/ufs2/tree.ts';
import {
  type DataRange,
  type FileContents,
  type WriteOptions,
  type WriteReport,
  writeFileSystem,
} from '../../image/ufs2/writer.ts';

const CHUNK = 65536;
const UNIT = 256;
/** What never-written bytes read as: a reader that looks at them stumbles. */
const POISON = 0xa5;

/** An image in memory. What was never written reads as poison, so that "a hole is never read" is tested everywhere. */
export class MemoryImage implements ImageSink, ByteReader {
  readonly size: number;
  readonly #chunks = new Map<number, { bytes: Buffer; written: Uint8Array }>();

  constructor(size: number) {
    this.size = size;
  }

  write(position: number, source: Uint8Array, offset: number, length: number): void {
    if (position + length > this.size) throw new RangeError(`write past the end: ${position} + ${length}`);
    if (position % UNIT !== 0 || length % UNIT !== 0)
      throw new RangeError(`odd write: ${position} + ${length}`);
    for (let done = 0; done < length; ) {
      const index = Math.floor((position + done) / CHUNK);
      const from = (position + done) % CHUNK;
      const part = Math.min(length - done, CHUNK - from);
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = { bytes: Buffer.alloc(CHUNK, POISON), written: new Uint8Array(CHUNK / UNIT) };
        this.#chunks.set(index, chunk);
      }
      chunk.bytes.set(source.subarray(offset + done, offset + done + part), from);
      chunk.written.fill(1, from / UNIT, (from + part) / UNIT);
      done += part;
    }
  }

  read(position: number, target: Uint8Array, offset: number, length: number): void {
    for (let done = 0; done < length; ) {
      const index = Math.floor((position + done) / CHUNK);
      const from = (position + done) % CHUNK;
      const part = Math.min(length - done, CHUNK - from);
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) target.fill(POISON, offset + done, offset + done + part);
      else target.set(chunk.bytes.subarray(from, from + part), offset + done);
      done += part;
    }
  }

  /** Everything that was written, as [position, bytes], ascending. */
  *written(): Generator<[number, Buffer]> {
    for (const index of [...this.#chunks.keys()].sort((a, b) => a - b)) {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) continue;
      for (let unit = 0; unit < chunk.written.length; unit++) {
        if (chunk.written[unit] !== 1) continue;
        const first = unit;
        while (unit < chunk.written.length && chunk.written[unit] === 1) unit++;
        yield [index * CHUNK + first * UNIT, chunk.bytes.subarray(first * UNIT, unit * UNIT)];
      }
    }
  }

  /** Changes bytes in place: damage for the checker's tests. */
  patch(position: number, change: (view: DataView) => void, length = 8): void {
    const bytes = Buffer.alloc(length);
    this.read(position, bytes, 0, length);
    change(new DataView(bytes.buffer, bytes.byteOffset, length));
    for (let i = 0; i < length; i++) {
      const chunk = this.#chunks.get(Math.floor((position + i) / CHUNK));
      if (chunk === undefined) throw new RangeError(`nothing was written at ${position + i}`);
      chunk.bytes[(position + i) % CHUNK] = bytes[i] ?? 0;
    }
  }

  /** A copy that can be damaged by itself. */
  copy(): MemoryImage {
    const copy = new MemoryImage(this.size);
    for (const [position, bytes] of this.written()) copy.write(position, bytes, 0, bytes.length);
    return copy;
  }
}

/** A prime length, so that no two blocks of a file are equal. */
const PATTERN = Buffer.alloc(65521);
for (let i = 0, x = 12345; i < PATTERN.length; i++) {
  x = (Math.imul(x, 1103515245) + 12345) >>> 0;
  // Never zero, so that holes and data cannot be confused.
  PATTERN[i] = ((x >>> 16) % 255) + 1;
}

/** Fills a range of a file's content: the bytes depend on the seed and the position only. */
export function pattern(
  seed: number,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): void {
  for (let done = 0; done < length; ) {
    const from = (position + done + seed * 7919) % PATTERN.length;
    const part = Math.min(length - done, PATTERN.length - from);
    target.set(PATTERN.subarray(from, from + part), offset + done);
    done += part;
  }
}

export interface SyntheticEntry {
  /** Names joined by `/`; empty for the root. */
  readonly path: string;
  readonly type: FileType;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly flags?: number;
  readonly seconds?: number;
  readonly nanoseconds?: number;
  readonly target?: string;
  readonly device?: { readonly low: number; readonly high: number };
  readonly size?: number;
  /** Ranges with data; all else is hole. */
  readonly ranges?: readonly DataRange[];
  /** Path of another entry that this is a hard link of. */
  readonly linkTo?: string;
}

/** Contents of synthetic files: a pattern seeded by the node, zeros outside the ranges of a sparse file. */
export class SyntheticContents implements FileContents {
  readonly sparse = new Map<number, readonly DataRange[]>();
  #node = -1;

  open(node: number): void {
    if (this.#node >= 0) throw new Error('two files open at a time');
    this.#node = node;
  }

  read(target: Uint8Array, offset: number, length: number, position: number): void {
    if (this.#node < 0) throw new Error('no file is open');
    this.fill(this.#node, target, offset, length, position);
  }

  fill(node: number, target: Uint8Array, offset: number, length: number, position: number): void {
    pattern(node, target, offset, length, position);
    const ranges = this.sparse.get(node);
    if (ranges === undefined) return;
    let at = position;
    for (const { start, end } of ranges) {
      if (start > at) zero(target, offset - position, at, Math.min(start, position + length));
      at = Math.max(at, end);
    }
    zero(target, offset - position, at, position + length);
  }

  *ranges(node: number): Generator<DataRange> {
    yield* this.sparse.get(node) ?? [];
  }

  close(): void {
    this.#node = -1;
  }
}

function zero(target: Uint8Array, shift: number, from: number, to: number): void {
  if (to > from) target.fill(0, shift + from, shift + to);
}

/** Builds a tree from entries; the root and missing attributes get ordinary values. */
export function syntheticTree(entries: readonly SyntheticEntry[]): {
  tree: FileTree;
  contents: SyntheticContents;
} {
  const tree = new FileTree();
  const contents = new SyntheticContents();
  const ordinary = { uid: 0, gid: 0, seconds: 1_700_000_000, nanoseconds: 0 };
  tree.add('', { type: 'dir', mode: 0o755, ...ordinary });
  const groups = new Map<number, number[]>();
  for (const { path, ranges, linkTo, ...rest } of entries) {
    const attributes: EntryAttributes = {
      mode: rest.type === 'dir' ? 0o755 : 0o644,
      ...ordinary,
      ...rest,
    };
    const node = tree.add(path, attributes);
    if (ranges !== undefined) {
      tree.sparse[node] = 1;
      contents.sparse.set(node, ranges);
    }
    if (linkTo !== undefined) {
      const first = tree.resolve(linkTo);
      groups.set(first, [...(groups.get(first) ?? [first]), node]);
      tree.size[node] = tree.size[first] ?? 0;
    }
  }
  for (const nodes of groups.values()) tree.joinLinks(nodes);
  return { tree, contents };
}

export interface Written {
  readonly image: MemoryImage;
  readonly report: WriteReport;
  readonly tree: FileTree;
  readonly contents: SyntheticContents;
  readonly reader: FileSystemReader;
}

export const ORDINARY_OPTIONS = {
  time: 1_700_000_000,
  id: [0x01234567, 0x89abcdef] as const,
  label: 'rootfs',
  softUpdates: true,
};

/** Writes entries into memory. @param size bytes of the volume */
export function writeSynthetic(
  entries: readonly SyntheticEntry[],
  size: number,
  options: Partial<WriteOptions> = {},
): Written {
  const { tree, contents } = syntheticTree(entries);
  const image = new MemoryImage(size);
  const report = writeFileSystem(tree, contents, image, { ...ORDINARY_OPTIONS, ...options, size });
  return { image, report, tree, contents, reader: new FileSystemReader(image) };
}
