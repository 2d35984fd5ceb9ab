import type { Catcher, Retrier, State } from './definition.ts';

/** Retry and Catch of a state; the types that cannot have them have none. */
export function catchersOf(state: State): { Retry: readonly Retrier[]; Catch: readonly Catcher[] } {
  if (state.Type === 'Task' || state.Type === 'Parallel' || state.Type === 'Map') {
    return { Retry: state.Retry ?? [], Catch: state.Catch ?? [] };
  }
  return { Retry: [], Catch: [] };
}
