/**
 * Runs one execution of a state machine. The state types are in a file each; here are the walk from state to state, the
 * order retry-then-catch, and how an execution ends.
 * @see https://states-language.net/spec.html
 */

import { type Clock, rejectOnAbort } from '../clock.ts';
import { findCatcher, leaveByCatch } from './catch.ts';
import { choice } from './choice.ts';
import type { Definition, Json, JsonObject, State, StateContainer } from './definition.ts';
import { Ended, QueryEvaluationError, StatesError, UnsupportedAsl } from './errors.ts';
import { fail } from './fail.ts';
import { catchersOf } from './guards.ts';
import { type Cursor, dataOf, type History } from './history.ts';
import type { Integrations } from './integrations.ts';
import type { Expressions } from './jsonata.ts';
import { map } from './map.ts';
import { parallel } from './parallel.ts';
import { pass } from './pass.ts';
import { Attempts } from './retry.ts';
import { assertRunnable } from './schema.ts';
import { Scope } from './scope.ts';
import { succeed } from './succeed.ts';
import { task } from './task.ts';
import type { Line, Progress, Transition, Visit } from './visit.ts';
import { wait } from './wait.ts';

export type ExecutionStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

export interface Outcome {
  status: Exclude<ExecutionStatus, 'RUNNING'>;
  output?: Json;
  error?: string;
  cause?: string;
}

export interface ExecutionRequest {
  definition: Definition;
  input: Json;
  roleArn: string;
  /** `Execution` and `StateMachine` of the context object. */
  identity: JsonObject;
  history: History;
  clock: Clock;
  random: () => number;
  timeScale: number;
  region: string;
  expressions: Expressions;
  integrations: Integrations;
  onProgress?: (progress: Progress) => void;
  /** A failure that is no error of the state language: a defect, or a thing that is not emulated. */
  onDefect?: (state: string, thrown: unknown) => void;
  /** Where a redriven execution starts, instead of at StartAt. */
  redrive?: {
    count: number;
    state: string;
    input: Json;
    enteredEventId: number;
    variables: JsonObject;
    previousEventId: number;
  };
}

export interface RunningExecution {
  outcome: Promise<Outcome>;
  /** Ends the execution as ABORTED. Without effect once it has ended. */
  stop(why: { error?: string; cause?: string }): void;
}

export function execute(request: ExecutionRequest): RunningExecution {
  const { definition, history, clock, redrive } = request;
  const ending = new AbortController();
  const cursor: Cursor = { previous: redrive?.previousEventId ?? 0 };
  const line: Line = {
    run: {
      history,
      clock,
      random: request.random,
      timeScale: request.timeScale,
      region: request.region,
      expressions: request.expressions,
      integrations: request.integrations,
      identity: request.identity,
      onProgress: request.onProgress ?? (() => {}),
      walk: (inner, container, input) => walk(inner, container, input, request.onDefect),
    },
    cursor,
    scope: new Scope(undefined, redrive?.variables),
    signal: ending.signal,
    outermost: true,
    interrupted: [],
  };

  const { promise: stopped, resolve: stop } = Promise.withResolvers<Outcome>();

  const finish = (outcome: Outcome): Outcome => {
    const { status, output, error, cause } = outcome;
    const why = { ...(error === undefined ? {} : { error }), ...(cause === undefined ? {} : { cause }) };
    if (status === 'SUCCEEDED') {
      history.end(cursor, 'ExecutionSucceeded', {
        executionSucceededEventDetails: dataOf('output', output ?? null),
      });
    }
    if (status === 'FAILED') history.end(cursor, 'ExecutionFailed', { executionFailedEventDetails: why });
    if (status === 'ABORTED') history.end(cursor, 'ExecutionAborted', { executionAbortedEventDetails: why });
    if (status === 'TIMED_OUT')
      history.end(cursor, 'ExecutionTimedOut', { executionTimedOutEventDetails: why });
    ending.abort(new Ended('the execution is over'));
    return outcome;
  };

  const start = async (): Promise<Json> => {
    const { expressions, integrations } = request;
    assertRunnable(definition, { expressions, sdkHandler: integrations.callSdk !== undefined });
    return walk(line, definition, request.input, request.onDefect, redrive);
  };

  const play = async (): Promise<Outcome> => {
    // ExecutionStarted does not move the cursor: AWS lets the first state point at 0.
    if (redrive === undefined) {
      history.append({ previous: 0 }, 'ExecutionStarted', {
        executionStartedEventDetails: { ...dataOf('input', request.input), roleArn: request.roleArn },
      });
    } else {
      history.append(cursor, 'ExecutionRedriven', {
        executionRedrivenEventDetails: { redriveCount: redrive.count },
      });
    }
    const racers: Promise<Outcome>[] = [
      stopped,
      start().then(
        (output): Outcome => ({ status: 'SUCCEEDED', output }),
        (thrown: unknown): Outcome => failed(thrown),
      ),
    ];
    const { TimeoutSeconds: seconds } = definition;
    if (seconds !== undefined) {
      // The machine's time-out is reported by the status alone: AWS gives neither error nor cause.
      racers.push(
        Promise.race([clock.sleep(seconds * 1000, ending.signal), rejectOnAbort(ending.signal)]).then(
          (): Outcome => ({ status: 'TIMED_OUT' }),
        ),
      );
    }
    return finish(await Promise.race(racers));
  };

  return { outcome: play(), stop: (why) => stop({ status: 'ABORTED', ...why }) };
}

/** The failure of the outermost line, as the execution's own. */
function failed(thrown: unknown): Outcome {
  if (thrown instanceof StatesError) return { status: 'FAILED', ...thrown.details };
  return { status: 'FAILED', error: 'States.Runtime', cause: textOf(thrown) };
}

