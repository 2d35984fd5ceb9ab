import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImageFileReader } from '../../image/image-file.ts';
import { checkFileSystem } from '../../image/ufs2/checker.ts';
import { BLOCK, DISK, indexOf, SECRET, Store } from './block-links.ts';
import { type Mirror, startMirror } from './mirror.ts';
import {
  expectFailure,
  files,
  job,
  MIB,
  removeMachines,
  removePayload,
  runWorker,
  shellPiece,
  shells,
  swapAndData,
  type WorkerResult,
  workLeft,
} from './worker-run.ts';

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

/** Builds without a volume: no --volume on the command line. */
const runWithout = (shell: readonly [string, ...string[]], lines: string[]) => {
  // The machine's directory is the current one.
  return runWorker({ shell, lines, diskSize: 0, arguments: ['--job', 'job', '--work', 'work'] });
};

const payload: Parameters<typeof files>[0] = [
  { path: '/etc/fstab', content: '/dev/gpt/rootfs / ufs rw 1 1\n' },
  { path: '/var/random', content: randomBytes(3 * MIB) },
  { path: '/var/zeroes', content: Buffer.alloc(3 * MIB) },
];

let mirror: Mirror;
beforeAll(async () => {
  mirror = await startMirror();
});
afterAll(async () => {
  await mirror.close();
  removeMachines();
  removePayload();
});

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'a disk without a volume under $name',
  ({ shell }) => {
    let store: Store;
    let direct: WorkerResult;
    let usual: WorkerResult;
    let pieces: ReturnType<typeof indexOf>;
    const blocks = new Map<number, Buffer>();
    beforeAll(async () => {
      store = await new Store().open();
      direct = await runWithout(
        shell,
        job([mirror.url], { ...files(payload), ...swapAndData, ...store.lines(8) }),
      );
      usual = await runWorker({
        shell,
        lines: job([mirror.url], { ...files(payload), ...swapAndData, 'disk.size': DISK }),
        diskSize: DISK,
      });
      expect(direct.report, direct.console).toMatchObject({ ok: true });
      pieces = indexOf(store.objects.get('index')?.toString() ?? '');
      for (const { number, blocks: indices } of pieces) {
        const piece = store.objects.get(`piece-${number}`) ?? Buffer.alloc(0);
        for (const [n, index] of indices.entries())
          blocks.set(index, piece.subarray(n * BLOCK, (n + 1) * BLOCK));
      }
    });
    afterAll(() => store.close());

    it('goes up in pieces of at most 256 blocks, in order, the index last, which the report vouches for', () => {
      expect(store.order).toEqual([...pieces.map(({ number }) => `piece-${number}`), 'index']);
      const all = pieces.flatMap(({ blocks: indices }) => indices);
      expect(all).toEqual([...all].sort((a, b) => a - b));
      expect(new Set(all).size).toBe(all.length);
      for (const { number, blocks: indices, digest } of pieces) {
        expect(indices.length).toBeLessThanOrEqual(256);
        const piece = store.objects.get(`piece-${number}`) ?? Buffer.alloc(0);
        expect(piece.length).toBe(indices.length * BLOCK);
        expect(sha256(piece)).toBe(digest);
      }
      expect(direct.report.blocks).toEqual({
        pieces: pieces.length,
        count: all.length,
        indexSha256: sha256(store.objects.get('index') ?? Buffer.alloc(0)),
      });
      expect(direct.report.disk).toEqual(usual.report.disk);
      expect(direct.report.disk.written).toBeLessThan(all.length * BLOCK + 1);
      // Holes are left out.
      expect(all.length * BLOCK).toBeLessThan(DISK / 4);
      expect(direct.poweredOff).toBe(true);
    });

    it('has every byte of the disk that the same job writes to a volume', () => {
      const file = openSync(usual.disk, 'r');
      const block = Buffer.alloc(BLOCK);
      const zeroes = Buffer.alloc(BLOCK);
      const differing: number[] = [];
      for (let index = 0; index < DISK / BLOCK; index++) {
        readSync(file, block, 0, BLOCK, index * BLOCK);
        // What was not sent was not written: it is a hole of the volume.
        if (!block.equals(blocks.get(index) ?? zeroes)) differing.push(index);
      }
      closeSync(file);
      expect(differing).toEqual([]);
    });

    it('sends zeroes that were written', () => {
      const zero = [...blocks.values()].filter((data) => data.equals(Buffer.alloc(BLOCK)));
      expect(zero.length).toBeGreaterThanOrEqual(4);
    });

    it('is whole when all else is noise: the table, the ESP, the file systems', () => {
      const disk = join(direct.machine, 'noise.img');
      const file = openSync(disk, 'w');
      for (let index = 0; index < DISK / BLOCK; index++) {
        writeSync(file, blocks.get(index) ?? randomBytes(BLOCK), 0, BLOCK, index * BLOCK);
      }
      closeSync(file);
      const table = JSON.parse(execFileSync('sfdisk', ['--json', disk], { encoding: 'utf8' })).partitiontable;
      expect(execFileSync('sgdisk', ['-v', disk], { encoding: 'utf8' })).toContain('No problems found');
      const start = (label: string): number =>
        table.partitions.find(({ name }: { name: string }) => name === label).start;
      for (const label of ['rootfs', 'data0']) {
        const reader = new ImageFileReader(disk, start(label) * 512);
        expect(checkFileSystem(reader).findings, label).toEqual([]);
        reader.close();
      }
      const esp = `${disk}@@${start('efiboot0') * 512}`;
      const quiet = { encoding: 'utf8', env: { ...process.env, MTOOLS_SKIP_CHECK: '1' } } as const;
      expect(execFileSync('mdir', ['-i', esp, '-b', '::EFI/BOOT'], quiet)).toContain('BOOTX64.EFI');
      // A table of clusters with noise in it would show here: lost chains, bad clusters, more than one owner.
      execFileSync(
        'dd',
        [`if=${disk}`, `of=${disk}.esp`, 'bs=1M', `skip=${start('efiboot0') / 2048}`, 'count=34'],
        {
          stdio: 'ignore',
        },
      );
      const checked = spawnSync('fsck.fat', ['-n', `${disk}.esp`], { encoding: 'utf8' });
      expect(checked.status, checked.stdout).toBe(0);
      const inode = execFileSync('fls', ['-f', 'ufs', '-o', String(start('rootfs')), '-r', '-p', disk], {
        encoding: 'utf8',
      }).match(/(\d+):\tvar\/random$/m)?.[1];
      const content = execFileSync('icat', ['-f', 'ufs', '-o', String(start('rootfs')), disk, inode ?? ''], {
        maxBuffer: 2 ** 26,
      });
      expect(content.equals(payload[1]?.content as Buffer)).toBe(true);
    });

    it('tells no link, and leaves nothing on a machine that stays', async () => {
      expect(direct.console).not.toContain(SECRET);
      const staying = await runWorker({
        shell,
        lines: job([mirror.url], store.lines(8)),
        diskSize: 0,
        arguments: ['--job', 'job', '--work', 'work'],
        powerOff: false,
      });
      expect(staying.report, staying.console).toMatchObject({ ok: true });
      expect(workLeft(staying)).toEqual([]);
    });

    it('cuts runs at the ends of pieces, and refuses more pieces than there are links', () => {
      const cut = (links: number) => {
        const state = mkdtempSync(join(tmpdir(), 'worker-blocks-'));
        mkdirSync(join(state, 'job'));
        writeFileSync(join(state, 'job/upload.blocks.count'), `${links}\n`);
        writeFileSync(
          join(state, 'layout'),
          `1 efi e ${MIB} ${4 * MIB} id efi\n2 freebsd-ufs r ${6 * MIB} ${1000 * MIB} id root\n`,
        );
        // 1.2 MB at the end of a file: its last block is not full.
        writeFileSync(join(state, 'ranges'), `1 0 ${MIB} e.img\n2 1 ${4 * MIB} r.img\n2 9 1200000 r.img\n`);
        const script =
          '. "$worker/blocks.sh"; disk=d job_disk_size=1073741824 blocks_in_piece=4; blocks_cut; cat "$state/blocks.runs"; blocks_of() { _blocks_of_piece "$1"; }; blocks_of 1; blocks_of 3; blocks_of 4';
        const { command, argv } = shellPiece(shell, script, [], state);
        const { stdout } = spawnSync(command, argv, { encoding: 'utf8' });
        rmSync(state, { recursive: true });
        return stdout.trimEnd().split('\n');
      };
      expect(cut(4)).toEqual([
        '1 0 1 0 524288 d',
        '1 2 2 0 1048576 e.img',
        '1 14 1 2 524288 r.img',
        '2 15 4 3 2097152 r.img',
        '3 19 3 7 1572864 r.img',
        '3 30 1 18 524288 r.img',
        '4 31 2 19 675712 r.img',
        '4 2047 1 2047 524288 d',
        '0-0,2-3,14-14',
        '19-21,30-30',
        '31-32,2047-2047',
      ]);
      expect(cut(3)[0]).toBe('ImageTooLarge');
    });

    it('fails when a piece or the index cannot be stored', async () => {
      for (const [path, phase] of [
        ['piece-1', 'write'],
        ['index', 'verify'],
      ] as const) {
        store.refusals.set(path, 403);
        const result = await runWithout(shell, job([mirror.url], store.lines(8)));
        store.refusals.delete(path);
        expectFailure(result, phase, 'UploadFailed');
        expect(result.report.message).not.toContain(SECRET);
      }
    });

    it('wants a volume or links, and not both', async () => {
      const both = await runWorker({ shell, lines: job([mirror.url], store.lines(8)) });
      expectFailure(both, 'preflight', 'UsageError', 64);
      const neither = await runWithout(shell, job([mirror.url]));
      expectFailure(neither, 'preflight', 'UsageError', 64);
    });

    it('refuses links that are not whole, and a disk that no snapshot can have', async () => {
      for (const [change, part] of [
        [{ 'upload.index': undefined }, 'upload.index is missing'],
        [{ 'upload.blocks.2': undefined }, 'upload.blocks.2 is missing'],
        [{ 'upload.blocks.count': 0 }, 'upload.blocks.count is not between 1 and'],
        [{ 'disk.size': DISK + MIB }, 'disk.size is no multiple of 1 GiB'],
        [{ 'upload.blocks.9': 'https://x/' }, 'unknown key upload.blocks.9'],
      ] as const) {
        const result = await runWithout(shell, job([mirror.url], { ...store.lines(8), ...change }));
        expectFailure(result, 'preflight', 'BadJob', 65);
        expect(result.report.message).toContain(part);
      }
    });
  },
);
