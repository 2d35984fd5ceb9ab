import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { group, masterPasswd, passwd } from '../../local/demo-release/accounts.ts';
import { PORTS } from '../../local/demo-release/ports.ts';
import { FINGERPRINT } from '../../local/demo-release/signing-key.ts';
import { ABI, makeStage, type Stage } from '../packages/stage.ts';
import { type Mirror, startMirror } from './mirror.ts';
import { type Entry, releasedSet } from './synthetic-release.ts';
import {
  job,
  MIB,
  removeMachines,
  removePayload,
  root,
  runWorker,
  shells,
  type WorkerResult,
} from './worker-run.ts';

/** Accounts and keys, which the synthetic release lacks, and what a seal has to take out. */
const system = releasedSet('system', [
  { path: './etc/master.passwd', mode: 0o600, content: masterPasswd() },
  { path: './etc/passwd', content: passwd() },
  { path: './etc/group', content: group() },
  { path: './etc/shells', content: '/bin/sh\n' },
  { path: './etc/ssh/', type: 'directory', mode: 0o755 },
  { path: './etc/ssh/ssh_host_rsa_key', mode: 0o600, content: 'secret\n' },
  { path: './usr/share/keys/', type: 'directory', mode: 0o755 },
  { path: './usr/share/keys/pkg/', type: 'directory', mode: 0o755 },
  { path: './usr/share/keys/pkg/trusted/', type: 'directory', mode: 0o755 },
  {
    path: './usr/share/keys/pkg/trusted/demo',
    content: `function: "sha256"\nfingerprint: "${FINGERPRINT}"\n`,
  },
  { path: './bin/freebsd-version', mode: 0o755, content: 'USERLAND_VERSION="15.1-RELEASE-p4"\n' },
  { path: './var/log/', type: 'directory', mode: 0o755 },
  { path: './var/log/messages', content: 'something\n' },
  { path: './var/log/old.log.0', content: 'something\n' },
] satisfies readonly Entry[]);

let stage: Stage;
let mirror: Mirror;
beforeAll(async () => {
  stage = await makeStage();
  await stage.repository('ports', PORTS);
  mirror = await startMirror({}, { 'system.txz': system.body });
});
afterAll(async () => {
  await Promise.all([stage.close(), mirror.close()]);
  removeMachines();
  removePayload();
});

const lines = () =>
  job([mirror.url], {
    'set.count': 3,
    'set.3.name': 'system',
    'set.3.file': 'system.txz',
    'set.3.sha256': system.sha256,
    'set.3.entries': system.entries,
    'package.abi': ABI,
    'package.osversion': 1_501_000,
    'package.count': 2,
    'package.1.name': 'nginx',
    'package.1.repository': 'ports',
    'package.2.name': 'bash',
    'package.2.repository': '',
    'repository.count': 1,
    'repository.1.name': 'ports',
    'repository.1.url': `pkg+${stage.mirror.url}/ports`,
    'repository.1.priority': 0,
    'repository.1.signature': 'fingerprints',
    'repository.1.keys': '/usr/share/keys/pkg',
  });

/** Where the root file system begins: 36 MiB, by the job's layout. */
const ROOT_OFFSET = 36 * MIB;

const words = (text: string) =>
  new Map(
    text
      .split('\n')
      .filter((line) => /^\.(\/| )/.test(line))
      .map((line) => {
        const [path = '', ...rest] = line.split(' ');
        const of = Object.fromEntries(rest.map((word) => word.split(/=(.*)/s).slice(0, 2)));
        const { type, uid, gid, mode, flags = 'none', link, size, sha256digest, time } = of;
        // The checker quotes less, writes modes without zeroes and no flags as nothing.
        const plain = path.replaceAll(/\\(\d{3})/g, (_all, code: string) =>
          String.fromCharCode(Number.parseInt(code, 8)),
        );
        return [
          plain,
          {
            type,
            uid,
            gid,
            mode: Number.parseInt(mode ?? '', 8),
            flags: flags.split(',').sort().join(','),
            link,
            size,
            sha256digest,
            time,
          },
        ] as const;
      }),
  );

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'a build with packages on Linux under $name',
  ({ shell }) => {
    let result: WorkerResult;
    let manifest: string;
    beforeAll(async () => {
      result = await runWorker({ shell, lines: lines() });
      expect(result.report, result.console).toMatchObject({ ok: true });
      const file = join(result.machine, 'work/state/inventory/manifest.mtree.gz');
      manifest = gunzipSync(readFileSync(file)).toString();
    }, 60_000);

    it('reports the packages, the patch level and the manifest', () => {
      expect(result.report).toMatchObject({
        packages: expect.any(Number),
        patchLevel: '15.1-RELEASE-p4',
        manifestSha256: createHash('sha256').update(manifest).digest('hex'),
      });
      expect(result.report.packages).toBeGreaterThanOrEqual(2);
      expect(manifest.match(/^# package: /gm)).toHaveLength(result.report.packages);
    });

    it('writes a file system that holds what the manifest says, path by path', () => {
      const { stdout, status } = spawnSync(
        process.execPath,
        [join(root, 'image/check.ts'), result.disk, '--offset', String(ROOT_OFFSET), '--list', '--sha256'],
        { encoding: 'utf8', maxBuffer: 2 ** 26 },
      );
      expect(status, stdout.slice(0, 500)).toBe(0);
      const [told, found] = [words(manifest), words(stdout)];
      expect(told.size).toBeGreaterThan(60);
      expect(Object.fromEntries(told)).toEqual(Object.fromEntries(found));
    });

    it('has sealed it: keys and old logs gone, packages and their register there', () => {
      const paths = words(manifest);
      for (const gone of ['./etc/ssh/ssh_host_rsa_key', './var/log/old.log.0'])
        expect(paths.has(gone)).toBe(false);
      for (const there of [
        './usr/local/sbin/nginx',
        './var/db/pkg/local.sqlite',
        './etc/pwd.db',
        './firstboot',
      ])
        expect(paths.has(there), there).toBe(true);
      expect(paths.get('./var/log/messages')?.size).toBe('0');
    });

    it('tells the packages in the SBOM with their checksums', () => {
      const sbom = JSON.parse(
        readFileSync(join(result.machine, 'work/state/inventory/sbom.cdx.json'), 'utf8'),
      );
      const nginx = sbom.components.find(({ name }: { name: string }) => name === 'nginx');
      expect(nginx).toMatchObject({
        type: 'library',
        hashes: [{ alg: 'SHA-256', content: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      });
    });
  },
);
