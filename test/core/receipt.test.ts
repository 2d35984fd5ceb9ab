import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Receipt, receiptSchema } from '../../core/api/receipt.ts';
import { pricesOf, transferPrice, usualRegion } from '../../core/prices.ts';
import { type ReceiptFacts, receiptOf } from '../../core/receipt.ts';

/**
 * Histories and states that the local cloud has recorded, workers and machines as stubs: builds by these roads. The end of `piece-failed` is
 * written by hand: a piece fails beside three that never end, with the events that local/states writes of it.
 */
const recorded = [
  'unix',
  'windows',
  'ebs-direct',
  'distributed',
  'adopted',
  'retried',
  'failed',
  'aborted',
  'piece-failed',
] as const;

const factsOf = (name: string): ReceiptFacts =>
  JSON.parse(
    readFileSync(new URL(`fixtures/receipts/${name}.json`, import.meta.url), 'utf8'),
  ) as ReceiptFacts;

/** A receipt as people compare it. */
const listing = ({ steps, lines, prices, ...receipt }: Receipt): string =>
  [
    JSON.stringify(receipt),
    JSON.stringify(prices),
    ...steps.map((step) => JSON.stringify(step)),
    ...lines.map((line) => JSON.stringify(line)),
    '',
  ].join('\n');

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const dollarsOf = (parts: readonly { readonly dollars: number | null }[]) =>
  sum(parts.map(({ dollars }) => dollars ?? 0));
const kinds = (receipt: Receipt) => [...new Set(receipt.lines.map(({ kind }) => kind))];

describe.each(recorded)('the receipt of a build: %s', (name) => {
  const facts = factsOf(name);
  const receipt = receiptOf(facts);

  test('is as it was', async () => {
    await expect(listing(receipt)).toMatchFileSnapshot(`golden/receipt-${name}.txt`);
  });

  test('is what the API promises', () => {
    expect(receiptSchema.parse(receipt)).toEqual(receipt);
  });

  test('is the sum of its lines, and of its steps', () => {
    expect(receipt.dollars).toBeCloseTo(dollarsOf(receipt.lines), 7);
    // A snapshot is no step's; each step is rounded.
    const ofSteps = receipt.lines.filter(({ kind }) => kind !== 'snapshot');
    expect(dollarsOf(receipt.steps)).toBeCloseTo(dollarsOf(ofSteps), 6);
    expect(sum(receipt.steps.map(({ seconds }) => seconds))).toBeCloseTo(receipt.seconds, 0);
  });

  test('is never less than nothing, also at any moment of the build', () => {
    for (const index of facts.events.keys()) {
      const events = facts.events.slice(0, index + 1);
      const now = Date.parse(events.at(-1)?.at ?? facts.startedAt);
      const soFar = receiptOf({ ...facts, status: 'RUNNING', endedAt: null, now, events });
      for (const each of [...soFar.steps, ...soFar.lines]) {
        expect(each.dollars ?? 0, `${each.name} after event ${index + 1}`).toBeGreaterThanOrEqual(0);
      }
      for (const { quantity, name } of soFar.lines) expect(quantity, name).toBeGreaterThanOrEqual(0);
    }
  });

  test('counts the transitions of the history: every state that was entered, and every retry', () => {
    const entered = facts.events.filter(({ type }) => type.endsWith('StateEntered')).length;
    const tasks = facts.events.filter(({ type }) => type === 'TaskStateEntered').length;
    const scheduled = facts.events.filter(({ type }) => type === 'TaskScheduled').length;
    const line = receipt.lines.find(({ kind }) => kind === 'transitions');
    expect(line?.quantity).toBe(entered + scheduled - tasks);
  });

  test('counts the calls of the history', () => {
    const started = facts.events.filter(
      ({ type, resourceType }) => type === 'TaskStarted' && resourceType === 'lambda',
    ).length;
    expect(sum(receipt.steps.map(({ calls }) => calls))).toBe(started);
    expect(receipt.lines.find(({ unit }) => unit === 'calls')?.quantity).toBe(started);
  });
});

