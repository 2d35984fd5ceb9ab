import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { EventBus } from '../../local/event-bus.ts';
import { Events } from '../../local/events.ts';
import type { InvokeResult } from '../../local/lambda/runtime.ts';
import type { StatusChange } from '../../local/states/service.ts';
import { VirtualClock } from './virtual-clock.ts';

const MACHINE = 'arn:aws:states:us-east-1:000000000000:stateMachine:m';
const MINUTE = 60_000;

/** Events at a fiftieth of their time, with states that say what a test tells them and functions that answer as it wants. */
function stage(
  answer: (target: string, input: unknown) => Promise<InvokeResult> = async () => ({ payload: {} }),
) {
  const clock = new VirtualClock();
  const listeners = new Set<(change: StatusChange) => void>();
  const invoked: [string, unknown][] = [];
  const logged: string[] = [];
  const published: [string, unknown][] = [];
  const bus = new EventBus({ clock, region: 'us-east-1', accountId: '000000000000' });
  const events = new Events({
    states: {
      handle: async () => ({}),
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      close: async () => {},
    },
    clock,
    timeScale: 0.02,
    bus,
    publish: async (topicArn, message) => {
      published.push([topicArn, JSON.parse(message)]);
    },
    invoke: async (target, input) => {
      invoked.push([target, input]);
      return await answer(target, input);
    },
    log: (line) => logged.push(line),
  });
  const advance = async (minutes: number) => {
    await turn();
    clock.advance(minutes * MINUTE * 0.02);
    await turn();
  };
  const say = async (name: string, status: StatusChange['status'], stateMachineArn = MACHINE) => {
    const change = { name, status, stateMachineArn } as StatusChange;
    for (const listener of listeners) listener(change);
    await turn();
  };
  const rule = {
    stateMachineArn: MACHINE,
    statuses: ['ABORTED', 'FAILED'],
    target: 'f',
    input: ({ name }: StatusChange) => ({ build: name }),
  } as const;
  return { events, bus, invoked, published, logged, listeners, advance, say, rule };
}

test('a rule invokes its target for its state machine and statuses, with the input that it makes', async () => {
  const { events, invoked, say, rule } = stage();
  events.rule('r', { ...rule, target: 'before' });
  events.rule('r', rule);
  await say('one', 'ABORTED');
  await say('two', 'SUCCEEDED');
  await say('three', 'FAILED', `${MACHINE}2`);
  await say('four', 'FAILED');
  expect(invoked).toEqual([
    ['f', { build: 'one' }],
    ['f', { build: 'four' }],
  ]);
  await events.close();
});

test('a schedule begins at once, and goes on by its rate at the time scale of the cloud', async () => {
  const { events, invoked, advance } = stage();
  events.schedule('s', { everySeconds: 900, target: 'f', input: {} });
  await advance(14.9);
  expect(invoked).toHaveLength(1);
  await advance(0.1);
  expect(invoked).toHaveLength(2);
  await events.close();
  await advance(60);
  expect(invoked).toHaveLength(2);
});

test('a schedule of the same name takes the place of the first', async () => {
  const { events, invoked, advance } = stage();
  events.schedule('s', { everySeconds: 900, target: 'old', input: {} });
  events.schedule('s', { everySeconds: 900, target: 'new', input: {} });
  await advance(15);
  expect(invoked.map(([target]) => target)).toEqual(['old', 'new', 'new']);
  await events.close();
});

test('a function that fails gets two more attempts, after one minute and two, and each is logged', async () => {
  const { events, invoked, logged, advance, say, rule } = stage(async () => ({
    functionError: 'Unhandled',
    payload: { errorType: 'LeftoversRemain' },
  }));
  events.rule('r', rule);
  await say('one', 'ABORTED');
  await advance(0.9);
  expect(invoked).toHaveLength(1);
  await advance(0.1);
  expect(invoked).toHaveLength(2);
  await advance(2);
  expect(invoked).toHaveLength(3);
  await advance(60);
  expect(invoked).toHaveLength(3);
  expect(logged).toHaveLength(3);
  expect(logged[0]).toContain('LeftoversRemain');
  await events.close();
});

test('a target that is not there is logged, and ends nothing else', async () => {
  const { events, invoked, logged, advance } = stage(async () => {
    throw new Error('Function not found: f');
  });
  events.schedule('s', { everySeconds: 900, target: 'f', input: {} });
  await advance(15);
  expect(invoked).toHaveLength(2);
  expect(logged).toEqual(Array(2).fill('events: Error: Function not found: f'));
  await events.close();
});

test('closing waits for what runs, and begins nothing more', async () => {
  let answer: (result: InvokeResult) => void = () => {};
  const { events, invoked, listeners, say, rule } = stage(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  events.rule('r', rule);
  await say('one', 'ABORTED');
  let closed = false;
  const closing = events.close().then(() => {
    closed = true;
  });
  await turn();
  expect(closed).toBe(false);
  expect(listeners.size).toBe(0);
  answer({ functionError: 'Unhandled', payload: {} });
  await closing;
  expect(invoked).toHaveLength(1);
});

test('a rule by pattern sends what is on the bus to a function or a topic', async () => {
  const { events, bus, invoked, published } = stage();
  const pattern = { source: ['ami-foundry'], detail: { release: [{ prefix: '15.' }] } };
  events.patternRule('f', {
    pattern,
    target: 'f',
    input: ({ detail }) => ({ image: detail.image }),
  });
  events.patternRule('t', { pattern, target: 'arn:aws:sns:us-east-1:000000000000:t' });
  const put = (Source: string, release: string) =>
    bus.put([{ Source, DetailType: 'Published', Detail: JSON.stringify({ release, image: 'ami-1' }) }]);
  put('ami-foundry', '15.1');
  put('ami-foundry', '14.3');
  put('another', '15.1');
  await turn();
  expect(invoked).toEqual([['f', { image: 'ami-1' }]]);
  expect(published).toEqual([
    [
      'arn:aws:sns:us-east-1:000000000000:t',
      expect.objectContaining({
        version: '0',
        source: 'ami-foundry',
        'detail-type': 'Published',
        account: '000000000000',
        region: 'us-east-1',
        resources: [],
        detail: { release: '15.1', image: 'ami-1' },
      }),
    ],
  ]);
  await events.close();
  put('ami-foundry', '15.1');
  expect(published).toHaveLength(1);
});
