import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageFile } from '../../image/image-file.ts';
import { encodeDevice } from '../../image/ufs2/format.ts';
import { writeFileSystem } from '../../image/ufs2/writer.ts';
import { judge } from './reference-images.ts';
import { ORDINARY_OPTIONS, type SyntheticEntry, syntheticTree } from './synthetic-image.ts';

const root = mkdtempSync(join(tmpdir(), 'ufs2-judges-'));
const image = join(root, 'image');
const host = join(root, 'host');
// Larger than the largest file: sleuthkit takes the holes of a file for addresses and refuses those past the volume.
const size = 192 << 20;

const entries: SyntheticEntry[] = [
  { path: 'dir', type: 'dir' },
  { path: 'dir/sub', type: 'dir', mode: 0o1777 },
  { path: 'many', type: 'dir' },
  ...[
    0, 1, 511, 512, 513, 4095, 4096, 4097, 28672, 28673, 32767, 32768, 32769, 393215, 393216, 393217, 425984,
    1_000_000, 5_000_001,
  ].map((bytes): SyntheticEntry => ({ path: `dir/size-${bytes}`, type: 'file', size: bytes })),
  ...Array.from(
    { length: 1200 },
    (_, i): SyntheticEntry => ({ path: `many/entry-number-${i}`, type: 'file', size: i % 7 === 0 ? i : 3 }),
  ),
  { path: 'dir/again', type: 'file', linkTo: 'dir/size-4097' },
  { path: 'dir/sub/holes', type: 'file', size: 2_000_000, ranges: [{ start: 700_000, end: 800_000 }] },
  // Reaches into the double indirect blocks: 12 + 4096 blocks of 32 KiB are 134.6 MB.
  {
    path: 'dir/sub/far',
    type: 'file',
    size: 140_000_000,
    ranges: [{ start: 136_000_000, end: 136_100_000 }],
  },
  { path: 'short', type: 'link', target: 'dir/size-1' },
  { path: 'for-grub', type: 'link', target: 'dir/size-513' },
  { path: 'dir/size-51', type: 'file', size: 51 },
  { path: 'long', type: 'link', target: `${'../'.repeat(60)}dir/size-1` },
  { path: 'suid', type: 'file', mode: 0o4555, uid: 0, gid: 5, size: 10 },
  { path: 'pipe', type: 'fifo', mode: 0o600 },
  { path: 'null', type: 'char', mode: 0o666, device: encodeDevice(1, 3) },
  { path: 'before-1970', type: 'file', seconds: -315619199 },
  { path: 'owned', type: 'file', uid: 1001, gid: 1002, mode: 0o640, size: 5000, seconds: 1_600_000_000 },
  { path: 'n'.repeat(255), type: 'file', size: 77 },
];

const { tree, contents } = syntheticTree(entries);
const files = entries.filter(({ type }) => type === 'file');

/** What the file holds, made without the writer. */
function bytesOf(path: string): Buffer {
  const node = tree.resolve(path);
  const owner = tree.link[node] ?? node;
  const bytes = Buffer.alloc(tree.size[owner] ?? 0);
  contents.fill(owner, bytes, 0, bytes.length, 0);
  return bytes;
}

function run(
  program: string,
  args: readonly string[],
): { status: number | null; stdout: Buffer; stderr: string } {
  const { status, stdout, stderr } = spawnSync(judge(program), args, { maxBuffer: 1 << 29 });
  return { status, stdout, stderr: stderr.toString() };
}

