import type { Clock } from '../clock.ts';
import { throttled } from './errors.ts';

/**
 * "Amazon EBS endpoints and quotas", EBS direct APIs: requests a second in an account. Each bucket holds the requests of one second:
 * how many may come at once is not published.
 */
const PER_ACCOUNT: Readonly<Record<string, number>> = {
  StartSnapshot: 10,
  CompleteSnapshot: 10,
  PutSnapshotBlock: 1000,
  GetSnapshotBlock: 1000,
  ListSnapshotBlocks: 50,
  ListChangedBlocks: 50,
};

/** The same page: of one snapshot, and not adjustable. */
const PER_SNAPSHOT: Readonly<Record<string, number>> = { PutSnapshotBlock: 1000, GetSnapshotBlock: 1000 };

/** Token buckets of the EBS direct APIs. */
export class EbsThrottle {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes what one call costs or throws RequestThrottledException. */
  take(action: string, snapshotId: string | undefined): void {
    const ofSnapshot = PER_SNAPSHOT[action];
    if (ofSnapshot !== undefined && !this.#take(`${action} ${snapshotId}`, ofSnapshot)) {
      throw throttled('RESOURCE_LEVEL_THROTTLE');
    }
    const ofAccount = PER_ACCOUNT[action];
    if (ofAccount !== undefined && !this.#take(action, ofAccount)) throw throttled('ACCOUNT_THROTTLED');
  }

  #take(name: string, rate: number): boolean {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(name) ?? { tokens: rate, at: now };
    bucket.tokens = Math.min(rate, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    bucket.at = now;
    this.#buckets.set(name, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
