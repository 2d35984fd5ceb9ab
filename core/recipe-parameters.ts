import * as z from 'zod/mini';
import { described } from './described.ts';
import { nearestName } from './nearest-name.ts';
import { isFields, type Report } from './recipe-layers.ts';

export type Scalar = string | number | boolean;

export const scalar = z.union([z.string(), z.number(), z.boolean()], {
  error: 'must be text, a number, true or false',
});

const compiled = (pattern: string): RegExp | undefined => {
  try {
    // Of the whole value: a pattern that a part may match lets the rest be anything.
    return new RegExp(`^(?:${pattern})$`, 'u');
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

const parameterShape = {
  type: described(
    z._default(
      z.enum(['string', 'integer', 'boolean', 'choice'], {
        error: 'must be string, integer, boolean or choice',
      }),
      'string',
    ),
    'What its value is. choice: one of values.',
  ),
  values: described(
    z.optional(
      z
        .array(scalar, { error: 'must be a list of values' })
        .check(z.minLength(1, { error: 'must not be empty' })),
    ),
    'What there is to choose from.',
  ),
  default: described(z.optional(scalar), 'Its value if nobody gives one. Without it, a value must be given.'),
  description: described(z.optional(z.string({ error: 'must be text' })), 'What it is for.'),
  pattern: described(
    z.optional(
      z
        .string({ error: 'must be text' })
        .check(
          z.refine((pattern) => compiled(pattern) !== undefined, { error: 'must be a regular expression' }),
        ),
    ),
    'A regular expression (ECMAScript) that the whole of a string must match.',
  ),
};

const parameter = z
  .strictObject(parameterShape, { error: 'must be a map: type, default, description …' })
  .check(
    z.refine(({ type, values }) => (type === 'choice') === (values !== undefined), {
      path: ['values'],
      error: 'must be there with type: choice, and only with it',
    }),
    z.refine(({ type, pattern }) => pattern === undefined || type === 'string', {
      path: ['pattern'],
      error: 'must be left out: only a string has one',
    }),
  );

/** The `parameters` of a recipe. */
export const parametersSchema = z.record(z.string(), parameter, { error: 'must be a map of names' });

export type Parameter = z.output<typeof parameter>;
export type Parameters = ReadonlyMap<string, Parameter>;

const NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/** Reads the declarations; what is wrong with them is reported, and left out. */
export function readParameters(value: unknown, report: Report): Parameters {
  const declared = new Map<string, Parameter>();
  const tell = (path: readonly PropertyKey[], problem: string) =>
    report(`${['parameters', ...path].map(String).join('.')} ${problem}`);
  if (value === undefined) return declared;
  if (!isFields(value)) {
    tell([], 'must be a map of names');
    return declared;
  }
  for (const [name, declaration] of Object.entries(value)) {
    if (!NAME.test(name) || name === 'exclude') {
      tell([name], 'must be called by letters, digits and _, a letter first, and not exclude');
      continue;
    }
    const result = parameter.safeParse(declaration);
    if (!result.success) {
      for (const issue of result.error.issues) {
        if (issue.code === 'unrecognized_keys') {
          for (const key of issue.keys) {
            const near = nearestName(key, Object.keys(parameterShape));
            tell([name, key], `is not a key of a parameter${near ? `; did you mean ${near}?` : ''}`);
          }
        } else tell([name, ...issue.path], issue.message);
      }
      continue;
    }
    declared.set(name, result.data);
    if (result.data.default !== undefined) {
      const checked = typedValue(result.data, result.data.default);
      if ('problem' in checked) tell([name, 'default'], checked.problem);
    }
  }
  return declared;
}

/** A value as a parameter takes it, or why it does not. */
export function typedValue(
  { type, values = [], pattern }: Parameter,
  given: Scalar,
): { readonly value: Scalar } | { readonly problem: string } {
  const shown = JSON.stringify(given);
  if (type === 'choice') {
    return values.includes(given)
      ? { value: given }
      : { problem: `must be one of ${values.map(String).join(', ')}; it is ${shown}` };
  }
  if (type === 'integer') {
    return Number.isSafeInteger(given)
      ? { value: given }
      : { problem: `must be a whole number; it is ${shown}` };
  }
  if (type === 'boolean') {
    return typeof given === 'boolean'
      ? { value: given }
      : { problem: `must be true or false; it is ${shown}` };
  }
  if (typeof given !== 'string') return { problem: `must be a string: put ${shown} into quotes` };
  if (pattern !== undefined && compiled(pattern)?.test(given) !== true) {
    return { problem: `must match ${pattern}; it is ${shown}` };
  }
  return { value: given };
}

/** A text, such as that of a command line, as a value of the parameter's type where it is one. */
export function fromText({ type, values = [] }: Parameter, text: string): Scalar {
  if (type === 'integer' && /^-?\d{1,16}$/.test(text)) return Number(text);
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
  if (type === 'choice') return values.find((value) => String(value) === text) ?? text;
  return text;
}

/** What other languages write is theirs: there, only parameters that are declared are looked for. */
const isForeign = ([list, , key]: readonly (string | number)[]): boolean =>
  (list === 'scripts' && key === 'run') || (list === 'files' && key === 'content');

/**
 * Puts values in the place of `${name}` in every string of a value. What was put in is never looked through again. A string that is
 * nothing but `${name}` becomes the value with its type. `$${` stands for `${` itself.
 */
export function substitute(
  value: unknown,
  parameters: Parameters,
  values: ReadonlyMap<string, Scalar>,
  report: Report,
  path: readonly (string | number)[] = [],
): unknown {
  const inside = (item: unknown, key: string | number) =>
    substitute(item, parameters, values, report, [...path, key]);
  if (Array.isArray(value)) return value.map(inside);
  if (isFields(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inside(item, key)]));
  }
  if (typeof value !== 'string') return value;
  // A parameter without a value was reported already; its reference stays.
  const textOf = (name: string, reference: string) => String(values.get(name) ?? reference);
  if (isForeign(path)) {
    return value.replace(/\$(\$?)\{([A-Za-z]\w*)\}/g, (reference, escaped: string, name: string) => {
      if (!parameters.has(name)) return reference;
      return escaped === '' ? textOf(name, reference) : reference.slice(1);
    });
  }
  const [, whole] = /^\$\{([A-Za-z]\w*)\}$/.exec(value) ?? [];
  if (whole !== undefined && parameters.has(whole)) return values.get(whole) ?? value;
  return value.replace(/\$\$\{|\$\{([^{}]*)\}|\$\{/g, (reference, name: string | undefined) => {
    if (reference === '$${') return '${';
    if (name !== undefined && parameters.has(name)) return textOf(name, reference);
    const near = nearestName(name ?? '', [...parameters.keys()]);
    const hint = near === undefined ? 'declare it under parameters' : `did you mean \${${near}}?`;
    report(`${path.join('.')}: ${shortened(reference)} is no parameter; ${hint}; $\${ stands for \${ itself`);
    return reference;
  });
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}…` : text);
