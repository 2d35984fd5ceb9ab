import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Retrier } from '../../../local/states/definition.ts';
import { StatesError } from '../../../local/states/errors.ts';
import { Attempts, delaySeconds } from '../../../local/states/retry.ts';
import { call, only, stage } from './stage.ts';

const retriers = fc.record(
  {
    ErrorEquals: fc.constant<string[]>(['E']),
    IntervalSeconds: fc.integer({ min: 1, max: 3600 }),
    MaxAttempts: fc.integer({ min: 0, max: 12 }),
    BackoffRate: fc.double({ min: 1, max: 5, noNaN: true }),
    MaxDelaySeconds: fc.integer({ min: 1, max: 86_400 }),
    JitterStrategy: fc.constantFrom('FULL' as const, 'NONE' as const),
  },
  { requiredKeys: ['ErrorEquals'] },
);
/** Math.random's range. */
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('a delay is never beyond its cap, never shrinks without jitter, and jitter stays below it', () => {
  fc.assert(
    fc.property(retriers, fc.nat(12), random, (retrier, retry, r) => {
      const plain = { ...retrier, JitterStrategy: 'NONE' as const };
      const full = { ...retrier, JitterStrategy: 'FULL' as const };
      const delay = delaySeconds(plain, retry, () => r);
      expect(delay).toBeLessThanOrEqual(retrier.MaxDelaySeconds ?? Number.POSITIVE_INFINITY);
      expect(delaySeconds(plain, retry + 1, () => r)).toBeGreaterThanOrEqual(delay);
      expect(delaySeconds(full, retry, () => r)).toBeLessThanOrEqual(delay);
      expect(delaySeconds(full, retry, () => 0)).toBe(0);
    }),
  );
});

test('the first delay is the interval, each next one the rate times the last, until the cap', () => {
  fc.assert(
    fc.property(retriers, fc.integer({ min: 1, max: 8 }), (retrier, retry) => {
      const plain: Retrier = { ...retrier, JitterStrategy: 'NONE' };
      const cap = retrier.MaxDelaySeconds ?? Number.POSITIVE_INFINITY;
      const [before, after] = [
        delaySeconds(plain, retry - 1, Math.random),
        delaySeconds(plain, retry, Math.random),
      ];
      expect(delaySeconds(plain, 0, Math.random)).toBe(Math.min(retrier.IntervalSeconds ?? 1, cap));
      if (after < cap) expect(after / before).toBeCloseTo(retrier.BackoffRate ?? 2, 9);
    }),
  );
});

test('a retrier gives as many attempts as it says, three unless it says', () => {
  fc.assert(
    fc.property(retriers, (retrier) => {
      const attempts = new Attempts([retrier, { ErrorEquals: ['States.ALL'] }], () => 1);
      let given = 0;
      while (attempts.next(new StatesError('E')) !== undefined) given += 1;
      expect(given).toBe(retrier.MaxAttempts ?? 3);
    }),
  );
});

test('the interpreter sleeps exactly these delays, scaled', async () => {
  await fc.assert(
    fc.asyncProperty(retriers, random, fc.constantFrom(0.02, 1, 3), async (retrier, r, timeScale) => {
      const { run, clock } = stage(
        { f: [{ error: { errorType: 'E', errorMessage: 'always' } }] },
        { random: () => r, timeScale },
      );
      const { status, types } = await run(only('T', call('f', null, { End: true, Retry: [retrier] })));
      const attempts = retrier.MaxAttempts ?? 3;
      expect(status).toBe('FAILED');
      expect(types.filter((type) => type === 'TaskFailed')).toHaveLength(attempts + 1);
      expect(clock.slept).toEqual(
        Array.from({ length: attempts }, (_, i) => delaySeconds(retrier, i, () => r) * 1000 * timeScale),
      );
    }),
    { numRuns: 30 },
  );
});
