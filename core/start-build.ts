import { canonicalJson, type Json } from './canonical-json.ts';
import { buildable, type Recipe } from './recipe.ts';

/**
 * What the execution of a build is started with, whoever starts it. StartExecution of a name that runs is the running one only when the
 * input is the same byte by byte: so it has the recipe as parsed, and nothing of who asked or when.
 */
export const buildInput = (recipe: Recipe, dryRun = false): string =>
  canonicalJson({ dryRun, recipe: buildable(recipe) as unknown as Json });
