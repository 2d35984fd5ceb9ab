import type { Receipt } from './api/receipt.ts';
import { type BuildState, buildState } from './build-state.ts';
import { BLOCK_BYTES } from './disk-blocks.ts';
import { memoryOf } from './function-memory.ts';
import { LINGER_SECONDS, WINDOWS_DISK_GIB, WINDOWS_VCPUS, WORKER_DISK_GIB } from './machines.ts';
import type { HistoryEvent } from './ports.ts';
import { HOURS_PER_MONTH, type Prices, pricesOf, transferPrice } from './prices.ts';

/** What is known of a build when its receipt is written. */
export interface ReceiptFacts {
  readonly build: string;
  /** Of its execution. */
  readonly status: string;
  readonly region: string;
  /** ISO time. */
  readonly startedAt: string;
  /** Null while it runs. */
  readonly endedAt: string | null;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly events: readonly HistoryEvent[];
  /** The newest state that its execution has passed on; undefined before the first. */
  readonly state: unknown;
}

type Line = Receipt['lines'][number];

/** A line, and whose it is: that of the steps that were under way in its time, or of some by their shares. */
interface Charge extends Line {
  readonly to: Span | { readonly shares: ReadonlyMap<string, number> };
}

const GIB = 1024 ** 3;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Eight digits after the point: a transition costs $0.000025, a call of Lambda $0.0000002. */
const rounded = (dollars: number): number => Math.round(dollars * 1e8) / 1e8;
const thousandths = (value: number): number => Math.round(value * 1000) / 1000;
const tenths = (seconds: number): number => Math.round(seconds * 10) / 10;

/**
 * What a build took and cost, as far as its history and its state tell it, so far or in all. Times are bounds from above where AWS says nothing
 * closer: what Lambda bills is less than the time between the beginning and the end of a Task. What costs next to nothing is not in it:
 * requests to S3, log lines, events, calls of KMS.
 */
export function receiptOf(facts: ReceiptFacts): Receipt {
  const { build, status, region, startedAt, endedAt, now, events } = facts;
  const end = endedAt === null ? now : Date.parse(endedAt);
  const begin = Date.parse(startedAt);
  const prices = pricesOf(region);
  const known = knownOf(facts.state);
  const steps = stepsOf(events, begin, end);
  const charges = [
    ...machineCharges(known, prices, events, end),
    ...diskCharges(known, prices, steps, end),
    ...stateMachineCharges(steps, prices),
  ];
  const lines = charges.map(({ to: _, ...line }) => ({
    ...line,
    dollars: line.dollars === null ? null : rounded(line.dollars),
  }));
  return {
    build,
    status,
    region,
    startedAt,
    endedAt,
    seconds: tenths((end - begin) / 1000),
    dollars: rounded(sum(lines.map(({ dollars }) => dollars ?? 0))),
    monthlyDollars: monthlyDollars(known, status, prices),
    prices: {
      region: prices.region,
      asOf: prices.asOf,
      source: prices.source,
      exact: lines.every(({ kind }) => priceKinds[kind].every((one) => !prices.standIns.includes(one))),
    },
    steps: steps.map((step) => ({
      name: step.name,
      seconds: tenths(sum(step.intervals.map(secondsOf))),
      calls: step.calls,
      dollars: dollarsOf(step, steps, charges),
    })),
    lines,
    estimate: known.plan?.estimate
      ? { seconds: known.plan.estimate.seconds, dollars: known.plan.estimate.dollars }
      : null,
  };
}

/** The prices that a line of a kind is made of. */
const priceKinds: Readonly<Record<Line['kind'], Prices['standIns']>> = {
  instance: ['instanceHour'],
  licence: ['windowsCoreHour'],
  address: ['publicAddressHour'],
  volume: ['gp3GigabyteMonth'],
  snapshot: ['snapshotGigabyteMonth'],
  blocks: ['putSnapshotBlock'],
  transfer: ['transferGigabyte'],
  transitions: ['transition'],
  lambda: ['lambdaGigabyteSecond', 'lambdaRequest'],
};

