import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type JobFrame, renderJob } from '../../core/job.ts';
import { demo } from './legal-recipes.ts';
import { resolved } from './upstream.ts';

const SHA = 'a'.repeat(64);

const frame: JobFrame = {
  build: 'demo-0123456789ab',
  deadline: 1_795_434_426,
  linger: 60,
  upload: { manifest: 'https://b/manifest?X=1', sbom: 'https://b/sbom?X=1' },
  urlOf: async (source) => ('url' in source ? source.url : `https://signed/${source.s3.slice(5)}`),
};

/** The contract read back, by what docs/architecture.md says and nothing of core/job.ts. */
function readJob(text: string): Map<string, string> {
  expect(text.endsWith('\n')).toBe(true);
  const lines = new Map<string, string>();
  for (const line of text.slice(0, -1).split('\n')) {
    const equals = line.indexOf('=');
    const key = line.slice(0, equals);
    expect(key).toMatch(/^[a-z0-9.]+$/);
    expect(lines.has(key)).toBe(false);
    lines.set(key, line.slice(equals + 1));
  }
  return lines;
}

const job = async (recipe: object) => readJob(await renderJob(await resolved({ ...demo, ...recipe }), frame));
const text = (base64: string | undefined) => Buffer.from(base64 ?? '', 'base64').toString('utf8');
const list = (lines: ReadonlyMap<string, string>, name: string) =>
  Array.from(
    { length: Number(lines.get(`${name}.count`)) },
    (_, n) => (key: string) => lines.get(`${name}.${n + 1}${key}`),
  );

