import { afterAll, beforeAll, expect, it } from 'vitest';
import { whatIsLeft } from './account.ts';
import {
  breakBuild,
  Ends,
  type FaultKind,
  faultKinds,
  faultsOf,
  finished,
  firstBuild,
  isFirstBuild,
  type Outcome,
  pointsOf,
  type Road,
  tell,
} from './kill-run.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * Every call that a build makes is broken in every way. By default each kind of call of each function; with KILL=all every single
 * call, polls included (`npm run test:kill`).
 */
const every = process.env.KILL === 'all';

const roads: readonly Road[] = [{ name: 'unix', recipe: { bootTest: {} } }];

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

/** Builds at a time: most of what a run does is waiting. */
const AT_A_TIME = 6;

let factory: Factory;
let ends: Ends;
let failing: string | undefined;
beforeAll(async () => {
  factory = await startFactory({
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

it.each(roads)(
  'road $name: whatever breaks, nothing is left, and the next build ends with one image',
  async (road) => {
    failing = road.fails;
    const clean = `clean-${road.name}`;
    const input = { recipe: factory.recipe({ name: clean, ...road.recipe }) };
    const { status, cause } = await finished(factory, ends, input, firstBuild(clean));
    expect({ status, cause }).toMatchObject(road.fails ? { status: 'FAILED' } : { status: 'SUCCEEDED' });
    const points = pointsOf(factory.cloud.faults.calls, firstBuild(clean), every);
    const before = await whatIsLeft(factory.ec2);

    const runs = points.flatMap((point) => faultsOf(point).map((kind) => ({ point, kind })));
    const only = process.env.KILL_ONLY;
    const chosen = runs
      .map((run, index) => ({ ...run, name: `k${index}-${road.name}` }))
      .filter(({ point, kind }) => !only || `${tell(point)} ${kind}`.includes(only));
    const outcomes: Outcome[] = [];
    const waiting = chosen.values();
    const started = performance.now();
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        for (const run of waiting) outcomes.push(await breakBuild(factory, ends, road, run));
      }),
    );
    console.log(table(road, points.length, outcomes, (performance.now() - started) / 1000));
    const surprises = outcomes.filter(({ kind, status }) => survivable.has(kind) && status !== 'SUCCEEDED');
    for (const { point, kind, status, error } of surprises) {
      console.log(`${tell(point)}, ${kind}: ${status} ${error}`);
    }
    expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(await whatIsLeft(factory.ec2)).toEqual(before);
  },
  3_600_000,
);

function table(road: Road, points: number, outcomes: readonly Outcome[], seconds: number): string {
  const rows = [...faultKinds, undefined].map((kind) => {
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
  return `road ${road.name}: ${points} points x faults = ${outcomes.length} runs in ${seconds.toFixed(0)} s\n${lines.join('\n')}`;
}
