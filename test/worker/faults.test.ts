import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type Mirror, stall, startMirror } from './mirror.ts';
import { base, kernel } from './synthetic-release.ts';
import {
  down,
  expectFailure,
  job,
  MIB,
  makeMachine,
  removeMachines,
  removePayload,
  runWorker,
  shells,
  startWorker,
  volume,
  zfs,
} from './worker-run.ts';

const mirrors: Mirror[] = [];
const mirrorWith = async (...args: Parameters<typeof startMirror>) => {
  const mirror = await startMirror(...args);
  mirrors.push(mirror);
  return mirror;
};
afterEach(async () => {
  await Promise.all(mirrors.splice(0).map((mirror) => mirror.close()));
});
afterAll(() => {
  removeMachines();
  removePayload();
});

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))('under $name', ({ shell }) => {
  it('prints the report a second time while it lingers', async () => {
    const began = Date.now();
    const result = await runWorker({ shell, lines: job([down], { ...zfs, linger: 2 }) });
    const reports = result.console.match(/^foundry-report: .*$/gm);
    expect(reports, result.console).toHaveLength(2);
    expect(reports?.[0]).toBe(reports?.[1]);
    expect(Date.now() - began).toBeGreaterThan(1500);
    expectFailure(result, 'preflight', 'UnsupportedOnPlatform');
  });

  describe('the set itself', () => {
    it('is ExtractFailed when the MANIFEST counts other entries', async () => {
      const mirror = await mirrorWith();
      const result = await runWorker({
        shell,
        lines: job([mirror.url], { 'set.1.entries': base.entries + 1 }),
      });
      expectFailure(result, 'extract', 'ExtractFailed');
      expect(result.report.message).toContain(
        `base has ${base.entries} entries, the MANIFEST says ${base.entries + 1}`,
      );
    });

    it('is ExtractFailed when the archive is not one, whatever its digest', async () => {
      const body = Buffer.from('not an archive at all');
      const mirror = await mirrorWith({}, { 'base.txz': body });
      const result = await runWorker({
        shell,
        lines: job([mirror.url], { 'set.1.sha256': createHash('sha256').update(body).digest('hex') }),
      });
      expectFailure(result, 'extract', 'ExtractFailed');
    });

    it('is LoaderMissing without a loader', async () => {
      const mirror = await mirrorWith();
      const lines = job([mirror.url]).filter((line) => !line.startsWith('set.'));
      const result = await runWorker({
        shell,
        lines: [
          ...lines,
          'set.count=1',
          'set.1.name=kernel',
          'set.1.file=kernel.txz',
          `set.1.sha256=${kernel.sha256}`,
          `set.1.entries=${kernel.entries}`,
        ],
      });
      expectFailure(result, 'inventory', 'LoaderMissing');
    });
  });

  describe('the machine', () => {
    it('is VolumeTooSmall when the volume is smaller than the image', async () => {
      const result = await runWorker({ shell, lines: job([down]), diskSize: 95 * MIB });
      expectFailure(result, 'preflight', 'VolumeTooSmall');
      expect(result.report.message).toContain(`${95 * MIB} bytes`);
    });

    it('waits for a disk that is attached late', async () => {
      const mirror = await mirrorWith();
      const worker = await startWorker({ shell, lines: job([mirror.url]), diskSize: 0 });
      await worker.until(/phase=preflight state=start/);
      writeFileSync(join(worker.machine, 'dev/nvme1n1'), '');
      execFileSync('truncate', ['-s', String(96 * MIB), join(worker.machine, 'dev/nvme1n1')]);
      symlinkSync(
        '../../nvme1n1',
        join(worker.machine, `dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume.replace('-', '')}`),
      );
      expect((await worker.result).report).toMatchObject({ ok: true });
    });

    it('is UnsupportedOnPlatform for a file system that it cannot make', async () => {
      const result = await runWorker({ shell, lines: job([down], zfs) });
      expectFailure(result, 'preflight', 'UnsupportedOnPlatform');
    });
  });

  describe('the job', () => {
    it('is BadJob with status 65 when it is wrong, and the report still has its build', async () => {
      const result = await runWorker({ shell, lines: job([down], { deadline: 'soon' }) });
      expectFailure(result, 'preflight', 'BadJob', 65);
      expect(result.report.build).toBe('demo-3f1c');
    });

    it('is BadJob when a file stands where a directory must be', async () => {
      const mirror = await mirrorWith();
      const result = await runWorker({ shell, lines: job([mirror.url], { 'file.1.path': '/etc/rc/file' }) });
      expectFailure(result, 'configure', 'BadJob');
      expect(result.report.message).toContain('file.1.path');
    });

    it('never leads out of the image, whatever the links of the release are', async () => {
      const mirror = await mirrorWith();
      const paths = ['outside/srv', 'upwards', 'dangling'].map(
        (link) => `/usr/share/${link}/escaped/${link}`,
      );
      const result = await runWorker({
        shell,
        lines: job([mirror.url], Object.fromEntries(paths.map((path, i) => [`file.${i + 1}.path`, path]))),
      });
      expect(result.report, result.console).toMatchObject({ ok: true });
      for (const place of ['/srv', '/tmp', '/usr/share/nothing', result.machine])
        expect(existsSync(join(place, 'escaped'))).toBe(false);
      const listing = execFileSync(
        'fls',
        ['-f', 'ufs', '-o', String((36 * MIB) / 512), '-r', '-p', result.disk],
        {
          encoding: 'utf8',
        },
      );
      expect(listing).toContain('\tsrv/escaped/outside/srv');
      expect(listing).toContain('\tusr/share/nothing/escaped/dangling');
    });

    it.each([
      [['--job', 'x'], 'missing: --work'],
      [['--job', 'x', '--volume', 'sda', '--work', 'y'], '--volume sda'],
      [['--frobnicate'], 'unknown option --frobnicate'],
      [['--job'], '--job needs a value'],
    ])('is UsageError with status 64 for %j', async (args, message) => {
      const result = await runWorker({ shell, lines: [], arguments: args });
      expectFailure(result, 'preflight', 'UsageError', 64);
      expect(result.report.message).toContain(message);
    });

    it('never powers off without --power-off', async () => {
      const result = await runWorker({ shell, lines: [], arguments: ['--frobnicate'], powerOff: false });
      expect(result.report).toMatchObject({ ok: false, code: 'UsageError' });
      expect(result.poweredOff).toBe(false);
    });

    it('is refused a work directory that was used before', async () => {
      const mirror = await mirrorWith({ 'base.txz': stall });
      const first = await startWorker({ shell, lines: job([mirror.url]) });
      await first.until(/phase=fetch state=start/);
      const work = join(first.machine, 'work');
      const args = ['--volume', volume, '--job', join(first.machine, 'job'), '--work', work];
      const second = await runWorker({ shell, lines: job([mirror.url]), arguments: args });
      expectFailure(second, 'preflight', 'UsageError', 64);
      first.child.kill('SIGTERM');
      expect((await first.result).report).toMatchObject({ code: 'WorkerInterrupted' });
    });
  });

  describe('an end from outside', () => {
    it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
      '%s ends everything: report, no child left, power off',
      async (signal) => {
        const mirror = await mirrorWith({ 'base.txz': stall });
        const worker = await startWorker({ shell, lines: job([mirror.url]) });
        await worker.until(/phase=fetch state=start/);
        await new Promise((resolve) => setTimeout(resolve, 500));
        const asked = Date.now();
        worker.child.kill(signal);
        const result = await worker.result;
        expectFailure(result, 'fetch', 'WorkerInterrupted');
        expect(Date.now() - asked).toBeLessThan(5_000);
        expect(processesOf(result.machine)).toEqual([]);
      },
    );

    it('the deadline ends everything', async () => {
      const mirror = await mirrorWith({ 'base.txz': stall });
      const result = await runWorker({
        shell,
        lines: job([mirror.url], { deadline: Math.floor(Date.now() / 1000) + 3 }),
      });
      expectFailure(result, 'fetch', 'DeadlineExceeded');
      expect(result.console).toMatch(
        /foundry: phase=fetch state=failed seconds=\d+\.\d code=DeadlineExceeded/,
      );
      expect(processesOf(result.machine)).toEqual([]);
    });

    it('a deadline that has passed lets nothing begin', async () => {
      const result = await runWorker({ shell, lines: job([down], { deadline: 1_700_000_000 }) });
      expectFailure(result, 'preflight', 'DeadlineExceeded');
    });

    it('a phase that is killed is WorkerFailed', async () => {
      const mirror = await mirrorWith({ 'base.txz': stall });
      const worker = await startWorker({ shell, lines: job([mirror.url]) });
      await worker.until(/phase=fetch state=start/);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const phase = childrenOf(worker.child.pid ?? 0).find((pid) => childrenOf(pid).length > 1);
      process.kill(phase ?? 0, 'SIGKILL');
      await worker.until(/foundry-report/);
      // Its tools have no parent any more. A machine that powers off ends them; here the mirror does.
      await mirror.close();
      expectFailure(await worker.result, 'fetch', 'WorkerFailed');
    });

    it('a tool that is killed is the error of its phase', async () => {
      const path = join(makeMachine(0), 'bin');
      mkdirSync(path);
      writeFileSync(join(path, 'sfdisk'), '#!/bin/sh\nkill -KILL $$\n');
      chmodSync(join(path, 'sfdisk'), 0o755);
      const mirror = await mirrorWith();
      const result = await runWorker({ shell, path, lines: job([mirror.url]) });
      expectFailure(result, 'write', 'WriteFailed');
    });

    it('a disk that keeps something else than was written is VerifyFailed', async () => {
      const path = join(makeMachine(0), 'bin');
      mkdirSync(path);
      // Writes all but the last of the ESP's blocks.
      writeFileSync(
        join(path, 'dd'),
        '#!/bin/sh\ncase "$*" in *esp.img*conv=notrunc*) exit 0 ;; esac\nexec /usr/bin/dd "$@"\n',
      );
      chmodSync(join(path, 'dd'), 0o755);
      const mirror = await mirrorWith();
      const result = await runWorker({ shell, path, lines: job([mirror.url]) });
      expectFailure(result, 'verify', 'VerifyFailed');
    });
  });

  it('shows progress while a phase takes long', async () => {
    const mirror = await mirrorWith({ 'base.txz': stall });
    const worker = await startWorker({ shell, lines: job([mirror.url]) });
    await worker.until(/phase=fetch state=progress bytes=[1-9]\d+ total=0/);
    worker.child.kill('SIGTERM');
    expect((await worker.result).poweredOff).toBe(true);
  }, 25_000);
});

function childrenOf(pid: number): number[] {
  try {
    return execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map(Number);
  } catch {
    // pgrep(1) ends with 1 when it finds none.
    return [];
  }
}

/** What still runs with the machine in its arguments. */
function processesOf(machine: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    })
    .filter((command) => command.includes(machine));
}
