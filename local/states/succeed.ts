import type { SucceedState } from './definition.ts';
import { leave, type Transition, type Visit } from './visit.ts';

/**
 * Ends its line: the execution, or the branch or iteration that it stands in.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-succeed.html
 */
export const succeed = (visit: Visit<SucceedState>): Promise<Transition> =>
  leave(visit, { by: visit.state, at: '', extra: {}, otherwise: visit.input, next: undefined });
