import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mirror, startMirror } from './mirror.ts';
import { base, gptboot, kernel, loader, pmbr, zurich } from './synthetic-release.ts';
import {
  files,
  job,
  MIB,
  removeMachines,
  removePayload,
  root,
  runWorker,
  shells,
  swapAndData,
  type WorkerResult,
  workLeft,
} from './worker-run.ts';

let mirror: Mirror;
beforeAll(async () => {
  mirror = await startMirror();
});
afterAll(async () => {
  await mirror.close();
  removeMachines();
  removePayload();
});

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
const tool = (name: string, ...args: string[]) => execFileSync(name, args, { encoding: 'utf8' });

function bytesAt(path: string, offset: number, length: number): Buffer {
  const data = Buffer.alloc(length);
  const file = openSync(path, 'r');
  readSync(file, data, 0, length, offset);
  closeSync(file);
  return data;
}

const PHASES =
  'preflight fetch extract packages configure customise seal inventory filesystem write verify'.split(' ');
const ESP = 2 * MIB;
const ROOT = 36 * MIB;

/** sleuthkit speaks of the file system that begins at this sector. */
const at = ['-f', 'ufs', '-o', String(ROOT / 512)];

function inodeOf(disk: string, path: string): string {
  const line = tool('fls', ...at, '-r', '-p', disk)
    .split('\n')
    .find((entry) => entry.replace(/^\S+ (\* )?/, '').split(':\t')[1] === path);
  const inode = line?.match(/^\S+ (\d+)/)?.[1];
  if (inode === undefined) throw new Error(`${path} is not in the file system`);
  return inode;
}

