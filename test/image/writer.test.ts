import { describe, expect, test } from 'vitest';
import { ImageError } from '../../image/errors.ts';
import { IndirectCounter } from '../../image/ufs2/block-map.ts';
import { checkFileSystem } from '../../image/ufs2/checker.ts';
import { decodeGroup } from '../../image/ufs2/cylinder-group.ts';
import { encodeDevice } from '../../image/ufs2/format.ts';
import { decodeSuperblock } from '../../image/ufs2/superblock.ts';
import { FileTree } from '../../image/ufs2/tree.ts';
import { writeFileSystem } from '../../image/ufs2/writer.ts';
import { expectContent, expectTree, inodesByPath } from './expected-tree.ts';
import {
  MemoryImage,
  ORDINARY_OPTIONS,
  type SyntheticEntry,
  syntheticTree,
  type Written,
  writeSynthetic,
} from './synthetic-image.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;

function codeOf(action: () => unknown): ImageError {
  try {
    action();
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** Fragments of 4096 bytes of a dense file, by the rules of fs(5), computed apart from the writer. */
function denseFragments(size: number): number {
  const blocks = Math.floor(size / 32768);
  const rest = size % 32768;
  if (blocks < 12 || (blocks === 12 && rest === 0)) return blocks * 8 + Math.ceil(rest / 4096);
  const whole = Math.ceil(size / 32768);
  let indirect = 1;
  const beyond = whole - 12 - 4096;
  if (beyond > 0) indirect += 1 + Math.ceil(beyond / 4096);
  return (whole + indirect) * 8;
}

describe('sizes', () => {
  const sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 32767, 32768, 32769];
  for (let fragments = 1; fragments <= 8; fragments++) {
    for (const offset of [-1, 0, 1])
      sizes.push(fragments * 4096 + offset, 32768 * 5 + fragments * 4096 + offset);
  }
  for (const blocks of [11, 12, 13, 14]) {
    for (const offset of [-32768, -4097, -4096, -1, 0, 1, 4096, 4097]) sizes.push(blocks * 32768 + offset);
  }
  sizes.push(5_000_000);

  test('around every boundary of fragments, blocks and direct blocks', () => {
    const entries = [...new Set(sizes)].map(
      (size): SyntheticEntry => ({ path: `size-${size}`, type: 'file', size }),
    );
    const written = writeSynthetic(entries, 128 * MIB);
    expectTree(written, entries);
    for (const [path, { inode }] of inodesByPath(written.reader)) {
      if (path === '') continue;
      expect([path, inode.blocks]).toEqual([path, denseFragments(inode.size) * 8]);
    }
  });

  test('a dense file longer than the first indirect block reaches', () => {
    const size = (12 + 4096 + 3) * 32768 - 5;
    const entries: SyntheticEntry[] = [{ path: 'big', type: 'file', size }];
    const written = writeSynthetic(entries, 256 * MIB);
    expectTree(written, entries);
    const inode = inodesByPath(written.reader).get('big')?.inode;
    expect(inode?.blocks).toBe(denseFragments(size) * 8);
    expect(inode?.indirect.map((address) => address !== 0)).toEqual([true, true, false]);
  });

  test.each([
    [4096, 512],
    [8192, 1024],
    [16384, 2048],
    [32768, 32768],
    [32768, 16384],
    [32768, 8192],
    [65536, 8192],
  ])('with blocks of %i and fragments of %i', (blockSize, fragmentSize) => {
    const entries: SyntheticEntry[] = [{ path: 'd', type: 'dir' }];
    for (let i = 0; i < 60; i++) {
      entries.push({ path: `d/f${i}`, type: 'file', size: Math.floor((i * i * fragmentSize) / 70) });
    }
    entries.push({ path: 'double', type: 'file', size: blockSize * 20 });
    expectTree(writeSynthetic(entries, 192 * MIB, { blockSize, fragmentSize }), entries);
  });
});

describe('holes', () => {
  const block = 32768;
  /** A file of which only these blocks are data. */
  const sparse = (path: string, blocks: readonly number[], size: number): SyntheticEntry => ({
    path,
    type: 'file',
    size,
    ranges: blocks.map((n) => ({ start: n * block, end: Math.min(size, (n + 1) * block) })),
  });
  const firstDouble = 12 + 4096;
  const firstTriple = firstDouble + 4096 * 4096;
  const cases: [string, number[], number][] = [
    ['front', [1], 2 * block],
    ['middle', [0, 5], 6 * block],
    ['all but the tail', [], 3 * block + 100],
    ['everything', [], 40 * block],
    ['ends with the direct blocks', [11], 12 * block],
    ['one past the direct blocks', [12], 13 * block],
    ['last of the single indirect', [12, firstDouble - 1], firstDouble * block],
    ['one before the last of the single indirect', [firstDouble - 2], (firstDouble - 1) * block - 7],
    ['first of the double indirect', [firstDouble], (firstDouble + 1) * block],
    ['across single and double', [firstDouble - 1, firstDouble], (firstDouble + 1) * block - 1],
    ['second group of the double indirect', [firstDouble + 4096], (firstDouble + 4097) * block],
    ['last of the double indirect', [3, firstTriple - 1], firstTriple * block],
    ['across double and triple', [firstTriple - 1, firstTriple], (firstTriple + 1) * block],
    [
      'deep in the triple indirect',
      [0, 12, firstDouble, firstTriple + 4096 * 4096 + 5],
      (firstTriple + 4096 * 4096 + 6) * block,
    ],
    ['the largest file of all', [], 2252349704110079],
  ];

  test.each(cases)('%s', (_, blocks, size) => {
    const entries = [sparse('file', blocks, size), { path: 'next', type: 'file', size: 70000 } as const];
    const written = writeSynthetic(entries, 32 * MIB);
    expectTree(written, entries);
    const inode = inodesByPath(written.reader).get('file')?.inode;
    if (inode === undefined) throw new Error('no inode');
    // The last block is always there: UFS has no hole at the end of a file.
    const stored = new Set([...blocks, Math.ceil(size / block) - 1]);
    const pointers = [...written.reader.pointers(inode)];
    expect(new Set(pointers.filter(({ level }) => level === 0).map((pointer) => pointer.block))).toEqual(
      stored,
    );
    const fragments = pointers.reduce((sum, pointer) => sum + pointer.fragments, 0);
    expect(inode.blocks).toBe(fragments * 8);
    const counter = new IndirectCounter(4096);
    for (const n of [...stored].sort((a, b) => a - b)) counter.range(n, n + 1);
    expect(counter.blocks).toBe(pointers.filter(({ level }) => level > 0).length);
    const holes = expectContent(written, 'file', inode);
    const blocksInFile = Math.ceil(size / block);
    expect(holes).toBe(
      [...stored].reduce((rest, n) => rest - (n === blocksInFile - 1 ? size - n * block : block), size),
    );
  });
});

describe('directories and names', () => {
  test('a directory with 100,000 entries', () => {
    const entries: SyntheticEntry[] = [{ path: 'many', type: 'dir' }];
    for (let i = 0; i < 100_000; i++) entries.push({ path: `many/entry-${i}`, type: 'file' });
    const written = writeSynthetic(entries, GIB);
    expect(checkFileSystem(written.image).findings).toEqual([]);
    const directory = inodesByPath(written.reader).get('many')?.inode;
    if (directory === undefined) throw new Error('no directory');
    expect(directory.size).toBeGreaterThan(12 * 32768);
    expect(directory.size % 512).toBe(0);
    const names = written.reader.names(directory).map(({ name }) => name);
    expect(names).toEqual(
      entries
        .slice(1)
        .map(({ path }) => path.slice(5))
        .sort(),
    );
  });

  test('names of 1 to 255 bytes, of any byte but slash and NUL', () => {
    const entries: SyntheticEntry[] = [];
    for (let length = 1; length <= 255; length++) {
      entries.push({ path: 'n'.repeat(length), type: 'file', size: length });
    }
    for (let byte = 1; byte < 256; byte++) {
      if (byte !== 47) entries.push({ path: `byte-${String.fromCharCode(byte)}`, type: 'fifo' });
    }
    expectTree(writeSynthetic(entries, 16 * MIB), entries);
  });

  test('a name of 256 bytes is refused', () => {
    const error = codeOf(() => syntheticTree([{ path: `a/${'n'.repeat(256)}`, type: 'file' }]));
    expect(error.code).toBe('NameTooLong');
    expect(error.message).toContain('256 bytes');
  });

  test('chunks: the records that just fit and the one that just does not', () => {
    // "." and ".." take 24 bytes; a name of 59 takes 68, of 60 takes 72: 24 + 4·68 + 3·72 = 512.
    for (const [last, size] of [
      [60, 512],
      [64, 1024],
    ] as const) {
      const lengths = [59, 59, 59, 59, 60, 60, last];
      const entries = lengths.map(
        (length, i): SyntheticEntry => ({ path: String.fromCharCode(97 + i).repeat(length), type: 'file' }),
      );
      const written = writeSynthetic(entries, 16 * MIB);
      expectTree(written, entries);
      expect(inodesByPath(written.reader).get('')?.inode.size).toBe(size);
    }
  });

  test('a tree 600 directories deep with paths beyond PATH_MAX', () => {
    const entries: SyntheticEntry[] = [];
    let path = '';
    for (let depth = 0; depth < 600; depth++) {
      path = path === '' ? `directory-${depth}` : `${path}/directory-${depth}`;
      entries.push({ path, type: 'dir' });
    }
    entries.push({ path: `${path}/file`, type: 'file', size: 12345 });
    expect(path.length).toBeGreaterThan(4096);
    const written = writeSynthetic(entries, 64 * MIB);
    expectTree(written, entries);
    expect(inodesByPath(written.reader).get(path)?.inode.depth).toBe(600);
  });

  test('hard links share an inode, and the last line of the specification settles its attributes', () => {
    const entries: SyntheticEntry[] = [
      { path: 'a', type: 'dir' },
      { path: 'z-first', type: 'file', size: 50000 },
      { path: 'a/second', type: 'file', linkTo: 'z-first' },
      { path: 'third', type: 'file', linkTo: 'z-first' },
      { path: 'sym', type: 'link', target: 't'.repeat(300) },
      { path: 'sym-again', type: 'link', linkTo: 'sym' },
    ];
    expectTree(writeSynthetic(entries, 16 * MIB), entries);

    const tree = new FileTree();
    tree.add('', { type: 'dir', mode: 0o755 });
    const first = tree.add('one', { type: 'file', mode: 0o644, uid: 1, flags: 0x20000, seconds: 5 });
    const second = tree.add('two', { type: 'file', mode: 0o600, uid: 2 });
    tree.joinLinks([second, first]);
    const image = new MemoryImage(16 * MIB);
    writeFileSystem(tree, syntheticTree([]).contents, image, { ...ORDINARY_OPTIONS, size: 16 * MIB });
    expect(tree.mode[first]).toBe(0o100600);
    expect([tree.uid[first], tree.flags[first], tree.seconds[first]]).toEqual([2, 0x20000, 5]);
  });

  test('more links than di_nlink counts are refused', () => {
    const entries: SyntheticEntry[] = [];
    for (let i = 0; i < 32766; i++) entries.push({ path: `d${i}`, type: 'dir' });
    const error = codeOf(() => writeSynthetic(entries, 2 * GIB));
    expect(error.code).toBe('TooManyLinks');
    expect(error.message).toContain('32768');
  });
});

describe('attributes', () => {
  test('symbolic links of 1 to 1023 bytes; shorter than 120 live in the inode', () => {
    const entries = [1, 2, 118, 119, 120, 121, 512, 1023].map(
      (length): SyntheticEntry => ({
        path: `link-${length}`,
        type: 'link',
        mode: 0o755,
        target: 'x'.repeat(length),
      }),
    );
    const written = writeSynthetic(entries, 16 * MIB);
    expectTree(written, entries);
    for (const [path, { inode }] of inodesByPath(written.reader)) {
      if (path !== '') expect([path, inode.blocks]).toEqual([path, inode.size < 120 ? 0 : 8]);
    }
  });

  test('device nodes, pipes, sockets; modes, owners, flags, times', () => {
    const entries: SyntheticEntry[] = [
      { path: 'null', type: 'char', mode: 0o666, device: encodeDevice(1, 3) },
      { path: 'wide', type: 'block', mode: 0o640, gid: 5, device: encodeDevice(0x12345678, 0x9abcdef0) },
      { path: 'pipe', type: 'fifo', mode: 0o600 },
      { path: 'sock', type: 'socket', mode: 0o777 },
      { path: 'su', type: 'file', mode: 0o4555, size: 3 },
      { path: 'sg', type: 'file', mode: 0o2755, size: 3 },
      { path: 'tmp', type: 'dir', mode: 0o1777 },
      { path: 'owned', type: 'file', uid: 4294967294, gid: 65534, mode: 0 },
      { path: 'old', type: 'file', seconds: -315619199, nanoseconds: 999999999 },
      { path: 'older', type: 'file', seconds: -62135596800 },
      { path: 'new', type: 'file', seconds: 2208988801, nanoseconds: 1 },
      { path: 'newer', type: 'file', seconds: 253402300799 },
      ...[1, 2, 4, 8, 16, 0x80, 0x800, 0x8000, 0x10000, 0x20000, 0x40000, 0x100000, 0x170817].map(
        (flags): SyntheticEntry => ({ path: `flags-${flags}`, type: 'file', flags }),
      ),
    ];
    expectTree(writeSynthetic(entries, 16 * MIB), entries);
  });

  test('a device number is encoded as FreeBSD 12 and later do', () => {
    // makedev(0x12345678, 0x9abcdef0) of sys/types.h, computed by hand.
    expect(encodeDevice(0x12345678, 0x9abcdef0)).toEqual({ low: 0x9abc78f0, high: 0x123456de });
    expect(encodeDevice(1, 3)).toEqual({ low: 0x103, high: 0 });
  });
});

describe('the volume', () => {
  const tree = (files: number, size: number): SyntheticEntry[] =>
    Array.from({ length: files }, (_, i) => ({ path: `f${i}`, type: 'file', size }));

  test.each([1, 2, 3, 5, 8, 16, 33, 64, 100, 257, 1000].map((mib) => [mib]))('of %i MiB, empty', (mib) => {
    expectTree(writeSynthetic([], mib * MIB), []);
  });

  test('of sizes that end in the middle of a block, a fragment, a group', () => {
    for (let sectors = 0; sectors < 150; sectors++) {
      const written = writeSynthetic(tree(3, 40000), 24 * MIB + sectors * 512);
      expect([sectors, checkFileSystem(written.image).findings]).toEqual([sectors, []]);
    }
  });

  test('filled to the last fragment', () => {
    // The size that the refusal names is enough, and nothing is written before the refusal.
    const entries = [
      ...tree(500, 31 * 1024),
      ...tree(40, 1_000_000).map((e, i) => ({ ...e, path: `g${i}` })),
    ];
    const { tree: files, contents } = syntheticTree(entries);
    const image = new MemoryImage(4 * MIB);
    const error = codeOf(() =>
      writeFileSystem(files, contents, image, { ...ORDINARY_OPTIONS, size: image.size }),
    );
    expect(error.code).toBe('VolumeTooSmall');
    expect(error.remedy).toContain('rootSize');
    expect([...image.written()]).toEqual([]);
    const needed = Number(/at least (\d+) MiB/.exec(error.message)?.[1]);
    const written = writeSynthetic(entries, needed * MIB);
    expectTree(written, entries);
    expect(codeOf(() => writeSynthetic(entries, (needed - 2) * MIB)).code).toBe('VolumeTooSmall');
    const { superblock } = written.reader;
    expect(superblock.fs_cstotal_nbfree * 8 + superblock.fs_cstotal_nffree).toBeLessThan(1000);
  });

  test('every fragment can be used: the data that fits is what the empty volume has free', () => {
    const size = 20 * MIB + 4096 * 5;
    const free = writeSynthetic([], size).reader.superblock;
    // The root directory takes one of the counted fragments.
    const room = free.fs_cstotal_nbfree * 8 + free.fs_cstotal_nffree;
    const entries = tree(room, 4096);
    // Room for names has to come from somewhere: take files away until the directory fits too.
    let count = entries.length;
    while (count > 0) {
      try {
        const written = writeSynthetic(entries.slice(0, count), size, { density: 4096 });
        expect(checkFileSystem(written.image).findings).toEqual([]);
        break;
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        count--;
      }
    }
    expect(count).toBeGreaterThan(room * 0.9);
  });

  test('too small for anything', () => {
    expect(codeOf(() => writeSynthetic([], 65536)).code).toBe('VolumeTooSmall');
    expect(codeOf(() => writeSynthetic([], 1000)).code).toBe('Usage');
  });

  test('gets as many inodes as the tree needs, unless a density was asked for', () => {
    const entries = tree(7000, 0);
    const written = writeSynthetic(entries, 48 * MIB);
    expect(checkFileSystem(written.image).findings).toEqual([]);
    expect(written.reader.superblock.fs_ipg * written.reader.superblock.fs_ncg).toBeGreaterThan(7002);
    expect(codeOf(() => writeSynthetic(entries, 48 * MIB, { density: 65536 })).code).toBe('TooFewInodes');
    expect(codeOf(() => writeSynthetic(entries, 4 * MIB)).code).toBe('VolumeTooSmall');
  });

  test('backup superblocks know where they lie', () => {
    const { image, reader } = writeSynthetic([], 32 * MIB);
    const { fs_ncg, fs_fpg, fs_sblkno } = reader.superblock;
    const block = new Uint8Array(8192);
    for (let group = 0; group < fs_ncg; group++) {
      const at = (group * fs_fpg + fs_sblkno) * 4096;
      image.read(at, block, 0, block.length);
      expect(decodeSuperblock(block)).toEqual({ ...reader.superblock, fs_sblockactualloc: at });
    }
  });

  test('the largest file size is exact, past 2^53 too', () => {
    for (const [blockSize, exact] of [
      [32768, 2252349704110079n],
      [65536, 36033195603132415n],
    ] as const) {
      const { image, reader } = writeSynthetic([], 32 * MIB, { blockSize });
      for (const at of [65536, reader.superblock.fs_sblkno * reader.superblock.fs_fsize]) {
        const bytes = Buffer.alloc(8);
        image.read(at + 1328, bytes, 0, 8);
        expect(bytes.readBigInt64LE()).toBe(exact);
      }
    }
  });

  test.each([0, 512, 4096, 4608])('%i bytes past whole blocks: what GEOM looks at is written', (odd) => {
    const size = 8 * MIB + odd;
    const { image } = writeSynthetic([], size);
    const boot = Buffer.alloc(65536 - 20);
    image.read(0, boot, 0, boot.length);
    expect(boot.every((byte) => byte === 0)).toBe(true);
    const end = Buffer.alloc(512);
    image.read(size - 512, end, 0, 512);
    expect(end.every((byte) => byte === 0)).toBe(true);
  });

  test('files across many groups', () => {
    const entries = tree(260, 1_000_001);
    const written = writeSynthetic(entries, GIB);
    expectTree(written, entries);
    const small = writeSynthetic(entries.slice(0, 40), 48 * MIB);
    expectTree(small, entries.slice(0, 40));
    expect(small.reader.superblock.fs_ncg).toBe(4);
  });

  test.each([0, 100, 253, 254, 255, 380, 381, 382, 383, 500, 1100, 1149, 1150])(
    'keeps a block of free, zeroed inodes after the last of %i more',
    (files) => {
      const { reader } = writeSynthetic(tree(files, 0), 32 * MIB);
      const { fs_cblkno, fs_frag, fs_ipg, fs_inopb } = reader.superblock;
      const used = files + 3;
      const group = decodeGroup(reader.fragments(fs_cblkno, fs_frag));
      const room = Math.min(fs_ipg, used) + fs_inopb;
      expect(group.initialisedInodes).toBeGreaterThanOrEqual(Math.min(fs_ipg, Math.max(2 * fs_inopb, room)));
      expect(group.initialisedInodes).toBeLessThan(Math.max(2 * fs_inopb + 1, room + fs_inopb));
      for (let inode = used; inode < group.initialisedInodes; inode++) {
        expect(reader.inode(inode).bytes.every((byte) => byte === 0)).toBe(true);
      }
    },
  );

  test('inodes across many groups', () => {
    const entries = tree(2300, 10);
    const written = writeSynthetic(entries, 32 * MIB, { density: 16384 });
    expectTree(written, entries);
    const { fs_ipg } = written.reader.superblock;
    expect(fs_ipg * 2).toBeLessThan(2300);
  });
});

describe('the same input', () => {
  const entries: SyntheticEntry[] = [
    { path: 'd', type: 'dir' },
    { path: 'd/e', type: 'dir' },
    ...Array.from(
      { length: 300 },
      (_, i): SyntheticEntry => ({ path: `d/f${i}`, type: 'file', size: i * 977 }),
    ),
    { path: 'd/e/hole', type: 'file', size: 1_000_000, ranges: [{ start: 400_000, end: 500_000 }] },
    { path: 'd/again', type: 'file', linkTo: 'd/f7' },
    { path: 'long', type: 'link', target: 'y'.repeat(200) },
  ];
  const bytesOf = ({ image }: Written): string =>
    [...image.written()].map(([at, bytes]) => `${at}:${bytes.toString('base64')}`).join('\n');

  test('gives the same bytes', () => {
    const first = writeSynthetic(entries, 48 * MIB);
    const second = writeSynthetic(entries, 48 * MIB);
    expect(bytesOf(second) === bytesOf(first)).toBe(true);
    const other = writeSynthetic(entries, 48 * MIB, { id: [1, 2] });
    expect(bytesOf(other) === bytesOf(first)).toBe(false);
  });

  test('in another order gives the same tree layout', () => {
    const list = (written: Written) =>
      [...inodesByPath(written.reader)].map(([path, { number, inode }]) => [
        path,
        number,
        inode.size,
        inode.direct,
      ]);
    const shuffled = entries.slice(0, 2).concat(entries.slice(2, 302).reverse(), entries.slice(302));
    expect(list(writeSynthetic(shuffled, 48 * MIB))).toEqual(list(writeSynthetic(entries, 48 * MIB)));
  });
});
