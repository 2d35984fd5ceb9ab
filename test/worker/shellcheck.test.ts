import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './worker-run.ts';

const folder = join(root, 'worker');
const scripts = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.sh'),
);

/** What main.sh reads on every platform, in its order. */
const read = () =>
  [...readFileSync(join(folder, 'main.sh'), 'utf8').matchAll(/^\. "\$\{worker\}\/(\S+)"$/gm)].map(
    (match) => match[1] ?? '',
  );

/** What it reads on one of them. */
const readPlatform = (platform: string) =>
  [
    ...readFileSync(join(folder, 'main.sh'), 'utf8').matchAll(
      /^\t\. "\$\{worker\}\/(platform\/(\w+)\S*)"$/gm,
    ),
  ].flatMap(([, path = '', name]) => (name === platform ? [path] : []));

describe('the shell of the worker', () => {
  // The program is one: main.sh and all that it reads, so that a variable set in one file and used in another counts.
  it.each(['main.sh', 'bootstrap.sh'])('%s gives shellcheck nothing to say', (entry) => {
    const { stdout, status } = spawnSync(
      'shellcheck',
      ['-s', 'sh', '-S', 'style', '-x', '-P', 'SCRIPTDIR', entry],
      {
        cwd: folder,
        encoding: 'utf8',
      },
    );
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  it('is read whole by main.sh: no file is left out of the check', () => {
    const platforms = ['freebsd', 'linux'].flatMap((name) => readPlatform(name));
    expect([...read(), ...platforms, 'main.sh', 'bootstrap.sh'].sort()).toEqual([...scripts].sort());
  });

  it.each(scripts)('%s has no word that only some shells know', (script) => {
    const lines = readFileSync(join(folder, script), 'utf8')
      .split('\n')
      .filter((line) => !/^\s*#/.test(line));
    const foreign =
      /^\s*(local|typeset|declare|source|select|eval)\b|\[\[\s|<<<|<\(|\becho\b|&>|set -o pipefail/;
    expect(lines.filter((line) => foreign.test(line))).toEqual([]);
  });

  it.each(['linux', 'freebsd'])(
    'calls no function in a condition that is not written for it (%s)',
    (platform) => {
      // set -e is off inside a function whose status is looked at: a failure in its middle would pass silently. These
      // are single commands, or return at each failure themselves.
      const written =
        /^(job_has|layout_of|_seal_is_protected|_mounted|_package_wanted|_pkg|_pkg_match|_update|platform_packages_undo|_accounts_readable|platform_(stream|resume|tar|flush|check_table))$/;
      const whole = [...read(), ...readPlatform(platform), 'main.sh']
        .map((name) => readFileSync(join(folder, name), 'utf8').replace(/^\s*\. .*$/gm, ':'))
        .join('\n');
      const { stdout } = spawnSync(
        'shellcheck',
        ['-s', 'sh', '-o', 'check-set-e-suppressed', '-i', 'SC2310', '-f', 'json', '-'],
        { input: whole, encoding: 'utf8' },
      );
      const lines = whole.split('\n');
      const called = (JSON.parse(stdout) as { line: number; column: number }[]).map(
        ({ line, column }) =>
          // shellcheck counts a tab as eight columns.
          /^\w+/.exec((lines[line - 1] ?? '').replaceAll('\t', '        ').slice(column - 1))?.[0],
      );
      expect(called.length).toBeGreaterThan(5);
      expect(called.filter((name) => !written.test(name ?? ''))).toEqual([]);
    },
  );

  it('the bootstrap fits into user-data with room for presigned URLs', () => {
    expect(readFileSync(join(folder, 'bootstrap.sh')).length).toBeLessThan(8 * 1024);
  });
});
