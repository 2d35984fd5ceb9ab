import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { freebsdPackageJudge } from './freebsd-package-syntax.ts';
import { freebsdJudge } from './freebsd-syntax.ts';
import { startMirror } from './mirror.ts';
import { makeBench, removeScratch, runPhase } from './phase-run.ts';
import { type Entry, releasedSet } from './synthetic-release.ts';
import { job, MIB, removeMachines, removePayload, root, runWorker, shells, volume } from './worker-run.ts';

const here = join(root, 'test/worker');
const scratch: string[] = [];
afterAll(() => {
  for (const folder of scratch) rmSync(folder, { recursive: true, force: true });
  removeScratch();
  removeMachines();
  removePayload();
});

/** What the chroot and freebsd-update look for, beside the synthetic release. */
const system = releasedSet('system', [
  { path: './dev/', type: 'directory', mode: 0o755 },
  { path: './bin/freebsd-version', mode: 0o755, content: 'USERLAND_VERSION="15.1-RELEASE"\n' },
  {
    path: './etc/freebsd-update.conf',
    content: 'KeyPrint 1\nServerName update.example\nComponents src world kernel\n',
  },
  { path: './var/log/', type: 'directory', mode: 0o755 },
  { path: './var/log/messages', content: 'something\n' },
] satisfies readonly Entry[]);

const packages = {
  update: 'freebsd-update',
  'package.abi': 'FreeBSD:15:amd64',
  'package.osversion': 1_501_000,
  'package.count': 1,
  'package.1.name': 'nginx',
  'package.1.repository': '',
  'repository.count': 1,
  'repository.1.name': 'own',
  'repository.1.url': 'https://pkg.example/own',
  'repository.1.priority': 0,
  'repository.1.signature': 'none',
  'script.count': 1,
  'script.1.name': 'greet',
  'script.1.content': Buffer.from('echo hello >etc/motd.template\necho noise >var/log/noise\n').toString(
    'base64',
  ),
  'set.count': 3,
  'set.3.name': 'system',
  'set.3.file': 'system.txz',
  'set.3.sha256': system.sha256,
  'set.3.entries': system.entries,
};

const doubles = {
  'freebsd-double.sh':
    'uname id sysctl diskinfo geom mdconfig gpart makefs zpool tar fetch sha256 b64decode fold chflags realpath readlink stat pwd_mkdb pgrep shutdown dd date touch chown chmod awk sed tr grep head tail ls du mkdir rm mv cp cat sort od basename dirname tee cut sleep xz find gzip mtree curl wget sha256sum base64 sfdisk mcopy mkfs.vfat node bsdtar lsblk blockdev poweroff truncate mkfifo',
  'freebsd-package-double.sh': 'pkg freebsd-update mount umount devfs fuser chroot df openssl nc timeout',
};

async function build(
  shell: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
  changes: Parameters<typeof job>[1] = {},
  powerOff = false,
) {
  const folder = mkdtempSync(join(tmpdir(), 'worker-freebsd-packages-'));
  scratch.push(folder);
  const [bin, devices] = [join(folder, 'bin'), join(folder, 'devices')];
  mkdirSync(bin);
  mkdirSync(devices);
  for (const [double, names] of Object.entries(doubles))
    for (const name of names.split(' ')) symlinkSync(join(here, double), join(bin, name));
  const mirror = await startMirror({}, { 'system.txz': system.body });
  let machine = '';
  try {
    const result = await runWorker({
      shell,
      path: bin,
      diskSize: 0,
      powerOff,
      lines: job([mirror.url], { ...packages, ...changes }),
      environment: {
        FREEBSD_RECORD: join(folder, 'record'),
        FREEBSD_DEVICES: devices,
        FREEBSD_SERIAL: volume.replace('-', ''),
        FREEBSD_SHELL: shell.join(' '),
        FOUNDRY_POWER_OFF: '',
        ...environment,
      },
      prepare: (made) => {
        machine = made;
        mkdirSync(join(made, 'dev/aws/disk/ebs'), { recursive: true });
        writeFileSync(join(made, 'disk'), '');
        spawnSync('truncate', ['-s', String(96 * MIB), join(made, 'disk')]);
        symlinkSync(join(made, 'disk'), join(made, 'dev/aws/disk/ebs', volume));
        // The doubles learn where the tree is when they are called: the machine is made in between.
        symlinkSync(join(made, 'work/tree'), join(folder, 'tree'));
      },
    });
    const calls = readFileSync(join(folder, 'record'), 'utf8')
      .split('\x1d')
      .filter(Boolean)
      .map((record) => {
        const [name = '', ...words] = record.split('\x1f');
        return { name, words };
      });
    return { result, calls, devices, work: join(machine, 'work') };
  } finally {
    await mirror.close();
  }
}

