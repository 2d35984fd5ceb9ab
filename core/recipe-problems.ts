import type * as z from 'zod/mini';
import { nearestName } from './nearest-name.ts';

type Issue = z.core.$ZodIssue;

/** Enough for any recipe that was meant as one. */
const PROBLEMS_SHOWN = 40;

/** All problems of a value as a list of lines that begin with their fields. */
export function describeProblems(issues: readonly Issue[], schema: z.core.$ZodType): string {
  return listed(withoutConsequences(issues).flatMap((issue) => describeIssue(issue, schema)));
}

function listed(problems: readonly string[]): string {
  const shown = problems.slice(0, PROBLEMS_SHOWN).map((problem) => `- ${problem}`);
  const rest = problems.length - shown.length;
  if (rest > 0) shown.push(`- and ${rest} more`);
  return `${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${shown.join('\n')}`;
}

/**
 * One problem a field: what is of the wrong type has the wrong length too, and a text of two lines no right form. Unknown keys of an object are
 * problems of their own fields, and so is what a rule says of the whole recipe.
 */
function withoutConsequences(issues: readonly Issue[]): Issue[] {
  const place = ({ path }: Issue) => JSON.stringify(path);
  const mistyped = new Set(issues.filter(({ code }) => code === 'invalid_type').map(place));
  const seen = new Set<string>();
  return issues.filter((issue) => {
    if (issue.code === 'unrecognized_keys' || issue.path.length === 0) return true;
    if (mistyped.has(place(issue)) && issue.code !== 'invalid_type') return false;
    if (seen.has(place(issue))) return false;
    seen.add(place(issue));
    return true;
  });
}

function describeIssue(issue: Issue, schema: unknown): string[] {
  const path = issue.path.map((key) => shortened(String(key))).join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map(shortened).map((key) => {
      const near = nearestName(key, known);
      const field = path === '' ? key : `${path}.${key}`;
      if (path === '' && composed.includes(key))
        return `${key} is for the file of a recipe: make image and foundry resolve it before a build starts`;
      return `${field} is not a key of a recipe${near ? `; did you mean ${near}?` : `; known here: ${known.join(', ')}`}`;
    });
  }
  if ((issue.code === 'invalid_type' || issue.code === 'invalid_value') && issue.input === undefined)
    return [`${path || 'the recipe'} is missing`];
  // The schema's own words, where it has any, know what is meant.
  const ownWords = /^(must|is) /.test(issue.message);
  if (issue.code === 'invalid_value' && !ownWords) {
    return [
      `${path} must be one of ${issue.values.map(String).join(', ')}; it is ${preview(issue.input, issue.path)}`,
    ];
  }
  if (issue.code === 'invalid_type' && !ownWords) {
    return [
      `${path || 'the recipe'} must be ${article(issue.expected)}; it is ${preview(issue.input, issue.path)}`,
    ];
  }
  const said = ownWords ? issue.message : `is not right: ${issue.message}`;
  const shown =
    issue.input === undefined || issue.code === 'custom' ? '' : `; it is ${preview(issue.input, issue.path)}`;
  return [`${path || 'the recipe'} ${said}${shown}`];
}

/** Keys that belong to a recipe file and are gone from the recipe that it becomes (core/recipe-composition.ts). */
const composed = ['extends', 'parameters', 'matrix'];

/** The keys that the schema has at a place: through defaults, lists and records down to the object. */
function knownKeys(schema: unknown, path: readonly PropertyKey[]): string[] {
  let at = unwrapped(schema);
  for (const key of path) {
    if (at?.shape) at = unwrapped(at.shape[String(key)]);
    else at = unwrapped(at?.element ?? at?.valueType);
  }
  return Object.keys(at?.shape ?? {});
}

interface SchemaParts {
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly element?: unknown;
  readonly valueType?: unknown;
  readonly innerType?: unknown;
  readonly in?: unknown;
  readonly options?: readonly unknown[];
}

/** What is inside optional, default and pipe; of a choice, the object. */
function unwrapped(schema: unknown): SchemaParts | undefined {
  const parts = (schema as { readonly _zod?: { readonly def: SchemaParts } } | undefined)?._zod?.def;
  const object = parts?.options?.find((option) => unwrapped(option)?.shape !== undefined);
  const inner = parts?.innerType ?? parts?.in ?? object;
  return inner === undefined ? parts : unwrapped(inner);
}

/** Whatever stands where a hash belongs may be a password, and so may what a URL has before its host or in its query: problems are logged. */
function preview(input: unknown, path: readonly PropertyKey[]): string {
  if (path.at(-1) === 'password') return 'not shown';
  const given = JSON.stringify(input) ?? String(input);
  return shortened(
    given.replaceAll(/(:\/\/)[^"\s]*@/g, '$1…@').replaceAll(/(:\/\/[^?"\s]*\?)[^"\s]*/g, '$1…'),
  );
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}…` : text);

const article = (type: string): string => (/^[aeio]/.test(type) ? `an ${type}` : `a ${type}`);
