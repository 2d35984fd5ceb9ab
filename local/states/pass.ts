import type { PassState } from './definition.ts';
import { leave, type Transition, type Visit } from './visit.ts';

/** @see https://docs.aws.amazon.com/step-functions/latest/dg/state-pass.html */
export const pass = (visit: Visit<PassState>): Promise<Transition> =>
  leave(visit, { by: visit.state, at: '', extra: {}, otherwise: visit.input, next: visit.state.Next });
