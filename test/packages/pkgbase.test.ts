/** A base system from packages alone, and ports in the same request. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { basePackages } from '../../local/demo-release/base-packages.ts';
import { PORTS } from '../../local/demo-release/ports.ts';
import { FINGERPRINT } from '../../local/demo-release/signing-key.ts';
import { makeStage, repositoryLines, type Stage, simple, TIMESTAMP } from './stage.ts';

let stage: Stage;
const trust = ['signature=fingerprints', `fingerprint.1=${FINGERPRINT}`];
const both = () => [
  ...repositoryLines(stage.mirror, 1, 'ports', trust),
  ...repositoryLines(stage.mirror, 2, 'base', trust),
];

beforeAll(async () => {
  stage = await makeStage();
  const inputs = {
    architecture: 'amd64',
    scale: 0.005,
    program: Buffer.alloc(1 << 20, 'ELF'),
    license: Buffer.from('license'),
    efiLoader: Buffer.from('loader'),
  } as const;
  await stage.repository('base', basePackages(inputs), { osversion: 1_501_000 });
  await stage.repository('ports', PORTS);
});
afterAll(() => stage.close());

test('names of owners are numbers of accounts that come with the packages', async () => {
  await stage.fresh(false);
  const result = await stage.install(
    ['postfix-sasl', 'nginx', 'FreeBSD-set-base', 'FreeBSD-set-kernels', 'pkg'],
    both(),
  );
  expect(result).toMatchObject({ status: 0, stderr: '' });
  const spec = await stage.spec();
  expect(spec.get('./var/mail')).toContain('uid=0 gid=6 mode=0775');
  expect(spec.get('./var/unbound')).toContain('uid=59 gid=59');
  expect(spec.get('./usr/bin/su')).toContain('mode=4555');
  expect(spec.get('./sbin/init')).toContain('mode=0500 flags=schg');
  expect(spec.get('./var/empty')).toContain('mode=0555 flags=schg');
  expect(spec.get('./etc/master.passwd')).toContain('uid=0 gid=0 mode=0600');
  expect(readFileSync(join(stage.tree, 'etc/master.passwd'), 'utf8')).toMatch(/^postfix:\*:125:125:/m);
  expect(spec.get('./etc/rc.conf.d/kldxref')).toContain(`mode=0644 flags=none time=${TIMESTAMP}.0`);
  const names = (await stage.list()).map(([name]) => name ?? '');
  expect(names.slice(0, 3)).toEqual(['FreeBSD-bootloader', 'FreeBSD-kernel-generic', 'FreeBSD-runtime']);

  const database = join(import.meta.dirname, '../../image/pwd-mkdb.ts');
  execFileSync(process.execPath, [database, '--directory', join(stage.tree, 'etc')]);
  const makefs = join(import.meta.dirname, '../../image/makefs.ts');
  const args = [
    '-t',
    'ffs',
    '-o',
    'version=2,label=rootfs,softupdates=1,time=1',
    '-s',
    '256m',
    '-F',
    'spec',
    'image',
    'tree',
  ];
  const said = JSON.parse(
    execFileSync(process.execPath, [makefs, ...args], { cwd: stage.directory, encoding: 'utf8' }),
  ) as { inodes: number };
  expect(said.inodes).toBeGreaterThan(500);
}, 60_000);

test('an account that is wanted before there is a base system', async () => {
  await stage.fresh(false);
  expect(await stage.install(['nginx'], both())).toMatchObject({
    status: 1,
    code: 'PackageFailed',
    message: expect.stringContaining('/etc/group'),
  });
});

test("without keys in the image only FreeBSD's own are trusted, and only for its directories", async () => {
  await stage.repository('own', [simple('a')]);
  for (const keys of ['/usr/share/keys/pkgbase-15', '/usr/share/keys/pkg', '/nowhere']) {
    await stage.fresh(false);
    const lines = repositoryLines(stage.mirror, 1, 'own', ['signature=fingerprints', `keys=${keys}`]);
    const { code, message } = await stage.install(['a'], lines);
    expect(code).toBe('RepositoryUntrusted');
    expect(message).toContain(keys === '/nowhere' ? 'no trusted fingerprints' : FINGERPRINT);
  }
});
