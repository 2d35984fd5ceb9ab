/**
 * IAM's evaluation of identity policies ("IAM User Guide, Policy evaluation logic"): an explicit Deny, else some Allow, else no.
 * The elements and condition operators that the factory's policies use; any other throws, so that no policy holds by being
 * misunderstood. `test/local/iam/policy.test.ts` compares it with an evaluator that is not ours.
 */

/** A statement of an identity policy, its single values as lists. */
export interface Statement {
  readonly Effect: string;
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** What a service asks IAM: may this be done to that, under these circumstances. */
export interface Question {
  readonly action: string;
  readonly resource: string;
  /** Values of condition keys; a list is a key with several values (aws:TagKeys). */
  readonly context: Readonly<Record<string, string | readonly string[]>>;
}

export function allowed(statements: readonly Statement[], question: Question): boolean {
  const applying = statements.filter((statement) => applies(statement, question));
  return (
    applying.some(({ Effect }) => Effect === 'Allow') && !applying.some(({ Effect }) => Effect === 'Deny')
  );
}

/** Whether a statement says anything about this. */
export const applies = (
  { Action, Resource, Condition }: Statement,
  { action, resource, context }: Question,
): boolean =>
  // Actions are matched without regard to case ("IAM JSON policy elements: Action").
  someLike(
    Action.map((each) => each.toLowerCase()),
    action.toLowerCase(),
  ) &&
  someLike(Resource, resource) &&
  Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) => holds(operator, valuesOf(context, key), [wanted].flat())),
  );

/** Condition keys are matched without regard to case, a tag's name in them included ("Condition keys"). */
function valuesOf(context: Question['context'], key: string): readonly string[] | undefined {
  const found = Object.entries(context).find(([name]) => name.toLowerCase() === key.toLowerCase());
  return found === undefined ? undefined : [found[1]].flat();
}

type Operator = (actual: readonly string[] | undefined, wanted: readonly string[]) => boolean;

const equal: (value: string, wanted: readonly string[]) => boolean = (value, wanted) =>
  wanted.includes(value);

/** "If the key that you specify in a policy condition is not present in the request context, the values do not match". */
const single =
  (matches: typeof equal): Operator =>
  (actual, wanted) =>
    actual?.some((value) => matches(value, wanted)) ?? false;

const operators: Readonly<Record<string, Operator>> = {
  StringEquals: single(equal),
  StringLike: single((value, wanted) => someLike(wanted, value)),
  // "ArnEquals and ArnLike behave identically": wildcards in both.
  ArnEquals: single((value, wanted) => someLike(wanted, value)),
  ArnLike: single((value, wanted) => someLike(wanted, value)),
  Bool: single((value, wanted) => wanted.some((each) => each.toLowerCase() === value.toLowerCase())),
  // "Returns true if the condition key is not in the request".
  'ForAllValues:StringEquals': (actual = [], wanted) => actual.every((value) => equal(value, wanted)),
  'ForAllValues:StringLike': (actual = [], wanted) => actual.every((value) => someLike(wanted, value)),
  'ForAnyValue:StringEquals': (actual = [], wanted) => actual.some((value) => equal(value, wanted)),
  'ForAnyValue:StringLike': (actual = [], wanted) => actual.some((value) => someLike(wanted, value)),
  // The name is absent when true, there when false.
  Null: (actual, wanted) => wanted.includes(String(actual === undefined)),
};

function holds(name: string, actual: readonly string[] | undefined, wanted: readonly string[]): boolean {
  const operator = operators[name];
  if (operator === undefined) throw new Error(`the condition operator ${name} is not modelled`);
  return operator(actual, wanted);
}

const someLike = (patterns: readonly string[], value: string): boolean =>
  patterns.some((each) => pattern(each).test(value));

const compiled = new Map<string, RegExp>();

/** "You can use wildcard characters (* and ?)": any characters, colons and slashes included, and any one. */
function pattern(text: string): RegExp {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  // A policy variable would be taken for its own name.
  if (text.includes('${')) throw new Error(`policy variables are not modelled: ${text}`);
  const escaped = text
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const made = new RegExp(`^${escaped}$`, 's');
  compiled.set(text, made);
  return made;
}
