import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Bench, makeBench, type PhaseOptions, removeScratch, runPhase, told } from './phase-run.ts';
import { shells } from './worker-run.ts';

afterAll(removeScratch);

const base = {
  'dev/': '',
  'etc/': '',
  'bin/freebsd-version': '#!/bin/sh\nUSERLAND_VERSION="15.1-RELEASE"\n',
  'etc/freebsd-update.conf':
    '# comment\nKeyPrint 1234\nServerName update.example\nComponents src world kernel\nBackupKernel yes\n',
  'usr/share/keys/pkg/trusted/pkg.example.2013': 'function: "sha256"\nfingerprint: "aa"\n',
  'usr/share/keys/pkg/revoked/': '',
};

const wanted = {
  'package.abi': 'FreeBSD:15:amd64',
  'package.osversion': 1_501_000,
  'package.count': 3,
  'package.1.name': 'nginx',
  'package.1.repository': '',
  'package.2.name': 'www/own-site',
  'package.2.repository': 'own',
  'package.3.name': 'ca_root_nss',
  'package.3.repository': '',
  'repository.count': 2,
  'repository.1.name': 'FreeBSD-ports',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: pkg's own variable.
  'repository.1.url': 'pkg+https://pkg.example/${ABI}/quarterly',
  'repository.1.priority': 0,
  'repository.1.signature': 'fingerprints',
  'repository.1.keys': '/usr/share/keys/pkg',
  'repository.2.name': 'own',
  'repository.2.url': 'https://packages.example/own',
  'repository.2.priority': 10,
  'repository.2.signature': 'pubkey',
  'repository.2.key': Buffer.from('-----BEGIN PUBLIC KEY-----\n').toString('base64'),
} as const;

/** A pkg that installs: it keeps what it was told of repositories, and makes the database and its answers. */
const installing = `
case $command in
update) cp -R "$FREEBSD_TREE/.foundry" "$FREEBSD_DEVICES/seen" ;;
install)
  mkdir -p "$FREEBSD_TREE/var/db/pkg" "$FREEBSD_TREE/.foundry/cache"
  : >"$FREEBSD_TREE/var/db/pkg/local.sqlite"
  printf 'the package' >"$FREEBSD_TREE/.foundry/cache/nginx-1.30.0,3~0123456789.pkg"
  ln -sf nginx-1.30.0,3~0123456789.pkg "$FREEBSD_TREE/.foundry/cache/nginx-1.30.0,3.pkg" ;;
query)
  case $* in
  *%L*) printf 'nginx\\tBSD2CLAUSE\\nown-site\\tMIT\\nown-site\\tGPLv2\\n' ;;
  *) printf 'own-site\\t2.0\\twww/own-site\\tFreeBSD:15:*\\thttps://own.example/\\town\\nnginx\\t1.30.0,3\\twww/nginx\\tFreeBSD:15:amd64\\thttps://nginx.example/\\tFreeBSD-ports\\nca_root_nss\\t3.9\\tsecurity/ca_root_nss\\tFreeBSD:15:*\\tUNKNOWN\\tFreeBSD-ports\\n' ;;
  esac ;;
esac`;

