import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readRecipeFile } from '../../cli/recipe-file.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { composeRecipe } from '../../core/recipe-composition.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { recipePage, schemaFile } from '../../docs/generate-recipe.ts';

const root = new URL('../../', import.meta.url);
const text = (path: string) => readFile(new URL(path, root), 'utf8');
const yamlBlocks = async (path: string) =>
  [...(await text(path)).matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');

describe('what `npm run docs` writes is what the schemas say', () => {
  it('docs/recipe.md', async () => {
    expect(await text('docs/recipe.md')).toBe(recipePage());
  });

  it('docs/recipe.schema.json', async () => {
    expect(await text('docs/recipe.schema.json')).toBe(schemaFile());
  });
});

describe('the recipes that people read', () => {
  it('in examples/ are recipes', async () => {
    const names = await readdir(new URL('examples/', root));
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) {
      const builds = await readRecipeFile(new URL(`examples/${name}`, root).pathname, {});
      expect(builds.length).toBeGreaterThan(0);
      expect(await text(`examples/${name}`)).toMatch(
        /^# yaml-language-server: \$schema=\.\.\/docs\/recipe\.schema\.json\n/,
      );
    }
  });

  it('in the README are recipes', async () => {
    const blocks = await yamlBlocks('README.md');
    expect(blocks.length).toBeGreaterThan(0);
    for (const block of blocks) expect(parseRecipe(readRecipeText(block, 'README.md')).release).toBeDefined();
  });

  it('in docs/composing-recipes.md compose as it says', async () => {
    const blocks = await yamlBlocks('docs/composing-recipes.md');
    const files = new Map(
      blocks.map((block) => [/^# (\S+)\n/.exec(block)?.[1] ?? expect.fail(`no name: ${block}`), block]),
    );
    const compose = async (file: string, set: Record<string, string> = {}) => {
      const builds = await composeRecipe(files.get(file), file, {
        set,
        read: async (path) => ({ text: files.get(path) ?? expect.fail(`no file ${path}`) }),
      });
      return builds.map(({ value }) => parseRecipe(value, file));
    };
    expect(await compose('web.yaml')).toMatchObject([
      {
        name: 'web',
        packages: ['curl', 'git', 'nginx'],
        image: { tags: { team: 'platform', tier: 'public' } },
      },
    ]);
    const [shop] = await compose('shop.yaml', { tier: 'test' });
    expect(shop).toMatchObject({ rootSize: 10, hostname: 'shop-test' });
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a recipe writes.
    expect(shop?.files[0]?.content).toBe('tier = test\nhome = ${HOME}\n');
    const fleet = await compose('fleet.yaml');
    expect(fleet.map((one) => `${one.release} ${one.architecture} ${one.hostname}`)).toEqual([
      '15.1-RELEASE amd64 fleet-test',
      '15.1-RELEASE amd64 fleet-production',
      '15.1-RELEASE arm64 fleet-test',
      '15.1-RELEASE arm64 fleet-production',
      '14.3-RELEASE amd64 fleet-test',
      '14.3-RELEASE amd64 fleet-production',
    ]);
    expect(files.size).toBe(4);
  });
});
