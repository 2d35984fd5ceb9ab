import * as z from 'zod/mini';

/** Gives a field the sentence that docs/recipe.md, the JSON Schema and editors show. */
export const described = <T extends z.core.$ZodType>(schema: T, description: string): T => {
  // A copy: one schema may serve several fields, and each has its own sentence.
  const own = z.clone(schema, schema._zod.def);
  z.globalRegistry.add(own, { description });
  return own;
};

/** A string of the given form; `error` continues "<field> ". */
export const text = (pattern: RegExp, error: string) => z.string().check(z.regex(pattern, { error }));
