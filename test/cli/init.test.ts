import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { recipeText } from '../../cli/init.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { directoryOf, foundry, shell } from './run.ts';

// Each program that is started takes a second on a busy machine, and some tests start ten.
vi.setConfig({ testTimeout: 120_000 });

const KEY =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ops@example.com';

const recipeIn = async (directory: string, file: string) =>
  parseRecipe(readRecipeText(await readFile(join(directory, file), 'utf8'), file));

describe('init', () => {
  test('writes a recipe that is right, by flags alone', async () => {
    await using files = await directoryOf({ 'key.pub': `${KEY}\n` });
    const flags =
      '--architecture arm64 --filesystem zfs --root-size 12 --package nginx,curl --package git --user ops --ssh-key key.pub --region eu-west-1 --updates at-build'.split(
        ' ',
      );
    const told = await foundry(['init', 'web.yaml', ...flags], files.path);
    expect(told).toMatchObject({ code: 0, stdout: 'web.yaml\n' });
    expect(await recipeIn(files.path, 'web.yaml')).toMatchObject({
      name: 'web',
      architecture: 'arm64',
      filesystem: 'zfs',
      rootSize: 12,
      packages: ['nginx', 'curl', 'git'],
      users: [{ name: 'ops', groups: ['wheel'], sshKeys: [KEY] }],
      updates: 'at-build',
      distribution: { regions: ['eu-west-1'] },
    });
    expect(await foundry(['validate', 'web.yaml'], files.path)).toMatchObject({ code: 0 });
  });

  test('asks at a terminal, and takes what is usual at a bare Enter', async () => {
    await using files = await directoryOf({});
    const keys = ['shop', ...Array.from({ length: 9 }, () => '')];
    const type = keys.map((key) => `printf '${key}\\r'; sleep 0.5`).join('; ');
    const { stdout } = await shell(
      `(sleep 3; ${type}) | script -qec 'stty cols 100; foundry init' /dev/null`,
      { cwd: files.path },
    );
    expect(stdout).toContain('What is the image called?');
    expect(stdout).toContain('Written: shop.yaml');
    expect(await recipeIn(files.path, 'shop.yaml')).toMatchObject({ name: 'shop', architecture: 'amd64' });
  });

  test('never writes over a file', async () => {
    await using files = await directoryOf({ 'web.yaml': 'mine' });
    const told = await foundry(['init', 'web.yaml', '--yes'], files.path);
    expect(told).toMatchObject({ code: 1, stdout: '' });
    expect(told.stderr).toMatch(/web\.yaml exists.*\nRemedy: /);
    expect(await readFile(join(files.path, 'web.yaml'), 'utf8')).toBe('mine');
  });

  test.each([
    [['init'], 2, /needs a name/],
    [['init', '--name', 'Not A Name'], 1, /InvalidRecipe: [\s\S]*name/],
    [['init', 'a-b.yaml', '--package', 'no such; package'], 1, /InvalidRecipe/],
    [['init', 'a-b.yaml', '--user', 'ops', '--ssh-key', 'absent.pub'], 2, /neither a public key nor a file/],
    [['init', 'a-b.yaml', '--flavour', 'huge'], 2, /choices/],
    [['init', 'no/such/a-b.yaml'], 1, /cannot be written/],
  ])('%j is refused, and nothing is written', async (args, code, says) => {
    await using files = await directoryOf({});
    const told = await foundry(args, files.path);
    expect(told).toMatchObject({ code, stdout: '' });
    expect(told.stderr).toMatch(says);
    await expect(readFile(join(files.path, 'a-b.yaml'))).rejects.toThrow('ENOENT');
  });

  test('quotes whatever YAML would read as something else', () => {
    const words = fc.array(
      fc.oneof(fc.string(), fc.constantFrom('yes', 'null', '1e3', '0x1f', '-', '# a', '')),
      {
        minLength: 1,
      },
    );
    fc.assert(
      fc.property(words, (packages) => {
        const text = recipeText({
          name: 'web',
          release: '15.1-RELEASE',
          architecture: 'amd64',
          filesystem: 'ufs',
          flavour: 'small',
          rootSize: 10,
          packages,
          user: '',
          sshKey: '',
          updates: 'none',
          regions: [],
        });
        expect(readRecipeText(text, 'a recipe')).toMatchObject({ packages });
      }),
    );
  });
});
