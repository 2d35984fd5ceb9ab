/**
 * Two families of errors that must not be mixed up: what a *state* reports (`StatesError`, visible to Retry, Catch and the
 * history) and what the *service* answers to a caller (`serviceError`, an AWS error code on the wire).
 */

import type { Json } from './definition.ts';

/**
 * An error in the sense of the Amazon States Language: a name and an optional explanation.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
 */
export class StatesError extends Error {
  /** The error name as history and `$states.errorOutput.Error` show it; a Fail state may leave it out. */
  readonly error: string | undefined;
  readonly detail: string | undefined;
  /**
   * A second name that Retry and Catch know it by. AWS reports a missed heartbeat as `States.Timeout`, and lets
   * `States.HeartbeatTimeout` catch it.
   */
  readonly alias: string | undefined;
  /** No Retry and no Catch may touch it: the execution is over. */
  readonly terminal: boolean;

  constructor(
    error: string | undefined,
    detail?: string,
    options: { alias?: string; terminal?: boolean; cause?: unknown } = {},
  ) {
    super(detail ?? error ?? 'failed', options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StatesError';
    this.error = error;
    this.detail = detail;
    this.alias = options.alias;
    // "States.Runtime errors are not retriable, and will always cause the execution to fail." (developer guide, Error names)
    this.terminal = options.terminal ?? error === 'States.Runtime';
  }

  /** What `$states.errorOutput` holds: AWS binds an empty string where a name or a cause is missing. */
  get output(): { Error: string; Cause: string } {
    return { Error: this.error ?? '', Cause: this.detail ?? '' };
  }

  /** The details of an ExecutionFailed or TaskFailed event: AWS leaves absent members out. */
  get details(): { error?: string; cause?: string } {
    return {
      ...(this.error === undefined ? {} : { error: this.error }),
      ...(this.detail === undefined ? {} : { cause: this.detail }),
    };
  }
}

/** A failed query, before the interpreter adds which state it was in. `location` is the field, as AWS writes it. */
export class QueryEvaluationError extends StatesError {
  readonly location: string;

  constructor(location: string, detail: string, cause?: unknown) {
    super('States.QueryEvaluationError', detail, { cause });
    this.location = location;
  }
}

/** Something of the Amazon States Language that this interpreter does not implement. Never ignored, always this. */
export class UnsupportedAsl extends Error {
  readonly state: string | undefined;
  readonly field: string;

  constructor(state: string | undefined, field: string) {
    super(UnsupportedAsl.describe(state, field));
    this.name = 'UnsupportedAsl';
    this.state = state;
    this.field = field;
  }

  static describe(state: string | undefined, field: string): string {
    return `UnsupportedAsl: ${state === undefined ? 'state machine' : `state ${state}`}, field ${field}`;
  }
}

/** An error that the API answers with: `name` is the AWS error code, which the HTTP front puts on the wire. */
export function serviceError(code: string, message: string, members: Record<string, Json> = {}): Error {
  return Object.assign(new Error(message), members, { name: code });
}

/** Why a branch, an attempt or a whole execution was told to end. Never reported as a state's own failure. */
export class Ended extends Error {
  /** The event which made it end: the aborted events of sibling branches point at it. */
  readonly eventId: number | undefined;

  constructor(why: string, eventId?: number) {
    super(why);
    this.name = 'Ended';
    this.eventId = eventId;
  }
}
