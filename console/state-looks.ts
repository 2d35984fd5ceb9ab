import type { BuildDetails } from '../core/api/schemas.ts';
import type { GraphEdge, MachineGraph } from './machine-graph.ts';

export type Look = 'idle' | 'running' | 'succeeded' | 'failed' | 'caught';

export const lookWords: Readonly<Record<Look, string>> = {
  idle: 'not entered',
  running: 'running',
  succeeded: 'succeeded',
  failed: 'failed',
  caught: 'failed, caught',
};

export interface StateLook {
  readonly look: Look;
  readonly entered: number;
  readonly seconds: number;
}

/**
 * The lines that were gone along, as far as states and their order tell: what has one way out went it. A Choice has gone to a state if no other
 * state that leads there was entered later, but before it.
 */
export function takenEdges(graph: MachineGraph, states: BuildDetails['states']): ReadonlySet<GraphEdge> {
  const order = new Map(states.map(({ name }, index) => [name, index]));
  const failed = new Set(states.filter(({ status }) => status === 'failed').map(({ name }) => name));
  const entered = (edge: GraphEdge) => order.has(edge.from) && order.has(edge.to);
  return new Set(
    graph.edges.filter((edge) => {
      if (!entered(edge)) return false;
      if (edge.kind === 'catch') return failed.has(edge.from);
      if (edge.kind === 'next') return true;
      const [from, to] = [order.get(edge.from) ?? 0, order.get(edge.to) ?? 0];
      return !graph.edges.some(
        (other) =>
          other.to === edge.to &&
          entered(other) &&
          (order.get(other.from) ?? 0) > from &&
          (order.get(other.from) ?? 0) < to,
      );
    }),
  );
}

/** How each state stands: one that failed is caught when the state was entered that its Catch leads to. */
export function stateLooks(
  graph: MachineGraph,
  states: BuildDetails['states'],
): ReadonlyMap<string, StateLook> {
  const entered = new Map(states.map((state) => [state.name, state]));
  return new Map(
    graph.nodes.map(({ name }): readonly [string, StateLook] => {
      const state = entered.get(name);
      if (!state) return [name, { look: 'idle', entered: 0, seconds: 0 }];
      const caught =
        state.status === 'failed' &&
        graph.edges.some(({ from, to, kind }) => from === name && kind === 'catch' && entered.has(to));
      return [
        name,
        { look: caught ? 'caught' : state.status, entered: state.entered, seconds: state.seconds },
      ];
    }),
  );
}
