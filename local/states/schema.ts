/**
 * What a definition must be before it is created, and again before it runs. Anything that the interpreter does not
 * implement is refused by name here, so nothing can be ignored there.
 *
 * Codes and sentences of the other refusals are the service's own, as CreateStateMachine and
 * ValidateStateMachineDefinition answer them.
 * @see https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
 */

import type { Definition, Json, JsonObject, StateType } from './definition.ts';
import { StatesError, UnsupportedAsl } from './errors.ts';
import { isSupported, parseResource, unknownArgument } from './integrations.ts';
import { type Expressions, expressionIn } from './jsonata.ts';
import { LONGEST_SECONDS, VARIABLE_NAME_LENGTH } from './limits.ts';
import { findReferences } from './references.ts';
import { isTimestamp } from './wait.ts';

export interface Diagnostic {
  severity: 'ERROR';
  code: string;
  message: string;
  /** Absent for what concerns the whole machine. */
  location?: string;
}

const ONWARD = ['Next', 'End'];
const GUARDED = ['Retry', 'Catch'];
const LEAVING = ['Assign', 'Output'];

/** Every field that a state may have, by type, besides Type, Comment and QueryLanguage. */
const FIELDS: Record<StateType, readonly string[]> = {
  Task: [...ONWARD, ...GUARDED, ...LEAVING, 'Resource', 'Arguments', 'TimeoutSeconds', 'HeartbeatSeconds'],
  Pass: [...ONWARD, ...LEAVING],
  Wait: [...ONWARD, ...LEAVING, 'Seconds', 'Timestamp'],
  Choice: [...LEAVING, 'Choices', 'Default'],
  Succeed: ['Output'],
  Fail: ['Error', 'Cause'],
  Parallel: [...ONWARD, ...GUARDED, ...LEAVING, 'Branches', 'Arguments'],
  Map: [
    ...ONWARD,
    ...GUARDED,
    ...LEAVING,
    'Items',
    'ItemSelector',
    'ItemProcessor',
    'MaxConcurrency',
    'ItemReader',
    'ToleratedFailureCount',
    'ToleratedFailurePercentage',
    'Label',
  ],
};

/** Fields of a Map state that mean something in distributed mode only ("Distributed Map state fields"). */
const DISTRIBUTED_ONLY = ['ItemReader', 'ToleratedFailureCount', 'ToleratedFailurePercentage', 'Label'];

const REQUIRED: Partial<Record<StateType, readonly string[]>> = {
  Task: ['Resource'],
  Choice: ['Choices'],
  Parallel: ['Branches'],
  Map: ['ItemProcessor'],
};

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface SchemaOptions {
  expressions: Expressions;
  /** Whether `aws-sdk:*` resources have somebody to answer them. */
  sdkHandler: boolean;
}

/** All that is wrong with a definition; an empty list means that the interpreter can run it. */
export function diagnose(definition: unknown, options: SchemaOptions): Diagnostic[] {
  return new Inspection(options).machine(definition as Json);
}

/** For the interpreter's own door: a stored definition may be older than these rules. */
export function assertRunnable(
  definition: unknown,
  options: SchemaOptions,
): asserts definition is Definition {
  const [first] = diagnose(definition, options);
  if (first !== undefined) throw new StatesError('States.Runtime', describe(first));
}

/** As CreateStateMachine writes a diagnostic into its InvalidDefinition message. */
export const describe = ({ code, message, location }: Diagnostic): string =>
  code === UNSUPPORTED
    ? `${message} at ${location ?? 'null'}`
    : `${code}: ${message} at ${location ?? 'null'}`;

const UNSUPPORTED = 'UNSUPPORTED_ASL';
const SCHEMA = 'SCHEMA_VALIDATION_FAILED';

class Inspection {
  readonly #expressions: Expressions;
  readonly #sdkHandler: boolean;
  readonly #found: Diagnostic[] = [];
  readonly #names = new Set<string>();

