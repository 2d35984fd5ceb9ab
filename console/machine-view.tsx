import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { BuildDetails } from '../core/api/schemas.ts';
import { machineFile } from './api.ts';
import {
  type GraphEdge,
  type GraphNode,
  linePath,
  type MachineGraph,
  machineGraph,
} from './machine-graph.ts';
import { Panel } from './parts.tsx';
import { useLoaded } from './poll.ts';
import { type Look, lookWords, type StateLook, stateLooks, takenEdges } from './state-looks.ts';
import { duration } from './words.ts';

const idle: StateLook = { look: 'idle', entered: 0, seconds: 0 };
const signs: Readonly<Record<Look, string>> = {
  idle: '',
  running: '●',
  succeeded: '✓',
  failed: '✕',
  caught: '!',
};

/** The state machine as its file draws it, coloured as it runs. */
export function MachineView({
  states,
  over,
}: {
  readonly states: BuildDetails['states'];
  readonly over: boolean;
}) {
  const file = useLoaded(machineFile);
  const graph = useMemo(() => (file === undefined ? undefined : machineGraph(file)), [file]);
  const [asList, setAsList] = useState(false);
  const [whole, setWhole] = useState(true);
  const [selected, setSelected] = useState<string>();
  const looks = useMemo(
    () => (graph ? stateLooks(graph, states) : new Map<string, StateLook>()),
    [graph, states],
  );
  const taken = useMemo(() => (graph ? takenEdges(graph, states) : new Set<GraphEdge>()), [graph, states]);
  const node = graph?.nodes.find(({ name }) => name === selected);
  return (
    <Panel
      title="State machine"
      class="machine"
      aside={
        <>
          {asList ? null : (
            <button type="button" class="quiet" onClick={() => setWhole(!whole)}>
              {whole ? 'Larger' : 'Smaller'}
            </button>
          )}
          <fieldset class="switch">
            <legend class="unseen">Show the state machine as</legend>
            <button type="button" aria-pressed={!asList} onClick={() => setAsList(false)}>
              Graph
            </button>
            <button type="button" aria-pressed={asList} onClick={() => setAsList(true)}>
              List
            </button>
          </fieldset>
        </>
      }
    >
      {graph === undefined ? (
        <p class="awaited">Loading the state machine…</p>
      ) : asList ? (
        <StateList graph={graph} looks={looks} />
      ) : (
        <>
          <Graph
            graph={graph}
            looks={looks}
            taken={taken}
            selected={selected}
            onSelect={setSelected}
            over={over}
            whole={whole}
          />
          <div class="chosen">
            {node ? (
              <Chosen node={node} look={looks.get(node.name) ?? idle} edges={graph.edges} />
            ) : (
              <ul class="legend" aria-label="Colours">
                {(Object.keys(lookWords) as Look[]).map((look) => (
                  <li key={look} class={look}>
                    <span class="swatch" aria-hidden="true">
                      {signs[look]}
                    </span>
                    {lookWords[look]}
                  </li>
                ))}
              </ul>
            )}
          </div>
        </>
      )}
    </Panel>
  );
}

function Chosen({
  node,
  look,
  edges,
}: {
  readonly node: GraphNode;
  readonly look: StateLook;
  readonly edges: readonly GraphEdge[];
}) {
  const leads = edges.filter(({ from }) => from === node.name);
  return (
    <>
      <p>
        <strong>{node.name}</strong> <span class="faint">{node.type}</span> · {said(look)}
      </p>
      {node.comment === '' ? null : <p>{node.comment}</p>}
      <p class="faint">
        {leads
          .map(({ to, kind, errors }) =>
            kind === 'catch'
              ? `on ${errors.join(', ').replace('States.ALL', 'any error')}: ${to}`
              : `→ ${to}`,
          )
          .join(' · ')}
      </p>
    </>
  );
}

const said = ({ look, entered, seconds }: StateLook): string =>
  look === 'idle'
    ? lookWords.idle
    : `${lookWords[look]}, entered ${entered === 1 ? 'once' : `${entered} times`}, ${duration(seconds)}`;

