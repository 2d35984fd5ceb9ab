import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { fakeApi } from './fake-api.ts';
import { directoryOf, foundry, shell } from './run.ts';

// Each program that is started takes a second on a busy machine, and some tests start ten.
vi.setConfig({ testTimeout: 120_000 });

const words = async (args: readonly string[], environment = {}, cwd = '/') =>
  (await foundry(['complete', '--', ...args], cwd, environment)).stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(':'))
    .map((line) => line.split('\t')[0]);

const has = async (program: string): Promise<boolean> => {
  const tries = (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => access(join(directory, program)));
  return (await Promise.allSettled(tries)).some(({ status }) => status === 'fulfilled');
};

describe('completion', () => {
  // What the shells themselves say of their scripts.
  test.for([
    ['bash', 'bash -n'],
    ['zsh', 'zsh -n'],
    ['fish', 'fish --no-execute'],
  ] as const)('for %s is a script that it can read', async ([name, check], { skip }) => {
    if (!(await has(name))) skip(`${name} is not installed`);
    const told = await shell(`foundry completion ${name} > script && ${check} script`, {
      cwd: (await directoryOf({})).path,
    });
    expect(told).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  const typed = (words: string) => [
    'eval "$(foundry completion bash)"',
    `COMP_WORDS=(${words}) COMP_CWORD=$(($\u007b#COMP_WORDS[@]} - 1))`,
    '_foundry',
    'printf "%s\\n" "$\u007bCOMPREPLY[@]}"',
  ];

  test('in bash offers verbs, and evaluates nothing that was typed', async () => {
    await using files = await directoryOf({});
    const told = await shell(typed('foundry va').join('\n'));
    expect(told).toMatchObject({ code: 0, stdout: 'validate\n' });
    await shell(typed("foundry show '$(touch evaluated)' ''").join('\n'), { cwd: files.path });
    await expect(access(join(files.path, 'evaluated'))).rejects.toThrow('ENOENT');
  });

  test('in zsh offers verbs, with what they do', async ({ skip }) => {
    if (!(await has('zsh'))) skip('zsh is not installed');
    const told = await shell(
      `zsh -fc 'compdef() { :; }; eval "$(foundry completion zsh)"; _describe() { print -l -- $found; }
        words=(foundry va) CURRENT=2; _foundry'`,
    );
    expect(told).toMatchObject({ code: 0, stdout: expect.stringMatching(/^validate:Check recipes/) });
  });

  test('in fish offers verbs', async ({ skip }) => {
    if (!(await has('fish'))) skip('fish is not installed');
    const told = await shell(
      'foundry completion fish > c.fish; fish -c \'source c.fish; complete -C "foundry va"\'',
      {
        cwd: (await directoryOf({})).path,
      },
    );
    expect(told).toMatchObject({ code: 0, stdout: expect.stringMatching(/^validate\t/) });
  });

  test('knows verbs, options, recipes and ids', async () => {
    await using files = await directoryOf({ 'web.yaml': '', 'web.txt': '' });
    await using api = await fakeApi(({ path }) =>
      path === '/images'
        ? { body: { images: [{ imageId: 'ami-0123456789abcdef0', name: 'web' }], nextToken: null } }
        : { body: { builds: [{ id: 'web-0123456789ab', status: 'RUNNING' }], nextToken: null } },
    );
    const environment = { FOUNDRY_API_URL: api.url };
    expect(await words(['un'])).toEqual(['unsubscribe']);
    expect(await words(['cloud', 'u'])).toEqual(['up']);
    expect(await words(['build', '--det'])).toEqual(['--detach']);
    expect(await words(['build', 'we'], {}, files.path)).toEqual(['web.yaml']);
    expect(await words(['abort', 'w'], environment)).toEqual(['web-0123456789ab']);
    expect(await words(['retire', ''], environment)).toEqual(['ami-0123456789abcdef0']);
    // Nobody to ask: nothing to offer, and no word of it.
    expect(await foundry(['complete', '--', 'abort', 'w'])).toMatchObject({ code: 0, stderr: '' });
    const dead = { FOUNDRY_API_URL: 'http://127.0.0.1:9' };
    expect(await foundry(['complete', '--', 'abort', 'w'], '/', dead)).toMatchObject({ code: 0, stderr: '' });
  });
});