describe('a job', () => {
  test('has the lines of the contract', async () => {
    const lines = await job({});
    expect(Object.fromEntries(lines)).toMatchObject({
      version: '3',
      build: 'demo-0123456789ab',
      deadline: '1795434426',
      linger: '60',
      release: '15.1-RELEASE',
      architecture: 'amd64',
      filesystem: 'ufs',
      system: 'sets',
      'mirror.count': '1',
      'mirror.1': 'https://download.freebsd.org/releases/amd64/amd64/15.1-RELEASE',
      'set.count': '2',
      'set.1.name': 'base',
      'set.1.file': 'base.txz',
      'set.1.entries': '10',
      'set.2.file': 'kernel.txz',
      update: 'none',
      'package.abi': 'FreeBSD:15:amd64',
      'package.osversion': '1501000',
      'repository.1.name': 'FreeBSD-ports',
      'repository.1.url': 'https://pkg.FreeBSD.org/FreeBSD:15:amd64/quarterly',
      'repository.1.signature': 'fingerprints',
      'repository.1.keys': '/usr/share/keys/pkg',
      timestamp: String(Date.UTC(2026, 10, 6) / 1000),
      'disk.size': String(10 * 1024 ** 3),
      'partition.count': '3',
      'partition.3.content': 'root',
      'partition.3.type': 'freebsd-ufs',
      'upload.manifest': 'https://b/manifest?X=1',
      'upload.sbom': 'https://b/sbom?X=1',
    });
  });

  test('carries what a recipe says, fetched things by URL and checksum', async () => {
    const lines = await job({
      kernel: { s3: 's3://company/kernels/kernel.txz', sha256: SHA },
      extraSets: [{ name: 'agent', url: 'https://e.example/agent.txz', sha256: SHA }],
      files: [{ path: '/etc/motd', url: 'https://e.example/motd', sha256: SHA, owner: 'www', group: 80 }],
      groups: [{ name: 'ops', gid: 2000 }],
      users: [{ name: 'ann', groups: ['wheel', 'ops'], sshKeys: [`ssh-ed25519 ${'A'.repeat(68)} ann`] }],
      scripts: [{ name: 'greet', run: 'echo "$HOME"\n' }],
      timezone: 'Europe/Berlin',
      updates: 'at-build',
      swap: 2,
      data: { size: 3, mount: '/data' },
    });
    expect(Object.fromEntries(lines)).toMatchObject({
      'set.2.name': 'kernel',
      'set.2.url': 'https://signed/company/kernels/kernel.txz',
      'set.2.sha256': SHA,
      'set.2.entries': '0',
      'set.3.name': 'agent',
      'set.3.file': 'agent.txz',
      'set.3.url': 'https://e.example/agent.txz',
      update: 'freebsd-update',
      timezone: 'Europe/Berlin',
      'group.1.gid': '2000',
      'user.1.name': 'ann',
      'user.1.groups': 'wheel,ops',
      'user.1.home': '',
      'script.1.name': 'greet',
      'partition.3.content': 'swap',
      'partition.3.type': 'freebsd-swap',
      'partition.4.content': 'data',
      'partition.4.mount': '/data',
      'partition.5.size': '0',
    });
    expect(text(lines.get('user.1.keys'))).toBe(`ssh-ed25519 ${'A'.repeat(68)} ann\n`);
    expect(text(lines.get('script.1.content'))).toBe('echo "$HOME"\n');
    const motd = list(lines, 'file').find((get) => get('.path') === '/etc/motd');
    expect([motd?.('.url'), motd?.('.sha256'), motd?.('.uid'), motd?.('.gid'), motd?.('.content')]).toEqual([
      'https://e.example/motd',
      SHA,
      'www',
      '80',
      undefined,
    ]);
  });

  test('for ZFS names the pool and its datasets', async () => {
    const lines = await job({ filesystem: 'zfs' });
    expect(lines.get('zfs.bootfs')).toBe('zroot/ROOT/default');
    expect(lines.get('partition.3.type')).toBe('freebsd-zfs');
    const mounts = list(lines, 'dataset').map((get) => [get('.name'), get('.options')]);
    expect(mounts).toContainEqual(['zroot/tmp', 'mountpoint=/tmp;exec=on;setuid=off']);
    // makefs(8) wants a parent before its child.
    const names = mounts.map(([name = '']) => name);
    for (const [index, name] of names.entries()) {
      const parent = name.slice(0, Math.max(0, name.lastIndexOf('/')));
      if (parent !== '') expect(names.slice(0, index)).toContain(parent);
    }
  });

  test('for pkgbase has no sets, and the base packages from their repository only', async () => {
    const lines = await job({ system: 'pkgbase' });
    expect(lines.get('set.count')).toBe('0');
    expect(lines.get('mirror.count')).toBe('0');
    expect(list(lines, 'package').map((get) => [get('.name'), get('.repository')])).toContainEqual([
      'FreeBSD-set-kernels',
      'FreeBSD-base',
    ]);
    expect(lines.get('timestamp')).toBe(String(Date.UTC(2026, 10, 6) / 1000));
  });

  test('holds any text of a recipe byte for byte, and no text makes a line of its own', async () => {
    const wild = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.constantFrom('', '\n', 'a=b\nversion=3\r\n', '$(reboot)`id`', '-rf "\'\\', `$\{HOME}`, '\u2028é𝄞'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(wild, { maxLength: 5 }), async (contents) => {
        const texts = contents.map((content) => content.toWellFormed().replaceAll('\0', ''));
        const files = texts.map((content, n) => ({ path: `/opt/${n}`, content }));
        const lines = await job({ files });
        const laid = new Map(list(lines, 'file').map((get) => [get('.path'), get('.content')]));
        expect(files.map(({ path }) => text(laid.get(path)))).toEqual(texts);
      }),
      { numRuns: 40 },
    );
  });

  test('is refused when a value would break a line', async () => {
    const build = await resolved(demo);
    for (const bad of ['\n', '\r', '\0']) {
      await expect(renderJob(build, { ...frame, build: `x${bad}version=3` })).rejects.toThrow(RangeError);
      await expect(renderJob(build, { ...frame, upload: { manifest: `x${bad}`, sbom: '' } })).rejects.toThrow(
        RangeError,
      );
    }
  });
});