  constructor({ expressions, sdkHandler }: SchemaOptions) {
    this.#expressions = expressions;
    this.#sdkHandler = sdkHandler;
  }

  machine(definition: Json): Diagnostic[] {
    if (!isObject(definition)) {
      this.#wrong(SCHEMA, 'The definition must be an object', '/');
      return this.#found;
    }
    this.#onlyFields(
      definition,
      ['Comment', 'StartAt', 'States', 'QueryLanguage', 'TimeoutSeconds', 'Version'],
      undefined,
      '/',
    );
    // JSONPath is the language's default, so the field cannot be left out.
    if (definition.QueryLanguage !== 'JSONata') {
      this.#unsupported(
        undefined,
        `QueryLanguage (${definition.QueryLanguage === undefined ? 'JSONPath by default' : JSON.stringify(definition.QueryLanguage)})`,
        '/',
      );
    }
    if (definition.Version !== undefined && definition.Version !== '1.0') {
      this.#unsupported(undefined, `Version ${JSON.stringify(definition.Version)}`, '/Version');
    }
    this.#string(definition, 'Comment', '/Comment');
    const { TimeoutSeconds: timeout } = definition;
    if (timeout !== undefined && !isWhole(timeout, 1)) this.#mustBe('a positive integer', '/TimeoutSeconds');
    this.#container(definition, '', []);
    return this.#found;
  }

  /** `outer` are the names that the enclosing scopes assign. */
  #container(container: JsonObject, at: string, outer: readonly string[]): void {
    const missing = ['StartAt', 'States'].filter((field) => container[field] === undefined);
    if (missing.length > 0) {
      this.#wrong(SCHEMA, `These fields are required: [${missing.join(', ')}]`, at === '' ? '/' : at);
      return;
    }
    const { StartAt: start, States: states } = container;
    if (!isObject(states)) {
      this.#mustBe('an object', `${at}/States`);
      return;
    }
    if (typeof start !== 'string') {
      this.#mustBe('a string', `${at}/StartAt`);
      return;
    }

    const assigned = assignedIn(states);
    for (const name of assigned) {
      // "A variable in an inner scope cannot have the name of one in an outer scope": reading it would be ambiguous.
      if (outer.includes(name)) {
        this.#wrong(SCHEMA, `Variable '${name}' is already assigned in an outer scope`, `${at}/States`);
      }
    }
    for (const [name, state] of Object.entries(states)) {
      if (this.#names.has(name))
        this.#wrong('DUPLICATE_STATE_NAME', `State names must be unique: ${name}`, `${at}/States/${name}`);
      this.#names.add(name);
      this.#state(name, state, `${at}/States/${name}`, [...outer, ...assigned]);
    }
    this.#transitions(start, states, at);
  }

  #state(name: string, state: Json, at: string, scope: readonly string[]): void {
    if (!isObject(state)) {
      this.#mustBe('an object', at);
      return;
    }
    if (Array.from(name).length > 80)
      this.#wrong(SCHEMA, 'State name must not be longer than 80 characters', at);
    const type = state.Type;
    if (typeof type !== 'string') {
      this.#wrong(SCHEMA, 'These fields are required: [Type]', at);
      return;
    }
    if (!Object.hasOwn(FIELDS, type)) {
      this.#unsupported(name, `Type ${type}`, at);
      return;
    }
    const known = type as StateType;
    this.#onlyFields(state, ['Type', 'Comment', 'QueryLanguage', ...FIELDS[known]], name, at);
    if (state.QueryLanguage !== undefined && state.QueryLanguage !== 'JSONata') {
      this.#unsupported(name, `QueryLanguage (${JSON.stringify(state.QueryLanguage)})`, at);
    }
    const missing = (REQUIRED[known] ?? []).filter((field) => state[field] === undefined);
    if (missing.length > 0) this.#wrong(SCHEMA, `These fields are required: [${missing.join(', ')}]`, at);
    this.#string(state, 'Comment', `${at}/Comment`);
    if (FIELDS[known].includes('Next')) this.#onward(state, at);
    this.#leaving(state, at, known === 'Task' || known === 'Parallel' || known === 'Map' ? ['result'] : []);
    if (FIELDS[known].includes('Retry')) this.#guards(state, name, at);
    this.#byType(known, name, state, at, scope);
  }

  #byType(type: StateType, name: string, state: JsonObject, at: string, scope: readonly string[]): void {
    switch (type) {
      case 'Task':
        this.#task(name, state, at);
        return;
      case 'Wait':
        this.#wait(state, at);
        return;
      case 'Choice':
        this.#choice(name, state, at);
        return;
      case 'Fail':
        for (const field of ['Error', 'Cause']) {
          this.#string(state, field, `${at}/${field}`);
          this.#template(state[field], `${at}/${field}`, []);
        }
        return;
      case 'Parallel':
        this.#parallel(name, state, at, scope);
        return;
      case 'Map':
        this.#map(name, state, at, scope);
        return;
      default:
        return;
    }
  }

  #task(name: string, state: JsonObject, at: string): void {
    const { Resource: arn, Arguments: args, TimeoutSeconds: timeout, HeartbeatSeconds: heartbeat } = state;
    this.#template(args, `${at}/Arguments`, []);
    if (typeof arn === 'string') {
      const resource = parseResource(arn);
      if (resource === undefined || !isSupported(resource, this.#sdkHandler)) {
        this.#unsupported(name, `Resource ${arn}`, `${at}/Resource`);
      } else {
        const unknown = unknownArgument(resource, args);
        if (unknown !== undefined)
          this.#unsupported(name, `Arguments/${unknown}`, `${at}/Arguments/${unknown}`);
      }
    } else if (arn !== undefined) {
      this.#mustBe('a string', `${at}/Resource`);
    }
    this.#number(timeout, 1, `${at}/TimeoutSeconds`);
    this.#number(heartbeat, 1, `${at}/HeartbeatSeconds`);
    if (typeof timeout === 'number' && typeof heartbeat === 'number' && heartbeat >= timeout) {
      this.#wrong(SCHEMA, "'HeartbeatSeconds' must be smaller than 'TimeoutSeconds'", at);
    }
  }

  #wait(state: JsonObject, at: string): void {
    const { Seconds: seconds, Timestamp: timestamp } = state;
    if ((seconds === undefined) === (timestamp === undefined)) {
      this.#wrong(SCHEMA, "A Wait state must have exactly one of 'Seconds' and 'Timestamp'", at);
    }
    this.#number(seconds, 0, `${at}/Seconds`);
    if (timestamp === undefined) return;
    this.#template(timestamp, `${at}/Timestamp`, []);
    if (typeof timestamp !== 'string' || (expressionIn(timestamp) === undefined && !isTimestamp(timestamp))) {
      this.#mustBe('a timestamp', `${at}/Timestamp`);
    }
  }

  #choice(name: string, state: JsonObject, at: string): void {
    const { Choices: rules } = state;
    if (rules === undefined) return;
    if (!Array.isArray(rules) || rules.length === 0) {
      this.#mustBe('a non-empty array', `${at}/Choices`);
      return;
    }
    for (const [i, rule] of rules.entries()) {
      const here = `${at}/Choices[${i}]`;
      if (!isObject(rule)) {
        this.#mustBe('an object', here);
        continue;
      }
      this.#onlyFields(rule, ['Condition', 'Next', 'Comment', ...LEAVING], name, here);
      const missing = ['Condition', 'Next'].filter((field) => rule[field] === undefined);
      if (missing.length > 0) this.#wrong(SCHEMA, `These fields are required: [${missing.join(', ')}]`, here);
      const { Condition: condition } = rule;
      if (
        condition !== undefined &&
        !(typeof condition === 'string' && expressionIn(condition) !== undefined)
      ) {
        this.#mustBe('a JSONata expression', `${here}/Condition`);
      }
      this.#template(condition, `${here}/Condition`, []);
      this.#string(rule, 'Next', `${here}/Next`);
      this.#string(rule, 'Comment', `${here}/Comment`);
      this.#leaving(rule, here, []);
    }
    this.#string(state, 'Default', `${at}/Default`);
  }

  #parallel(name: string, state: JsonObject, at: string, scope: readonly string[]): void {
    const { Branches: branches, Arguments: args } = state;
    this.#template(args, `${at}/Arguments`, []);
    if (branches === undefined) return;
    if (!Array.isArray(branches) || branches.length === 0) {
      this.#mustBe('a non-empty array', `${at}/Branches`);
      return;
    }
    for (const [i, branch] of branches.entries()) {
      const here = `${at}/Branches[${i}]`;
      if (!isObject(branch)) {
        this.#mustBe('an object', here);
        continue;
      }
      this.#onlyFields(branch, ['StartAt', 'States', 'Comment'], name, here);
      this.#container(branch, here, scope);
    }
  }

  #map(name: string, state: JsonObject, at: string, scope: readonly string[]): void {
    const {
      ItemProcessor: processor,
      Items: items,
      ItemSelector: selector,
      MaxConcurrency: concurrency,
    } = state;
    this.#template(items, `${at}/Items`, []);
    if (
      items !== undefined &&
      !Array.isArray(items) &&
      !(typeof items === 'string' && expressionIn(items) !== undefined)
    ) {
      this.#mustBe('an array or a JSONata expression', `${at}/Items`);
    }
    this.#template(selector, `${at}/ItemSelector`, []);
    this.#number(concurrency, 0, `${at}/MaxConcurrency`);
    if (processor === undefined) return;
    const here = `${at}/ItemProcessor`;
    if (!isObject(processor)) {
      this.#mustBe('an object', here);
      return;
    }
    this.#onlyFields(processor, ['StartAt', 'States', 'Comment', 'ProcessorConfig'], name, here);
    const { ProcessorConfig: config } = processor;
    let distributed = false;
    if (config !== undefined) {
      if (!isObject(config)) {
        this.#mustBe('an object', `${here}/ProcessorConfig`);
        return;
      }
      this.#onlyFields(config, ['Mode', 'ExecutionType'], name, `${here}/ProcessorConfig`);
      const { Mode: mode, ExecutionType: type } = config;
      distributed = mode === 'DISTRIBUTED';
      if (mode !== undefined && mode !== 'INLINE' && !distributed) {
        this.#unsupported(
          name,
          `ItemProcessor/ProcessorConfig/Mode ${JSON.stringify(mode)}`,
          `${here}/ProcessorConfig/Mode`,
        );
      }
      // "You must also specify ExecutionType": EXPRESS children are not emulated, and inline iterations have no type.
      if (distributed && type === undefined) {
        this.#wrong(SCHEMA, 'These fields are required: [ExecutionType]', `${here}/ProcessorConfig`);
      } else if (type !== undefined && !(distributed && type === 'STANDARD')) {
        this.#unsupported(
          name,
          `ItemProcessor/ProcessorConfig/ExecutionType ${JSON.stringify(type)}`,
          `${here}/ProcessorConfig/ExecutionType`,
        );
      }
    }
    this.#distributed(name, state, at, distributed);
    this.#container(processor, here, scope);
  }

  #distributed(name: string, state: JsonObject, at: string, distributed: boolean): void {
    if (!distributed) {
      for (const field of DISTRIBUTED_ONLY) {
        if (state[field] !== undefined) this.#unsupported(name, `${field} in inline mode`, `${at}/${field}`);
      }
      return;
    }
    const { ItemReader: reader, ToleratedFailurePercentage: percentage, Label: label } = state;
    this.#number(state.ToleratedFailureCount, 0, `${at}/ToleratedFailureCount`);
    if (typeof percentage === 'string' && expressionIn(percentage) !== undefined) {
      this.#template(percentage, `${at}/ToleratedFailurePercentage`, []);
    } else if (
      percentage !== undefined &&
      !(typeof percentage === 'number' && percentage >= 0 && percentage <= 100)
    ) {
      this.#mustBe('a number from 0 to 100 or a JSONata expression', `${at}/ToleratedFailurePercentage`);
    }
    // "Labels can't exceed 40 characters": the same signs are forbidden as in names.
    if (label !== undefined && !(typeof label === 'string' && /^[\w.+=@()'!-]{1,40}$/.test(label))) {
      this.#mustBe('a label of at most 40 characters', `${at}/Label`);
    }
    if (reader === undefined) return;
    const here = `${at}/ItemReader`;
    if (!isObject(reader)) {
      this.#mustBe('an object', here);
      return;
    }
    // Items and a reader at once: what the service does with both is not said.
    if (state.Items !== undefined) this.#unsupported(name, 'Items beside ItemReader', `${at}/Items`);
    this.#onlyFields(reader, ['Resource', 'Arguments', 'ReaderConfig'], name, here);
    const { Resource: resource, Arguments: args, ReaderConfig: config } = reader;
    if (resource !== 'arn:aws:states:::s3:getObject') {
      this.#unsupported(name, `ItemReader/Resource ${JSON.stringify(resource)}`, `${here}/Resource`);
    }
    this.#template(args, `${here}/Arguments`, []);
    if (isObject(args)) this.#onlyFields(args, ['Bucket', 'Key'], name, `${here}/Arguments`);
    else this.#mustBe('an object', `${here}/Arguments`);
    if (!isObject(config)) {
      this.#mustBe('an object', `${here}/ReaderConfig`);
      return;
    }
    this.#onlyFields(config, ['InputType', 'ItemsPointer'], name, `${here}/ReaderConfig`);
    if (config.InputType !== 'JSON') {
      this.#unsupported(
        name,
        `ItemReader/ReaderConfig/InputType ${JSON.stringify(config.InputType)}`,
        `${here}/ReaderConfig/InputType`,
      );
    }
    const { ItemsPointer: pointer } = config;
    if (pointer !== undefined && !(typeof pointer === 'string' && /^(\/[^/]+)+$/.test(pointer))) {
      this.#mustBe('a JSON Pointer', `${here}/ReaderConfig/ItemsPointer`);
    }
  }

  #onward(state: JsonObject, at: string): void {
    const { Next: next, End: end } = state;
    this.#string(state, 'Next', `${at}/Next`);
    if (end !== undefined && typeof end !== 'boolean') this.#mustBe('a boolean', `${at}/End`);
    if ((next === undefined) === (end !== true)) {
      this.#wrong(SCHEMA, "A state must have exactly one of 'Next' and 'End'", at);
    }
  }

  #leaving(by: JsonObject, at: string, extra: readonly string[]): void {
    const { Assign: assign, Output: output } = by;
    this.#template(output, `${at}/Output`, extra);
    if (assign === undefined) return;
    if (!isObject(assign)) {
      this.#mustBe('an object', `${at}/Assign`);
      return;
    }
    for (const name of Object.keys(assign)) {
      // "Variable names … must be Unicode-identifier-like, up to 80 characters; `states` is reserved": letters, digits and _ here.
      if (!NAME.test(name) || name.length > VARIABLE_NAME_LENGTH || name === 'states') {
        this.#wrong(SCHEMA, `'${name}' is not a valid variable name`, `${at}/Assign/${name}`);
      }
    }
    this.#template(assign, `${at}/Assign`, extra);
  }

  #guards(state: JsonObject, name: string, at: string): void {
    this.#each(state.Retry, `${at}/Retry`, (retrier, here) => {
      this.#onlyFields(
        retrier,
        [
          'ErrorEquals',
          'IntervalSeconds',
          'MaxAttempts',
          'BackoffRate',
          'MaxDelaySeconds',
          'JitterStrategy',
          'Comment',
        ],
        name,
        here,
      );
      const { IntervalSeconds, MaxAttempts, BackoffRate, MaxDelaySeconds, JitterStrategy } = retrier;
      if (IntervalSeconds !== undefined && !isWhole(IntervalSeconds, 1))
        this.#mustBe('a positive integer', `${here}/IntervalSeconds`);
      if (MaxAttempts !== undefined && !isWhole(MaxAttempts, 0))
        this.#mustBe('a non-negative integer', `${here}/MaxAttempts`);
      if (BackoffRate !== undefined && !(typeof BackoffRate === 'number' && BackoffRate >= 1)) {
        this.#mustBe('a number of at least 1.0', `${here}/BackoffRate`);
      }
      // "MaxDelaySeconds … must be greater than 0 and less than 31622400."
      if (
        MaxDelaySeconds !== undefined &&
        !(isWhole(MaxDelaySeconds, 1) && Number(MaxDelaySeconds) < 31_622_400)
      ) {
        this.#mustBe('an integer from 1 to 31622399', `${here}/MaxDelaySeconds`);
      }
      if (JitterStrategy !== undefined && JitterStrategy !== 'FULL' && JitterStrategy !== 'NONE') {
        this.#mustBe('FULL or NONE', `${here}/JitterStrategy`);
      }
    });
    this.#each(state.Catch, `${at}/Catch`, (catcher, here) => {
      this.#onlyFields(catcher, ['ErrorEquals', 'Next', 'Comment', ...LEAVING], name, here);
      if (typeof catcher.Next !== 'string') this.#wrong(SCHEMA, 'These fields are required: [Next]', here);
      this.#leaving(catcher, here, ['errorOutput']);
    });
  }

  /** The members of a Retry or Catch, with the rules for ErrorEquals that both share. */
  #each(list: Json | undefined, at: string, check: (item: JsonObject, at: string) => void): void {
    if (list === undefined) return;
    if (!Array.isArray(list)) {
      this.#mustBe('an array', at);
      return;
    }
    for (const [i, item] of list.entries()) {
      const here = `${at}[${i}]`;
      if (!isObject(item)) {
        this.#mustBe('an object', here);
        continue;
      }
      check(item, here);
      const { ErrorEquals: names } = item;
      if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string')) {
        this.#mustBe('a non-empty array of strings', `${here}/ErrorEquals`);
        continue;
      }
      // "States.ALL … must appear alone in ErrorEquals and must be in the last retrier or catcher."
      if (names.includes('States.ALL') && (names.length > 1 || i < list.length - 1)) {
        this.#wrong(SCHEMA, "'States.ALL' must appear alone and in the last position", `${here}/ErrorEquals`);
      }
    }
  }

  /** Targets exist, every state is reached, and there is a way to end. */
  #transitions(start: string, states: JsonObject, at: string): void {
    const reached = new Set<string>();
    const reach = (target: Json | undefined, from: string) => {
      if (typeof target !== 'string') return;
      if (Object.hasOwn(states, target)) reached.add(target);
      // AWS says 'Next' whatever the field is called.
      else this.#wrong('MISSING_TRANSITION_TARGET', `Missing 'Next' target: ${target}`, from);
    };
    reach(start, `${at}/StartAt`);
    for (const [name, state] of Object.entries(states)) {
      if (!isObject(state)) continue;
      const here = `${at}/States/${name}`;
      reach(state.Next, `${here}/Next`);
      reach(state.Default, `${here}/Default`);
      for (const list of ['Choices', 'Catch']) {
        const items = state[list];
        if (!Array.isArray(items)) continue;
        for (const [i, item] of items.entries())
          if (isObject(item)) reach(item.Next, `${here}/${list}[${i}]/Next`);
      }
    }
    const ends = Object.values(states).some(
      (state) => isObject(state) && (state.End === true || state.Type === 'Succeed' || state.Type === 'Fail'),
    );
    if (!ends) {
      // Without an end, AWS does not look for unreachable states any more.
      this.#found.push({
        severity: 'ERROR',
        code: 'MISSING_END_STATE',
        message: 'Workflow has no terminal state',
      });
      return;
    }
    for (const name of Object.keys(states)) {
      if (!reached.has(name))
        this.#wrong('MISSING_TRANSITION_TARGET', `State "${name}" is not reachable.`, `${at}/States/${name}`);
    }
  }

  /** Every string of a template: it is an expression that parses and reads only what is there, or a literal. */
  #template(template: Json | undefined, at: string, extra: readonly string[]): void {
    if (typeof template === 'string') {
      const source = expressionIn(template);
      if (source !== undefined) {
        this.#expression(source, at, extra);
        return;
      }
      if (/^\s*\{%|%\}\s*$/.test(template)) {
        this.#wrong(
          'INVALID_JSONATA_EXPRESSION',
          'A JSONata expression must start with {% and end with %}',
          at,
        );
      }
      return;
    }
    if (Array.isArray(template)) {
      for (const [i, item] of template.entries()) this.#template(item, `${at}[${i}]`, extra);
      return;
    }
    if (isObject(template)) {
      for (const [key, value] of Object.entries(template)) this.#template(value, `${at}/${key}`, extra);
    }
  }

  #expression(source: string, at: string, extra: readonly string[]): void {
    let tree: unknown;
    try {
      tree = this.#expressions.parse(source);
    } catch (thrown) {
      const { message } = thrown as { message?: unknown };
      this.#wrong('INVALID_JSONATA_EXPRESSION', String(message ?? thrown), at);
      return;
    }
    const { topLevel, states, evaluates } = findReferences(tree);
    for (const name of topLevel) {
      this.#wrong(
        'UNSUPPORTED_JSONATA_EXPRESSION',
        `Reference to '${name}' at the top level is not supported.`,
        at,
      );
    }
    // AWS lets `$eval` be created and fails it when it runs; nobody wants to find out that late.
    if (evaluates) this.#wrong('UNSUPPORTED_JSONATA_EXPRESSION', "Function '$eval' is not supported.", at);
    for (const member of states) {
      if (!['input', 'context', ...extra].includes(member)) {
        this.#wrong(
          'UNSUPPORTED_JSONATA_EXPRESSION',
          `Reference to '$states.${member}' is not supported here.`,
          at,
        );
      }
    }
  }

  #onlyFields(value: JsonObject, known: readonly string[], state: string | undefined, at: string): void {
    for (const field of Object.keys(value)) if (!known.includes(field)) this.#unsupported(state, field, at);
  }

  #number(value: Json | undefined, least: number, at: string): void {
    if (value === undefined) return;
    if (typeof value === 'string' && expressionIn(value) !== undefined) {
      this.#template(value, at, []);
      return;
    }
    if (!isWhole(value, least))
      this.#mustBe(`an integer from ${least} to ${LONGEST_SECONDS} or a JSONata expression`, at);
  }

  #string(value: JsonObject, field: string, at: string): void {
    if (value[field] !== undefined && typeof value[field] !== 'string') this.#mustBe('a string', at);
  }

  #mustBe(what: string, at: string): void {
    this.#wrong(SCHEMA, `The value must be ${what}`, at);
  }

  #unsupported(state: string | undefined, field: string, at: string): void {
    this.#wrong(UNSUPPORTED, UnsupportedAsl.describe(state, field), at);
  }

  #wrong(code: string, message: string, location: string): void {
    this.#found.push({ severity: 'ERROR', code, message, location });
  }
}

/** Names assigned in a scope: by its states, their rules and their catchers; not by inner scopes. */
function assignedIn(states: JsonObject): string[] {
  const names = new Set<string>();
  const add = (by: Json | undefined) => {
    if (!isObject(by)) return;
    const { Assign: assign } = by;
    if (isObject(assign)) for (const name of Object.keys(assign)) names.add(name);
  };
  for (const state of Object.values(states)) {
    add(state);
    if (!isObject(state)) continue;
    for (const list of [state.Choices, state.Catch])
      if (Array.isArray(list)) for (const item of list) add(item);
  }
  return [...names];
}

const isObject = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

const isWhole = (value: Json, least: number): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= least && value <= LONGEST_SECONDS;