const mounts = (devices: string) => {
  const file = join(devices, 'mounts');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'a build with packages on FreeBSD under $name',
  ({ shell }) => {
    const tree = 'TREE=$(tr "\\037\\035" "\\n\\n" <"$FREEBSD_RECORD" | grep "/work/tree$" | head -n 1)';
    const good = {
      FREEBSD_UPDATE: `${tree}
        case $command in
        fetch) : >"$FREEBSD_DEVICES/ready" ;;
        updatesready) [ -e "$FREEBSD_DEVICES/ready" ] || exit 2 ;;
        install) rm "$FREEBSD_DEVICES/ready"; printf 'USERLAND_VERSION="15.1-RELEASE-p3"\\n' >"$TREE/bin/freebsd-version" ;;
        esac`,
      FREEBSD_PKG: `${tree}
        case $command in
        install) mkdir -p "$TREE/var/db/pkg/repos" "$TREE/usr/local/sbin"; echo nginx >"$TREE/usr/local/sbin/nginx"; : >"$TREE/var/db/pkg/local.sqlite" ;;
        query) case $* in *%L*) printf 'nginx\\tBSD2CLAUSE\\n' ;; *) printf 'nginx\\t1.30.0,3\\twww/nginx\\tFreeBSD:15:amd64\\tUNKNOWN\\town\\n' ;; esac ;;
        esac`,
    };

    it('patches, installs, runs scripts, seals and tells what it made', async () => {
      const { result, calls, devices } = await build(shell, good);
      expect(result.report, result.console).toMatchObject({
        ok: true,
        packages: 1,
        patchLevel: '15.1-RELEASE-p3',
        manifestSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
      expect(mounts(devices)).toBe('');
      const judge = freebsdPackageJudge(freebsdJudge(join(root, '../shared/reference/freebsd-13.2')));
      expect(
        calls.flatMap((call) => {
          const wrong = judge(call);
          return wrong === undefined ? [] : [`${[call.name, ...call.words].join(' ')}: ${wrong}`];
        }),
      ).toEqual([]);
      // The disk is made of what is left when everything is undone.
      const order = calls
        .map(({ name }) => name)
        .filter((name) => ['mount', 'umount', 'mtree', 'makefs'].includes(name));
      expect(order).toEqual(['mount', 'umount', 'mount', 'umount', 'mtree', 'mtree', 'makefs', 'makefs']);
    }, 60_000);

    it('gives everything back when a script hangs until the deadline', async () => {
      const { result, devices, work } = await build(shell, good, {
        'script.1.content': Buffer.from('sleep 300\n').toString('base64'),
        deadline: Math.floor(Date.now() / 1000) + 14,
      });
      expect(result.report, result.console).toMatchObject({
        ok: false,
        phase: 'customise',
        code: 'DeadlineExceeded',
      });
      expect(mounts(devices)).toBe('');
      expect(readdirSync(work)).toEqual([]);
    }, 60_000);

    it('powers off although something stays mounted', async () => {
      const stuck = `${good.FREEBSD_PKG}\n[ $command != install ] || { : >"$FREEBSD_DEVICES/umount-stuck"; exit 1; }`;
      const { result, devices } = await build(shell, { ...good, FREEBSD_PKG: stuck }, {}, true);
      expect(result.report, result.console).toMatchObject({
        ok: false,
        phase: 'packages',
        code: 'PackageFailed',
      });
      expect(mounts(devices)).not.toBe('');
      expect(existsSync(join(devices, 'powered-off'))).toBe(true);
    }, 60_000);

    it('does not remove a tree in which something stays mounted', async () => {
      const bench = makeBench({ 'bin/sh': 'sh' });
      for (const owned of ['WORK/tree/dev', '']) {
        writeFileSync(join(bench.state, 'chroot.owned'), owned);
        const script = 'discard() { rm -rf "$1"; }; platform_discard_tree';
        const result = await runPhase({ shell, bench, platform: 'freebsd', script });
        expect(result.status, result.stderr).toBe(0);
        expect(existsSync(bench.tree)).toBe(owned !== '');
      }
    });
  },
);