beforeAll(() => {
  const file = new ImageFile(image, size);
  writeFileSystem(tree, contents, file, { ...ORDINARY_OPTIONS, size });
  file.close();
  for (const { path } of files) {
    mkdirSync(dirname(join(host, path)), { recursive: true });
    writeFileSync(join(host, path), bytesOf(path));
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('sleuthkit', () => {
  /** Inode numbers by path. */
  const list = (): Map<string, number> => {
    const { status, stdout, stderr } = run('fls', ['-r', '-p', image]);
    expect([stderr, status]).toEqual(['', 0]);
    const found = new Map<string, number>();
    for (const line of stdout.toString('latin1').split('\n')) {
      const match = /^\S+ (\d+):\t(.*)$/.exec(line);
      // The virtual folder is sleuthkit's own.
      if (match !== null && match[2] !== '$OrphanFiles') found.set(match[2] ?? '', Number(match[1]));
    }
    return found;
  };
  const istat = (inode: number | undefined) => run('istat', [image, String(inode)]).stdout.toString();

  test('lists every path and no other', () => {
    expect([...list().keys()].sort()).toEqual(entries.map(({ path }) => path).sort());
  });

  test('reads every file back', () => {
    const found = list();
    for (const { path } of files) {
      // Of the many small files a share is enough: each is a process of its own.
      const number = /^many\/.*?(\d+)$/.exec(path)?.[1];
      if (number !== undefined && Number(number) % 40 !== 0) continue;
      const { stdout } = run('icat', [image, String(found.get(path))]);
      expect([path, stdout.equals(bytesOf(path))]).toEqual([path, true]);
    }
  });

  test('reads attributes', () => {
    const found = list();
    expect(istat(found.get('owned'))).toMatch(
      /uid \/ gid: 1001 \/ 1002\nmode: rrw-r-----\nsize: 5000\nnum of links: 1/,
    );
    expect(istat(found.get('owned'))).toContain('2020-09-13 12:26:40 (UTC)');
    expect(istat(found.get('suid'))).toMatch(/mode: rr-sr-xr-x/);
    expect(istat(found.get('dir/sub'))).toMatch(/mode: drwxr-xr-t|mode: drwxrwxrwt/);
    expect(istat(found.get('pipe'))).toMatch(/mode: prw-------/);
    expect(istat(found.get('null'))).toMatch(/mode: crw-rw-rw-/);
    expect(istat(found.get('dir/again'))).toMatch(/num of links: 2/);
    expect(found.get('dir/again')).toBe(found.get('dir/size-4097'));
    expect(istat(found.get('short'))).toContain('symbolic link to: dir/size-1');
    // istat prints the targets in the inode; a long one is the content.
    const long = run('icat', [image, String(found.get('long'))]).stdout.toString();
    expect(long).toBe(`${'../'.repeat(60)}dir/size-1`);
  });

  test('reads the superblock and the groups', () => {
    const { status, stdout } = run('fsstat', [image]);
    const text = stdout.toString();
    expect(status).toBe(0);
    expect(text).toContain('File System Type: UFS 2');
    expect(text).toContain('Volume Name: rootfs');
    expect(text).toContain('Flags:  Soft Dependencies');
    expect(text).toContain(`Fragment Range: 0 - ${size / 4096 - 1}`);
    expect(text).toContain(`Num of Directories: ${4}`);
    // The counts of the summary area and of the groups themselves.
    const counts = [...text.matchAll(/Num of Avail Blocks: (\d+)/g)].map((match) => Number(match[1]));
    expect(counts).toHaveLength(8);
    for (let i = 0; i < counts.length; i += 2) expect(counts[i]).toBe(counts[i + 1]);
    const total = Number(/Num of Avail Full Blocks: (\d+)/.exec(text)?.[1]);
    expect(counts.filter((_, i) => i % 2 === 0).reduce((a, b) => a + b, 0)).toBe(total);
  });
});

describe('GRUB', () => {
  const grub = (...args: string[]) => run('grub-fstest', [image, ...args]);

  test('lists directories', () => {
    const listed = grub('ls', '(loop0)/many').stdout.toString().trim().split(/\s+/);
    expect(listed.sort()).toEqual(
      files
        .filter(({ path }) => path.startsWith('many/'))
        .map(({ path }) => path.slice(5))
        .sort(),
    );
    const top = grub('ls', '(loop0)/').stdout.toString();
    for (const name of ['dir/', 'many/', 'suid', 'n'.repeat(255)]) expect(top).toContain(name);
  });

  test('compares files equal to those on the host', () => {
    for (const { path } of files) {
      if (path.startsWith('many/') && !path.endsWith('00')) continue;
      const { status, stdout, stderr } = grub('cmp', `(loop0)/${path}`, join(host, path));
      expect([path, stdout.toString(), stderr, status]).toEqual([path, '', '', 0]);
    }
  });

  test('would notice a difference', () => {
    const other = join(root, 'other');
    const bytes = bytesOf('dir/size-5000001');
    bytes[4_900_000] = (bytes[4_900_000] ?? 0) ^ 1;
    writeFileSync(other, bytes);
    const { status, stdout, stderr } = grub('cmp', '(loop0)/dir/size-5000001', other);
    expect(status !== 0 || stdout.length > 0 || stderr !== '').toBe(true);
  });

  test('follows a symbolic link in the inode', () => {
    // GRUB 2.06 cuts the last character of a target; both ends of the link exist.
    const content = grub('cat', '(loop0)/for-grub').stdout;
    expect([bytesOf('dir/size-513'), bytesOf('dir/size-51')].some((bytes) => bytes.equals(content))).toBe(
      true,
    );
  });
});

test('the image is sparse where nothing is', () => {
  expect(statSync(image).blocks * 512).toBeLessThan(24 << 20);
});
