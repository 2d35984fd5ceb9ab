/**
 * Task tokens: how work outside the state machine answers a `.waitForTaskToken` task.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
 */

import { randomBytes } from 'node:crypto';
import type { Json } from './definition.ts';
import { type StatesError, serviceError } from './errors.ts';

export interface PendingTask {
  readonly token: string;
  /** Settles when the worker answers. */
  readonly answer: Promise<Json>;
  /** Told on each heartbeat. */
  onHeartbeat: () => void;
  /** After this the token is known, but answered with TaskTimedOut. */
  close(): void;
}

interface Entry {
  succeed: (output: Json) => void;
  fail: (failure: StatesError) => void;
  beat: () => void;
}

export class TaskTokens {
  readonly #open = new Map<string, Entry>();
  readonly #closed = new Set<string>();

  issue(): PendingTask {
    // As long as AWS's: code that keeps tokens in a field too short for them should fail here as well.
    const token = randomBytes(480).toString('base64');
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    // The task may be gone (timed out, stopped) by the time of an answer; then nobody awaits this promise.
    promise.catch(() => {});
    const pending: PendingTask = {
      token,
      answer: promise,
      onHeartbeat: () => {},
      close: () => {
        this.#open.delete(token);
        this.#closed.add(token);
      },
    };
    this.#open.set(token, {
      succeed: (output) => {
        pending.close();
        resolve(output);
      },
      fail: (failure) => {
        pending.close();
        reject(failure);
      },
      beat: () => pending.onHeartbeat(),
    });
    return pending;
  }

  succeed(token: string, output: Json): void {
    this.#entry(token).succeed(output);
  }

  fail(token: string, failure: StatesError): void {
    this.#entry(token).fail(failure);
  }

  beat(token: string): void {
    this.#entry(token).beat();
  }

  #entry(token: string): Entry {
    const entry = this.#open.get(token);
    if (entry !== undefined) return entry;
    // "TaskTimedOut: The task token has either expired or the task associated with the token has already been closed."
    if (this.#closed.has(token)) {
      throw serviceError('TaskTimedOut', "Task Timed Out: 'Provided task does not exist anymore'");
    }
    throw serviceError('InvalidToken', "Invalid Token: 'Invalid token'");
  }
}