function StateList({
  graph,
  looks,
}: {
  readonly graph: MachineGraph;
  readonly looks: ReadonlyMap<string, StateLook>;
}) {
  return (
    <div class="scroll states" tabIndex={0} role="region" aria-label="States">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">How it stands</th>
            <th scope="col" class="number">
              Entered
            </th>
            <th scope="col" class="number">
              Time
            </th>
            <th scope="col">Leads to</th>
          </tr>
        </thead>
        <tbody>
          {graph.nodes.map(({ name, inside }) => {
            const { look, entered, seconds } = looks.get(name) ?? idle;
            return (
              <tr key={name} class={`look ${look}`}>
                <th scope="row">{inside === null ? name : `${name} (in ${inside})`}</th>
                <td>
                  <span aria-hidden="true">{signs[look]} </span>
                  {lookWords[look]}
                </td>
                <td class="number">{entered === 0 ? '' : entered}</td>
                <td class="number">{entered === 0 ? '' : duration(seconds)}</td>
                <td class="faint">
                  {graph.edges
                    .filter(({ from }) => from === name)
                    .map(({ to, kind }) => (kind === 'catch' ? `${to} (on errors)` : to))
                    .join(', ')}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Keys that move from a state to another. */
const arrowsOf: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
};

/** The nearest state in a direction: what lies ahead counts once, what lies aside three times. */
function neighbour(nodes: readonly GraphNode[], from: GraphNode, [x, y]: readonly [number, number]) {
  let best: GraphNode | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const node of nodes) {
    const ahead = (node.x - from.x) * x + (node.y - from.y) * y;
    const aside = Math.abs((node.x - from.x) * y) + Math.abs((node.y - from.y) * x);
    if (node === from || ahead <= 1) continue;
    const distance = ahead + 3 * aside;
    if (distance < least) [best, least] = [node, distance];
  }
  return best;
}

function Graph({
  graph,
  looks,
  taken,
  selected,
  onSelect,
  over,
  whole,
}: {
  readonly graph: MachineGraph;
  readonly looks: ReadonlyMap<string, StateLook>;
  readonly taken: ReadonlySet<GraphEdge>;
  readonly selected: string | undefined;
  readonly onSelect: (name: string | undefined) => void;
  readonly over: boolean;
  /** All of its width in sight; else as large as its text should be. */
  readonly whole: boolean;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const { nodes, edges, width, height } = graph;
  const first = nodes.find(({ name }) => (looks.get(name) ?? idle).look === 'running') ?? nodes[0];
  const active = over
    ? nodes.find(({ name }) => name === 'BuildFailed' && looks.get(name)?.look !== 'idle') &&
      nodes.find(({ name }) => ['caught', 'failed'].includes(looks.get(name)?.look ?? 'idle'))
    : nodes.find(({ name }) => looks.get(name)?.look === 'running');

  // The state that runs is in sight, unless somebody looks at another. It moves the frame, never the page.
  useEffect(() => {
    const box = frame.current;
    const svg = box?.querySelector('svg');
    if (!box || !svg || !active || selected !== undefined || box.contains(document.activeElement)) return;
    const scale = svg.clientWidth / width;
    box.scrollTo({
      top: active.y * scale - box.clientHeight / 2,
      left: active.x * scale - box.clientWidth / 2,
      behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth',
    });
  }, [active?.name, selected, width, whole]);

  const move = (event: KeyboardEvent, node: GraphNode) => {
    const direction = arrowsOf[event.key];
    if (event.key === 'Escape') onSelect(undefined);
    if (!direction) return;
    event.preventDefault();
    const next = neighbour(nodes, node, direction);
    if (!next) return;
    onSelect(next.name);
    frame.current?.querySelector<SVGGElement>(`[data-state="${CSS.escape(next.name)}"]`)?.focus();
  };
  return (
    <div class="graph" ref={frame}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        style={whole ? {} : { width: `${Math.round(width * 1.1)}px` }}
        role="group"
        aria-label="State machine; the arrow keys go from state to state"
      >
        <defs>
          {['plain', 'taken', 'error'].map((kind) => (
            <marker
              key={kind}
              id={`tip-${kind}`}
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto"
            >
              <path d="M0 .5 8 4 0 7.500z" class={`tip ${kind}`} />
            </marker>
          ))}
        </defs>
        {edges.map((edge) => {
          const { from, to, kind, points } = edge;
          const failed = kind === 'catch';
          const gone = taken.has(edge);
          const shown = selected === from || selected === to;
          return (
            <path
              key={`${from} ${to} ${kind}`}
              d={linePath(points)}
              class={`edge ${kind} ${gone ? 'taken' : ''} ${shown ? 'shown' : ''}`}
              marker-end={`url(#tip-${failed ? 'error' : gone ? 'taken' : 'plain'})`}
            />
          );
        })}
        {nodes.map((node) => {
          const look = looks.get(node.name) ?? idle;
          const { name, type } = node;
          const box = nodes.some(({ inside }) => inside === name);
          const top = node.y - node.height / 2;
          return (
            <g
              key={name}
              data-state={name}
              class={`state ${type.toLowerCase()} ${look.look} ${box ? 'box' : ''} ${selected === name ? 'selected' : ''}`}
              role="button"
              tabindex={name === (selected ?? first?.name) ? 0 : -1}
              aria-label={`${name}: ${said(look)}`}
              aria-pressed={selected === name}
              onClick={() => onSelect(selected === name ? undefined : name)}
              onKeyDown={(event: KeyboardEvent) => {
                if (event.key === 'Enter' || event.key === ' ') {
                  event.preventDefault();
                  onSelect(selected === name ? undefined : name);
                } else move(event, node);
              }}
            >
              <title>{node.comment === '' ? name : `${name}: ${node.comment}`}</title>
              <rect
                class="body"
                x={node.x - node.width / 2}
                y={top}
                width={node.width}
                height={node.height}
                rx={type === 'Choice' ? 15 : type === 'Wait' ? 15 : 5}
              />
              <text x={node.x - node.width / 2 + 12} y={box ? top + 16 : node.y + 4}>
                <tspan class="sign">{signs[look.look]}</tspan>
                <tspan dx={look.look === 'idle' ? 0 : 5}>{name}</tspan>
              </text>
            </g>
          );
        })}
        {/* Not in the buttons: their names have it in words. */}
        {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a group is not focusable */}
        <g class="count" aria-hidden="true">
          {nodes.map(({ name, x, y, width: wide, height: high }) => {
            const { entered } = looks.get(name) ?? idle;
            const [right, top] = [x + wide / 2, y - high / 2];
            const room = 21 + 7 * String(entered).length;
            return entered < 2 ? null : (
              <g key={name}>
                <rect x={right + 8 - room} y={top - 8} width={room} height={15} rx={7} />
                <text x={right + 8 - room / 2} y={top + 3}>
                  ×{entered}
                </text>
              </g>
            );
          })}
        </g>
      </svg>
    </div>
  );
}