/** The parts of the state that money was spent on; what a build of another version left otherwise is not known. */
function knownOf(state: unknown) {
  const members = (typeof state === 'object' && state !== null ? state : {}) as Record<string, unknown>;
  const known = <Key extends keyof BuildState>(key: Key): BuildState[Key] | undefined => {
    const { success, data } = buildState.shape[key].safeParse(members[key]);
    return success ? (data as BuildState[Key]) : undefined;
  };
  return {
    plan: known('plan'),
    adopted: known('adopted'),
    worker: known('worker'),
    report: known('report'),
    snapshot: known('snapshot'),
    windows: known('windows'),
    bootTest: known('bootTest'),
    distribution: known('distribution'),
  };
}
type Known = ReturnType<typeof knownOf>;

/** What a state of the machine took. Choices and waits belong to the Task before them. */
interface Step {
  readonly name: string;
  readonly intervals: { readonly from: number; until: number }[];
  transitions: number;
  calls: number;
  /** Sum of the times between the beginnings and the ends of its calls. */
  milliseconds: number;
  /** Calls that have begun and not ended. */
  open: number;
}

const callEnds = /^Task(Succeeded|Failed|TimedOut)$/;

/** In the order of their beginnings. Their times are the whole time of the execution, without gaps. */
function stepsOf(events: readonly HistoryEvent[], begin: number, end: number): Step[] {
  const steps = new Map<string, Step>();
  const types = new Map(events.map(({ id, type }) => [id, type]));
  let current: Step | undefined;
  // What comes before the first Task is its overture.
  let before = 0;
  let insideMap = false;
  // Calls that the history never ends: those beside an iteration of a Map that failed, and those of an execution that was stopped. Lambda may
  // run on: its own timeout is the bound then, and is not known here.
  const leave = (time: number) => {
    if (!current) return;
    current.milliseconds += current.open * time;
    current.open = 0;
  };
  for (const { type, name = '', at, previous, resourceType } of events) {
    const time = Date.parse(at);
    if (type === 'MapStateExited' || type === 'MapStateFailed') {
      insideMap = false;
      leave(time);
    }
    if (/^(Task|Map)StateEntered$/.test(type) && !insideMap) {
      leave(time);
      const last = current?.intervals.at(-1);
      if (last) last.until = time;
      const step = steps.get(name) ?? {
        name,
        intervals: [],
        transitions: 0,
        calls: 0,
        milliseconds: 0,
        open: 0,
      };
      step.intervals.push({ from: current === undefined ? begin : time, until: end });
      step.transitions += before;
      before = 0;
      steps.set(name, step);
      current = step;
      insideMap = type === 'MapStateEntered';
    }
    // "Step Functions counts a state transition each time a step of your workflow is executed", and each retry (AWS Step Functions Pricing).
    const transition =
      type.endsWith('StateEntered') ||
      (type === 'TaskScheduled' && types.get(previous) !== 'TaskStateEntered');
    if (current === undefined) {
      if (transition) before += 1;
      continue;
    }
    if (transition) current.transitions += 1;
    if (resourceType !== 'lambda') continue;
    if (type === 'TaskStarted') {
      current.calls += 1;
      current.milliseconds -= time;
      current.open += 1;
    } else if (callEnds.test(type) && current.open > 0) {
      current.milliseconds += time;
      current.open -= 1;
    }
  }
  // Those that run now, or ran when the execution was stopped.
  leave(end);
  return [...steps.values()];
}

/** What a function of a step is deployed with: each state but the Map calls the function of its name. */
const gigabytesOf = (step: string): number =>
  memoryOf(step === 'WriteEveryPiece' ? 'write-blocks' : step) / 1024;

function stateMachineCharges(steps: readonly Step[], prices: Prices): Charge[] {
  const transitions = sum(steps.map((step) => step.transitions));
  const calls = sum(steps.map((step) => step.calls));
  const gigabyteSeconds = sum(
    steps.map(({ name, milliseconds }) => (milliseconds / 1000) * gigabytesOf(name)),
  );
  const each = (of: (step: Step) => number): Charge['to'] => ({
    shares: new Map(steps.map((step) => [step.name, of(step)])),
  });
  return [
    {
      kind: 'transitions',
      name: 'state machine',
      resource: null,
      quantity: transitions,
      unit: 'transitions',
      dollars: transitions * prices.transition,
      because: `${usd(prices.transition * 1000)} for a thousand; each retry is one`,
      to: each((step) => step.transitions),
    },
    {
      kind: 'lambda',
      name: 'Lambda',
      resource: null,
      quantity: thousandths(gigabyteSeconds),
      unit: 'GB-seconds',
      dollars: gigabyteSeconds * prices.lambdaGigabyteSecond,
      because: `${usd(prices.lambdaGigabyteSecond)} each; at most: from the beginning to the end of each Task`,
      to: each(({ name, milliseconds }) => milliseconds * gigabytesOf(name)),
    },
    {
      kind: 'lambda',
      name: 'Lambda requests',
      resource: null,
      quantity: calls,
      unit: 'calls',
      dollars: calls * prices.lambdaRequest,
      because: `${usd(prices.lambdaRequest * 1_000_000)} for a million`,
      to: each((step) => step.calls),
    },
  ];
}

