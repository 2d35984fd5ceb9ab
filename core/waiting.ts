import type { BuildState } from './build-state.ts';
import { FactoryError } from './errors.ts';

type Waiting = BuildState['waiting'];

/** The wait that goes on, or a new one: the state keeps the last wait, which ended when it was ready. */
export const beginWaiting = (previous: Waiting | undefined, now: number): Waiting =>
  previous && !previous.ready ? previous : { ready: false, since: now, goneFor: 0, seen: '', seenAt: now };

/** Notes what was seen, and since when it has been so. */
export const noteSeen = (waiting: Waiting, seen: string, now: number): Waiting =>
  seen === waiting.seen ? waiting : { ...waiting, seen, seenAt: now };

const MINUTE = 60_000;

/** The wait, while it lasts no longer than that. Throws `WaitTimedOut`. */
export function within(waiting: Waiting, now: number, limit: number, what: string): Waiting {
  if (now - waiting.since <= limit) return waiting;
  throw new FactoryError('WaitTimedOut', {
    message: `${what} is still ${waiting.seen} after ${Math.round(limit / MINUTE)} minutes`,
    remedy: 'look at the resource in the EC2 console and at the AWS Health Dashboard; then build again.',
  });
}

/** The console of an ended instance may be posted late (GetConsoleOutput): four polls are half a minute. */
export const GONE_POLLS = 4;

/** What one look at an instance and its console tells, of a worker and of a machine under test alike. */
export interface InstanceFacts {
  /** Key of the kept console in the artifacts bucket. */
  readonly console: string;
  /** Looks since the instance ended without having said what was waited for. */
  readonly goneFor: number;
  /** State of the instance and why it is in it. */
  readonly lastWords: string;
  /** Milliseconds since the console last changed. */
  readonly silentFor: number;
  readonly secondsTaken: number;
  readonly secondsAllowed: number;
}
