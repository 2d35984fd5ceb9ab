/**
 * The event history of one execution, shaped as GetExecutionHistory answers it.
 * @see https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
 */

import type { Clock } from '../clock.ts';
import type { Json } from './definition.ts';
import { Ended, StatesError } from './errors.ts';
import { HISTORY_EVENTS } from './limits.ts';

export interface HistoryEvent {
  id: number;
  previousEventId: number;
  /** Epoch milliseconds; the wire has seconds. */
  timestamp: number;
  type: string;
  [details: `${string}EventDetails`]: { [member: string]: Json };
}

/**
 * Where a line of events has got to. Each branch and each iteration has its own, which is how `previousEventId` tells
 * concurrent lines apart; the first state of an execution points at 0, not at ExecutionStarted (as AWS records it).
 */
export interface Cursor {
  previous: number;
}

type EventDetails = { [details: `${string}EventDetails`]: { [member: string]: Json } };

export class History {
  readonly #clock: Clock;
  readonly #sink: (event: HistoryEvent) => void;
  #count: number;
  #sealed = false;

  constructor(clock: Clock, sink: (event: HistoryEvent) => void, alreadyThere = 0) {
    this.#clock = clock;
    this.#sink = sink;
    this.#count = alreadyThere;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds an event after the cursor and moves it. */
  append(cursor: Cursor, type: string, details: EventDetails = {}): number {
    if (this.#sealed) throw new Ended('the execution is over');
    // The last place is kept for the event which says that the execution failed.
    if (this.#count >= HISTORY_EVENTS - 1) {
      throw new StatesError(
        'States.Runtime',
        `The execution reached the maximum number of history events (${HISTORY_EVENTS}).`,
        { terminal: true },
      );
    }
    return this.#add(cursor, type, details);
  }

  /** Adds the last event. Whatever still winds down afterwards finds the history closed. */
  end(cursor: Cursor, type: string, details: EventDetails = {}): number {
    this.#sealed = true;
    return this.#add(cursor, type, details);
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  #add(cursor: Cursor, type: string, details: EventDetails): number {
    this.#count += 1;
    const event: HistoryEvent = {
      id: this.#count,
      previousEventId: cursor.previous,
      timestamp: this.#clock.now(),
      type,
      ...details,
    };
    this.#sink(event);
    cursor.previous = event.id;
    return event.id;
  }
}

/** Data members of events travel as JSON text, with a note that nothing was cut. */
export const dataOf = <Member extends 'input' | 'output'>(member: Member, value: Json) =>
  ({ [member]: JSON.stringify(value), [`${member}Details`]: { truncated: false } }) as Record<string, Json>;