/** A time, epoch milliseconds. */
interface Span {
  readonly from: number;
  readonly until: number;
}

/** When a machine that is billed by the second was begun, and by when it had surely ended. */
interface Machine extends Span {
  readonly name: string;
  readonly instanceId: string | null;
  readonly instanceType: string;
  /** Why it ended then. */
  readonly told: string;
  readonly disks: readonly {
    readonly name: string;
    readonly id: string | null;
    readonly gib: number;
    readonly until: number;
  }[];
  /** Whether Windows' licence is paid with it. */
  readonly licence: boolean;
}

const cleanUps = ['CleanUp', 'CleanUpAfterFailure', 'CleanUpForPlan'];

/** EC2 bills "per second, with a 60-second minimum" (Amazon EC2 On-Demand Pricing). */
const LEAST_SECONDS = 60;

function machineCharges(
  known: Known,
  prices: Prices,
  events: readonly HistoryEvent[],
  end: number,
): Charge[] {
  return machinesOf(known, events, end).flatMap((machine) => {
    const { name, instanceId: resource, instanceType, told, licence } = machine;
    const span = { from: machine.from, until: machine.until };
    const seconds = Math.max(LEAST_SECONDS, secondsOf(span));
    const hour = prices.instanceHour[instanceType];
    const charge = (
      kind: Line['kind'],
      title: string,
      perHour: number | undefined,
      because: string,
    ): Charge => ({
      kind,
      name: title,
      resource,
      quantity: thousandths(seconds),
      unit: 'seconds',
      dollars: perHour === undefined ? null : (perHour * seconds) / 3600,
      because,
      to: span,
    });
    return [
      charge(
        'instance',
        `${name} ${instanceType}`,
        hour,
        `${hour === undefined ? 'its price is not known here' : `${usd(hour)} an hour`}, ${told}`,
      ),
      ...(licence
        ? [
            charge(
              'licence',
              `Windows licence (${name})`,
              prices.windowsCoreHour * WINDOWS_VCPUS,
              `${usd(prices.windowsCoreHour)} a vCPU-hour, ${WINDOWS_VCPUS} vCPUs`,
            ),
          ]
        : []),
      charge(
        'address',
        `public address (${name})`,
        prices.publicAddressHour,
        `${usd(prices.publicAddressHour)} an hour`,
      ),
      ...machine.disks.map(({ name: disk, id, gib, until }): Charge => {
        const life = { from: machine.from, until };
        const used = gib * Math.max(LEAST_SECONDS, secondsOf(life));
        return {
          kind: 'volume',
          name: `${disk}, ${gib} GiB of gp3`,
          resource: id,
          quantity: thousandths(used),
          unit: 'GiB-seconds',
          dollars: (used * prices.gp3GigabyteMonth) / (HOURS_PER_MONTH * 3600),
          because: `${usd(prices.gp3GigabyteMonth)} a GB-month, until it was deleted`,
          to: life,
        };
      }),
    ];
  });
}

