/** Several lines at once, for Parallel and Map: the first failure ends the others, and is the state's failure. */

import { Ended, StatesError } from './errors.ts';
import type { Line } from './visit.ts';

/** A line to start: it gets the signal that it must obey. */
export type Start<T> = (signal: AbortSignal) => { line: Line; done: Promise<T> };

/** How an iteration that did not succeed ended, and the event that ended it: the failure of the first one. */
export type OnEnded = (index: number, how: 'Failed' | 'Aborted', eventId: number) => void;

interface Running {
  index: number;
  line: Line;
  over: boolean;
}

/**
 * Runs the lines, at most `limit` at a time. After the first failure the rest are aborted and waited for; then the events
 * that tell of it are written in AWS's order: the failed line first, the aborted ones after it, all of them pointing at
 * the event of the failure. A States.Runtime error ends the execution at once and leaves no such events.
 */
export async function runLines<T>(
  outer: AbortSignal,
  starts: readonly Start<T>[],
  limit: number,
  onEnded: OnEnded = () => {},
): Promise<T[]> {
  const siblings = new AbortController();
  const signal = AbortSignal.any([outer, siblings.signal]);
  const results: T[] = [];
  const running: Running[] = [];
  let first: { failure: unknown; index: number; eventId: number } | undefined;
  let upcoming = 0;

  const lane = async () => {
    while (upcoming < starts.length && !signal.aborted) {
      const index = upcoming++;
      const start = starts[index];
      if (start === undefined) return;
      const { line, done } = start(signal);
      const entry: Running = { index, line, over: false };
      running.push(entry);
      try {
        results[index] = await done;
        entry.over = true;
      } catch (failure) {
        if (signal.aborted) return;
        first = { failure, index, eventId: line.cursor.previous };
        siblings.abort(new Ended('a sibling failed', first.eventId));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, starts.length) }, lane));

  const eventId = outer.aborted ? endedBy(outer.reason) : endedBy(siblings.signal.reason);
  const silent = first?.failure instanceof StatesError && first.failure.terminal;
  if (eventId !== undefined && !silent) {
    const failed = outer.aborted ? undefined : first?.index;
    const unfinished = running.filter(({ over }) => !over).sort((a, b) => a.index - b.index);
    unfinished.sort((a, b) => Number(b.index === failed) - Number(a.index === failed));
    for (const { index, line } of unfinished) {
      onEnded(index, index === failed ? 'Failed' : 'Aborted', eventId);
      for (const type of line.interrupted.splice(0)) {
        line.run.history.append({ previous: eventId }, `${type}StateAborted`);
      }
    }
  }
  outer.throwIfAborted();
  if (first !== undefined) throw new LinesFailed(first.failure, first.eventId);
  return results;
}

/** A group of lines that did not make it: whose failure, and the event that the state's own line goes on from. */
export class LinesFailed extends Error {
  readonly failure: unknown;
  readonly eventId: number;

  constructor(failure: unknown, eventId: number) {
    super('a line failed', { cause: failure });
    this.failure = failure;
    this.eventId = eventId;
  }
}

/** Absent when the whole execution ends: its own event says all. */
const endedBy = (reason: unknown): number | undefined =>
  reason instanceof Ended ? reason.eventId : undefined;
