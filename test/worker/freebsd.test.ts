import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BLOCK, indexOf, Store } from './block-links.ts';
import { type Call, freebsdJudge } from './freebsd-syntax.ts';
import { alwaysCutAt, cutAt, inTurn, type Mirror, notFound, serve, startMirror } from './mirror.ts';
import { gptboot, gptzfsboot } from './synthetic-release.ts';
import {
  job,
  MIB,
  removeMachines,
  removePayload,
  root,
  runWorker,
  shells,
  swapAndData,
  volume,
  type WorkerResult,
  zfs,
} from './worker-run.ts';

const here = join(root, 'test/worker');
const reference = join(root, '../shared/reference/freebsd-13.2');

const tools =
  'uname id sysctl diskinfo geom mdconfig gpart makefs zpool zfs tar fetch sha256 b64decode fold chflags realpath readlink stat pwd_mkdb pgrep shutdown dd date touch chown chmod awk sed tr grep head tail ls du df mkdir rm mv cp cat sort od basename dirname tee cut sleep xz find gzip mtree'.split(
    ' ',
  );
/** Found on Linux, not on FreeBSD 13.2, or not with the same options. */
const foreign =
  'curl wget sha256sum base64 sfdisk mcopy mkfs.vfat node bsdtar lsblk blockdev poweroff truncate mkfifo'.split(
    ' ',
  );

const scratch: string[] = [];
afterAll(() => {
  for (const folder of scratch) rmSync(folder, { recursive: true, force: true });
  removeMachines();
  removePayload();
});

const mirrors: Mirror[] = [];
afterEach(async () => {
  await Promise.all(mirrors.splice(0).map((mirror) => mirror.close()));
});
const mirrorWith = async (...args: Parameters<typeof startMirror>) => {
  const mirror = await startMirror(...args);
  mirrors.push(mirror);
  return mirror;
};

/** A FreeBSD made of doubles. */
function makeFreebsd() {
  const folder = mkdtempSync(join(tmpdir(), 'worker-freebsd-'));
  scratch.push(folder);
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'devices'));
  for (const name of [...tools, ...foreign])
    symlinkSync(join(here, 'freebsd-double.sh'), join(folder, 'bin', name));
  return {
    path: join(folder, 'bin'),
    devices: join(folder, 'devices'),
    environment: {
      FREEBSD_RECORD: join(folder, 'record'),
      FREEBSD_DEVICES: join(folder, 'devices'),
      FREEBSD_SERIAL: volume.replace('-', ''),
      // No FOUNDRY_POWER_OFF: FreeBSD's own way is what is looked at.
      FOUNDRY_POWER_OFF: '',
    },
    calls: (): Call[] =>
      readFileSync(join(folder, 'record'), 'utf8')
        .split('\x1d')
        .filter(Boolean)
        .map((record) => {
          const [name = '', ...words] = record.split('\x1f');
          return { name, words };
        }),
  };
}

async function build(
  shell: readonly [string, ...string[]],
  mirrorUrls: readonly string[],
  freebsd = makeFreebsd(),
  powerOff = true,
  environment: Readonly<Record<string, string>> = {},
  changes: Parameters<typeof job>[1] = {},
) {
  const result = await runWorker({
    shell,
    path: freebsd.path,
    environment: { ...freebsd.environment, ...environment },
    diskSize: 0,
    powerOff,
    lines: job(mirrorUrls, changes),
    // The disk is a file, found as ebsnvme-id's links are.
    prepare: (machine) => {
      mkdirSync(join(machine, 'dev/aws/disk/ebs'), { recursive: true });
      const disk = join(machine, 'disk');
      writeFileSync(disk, '');
      spawnSync('truncate', ['-s', String(96 * MIB), disk]);
      symlinkSync(disk, join(machine, 'dev/aws/disk/ebs', volume));
    },
  });
  return { freebsd, result, poweredOff: existsSync(join(freebsd.devices, 'powered-off')) };
}

