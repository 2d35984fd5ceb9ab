import { parseDocument } from 'yaml';
import { FactoryError } from './errors.ts';

/**
 * Reads the text of a recipe, YAML 1.2 or JSON, into a value for `parseRecipe`. Apart from it, because the functions take
 * values only and the YAML parser is a third of a bundle. Throws `InvalidRecipe` with line and column.
 */
export function readRecipeText(text: string, where: string): unknown {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  // A warning is a tag that is not known: its value would be read as text.
  const found = [...document.errors, ...document.warnings];
  const refusal = (problems: readonly string[], cause: unknown) =>
    new FactoryError(
      'InvalidRecipe',
      {
        message: `${where} is not well-formed YAML or JSON:\n${problems.map((problem) => `- ${problem}`).join('\n')}`,
        remedy: 'correct the syntax at the lines named above.',
      },
      { cause },
    );
  if (found.length > 0) {
    throw refusal(
      found.map(({ message }) => message.split('\n')[0]?.replace(/:$/, '') ?? ''),
      found[0],
    );
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // yaml throws ReferenceError for an alias without anchor and for a bomb of aliases.
    if (error instanceof ReferenceError) throw refusal([error.message], error);
    throw error;
  }
  try {
    JSON.stringify(value);
  } catch (error) {
    if (error instanceof TypeError) throw refusal(['a value contains itself by an alias'], error);
    throw error;
  }
  return value;
}
