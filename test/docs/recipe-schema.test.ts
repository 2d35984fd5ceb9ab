// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${…} is what a recipe writes.
import { readdir, readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { FactoryError } from '../../core/errors.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { composeRecipe } from '../../core/recipe-composition.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { fileSchema } from '../../docs/recipe-schema.ts';
import { demo, plausibleRecipe } from '../core/legal-recipes.ts';

const root = new URL('../../', import.meta.url);

// Strict: a keyword that the validator does not know, or that cannot have an effect, is an error.
const validate = new Ajv({
  strict: true,
  strictRequired: false,
  allowUnionTypes: true,
  allErrors: true,
}).compile(JSON.parse(JSON.stringify(fileSchema())));

const accepts = (value: unknown): boolean => validate(value);

/** Whether the parser takes the recipe of a file that extends nothing. */
const parses = async (value: unknown): Promise<boolean> => {
  try {
    const builds = await composeRecipe(value, 'x.yaml', { read: async () => ({ reason: 'not there' }) });
    for (const build of builds) parseRecipe(build.value);
    return true;
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    return false;
  }
};

it('accepts the examples', async () => {
  for (const name of await readdir(new URL('examples/', root))) {
    const text = await readFile(new URL(`examples/${name}`, root), 'utf8');
    expect(accepts(readRecipeText(text, name)), `${name}: ${JSON.stringify(validate.errors)}`).toBe(true);
  }
});

it('accepts the recipes of the documentation', async () => {
  for (const page of ['README.md', 'docs/composing-recipes.md']) {
    const blocks = (await readFile(new URL(page, root), 'utf8')).matchAll(/```yaml\n([\s\S]*?)```/g);
    for (const [, block = ''] of blocks) {
      const value = readRecipeText(block, page) as { name?: string };
      // Something to extend need not be whole; an editor says so.
      const whole = value.name === 'base' ? { architecture: 'amd64', ...value } : value;
      expect(accepts(whole), `${block}${JSON.stringify(validate.errors)}`).toBe(true);
    }
  }
});

it('accepts whatever the parser accepts', async () => {
  await fc.assert(
    fc.asyncProperty(plausibleRecipe, async (recipe) => {
      if (await parses(recipe)) expect(accepts(recipe), JSON.stringify(validate.errors)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

describe('accepts what is for files', () => {
  const child = { extends: 'base.yaml' };
  test.each([
    [child],
    [{ extends: ['a.yaml', 'b.yaml'] }],
    [{ ...child, packages: null, image: { tags: null, description: null } }],
    [{ ...child, 'packages+': ['a'], 'files+': [{ path: '/a', content: 'x' }] }],
    [{ ...child, data: { size: 5 } }],
    [{ ...demo, rootSize: '${size}', image: { imdsV2Only: '${v2}' }, flavour: '${flavour}' }],
    [{ ...demo, files: [{ path: '/${x}', content: '${x}', mode: '${mode}' }] }],
    [{ ...demo, packages: ['${x}'], serialConsole: { speed: '${speed}' } }],
    [{ ...demo, parameters: { a: {}, b: { type: 'choice', values: [1, 'x'], default: 1 } } }],
    [
      {
        name: 'demo',
        matrix: { release: ['15.1-RELEASE'], architecture: ['amd64'], a: [1] },
        parameters: { a: { type: 'integer' } },
      },
    ],
  ])('%j', (value) => {
    expect(accepts(value), JSON.stringify(validate.errors)).toBe(true);
  });
});

describe('refuses what the parser refuses', () => {
  const sum = 'a'.repeat(64);
  test.each([
    [{ ...demo, name: 'No Name' }],
    [{ ...demo, name: undefined }],
    [{ release: '15.1-RELEASE', name: 'demo' }],
    [{ architecture: 'amd64', name: 'demo' }],
    [{ ...demo, architecture: 'riscv' }],
    [{ ...demo, releas: 'x' }],
    [{ ...demo, release: '15.1-RELEASE-p1' }],
    [{ ...demo, rootSize: '10GB' }],
    [{ ...demo, rootSize: true }],
    [{ ...demo, packages: 'nginx' }],
    [{ ...demo, packages: null }],
    [{ ...demo, packages: ['a b'] }],
    [{ ...demo, files: [{ content: 'x' }] }],
    [{ ...demo, files: [{ path: 'relative', content: 'x' }] }],
    [{ ...demo, files: [{ path: '/a', content: 'x', mode: 644 }] }],
    [{ ...demo, files: [{ path: '/a', contents: 'x' }] }],
    [{ ...demo, 'files+': [{ path: '/a', content: null }] }],
    [{ ...demo, users: [{ name: 'ann', password: 'secret' }] }],
    [{ ...demo, users: [{ name: 'ann', sshKeys: ['not a key'] }] }],
    [{ ...demo, services: { nginx: 'on' } }],
    [{ ...demo, sysctl: { a: [] } }],
    [{ ...demo, extraSets: [{ name: 'x', url: 'https://x.example/x.txz', sha256: sum.slice(1) }] }],
    [{ ...demo, repositories: [{ name: 'x', url: 'ftp://x.example/' }] }],
    [{ ...demo, data: { size: 5 } }],
    [{ ...demo, image: { tags: ['a'] } }],
    [{ ...demo, image: { 'tags+': ['a'] } }],
    [{ ...demo, serialConsole: { speed: 1200 } }],
    [{ ...demo, extends: [] }],
    [{ ...demo, extends: 5 }],
    [{ ...demo, parameters: { a: { type: 'number' } } }],
    [{ ...demo, parameters: { a: { defualt: 1 } } }],
    [{ ...demo, parameters: ['a'] }],
    [{ ...demo, matrix: { release: '15.1-RELEASE' } }],
    [{ ...demo, matrix: { release: [] } }],
    [{ ...demo, matrix: { exclude: {} } }],
    [['a list']],
    ['text'],
    [null],
  ])('%j', async (value) => {
    const given: unknown = value === undefined ? value : JSON.parse(JSON.stringify(value));
    expect(accepts(given)).toBe(false);
    expect(await parses(given)).toBe(false);
  });
});
