import { createHash } from 'node:crypto';
import { wrongField } from './api/problems.ts';
import { canonicalJson, type Json } from './canonical-json.ts';
import type { MatrixInput, MatrixItem } from './matrix.ts';
import { executionName, matrixListKey, matrixName } from './names.ts';
import { parameterPath } from './publication.ts';
import { type Recipe, recipeDigest } from './recipe.ts';
import { buildInput } from './start-build.ts';

/** How the builds of a matrix are to be run, as the request says it. */
export interface MatrixWish {
  readonly concurrency?: number | undefined;
  /** Percent. */
  readonly toleratedFailures?: number | undefined;
  readonly publishTogether?: boolean | undefined;
}

/** Ten workers of two vCPUs, and as many machines under test, are within what an account has that builds at all (64 vCPUs). */
const USUAL_CONCURRENCY = 10;

export interface MatrixStart {
  readonly names: (attempt: number) => string;
  readonly list: { readonly key: string; readonly text: string };
  readonly input: string;
}

/** The execution of a matrix, and the list that it reads: the same builds run the same way are the same matrix. */
export function matrixOf(recipes: readonly Recipe[], wish: MatrixWish = {}): MatrixStart {
  const { concurrency = USUAL_CONCURRENCY, toleratedFailures = 0, publishTogether = false } = wish;
  if (publishTogether) refuseApart(recipes, toleratedFailures);
  const items = new Map<string, MatrixItem>();
  for (const recipe of recipes) {
    const build = executionName(recipe.name, recipeDigest(recipe));
    items.set(build, { build, input: JSON.parse(buildInput(recipe)) as MatrixItem['input'] });
  }
  const text = JSON.stringify([...items.values()]);
  const settings = { concurrency, toleratedFailures, publishTogether };
  const digest = createHash('sha256')
    .update(canonicalJson(settings as Json))
    .update([...items.keys()].join('\n'))
    .digest('hex');
  const names = (attempt: number) => matrixName(recipes[0]?.name ?? 'none', digest, attempt);
  const key = matrixListKey(names(1));
  const input: MatrixInput = { list: key, builds: items.size, ...settings };
  return { names, list: { key, text }, input: canonicalJson(input as unknown as Json) };
}

/** What cannot be published all or none. */
function refuseApart(recipes: readonly Recipe[], toleratedFailures: number): void {
  if (toleratedFailures > 0) {
    throw wrongField(
      'matrix.toleratedFailures',
      'and publishTogether exclude each other: when a build fails, not all images are there',
      'leave one of the two out.',
    );
  }
  const paths = new Map<string, string>();
  for (const recipe of recipes) {
    const path = recipe.distribution?.parameters;
    if (path === undefined) continue;
    // A release of one's own says what it is when it is read.
    const release = recipe.release ?? recipe.source ?? '';
    const filled = parameterPath(path, { ...recipe, release });
    const what = `${release} ${recipe.architecture} ${recipe.filesystem} ${recipe.flavour}`;
    const other = paths.get(filled);
    if (other !== undefined) {
      throw wrongField(
        'recipe.distribution.parameters',
        `is ${filled} for two builds of the matrix, ${other} and ${what}: only one of them could be its latest`,
        'put what tells the builds apart into it, such as {architecture} or {filesystem}.',
      );
    }
    paths.set(filled, what);
  }
}
