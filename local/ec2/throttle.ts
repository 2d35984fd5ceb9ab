import type { Clock } from '../clock.ts';
import { ServiceError } from '../front/service-error.ts';

/** An action of the EC2 API. */
export type ActionName = string;

interface Rate {
  /** Tokens the bucket holds. */
  size: number;
  /** Tokens per second. */
  refill: number;
}

/**
 * Amazon EC2 Developer Guide, "Request throttling for the Amazon EC2 API": request token buckets per action, and for
 * RunInstances and TerminateInstances a second, resource bucket that pays per instance.
 */
const CALL_BUCKETS: Record<string, Rate> = {
  RunInstances: { size: 5, refill: 2 },
  StartInstances: { size: 5, refill: 2 },
  CopyImage: { size: 100, refill: 1 },
  CreateSnapshot: { size: 100, refill: 5 },
  CreateSnapshots: { size: 100, refill: 5 },
  DeleteSnapshot: { size: 100, refill: 5 },
  DeregisterImage: { size: 100, refill: 5 },
  ModifyImageAttribute: { size: 100, refill: 5 },
  ModifySnapshotAttribute: { size: 100, refill: 5 },
  CreateVolume: { size: 100, refill: 5 },
  TerminateInstances: { size: 100, refill: 5 },
  CreateTags: { size: 100, refill: 10 },
};
const READS: Rate = { size: 100, refill: 20 };
/** "Unfiltered and unpaginated non-mutating actions". */
const UNFILTERED: Rate = { size: 50, refill: 10 };
const UNFILTERED_ACTIONS = new Set(['DescribeSnapshots', 'DescribeInstances', 'DescribeVolumes']);
const WRITES: Rate = { size: 50, refill: 5 };
const RESOURCE_BUCKETS: Record<string, Rate> = {
  RunInstances: { size: 1000, refill: 2 },
  StartInstances: { size: 1000, refill: 2 },
  TerminateInstances: { size: 1000, refill: 20 },
};

/** Token buckets, at the published sizes and rates. */
export class Throttle {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes what one call costs or throws RequestLimitExceeded. */
  take(action: ActionName, input: Record<string, unknown>): void {
    const read = /^(Describe|Get|List)/.test(action);
    const unfiltered =
      UNFILTERED_ACTIONS.has(action) &&
      !Object.keys(input).some((key) => key === 'Filters' || key === 'MaxResults' || key.endsWith('Ids'));
    const rate = CALL_BUCKETS[action] ?? (unfiltered ? UNFILTERED : read ? READS : WRITES);
    this.#take(unfiltered ? `${action} unfiltered` : action, rate, 1);
    const resources = RESOURCE_BUCKETS[action];
    if (resources) {
      const ids = input.InstanceIds;
      this.#take(
        `${action} resources`,
        resources,
        Array.isArray(ids) ? ids.length : Number(input.MaxCount ?? 1),
      );
    }
  }

  #take(name: string, rate: Rate, cost: number): void {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(name) ?? { tokens: rate.size, at: now };
    bucket.tokens = Math.min(rate.size, bucket.tokens + ((now - bucket.at) / 1000) * rate.refill);
    bucket.at = now;
    this.#buckets.set(name, bucket);
    // A request for more than a full bucket could never pass: it takes the bucket as far as it goes.
    const price = Math.min(cost, rate.size);
    if (bucket.tokens < price) throw new ServiceError('RequestLimitExceeded', 'Request limit exceeded.', 503);
    bucket.tokens -= price;
  }
}