/** The calls that tell what happens to disk and tree, in order, with what differs between runs replaced. */
function story(calls: readonly Call[], result: WorkerResult, url: string): string {
  const told = new Set(
    'sysctl mdconfig diskinfo geom gpart makefs zpool tar fetch b64decode chown chmod touch chflags pwd_mkdb shutdown cp'.split(
      ' ',
    ),
  );
  return calls
    .filter(
      ({ name, words }) =>
        told.has(name) ||
        // The copy and the reading back; not the hashing beside the copy, whose place among them is chance.
        (name === 'dd' && words.some((word) => /^(of=|if=\/dev\/)/.test(word))),
    )
    .map(({ name, words }) => [name, ...words].join(' '))
    .map((line) =>
      line
        .replaceAll(`${result.machine}/work`, 'WORK')
        .replaceAll(result.machine, 'MACHINE')
        .replaceAll(url, 'MIRROR'),
    )
    .map((line) => `${line}\n`)
    .join('');
}

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'a build on FreeBSD under $name',
  ({ shell }) => {
    let built: Awaited<ReturnType<typeof build>>;
    let mirror: Mirror;
    beforeAll(async () => {
      mirror = await startMirror();
      built = await build(shell, [mirror.url]);
    }, 60_000);
    afterAll(() => mirror.close());

    it('succeeds and powers off by shutdown', () => {
      expect(built.result.report, built.result.console).toMatchObject({ ok: true });
      expect(built.result.console).toContain('platform=freebsd');
      expect(built.result.status).toBe(0);
      expect(built.poweredOff).toBe(true);
    });

    it('calls every program as FreeBSD 13.2 understands it', () => {
      const judge = freebsdJudge(reference);
      const wrong = built.freebsd
        .calls()
        .map((call) => ({ call: [call.name, ...call.words].join(' '), wrong: judge(call) }))
        .filter(({ wrong }) => wrong !== undefined);
      expect(wrong).toEqual([]);
      // Not in the story: which of the two ends of a pipe starts first is chance.
      expect(
        built.freebsd.calls().filter(({ name, words }) => name === 'xz' && words[0] === '-dc'),
      ).toHaveLength(2);
      expect(new Set(built.freebsd.calls().map(({ name }) => name)).size).toBeGreaterThan(25);
    });

    it('does it in this order', async () => {
      await expect(story(built.freebsd.calls(), built.result, mirror.url)).toMatchFileSnapshot(
        'freebsd-commands.txt',
      );
    });

    it('writes the images and the boot code to the partitions, byte for byte', () => {
      const partition = (n: number) => readFileSync(join(built.freebsd.devices, `md0p${n}`));
      expect(partition(1).subarray(0, gptboot.length).equals(gptboot)).toBe(true);
      expect(
        partition(2)
          .subarray(30 * MIB, 30 * MIB + 7)
          .toString(),
      ).toBe('the end');
      expect(
        partition(3)
          .subarray(30 * MIB, 30 * MIB + 7)
          .toString(),
      ).toBe('the end');
      expect(partition(3).length).toBe(59 * MIB);
    });

    it('reports the digest of what is on the disk', () => {
      const part = (n: number, from: number, length: number) =>
        readFileSync(join(built.freebsd.devices, `md0p${n}`)).subarray(from, from + length);
      const hash = createHash('sha256')
        .update(part(1, 0, gptboot.length))
        .update(part(2, 0, MIB))
        .update(part(2, 30 * MIB, MIB))
        .update(part(3, 0, MIB))
        .update(part(3, 30 * MIB, MIB));
      expect(built.result.report.disk).toEqual({
        bytes: 96 * MIB,
        written: gptboot.length + 4 * MIB,
        sha256: hash.digest('hex'),
      });
    });

    it('sends the disk as blocks when there is no volume, with the same words, and gives the memory disk back', async () => {
      const store = await new Store().open();
      const freebsd = makeFreebsd();
      const result = await runWorker({
        shell,
        path: freebsd.path,
        environment: freebsd.environment,
        diskSize: 0,
        lines: job([mirror.url], store.lines(4)),
        arguments: ['--job', 'job', '--work', 'work'],
      });
      store.close();
      expect(result.report, result.console).toMatchObject({ ok: true, blocks: { pieces: 1 } });
      const [piece] = indexOf(store.objects.get('index')?.toString() ?? '');
      // The table, the boot code, two MiB of each image, the backup of the table.
      expect(piece?.blocks).toEqual([0, 2, 4, 5, 64, 65, 72, 73, 132, 133, 2047]);
      const sent = store.objects.get('piece-1') ?? Buffer.alloc(0);
      expect(sent.subarray(BLOCK, BLOCK + gptboot.length).equals(gptboot)).toBe(true);
      expect(sent.subarray(4 * BLOCK, 4 * BLOCK + 7).toString()).toBe('the end');
      expect(existsSync(join(freebsd.devices, 'md0'))).toBe(false);
      const judge = freebsdJudge(reference);
      const wrong = freebsd.calls().flatMap((call) => {
        const said = judge(call);
        return said === undefined ? [] : [{ call: [call.name, ...call.words].join(' '), said }];
      });
      expect(wrong).toEqual([]);
    });

    it.each([
      ['ufs', 'on', true],
      ['zfs', 'off', true],
      ['zfs', 'lz4', false],
    ])('sends the disk as blocks from %s with compression %s: %s', async (fileSystem, compression, ok) => {
      const store = await new Store().open();
      const freebsd = makeFreebsd();
      const result = await runWorker({
        shell,
        path: freebsd.path,
        environment: {
          ...freebsd.environment,
          FREEBSD_FILE_SYSTEM: fileSystem,
          FREEBSD_COMPRESSION: compression,
        },
        diskSize: 0,
        lines: job([mirror.url], store.lines(4)),
        arguments: ['--job', 'job', '--work', 'work'],
      });
      store.close();
      const refused = { ok: false, phase: 'preflight', code: 'UnsupportedOnPlatform' };
      expect(result.report, result.console).toMatchObject(ok ? { ok } : refused);
      expect(store.objects.has('piece-1')).toBe(ok);
      const judge = freebsdJudge(reference);
      expect(freebsd.calls().map(judge).filter(Boolean)).toEqual([]);
    });

    it('gives the memory disk back', () => {
      expect(existsSync(join(built.freebsd.devices, 'md0'))).toBe(false);
    });

    it('gives it back after an error too', async () => {
      const failing = await mirrorWith({ 'base.txz': notFound });
      const { freebsd, result, poweredOff } = await build(shell, [failing.url]);
      expect(result.report, result.console).toMatchObject({ ok: false, code: 'SetNotFound' });
      expect(
        freebsd
          .calls()
          .filter(({ name }) => name === 'mdconfig')
          .map(({ words }) => words.join(' ')),
      ).toEqual([expect.stringMatching(/^-a -t vnode -f /), '-d -u md0']);
      expect(poweredOff).toBe(true);
    });

    it('tries again while the memory disk is busy', async () => {
      const busy = await mirrorWith();
      const freebsd = makeFreebsd();
      writeFileSync(join(freebsd.devices, 'busy'), '');
      const { result } = await build(shell, [busy.url], freebsd);
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(
        freebsd.calls().filter(({ name, words }) => name === 'mdconfig' && words[0] === '-d'),
      ).toHaveLength(2);
    });

    it('does not believe a makefs that ends well and has made nothing', async () => {
      const mirror = await mirrorWith();
      const said = 'makefs: 1 clusters too few clusters for FAT32, need 65525';
      const { result } = await build(shell, [mirror.url], makeFreebsd(), true, { FREEBSD_MAKEFS: said });
      expect(result.report, result.console).toMatchObject({ code: 'FilesystemFailed' });
      expect(result.report.message).toBe(`the ESP: ${said}`);
    });

    it('notices an archive that cannot be decompressed to its end', async () => {
      const mirror = await mirrorWith();
      const { result } = await build(shell, [mirror.url], makeFreebsd(), true, {
        FREEBSD_XZ: 'xz: 1.txz: Compressed data is corrupt',
      });
      expect(result.report, result.console).toMatchObject({ code: 'ExtractFailed' });
      expect(result.report.message).toContain('Compressed data is corrupt');
    });

    it('has ZFS write the images before it asks for their holes', async () => {
      const mirror = await mirrorWith();
      const { freebsd, result } = await build(shell, [mirror.url], makeFreebsd(), true, {
        FREEBSD_FILE_SYSTEM: 'zfs',
      });
      expect(result.report, result.console).toMatchObject({ ok: true });
      const order = freebsd
        .calls()
        .filter(
          ({ name, words }) => name === 'makefs' || name === 'zpool' || (name === 'tar' && words[0] !== '-x'),
        )
        .map(({ name }) => name);
      expect(order).toEqual(['makefs', 'zpool', 'makefs', 'zpool', 'tar', 'tar']);
    });

    it('destroys a table that was there before', async () => {
      const again = await mirrorWith();
      const freebsd = makeFreebsd();
      writeFileSync(join(freebsd.devices, 'table'), '    40  1024  1  freebsd-boot  (512K)\n');
      const { result } = await build(shell, [again.url], freebsd);
      expect(result.report, result.console).toMatchObject({ ok: true });
      const gpart = freebsd.calls().filter(({ name }) => name === 'gpart');
      expect(gpart.slice(0, 3).map(({ words }) => words.join(' '))).toEqual([
        'show md0',
        'destroy -F md0',
        'create -s gpt md0',
      ]);
    });

    it('clears the flags before it removes the tree of a machine that stays', async () => {
      const staying = await mirrorWith();
      const { freebsd, poweredOff } = await build(shell, [staying.url], makeFreebsd(), false);
      const last = freebsd.calls().map(({ name, words }) => [name, words[0]].join(' '));
      expect(last).toContain('chflags -R');
      expect(last.indexOf('chflags -R')).toBeLessThan(last.lastIndexOf('rm -rf'));
      expect(poweredOff).toBe(false);
    });

    it('resumes with fetch, and tells truncated from missing and unreachable', async () => {
      const resuming = await mirrorWith({ 'base.txz': inTurn(cutAt(40_000), serve) });
      const resumed = await build(shell, [resuming.url]);
      expect(resumed.result.report, resumed.result.console).toMatchObject({ ok: true });
      expect(resuming.requests.slice(0, 2)).toEqual(['GET base.txz', 'GET base.txz bytes=40000-']);

      const cutting = await mirrorWith({ 'base.txz': alwaysCutAt(40_000) });
      const truncated = await build(shell, [cutting.url]);
      expect(truncated.result.report, truncated.result.console).toMatchObject({ code: 'SetTruncated' });

      const unreachable = await build(shell, ['http://127.0.0.1:9/r']);
      expect(unreachable.result.report).toMatchObject({ code: 'MirrorUnreachable' });
      expect(unreachable.result.report.message).toContain('Connection refused');
    }, 80_000);

    const wrongCalls = (freebsd: ReturnType<typeof makeFreebsd>) => {
      const judge = freebsdJudge(reference);
      return freebsd
        .calls()
        .map((call) => ({ call: [call.name, ...call.words].join(' '), wrong: judge(call) }))
        .filter(({ wrong }) => wrong !== undefined);
    };
    const callsOf = (freebsd: ReturnType<typeof makeFreebsd>, wanted: string) =>
      freebsd
        .calls()
        .filter(({ name }) => name === wanted)
        .map(({ words }) => words.join(' ').replaceAll(/\S*\/work\//g, ''));

    it('makes a pool for a ZFS root, with the boot code that reads it', async () => {
      const mirror = await mirrorWith();
      const { freebsd, result } = await build(shell, [mirror.url], makeFreebsd(), true, {}, zfs);
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(wrongCalls(freebsd)).toEqual([]);
      expect(callsOf(freebsd, 'makefs').filter((line) => line.startsWith('-t zfs'))).toEqual([
        '-t zfs',
        '-t zfs -o poolname=zroot -o rootpath=/ -o bootfs=zroot/ROOT/default -o fs=zroot;mountpoint=none -o fs=zroot/ROOT;mountpoint=none -o fs=zroot/ROOT/default;mountpoint=/;canmount=noauto -o fs=zroot/tmp;mountpoint=/tmp;exec=on;setuid=off -o fs=zroot/usr;canmount=off;mountpoint=/usr -o fs=zroot/usr/src -s 61865984 images/root.img tree',
      ]);
      expect(callsOf(freebsd, 'gpart').slice(-4, -1)).toEqual([
        'add -t efi -b 4096 -s 69632 -l efiboot0 -i 2 md0',
        'add -t freebsd-zfs -b 73728 -s 120832 -l rootfs -i 3 md0',
        'bootcode -b state/pmbr -p state/gptzfsboot -i 1 md0',
      ]);
      const partition = (n: number) => readFileSync(join(freebsd.devices, `md0p${n}`));
      expect(partition(1).subarray(0, gptzfsboot.length).equals(gptzfsboot)).toBe(true);
      expect(
        partition(3)
          .subarray(30 * MIB, 30 * MIB + 7)
          .toString(),
      ).toBe('the end');
    });

    it('is UnsupportedOnPlatform where makefs knows no ZFS, before anything is fetched', async () => {
      const mirror = await mirrorWith();
      const { result } = await build(
        shell,
        [mirror.url],
        makeFreebsd(),
        true,
        { FREEBSD_NO_ZFS: 'yes' },
        zfs,
      );
      expect(result.report, result.console).toMatchObject({
        ok: false,
        phase: 'preflight',
        code: 'UnsupportedOnPlatform',
      });
      expect(result.report.message).toContain('has no ZFS');
      expect(result.report.remedy).toContain('14.0');
      expect(mirror.requests).toEqual([]);
    });

    it.each([
      ['makefs: failed to find 131072 bytes of space', 'VolumeTooSmall'],
      ['makefs: maximum image size is too small', 'VolumeTooSmall'],
      ["makefs: dataset `x' must be a child of `zroot'", 'FilesystemFailed'],
    ])('takes %s for %s', async (said, code) => {
      const mirror = await mirrorWith();
      const { result } = await build(shell, [mirror.url], makeFreebsd(), true, { FREEBSD_ZFS: said }, zfs);
      expect(result.report, result.console).toMatchObject({ ok: false, phase: 'filesystem', code });
      expect(result.report.message).toContain(said);
    });

    it('makes an empty UFS for data, and writes nothing to swap', async () => {
      const mirror = await mirrorWith();
      const { freebsd, result } = await build(shell, [mirror.url], makeFreebsd(), true, {}, swapAndData);
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(wrongCalls(freebsd)).toEqual([]);
      expect(callsOf(freebsd, 'makefs')[1]).toBe(
        '-t ffs -B little -Z -o version=2,label=data0,softupdates=1,density=8192 -s 16777216 images/4.img images/empty',
      );
      expect(callsOf(freebsd, 'gpart').filter((line) => line.startsWith('add'))).toEqual([
        'add -t freebsd-boot -b 2048 -s 1024 -l bootfs -i 1 md0',
        'add -t efi -b 4096 -s 69632 -l efiboot0 -i 2 md0',
        'add -t freebsd-swap -b 73728 -s 16384 -l swap0 -i 3 md0',
        'add -t freebsd-ufs -b 90112 -s 32768 -l data0 -i 4 md0',
        'add -t freebsd-ufs -b 122880 -s 71680 -l rootfs -i 5 md0',
      ]);
      // gptboot(8) would boot the first UFS.
      expect(callsOf(freebsd, 'gpart').filter((line) => line.startsWith('set'))).toEqual([
        'set -a bootme -i 5 md0',
      ]);
      expect(callsOf(freebsd, 'chown')).toContain('0:0 tree/srv/data');
      const written = callsOf(freebsd, 'dd').filter((line) => line.includes('of=/dev/md0p'));
      expect(written.map((line) => /of=\/dev\/md0p(\d)/.exec(line)?.[1])).toEqual([
        '2',
        '2',
        '4',
        '4',
        '5',
        '5',
      ]);
      const partition = (n: number) => readFileSync(join(freebsd.devices, `md0p${n}`));
      expect(partition(3).equals(Buffer.alloc(8 * MIB))).toBe(true);
      expect(
        partition(4)
          .subarray(15 * MIB, 15 * MIB + 7)
          .toString(),
      ).toBe('the end');
    });

    it.each([
      ['8192', ['8192', '4096'], { ok: true }],
      ['label=rootfs,softupdates=1', ['8192', '4096'], { ok: false, code: 'VolumeTooSmall' }],
    ])('makes more inodes where those of newfs are too few (%s)', async (few, densities, report) => {
      const mirror = await mirrorWith();
      const { freebsd, result } = await build(shell, [mirror.url], makeFreebsd(), true, {
        FREEBSD_FEW_INODES: few,
      });
      expect(result.report, result.console).toMatchObject(report);
      if (!report.ok) expect(result.report.message).toContain('8194 free inodes; 9000 are required');
      const roots = callsOf(freebsd, 'makefs').filter((line) => line.includes('label=rootfs'));
      expect(roots.map((line) => /density=(\d+)/.exec(line)?.[1])).toEqual(densities);
    });

    it('shows no query of a URL, though fetch does', async () => {
      const mirror = await mirrorWith();
      const { freebsd, result } = await build(
        shell,
        [mirror.url],
        makeFreebsd(),
        true,
        {},
        {
          'file.1.content': undefined,
          'file.1.url': `${mirror.url}/nothing?X-Amz-Signature=5ec2e7`,
          'file.1.sha256': 'a'.repeat(64),
        },
      );
      expect(result.report, result.console).toMatchObject({
        ok: false,
        phase: 'fetch',
        code: 'SourceUnavailable',
      });
      expect(result.report.message).toContain(`${mirror.url}/nothing: Not Found`);
      expect(callsOf(freebsd, 'fetch').at(-1)).toContain('5ec2e7');
      expect(result.console).not.toContain('5ec2e7');
    });

    it('edits in place: owner, mode, flags and time stay', async () => {
      const mirror = await mirrorWith();
      const base64 = (text: string) => Buffer.from(text).toString('base64');
      const { freebsd, result } = await build(
        shell,
        [mirror.url],
        makeFreebsd(),
        true,
        { FREEBSD_FLAGS: 'schg,uarch' },
        {
          'edit.count': 2,
          'edit.1.path': '/etc/rc',
          'edit.1.comment': base64('echo'),
          'edit.1.first': base64('# first\n'),
          'edit.1.last': base64('# last\n'),
          'edit.2.path': '/etc/new',
          'edit.2.comment': '',
          'edit.2.first': '',
          'edit.2.last': base64('only\n'),
          timezone: 'Europe/Vaduz',
        },
      );
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(wrongCalls(freebsd)).toEqual([]);
      const told = freebsd
        .calls()
        .filter(({ name }) => ['touch', 'chflags', 'stat', 'chown', 'chmod'].includes(name))
        .map(({ name, words }) => [name, ...words].join(' ').replaceAll(/\S*\/work\//g, ''));
      const from = told.indexOf('touch -r tree/etc/rc state/rewrite.time');
      expect(told.slice(from, from + 17)).toEqual([
        'touch -r tree/etc/rc state/rewrite.time',
        'stat -f %Sf tree/etc/rc',
        'chflags -h 0 tree/etc/rc',
        'touch -r state/rewrite.time tree/etc/rc',
        'chflags schg,uarch tree/etc/rc',
        ...['chown 0:0', 'chmod 0644', 'touch -d 2026-11-23T02:13:20Z'].map((what) => `${what} tree/etc/new`),
        ...['chown 0:0', 'chmod 0444', 'touch -d 2026-11-23T02:13:20Z'].map(
          (what) => `${what} tree/etc/localtime`,
        ),
        ...['chown 0:0', 'chmod 0755', 'touch -d 2026-11-23T02:13:20Z'].map((what) => `${what} tree/var/db`),
        ...['chown 0:0', 'chmod 0644', 'touch -d 2026-11-23T02:13:20Z'].map(
          (what) => `${what} tree/var/db/zoneinfo`,
        ),
      ]);
    });

    it('finds the disk by the serial number of its NVMe controller', () => {
      const freebsd = makeFreebsd();
      const [command, ...rest] = shell;
      const found = spawnSync(
        command,
        [
          ...rest,
          '-c',
          `volume=${volume}; . "$1/platform/freebsd.sh"; platform_find_disk`,
          'sh',
          join(root, 'worker'),
        ],
        {
          env: { PATH: `${freebsd.path}:${process.env.PATH}`, ...freebsd.environment },
          encoding: 'utf8',
        },
      );
      expect(found.stdout).toBe('/dev/nda1\n');
    });

    it('gives whoever looks into a disk that has just appeared a moment', () => {
      const [command, ...rest] = shell;
      const folder = mkdtempSync(join(tmpdir(), 'worker-preflight-'));
      scratch.push(folder);
      const preflight = (useUntil: number) =>
        spawnSync(
          command,
          [
            ...rest,
            '-c',
            `set -eu; volume=${volume}; state=$2; job_disk_size=1
            fail() { printf '%s\n' "$1"; exit 1; }
            platform_find_disk() { echo /dev/nda1; }
            platform_disk_use() { echo x >>"$state/uses"; [ "$(grep -c x "$state/uses")" -ge ${useUntil} ] || echo 'open as r1w0e0'; }
            platform_disk_size() { echo 1; }
            platform_acquire() { echo "$1"; }
            . "$1/phases/10-preflight.sh"; preflight_use_seconds=2; _preflight_disk`,
            'sh',
            join(root, 'worker'),
            folder,
          ],
          { encoding: 'utf8' },
        );
      expect(preflight(3)).toMatchObject({ status: 0, stdout: '' });
      expect(preflight(1000)).toMatchObject({ status: 1, stdout: 'WriteFailed\n' });
    });

    it('asks for a rescan while the disk does not appear', () => {
      const [command, ...rest] = shell;
      const found = spawnSync(
        command,
        [
          ...rest,
          '-c',
          `set -eu; volume=${volume}; state=/nonexistent; rescans=0
          fail() { printf '%s after %s rescans\n' "$1" "$rescans"; exit 1; }
          platform_find_disk() { :; }
          platform_rescan() { rescans=$((rescans + 1)); }
          . "$1/phases/10-preflight.sh"; preflight_disk_seconds=2 preflight_rescan_seconds=1; _preflight_disk`,
          'sh',
          join(root, 'worker'),
        ],
        { encoding: 'utf8' },
      );
      expect(found.stdout).toMatch(/^TargetDiskMissing after [12] rescans\n$/);
    });

    it('knows a disk in use by its open counts', () => {
      const freebsd = makeFreebsd();
      const [command, ...rest] = shell;
      const use = (mode: string) => {
        const geom = `geom() { printf '%s\\n' 'Geom name: nda0' 'Providers:' '1. Name: nda0' '   Mediasize: 1' '   Mode: ${mode}'; }`;
        // [ -c ] is about a real device.
        return spawnSync(
          command,
          [
            ...rest,
            '-c',
            `${geom}; . "$1/platform/freebsd.sh"; platform_disk_use /dev/null`,
            'sh',
            join(root, 'worker'),
          ],
          {
            env: { PATH: `${freebsd.path}:${process.env.PATH}`, ...freebsd.environment },
            encoding: 'utf8',
          },
        ).stdout;
      };
      expect(use('r0w0e0')).toBe('');
      expect(use('r1w1e2')).toBe('open as r1w1e2\n');
    });
  },
);

describe('the judge of calls', () => {
  const judge = freebsdJudge(reference);
  it.each([
    ['gpart add -t efi -l x nda1', undefined],
    ['gpart add -l x nda1', '-t is missing'],
    ['gpart add -t efi -U uuid nda1', 'no option -U'],
    ['gpart format nda1', 'no verb format'],
    ['gpart bootcode -b pmbr -p gptboot nda1', '-p and -i go together'],
    ['makefs -t ffs -o version=2,time=5 -s 1m image tree', '-t ffs has no option time=5'],
    ['makefs -t msdos -Z -s 1m image tree', '-Z and -B are for ffs'],
    ['makefs -t ffs image', '1 operands'],
    ['makefs -t zfs', undefined],
    ['makefs -t ffs', '0 operands'],
    ['makefs -t zfs -o poolname=zroot,bootfs=zroot -s 1g image tree', undefined],
    ['makefs -t zfs -o poolname=zroot -Z -s 1g image tree', '-Z and -B are for ffs'],
    ['makefs -t zfs -o poolname=zroot -o label=x -s 1g image tree', '-t zfs has no option label=x'],
    ['makefs -t zfs -o poolname=zroot image tree', 'an image size must be specified'],
    ['makefs -t zfs -o poolname=zroot -o fs=zroot/a/b -s 1g image tree', 'no parent for zroot/a/b'],
    [
      'makefs -t zfs -o poolname=zroot -o fs=zroot;mountpoint=none -o fs=zroot/a -s 1g image tree',
      'zroot/a has no mountpoint to inherit',
    ],
    ['makefs -t zfs -o poolname=zroot -o fs=zroot/a;quota=1g -s 1g image tree', 'unknown property quota'],
    ['dd if=a of=b bs=1M', 'bs=1M is not a plain number'],
    ['dd if=a conv=nocreat', 'dd has no conv=nocreat'],
    ['date -d @5', 'no option -d'],
    ['sha256sum x', 'not in the base system of 13.2, or not in the table'],
    ['stat -c %s x', 'no option -c'],
    ['readlink -e x', 'no option -e'],
    ['sed -i', '-i needs a value'],
    ['cp --archive a b', 'no option --archive'],
    ['mdconfig -d', '-d needs -u'],
    ['fetch -o - --silent x', 'no option --silent'],
  ])('%s: %s', (line, wrong) => {
    const [name = '', ...words] = line.split(' ');
    expect(judge({ name, words })).toBe(wrong);
  });
});
