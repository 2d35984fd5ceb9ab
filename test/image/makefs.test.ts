import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageFileReader } from '../../image/image-file.ts';
import { checkFileSystem } from '../../image/ufs2/checker.ts';
import { FileSystemReader } from '../../image/ufs2/reader.ts';
import { inodesByPath } from './expected-tree.ts';
import { judge } from './reference-images.ts';

const root = mkdtempSync(join(tmpdir(), 'makefs-test-'));
const bundle = join(root, 'makefs.mjs');
const tree = join(root, 'tree');
const spec = join(root, 'spec.mtree');
const image = join(root, 'image');
const OPTIONS = 'version=2,label=rootfs,softupdates=1,time=1795434428,id=0123456789abcdef';

function makefs(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bundle, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

const run = (...more: string[]) =>
  makefs('-t', 'ffs', '-o', OPTIONS, '-s', '32m', '-F', spec, ...more, image, tree);

/** The specification that the worker makes: bsdtar reads the archive, not the disk. */
function specify(): string {
  const archive = execFileSync(judge('bsdtar'), ['--numeric-owner', '-cf', '-', '-C', tree, '.'], {
    maxBuffer: 1 << 28,
  });
  return execFileSync(
    'bsdtar',
    ['-cf', '-', '--format=mtree', '--options=mtree:!all,type,uid,gid,mode,link,time,flags,device', '@-'],
    { input: archive, encoding: 'utf8', maxBuffer: 1 << 28 },
  );
}

beforeAll(async () => {
  await esbuild.build({
    entryPoints: [fileURLToPath(new URL('../../image/makefs.ts', import.meta.url))],
    outfile: bundle,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
  });
  mkdirSync(join(tree, 'etc/deep'), { recursive: true });
  writeFileSync(join(tree, 'etc/rc.conf'), 'hostname="x"\n');
  linkSync(join(tree, 'etc/rc.conf'), join(tree, 'etc/deep/again'));
  symlinkSync('etc/rc.conf', join(tree, 'sym'));
  writeFileSync(Buffer.from(`${tree}/sp ace#\\`), 'odd');
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/latin-`), Buffer.from([0xe9])]), 'bytes');
  writeFileSync(join(tree, 'zeros'), Buffer.alloc(200_000));
  writeFileSync(join(tree, 'big'), Buffer.alloc(3_000_000, 'pattern'));
  chmodSync(join(tree, 'big'), 0o4755);
  const fd = openSync(join(tree, 'sparse'), 'w');
  writeSync(fd, 'middle', 1_000_000);
  ftruncateSync(fd, 5_000_000);
  closeSync(fd);
  mkdirSync(join(tree, 'boot'));
  writeFileSync(join(tree, 'boot/loader'), 'btx');
  truncateSync(join(tree, 'boot/loader'), 200_000);
  writeFileSync(spec, specify());
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the command', () => {
  test('makes a file system of the tree', () => {
    const { status, stdout, stderr } = run();
    expect([stderr, status]).toEqual(['', 0]);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ image, size: 32 << 20, inodes: 12, directories: 4, groups: 4 });
    const file = new ImageFileReader(image);
    try {
      expect(checkFileSystem(file).findings).toEqual([]);
      const reader = new FileSystemReader(file);
      expect(reader.superblock).toMatchObject({
        fs_volname: 'rootfs',
        fs_flags: 2,
        fs_time: 1795434428,
        fs_id0: 0x01234567,
        fs_id1: 0x89abcdef,
      });
      const found = inodesByPath(reader);
      expect([...found.keys()].sort()).toEqual(
        [
          '',
          'big',
          'boot',
          'boot/loader',
          'etc',
          'etc/deep',
          'etc/deep/again',
          'etc/rc.conf',
          'latin-\xe9',
          'sp ace#\\',
          'sparse',
          'sym',
          'zeros',
        ].sort(),
      );
      for (const [path, { inode }] of found) {
        const bytes = Buffer.from(`${tree}/${path}`, 'latin1');
        if ((inode.mode & 0o170000) !== 0o100000) continue;
        expect([path, reader.content(inode).equals(readFileSync(bytes))]).toEqual([path, true]);
        const stat = statSync(bytes);
        expect([path, inode.mode, inode.mtime, inode.nlink]).toEqual([
          path,
          stat.mode,
          Math.floor(stat.mtimeMs / 1000),
          stat.nlink,
        ]);
      }
      expect(found.get('etc/deep/again')?.number).toBe(found.get('etc/rc.conf')?.number);
      // Zero blocks of a file stored in full are data; holes of a sparse file stay holes.
      expect(found.get('zeros')?.inode.blocks).toBe(Math.ceil(200_000 / 4096) * 8);
      expect(found.get('sparse')?.inode.blocks).toBe(3 * 64);
      // gptboot's reader knows no holes.
      expect(found.get('boot/loader')?.inode.blocks).toBe(Math.ceil(200_000 / 4096) * 8);
    } finally {
      file.close();
    }
  });

  test('leaves holes in the image', () => {
    run();
    const stat = statSync(image);
    expect(stat.size).toBe(32 << 20);
    expect(stat.blocks * 512).toBeLessThan(6 << 20);
  });

  test('gives the same bytes twice', () => {
    run();
    const first = readFileSync(image);
    run();
    expect(readFileSync(image).equals(first)).toBe(true);
  });

  test('takes sizes with a suffix, and options of the geometry', () => {
    for (const [text, size] of [
      ['65536b', 32 << 20],
      ['40000k', 40000 << 10],
      ['33554432', 32 << 20],
    ] as const) {
      const { stdout } = makefs(
        '-t',
        'ffs',
        '-o',
        `${OPTIONS},minfree=3,density=16384,bsize=16384,fsize=2048`,
        '-s',
        text,
        '-F',
        spec,
        image,
        tree,
      );
      expect(JSON.parse(stdout)).toMatchObject({ size, blockSize: 16384, fragmentSize: 2048 });
      const file = new ImageFileReader(image);
      expect(new FileSystemReader(file).superblock).toMatchObject({ fs_minfree: 3 });
      expect(checkFileSystem(file).findings).toEqual([]);
      file.close();
    }
  });

  test('nodes that an extractor without privileges cannot make need no counterpart', () => {
    const more = join(root, 'more.mtree');
    writeFileSync(
      more,
      `${readFileSync(spec, 'utf8')}./etc/null type=char uid=0 gid=0 mode=666 device=native,1,3 time=1.0\n./pipe type=fifo uid=0 gid=0 mode=600 time=1.0\n`,
    );
    const { status, stdout } = makefs('-t', 'ffs', '-o', OPTIONS, '-s', '32m', '-F', more, image, tree);
    expect([status, JSON.parse(stdout).inodes]).toEqual([0, 14]);
  });
});

describe('an error', () => {
  const withSpec = (text: string) => {
    const other = join(root, 'other.mtree');
    writeFileSync(other, text, 'latin1');
    return makefs('-t', 'ffs', '-o', OPTIONS, '-s', '32m', '-F', other, image, tree);
  };
  const fails = (result: ReturnType<typeof makefs>, code: string, ...words: string[]) => {
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^makefs: ${code}: [^\\n]*; [^\\n]*\\n$`));
    for (const word of words) expect(result.stderr).toContain(word);
  };

  test('of the specification names the line', () => {
    fails(withSpec(`${readFileSync(spec, 'latin1')}./x type=file\n`), 'BadSpec', 'line 15');
    fails(makefs('-t', 'ffs', '-s', '32m', '-F', join(root, 'none'), image, tree), 'BadSpec', 'none');
  });

  test('of a path that only the specification has', () => {
    fails(
      withSpec(`${readFileSync(spec, 'latin1')}./etc/gone type=file uid=0 gid=0 mode=644\n`),
      'TreeMismatch',
      './etc/gone',
    );
  });

  test('of a path that only the tree has', () => {
    const text = readFileSync(spec, 'latin1');
    fails(
      withSpec(
        text
          .split('\n')
          .filter((line) => !line.startsWith('./etc/rc.conf'))
          .join('\n'),
      ),
      'TreeMismatch',
      './etc/rc.conf',
    );
  });

  test('of types that differ', () => {
    fails(
      withSpec(`${readFileSync(spec, 'latin1')}./big type=dir uid=0 gid=0 mode=755\n`),
      'TreeMismatch',
      './big',
    );
  });

  test('of a volume that is too small says how much is needed, and leaves no image', () => {
    const result = makefs('-t', 'ffs', '-o', OPTIONS, '-s', '2m', '-F', spec, image, tree);
    fails(result, 'VolumeTooSmall', 'rootSize', 'MiB');
    expect(existsSync(image)).toBe(false);
  });

  test('of a name that is too long', () => {
    fails(
      withSpec(`. type=dir uid=0 gid=0 mode=755\n./${'n'.repeat(256)} type=file uid=0 gid=0 mode=644\n`),
      'NameTooLong',
      '256',
    );
  });

  test.each([
    [['-t', 'zfs']],
    [['-o', 'version=1']],
    [['-o', 'what=1']],
    [['-o', 'id=12']],
    [['-o', 'label=a/b']],
    [['-o', 'density=x']],
    [['-s', 'large']],
    [['-s', '100']],
    [['-x']],
    [['one-more']],
  ])('of usage: %j', (args) => {
    fails(run(...args), 'Usage');
  });

  test('of an image that cannot be written', () => {
    fails(
      makefs('-t', 'ffs', '-o', OPTIONS, '-s', '32m', '-F', spec, join(root, 'no/such/image'), tree),
      'WriteFailed',
      'image',
    );
  });
});

describe('the check command', () => {
  const check = (...args: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL('../../image/check.ts', import.meta.url)), ...args], {
      encoding: 'utf8',
    });

  test('lists the tree, also at an offset, and exits 0', () => {
    run();
    const shifted = join(root, 'shifted');
    writeFileSync(shifted, Buffer.concat([Buffer.alloc(1 << 20), readFileSync(image)]));
    const { status, stdout } = check(shifted, '--offset', String(1 << 20), '--list', '--sha256');
    expect(status).toBe(0);
    expect(stdout).toContain('./sym type=link uid=');
    expect(stdout).toMatch(/^\.\/sp\\040ace\\043\\134 type=file .* size=3 sha256digest=[0-9a-f]{64}$/m);
    expect(stdout).toMatch(/ 0 findings\n$/);
  });

  test('exits 1 with findings and 2 without an image', () => {
    run();
    const bytes = readFileSync(image);
    bytes.writeUInt8(0, 65536 + 209);
    writeFileSync(image, bytes);
    const { status, stdout } = check(image);
    expect([status, stdout.split('\n')[0]]).toEqual([1, 'NotClean: fs_clean is 0']);
    expect(check(join(root, 'none')).status).toBe(2);
    expect(check().status).toBe(2);
  });
});