test('each road pays for what it uses', () => {
  const machine = ['instance', 'address', 'volume'];
  const always = ['transitions', 'lambda'];
  const of = (name: string) => kinds(receiptOf(factsOf(name)));
  expect(of('unix')).toEqual([...machine, 'snapshot', ...always]);
  expect(of('windows')).toEqual(['instance', 'address', 'volume', 'licence', 'snapshot', ...always]);
  expect(of('ebs-direct')).toEqual([...machine, 'blocks', 'snapshot', ...always]);
  expect(of('distributed')).toEqual([...machine, 'snapshot', 'transfer', ...always]);
  expect(of('adopted')).toEqual(always);
});

test('one that adopted an image has paid for nothing but the looking', () => {
  const receipt = receiptOf(factsOf('adopted'));
  expect(receipt).toMatchObject({ status: 'SUCCEEDED', monthlyDollars: 0 });
  expect(receipt.dollars).toBeLessThan(0.001);
});

test('what is kept is paid for by the month, in each region at its own price', () => {
  const receipt = receiptOf(factsOf('distributed'));
  const { lines } = receipt;
  const gigabytes = lines.find(({ kind }) => kind === 'transfer')?.quantity ?? 0;
  const places = ['us-east-1', 'us-west-2', 'eu-west-1'];
  const month = sum(places.map((place) => pricesOf(place).snapshotGigabyteMonth));
  expect(receipt.monthlyDollars).toBeCloseTo(gigabytes * month, 3);
  expect(receiptOf(factsOf('failed')).monthlyDollars).toBe(0);
  expect(receiptOf(factsOf('aborted')).monthlyDollars).toBe(0);
});

test('what an earlier attempt has written is of an unknown size: a month of it is not told as nothing', () => {
  const facts = factsOf('unix');
  const { report: _, worker: __, ...resumed } = facts.state as Record<string, unknown>;
  const receipt = receiptOf({ ...facts, state: resumed });
  expect(receipt.monthlyDollars).toBeNull();
  expect(receiptSchema.parse(receipt)).toEqual(receipt);
  expect(receiptOf({ ...facts, state: resumed, status: 'FAILED' }).monthlyDollars).toBe(0);
});

test('a worker that is billed by the second is billed for a minute at least', () => {
  const [worker] = receiptOf(factsOf('unix')).lines;
  expect(worker).toMatchObject({ kind: 'instance', name: 'worker m6i.large', quantity: 60 });
  expect(worker?.dollars).toBeCloseTo(0.096 / 60, 6);
});

test('a machine without a known price makes a line without dollars, and steps without', () => {
  const facts = factsOf('unix');
  const state = facts.state as { worker: object };
  const receipt = receiptOf({
    ...facts,
    state: { ...state, worker: { ...state.worker, instanceType: 'x9.large' } },
  });
  expect(receipt.lines[0]).toMatchObject({ name: 'worker x9.large', dollars: null });
  expect(receipt.lines[0]?.because).toMatch(/price is not known/);
  expect(receipt.steps.find(({ name }) => name === 'WaitForWorker')?.dollars).toBeNull();
  expect(receipt.steps.find(({ name }) => name === 'Plan')?.dollars).toBeGreaterThan(0);
});