const mountsOf = (bench: Bench) => {
  const file = join(bench.devices, 'mounts');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'packages under $name',
  ({ shell }) => {
    const run = (bench: Bench, rest: Partial<PhaseOptions> = {}) =>
      runPhase({ shell, bench, platform: 'freebsd', script: 'packages_run', ...rest });

    describe('on FreeBSD', () => {
      it('installs in the chroot, from the repositories of the job alone', async () => {
        const bench = makeBench(base);
        const result = await run(bench, { job: wanted, environment: { FREEBSD_PKG: installing } });
        expect(result.failure, result.stderr).toBeUndefined();
        expect(result.status, result.stderr).toBe(0);
        expect(result.wrong).toEqual([]);
        const options =
          '-o ABI=FreeBSD:15:amd64 -o OSVERSION=1501000 -o IGNORE_OSVERSION=yes -o ASSUME_ALWAYS_YES=yes -o REPO_AUTOUPDATE=no -o SYSLOG=no';
        const inside = '-c TREE -R /.foundry/repos -o PKG_CACHEDIR=/.foundry/cache';
        expect(
          told(result, bench, ['pkg', 'mount', 'umount', 'devfs']).filter((line) => !/unhide/.test(line)),
        ).toEqual([
          'pkg -N',
          'mount -t devfs devfs TREE/dev',
          'devfs -m TREE/dev rule apply hide',
          `pkg ${options} ${inside} update -f`,
          `pkg ${options} ${inside} install -y -U nginx ca_root_nss`,
          `pkg ${options} ${inside} install -y -U -r own www/own-site`,
          'umount TREE/dev',
          'pkg -r TREE query -a %n\t%v\t%o\t%q\t%w\t%R',
          'pkg -r TREE query -a %n\t%L',
        ]);
        const seen = join(bench.devices, 'seen');
        expect(readFileSync(join(seen, 'repos/1.conf'), 'utf8')).toBe(
          // biome-ignore lint/suspicious/noTemplateCurlyInString: pkg's own variable.
          '"FreeBSD-ports": {\n  url: "pkg+https://pkg.example/${ABI}/quarterly"\n  mirror_type: "srv"\n  enabled: yes\n  priority: 0\n  signature_type: "fingerprints"\n  fingerprints: "/.foundry/keys/1"\n}\n',
        );
        expect(readFileSync(join(seen, 'repos/2.conf'), 'utf8')).toContain('pubkey: "/.foundry/keys/2.pem"');
        expect(readFileSync(join(seen, 'keys/2.pem'), 'utf8')).toBe('-----BEGIN PUBLIC KEY-----\n');
        expect(readdirSync(join(seen, 'keys/1/trusted'))).toEqual(['pkg.example.2013']);
      });

      it('lists what is installed, licences joined, the package without one too', async () => {
        const bench = makeBench(base);
        await run(bench, { job: wanted, environment: { FREEBSD_PKG: installing } });
        expect(readFileSync(join(bench.state, 'packages'), 'utf8').split('\n')).toEqual([
          'ca_root_nss\t3.9\tsecurity/ca_root_nss\tFreeBSD:15:*\t\tUNKNOWN\tFreeBSD-ports\t',
          'nginx\t1.30.0,3\twww/nginx\tFreeBSD:15:amd64\tBSD2CLAUSE\thttps://nginx.example/\tFreeBSD-ports\t'.concat(
            createHash('sha256').update('the package').digest('hex'),
          ),
          'own-site\t2.0\twww/own-site\tFreeBSD:15:*\tMIT,GPLv2\thttps://own.example/\town\t',
          '',
        ]);
      });

      it('leaves nothing behind: no mount, no directory, and the resolv.conf that was there', async () => {
        const bench = makeBench({ ...base, 'etc/resolv.conf': 'nameserver 192.0.2.1\n' });
        await run(bench, { job: wanted, environment: { FREEBSD_PKG: installing } });
        expect(mountsOf(bench)).toBe('');
        expect(existsSync(join(bench.tree, '.foundry'))).toBe(false);
        expect(readFileSync(join(bench.tree, 'etc/resolv.conf'), 'utf8')).toBe('nameserver 192.0.2.1\n');
      });

      it('undoes all of it after an error, and tries again while /dev is busy', async () => {
        const bench = makeBench(base);
        writeFileSync(join(bench.devices, 'umount-busy'), '');
        const result = await run(bench, {
          job: wanted,
          script: '(packages_run) || :; packages_undo',
          environment: { FREEBSD_PKG: '[ $command = N ] || { echo "pkg: broken"; exit 3; }' },
        });
        expect(result.failure?.[0]).toBe('PackageFailed');
        expect(result.wrong).toEqual([]);
        expect(told(result, bench, ['umount', 'fuser'])).toEqual([
          'fuser -k -c TREE/dev',
          'umount TREE/dev',
          'fuser -k -c TREE/dev',
          'umount TREE/dev',
        ]);
        expect(mountsOf(bench)).toBe('');
        expect(existsSync(join(bench.tree, '.foundry'))).toBe(false);
        expect(existsSync(join(bench.tree, 'etc/resolv.conf'))).toBe(false);
      });

      it.each([
        [
          "pkg: No packages available to install matching 'nginy' have been found in the repositories",
          0,
          'PackageNotFound',
          'no repository has nginy',
        ],
        [
          'pkg: No trusted public keys found\npkg: Unable to update repository FreeBSD-ports',
          0,
          'RepositoryUntrusted',
          'No trusted public keys',
        ],
        [
          'pkg: https://pkg.example/meta.txz: No address record\nUnable to update repository FreeBSD-ports\nError updating repositories!',
          3,
          'RepositoryUnavailable',
          'No address record',
        ],
        ['pkg: nginx-1.30.0 failed checksum from repository', 1, 'PackageChecksumMismatch', 'nginx-1.30.0'],
        [
          'pkg: a-1 conflicts with b-1 (installs files into the same place).  Problematic file: /usr/local/bin/x',
          1,
          'PackageConflict',
          'a-1 conflicts',
        ],
        ['pkg: POST-INSTALL script failed', 70, 'PackageFailed', 'POST-INSTALL'],
      ])('%s is %i → %s', async (said, status, code, part) => {
        for (const command of ['update', 'install']) {
          const bench = makeBench(base);
          const result = await run(bench, {
            job: wanted,
            environment: {
              SAID: said,
              FREEBSD_PKG: `[ $command != ${command} ] || { printf '%s\n' "$SAID"; exit ${status}; }`,
            },
          });
          if (command === 'update' && code === 'PackageNotFound') continue;
          if (command === 'install' && code === 'RepositoryUntrusted' && status === 0) continue;
          expect(result.failure?.[0], result.stderr).toBe(code);
          expect(result.failure?.[1]).toContain(part);
          expect(result.failure?.[2]).not.toBe('');
        }
      });

      it('takes fingerprints that are given, and keys of the worker when the image has none', async () => {
        const bench = makeBench(base);
        const hex = 'ab'.repeat(32);
        const result = await run(bench, {
          job: {
            ...wanted,
            'repository.1.keys': undefined,
            'repository.1.fingerprint.count': 1,
            'repository.1.fingerprint.1': hex,
          },
          environment: { FREEBSD_PKG: installing },
        });
        expect(result.failure, result.stderr).toBeUndefined();
        expect(readFileSync(join(bench.devices, 'seen/keys/1/trusted/1'), 'utf8')).toBe(
          `function: "sha256"\nfingerprint: "${hex}"\n`,
        );
      });

      it('does not follow a link that leads out of the image to a repository’s keys', async () => {
        const bench = makeBench({ ...base, 'usr/share/keys/out': { link: '/etc' } });
        const result = await run(bench, {
          job: { ...wanted, 'repository.1.keys': '/usr/share/keys/out' },
          environment: { FREEBSD_PKG: installing },
        });
        expect(result.failure?.[0]).toBe('RepositoryUntrusted');
      });

      it('bootstraps pkg where there is only the stub', async () => {
        const bench = makeBench(base);
        const result = await run(bench, {
          job: wanted,
          environment: { FREEBSD_PKG: `[ $command != N ] || exit 1; ${installing}` },
        });
        expect(told(result, bench, ['pkg']).slice(0, 2)).toEqual(['pkg -N', 'pkg bootstrap']);
        expect(result.failure).toBeUndefined();
      });

      it('puts base packages in from outside, then what they put off, then the rest in the chroot', async () => {
        const bench = makeBench();
        const result = await run(bench, {
          job: {
            ...wanted,
            system: 'pkgbase',
            'set.count': 0,
            ...Object.fromEntries(
              [1, 2].flatMap((n) =>
                ['name', 'file', 'sha256', 'entries'].map((key) => [`set.${n}.${key}`, undefined]),
              ),
            ),
            'package.2.name': 'FreeBSD-set-base',
            'package.2.repository': 'FreeBSD-base',
            'repository.2.name': 'FreeBSD-base',
            'repository.1.keys': undefined,
            'repository.1.signature': 'none',
          },
          environment: {
            FREEBSD_PKG: `${installing}
            case $*,$command in
            *' -r '*,install) mkdir -p "$FREEBSD_TREE/dev" "$FREEBSD_TREE/etc" "$FREEBSD_TREE/var/db/pkg/triggers" ;;
            esac`,
          },
        });
        expect(result.failure, result.stderr).toBeUndefined();
        expect(result.wrong).toEqual([]);
        expect(
          told(result, bench, ['pkg', 'mount', 'umount']).map((line) => line.replace(/ -o \S+/g, '')),
        ).toEqual([
          'pkg -N',
          'pkg -r TREE -R TREE/.foundry/repos update -f',
          'pkg -r TREE -R TREE/.foundry/repos install -y -U -r FreeBSD-base FreeBSD-set-base',
          'mount -t devfs devfs TREE/dev',
          'pkg -c TREE -R /.foundry/repos triggers',
          'pkg -c TREE -R /.foundry/repos install -y -U nginx ca_root_nss',
          'umount TREE/dev',
          'pkg -r TREE query -a %n\t%v\t%o\t%q\t%w\t%R',
          'pkg -r TREE query -a %n\t%L',
        ]);
      });

      it('is not for another processor', async () => {
        const result = await run(makeBench(base), {
          job: { ...wanted, update: 'freebsd-update' },
          script: ': >"$state/tools.missing"; packages_check',
          environment: { FREEBSD_MACHINE: 'arm64' },
        });
        expect(result.failure?.[0]).toBe('UnsupportedOnPlatform');
      });
    });

    describe('freebsd-update', () => {
      /** Has updates once; what `install` changes is the level. */
      const updating = `
      case $command in
      fetch) : >"$FREEBSD_DEVICES/ready"; cp "$6" "$FREEBSD_DEVICES/conf"; ls -d "$4" >/dev/null ;;
      updatesready) [ -e "$FREEBSD_DEVICES/ready" ] || exit 2 ;;
      install) rm "$FREEBSD_DEVICES/ready"; printf 'USERLAND_VERSION="15.1-RELEASE-p2"\\n' >"$FREEBSD_TREE/bin/freebsd-version" ;;
      esac`;

      it('patches the tree with its own configuration and a working directory outside', async () => {
        const bench = makeBench(base);
        const result = await run(bench, {
          job: { update: 'freebsd-update' },
          environment: { FREEBSD_UPDATE: updating },
        });
        expect(result.failure, result.stderr).toBeUndefined();
        expect(result.wrong).toEqual([]);
        const common =
          'freebsd-update -b TREE -d WORK/state/update -f WORK/state/update.conf --currently-running 15.1-RELEASE --not-running-from-cron';
        expect(told(result, bench, ['freebsd-update'])).toEqual(
          ['fetch', 'updatesready', 'install', 'updatesready'].map((command) => `${common} ${command}`),
        );
        expect(readFileSync(join(bench.devices, 'conf'), 'utf8')).toBe(
          '# comment\nKeyPrint 1234\nServerName update.example\nComponents src world kernel\nBackupKernel no\n',
        );
        expect(readFileSync(join(bench.state, 'patch-level'), 'utf8')).toBe('15.1-RELEASE-p2\n');
        expect(existsSync(join(bench.state, 'update'))).toBe(false);
      });

      it('is done when there is nothing to install, and at the end of life of a release too', async () => {
        for (const script of [
          'case $command in updatesready) exit 2 ;; esac',
          `${updating}; [ $command != fetch ] || { echo 'WARNING: FreeBSD 15.1-RELEASE HAS PASSED ITS END-OF-LIFE DATE.'; exit 1; }`,
        ]) {
          const result = await run(makeBench(base), {
            job: { update: 'freebsd-update' },
            environment: { FREEBSD_UPDATE: script },
          });
          expect(result.failure, result.stderr).toBeUndefined();
          expect(result.status).toBe(0);
        }
      });

      it.each([
        ['fetch', 'echo "No mirrors remaining, giving up."; exit 1', 'No mirrors remaining'],
        [
          'install',
          'echo "Update manifest is corrupt -- this should never happen."; exit 1',
          'Update manifest is corrupt',
        ],
        ['install', ':', 'install'],
      ])('%s that goes wrong is UpdateFailed with its words', async (command, what, words) => {
        const result = await run(makeBench(base), {
          job: { update: 'freebsd-update' },
          environment: { FREEBSD_UPDATE: `if [ $command = ${command} ]; then ${what}; else ${updating}\nfi` },
        });
        expect(result.failure?.[0], result.stderr).toBe('UpdateFailed');
        expect(result.failure?.[1]).toContain(words);
      });

      it('is not for a system of base packages', async () => {
        const result = await run(makeBench({ 'etc/': '' }), { job: { update: 'freebsd-update' } });
        expect(result.failure?.[0]).toBe('UpdateFailed');
      });
    });

    describe('on Linux', () => {
      const installer = (body: string) => {
        const bench = makeBench(base);
        mkdirSync(join(bench.folder, 'worker'));
        const script = `import { writeFileSync, readFileSync } from 'node:fs'; const args = process.argv; const of = (o) => args[args.indexOf(o) + 1];\n${body}`;
        writeFileSync(join(bench.folder, 'pkg.mjs'), script);
        return bench;
      };
      /** The source tree's worker with another pkg.mjs beside it would be written to: the variable is changed instead. */
      const script = 'worker=$work; packages_run';

      it('hands the job over to pkg.mjs', async () => {
        const bench = installer(
          "writeFileSync(of('--list'), 'nginx\\t1\\n'); writeFileSync(process.env.HOME + '/seen', args.slice(2).join(' ') + '\\n' + readFileSync(of('--request'), 'utf8'))",
        );
        const result = await run(bench, { platform: 'linux', job: wanted, script });
        expect(result.failure, result.stderr).toBeUndefined();
        const [line, ...request] = readFileSync(join(bench.folder, 'seen'), 'utf8').split('\n');
        expect(line?.replaceAll(bench.folder, 'W')).toBe(
          'install --request W/state/packages.request --root W/tree --spec W/state/spec --cache W/state/packages.cache --list W/state/packages',
        );
        expect(request).toEqual(
          expect.arrayContaining([
            'abi=FreeBSD:15:amd64',
            'osversion=1501000',
            'timestamp=1795400000',
            'package.1.name=nginx',
            'package.1.repository=',
            // biome-ignore lint/suspicious/noTemplateCurlyInString: pkg's own variable.
            'repository.1.url=pkg+https://pkg.example/${ABI}/quarterly',
            'repository.2.priority=10',
          ]),
        );
        expect(readFileSync(join(bench.state, 'packages'), 'utf8')).toBe('nginx\t1\n');
      });

      it('tells its errors', async () => {
        for (const [line, code, message, remedy] of [
          ['pkg: PackageNotFound: no nginy; check the name', 'PackageNotFound', 'no nginy', 'check the name'],
          [
            'pkg: RepositoryUntrusted: a key; b; give another',
            'RepositoryUntrusted',
            'a key; b',
            'give another',
          ],
          [
            'pkg: Internal: x; y',
            'PackageFailed',
            'pkg.mjs ended with status 1: pkg: Internal: x; y',
            'the lines above tell more; report this build',
          ],
        ] as const) {
          const bench = installer(`process.stderr.write('noise\\n${line}\\n'); process.exit(1)`);
          const result = await run(bench, { platform: 'linux', job: wanted, script });
          expect(result.failure).toEqual([code, message, remedy]);
        }
      });

      it('cannot patch, and says so before anything is made', async () => {
        const result = await run(makeBench(base), {
          platform: 'linux',
          job: { update: 'freebsd-update' },
          script: 'packages_check',
        });
        expect(result.failure?.[0]).toBe('UnsupportedOnPlatform');
      });
    });
  },
);
