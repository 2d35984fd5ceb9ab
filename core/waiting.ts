import type { BuildState } from './build-state.ts';

type Waiting = BuildState['waiting'];

/** The wait that goes on, or a new one: the state keeps the last wait, which ended when it was ready. */
export const beginWaiting = (previous: Waiting | undefined, now: number): Waiting =>
  previous && !previous.ready ? previous : { ready: false, since: now, goneFor: 0, seen: '', seenAt: now };

/** Notes what was seen, and since when it has been so. */
export const noteSeen = (waiting: Waiting, seen: string, now: number): Waiting =>
  seen === waiting.seen ? waiting : { ...waiting, seen, seenAt: now };
