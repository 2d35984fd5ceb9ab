/**
 * Workflow variables. A branch of a Parallel state and an iteration of a Map state see the variables around them and
 * assign only their own.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
 */

import type { Json, JsonObject } from './definition.ts';
import { StatesError } from './errors.ts';
import { bytesOf, VARIABLES_BYTES } from './limits.ts';

export class Scope {
  readonly #own = new Map<string, Json>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope, initial: JsonObject = {}) {
    this.#outer = outer;
    for (const [name, value] of Object.entries(initial)) this.#own.set(name, value);
  }

  assign(values: JsonObject): void {
    for (const [name, value] of Object.entries(values)) this.#own.set(name, value);
    if (bytesOf(this.visible()) > VARIABLES_BYTES) {
      throw new StatesError(
        'States.DataLimitExceeded',
        'The total size of the stored variables exceeds the service limit.',
      );
    }
  }

  /** Everything that an expression here may read. */
  visible(): JsonObject {
    return { ...this.#outer?.visible(), ...Object.fromEntries(this.#own) };
  }
}
