/** What the files of the state types share: the run, a line of execution in it, and one visit to a state. */

import type { Clock } from '../clock.ts';
import type {
  Json,
  JsonObject,
  Leaving,
  MapState,
  ParallelState,
  State,
  StateContainer,
} from './definition.ts';
import { QueryEvaluationError } from './errors.ts';
import { type Cursor, dataOf, type History } from './history.ts';
import type { Integrations } from './integrations.ts';
import { type Bindings, type Expressions, expressionIn } from './jsonata.ts';
import { refuseLargeData } from './limits.ts';
import type { Scope } from './scope.ts';

/** Shared by all lines of one execution. */
export interface Run {
  readonly history: History;
  readonly clock: Clock;
  readonly random: () => number;
  /** Multiplies the real length of Wait states and of the pauses before retries; time-outs are never scaled. */
  readonly timeScale: number;
  readonly region: string;
  readonly expressions: Expressions;
  readonly integrations: Integrations;
  /** `Execution` and `StateMachine` of the context object. */
  readonly identity: JsonObject;
  /** Told on each visit to a state of the outermost level: where a redrive would start. */
  readonly onProgress: (progress: Progress) => void;
  /** Runs the states of a container from its StartAt; here so that Parallel and Map need not import the interpreter. */
  readonly walk: (line: Line, container: StateContainer, input: Json) => Promise<Json>;
}

export interface Progress {
  state: string;
  enteredEventId: number;
  variables: JsonObject;
}

/** One line of execution: the outermost one, a branch or an iteration. */
export interface Line {
  readonly run: Run;
  readonly cursor: Cursor;
  readonly scope: Scope;
  readonly signal: AbortSignal;
  readonly outermost: boolean;
  /** Types of the states that its end cut short: the events of a Parallel or Map state tell of them. */
  readonly interrupted: string[];
  /** `Map` of the context object, inside an iteration. */
  readonly map?: JsonObject;
}

/** One visit to a state, over all its attempts. */
export interface Visit<S extends State = State> {
  readonly line: Line;
  readonly name: string;
  readonly state: S;
  readonly input: Json;
  readonly enteredEventId: number;
  readonly enteredTime: string;
  retryCount: number;
  /** `Task` of the context object, while a task with a token runs. */
  task?: JsonObject;
}

export interface Transition {
  output: Json;
  /** Absent where the line ends. */
  next?: string;
}

/** @see https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html */
export function contextOf(visit: Visit): JsonObject {
  return {
    ...visit.line.run.identity,
    State: { EnteredTime: visit.enteredTime, Name: visit.name, RetryCount: visit.retryCount },
    ...(visit.task === undefined ? {} : { Task: visit.task }),
    ...(visit.line.map === undefined ? {} : { Map: visit.line.map }),
  };
}

/** What an expression of this state may read: `$states` with the given extra members, and the variables. */
export function bindingsOf(visit: Visit, extra: JsonObject = {}): Bindings {
  return {
    states: { input: visit.input, context: contextOf(visit), ...extra },
    variables: visit.line.scope.visible(),
  };
}

/** A field that may be a literal or an expression, of one JSON type. */
export async function fieldOf<T extends Json>(
  visit: Visit,
  field: string,
  value: Json,
  expected: string,
  is: (value: Json) => value is T,
): Promise<T> {
  const evaluated = await visit.line.run.expressions.template(value, bindingsOf(visit), field);
  if (is(evaluated)) return evaluated;
  throw unexpectedType(field, value, expected, evaluated);
}

export function unexpectedType(
  field: string,
  template: Json,
  expected: string,
  value: Json,
): QueryEvaluationError {
  const source =
    (typeof template === 'string' ? expressionIn(template) : undefined) ?? JSON.stringify(template);
  const was = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  return new QueryEvaluationError(
    field,
    `The JSONata expression '${source}' specified for the field '${field}' returned an unexpected result type. Expected '${expected}', but was '${was}' for value: ${JSON.stringify(value)}`,
  );
}

export const isString = (value: Json): value is string => typeof value === 'string';
export const isBoolean = (value: Json): value is boolean => typeof value === 'boolean';
export const isCount = (value: Json): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0;

export interface Departure {
  /** Whose Assign and Output apply: the state's, a choice rule's or a catcher's. */
  by: Leaving;
  /** Path of `by` inside the state, for failures: empty, `Catch[0]/`, `Choices[1]/`. */
  at: string;
  /** What `$states` has besides `input` and `context`. */
  extra: JsonObject;
  /** The output when there is no Output field. */
  otherwise: Json;
  next: string | undefined;
}

/** Leaves a Map or Parallel state with the outputs of its lines. */
export function join(
  visit: Visit<MapState | ParallelState>,
  succeeded: 'MapStateSucceeded' | 'ParallelStateSucceeded',
  outputs: Json[],
): Promise<Transition> {
  const { run, cursor } = visit.line;
  // As AWS records it, the exited event points past this one, at the last event of the lines.
  run.history.append({ ...cursor }, succeeded);
  refuseLargeData(visit.name, outputs);
  const { state } = visit;
  return leave(visit, {
    by: state,
    at: '',
    extra: { result: outputs },
    otherwise: outputs,
    next: state.Next,
  });
}

/**
 * Leaves a state. "Assign and Output are evaluated in parallel": both see the variables as they were, and the new values
 * are there only from the next state on.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
 */
export async function leave(
  visit: Visit,
  { by, at, extra, otherwise, next }: Departure,
): Promise<Transition> {
  const { run, scope, cursor, signal } = visit.line;
  const bindings = bindingsOf(visit, extra);
  const [assigned, output] = await Promise.all([
    by.Assign === undefined
      ? undefined
      : (run.expressions.template(by.Assign, bindings, `${at}Assign`) as Promise<JsonObject>),
    by.Output === undefined ? otherwise : run.expressions.template(by.Output, bindings, `${at}Output`),
  ]);
  refuseLargeData(visit.name, output);
  if (assigned !== undefined) {
    refuseLargeData(visit.name, assigned);
    scope.assign(assigned);
  }
  signal.throwIfAborted();
  run.history.append(cursor, `${visit.state.Type}StateExited`, {
    stateExitedEventDetails: {
      name: visit.name,
      ...dataOf('output', output),
      // AWS writes each value as JSON text of its own.
      ...(assigned === undefined
        ? {}
        : {
            assignedVariables: Object.fromEntries(
              Object.entries(assigned).map(([name, value]) => [name, JSON.stringify(value)]),
            ),
            assignedVariablesDetails: { truncated: false },
          }),
    },
  });
  return { output, ...(next === undefined ? {} : { next }) };
}