function machinesOf(
  { plan, worker, windows, bootTest }: Known,
  events: readonly HistoryEvent[],
  end: number,
): Machine[] {
  if (plan === undefined) return [];
  const times = timesOf(events, end);
  const target = plan.road === 'ebs-direct' ? [] : [{ name: 'volume of the image', gib: plan.rootSizeGiB }];
  const workerOf = (launched: {
    readonly instanceId: string | null;
    readonly volumeId: string | null;
    readonly instanceType: string;
    readonly from: number;
  }): Machine => {
    const { instanceId, instanceType, from } = launched;
    const cleaned = times.cleaned(from);
    // It powers itself off when its report has been seen for a while.
    const reported = times.reported(from);
    const off = reported === undefined ? end : reported + LINGER_SECONDS * 1000;
    const until = Math.min(cleaned.terminated, off);
    return {
      name: 'worker',
      instanceId,
      instanceType,
      from,
      until,
      told:
        off < cleaned.terminated ? 'until it powered itself off, a minute after its report' : cleaned.told,
      licence: false,
      disks: [
        { name: 'disk of the worker', id: null, gib: WORKER_DISK_GIB, until },
        ...target.map((one) => ({ ...one, id: launched.volumeId, until: cleaned.gone })),
      ],
    };
  };
  return [
    // An attempt that gave way to a twin: its state is gone, its history is not.
    ...times.formerLaunches().map((from) =>
      workerOf({
        instanceId: null,
        volumeId: null,
        instanceType: plan.worker.instanceTypes[0] ?? 'unknown',
        from,
      }),
    ),
    ...(worker
      ? [
          workerOf({
            instanceId: worker.instanceId,
            volumeId: worker.volumeId ?? null,
            instanceType: worker.instanceType,
            from: worker.launchedAt,
          }),
        ]
      : []),
    ...(windows ? [windowsMachine(windows, plan.rootSizeGiB, times)] : []),
    ...(bootTest?.machines ?? []).map(({ instanceId, instanceType, launchedAt }): Machine => {
      const cleaned = times.cleaned(launchedAt);
      return {
        name: 'boot test',
        instanceId,
        instanceType,
        from: launchedAt,
        until: cleaned.terminated,
        told: cleaned.told,
        // Its image is billed as Windows.
        licence: plan.road === 'windows',
        disks: [
          { name: 'disk of the boot test', id: null, gib: plan.rootSizeGiB, until: cleaned.terminated },
        ],
      };
    }),
  ];
}

function windowsMachine(
  { instanceId, volumeId, instanceType, launchedAt }: NonNullable<Known['windows']>,
  rootSizeGiB: number,
  times: ReturnType<typeof timesOf>,
): Machine {
  const cleaned = times.cleaned(launchedAt);
  const swapped = Math.min(times.swapped(launchedAt), cleaned.terminated);
  return {
    name: 'Windows',
    instanceId,
    instanceType,
    from: launchedAt,
    until: swapped,
    told: 'at most: it is stopped before its disk is replaced',
    licence: true,
    disks: [
      { name: 'disk of Windows', id: null, gib: WINDOWS_DISK_GIB, until: swapped },
      { name: 'disk in its place', id: volumeId, gib: rootSizeGiB, until: cleaned.gone },
    ],
  };
}

/** When things ended, by the history: the first such moment after another; the end of the execution, or now, when there is none yet. */
function timesOf(events: readonly HistoryEvent[], end: number) {
  const timed = events.map((event) => ({ ...event, time: Date.parse(event.at) }));
  const isExit = (name: string) => (event: HistoryEvent) =>
    event.type === 'TaskStateExited' && event.name === name;
  return {
    /** When the clean-up that came next had terminated the instances, and when everything was gone. */
    cleaned(after: number) {
      const entered = timed.findIndex(
        ({ type, name = '', time }) =>
          time >= after && type === 'TaskStateEntered' && cleanUps.includes(name),
      );
      if (entered === -1) {
        return { terminated: end, gone: end, told: 'until the execution ended: the reaper comes at once' };
      }
      const later = timed.slice(entered);
      // Its first call terminates them; the others see that they are gone.
      const called = later.find(({ type }) => callEnds.test(type))?.time ?? end;
      const gone = later.find(isExit(timed[entered]?.name ?? ''))?.time ?? end;
      return { terminated: called, gone, told: 'until it was cleaned up' };
    },
    reported: (after: number) =>
      timed.findLast((event) => event.time >= after && isExit('WaitForWorker')(event))?.time,
    swapped: (after: number) =>
      timed.findLast((event) => event.time >= after && isExit('SwapRoot')(event))?.time ?? end,
    formerLaunches: () => {
      const last = timed.findLast(isExit('CleanUpForPlan'));
      return timed
        .filter((event) => isExit('Launch')(event) && event.id < (last?.id ?? 0))
        .map(({ time }) => time);
    },
  };
}