describe('one that runs', () => {
  const facts = factsOf('unix');
  /** The build as it was when this event had happened. */
  const cut = (index: number): ReceiptFacts => {
    const events = facts.events.slice(0, index + 1);
    return {
      ...facts,
      status: 'RUNNING',
      endedAt: null,
      now: Date.parse(events.at(-1)?.at ?? facts.startedAt),
      events,
    };
  };

  test('never costs less later, and in the end what it says at its end', () => {
    // Of Lambda and transitions alone: what the state knows of machines is that of the end here.
    const bare = (index: number) => receiptOf({ ...cut(index), state: undefined }).dollars;
    let before = 0;
    for (const index of facts.events.keys()) {
      const now = bare(index);
      expect(now).toBeGreaterThanOrEqual(before - 1e-9);
      before = now;
    }
    expect(before).toBeGreaterThan(0);
  });

  test('has its times so far', () => {
    const middle = facts.events.findIndex(({ name }) => name === 'WaitForWorker');
    const receipt = receiptOf(cut(middle));
    expect(receipt).toMatchObject({ status: 'RUNNING', endedAt: null });
    expect(receipt.steps.at(-1)?.name).toBe('WaitForWorker');
    expect(receipt.seconds).toBeLessThan(receiptOf(facts).seconds);
  });

  test('costs nothing before it has done anything', () => {
    expect(
      receiptOf({ ...facts, status: 'RUNNING', endedAt: null, events: [], state: undefined }),
    ).toMatchObject({
      dollars: 0,
      steps: [],
      estimate: null,
    });
  });
});

test('calls beside one that failed are paid for until the Map is left, by the Map', () => {
  const facts = factsOf('piece-failed');
  const { steps, lines } = receiptOf(facts);
  const map = steps.find(({ name }) => name === 'WriteEveryPiece');
  expect(map?.calls).toBe(5);
  // One that succeeded, one that failed, and three until the Map was left: 1.296, 2.191, 2.189, 2.185 and 0.897 s.
  const gigabytes = 1769 / 1024;
  const others = steps.filter(({ name }) => name !== 'WriteEveryPiece');
  const quantity = lines.find(({ unit }) => unit === 'GB-seconds')?.quantity ?? 0;
  expect(quantity).toBeGreaterThan(8.758 * gigabytes);
  expect(quantity).toBeLessThan(8.758 * gigabytes + sum(others.map(({ seconds }) => seconds)) * 0.25);
});

test('the estimate of the plan stands beside it', () => {
  const { estimate } = receiptOf(factsOf('unix'));
  expect(estimate?.seconds).toBeGreaterThan(60);
  expect(estimate?.dollars).toBeGreaterThan(0.001);
});

describe('prices', () => {
  test('between the two regions of the east are half of those to others', () => {
    const from = (region: string, to: string) => transferPrice(pricesOf(region), to);
    expect(from('us-east-1', 'us-east-2')).toBe(0.01);
    expect(from('us-east-2', 'us-east-1')).toBe(0.01);
    expect(from('us-east-2', 'us-west-2')).toBe(0.02);
  });

  test('the usual region has all of its own', () => {
    expect(pricesOf(usualRegion).standIns).toEqual([]);
  });

  test('of a region that is not known are those of the usual one, and say so', () => {
    const { region: _, standIns, ...list } = pricesOf('mx-central-1');
    const { region: __, standIns: none, ...usual } = pricesOf(usualRegion);
    expect(list).toEqual(usual);
    expect(standIns).toContain('instanceHour');
    expect(none).toEqual([]);
  });

  test('a receipt is exact when those that it is made of are the region’s own', () => {
    const there = (region: string, name = 'unix') => receiptOf({ ...factsOf(name), region }).prices;
    expect(there('eu-central-1')).toMatchObject({ region: 'eu-central-1', exact: true });
    expect(there('mx-central-1').exact).toBe(false);
    // What a PutSnapshotBlock costs in Ireland is not known.
    expect(there('eu-west-1').exact).toBe(true);
    expect(there('eu-west-1', 'ebs-direct').exact).toBe(false);
  });

  test('a region’s own are used: Frankfurt is dearer than Virginia', () => {
    const at = (region: string) => receiptOf({ ...factsOf('unix'), region }).dollars;
    expect(at('eu-central-1')).toBeGreaterThan(at('us-east-1'));
  });
});
