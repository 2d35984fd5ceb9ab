/**
 * Which error names a retrier or a catcher means.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-error-representation
 */

import type { StatesError } from './errors.ts';

export function matches(names: readonly string[], failure: StatesError): boolean {
  if (failure.terminal) return false;
  return names.some((name) => {
    if (name === failure.error || (failure.alias !== undefined && name === failure.alias)) return true;
    // "This error type can't catch the States.DataLimitExceeded terminal error type and runtime error types."
    if (name === 'States.ALL') return failure.error !== 'States.DataLimitExceeded';
    // "acts as a wildcard that matches any known error name except for States.Timeout"
    if (name === 'States.TaskFailed') return failure.error !== 'States.Timeout';
    return false;
  });
}