const contentOf = (disk: string, path: string) =>
  execFileSync('icat', [...at, disk, inodeOf(disk, path)], { maxBuffer: 2 ** 26 });

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'a build under $name',
  ({ shell }) => {
    let result: WorkerResult;
    beforeAll(async () => {
      result = await runWorker({ shell, lines: job([mirror.url]) });
    });

    it('succeeds, says so and powers off', () => {
      expect(result.report, result.console).toMatchObject({ version: 1, build: 'demo-3f1c', ok: true });
      expect(result.status).toBe(0);
      expect(result.poweredOff).toBe(true);
    });

    it('shows every phase begin and end, in order, and nothing else', () => {
      const lines = result.console.trimEnd().split('\n');
      expect(lines[0]).toBe('foundry: build=demo-3f1c platform=linux version=1');
      expect(lines.at(-1)).toMatch(/^foundry-report: /);
      expect(
        lines.slice(1, -1).map((line) => line.replace(/seconds=\d+\.\d bytes=\d+$/, 'seconds=S bytes=B')),
      ).toEqual(
        PHASES.flatMap((phase) => [
          `foundry: phase=${phase} state=start`,
          `foundry: phase=${phase} state=done seconds=S bytes=B`,
        ]),
      );
    });

    it('reports times, bytes, entries and the digest of what it wrote', () => {
      const { report } = result;
      expect(report.phases.map((phase: { name: string }) => phase.name)).toEqual(PHASES);
      expect(report.phases[1].bytes).toBe(base.body.length + kernel.body.length);
      expect(report.tree.entries).toBe(base.entries + kernel.entries + 3);
      expect(report.disk.bytes).toBe(96 * MIB);
      expect(report.disk.written).toBeGreaterThan(gptboot.length);
      expect(report.disk.sha256).toMatch(/^[0-9a-f]{64}$/);
    });

    it('leaves nothing in its work directory, and the power alone, on a machine that stays', async () => {
      const staying = await runWorker({ shell, lines: job([mirror.url]), powerOff: false });
      expect(staying.report, staying.console).toMatchObject({ ok: true });
      expect(workLeft(staying)).toEqual([]);
      expect(staying.poweredOff).toBe(false);
    });

    it('makes a partition table without fault', () => {
      expect(tool('sgdisk', '-v', result.disk)).toContain('No problems found');
      const table = JSON.parse(tool('sfdisk', '--json', result.disk)).partitiontable;
      expect(table.id).toBe('3F2504E0-4F89-41D3-9A0C-0305E82C3301');
      expect(
        table.partitions.map(({ start, size, type, uuid, name }: Record<string, string>) => [
          start,
          size,
          type,
          uuid,
          name,
        ]),
      ).toEqual([
        [
          2048,
          1024,
          '83BD6B9D-7F41-11DC-BE0B-001560B84F0F',
          '3F2504E0-4F89-41D3-9A0C-0305E82C3311',
          'bootfs',
        ],
        [
          4096,
          69632,
          'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
          '3F2504E0-4F89-41D3-9A0C-0305E82C3312',
          'efiboot0',
        ],
        [
          73728,
          120832,
          '516E7CB6-6ECF-11D6-8FF8-00022D09712B',
          '3F2504E0-4F89-41D3-9A0C-0305E82C3313',
          'rootfs',
        ],
      ]);
    });

    it('puts the boot code of the release where BIOS looks', () => {
      const sector = bytesAt(result.disk, 0, 512);
      expect(sector.subarray(0, 440).equals(pmbr.subarray(0, 440))).toBe(true);
      expect(sector.subarray(510).toString('hex')).toBe('55aa');
      expect(sector[450]).toBe(0xee);
      expect(bytesAt(result.disk, MIB, gptboot.length).equals(gptboot)).toBe(true);
    });

    it('puts the loader where UEFI looks', () => {
      const esp = `${result.disk}@@${ESP}`;
      const environment = { ...process.env, MTOOLS_SKIP_CHECK: '1' };
      const read = (...args: string[]) =>
        execFileSync(args[0] ?? '', args.slice(1), { env: environment, maxBuffer: 2 ** 26 });
      expect(read('mtype', '-i', esp, '::EFI/BOOT/BOOTX64.EFI').equals(loader)).toBe(true);
      expect(read('mdir', '-b', '-/', '-i', esp, '::').toString().trim().split('\n')).toEqual([
        '::/EFI/',
        '::/EFI/BOOT/',
        '::/EFI/BOOT/BOOTX64.EFI',
      ]);
      expect(read('mlabel', '-s', '-i', esp, '::').toString()).toContain('EFISYS');
    });

    it('makes a UFS with the owners, modes and content of the release', () => {
      expect(tool('fsstat', ...at, result.disk)).toContain('UFS 2');
      expect(contentOf(result.disk, 'boot/kernel/kernel').length).toBe(900_000);
      expect(contentOf(result.disk, 'usr/share/Főtanúsítvány =Class Gold=.pem').toString()).toBe(
        'a name that FreeBSD really has\n',
      );
      expect(contentOf(result.disk, 'usr/share/unreadable').toString()).toBe('even for its owner\n');
      expect(contentOf(result.disk, 'usr/share/zeroes').equals(Buffer.alloc(3 * MIB))).toBe(true);
      const su = tool('istat', ...at, result.disk, inodeOf(result.disk, 'bin/su'));
      expect(su).toMatch(/uid \/ gid: 0 \/ 5/);
      expect(su).toMatch(/mode: rr-sr-xr-x/);
      expect(inodeOf(result.disk, 'usr/bin/first')).toBe(inodeOf(result.disk, 'usr/bin/second'));
    });

    it("lays the job's files over it", () => {
      expect(contentOf(result.disk, 'etc/fstab').toString()).toBe('/dev/gpt/rootfs / ufs rw 1 1\n');
      expect(contentOf(result.disk, 'usr/local/etc/new.conf').toString()).toBe(
        'made="$(with) `its` directories"\n',
      );
      expect(tool('istat', ...at, result.disk, inodeOf(result.disk, 'usr/local/etc/new.conf'))).toMatch(
        /uid \/ gid: 0 \/ 69/,
      );
      expect(contentOf(result.disk, 'firstboot').length).toBe(0);
    });

    it('writes only what holds data', () => {
      // 4 MiB of set content, metadata, the ESP's tables; a disk of 96.
      expect(statSync(result.disk).blocks * 512).toBeLessThan(24 * MIB);
    });

    it('makes the same bytes again', async () => {
      const again = await runWorker({ shell, lines: job([mirror.url]) });
      expect(sha256(readFileSync(again.disk))).toBe(sha256(readFileSync(result.disk)));
      expect(again.report.disk.sha256).toBe(result.report.disk.sha256);
    });

    it.runIf(process.getuid?.() === 0)('makes the same bytes without root', async () => {
      const unprivileged = await runWorker({ shell, lines: job([mirror.url]), user: 65534 });
      expect(unprivileged.report, unprivileged.console).toMatchObject({ ok: true });
      expect(sha256(readFileSync(unprivileged.disk))).toBe(sha256(readFileSync(result.disk)));
    });

    it('makes an arm64 disk: other loader name, no BIOS boot code', async () => {
      const lines = job([mirror.url], {
        architecture: 'arm64',
        'partition.count': 2,
        'partition.1.content': 'efi',
        'partition.1.type': 'efi',
        'partition.1.label': 'efiboot0',
        'partition.1.size': 34 * MIB,
        'partition.2.content': 'root',
        'partition.2.type': 'freebsd-ufs',
        'partition.2.label': 'rootfs',
        'partition.2.size': 0,
        'partition.3.content': undefined,
        'partition.3.type': undefined,
        'partition.3.label': undefined,
        'partition.3.size': undefined,
        'partition.3.id': undefined,
      });
      const arm = await runWorker({ shell, lines });
      expect(arm.report, arm.console).toMatchObject({ ok: true });
      expect(bytesAt(arm.disk, 0, 440).equals(Buffer.alloc(440))).toBe(true);
      const listing = execFileSync('mdir', ['-b', '-/', '-i', `${arm.disk}@@${MIB}`, '::'], {
        env: { ...process.env, MTOOLS_SKIP_CHECK: '1' },
      });
      expect(listing.toString()).toContain('::/EFI/BOOT/BOOTAA64.EFI');
    });
  },
);

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'swap, data and a root that can grow, under $name',
  ({ shell }) => {
    let result: WorkerResult;
    beforeAll(async () => {
      result = await runWorker({ shell, lines: job([mirror.url], swapAndData) });
    });
    const SWAP = 36 * MIB;
    const DATA = 44 * MIB;
    const data = ['-f', 'ufs', '-o', String(DATA / 512)];
    const grown = ['-f', 'ufs', '-o', String((60 * MIB) / 512)];

    it('are in the table, the root last', () => {
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(tool('sgdisk', '-v', result.disk)).toContain('No problems found');
      const { partitions } = JSON.parse(tool('sfdisk', '--json', result.disk)).partitiontable;
      expect(
        partitions
          .map(({ start, size, type, name }: Record<string, string>) => [start, size, type, name])
          .slice(2),
      ).toEqual([
        [SWAP / 512, (8 * MIB) / 512, '516E7CB5-6ECF-11D6-8FF8-00022D09712B', 'swap0'],
        [DATA / 512, (16 * MIB) / 512, '516E7CB6-6ECF-11D6-8FF8-00022D09712B', 'data0'],
        [(60 * MIB) / 512, (35 * MIB) / 512, '516E7CB6-6ECF-11D6-8FF8-00022D09712B', 'rootfs'],
      ]);
      // gptboot(8) boots the first UFS, unless one is marked: bit 59 of the attributes (sys/disk/gpt.h).
      expect(partitions.map(({ attrs }: Record<string, string>) => attrs)).toEqual([
        undefined,
        undefined,
        undefined,
        undefined,
        'GUID:59',
      ]);
      // The types that sgdisk knows by FreeBSD's names.
      expect(tool('sgdisk', '-p', result.disk)).toMatch(
        /A502\s+swap0[\s\S]*A503\s+data0[\s\S]*A503\s+rootfs/,
      );
    });

    it('leave swap unwritten and make data an empty UFS of its own name', () => {
      expect(bytesAt(result.disk, SWAP, 8 * MIB).equals(Buffer.alloc(8 * MIB))).toBe(true);
      const about = tool('fsstat', ...data, result.disk);
      expect(about).toContain('UFS 2');
      expect(about).toContain('data0');
      expect(
        tool('fls', ...data, '-r', '-p', result.disk)
          .trim()
          .split('\n')
          .filter((line) => !line.includes('OrphanFiles')),
      ).toEqual([]);
      expect(tool('istat', ...data, result.disk, '2')).toMatch(/uid \/ gid: 0 \/ 0\nmode: drwxr-xr-x/);
      const id = (offset: number) => bytesAt(result.disk, offset + 65_536 + 144, 8).toString('hex');
      expect(id(DATA)).not.toBe(id(60 * MIB));
    });

    it('have a place in the tree where data is mounted', () => {
      expect(tool('fls', ...grown, '-r', '-p', result.disk)).toMatch(/^d\/d \d+:\tsrv\/data$/m);
    });

    it('are the same bytes again', async () => {
      const again = await runWorker({ shell, lines: job([mirror.url], swapAndData) });
      expect(again.report.disk.sha256).toBe(result.report.disk.sha256);
      expect(sha256(readFileSync(again.disk))).toBe(sha256(readFileSync(result.disk)));
    });
  },
);

