/** The service's quotas that a local run must meet too, so that it cannot succeed with what AWS would refuse. */

import type { Json } from './definition.ts';
import { StatesError } from './errors.ts';

/** "Maximum input or output size for a task, state, or execution: 256 KiB of data as a UTF-8 encoded string." (Quotas) */
export const PAYLOAD_BYTES = 262_144;
/** "Maximum execution history size: 25,000 events in a single state machine execution history." (Quotas) */
export const HISTORY_EVENTS = 25_000;
/** "Maximum size of all stored variables: 10 MiB per execution." (Passing data between states with variables, Limits) */
export const VARIABLES_BYTES = 10 * 1_048_576;
/** "Maximum length of a variable name: 80 Unicode characters." (same page) */
export const VARIABLE_NAME_LENGTH = 80;
/** "Inline mode: … up to 40 concurrent iterations." (Using Map state in Inline mode) */
export const INLINE_MAP_CONCURRENCY = 40;
/** "If you don't specify … Step Functions doesn't limit concurrency and runs 10,000 parallel child workflow executions." (Distributed mode) */
export const DISTRIBUTED_MAP_CONCURRENCY = 10_000;
/** "If not provided, the default value is 99999999." (Task state, TimeoutSeconds; the same number bounds Wait.Seconds) */
export const LONGEST_SECONDS = 99_999_999;

export const bytesOf = (value: Json): number => Buffer.byteLength(JSON.stringify(value));

/** The sentence is the service's own. */
export function refuseLargeData(what: string, value: Json): void {
  if (bytesOf(value) > PAYLOAD_BYTES) {
    throw new StatesError(
      'States.DataLimitExceeded',
      `The state/task '${what}' returned a result with a size exceeding the maximum number of bytes service limit.`,
    );
  }
}
