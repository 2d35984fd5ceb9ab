/** Several lines at once, for Parallel and Map: the first failure ends the others, and is theirs no more. */

import { Ended } from './errors.ts';
import type { Line } from './visit.ts';

/** A line to start: it gets the signal that it must obey. */
export type Start<T> = (signal: AbortSignal) => { line: Line; done: Promise<T> };

export interface FirstFailure {
  failure: unknown;
  /** The last event of the line that failed. */
  eventId: number;
}

export class LinesFailed extends Error {
  readonly first: FirstFailure;

  constructor(first: FirstFailure) {
    super('a line failed');
    this.first = first;
  }
}

/**
 * Runs the lines, at most `limit` at a time. On the first failure `onFailure` is told at once (AWS logs the failed
 * iteration before the aborted ones), then the rest are aborted and waited for, so that their events come before ours.
 */
export async function runLines<T>(
  outer: AbortSignal,
  starts: readonly Start<T>[],
  limit: number,
  onFailure: (index: number, line: Line) => void = () => {},
): Promise<T[]> {
  const siblings = new AbortController();
  const signal = AbortSignal.any([outer, siblings.signal]);
  const results: T[] = [];
  let first: FirstFailure | undefined;
  let upcoming = 0;

  const lane = async () => {
    while (upcoming < starts.length && !signal.aborted) {
      const index = upcoming++;
      const start = starts[index];
      if (start === undefined) return;
      const { line, done } = start(signal);
      try {
        results[index] = await done;
      } catch (failure) {
        if (signal.aborted) return;
        first = { failure, eventId: line.cursor.previous };
        try {
          onFailure(index, line);
        } finally {
          siblings.abort(new Ended('a sibling failed', first.eventId));
        }
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, starts.length) }, lane));
  outer.throwIfAborted();
  if (first !== undefined) throw new LinesFailed(first);
  return results;
}
