import type { BuildState } from './build-state.ts';

type Waiting = BuildState['waiting'];

/** The wait that goes on, or a new one: the state keeps the last wait, which ended when it was ready. */
export const beginWaiting = (previous: Waiting | undefined, now: number): Waiting =>
  previous && !previous.ready ? previous : { ready: false, since: now, goneFor: 0, seen: '', seenAt: now };

/** Notes what was seen, and since when it has been so. */
export const noteSeen = (waiting: Waiting, seen: string, now: number): Waiting =>
  seen === waiting.seen ? waiting : { ...waiting, seen, seenAt: now };

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
