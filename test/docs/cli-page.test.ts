import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { cliPage } from '../../docs/generate-cli.ts';
import { foundry } from '../cli/run.ts';

it('docs/cli.md is what `npm run docs` writes', async () => {
  expect(await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8')).toBe(cliPage());
});

it('every verb has help with an example', async () => {
  const verbs = [...cliPage().matchAll(/^## foundry (.+)$/gm)].map(([, verb = '']) => verb);
  expect(verbs).toContain('cloud up');
  const helps = await Promise.all(verbs.map((verb) => foundry([...verb.split(' '), '--help'])));
  for (const [index, { code, stdout }] of helps.entries()) {
    expect({ verb: verbs[index], code }).toEqual({ verb: verbs[index], code: 0 });
    if (verbs[index] !== 'cloud') expect(stdout).toMatch(/\nExamples?:\n {2}\S/);
  }
}, 60_000);
