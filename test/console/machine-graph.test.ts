import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { machineGraph } from '../../console/machine-graph.ts';
import { stateLooks, takenEdges } from '../../console/state-looks.ts';

const file = JSON.parse(
  await readFile(new URL('../../statemachines/build-image.asl.json', import.meta.url), 'utf8'),
) as { States: Record<string, Record<string, unknown>> };
const graph = machineGraph(file);

const entered = (name: string, status: 'running' | 'succeeded' | 'failed' = 'succeeded') => ({
  name,
  status,
  entered: 1,
  firstEnteredAt: '2026-01-01T00:00:00Z',
  lastExitedAt: null,
  seconds: 1,
});
const taken = (...names: string[]) =>
  [
    ...takenEdges(
      graph,
      names.map((name) => entered(name)),
    ),
  ].map(({ from, to }) => `${from} → ${to}`);

describe('the picture of the state machine', () => {
  it('has every state of the file, those of the Map inside its box', () => {
    const inner = file.States.WriteEveryPiece?.ItemProcessor as { States: object };
    expect(graph.nodes.map(({ name }) => name).sort()).toEqual(
      [...Object.keys(file.States), ...Object.keys(inner.States)].sort(),
    );
    const box = graph.nodes.find(({ name }) => name === 'WriteEveryPiece');
    const inside = graph.nodes.find(({ name }) => name === 'WriteBlocks');
    expect(inside?.inside).toBe('WriteEveryPiece');
    expect(Math.abs((box?.x ?? 0) - (inside?.x ?? 0))).toBeLessThan((box?.width ?? 0) / 2);
  });

  it('has every way that the file has, of every kind', () => {
    const wanted = new Set<string>();
    for (const [from, state] of Object.entries(file.States)) {
      const {
        Next,
        Default,
        Choices = [],
        Catch = [],
      } = state as {
        Next?: string;
        Default?: string;
        Choices?: { Next: string }[];
        Catch?: { Next: string }[];
      };
      if (Next) wanted.add(`next ${from} ${Next}`);
      if (Default) wanted.add(`default ${from} ${Default}`);
      for (const choice of Choices) wanted.add(`choice ${from} ${choice.Next}`);
      for (const one of Catch) wanted.add(`catch ${from} ${one.Next}`);
    }
    expect(graph.edges.map(({ kind, from, to }) => `${kind} ${from} ${to}`).sort()).toEqual(
      [...wanted].sort(),
    );
  });

  it('lays no state over another, and none outside of the picture', () => {
    const outer = graph.nodes.filter(({ inside }) => inside === null);
    for (const [index, one] of outer.entries()) {
      expect(one.x - one.width / 2, one.name).toBeGreaterThanOrEqual(0);
      expect(one.x + one.width / 2, one.name).toBeLessThanOrEqual(graph.width);
      expect(one.y + one.height / 2, one.name).toBeLessThanOrEqual(graph.height);
      for (const other of outer.slice(index + 1)) {
        const apart =
          Math.abs(one.x - other.x) >= (one.width + other.width) / 2 ||
          Math.abs(one.y - other.y) >= (one.height + other.height) / 2;
        expect(apart, `${one.name} and ${other.name}`).toBe(true);
      }
    }
  });

  it('ends every line where its states are', () => {
    for (const { from, to, points } of graph.edges) {
      const ends: [string, { x: number; y: number } | undefined][] = [
        [from, points[0]],
        [to, points.at(-1)],
      ];
      for (const [name, point] of ends) {
        const node = graph.nodes.find((one) => one.name === name);
        expect(Math.abs((node?.x ?? 0) - (point?.x ?? -1)), `${from} → ${to}`).toBeLessThanOrEqual(
          (node?.width ?? 0) / 2 + 1,
        );
        expect(Math.abs((node?.y ?? 0) - (point?.y ?? -1)), `${from} → ${to}`).toBeLessThanOrEqual(
          (node?.height ?? 0) / 2 + 1,
        );
      }
    }
  });
});

describe('a build in the picture', () => {
  it('shows a state as caught when its Catch led on, and as failed when nothing did', () => {
    const looks = stateLooks(graph, [
      entered('Launch', 'failed'),
      entered('Salvage'),
      entered('CleanUpAfterFailure'),
      entered('BuildFailed', 'failed'),
    ]);
    expect(looks.get('Launch')?.look).toBe('caught');
    expect(looks.get('BuildFailed')?.look).toBe('failed');
    expect(looks.get('Register')?.look).toBe('idle');
    expect(stateLooks(graph, [entered('Launch', 'failed')]).get('Launch')?.look).toBe('failed');
  });

  it('goes along the ways that it took, and no other between the same states', () => {
    const all = taken(
      'Begin',
      'Plan',
      'Distributed?',
      'Planned?',
      'Launch',
      'WaitForWorkerRunning',
      'WorkerRunningReady?',
      'Attach',
      'WaitForWorker',
      'WorkerReady?',
      'Snapshot',
      'WaitForSnapshot',
      'SnapshotReady?',
      'Road?',
      'Register',
    );
    expect(all).toContain('SnapshotReady? → Road?');
    expect(all).toContain('Distributed? → Planned?');
    expect(all).not.toContain('Planned? → Road?');
    expect(all).not.toContain('WorkerRunningReady? → WaitForWorker');
    expect(taken('Begin', 'Plan', 'Distributed?', 'Planned?', 'Road?')).toContain('Planned? → Road?');
  });
});
