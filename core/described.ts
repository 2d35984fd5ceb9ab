import * as z from 'zod/mini';

/** Gives a field the sentence that docs/recipe.md, the JSON Schema and editors show. */
export const described = <T extends z.core.$ZodType>(schema: T, description: string): T => {
  z.globalRegistry.add(schema, { description });
  return schema;
};

/** A string of the given form; `error` continues "<field> ". */
export const text = (pattern: RegExp, error: string) => z.string().check(z.regex(pattern, { error }));
