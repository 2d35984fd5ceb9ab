/**
 * Retry: which retrier takes a failure, and after how long.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
 */

import type { Retrier } from './definition.ts';
import type { StatesError } from './errors.ts';
import { matches } from './matching.ts';

/** Defaults of the developer guide's table of retrier fields. */
const INTERVAL_SECONDS = 1;
const MAX_ATTEMPTS = 3;
const BACKOFF_RATE = 2;

/** The seconds before retry number `retry` (from 0): interval × rate^retry, capped, then jittered. */
export function delaySeconds(retrier: Retrier, retry: number, random: () => number): number {
  const { IntervalSeconds = INTERVAL_SECONDS, BackoffRate = BACKOFF_RATE, MaxDelaySeconds } = retrier;
  const grown = IntervalSeconds * BackoffRate ** retry;
  const capped = Math.min(grown, MaxDelaySeconds ?? Number.POSITIVE_INFINITY);
  // FULL: "randomizes the interval between 0 and the computed delay". NONE is the default.
  return retrier.JitterStrategy === 'FULL' ? capped * random() : capped;
}

/** The attempts of one visit to a state. Each retrier counts its own. */
export class Attempts {
  readonly #retriers: readonly Retrier[];
  readonly #random: () => number;
  readonly #spent = new Map<Retrier, number>();

  constructor(retriers: readonly Retrier[], random: () => number) {
    this.#retriers = retriers;
    this.#random = random;
  }

  /** Seconds to wait before trying again; undefined when the first matching retrier has no attempts left or none matches. */
  next(failure: StatesError): number | undefined {
    // Only the first retrier that names the error counts: a later one is not asked when its attempts are spent.
    const retrier = this.#retriers.find(({ ErrorEquals }) => matches(ErrorEquals, failure));
    if (retrier === undefined) return undefined;
    const spent = this.#spent.get(retrier) ?? 0;
    if (spent >= (retrier.MaxAttempts ?? MAX_ATTEMPTS)) return undefined;
    this.#spent.set(retrier, spent + 1);
    return delaySeconds(retrier, spent, this.#random);
  }
}
