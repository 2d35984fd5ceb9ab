import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Bench, makeBench, removeScratch, runPhase, told } from './phase-run.ts';
import { shells } from './worker-run.ts';

afterAll(removeScratch);

const system = { 'dev/': '', 'etc/': '', 'bin/freebsd-version': 'USERLAND_VERSION="15.1-RELEASE-p1"\n' };

type Script = readonly [name: string, text: string];

const scripts = (texts: readonly Script[]) => ({
  'script.count': texts.length,
  ...Object.fromEntries(
    texts.flatMap(([name, text], i) => [
      [`script.${i + 1}.name`, name],
      [`script.${i + 1}.content`, Buffer.from(text).toString('base64')],
    ]),
  ),
});

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'scripts under $name',
  ({ shell }) => {
    const run = (
      bench: Bench,
      texts: readonly Script[],
      rest: { readonly platform?: 'linux'; readonly script?: string } = {},
    ) =>
      runPhase({
        shell,
        bench,
        platform: 'freebsd',
        script: 'customise_run',
        job: scripts(texts),
        environment: { FREEBSD_SHELL: shell.join(' ') },
        ...rest,
      });

    it('run in the image, in order, and leave only what they did', async () => {
      const bench = makeBench(system);
      const result = await run(bench, [
        ['first', 'echo one >>etc/made\ncat >>etc/stdin\numask >>etc/made\n'],
        ['second.sh', 'echo two >>etc/made\nenv | sort >etc/environment\nls -A . >etc/root\n'],
      ]);
      expect(result.failure, result.stderr).toBeUndefined();
      expect(result.status, result.stderr).toBe(0);
      expect(result.wrong).toEqual([]);
      expect(readFileSync(join(bench.tree, 'etc/made'), 'utf8')).toBe('one\n0022\ntwo\n');
      expect(readFileSync(join(bench.tree, 'etc/stdin'), 'utf8')).toBe('');
      const environment = readFileSync(join(bench.tree, 'etc/environment'), 'utf8')
        .split('\n')
        .map((line) => line.split('=')[0])
        .filter((name) => name && !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name));
      expect(environment).toEqual('ASSUME_ALWAYS_YES HOME LANG LOGNAME PATH SHELL TERM USER'.split(' '));
      expect(readFileSync(join(bench.tree, 'etc/root'), 'utf8')).toContain('.foundry');
      expect(existsSync(join(bench.tree, '.foundry'))).toBe(false);
      expect(existsSync(join(bench.tree, 'etc/resolv.conf'))).toBe(false);
      expect(told(result, bench, ['chroot', 'mount', 'umount'])).toEqual([
        'mount -t devfs devfs TREE/dev',
        ...['first', 'second.sh'].map(
          (name) =>
            `chroot TREE /usr/bin/env -i PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin HOME=/root USER=root LOGNAME=root SHELL=/bin/sh TERM=dumb LANG=C.UTF-8 ASSUME_ALWAYS_YES=yes /bin/sh -ev /.foundry/${name}`,
        ),
        'umount TREE/dev',
      ]);
    });

    it('show no disk of the worker', async () => {
      const bench = makeBench(system);
      const result = await run(bench, [['x', ':']]);
      const rules = told(result, bench, ['devfs']).map((line) =>
        line.replace('devfs -m TREE/dev rule apply ', ''),
      );
      expect(rules[0]).toBe('hide');
      expect(
        rules
          .slice(1)
          .every((rule) =>
            /^path (null|zero|full|random|urandom|crypto|std\w+|fd|fd\/\*) unhide$/.test(rule),
          ),
      ).toBe(true);
    });

    it('print nothing when they succeed, not even their own lines', async () => {
      const bench = makeBench(system);
      const result = await run(bench, [
        ['secret', 'password=hunter2\necho "$password"\necho "$password" >&2\n'],
      ]);
      expect(result.stdout + result.stderr).toBe('');
      expect(existsSync(join(bench.state, 'script.log'))).toBe(false);
    });

    it('tell the line that failed and the last words', async () => {
      const bench = makeBench(system);
      const result = await run(bench, [
        ['good', ':\n'],
        [
          'bad',
          '# a comment\nx=1\necho working\nfor f in a b; do\n  echo "$f"\ndone\n  ls /nonexistent/$x\necho never\n',
        ],
        ['never', 'echo never >etc/never\n'],
      ]);
      expect(result.failure?.[0], result.stderr).toBe('ScriptFailed');
      expect(result.failure?.[1]).toMatch(
        /^script bad ended with status [12] in line 7: ls \/nonexistent\/\$x; it said: ls: .*nonexistent/,
      );
      expect(result.failure?.[1]).not.toContain('working');
      expect(existsSync(join(bench.tree, 'etc/never'))).toBe(false);
    });

    it('is undone after a failure', async () => {
      const bench = makeBench({ ...system, 'etc/resolv.conf': { link: '/var/run/resolv.conf' } });
      const result = await run(bench, [['bad', 'false\n']], {
        script: '(customise_run) || :; customise_undo',
      });
      expect(result.failure?.[1]).toBe('script bad ended with status 1 in line 1: false');
      expect(existsSync(join(bench.tree, '.foundry'))).toBe(false);
      expect(readFileSync(join(bench.devices, 'mounts'), 'utf8')).toBe('');
    });

    it('may patch the image: the level is read again', async () => {
      const bench = makeBench(system);
      await run(bench, [['patch', 'echo \'USERLAND_VERSION="15.1-RELEASE-p7"\' >bin/freebsd-version\n']]);
      expect(readFileSync(join(bench.state, 'patch-level'), 'utf8')).toBe('15.1-RELEASE-p7\n');
    });

    it('need FreeBSD, which preflight says', async () => {
      const result = await run(makeBench(system), [['x', ':']], {
        platform: 'linux',
        script: 'customise_check',
      });
      expect(result.failure?.[0]).toBe('UnsupportedOnPlatform');
      const none = await runPhase({
        shell,
        bench: makeBench(),
        platform: 'linux',
        script: 'customise_check; customise_run; customise_undo',
      });
      expect(none.failure).toBeUndefined();
      expect(none.status).toBe(0);
    });

    it('have the name .foundry to themselves', async () => {
      const result = await run(makeBench({ ...system, '.foundry/x': 'mine' }), [['x', ':']]);
      expect(result.failure?.[0]).toBe('WorkerFailed');
    });

    it('finds the failing line of any script of simple commands', async () => {
      const command = fc.oneof(
        fc.constantFrom(
          ':',
          '',
          '# x',
          'x=1',
          'echo a',
          'echo a >&2',
          "printf 'no end of line'",
          'true && true',
          'if true; then :; fi',
          'echo :',
          'echo x=1',
        ),
        fc
          .string({ unit: fc.constantFrom('a', ' ', '-', '1'), maxLength: 12 })
          .map((text) => `echo '${text}'`),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 12 }), async (lines) => {
          const bench = makeBench();
          const [name, ...options] = shell;
          writeFileSync(
            join(bench.folder, 'script'),
            [...lines, 'ls /nonexistent-42', 'echo never', ''].join('\n'),
          );
          const result = await runPhase({
            shell,
            bench,
            platform: 'linux',
            script: `${[name, ...options].join(' ')} -ev "$work/script" >"$work/log" 2>&1 || :; customise_place "$work/script" "$work/log"`,
          });
          const [line, text, ...said] = result.stdout.split('\n');
          expect([line, text]).toEqual([String(lines.length + 1), 'ls /nonexistent-42']);
          expect(said.join('\n')).toMatch(/^ls: .*nonexistent-42/);
        }),
        { numRuns: 25 },
      );
    }, 60_000);
  },
);
