import { Graph, layout } from '@dagrejs/dagre';

/** A state machine as the Amazon States Language writes it, as far as its picture needs it. */
interface Machine {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
}

interface State {
  readonly Type: string;
  readonly Comment?: string;
  readonly Next?: string;
  readonly Default?: string;
  readonly Choices?: readonly { readonly Next: string }[];
  readonly Catch?: readonly { readonly ErrorEquals: readonly string[]; readonly Next: string }[];
  readonly ItemProcessor?: Machine;
}

export type EdgeKind = 'next' | 'choice' | 'default' | 'catch';

export interface GraphNode {
  readonly name: string;
  readonly type: string;
  readonly comment: string;
  /** The Map whose items it processes. */
  readonly inside: string | null;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: EdgeKind;
  /** Of a Catch: the errors that it takes. */
  readonly errors: readonly string[];
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface MachineGraph {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

const HEIGHT = 28;
/** Of the box around what a Map does for each item. */
const BOX = 12;
const BOX_TITLE = 24;
const MARGIN = 14;
/** Between a Choice and the Wait beside it. */
const BESIDE = 16;
/** Between the lines that run along the sides. */
const LANE = 9;

/** Room for a sign before the name. */
const widthOf = (name: string) => Math.max(72, Math.round(name.length * 7.1) + 36);

interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly kind: EdgeKind;
  readonly errors: readonly string[];
}

/** Where each state leads to. */
function arrows({ States }: Machine): Arrow[] {
  return Object.entries(States).flatMap(([from, state]) => {
    const to = (kind: EdgeKind, target: string | undefined, errors: readonly string[] = []): Arrow[] =>
      target === undefined ? [] : [{ from, to: target, kind, errors }];
    return [
      ...to('next', state.Next),
      ...(state.Choices ?? []).flatMap((choice) => to('choice', choice.Next)),
      ...to('default', state.Default),
      ...(state.Catch ?? []).flatMap((caught) => to('catch', caught.Next, caught.ErrorEquals)),
    ];
  });
}

/** The states that a build meets when nothing fails: those that are reached from the start without a Catch. */
function reached(machine: Machine, all: readonly Arrow[]): Set<string> {
  const seen = new Set([machine.StartAt]);
  for (const name of seen) {
    for (const { from, to, kind } of all) if (from === name && kind !== 'catch') seen.add(to);
  }
  return seen;
}

/**
 * Lays the machine out, from above to below: what a build meets when all goes well, and under it what follows a failure. No Catch pulls at
 * the layout: nearly every state has one, to the same place. They run along the right side, and ways back to the plan along the left.
 */
export function machineGraph(file: unknown): MachineGraph {
  const machine = file as Machine;
  const all = arrows(machine);
  const good = reached(machine, all);
  const names = Object.keys(machine.States);
  const [main, failure] = [
    placed(
      machine,
      names.filter((name) => good.has(name)),
      all,
    ),
    placed(
      machine,
      names.filter((name) => !good.has(name)),
      all,
    ),
  ];
  const left = MARGIN + LANE;
  const right = left + Math.max(main.width, failure.width);
  const below = main.height + HEIGHT;
  const parts = [
    moved(main, left, 0),
    moved(failure, left + Math.max(0, (main.width - failure.width) / 2), below),
  ];
  const nodes = parts.flatMap((part) => part.nodes);
  const edges = parts.flatMap((part) => part.edges);
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const drawn = new Set(edges.map(edgeName));
  const targets = [...new Set(all.filter(({ kind }) => kind === 'catch').map(({ to }) => to))];
  for (const arrow of all) {
    const from = byName.get(arrow.from);
    const to = byName.get(arrow.to);
    if (!from || !to || drawn.has(edgeName(arrow))) continue;
    drawn.add(edgeName(arrow));
    const side = arrow.kind === 'catch' ? 1 : -1;
    const lane = side > 0 ? right + LANE * (1 + targets.indexOf(arrow.to)) : LANE;
    const at = (node: GraphNode) => ({ x: node.x + (side * node.width) / 2, y: node.y });
    const [start, end] = [at(from), at(to)];
    edges.push({ ...arrow, points: [start, { x: lane, y: start.y }, { x: lane, y: end.y }, end] });
  }
  return {
    width: right + LANE * (targets.length + 1) + MARGIN,
    height: below + failure.height + MARGIN,
    nodes,
    edges,
  };
}

const edgeName = ({ from, to, kind }: Arrow): string => `${kind} ${from} ${to}`;

const moved = (graph: MachineGraph, x: number, y: number): MachineGraph => ({
  ...graph,
  nodes: graph.nodes.map((node) => ({ ...node, x: node.x + x, y: node.y + y })),
  edges: graph.edges.map((edge) => ({
    ...edge,
    points: edge.points.map((point) => ({ x: point.x + x, y: point.y + y })),
  })),
});

/** A loop that waits: a state, the Choice behind it, and the Wait that leads back. The Wait stands beside the Choice. */
interface Loop {
  readonly looks: string;
  readonly choice: string;
  readonly waits: string;
}

function loopsOf(machine: Machine, names: readonly string[], all: readonly Arrow[]): Loop[] {
  return names.flatMap((waits): Loop[] => {
    const looks = machine.States[waits]?.Next;
    const [before, ...others] = all.filter(({ to }) => to === waits);
    if (machine.States[waits]?.Type !== 'Wait' || looks === undefined || !before || others.length > 0)
      return [];
    const { from: choice } = before;
    return machine.States[looks]?.Next === choice ? [{ looks, choice, waits }] : [];
  });
}

function placed(machine: Machine, names: readonly string[], all: readonly Arrow[]): MachineGraph {
  const graph = new Graph();
  graph.setGraph({ rankdir: 'TB', nodesep: 18, ranksep: 22, edgesep: 10, marginx: 0, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  const loops = loopsOf(machine, names, all);
  const aside = new Set(loops.map(({ waits }) => waits));
  /** What a state has at its right: room for the Wait of its loop. */
  const extra = new Map(
    loops.flatMap(({ looks, choice, waits }) => {
      const widest = Math.max(widthOf(looks), widthOf(choice));
      const room = BESIDE + widthOf(waits);
      return [looks, choice].map((name) => [name, { widest, room }] as const);
    }),
  );
  const inner = new Map<string, MachineGraph>();
  const sizeOf = (name: string) => {
    const inside = inner.get(name);
    return {
      width: Math.max(widthOf(name), inside ? inside.width + 2 * BOX : 0),
      height: inside ? inside.height + BOX_TITLE : HEIGHT,
    };
  };
  for (const name of names) {
    const processor = machine.States[name]?.ItemProcessor;
    if (processor) {
      inner.set(name, placed(processor, Object.keys(processor.States), arrows(processor)));
    }
    if (aside.has(name)) continue;
    const { width, height } = sizeOf(name);
    const { widest = width, room = 0 } = extra.get(name) ?? {};
    graph.setNode(name, { width: widest + room, height });
  }
  const own = all.filter(
    ({ from, to, kind }) => names.includes(from) && names.includes(to) && kind !== 'catch',
  );
  for (const { from, to } of own) {
    if (!aside.has(from) && !aside.has(to)) graph.setEdge(from, to, { weight: 3, minlen: 1 });
  }
  layout(graph);

  const at = new Map<string, { readonly x: number; readonly y: number }>();
  for (const name of names) {
    if (aside.has(name)) continue;
    const { x = 0, y = 0 } = graph.node(name) as { x?: number; y?: number };
    at.set(name, { x: x - (extra.get(name)?.room ?? 0) / 2, y });
  }
  for (const { choice, waits } of loops) {
    const { x, y } = at.get(choice) ?? { x: 0, y: 0 };
    const widest = extra.get(choice)?.widest ?? 0;
    at.set(waits, { x: x + (widest + widthOf(waits)) / 2 + BESIDE, y });
  }
  const nodes = names.flatMap((name): GraphNode[] => {
    const { x, y } = at.get(name) ?? { x: 0, y: 0 };
    const size = sizeOf(name);
    const state = machine.States[name];
    const node = {
      name,
      type: state?.Type ?? '',
      comment: state?.Comment ?? '',
      inside: null,
      x,
      y,
      ...size,
    };
    const inside = inner.get(name);
    if (!inside) return [node];
    const [left, top] = [x - inside.width / 2, y - size.height / 2 + BOX_TITLE - MARGIN / 2];
    return [node, ...moved(inside, left, top).nodes.map((one) => ({ ...one, inside: name }))];
  });
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const edges = own.flatMap((arrow): GraphEdge[] => {
    const from = byName.get(arrow.from);
    const to = byName.get(arrow.to);
    return from && to ? [{ ...arrow, points: pointsOf(graph, from, to, aside) }] : [];
  });
  const size = graph.graph() as { width?: number; height?: number };
  const seen = new Set<string>();
  return {
    width: size.width ?? 0,
    height: size.height ?? 0,
    nodes,
    // Two choices that lead to the same state are one line.
    edges: edges.filter((edge) => !seen.has(edgeName(edge)) && seen.add(edgeName(edge))),
  };
}

function pointsOf(
  graph: Graph,
  from: GraphNode,
  to: GraphNode,
  aside: ReadonlySet<string>,
): GraphEdge['points'] {
  // From the Choice to the Wait beside it, and from there up and back.
  if (aside.has(to.name)) {
    return [
      { x: from.x + from.width / 2, y: from.y },
      { x: to.x - to.width / 2, y: to.y },
    ];
  }
  if (aside.has(from.name)) {
    return [
      { x: from.x, y: from.y - from.height / 2 },
      { x: from.x, y: to.y },
      { x: to.x + to.width / 2, y: to.y },
    ];
  }
  const { points = [] } = graph.edge(from.name, to.name) as { points?: { x: number; y: number }[] };
  const down = to.y > from.y;
  const start = { x: from.x, y: from.y + (down ? from.height : -from.height) / 2 };
  const end = { x: to.x, y: to.y + (down ? -to.height : to.height) / 2 };
  if (points.length > 3) return [start, ...points.slice(1, -1), end];
  const middle = (start.y + end.y) / 2;
  return [start, { x: start.x, y: middle }, { x: end.x, y: middle }, end];
}

/** A line through points with rounded corners, for an SVG path. */
export function linePath(points: GraphEdge['points']): string {
  const [first, ...rest] = points;
  if (!first) return '';
  const round = (value: number) => Math.round(value * 10) / 10;
  let path = `M${round(first.x)} ${round(first.y)}`;
  for (const [index, point] of rest.entries()) {
    const next = rest[index + 1];
    if (!next) {
      path += `L${round(point.x)} ${round(point.y)}`;
      continue;
    }
    const before = points[index] ?? first;
    const towards = (other: { x: number; y: number }) => {
      const length = Math.hypot(other.x - point.x, other.y - point.y) || 1;
      const part = Math.min(10, length / 2) / length;
      return `${round(point.x + (other.x - point.x) * part)} ${round(point.y + (other.y - point.y) * part)}`;
    };
    path += `L${towards(before)}Q${round(point.x)} ${round(point.y)} ${towards(next)}`;
  }
  return path;
}
