import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeDevice, type FileType } from '../../image/ufs2/format.ts';
import { expectTree } from './expected-tree.ts';
import { type SyntheticEntry, writeSynthetic } from './synthetic-image.ts';

const BLOCK = 32768;

const name = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[a-z0-9._-]{1,20}$/) },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ minLength: 1, maxLength: 255, min: 1 })
      .map((bytes) => Buffer.from(bytes).toString('latin1')),
  },
);
const legal = name.filter((text) => text !== '.' && text !== '..' && !text.includes('/'));

const size = fc.oneof(
  fc.integer({ min: 0, max: 5000 }),
  fc.integer({ min: 0, max: 20 * BLOCK }),
  // Around the boundaries of fragments and blocks.
  fc
    .tuple(fc.integer({ min: 0, max: 120 }), fc.integer({ min: -1, max: 1 }))
    .map(([n, d]) => Math.max(0, n * 4096 + d)),
);

const attributes = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.oneof(fc.constant(0), fc.nat({ max: 0xffffffff })),
  gid: fc.oneof(fc.constant(0), fc.nat({ max: 0xffffffff })),
  flags: fc.constantFrom(0, 0, 0, 0x20000, 0x20800, 0x1f, 0x170000),
  seconds: fc.oneof(fc.integer({ min: 0, max: 2 ** 31 - 1 }), fc.integer({ min: -(2 ** 40), max: 2 ** 40 })),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
});

const piece = fc.record({
  parent: fc.nat({ max: 1000 }),
  name: legal,
  kind: fc.constantFrom<FileType | 'hard' | 'sparse'>(
    'dir',
    'dir',
    'file',
    'file',
    'file',
    'sparse',
    'hard',
    'link',
    'char',
    'block',
    'fifo',
    'socket',
  ),
  size,
  target: fc.integer({ min: 1, max: 1023 }),
  holes: fc.array(fc.nat({ max: 6000 }), { maxLength: 6 }),
  attributes,
});

/** Places pieces into a tree: each goes into one of the directories made before it; taken names are left out. */
function entriesOf(
  pieces: readonly (typeof piece extends fc.Arbitrary<infer T> ? T : never)[],
): SyntheticEntry[] {
  const entries: SyntheticEntry[] = [];
  const directories = [''];
  const files: string[] = [];
  const taken = new Set<string>();
  for (const { parent, name: own, kind, size: bytes, target, holes, attributes: rest } of pieces) {
    const directory = directories[parent % directories.length] ?? '';
    const path = directory === '' ? own : `${directory}/${own}`;
    if (taken.has(path)) continue;
    if (kind === 'hard') {
      const first = files[parent % Math.max(1, files.length)];
      if (first === undefined) continue;
      entries.push({ path, type: 'file', linkTo: first });
      // A hard link without attributes of its own takes those of the first name; give it the same ones.
      const original = entries.find((entry) => entry.path === first);
      entries[entries.length - 1] = { ...original, path, type: 'file', linkTo: first };
    } else if (kind === 'sparse') {
      // Data blocks at these places of a file that reaches into the double indirect blocks.
      const blocks = [...new Set(holes)].sort((a, b) => a - b);
      const end = ((blocks.at(-1) ?? 0) + 1) * BLOCK - (bytes % BLOCK);
      const ranges = blocks.map((n) => ({ start: n * BLOCK, end: Math.min(end, (n + 1) * BLOCK) }));
      entries.push({ path, type: 'file', ...rest, size: end, ranges });
      files.push(path);
    } else if (kind === 'file') {
      entries.push({ path, type: 'file', ...rest, size: bytes });
      files.push(path);
    } else if (kind === 'link') {
      entries.push({ path, type: 'link', ...rest, target: 't'.repeat(target) });
    } else if (kind === 'char' || kind === 'block') {
      entries.push({ path, type: kind, ...rest, device: encodeDevice(bytes, target) });
    } else {
      entries.push({ path, type: kind, ...rest });
      if (kind === 'dir') directories.push(path);
    }
    taken.add(path);
  }
  return entries;
}

test('any tree comes out as it went in, on a file system that passes the checker', () => {
  let largest = 0;
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 120, size: 'max' }),
      fc.constantFrom(24, 64, 200),
      fc.constantFrom([32768, 4096], [32768, 32768], [16384, 4096], [65536, 8192]),
      (pieces, mib, [blockSize = 0, fragmentSize = 0]) => {
        const entries = entriesOf(pieces);
        largest = Math.max(largest, entries.length);
        const written = writeSynthetic(entries, mib << 20, { blockSize, fragmentSize });
        expectTree(written, entries);
      },
    ),
    { numRuns: 150, seed: 4711 },
  );
  // The property is worth little if the trees are small.
  expect(largest).toBeGreaterThan(60);
}, 60_000);
