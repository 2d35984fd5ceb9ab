import { FactoryError } from './errors.ts';
import { nearestName } from './nearest-name.ts';
import { isFields, mergeLayers, type ReadFile, readLayers } from './recipe-layers.ts';
import { type Coordinates, expandMatrix, matrixFields } from './recipe-matrix.ts';
import { fromText, readParameters, type Scalar, substitute, typedValue } from './recipe-parameters.ts';
import { readRecipeText } from './recipe-text.ts';

/** One build of a recipe: a value for `parseRecipe`, and what tells it from the other builds of its matrix. */
export interface ComposedRecipe {
  readonly coordinates: Coordinates;
  readonly value: unknown;
}

interface CompositionContext {
  /** Reads a file that is extended. Paths are relative to what `where` is relative to, or absolute. */
  readonly read: ReadFile;
  /** Values for parameters, and for keys of the matrix of which only one value is wanted. */
  readonly set?: Readonly<Record<string, string>>;
}

/** Keys that clients resolve; `parseRecipe` takes recipes without them. */
export const compositionKeys = ['extends', 'parameters', 'matrix'] as const;

/**
 * Resolves `extends`, `parameters` and `matrix` of a recipe, given as text or as a value, into the builds it stands for, in the order
 * of the matrix. `where` is the path of its file. Throws one `InvalidRecipe` that lists every problem.
 */
export async function composeRecipe(
  recipe: unknown,
  where: string,
  { read, set = {} }: CompositionContext,
): Promise<ComposedRecipe[]> {
  const problems = new Set<string>();
  const report = (problem: string) => problems.add(problem);
  const value = typeof recipe === 'string' ? readRecipeText(recipe, where) : recipe;
  // parseRecipe says best what is wrong with it.
  if (!isFields(value)) return [{ coordinates: {}, value }];

  const layers = await readLayers(value, where, read, report);
  // What is not in a file that could not be read would be reported again and again.
  refuse(problems, where);
  const whole = mergeLayers(layers, where, report);
  const parameters = readParameters(whole.parameters, report);
  refuse(problems, where);

  const given = new Map(Object.entries(set));
  const builds = expandMatrix(whole.matrix, parameters, given, report);
  const axes = new Set(isFields(whole.matrix) ? Object.keys(whole.matrix) : []);
  const values = new Map<string, Scalar>();
  for (const [name, text] of given) {
    const parameter = parameters.get(name);
    if (axes.has(name) && name !== 'exclude') continue;
    if (parameter === undefined) {
      const near = nearestName(name, [...parameters.keys(), ...axes]);
      report(
        `${name} is set, and is neither a parameter nor a key of the matrix${near ? `; did you mean ${near}?` : ''}`,
      );
      continue;
    }
    const checked = typedValue(parameter, fromText(parameter, text));
    if ('value' in checked) values.set(name, checked.value);
    else report(`${name} ${checked.problem}`);
  }
  for (const [name, parameter] of parameters) {
    if (given.has(name) || axes.has(name)) continue;
    if (parameter.default !== undefined) values.set(name, parameter.default);
    else {
      const meaning = parameter.description ? ` (${parameter.description})` : '';
      report(`parameters.${name}${meaning} has no value: say --set ${name}=…, or give it a default`);
    }
  }

  const composed = builds.map((coordinates): ComposedRecipe => {
    const here = new Map([...values, ...Object.entries(coordinates).filter(([key]) => parameters.has(key))]);
    const varied = new Map(
      Object.entries(coordinates).filter(([key]) => (matrixFields as readonly string[]).includes(key)),
    );
    const fields = Object.entries(whole).filter(
      ([key]) => !varied.has(key) && !(compositionKeys as readonly string[]).includes(key),
    );
    return {
      coordinates,
      value: {
        ...(substitute(Object.fromEntries(fields), parameters, here, report) as object),
        ...Object.fromEntries(varied),
      },
    };
  });
  refuse(problems, where);
  return composed;
}

/**
 * A recipe with all that it extends, and with its parameters and its matrix as they are written: for a factory, which resolves those itself
 * and has no files. Throws `InvalidRecipe`.
 */
export async function withoutExtends(
  text: string,
  where: string,
  read: ReadFile,
): Promise<Record<string, unknown>> {
  const value = readRecipeText(text, where);
  const problems = new Set<string>();
  const report = (problem: string) => problems.add(problem);
  const layers = isFields(value) ? await readLayers(value, where, read, report) : [];
  refuse(problems, where);
  const { extends: _extends, ...whole } = mergeLayers(layers, where, report);
  refuse(problems, where);
  return whole;
}

function refuse(problems: ReadonlySet<string>, where: string): void {
  if (problems.size === 0) return;
  const lines = [...problems].map((problem) => `- ${problem}`);
  throw new FactoryError('InvalidRecipe', {
    message: `${where} has ${lines.length === 1 ? 'a problem' : `${lines.length} problems`}:\n${lines.join('\n')}`,
    remedy: 'correct the fields named above; docs/recipe.md describes extends, parameters and matrix.',
  });
}
