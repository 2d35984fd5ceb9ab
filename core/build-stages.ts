import type { BuildDetails, BuildStatus, Stage } from './api/schemas.ts';
import type { HistoryEvent } from './ports.ts';
import { type WorkerPhase, workerPhases } from './worker-console.ts';

/** What a build is to people who follow it, in order; each with the states of the machine in which it is begun. States that are not here go on with what went on. */
const stageStates = {
  plan: ['Begin', 'Plan', 'Preflight', 'CleanUpForPlan'],
  launch: ['Launch', 'WaitForWorkerRunning'],
  attach: ['Attach'],
  worker: ['WaitForWorker'],
  snapshot: ['Snapshot', 'StartSnapshot', 'WriteEveryPiece', 'CompleteSnapshot', 'WaitForSnapshot'],
  windows: ['LaunchWindows', 'SwapRoot', 'CreateImage'],
  register: ['Register', 'WaitForImage'],
  'boot test': ['LaunchBootTest', 'WaitForBoot'],
  'clean-up': ['CleanUp', 'CleanUpAfterFailure', 'RollBack', 'Salvage'],
  copies: ['Distribute'],
  publish: ['Publish', 'Announce'],
} as const;
type StageName = keyof typeof stageStates;

const stageNames = Object.keys(stageStates) as StageName[];
const stageOfState = new Map<string, StageName>(
  stageNames.flatMap((stage) => stageStates[stage].map((state) => [state, stage] as const)),
);

/** Where a build goes when something has failed. */
const failureStates = ['RollBack', 'Salvage', 'CleanUpAfterFailure', 'BuildFailed'];

/** Names that the estimate has for the same (core/estimate.ts). */
const estimated: Readonly<Record<string, string>> = {
  'worker: filesystem': 'file system',
  'worker: configure': 'update',
  publish: 'publication',
};

export interface BuildFacts {
  readonly status: BuildStatus;
  readonly dryRun: boolean;
  readonly events: readonly HistoryEvent[];
  /** What the worker said of its phases, on its console or in its report. */
  readonly phases: readonly WorkerPhase[];
  /** From the plan, if there is one yet. */
  readonly plan:
    | {
        readonly road: string;
        readonly bootTest: unknown;
        readonly distribution: unknown;
        readonly estimate?:
          | { readonly phases: readonly { readonly name: string; readonly seconds: number }[] }
          | undefined;
      }
    | undefined;
  readonly now: number;
}

interface Seen {
  /** Milliseconds so far. */
  spent: number;
  /** It is where the build is, or was last. */
  last: boolean;
  failed: boolean;
}

/** The stages of a build so far: what it went through, where it is, and what is still to come. */
export function stagesOf(facts: BuildFacts): Stage[] {
  const { status, plan } = facts;
  const seen = whatWasSeen(facts);
  const expected = new Map((plan?.estimate?.phases ?? []).map(({ name, seconds }) => [name, seconds]));
  const furthest = stageNames.findLastIndex((name) => seen.has(name) && name !== 'clean-up');
  const stage = (
    name: string,
    state: Stage['state'],
    seconds: number | null,
    bytes: number | null = null,
  ) => ({
    name,
    state,
    seconds,
    expectedSeconds: expected.get(estimated[name] ?? name.replace(/^worker: /, '')) ?? null,
    bytes,
  });
  const stateOf = (name: StageName): Stage['state'] => {
    const had = seen.get(name);
    if (had?.failed) return 'failed';
    if (had?.last && status === 'RUNNING') return 'running';
    if (had) return 'done';
    return status !== 'RUNNING' || stageNames.indexOf(name) < furthest ? 'skipped' : 'waiting';
  };
  return shownStages(facts, seen).flatMap((name) => {
    const state = stateOf(name);
    const had = seen.get(name);
    const seconds = had === undefined ? null : had.spent / 1000;
    return name === 'worker' ? workerStages(facts, state, seconds, stage) : [stage(name, state, seconds)];
  });
}

/** Those that this build will have, and those that it had all the same. */
function shownStages({ dryRun, plan }: BuildFacts, seen: ReadonlyMap<StageName, Seen>): StageName[] {
  if (dryRun) return ['plan'];
  const absent: StageName[] = [
    ...(plan?.road === 'windows' ? [] : (['windows'] as const)),
    ...(plan?.road === 'ebs-direct' ? (['attach'] as const) : []),
    ...(plan !== undefined && plan.bootTest === null ? (['boot test'] as const) : []),
    ...((plan?.distribution ?? null) === null ? (['copies', 'publish'] as const) : []),
  ];
  return stageNames.filter((name) => seen.has(name) || !absent.includes(name));
}

