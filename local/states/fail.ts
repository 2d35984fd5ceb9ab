import type { FailState } from './definition.ts';
import { StatesError } from './errors.ts';
import { fieldOf, isString, type Transition, type Visit } from './visit.ts';

/**
 * Ends its line with an error of its own. It has no exited event: the next event is the failure of what it stands in.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html
 */
export async function fail(visit: Visit<FailState>): Promise<Transition> {
  const { Error: error, Cause: cause } = visit.state;
  throw new StatesError(
    error === undefined ? undefined : await fieldOf(visit, 'Error', error, 'string', isString),
    cause === undefined ? undefined : await fieldOf(visit, 'Cause', cause, 'string', isString),
  );
}
