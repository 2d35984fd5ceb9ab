import { parseDocument } from 'yaml';
import { FactoryError } from './errors.ts';

/** What a text says, or why it says nothing: one line for each problem, with line and column where there is one. */
export type ReadText =
  | { readonly value: unknown }
  | { readonly problems: readonly string[]; readonly cause: unknown };

/** Reads YAML 1.2 (with merge keys, `<<`) or JSON into a value. Never throws for what a text may be. */
export function readText(text: string): ReadText {
  // Merge keys are of YAML 1.1, but every editor and most tools know them.
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, merge: true });
  // A warning is a tag that is not known: its value would be read as text.
  const found = [...document.errors, ...document.warnings];
  if (found.length > 0) {
    return {
      problems: found.map(({ message }) => message.split('\n')[0]?.replace(/:$/, '') ?? ''),
      cause: found[0],
    };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // yaml throws ReferenceError for an alias without anchor and for a bomb of aliases.
    if (error instanceof ReferenceError) return { problems: [error.message], cause: error };
    // Of what a merge key may name, yaml says it in an Error of no class of its own.
    if (error instanceof Error && error.message.startsWith('Merge sources')) {
      return { problems: ['<< must name a map or a list of maps'], cause: error };
    }
    throw error;
  }
  try {
    JSON.stringify(value);
  } catch (error) {
    if (error instanceof TypeError) {
      return { problems: ['a value contains itself by an alias'], cause: error };
    }
    throw error;
  }
  return { value };
}

/**
 * Reads the text of a recipe, YAML 1.2 or JSON, into a value for `parseRecipe`. Apart from it, because the functions take
 * values only and the YAML parser is a third of a bundle. Throws `InvalidRecipe` with line and column.
 */
export function readRecipeText(text: string, where: string): unknown {
  const read = readText(text);
  if ('value' in read) return read.value;
  throw new FactoryError(
    'InvalidRecipe',
    {
      message: `${where} is not well-formed YAML or JSON:\n${read.problems.map((problem) => `- ${problem}`).join('\n')}`,
      remedy: 'correct the syntax at the lines named above.',
    },
    { cause: read.cause },
  );
}
