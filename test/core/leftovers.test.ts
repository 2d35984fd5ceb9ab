import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Circumstances,
  deliveredBy,
  EXECUTION_MEMORY,
  judge,
  type Thing,
} from '../../core/leftovers.ts';
import type { BuildExecution } from '../../core/ports.ts';

const now = Date.UTC(2026, 10, 23, 12);
const HOUR = 3_600_000;
const grace = 600_000;
const kinds = ['instance', 'volume', 'image', 'snapshot'] as const;
const bad = ['FAILED', 'TIMED_OUT', 'ABORTED'] as const;
const output = JSON.stringify({ imageId: 'ami-1', snapshotId: 'snap-1', adopted: false });
const ended = (outcome: (typeof bad)[number] | 'SUCCEEDED', startedAt = now - 2 * HOUR): BuildExecution => ({
  status: 'ended',
  outcome,
  startedAt,
  output,
});

const verdict = (thing: Partial<Thing>, execution: BuildExecution, more: Partial<Circumstances> = {}) =>
  judge(
    { kind: 'volume', id: 'x', startedAt: now - HOUR, ...thing },
    { execution, now, grace, needed: new Set(), ...more },
  );

describe('what a build made', () => {
  test.each(kinds)('%s: stays while the execution runs', (kind) =>
    expect(verdict({ kind }, { status: 'running' }).goes).toBe(false),
  );
  test.each(kinds.flatMap((kind) => bad.map((outcome) => [kind, outcome] as const)))(
    '%s: goes when the execution %s',
    (kind, outcome) => expect(verdict({ kind }, ended(outcome)).goes).toBe(true),
  );
  test.each([
    ['instance', true],
    ['volume', true],
    ['image', false],
    ['snapshot', true],
  ] as const)('%s: after success goes: %s', (kind, goes) =>
    expect(verdict({ kind }, ended('SUCCEEDED')).goes).toBe(goes),
  );
  test.each([
    ['instance', true],
    ['volume', true],
    ['image', false],
    ['snapshot', true],
  ] as const)('%s: of an unknown execution goes: %s', (kind, goes) =>
    expect(verdict({ kind }, { status: 'unknown' }).goes).toBe(goes),
  );

  test('stays as long as it is younger than the grace period, to the millisecond', () => {
    expect(verdict({ startedAt: now - grace + 1 }, ended('ABORTED')).goes).toBe(false);
    expect(verdict({ startedAt: now - grace }, ended('ABORTED')).goes).toBe(true);
    expect(verdict({ startedAt: now }, ended('ABORTED'), { grace: 0 }).goes).toBe(true);
  });

  test('stays, and is a doubt, when nobody knows its age', () =>
    expect(verdict({ startedAt: undefined }, ended('ABORTED'))).toEqual({
      goes: false,
      because: 'EC2 does not say when it was made',
      doubt: true,
    }));

  test.each([undefined, 'no JSON', '{"dryRun":true}'])(
    'a snapshot of a success that says %j stays, and is a doubt',
    (text) => {
      const silent = { status: 'ended', outcome: 'SUCCEEDED', startedAt: 0, output: text } as const;
      expect(verdict({ kind: 'snapshot' }, silent)).toMatchObject({ goes: false, doubt: true });
    },
  );

  test('of an earlier execution of the same name: an image stays, a machine does not', () => {
    const later = ended('ABORTED', now - HOUR / 2);
    expect(verdict({ kind: 'image' }, later).goes).toBe(false);
    expect(verdict({ kind: 'instance' }, later).goes).toBe(true);
  });

  test.each(['image', 'snapshot'] as const)('%s: stays when its execution may be forgotten', (kind) => {
    const old = { kind, startedAt: now - EXECUTION_MEMORY };
    expect(verdict(old, { status: 'unknown' }).goes).toBe(false);
    expect(verdict({ ...old, startedAt: now - EXECUTION_MEMORY + 1 }, ended('ABORTED', 0)).goes).toBe(true);
  });
});

test('whatever else is the case, what is needed stays, and so does all that a running execution has', () => {
  const execution = fc.oneof(
    fc.constant<BuildExecution>({ status: 'unknown' }),
    fc.record({
      status: fc.constant('ended' as const),
      outcome: fc.constantFrom('SUCCEEDED' as const, ...bad),
      startedAt: fc.integer({ min: 0, max: now }),
      output: fc.option(fc.string(), { nil: undefined }),
    }),
  );
  const thing = fc.record({
    kind: fc.constantFrom(...kinds),
    id: fc.constantFrom('a', 'b'),
    startedAt: fc.option(fc.integer({ min: 0, max: now }), { nil: undefined }),
  });
  fc.assert(
    fc.property(thing, execution, fc.nat(), (one, maker, seconds) => {
      const circumstances = { now, grace: seconds, needed: new Set([one.id]) };
      expect(judge(one, { ...circumstances, execution: maker }).goes).toBe(false);
      expect(judge(one, { ...circumstances, needed: new Set(), execution: { status: 'running' } }).goes).toBe(
        false,
      );
      const unneeded = judge(one, { ...circumstances, needed: new Set(), execution: maker });
      const success = maker.status !== 'ended' || maker.outcome === 'SUCCEEDED';
      if (one.kind === 'image' && success) expect(unneeded.goes).toBe(false);
    }),
  );
});

test('what an execution delivered is image and snapshot, made or adopted', () => {
  expect(deliveredBy(output)).toEqual(['ami-1', 'snap-1']);
  for (const text of [undefined, '', 'null', '[]', '{"imageId":"ami-1"}']) {
    expect(deliveredBy(text)).toBeUndefined();
  }
});
