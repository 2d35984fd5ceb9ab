/**
 * JSONata as Step Functions runs it: the reference implementation (npm `jsonata`), plus the functions that the service adds,
 * minus `$eval`, with the service's wording of failures.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
 */

import { createHash, randomUUID } from 'node:crypto';
import jsonata from 'jsonata';
import type { Clock } from '../clock.ts';
import type { Json, JsonObject } from './definition.ts';
import { QueryEvaluationError } from './errors.ts';

const DELIMITED = /^\{%([\s\S]*)%\}$/;

/** The source between `{%` and `%}`; undefined for a literal string. No space may stand outside the delimiters. */
export const expressionIn = (text: string): string | undefined => DELIMITED.exec(text)?.[1]?.trim();

const HASHES = new Map([
  ['MD5', 'md5'],
  ['SHA-1', 'sha1'],
  ['SHA-256', 'sha256'],
  ['SHA-384', 'sha384'],
  ['SHA-512', 'sha512'],
]);

export interface Bindings {
  states: JsonObject;
  variables: JsonObject;
}

export class Expressions {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #compiled = new Map<string, jsonata.Expression>();

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Evaluates every expression in a template, at any depth. `field` is the path that AWS names in a failure:
   * `Output/a/b[0]`, `Choices[1]/Condition`.
   */
  async template(template: Json, bindings: Bindings, field: string): Promise<Json> {
    if (typeof template === 'string') {
      const source = expressionIn(template);
      return source === undefined ? template : this.evaluate(source, bindings, field);
    }
    if (Array.isArray(template)) {
      return Promise.all(template.map((item, i) => this.template(item, bindings, `${field}[${i}]`)));
    }
    if (template !== null && typeof template === 'object') {
      const entries = await Promise.all(
        Object.entries(template).map(async ([key, value]) => [
          key,
          await this.template(value, bindings, `${field}/${key}`),
        ]),
      );
      return Object.fromEntries(entries) as JsonObject;
    }
    return template;
  }

  async evaluate(source: string, { states, variables }: Bindings, field: string): Promise<Json> {
    let value: unknown;
    try {
      value = await this.#compile(source).evaluate(undefined, { ...variables, states });
    } catch (thrown) {
      throw new QueryEvaluationError(
        field,
        `The JSONata expression '${source}' specified for the field '${field}' threw an error during evaluation. ${explain(thrown)}`,
        thrown,
      );
    }
    // "Expressions must produce a defined value because JSON cannot represent undefined." (Transforming data)
    if (value === undefined) {
      throw new QueryEvaluationError(
        field,
        `The JSONata expression '${source}' specified for the field '${field}' returned nothing (undefined).`,
      );
    }
    return this.#plain(value, source, field);
  }

  /** Throws what the parser throws; used when a definition is created. */
  parse(source: string): jsonata.ExprNode {
    return this.#compile(source).ast();
  }

  #compile(source: string): jsonata.Expression {
    let expression = this.#compiled.get(source);
    if (expression === undefined) {
      expression = jsonata(source);
      this.#register(expression);
      this.#compiled.set(source, expression);
    }
    return expression;
  }

  /** The library marks its sequences with hidden members and hands out functions: a round trip leaves JSON or fails. */
  #plain(value: unknown, source: string, field: string): Json {
    const text = JSON.stringify(value, (_, part: unknown) => {
      if (
        typeof part === 'function' ||
        (typeof part === 'object' && part !== null && '_jsonata_lambda' in part) ||
        (typeof part === 'number' && !Number.isFinite(part))
      ) {
        throw new QueryEvaluationError(
          field,
          `The JSONata expression '${source}' specified for the field '${field}' returned an unsupported result type.`,
        );
      }
      return part;
    });
    return JSON.parse(text) as Json;
  }

  #register(expression: jsonata.Expression): void {
    const clock = this.#clock;
    const random = this.#random;
    // Arguments are `unknown`, as the caller is an expression; each function judges its own.
    expression.registerFunction('partition', (array: unknown, size: unknown) => {
      if (array === undefined) return undefined;
      if (!Array.isArray(array)) throw mismatch('partition', 1);
      if (typeof size !== 'number' || !Number.isInteger(size) || size < 1) throw mismatch('partition', 2);
      const parts: unknown[][] = [];
      for (let at = 0; at < array.length; at += size) parts.push(array.slice(at, at + size));
      return parts;
    });
    expression.registerFunction('range', (first: unknown, last: unknown, step: unknown) => {
      if (typeof first !== 'number') throw mismatch('range', 1);
      if (typeof last !== 'number') throw mismatch('range', 2);
      if (typeof step !== 'number') throw mismatch('range', 3);
      const values: number[] = [];
      // A step that leads away from the end, or nowhere, gives nothing: the service answers "returned nothing".
      if (step > 0) for (let value = first; value <= last; value += step) values.push(value);
      if (step < 0) for (let value = first; value >= last; value += step) values.push(value);
      return values.length === 0 ? undefined : values;
    });
    expression.registerFunction('hash', (text: unknown, algorithm: unknown) => {
      if (text === undefined) return undefined;
      if (typeof text !== 'string') throw mismatch('hash', 1);
      const name = typeof algorithm === 'string' ? HASHES.get(algorithm) : undefined;
      if (name === undefined) throw mismatch('hash', 2);
      return createHash(name).update(text).digest('hex');
    });
    expression.registerFunction('random', (seed: unknown) => {
      if (seed === undefined) return random();
      if (typeof seed !== 'number') throw mismatch('random', 1);
      return seeded(seed);
    });
    expression.registerFunction('uuid', () => randomUUID());
    expression.registerFunction('parse', (text: unknown) => {
      if (text === undefined) return undefined;
      if (typeof text !== 'string') throw mismatch('parse', 1);
      return JSON.parse(text) as Json;
    });
    // The service has no $eval: calling it is calling what is not a function.
    expression.registerFunction('eval', () => {
      throw Object.assign(new Error('Attempted to invoke a non-function'), { code: 'T1006' });
    });
    // The clock is injected, so an expression must not look at another one.
    expression.registerFunction('millis', () => clock.now());
    expression.registerFunction('now', (picture: unknown, zone: unknown) =>
      jsonata('$fromMillis(ms, picture, zone)').evaluate({ ms: clock.now(), picture, zone }),
    );
  }
}

/** The same seed gives the same number (mulberry32); AWS promises no more than that. */
function seeded(seed: number): number {
  let state = (seed + 0x6d2b79f5) | 0;
  state = Math.imul(state ^ (state >>> 15), state | 1);
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
  return ((state ^ (state >>> 14)) >>> 0) / 4_294_967_296;
}

const mismatch = (name: string, argument: number): Error =>
  Object.assign(new Error(`Argument ${argument} of function "${name}" does not match function signature`), {
    code: 'T0410',
  });

function explain(thrown: unknown): string {
  const { code, message } = thrown as { code?: unknown; message?: unknown };
  return typeof code === 'string' ? `${code}: ${String(message)}` : String(message ?? thrown);
}