describe('what the job changes in the tree', () => {
  it('reaches the disk: edits, the time zone, owners by name, uncounted sets', async () => {
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const lines = job([mirror.url], {
      'edit.count': 2,
      'edit.2.path': '/var/tmp/made/by an edit',
      'edit.2.comment': '',
      'edit.2.first': '',
      'edit.2.last': base64('stays\n'),
      'file.2.path': '/usr/share/outside/var/tmp/through/a-link',
      'edit.1.path': '/bin/su',
      'edit.1.comment': base64('setuid'),
      'edit.1.first': base64('# first\n'),
      'edit.1.last': base64('# last\n'),
      'file.1.uid': 'root',
      'set.1.entries': 0,
      'set.2.entries': 0,
      timezone: 'Europe/Vaduz',
    });
    const result = await runWorker({ lines });
    expect(result.report, result.console).toMatchObject({ ok: true });
    expect(contentOf(result.disk, 'bin/su').toString()).toBe('# first\n#setuid\n# last\n');
    const su = tool('istat', ...at, result.disk, inodeOf(result.disk, 'bin/su'));
    expect(su).toMatch(/uid \/ gid: 0 \/ 5/);
    expect(su).toMatch(/mode: rr-sr-xr-x/);
    expect(contentOf(result.disk, 'etc/localtime').equals(zurich)).toBe(true);
    expect(contentOf(result.disk, 'var/db/zoneinfo').toString()).toBe('Europe/Vaduz\n');
    // The seal empties /var/tmp.
    expect(contentOf(result.disk, 'var/tmp/made/by an edit').toString()).toBe('stays\n');
    expect(contentOf(result.disk, 'var/tmp/through/a-link').length).toBeGreaterThan(0);
    const unprivileged = await runWorker({ lines, ...(process.getuid?.() === 0 ? { user: 65_534 } : {}) });
    expect(sha256(readFileSync(unprivileged.disk))).toBe(sha256(readFileSync(result.disk)));
  });
});

