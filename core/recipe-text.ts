import { parseDocument } from 'yaml';
import { FactoryError } from './errors.ts';

/**
 * Reads the text of a recipe, YAML 1.2 or JSON, into a value for `parseRecipe`. Apart from it, because the functions take
 * values only and the YAML parser is a third of a bundle. Throws `InvalidRecipe` with line and column.
 */
export function readRecipeText(text: string, where: string): unknown {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const [error] = document.errors;
  if (error === undefined) return document.toJS({ maxAliasCount: 100 });
  const problems = document.errors.map(({ message }) => `- ${message.split('\n')[0]?.replace(/:$/, '')}`);
  throw new FactoryError(
    'InvalidRecipe',
    {
      message: `${where} is not well-formed YAML or JSON:\n${problems.join('\n')}`,
      remedy: 'correct the syntax at the lines named above.',
    },
    { cause: error },
  );
}
