import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseRecipe } from '../../core/recipe.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { recipePage } from '../../docs/generate-recipe.ts';

const root = new URL('../../', import.meta.url);
const text = (path: string) => readFile(new URL(path, root), 'utf8');

it('docs/recipe.md is what the schema says: run `npm run docs` after changing core/recipe.ts', async () => {
  expect(await text('docs/recipe.md')).toBe(recipePage());
});

describe('the recipes that people read', () => {
  it('in examples/ are recipes', async () => {
    const names = await readdir(new URL('examples/', root));
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) {
      const file = `examples/${name}`;
      expect(parseRecipe(readRecipeText(await text(file), file), file).name).not.toBe('');
    }
  });

  it('in the README are recipes', async () => {
    const blocks = [...(await text('README.md')).matchAll(/```yaml\n([\s\S]*?)```/g)].map(
      (match) => match[1] ?? '',
    );
    expect(blocks.length).toBeGreaterThan(0);
    for (const block of blocks) expect(parseRecipe(readRecipeText(block, 'README.md')).release).toBeDefined();
  });
});
