import { readFile } from 'node:fs/promises';
import { FactoryError } from '../core/errors.ts';
import { parseRecipe, type Recipe } from '../core/recipe.ts';
import { type ComposedRecipe, composeRecipe, withoutExtends } from '../core/recipe-composition.ts';
import type { Coordinates } from '../core/recipe-matrix.ts';

/** One image that the file of a recipe asks for. */
export interface WantedBuild {
  readonly coordinates: Coordinates;
  readonly recipe: Recipe;
  /** The recipe as it is written, composed: a factory has its own defaults for what it leaves out. */
  readonly value: unknown;
}

/** What tells a build from the others of its matrix, for people. */
export const coordinatesText = (coordinates: Coordinates): string =>
  Object.entries(coordinates)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

/**
 * Reads the file of a recipe with all it extends, and resolves it into its builds. `set` gives parameters their values. Throws
 * `InvalidRecipe` that lists every problem; what several builds of a matrix have in common is told once.
 */
export async function readRecipeFile(
  file: string,
  set: Readonly<Record<string, string>>,
): Promise<WantedBuild[]> {
  const composed = await composeRecipe(await textOf(file), file, { read: readText, set });
  return parseBuilds(composed, file);
}

/** The recipe of a file with all it extends, its parameters and its matrix unresolved. */
export const readWholeRecipe = async (file: string): Promise<Record<string, unknown>> =>
  await withoutExtends(await textOf(file), file, readText);

async function textOf(file: string): Promise<string> {
  const start = await readText(file);
  if ('text' in start) return start.text;
  throw new FactoryError('InvalidRecipe', {
    message: `${file} cannot be read: ${start.reason}`,
    remedy: 'name the file of a recipe, such as examples/demo.yaml.',
  });
}

/** What a caller may get wrong about a path. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no directory',
  EISDIR: 'it is a directory',
  EACCES: 'permission denied',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
};

async function readText(path: string): Promise<{ readonly text: string } | { readonly reason: string }> {
  try {
    return { text: await readFile(path, 'utf8') };
  } catch (error) {
    const reason = reasons[(error as NodeJS.ErrnoException).code ?? ''];
    if (reason === undefined) throw error;
    return { reason };
  }
}

function parseBuilds(composed: readonly ComposedRecipe[], file: string): WantedBuild[] {
  const failures = new Map<string, { readonly error: FactoryError; readonly builds: string[] }>();
  const builds = composed.flatMap(({ coordinates, value }): WantedBuild[] => {
    try {
      return [{ coordinates, recipe: parseRecipe(value, file), value }];
    } catch (error) {
      if (!(error instanceof FactoryError)) throw error;
      const failure = failures.get(error.message) ?? { error, builds: [] };
      failures.set(error.message, failure);
      failure.builds.push(coordinatesText(coordinates));
      return [];
    }
  });
  const [first, ...others] = failures.values();
  if (first === undefined) return builds;
  // What is wrong with all builds alike needs no list of them.
  if (others.length === 0 && builds.length === 0) throw first.error;
  throw new FactoryError(
    'InvalidRecipe',
    {
      message: [...failures.values()]
        .map(({ error, builds: names }) => `${problemOf(error)}\n  in ${names.join('\n  and ')}`)
        .join('\n'),
      remedy: first.error.remedy,
    },
    { cause: first.error },
  );
}

/** The message without what every FactoryError ends with. */
const problemOf = ({ message }: FactoryError): string => message.replace(/\nRemedy: [\s\S]*$/, '');
