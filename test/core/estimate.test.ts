import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type EstimatedBuild, estimate, stateMachineShape, usualInstanceType } from '../../core/estimate.ts';
import { pricesOf, usualRegion } from '../../core/prices.ts';
import { bootTestInstanceTypes, windowsInstanceTypes, workerInstanceTypes } from '../../infra/functions.ts';

const small: EstimatedBuild = {
  architecture: 'amd64',
  rootSizeGiB: 10,
  sets: ['base', 'kernel'],
  pkgbase: false,
  packages: 6,
  update: 'none',
  bootTest: false,
  windows: false,
  copies: null,
};

describe('an estimate', () => {
  test('is minutes and cents, as the README says', () => {
    const { seconds, price, size } = estimate(small);
    expect(seconds).toBeGreaterThan(120);
    expect(seconds).toBeLessThan(900);
    expect(price.build).toBeGreaterThan(0.005);
    expect(price.build).toBeLessThan(0.05);
    expect(price.monthly).toBeCloseTo((size.extracted / 2 ** 30) * 0.05, 6);
  });

  test('is the sum of its parts, and each part has a reason', () => {
    const { seconds, phases, price } = estimate(small);
    expect(seconds).toBe(phases.reduce((sum, phase) => sum + phase.seconds, 0));
    expect(price.build).toBeCloseTo(
      price.lines.reduce((sum, line) => sum + line.dollars, 0),
      9,
    );
    for (const { because } of [...phases, ...price.lines]) expect(because).not.toBe('');
  });

  test.each([
    [{ sets: ['base', 'kernel', 'base_dbg'] }],
    [{ packages: 60 }],
    [{ update: 'freebsd-update' as const }],
    [{ bootTest: true }],
    [{ windows: true }],
    [{ copies: [] }],
    [{ copies: ['us-west-2', 'eu-west-1', 'eu-central-1', 'ap-southeast-2'] }],
  ])('grows with %j', (more) => {
    expect(estimate({ ...small, ...more }).seconds).toBeGreaterThan(estimate(small).seconds);
    expect(estimate({ ...small, ...more }).price.build).toBeGreaterThan(estimate(small).price.build);
  });

  test('pays for the disks as the receipt does, also for that of the boot test', () => {
    const disks = (more: Partial<EstimatedBuild>) =>
      estimate({ ...small, ...more }).price.lines.find(({ name }) => name === 'volumes (gp3)');
    expect(disks({ bootTest: true })?.dollars).toBeGreaterThan(disks({})?.dollars ?? 0);
    expect(disks({ bootTest: true })?.because).toContain('10 GiB of the boot test');
    const { price, size } = estimate({ ...small, copies: ['us-west-2'] });
    const transfer = price.lines.find(({ name }) => name === 'transfer of copies');
    expect(transfer?.dollars).toBeCloseTo((size.extracted / 2 ** 30) * 0.02, 9);
  });

  test('names the sets that it knows nothing of', () => {
    expect(estimate({ ...small, sets: ['base', 'mine'] }).size.unknown).toEqual(['mine']);
  });

  test('without a price of the instance says so', () => {
    expect(estimate({ ...small, instanceType: 'x9.large' }).price.lines[0]).toMatchObject({
      dollars: 0,
      because: 'its price is not known here',
    });
  });
});

test('without a volume pays for blocks, and for no volume of the image', () => {
  const direct = estimate({ ...small, road: 'ebs-direct' });
  const names = direct.price.lines.map(({ name }) => name);
  expect(names).toContain('blocks');
  const volumes = ({ price }: typeof direct) => price.lines.find(({ name }) => name === 'volumes (gp3)');
  expect(volumes(direct)?.dollars).toBeLessThan(volumes(estimate(small))?.dollars ?? 0);
  // 1.4 GB in blocks of 512 KiB, and a state for each piece of 256 of them.
  expect(direct.price.lines.find(({ name }) => name === 'blocks')?.dollars).toBeCloseTo(0.016, 2);
  expect(direct.seconds).toBeGreaterThan(0);
});

test('every instance type that workers use has a price, and the first is the usual one', () => {
  for (const type of Object.values(workerInstanceTypes).flat()) {
    expect(pricesOf(usualRegion).instanceHour[type]).toBeGreaterThan(0);
  }
  expect(usualInstanceType).toEqual({
    amd64: workerInstanceTypes.amd64[0],
    arm64: workerInstanceTypes.arm64[0],
  });
  expect(usualInstanceType).toEqual({
    amd64: bootTestInstanceTypes.amd64[0],
    arm64: bootTestInstanceTypes.arm64[0],
  });
  expect(windowsInstanceTypes[0]).toBe(usualInstanceType.amd64);
});

test('counts the states of the state machine that there is', () => {
  interface State {
    readonly Type: string;
    readonly Next?: string;
    readonly Seconds?: number;
    readonly Default?: string;
    readonly Choices?: readonly { readonly Condition: string; readonly Next: string }[];
  }
  const { StartAt, States: states } = JSON.parse(
    readFileSync(new URL('../../statemachines/build-image.asl.json', import.meta.url), 'utf8'),
  ) as { readonly StartAt: string; readonly States: Readonly<Record<string, State>> };
  // The straight way: nothing is adopted, everything is ready when it is asked for.
  const wayBy = (road: string): string[] => {
    const way: string[] = [];
    for (let name: string | undefined = StartAt; name !== undefined; ) {
      way.push(name);
      const state: State | undefined = states[name];
      const ready: string | undefined = state?.Choices?.find(
        ({ Condition }) => !Condition.includes('ebs-direct'),
      )?.Next;
      name =
        name === 'Road?' && road === 'windows'
          ? ready
          : (state?.Next ?? (state?.Default?.startsWith('Pause') ? ready : state?.Default));
    }
    return way;
  };
  const tasksOf = (way: readonly string[]) => way.filter((name) => states[name]?.Type === 'Task').length;
  const way = wayBy('unix');
  const windows = wayBy('windows');
  const bootTest = way.filter((name) => /Boot/.test(name));
  expect(stateMachineShape.bootTest).toEqual({
    states: bootTest.length,
    tasks: tasksOf(bootTest),
  });
  expect(stateMachineShape.windows).toEqual({
    states: windows.length - way.length,
    tasks: tasksOf(windows) - tasksOf(way),
  });
  const distributed = ['Preflight', 'Distribute', 'Distribution?', 'Publish', 'Announce'];
  expect(stateMachineShape.distribution).toEqual({
    states: distributed.filter((name) => name in states).length,
    // Announce calls no function.
    tasks: tasksOf(distributed) - 1,
  });
  expect(way).toHaveLength(stateMachineShape.states);
  expect(tasksOf(way)).toBe(stateMachineShape.tasks);
  expect(states.PauseForRootSwap?.Seconds).toBe(stateMachineShape.poll.windows);
  expect(states.PauseForWorker?.Seconds).toBe(stateMachineShape.poll.worker);
  expect(states.PauseForSnapshot?.Seconds).toBe(stateMachineShape.poll.snapshot);
  expect(states.PauseForBoot?.Seconds).toBe(stateMachineShape.poll.boot);
});
