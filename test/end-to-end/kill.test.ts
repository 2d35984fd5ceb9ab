import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whatIsLeft } from './account.ts';
import {
  breakBuild,
  breakTwin,
  carrying,
  Ends,
  type FaultKind,
  faultKinds,
  faultsOf,
  finished,
  firstBuild,
  forget,
  isFirstBuild,
  type Outcome,
  type Point,
  pointsOf,
  quiet,
  type Road,
  type Run,
  stopAsTold,
  tell,
} from './kill-run.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * Builds are broken at every call that their functions make, in every way, one at a time. After each: the reaper leaves nothing but what was
 * delivered, and the next build of the same recipe ends with one right image. Workers and machines are stubs (stub.test.ts holds these
 * against the true ones; worker-death.test.ts and reaper.test.ts have the true worker).
 * By default each kind of call of each function meets a few of the faults or, on some days, none; all of them in the course of days: KILL_TURN=number,
 * which the table tells, has the same again. With KILL=all (`npm run test:kill`) every single call, polls included, meets all of them. KILL_ONLY=text takes those
 * that are called so: `register RegisterImage, answer lost`.
 */
const every = process.env.KILL === 'all';
const turn = Number(process.env.KILL_TURN ?? Math.floor(Date.now() / 86_400_000));

const roads: readonly Road[] = [
  { name: 'unix', recipe: { bootTest: {} } },
  {
    name: 'windows',
    recipe: { bootTest: {}, image: { road: 'windows' } },
    breaks: ['launch-windows', 'swap-root', 'create-image', 'wait-for-image', ...(every ? ['clean-up'] : [])],
    sparse: 2,
  },
  {
    name: 'published',
    recipe: {
      distribution: {
        regions: ['us-west-2', 'eu-west-1'],
        share: { accounts: ['111122223333'] },
        parameters: '/ami-foundry/kill/{name}',
      },
    },
    regions: ['us-west-2', 'eu-west-1'],
    breaks: ['preflight', 'distribute', 'publish'],
    sparse: 6,
  },
  {
    name: 'ebs-direct',
    recipe: { image: { road: 'ebs-direct' } },
    breaks: ['start-snapshot', 'write-blocks', 'complete-snapshot'],
    sparse: 2,
  },
  { name: 'failing', recipe: {}, fails: 'SetNotFound', breaks: ['clean-up:failed'] },
  {
    name: 'reaped',
    recipe: { bootTest: {} },
    stopsAt: { label: 'wait-for-boot', action: 'CreateTags' },
    breaks: ['reaper'],
    sparse: 3,
  },
];

/** What a build gets over: the step is retried, or its caller never noticed. */
const survivable: ReadonlySet<FaultKind> = new Set([
  'killed',
  'answer lost',
  'answer lost for good',
  'throttled',
  'internal error',
  'no capacity',
  'not seen yet',
]);

/** Builds at a time: half of what a run does is waiting. Each keeps some threads of some 25 MB busy. */
const AT_A_TIME = 5;

/** Every how manyth fault a point meets: what changes something can leave something. */
const stride = ({ action }: Point, { sparse = 1 }: Road): number =>
  every ? 1 : sparse * (/^(Describe|Get)/.test(action) ? 10 : 7);

/** Points and faults, so that neighbours meet different ones. */
const runsOf = (
  road: Road,
  points: readonly Point[],
  kinds: (point: Point) => readonly FaultKind[],
  name: string,
): Run[] =>
  points
    .flatMap((point, at) => {
      const step = stride(point, road);
      return kinds(point).flatMap((kind, index) => ((at + index + turn) % step === 0 ? { point, kind } : []));
    })
    .map((run, index) => ({ ...run, name: `${name}${index}` }));

let factory: Factory;
let ends: Ends;
let failing: string | undefined;
beforeAll(async () => {
  factory = await startFactory({
    // What a failed build keeps for the next is no leftover; here it keeps nothing, so that every leftover shows.
    resumableHours: 0,
    cloud: {
      stub: { worker: (build) => (failing && isFirstBuild(build) ? { code: failing } : 'ok') },
      throttle: false,
      vcpuQuota: 10_000,
      timeScale: 0.004,
      functionsOutliveExecutions: true,
      delays: {
        instancePending: 10,
        instanceStopping: 5,
        instanceShuttingDown: 5,
        volumeCreating: 5,
        volumeAttaching: 5,
        volumeDetaching: 5,
        snapshotPending: 10,
        imagePending: 5,
        terminatedVisible: 2000,
      },
    },
  });
  ends = new Ends(factory);
}, 120_000);
afterAll(async () => {
  ends[Symbol.dispose]();
  await factory[Symbol.asyncDispose]();
});

/** The calls of a build of that road that nobody breaks. */
async function pointsOfRoad(road: Road): Promise<Point[]> {
  const build = firstBuild(`clean-${road.name}`);
  const input = { recipe: factory.recipe({ name: `clean-${road.name}`, ...road.recipe }) };
  stopAsTold(factory, build, road);
  const { status } = await finished(factory, ends, input, build);
  expect(status).toBe(road.fails ? 'FAILED' : road.stopsAt ? 'ABORTED' : 'SUCCEEDED');
  if (road.stopsAt) while ((await carrying(factory, build, road)).length > 0) await pause(50);
  await quiet(factory, build);
  await forget(factory, build, road);
  return pointsOf(factory.cloud.faults.calls, build, every, road);
}