describe('a release without sets', () => {
  it('is what files, and packages in their time, put into an empty tree', async () => {
    const lines = job([], {
      system: 'pkgbase',
      'package.abi': 'FreeBSD:15:amd64',
      'package.osversion': 1_501_000,
      ...files([
        { path: '/boot/loader_lua.efi', content: loader },
        { path: '/boot/pmbr', content: pmbr },
        { path: '/boot/gptboot', content: gptboot },
      ]),
      'set.count': 0,
    }).filter((line) => !/^set\.\d/.test(line));
    const result = await runWorker({ lines });
    expect(result.report, result.console).toMatchObject({ ok: true, tree: { entries: 3 } });
    expect(contentOf(result.disk, 'boot/gptboot').equals(gptboot)).toBe(true);
    expect(tool('istat', ...at, result.disk, '2')).toMatch(/uid \/ gid: 0 \/ 0\nmode: drwxr-xr-x/);
    expect(mirror.requests.every((request) => request.includes('.txz'))).toBe(true);
  });
});

describe("the table beside FreeBSD's own", () => {
  const reference = join(root, '../shared/reference/freebsd-13.2/gpt.img.xz');

  it.runIf(existsSync(reference))('has the same types, labels and attributes as gpart makes', async () => {
    const result = await runWorker({ lines: job([mirror.url]) });
    const image = join(result.machine, 'gpart.img');
    writeFileSync(image, execFileSync('xz', ['-dc', reference], { maxBuffer: 2 ** 28 }));
    const partitions = (path: string) =>
      JSON.parse(tool('sfdisk', '--json', path)).partitiontable.partitions.map(
        ({ type, name, attrs }: Record<string, string>) => ({ type, name, attrs }),
      );
    expect(partitions(result.disk)).toEqual(partitions(image));
    // The protective entry: type EE, from sector 1, not active.
    const entry = (path: string) => bytesAt(path, 446, 16);
    expect(entry(result.disk)[0]).toBe(0);
    expect(entry(result.disk)[4]).toBe(entry(image)[4]);
    expect(entry(result.disk).readUInt32LE(8)).toBe(entry(image).readUInt32LE(8));
    rmSync(image);
  });
});

describe('a disk that is too small for the release', () => {
  it('is VolumeTooSmall, in the words of the file system writer', async () => {
    // One MiB is left for a root of four.
    const result = await runWorker({
      diskSize: 38 * MIB,
      lines: job([mirror.url], { 'disk.size': 38 * MIB }),
    });
    expect(result.report, result.console).toMatchObject({
      ok: false,
      phase: 'filesystem',
      code: 'VolumeTooSmall',
    });
  });
});
