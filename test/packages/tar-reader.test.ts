import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decompressed } from '../../packages/decompress.ts';
import { readTar, TarError, wholeBody } from '../../packages/tar-reader.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ami-foundry-tar-'));
  const from = join(directory, 'from');
  mkdirSync(join(from, 'deep', 'd'.repeat(120)), { recursive: true });
  writeFileSync(join(from, 'deep', 'd'.repeat(120), 'f'.repeat(200)), 'long\n');
  writeFileSync(join(from, 'café 東京'), 'utf\n');
  writeFileSync(join(from, 'empty'), '');
  writeFileSync(join(from, 'large'), Buffer.alloc(300_000, 'x'));
  linkSync(join(from, 'large'), join(from, 'other'));
  symlinkSync('t'.repeat(150), join(from, 'symlink'));
  writeFileSync(join(from, 'sparse'), 'start');
  truncateSync(join(from, 'sparse'), 1 << 20);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function read(path: string) {
  const found = new Map<
    string,
    {
      kind: string;
      size: number;
      content: string;
      target: string;
      mode: number;
      seconds: number;
      extents: number;
    }
  >();
  for await (const entry of readTar(decompressed(path))) {
    const { kind, size, target, mode, seconds, extents } = entry;
    const content = kind === 'file' ? (await wholeBody(entry, 1 << 21)).toString() : '';
    found.set(entry.path.replace(/^\.\//, ''), {
      kind,
      size,
      content,
      target,
      mode,
      seconds,
      extents: extents?.length ?? -1,
    });
  }
  return found;
}

const pack = (file: string, ...args: string[]): string => {
  const path = join(directory, file);
  execFileSync('bsdtar', ['-cf', path, ...args, '-C', join(directory, 'from'), '.'], {
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });
  return path;
};

test.each([
  ['pax.tar', ['--format=pax']],
  ['restricted.tzst', ['--format=paxr', '--zstd']],
  ['gnu.txz', ['--format=gnutar', '--xz', '--no-read-sparse']],
  ['pax.tgz', ['--format=pax', '--gzip']],
  ['pax.tbz', ['--format=pax', '--bzip2']],
])('what bsdtar packs as %s', async (file, args) => {
  const found = await read(pack(file, ...args));
  expect(found.get('café 東京')?.content).toBe('utf\n');
  expect(found.get(`deep/${'d'.repeat(120)}/${'f'.repeat(200)}`)?.content).toBe('long\n');
  expect(found.get('symlink')).toMatchObject({ kind: 'symlink', target: 't'.repeat(150) });
  expect(found.get('empty')).toMatchObject({ kind: 'file', size: 0 });
  expect(new Set([found.get('large')?.kind, found.get('other')?.kind])).toEqual(
    new Set(['file', 'hardlink']),
  );
  expect(found.get('sparse')?.size).toBe(1 << 20);
});

test("what Python's tarfile packs, with large numbers and fractions of seconds", async () => {
  const path = join(directory, 'python.tar');
  const program = `
import io, sys, tarfile
with tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT, pax_headers={'comment': 'global'}) as t:
    i = tarfile.TarInfo('a'); i.size = 3; i.uid = 3000000; i.mtime = 1.25; i.uname = 'ü'
    i.pax_headers = {'SCHILY.fflags': 'schg,nodump'}
    t.addfile(i, io.BytesIO(b'abc'))
with tarfile.open(sys.argv[1] + '2', 'w', format=tarfile.GNU_FORMAT) as t:
    i = tarfile.TarInfo('x' * 300); i.size = 1; i.uid = 5000000
    t.addfile(i, io.BytesIO(b'y'))
`;
  execFileSync('python3', ['-c', program, path]);
  for await (const entry of readTar(decompressed(path))) {
    expect(entry).toMatchObject({
      path: 'a',
      uid: 3_000_000,
      seconds: 1,
      nanoseconds: 250_000_000,
      uname: 'ü',
      flags: 'schg,nodump',
    });
  }
  for await (const entry of readTar(decompressed(`${path}2`)))
    expect(entry).toMatchObject({ path: 'x'.repeat(300), uid: 5_000_000 });
});

test('any damage is an error of its own kind or other content, never an endless wait', async () => {
  const { readFileSync } = await import('node:fs');
  const good = readFileSync(pack('good.tar', '--format=pax')).subarray(0, 20_480);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), async (at, byte, cut) => {
      const bytes = Buffer.from(good.subarray(0, cut));
      if (at < bytes.length) bytes[at] = byte;
      async function* chunks() {
        yield bytes;
      }
      try {
        for await (const entry of readTar(chunks()))
          for await (const piece of entry.body()) expect(piece.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(TarError);
      }
    }),
    { numRuns: 300 },
  );
});

test('an archive that promises more than there is', async () => {
  async function* chunks() {
    yield Buffer.alloc(100);
  }
  await expect(async () => {
    for await (const entry of readTar(chunks())) expect(entry).toBeUndefined();
  }).rejects.toThrow(TarError);
});