/** Runs some at a time, in their order. */
async function outcomesOf(runs: readonly Run[], run: (one: Run) => Promise<Outcome>): Promise<Outcome[]> {
  const only = process.env.KILL_ONLY ?? '';
  const chosen = runs.filter(({ point, kind }) => `${tell(point)}, ${kind}`.includes(only)).values();
  const outcomes: Outcome[] = [];
  const work = async () => {
    for (const one of chosen) outcomes.push(await run(one));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return outcomes;
}

const problemsOf = (outcomes: readonly Outcome[]): string[] =>
  outcomes.flatMap(({ point, kind, problem, status, error }) =>
    problem === undefined ? [] : [`${tell(point)}, ${kind} (${status} ${error}): ${problem}`],
  );

describe.each(roads)('road $name', (road) => {
  it('nothing is left whatever breaks, and the next build ends with one image', async () => {
    failing = road.fails;
    const points = await pointsOfRoad(road);
    const before = await whatIsLeft(factory.ec2);
    const runs = runsOf(road, points, faultsOf, `${road.name}-`);
    const started = spent();
    const outcomes = await outcomesOf(runs, (run) => breakBuild(factory, ends, road, run));
    failing = undefined;
    console.log(table(`road ${road.name}`, points.length, outcomes, started));
    const problems = problemsOf(outcomes);
    if (problems.length > 0) console.log(problems.join('\n'));
    expect(problems).toEqual([]);
    expect(await whatIsLeft(factory.ec2)).toEqual(before);
    if (!road.fails && !road.stopsAt) {
      const failed = outcomes.filter(({ kind, status }) => survivable.has(kind) && status !== 'SUCCEEDED');
      expect(failed.map(({ point, kind, error }) => `${tell(point)}, ${kind}: ${error}`)).toEqual([]);
    }
  }, 3_600_000);
});

describe('two builds of one recipe that begin at the same moment', () => {
  it.each([false, {}])(
    'end with one image, which both deliver (boot test: %j)',
    async (bootTest) => {
      const name = bootTest ? 'twins-tested' : 'twins';
      const input = { recipe: factory.recipe({ name, bootTest }) };
      const [one, two] = await Promise.all(
        ['one', 'two'].map((which) => finished(factory, ends, input, `${name}-${which}`)),
      );
      expect([one?.status, two?.status]).toEqual(['SUCCEEDED', 'SUCCEEDED']);
      const [first, second] = [one, two].map(
        (end) => JSON.parse(end?.output ?? '{}') as { imageId: string; snapshotId: string; adopted: boolean },
      );
      expect(second?.imageId).toBe(first?.imageId);
      expect(new Set([first?.adopted, second?.adopted])).toEqual(new Set([false, true]));
      const builds = [`${name}-one`, `${name}-two`];
      const road: Road = { name, recipe: {} };
      const left = (await Promise.all(builds.map((build) => carrying(factory, build, road)))).flat();
      expect(left).toHaveLength(2);
      expect(new Set(left)).toEqual(new Set([first?.imageId, first?.snapshotId]));
      for (const build of builds) await forget(factory, build, road);
    },
    120_000,
  );

  it('the other one ends with the image wherever the first is stopped or killed', async () => {
    const road: Road = { name: 'twins', recipe: { bootTest: {} } };
    const points = await pointsOfRoad(road);
    const runs = runsOf(road, points, () => ['killed', 'stopped'], 'twin-');
    const started = spent();
    const outcomes = await outcomesOf(runs, (run) => breakTwin(factory, ends, road, run));
    console.log(table('twins', points.length, outcomes, started));
    const problems = problemsOf(outcomes);
    if (problems.length > 0) console.log(problems.join('\n'));
    expect(problems).toEqual([]);
  }, 3_600_000);
});

/** Seconds on the clock, and of processors. */
const spent = () => {
  const { user, system } = process.cpuUsage();
  return { clock: performance.now() / 1000, processor: (user + system) / 1e6 };
};

function table(
  what: string,
  points: number,
  outcomes: readonly Outcome[],
  started: ReturnType<typeof spent>,
): string {
  const kinds = faultKinds.filter((kind) => outcomes.some((one) => one.kind === kind));
  const rows = [...kinds, undefined].map((kind) => {
    const of = outcomes.filter((one) => kind === undefined || one.kind === kind);
    const count = (is: (one: Outcome) => boolean) => String(of.filter(is).length);
    return [
      kind ?? 'all',
      String(of.length),
      count(({ reached }) => reached),
      count(({ status }) => status === 'SUCCEEDED'),
      count(({ status }) => status !== 'SUCCEEDED'),
      String(of.flatMap(({ leftovers }) => leftovers).length),
      count(({ problem }) => problem === undefined),
    ];
  });
  const head = ['fault', 'runs', 'reached', 'survived', 'failed', 'leftovers', 'resumed'];
  const lines = [head, ...rows].map(
    ([first = '', ...rest]) => first.padEnd(22) + rest.map((cell) => cell.padStart(10)).join(''),
  );
  const { clock, processor } = spent();
  const times = `${(clock - started.clock).toFixed(0)} s (processor ${(processor - started.processor).toFixed(0)} s)`;
  return `${what}, turn ${turn}: ${points} points x faults = ${outcomes.length} runs in ${times}\n${lines.join('\n')}`;
}
