import type * as z from 'zod/mini';
import { nearestName } from '../nearest-name.ts';
import type { FieldProblem } from './problems.ts';

type Issue = z.core.$ZodIssue;

/** What is wrong with a request, field by field. `whole` is what the value is called when it is wrong as such, `known` its keys. */
export const fieldProblems = (
  issues: readonly Issue[],
  { whole, known }: { readonly whole: string; readonly known: readonly string[] },
): FieldProblem[] => issues.flatMap((issue) => describe(issue, whole, known));

function describe(issue: Issue, whole: string, known: readonly string[]): FieldProblem[] {
  const field = issue.path.map(String).join('.') || whole;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const near = issue.path.length === 0 ? nearestName(key, known) : undefined;
      return {
        field: issue.path.length === 0 ? key : `${field}.${key}`,
        message: `is not known here${near ? `; did you mean ${near}?` : ''}`,
      };
    });
  }
  const missing = issue.input === undefined && issue.code.startsWith('invalid_');
  return [{ field, message: missing ? 'is missing' : wrong(issue) }];
}

function wrong(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${/^[aeio]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_format':
      return issue.pattern === undefined
        ? `must be a ${issue.format}`
        : `must be of the form ${issue.pattern}`;
    case 'too_small':
      return `must be ${unit(issue.minimum, 'at least', issue.origin)}`;
    case 'too_big':
      return `must be ${unit(issue.maximum, 'at most', issue.origin)}`;
    case 'invalid_union':
      return 'is of none of the kinds that it may be';
    default:
      return issue.message;
  }
}

const unit = (limit: number | bigint, bound: string, origin: string): string =>
  `${bound} ${limit}${origin === 'string' ? ' characters' : origin === 'array' ? ' items' : ''}`;
