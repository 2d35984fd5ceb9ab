import { unsupported } from './front/service-error.ts';

/** An event pattern: for each field a list of values, one of which must be there, or a pattern for what is inside. */
export interface EventPattern {
  readonly [field: string]: EventPattern | readonly Condition[];
}

type Condition = string | number | boolean | null | Readonly<Record<string, unknown>>;

/** Amazon EventBridge User Guide, "Creating event patterns": all fields must match; an array matches by any of its members. */
export function matches(pattern: EventPattern, event: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(pattern).every(([field, wanted]) => {
    const value = event[field];
    if (Array.isArray(wanted)) return wanted.some((one: Condition) => holds(one, value));
    const inside = typeof value === 'object' && value !== null && !Array.isArray(value);
    // A field that is not there can still be asked not to exist.
    return matches(wanted as EventPattern, inside ? (value as Record<string, unknown>) : {});
  });
}

function holds(condition: Condition, value: unknown): boolean {
  if (typeof condition === 'object' && condition !== null) return operator(condition, value);
  return valuesOf(value).includes(condition);
}

const valuesOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

/** "Comparison operators for use in event patterns": those that rules of this factory have. */
function operator(condition: Readonly<Record<string, unknown>>, value: unknown): boolean {
  const [[name, operand] = ['', undefined], ...others] = Object.entries(condition);
  if (others.length > 0) throw unsupported(`an event pattern with ${JSON.stringify(condition)}`);
  const texts = valuesOf(value).filter((one) => typeof one === 'string');
  switch (name) {
    case 'prefix':
      return typeof operand === 'string' && texts.some((one) => one.startsWith(operand));
    case 'suffix':
      return typeof operand === 'string' && texts.some((one) => one.endsWith(operand));
    case 'exists':
      return (value !== undefined) === operand;
    case 'anything-but':
      return value !== undefined && !valuesOf(operand).some((one) => valuesOf(value).includes(one));
    default:
      throw unsupported(`an event pattern with ${JSON.stringify(condition)}`);
  }
}
