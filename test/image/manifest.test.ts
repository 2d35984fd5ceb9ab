import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../image/manifest.ts', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'image-manifest-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], { cwd: scratch, encoding: 'utf8' });
const specify = (...lines: string[]) => writeFileSync(join(scratch, 'spec'), `#mtree\n${lines.join('\n')}\n`);

describe('the manifest of a staged tree', () => {
  mkdirSync(join(scratch, 'root/a'), { recursive: true });
  writeFileSync(join(scratch, 'root/a/x #y'), 'hi\n');
  linkSync(join(scratch, 'root/a/x #y'), join(scratch, 'root/a/hard'));
  symlinkSync('tar get', join(scratch, 'root/l'));
  const good = [
    '. type=dir uid=0 gid=0 mode=0755 time=5.1',
    './a type=dir uid=0 gid=0 mode=755',
    './a type=dir uid=0 gid=7 mode=700',
    './a/x\\040\\043y type=file mode=4555 uid=0 gid=5 flags=schg,nodump time=7.0',
    './a/hard type=file uid=0 gid=6 mode=4555',
    './l type=link mode=755 uid=0 gid=0 link=tar\\040get',
    './fifo type=fifo mode=600 uid=1 gid=1 time=9.0',
  ];

  it('tells what the file system made of it holds: later lines win, names of one inode agree', () => {
    specify(...good);
    const { stdout, stderr } = run('--spec', 'spec', '--root', 'root');
    const digest = '98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4';
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      '. type=dir uid=0 gid=0 mode=0755 flags=none time=5.000000001',
      './a type=dir uid=0 gid=7 mode=0700 flags=none time=0.000000000',
      `./a/hard type=file uid=0 gid=6 mode=4555 flags=nodump,schg size=3 time=7.000000000 sha256digest=${digest}`,
      `./a/x\\040\\043y type=file uid=0 gid=6 mode=4555 flags=nodump,schg size=3 time=7.000000000 sha256digest=${digest}`,
      './fifo type=fifo uid=1 gid=1 mode=0600 flags=none time=9.000000000',
      './l type=link uid=0 gid=0 mode=0755 flags=none link=tar\\040get time=0.000000000',
      '',
    ]);
  });

  it.each([
    [['--spec', 'spec'], 'Usage: --spec or --root is missing; usage: manifest --spec SPEC --root TREE'],
    [['--colour', 'red'], 'Usage: option --colour is unknown; usage: manifest --spec SPEC --root TREE'],
    [['--spec', 'spec', '--root', 'nowhere'], 'TreeMismatch: "." cannot be examined'],
    [['--spec', 'nowhere', '--root', 'root'], 'Internal: ENOENT'],
  ])('%j: %s', (args, said) => {
    specify(...good);
    const { stdout, stderr, status } = run(...args);
    expect(stderr.startsWith(`manifest: ${said}`), stderr).toBe(true);
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
  });

  it('says which of the two lacks a path', () => {
    specify(...good.slice(0, -2));
    expect(run('--spec', 'spec', '--root', 'root').stderr).toContain(
      '"./l" is in the tree and not in the specification',
    );
  });
});