/** Time goes to the stage in which the build is until it comes to another. */
function whatWasSeen({ events, status, now }: BuildFacts): Map<StageName, Seen> {
  const seen = new Map<StageName, Seen>();
  let current: { readonly stage: Seen; readonly since: number } | undefined;
  const leave = (at: number) => {
    if (current) current.stage.spent += Math.max(0, at - current.since);
  };
  for (const { type, name = '', at } of events) {
    if (!type.endsWith('StateEntered')) continue;
    const failing = failureStates.includes(name);
    if (failing && current && !isCleanUpOf(seen, current.stage)) current.stage.failed = true;
    const stageName = stageOfState.get(name);
    if (stageName === undefined) continue;
    leave(Date.parse(at));
    if (current) current.stage.last = false;
    const stage = seen.get(stageName) ?? { spent: 0, last: true, failed: false };
    stage.last = true;
    // What is tried again after it failed has not failed.
    if (!failing) stage.failed = false;
    seen.set(stageName, stage);
    current = { stage, since: Date.parse(at) };
  }
  const end = events.findLast(({ type }) => type.startsWith('Execution') && type !== 'ExecutionStarted');
  leave(end === undefined ? now : Date.parse(end.at));
  // Stopped, or out of time, where it was.
  if (current && (status === 'ABORTED' || status === 'TIMED_OUT')) current.stage.failed = true;
  return seen;
}

/** Cleaning up after a failure goes through several states, of which none failed for being there. */
const isCleanUpOf = (seen: ReadonlyMap<StageName, Seen>, stage: Seen): boolean =>
  seen.get('clean-up') === stage;

function workerStages(
  { phases }: BuildFacts,
  state: Stage['state'],
  seconds: number | null,
  stage: (name: string, state: Stage['state'], seconds: number | null, bytes?: number | null) => Stage,
): Stage[] {
  const begun = phases.length > 0;
  const known = phases.reduce((sum, phase) => sum + (phase.seconds ?? 0), 0);
  const start = (): Stage => {
    if (state === 'waiting' || state === 'skipped') return stage('worker: start', state, null);
    if (!begun) return stage('worker: start', state, seconds);
    // What is not of a phase: booting, and fetching its program.
    const over = state === 'done' && seconds !== null;
    return stage('worker: start', 'done', over ? Math.max(0, seconds - known) : null);
  };
  return [
    start(),
    ...workerPhases.map((title) => {
      const phase = phases.find((one) => one.title === title);
      const name = `worker: ${title}`;
      if (phase === undefined) {
        const next = state === 'running' || state === 'waiting' ? 'waiting' : 'skipped';
        return stage(name, next, null);
      }
      // A worker that died said nothing of its end.
      const stopped = phase.state === 'running' && state === 'failed';
      return stage(name, stopped ? 'failed' : phase.state, phase.seconds ?? null, phase.bytes ?? null);
    }),
  ];
}

type StateView = BuildDetails['states'][number];

/** The states of the machine that were entered, in the order in which they were entered first. */
export function statesOf({
  events,
  status,
  now,
}: Pick<BuildFacts, 'events' | 'status' | 'now'>): StateView[] {
  const types = new Map(events.map(({ id, type }) => [id, type]));
  const open = new Map<string, string[]>();
  const views = new Map<string, { -readonly [Key in keyof StateView]: StateView[Key] }>();
  for (const { type, name = '', at, previous } of events) {
    if (type.endsWith('StateEntered')) {
      const view = views.get(name) ?? {
        name,
        status: 'running' as const,
        entered: 0,
        firstEnteredAt: at,
        lastExitedAt: null,
        seconds: 0,
      };
      view.entered += 1;
      view.status = 'running';
      views.set(name, view);
      open.set(name, [...(open.get(name) ?? []), at]);
    } else if (type.endsWith('StateExited')) {
      const view = views.get(name);
      const [since, ...others] = open.get(name) ?? [];
      if (view === undefined || since === undefined) continue;
      open.set(name, others);
      view.lastExitedAt = at;
      view.seconds += (Date.parse(at) - Date.parse(since)) / 1000;
      // What a Catch takes leaves its state all the same.
      const failed = /(Failed|TimedOut|Aborted)$/.test(types.get(previous) ?? '');
      view.status = others.length > 0 ? 'running' : failed ? 'failed' : 'succeeded';
    }
  }
  const last = events.at(-1);
  const end = status === 'RUNNING' || last === undefined ? now : Date.parse(last.at);
  for (const view of views.values()) {
    for (const since of open.get(view.name) ?? [])
      view.seconds += Math.max(0, end - Date.parse(since)) / 1000;
    // The Fail state, and where it was when it was stopped.
    if (view.status === 'running' && status !== 'RUNNING') view.status = 'failed';
  }
  return [...views.values()];
}