/** Snapshots, the blocks that are put into them, and copies. */
function diskCharges(known: Known, prices: Prices, steps: readonly Step[], end: number): Charge[] {
  const { plan, report, snapshot, distribution, adopted } = known;
  const written = bytesOf(report);
  const because = adopted
    ? 'how much is in an image that an earlier build made is not known here'
    : 'how much is in a disk that an earlier build left is not known here';
  const charges: Charge[] = [];
  if (report?.blocks && plan) {
    const { count, pieces } = report.blocks;
    const { calls = 0 } = steps.find(({ name }) => name === 'WriteEveryPiece') ?? {};
    const put = Math.round(count * Math.min(1, calls / Math.max(1, pieces)));
    charges.push({
      kind: 'blocks',
      name: 'blocks of the disk',
      resource: snapshot?.snapshotId ?? null,
      quantity: put,
      unit: 'blocks of 512 KiB',
      dollars: put * prices.putSnapshotBlock,
      because: `${usd(prices.putSnapshotBlock * 1000)} for a thousand`,
      to: { shares: new Map([['WriteEveryPiece', 1]]) },
    });
  }
  if (snapshot && !adopted) {
    const span = { from: snapshot.startedAt, until: end };
    const gigabyteMonths =
      written === undefined ? 0 : ((written / GIB) * secondsOf(span)) / 3600 / HOURS_PER_MONTH;
    charges.push({
      kind: 'snapshot',
      name: 'snapshot until the end of the build',
      resource: snapshot.snapshotId,
      quantity: gigabyteMonths,
      unit: 'GB-months',
      dollars: written === undefined ? null : gigabyteMonths * prices.snapshotGigabyteMonth,
      because:
        written === undefined
          ? because
          : `${usd(prices.snapshotGigabyteMonth)} a GB-month, of what the worker wrote`,
      to: { shares: new Map() },
    });
  }
  for (const copy of distribution?.copies ?? []) {
    if (copy.imageId === null) continue;
    const gigabyte = transferPrice(prices, copy.region);
    charges.push({
      kind: 'transfer',
      name: `copy to ${copy.region}`,
      resource: copy.imageId,
      quantity: written === undefined ? 0 : thousandths(written / GIB),
      unit: 'GB',
      dollars: written === undefined ? null : (written / GIB) * gigabyte,
      because:
        written === undefined
          ? because
          : `${usd(gigabyte)} a GB; at most: a copy that was there already was taken over`,
      to: { shares: new Map([['Distribute', 1]]) },
    });
  }
  return charges;
}

/** Bytes of the disk that stand in its snapshot; undefined when no worker of this build filled it. */
function bytesOf(report: Known['report']): number | undefined {
  if (report === undefined) return undefined;
  if (report.blocks) return report.blocks.count * BLOCK_BYTES;
  const { disk } = report as { readonly disk?: { readonly written?: unknown } };
  return typeof disk?.written === 'number' ? disk.written : undefined;
}

/** What stays of a build that is delivered, or on its way; null when it stays and its size is not known: an earlier attempt wrote it. */
function monthlyDollars(
  { report, snapshot, adopted, distribution }: Known,
  status: string,
  prices: Prices,
): number | null {
  const written = bytesOf(report);
  const stays = status === 'SUCCEEDED' || status === 'RUNNING';
  if (!stays || snapshot === undefined || adopted) return 0;
  if (written === undefined) return null;
  const copies = (distribution?.copies ?? []).filter(({ imageId }) => imageId !== null);
  const places = [prices, ...copies.map(({ region }) => pricesOf(region))];
  return rounded((written / GIB) * sum(places.map(({ snapshotGigabyteMonth }) => snapshotGigabyteMonth)));
}

/** What a step cost; null when a machine ran in it whose price is not known. */
function dollarsOf(step: Step, steps: readonly Step[], charges: readonly Charge[]): number | null {
  let total = 0;
  for (const charge of charges) {
    const share = shareOf(step, steps, charge.to);
    if (share === 0) continue;
    if (charge.dollars === null) return null;
    total += charge.dollars * share;
  }
  return rounded(total);
}

/** Which part of a charge is a step's. All parts of a charge are one, if it falls into the time of the execution. */
function shareOf(step: Step, steps: readonly Step[], to: Charge['to']): number {
  if ('shares' in to) {
    const all = sum([...to.shares.values()]);
    return all === 0 ? 0 : (to.shares.get(step.name) ?? 0) / all;
  }
  const inside = (one: Step) => sum(one.intervals.map((interval) => overlap(interval, to)));
  const all = sum(steps.map(inside));
  return all === 0 ? 0 : inside(step) / all;
}

const overlap = (a: Span, b: Span): number =>
  Math.max(0, Math.min(a.until, b.until) - Math.max(a.from, b.from));

const secondsOf = ({ from, until }: Span): number => Math.max(0, until - from) / 1000;

const usd = (dollars: number): string => `$${Number(dollars.toPrecision(6))}`;
