import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Bench, makeBench, type PhaseOptions, removeScratch, runPhase } from './phase-run.ts';
import { files, shells } from './worker-run.ts';

afterAll(removeScratch);

/** What building may leave, and what stays. */
const gone = [
  'etc/ssh/ssh_host_ed25519_key',
  'etc/ssh/ssh_host_ed25519_key.pub',
  'etc/hostid',
  'etc/machine-id',
  'entropy',
  'boot/entropy',
  'var/db/entropy/saved-entropy.1',
  'var/db/entropy/.hidden',
  'var/db/dhclient.leases.ena0',
  'var/cache/pkg/nginx-1~0123456789.pkg',
  'var/cache/pkg/nginx-1.pkg',
  'var/db/pkg/repos/FreeBSD/db',
  'var/db/pkg/repo-FreeBSD.sqlite',
  'var/db/freebsd-update/pub.ssl',
  'var/backups/master.passwd.bak',
  'tmp/left over/by a script',
  'tmp/.X0-lock',
  'var/tmp/other',
  'var/tmp/vi.recover/lost',
  'var/log/messages.0',
  'var/log/all.log.1.bz2',
  'etc/resolv.conf',
  'root/.history',
  'root/.sh_history',
];
const kept = [
  'firstboot',
  'etc/ssh/sshd_config',
  'etc/ssh/moduli',
  'etc/rc.conf',
  'var/db/pkg/local.sqlite',
  'var/db/services.db',
  'root/.cshrc',
  'root/.profile',
  'usr/local/etc/rc.d/x',
  'boot/kernel/kernel',
];
const directories = [
  'tmp',
  'var/tmp',
  'var/tmp/vi.recover',
  'var/log',
  'var/db/entropy',
  'var/cache/pkg',
  'var/db/freebsd-update',
  'var/backups',
  'etc/ssh',
];

const dirty = () =>
  makeBench({
    ...Object.fromEntries([...gone, ...kept].map((path) => [path, `content of ${path}\n`])),
    'var/log/messages': 'boot\n',
    'var/log/nginx/access.log': 'GET\n',
    'var/log/empty': '',
  });

/** The specification of a tree in which every path is quoted as bsdtar does it. */
function specify(bench: Bench): void {
  const lines = ['#mtree', '. type=dir uid=0 gid=0 mode=755'];
  for (const path of readdirSync(bench.tree, { recursive: true, encoding: 'utf8' })) {
    const stat = lstatSync(join(bench.tree, path));
    const quoted = path.replace(
      /[^\w./-]/g,
      (each) => `\\${each.charCodeAt(0).toString(8).padStart(3, '0')}`,
    );
    lines.push(
      `./${quoted} type=${stat.isDirectory() ? 'dir' : 'file'} uid=0 gid=0 mode=${stat.isDirectory() ? '755' : '644'}`,
    );
    // A set may have a directory that another one had.
    if (stat.isDirectory()) lines.push(`./${quoted}/ type=dir uid=0 gid=0 mode=755`);
  }
  writeFileSync(join(bench.state, 'spec'), `${lines.join('\n')}\n`);
}

const specified = (bench: Bench) =>
  readFileSync(join(bench.state, 'spec'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('./'))
    .map((line) =>
      (line.split(' ')[0] ?? '')
        .slice(2)
        .replace(/\/$/, '')
        .replace(/\\(\d{3})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 8))),
    );

const listing = (bench: Bench) => new Set(readdirSync(bench.tree, { recursive: true, encoding: 'utf8' }));

const platforms = ['freebsd', 'linux'] as const;

describe.each(
  shells.flatMap((shell) =>
    platforms.map((platform) => ({ name: `${shell.join(' ')} on ${platform}`, shell, platform })),
  ),
)('the seal under $name', ({ shell, platform }) => {
  const seal = async (bench: Bench, rest: Partial<PhaseOptions> = {}) => {
    if (platform === 'linux') specify(bench);
    const result = await runPhase({
      shell,
      bench,
      platform,
      script: 'seal_run',
      job: files([{ path: '/firstboot', content: '' }]),
      ...rest,
    });
    expect(result.failure, result.stderr).toBeUndefined();
    expect(result.status, result.stderr).toBe(0);
    if (platform === 'freebsd') expect(result.wrong).toEqual([]);
    return result;
  };

  it('takes identities, leases, caches and leftovers away, and keeps the rest', async () => {
    const bench = dirty();
    await seal(bench);
    expect(gone.filter((path) => existsSync(join(bench.tree, path)))).toEqual([]);
    expect(kept.filter((path) => !existsSync(join(bench.tree, path)))).toEqual([]);
    expect(directories.filter((path) => !statSync(join(bench.tree, path)).isDirectory())).toEqual([]);
    expect(existsSync(join(bench.tree, 'tmp/left over'))).toBe(false);
  });

  it('empties logs and keeps their files', async () => {
    const bench = dirty();
    await seal(bench);
    for (const log of ['messages', 'nginx/access.log', 'empty'])
      expect(statSync(join(bench.tree, 'var/log', log)).size).toBe(0);
  });

  it('keeps what the job lays down, and the directories on the way', async () => {
    const bench = dirty();
    const laid = [
      '/etc/resolv.conf',
      '/etc/hostid',
      '/var/tmp/own/deep/file',
      '/var/log/messages',
      '/tmp/left over/by a script',
    ];
    mkdirSync(join(bench.tree, 'var/tmp/own/deep'), { recursive: true });
    for (const name of ['deep/file', 'deep/other', 'beside'])
      writeFileSync(join(bench.tree, 'var/tmp/own', name), 'x');
    await seal(bench, {
      job: files(laid.filter((path) => !path.includes(' ')).map((path) => ({ path, content: 'x' }))),
    });
    expect(laid.map((path) => existsSync(join(bench.tree, path)))).toEqual([true, true, true, true, false]);
    expect(readdirSync(join(bench.tree, 'var/tmp/own'))).toEqual(['deep']);
    expect(readdirSync(join(bench.tree, 'var/tmp/own/deep'))).toEqual(['file']);
    expect(statSync(join(bench.tree, 'var/log/messages')).size).toBeGreaterThan(0);
  });

  it('follows no link on the way: what is outside of the image stays', async () => {
    const bench = makeBench({ 'etc/x': '', 'var/db/': '', 'var/log/x': { link: '/etc/hostname' } });
    const outside = join(bench.folder, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'precious'), 'x');
    for (const name of ['tmp', 'var/tmp', 'root', 'var/db/entropy'])
      symlinkSync(outside, join(bench.tree, name));
    writeFileSync(join(outside, '.history'), 'x');
    if (platform === 'linux')
      writeFileSync(join(bench.state, 'spec'), '#mtree\n. type=dir uid=0 gid=0 mode=755\n');
    const result = await runPhase({ shell, bench, platform, script: 'seal_run' });
    expect(result.status, result.stderr).toBe(0);
    expect(new Set(readdirSync(outside))).toEqual(new Set(['.history', 'precious']));
  });

  it('has nothing to do in a release that nobody has touched', async () => {
    const bench = makeBench(Object.fromEntries(kept.map((path) => [path, 'x'])));
    const before = listing(bench);
    await seal(bench);
    expect(listing(bench)).toEqual(before);
  });

  it.runIf(platform === 'linux')('takes the lines out of the specification, however it quotes', async () => {
    const bench = dirty();
    await seal(bench);
    const present = readdirSync(bench.tree, { recursive: true, encoding: 'utf8' });
    expect([...new Set(specified(bench))].sort()).toEqual(present.sort());
  });
});
