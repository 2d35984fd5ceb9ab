/**
 * Catch: the state's way out when a failure is not retried any more.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-fallback-states
 */

import type { Catcher } from './definition.ts';
import type { StatesError } from './errors.ts';
import { matches } from './matching.ts';
import { leave, type Transition, type Visit } from './visit.ts';

export interface Caught {
  catcher: Catcher;
  index: number;
}

export function findCatcher(catchers: readonly Catcher[], failure: StatesError): Caught | undefined {
  const index = catchers.findIndex(({ ErrorEquals }) => matches(ErrorEquals, failure));
  const catcher = catchers[index];
  return catcher === undefined ? undefined : { catcher, index };
}

/** "If Output is not given, the Error Output becomes the output." A failing Assign or Output here fails the execution. */
export function leaveByCatch(
  visit: Visit,
  { catcher, index }: Caught,
  failure: StatesError,
): Promise<Transition> {
  return leave(visit, {
    by: catcher,
    at: `Catch[${index}]/`,
    extra: { errorOutput: failure.output },
    otherwise: failure.output,
    next: catcher.Next,
  });
}