/** A refusal names itself; other errors are named by their class. */
function textOf(thrown: unknown): string {
  if (thrown instanceof UnsupportedAsl) return thrown.message;
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}

async function walk(
  line: Line,
  container: StateContainer,
  input: Json,
  onDefect: ExecutionRequest['onDefect'],
  resume?: ExecutionRequest['redrive'],
): Promise<Json> {
  let name = resume?.state ?? container.StartAt;
  let data = resume?.input ?? input;
  let entered = resume?.enteredEventId;
  for (;;) {
    line.signal.throwIfAborted();
    const state = container.States[name];
    if (state === undefined) throw new StatesError('States.Runtime', `The state '${name}' does not exist.`);
    const { output, next } = await enter(line, name, state, data, entered, onDefect);
    if (next === undefined) return output;
    name = next;
    data = output;
    entered = undefined;
  }
}

async function enter(
  line: Line,
  name: string,
  state: State,
  input: Json,
  resumed: number | undefined,
  onDefect: ExecutionRequest['onDefect'],
): Promise<Transition> {
  const { run, cursor } = line;
  // A redriven state was entered before: its line goes on with the next attempt.
  const enteredEventId =
    resumed ??
    run.history.append(cursor, `${state.Type}StateEntered`, {
      stateEnteredEventDetails: { name, ...dataOf('input', input) },
    });
  if (line.outermost) run.onProgress({ state: name, enteredEventId, variables: line.scope.visible() });
  const visit: Visit = {
    line,
    name,
    state,
    input,
    enteredEventId,
    enteredTime: new Date(run.clock.now()).toISOString(),
    retryCount: 0,
  };
  try {
    return await attempts(visit, onDefect);
  } catch (thrown) {
    if (isCutShort(visit, thrown)) line.interrupted.push(state.Type);
    throw thrown;
  }
}

/**
 * Whether a state of an inner line leaves an aborted event. Those that take time do when a sibling ends them; a Task does
 * also when it fails itself, as AWS's histories show. A state that caught or succeeded does not come here.
 */
function isCutShort({ line, state }: Visit, thrown: unknown): boolean {
  if (line.outermost) return false;
  if (!line.signal.aborted) return state.Type === 'Task' && thrown instanceof StatesError && !thrown.terminal;
  return state.Type === 'Task' || state.Type === 'Wait' || state.Type === 'Map' || state.Type === 'Parallel';
}

/** "When a state has both Retry and Catch, Step Functions uses any appropriate retriers first." */
async function attempts(visit: Visit, onDefect: ExecutionRequest['onDefect']): Promise<Transition> {
  const { run, signal } = visit.line;
  const { Retry: retriers, Catch: catchers } = catchersOf(visit.state);
  const retries = new Attempts(retriers, run.random);
  for (;;) {
    let failure: StatesError;
    try {
      return await dispatch(visit);
    } catch (thrown) {
      signal.throwIfAborted();
      failure = report(visit, thrown, onDefect);
    }
    const seconds = retries.next(failure);
    if (seconds !== undefined) {
      await run.clock.sleep(seconds * 1000 * run.timeScale, signal);
      visit.retryCount += 1;
      continue;
    }
    // Not before a retry: AWS then only starts the branches again. Not for what ends the execution anyway.
    if ((visit.state.Type === 'Parallel' || visit.state.Type === 'Map') && !failure.terminal) {
      run.history.append(visit.line.cursor, `${visit.state.Type}StateFailed`);
    }
    const caught = findCatcher(catchers, failure);
    if (caught === undefined) throw failure;
    try {
      return await leaveByCatch(visit, caught, failure);
    } catch (thrown) {
      signal.throwIfAborted();
      throw report(visit, thrown, onDefect);
    }
  }
}

function dispatch(visit: Visit): Promise<Transition> {
  const of = <S extends State>(_state: S) => visit as Visit<S>;
  const { state } = visit;
  switch (state.Type) {
    case 'Task':
      return task(of(state));
    case 'Pass':
      return pass(of(state));
    case 'Wait':
      return wait(of(state));
    case 'Choice':
      return choice(of(state));
    case 'Succeed':
      return succeed(of(state));
    case 'Fail':
      return fail(of(state));
    case 'Parallel':
      return parallel(of(state));
    case 'Map':
      return map(of(state));
  }
}

/**
 * Makes a failure one of this state's: AWS says in the cause which state it was, and gives a failed query an event of its own.
 * A failure that comes out of an inner line has been through this already.
 */
function report(visit: Visit, thrown: unknown, onDefect: ExecutionRequest['onDefect']): StatesError {
  const where = `An error occurred while executing the state '${visit.name}' (entered at the event id #${visit.enteredEventId}).`;
  if (thrown instanceof QueryEvaluationError) {
    const cause = `${where} ${thrown.detail}`;
    visit.line.run.history.append(visit.line.cursor, 'EvaluationFailed', {
      evaluationFailedEventDetails: {
        error: 'States.QueryEvaluationError',
        cause,
        location: thrown.location,
        state: visit.name,
      },
    });
    return new StatesError(thrown.error, cause, { cause: thrown });
  }
  if (thrown instanceof StatesError) {
    const placed = thrown.detail?.startsWith('An error occurred while executing the state') ?? true;
    if (!placed && (thrown.error === 'States.Runtime' || thrown.error === 'States.NoChoiceMatched')) {
      return new StatesError(thrown.error, `${where} ${thrown.detail}`, { cause: thrown });
    }
    return thrown;
  }
  // Neither retried nor caught, and never dressed as an error of the task: something here is wrong or not emulated.
  onDefect?.(visit.name, thrown);
  return new StatesError('States.Runtime', `${where} ${textOf(thrown)}`, { cause: thrown });
}
