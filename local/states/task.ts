import { rejectOnAbort } from '../clock.ts';
import type { Json, JsonObject, TaskState } from './definition.ts';
import { Ended, StatesError, UnsupportedAsl } from './errors.ts';
import { dataOf } from './history.ts';
import {
  completion,
  isSupported,
  parseResource,
  type Resource,
  request,
  unknownArgument,
} from './integrations.ts';
import { LONGEST_SECONDS, refuseLargeData } from './limits.ts';
import type { PendingTask } from './tokens.ts';
import { bindingsOf, fieldOf, isCount, leave, type Transition, unexpectedType, type Visit } from './visit.ts';

/**
 * One attempt at a task.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
 */
export async function task(visit: Visit<TaskState>): Promise<Transition> {
  const { integrations } = visit.line.run;
  const resource = parseResource(visit.state.Resource);
  if (resource === undefined || !isSupported(resource, integrations.callSdk !== undefined)) {
    throw new UnsupportedAsl(visit.name, `Resource ${visit.state.Resource}`);
  }
  const pending = resource.pattern === 'waitForTaskToken' ? integrations.tokens.issue() : undefined;
  if (pending !== undefined) visit.task = { Token: pending.token };
  try {
    const result = await attempt(visit, resource, pending);
    return await leave(visit, {
      by: visit.state,
      at: '',
      extra: { result },
      otherwise: result,
      next: visit.state.Next,
    });
  } finally {
    pending?.close();
    delete visit.task;
  }
}

async function attempt(
  visit: Visit<TaskState>,
  resource: Resource,
  pending: PendingTask | undefined,
): Promise<Json> {
  const { run, cursor, signal } = visit.line;
  const { Arguments: template, TimeoutSeconds: timeout, HeartbeatSeconds: heartbeat } = visit.state;
  const args =
    template === undefined
      ? visit.input
      : await run.expressions.template(template, bindingsOf(visit), 'Arguments');
  const unknown = unknownArgument(resource, args);
  if (unknown !== undefined) throw new UnsupportedAsl(visit.name, `Arguments/${unknown}`);
  refuseLargeData(visit.name, args);
  const timeoutSeconds = await secondsOf(visit, 'TimeoutSeconds', timeout);
  const heartbeatSeconds = await secondsOf(visit, 'HeartbeatSeconds', heartbeat);

  const about = { resourceType: resource.resourceType, resource: resource.resource };
  run.history.append(cursor, 'TaskScheduled', {
    taskScheduledEventDetails: {
      ...about,
      region: run.region,
      parameters: JSON.stringify(args),
      ...(timeoutSeconds === undefined ? {} : { timeoutInSeconds: timeoutSeconds }),
      ...(heartbeatSeconds === undefined ? {} : { heartbeatInSeconds: heartbeatSeconds }),
    },
  });
  run.history.append(cursor, 'TaskStarted', { taskStartedEventDetails: about });

  const over = new AbortController();
  const ending = AbortSignal.any([signal, over.signal]);
  try {
    const result = await Promise.race([
      work(visit, resource, args, pending, about, ending),
      rejectOnAbort(ending),
      // Time-outs run in unscaled time: they guard real work.
      ...(timeoutSeconds === undefined ? [] : [expire(visit, timeoutSeconds, ending)]),
      ...(heartbeatSeconds === undefined ? [] : [watch(visit, heartbeatSeconds, pending, ending)]),
    ]);
    refuseLargeData(visit.name, result);
    run.history.append(cursor, 'TaskSucceeded', {
      taskSucceededEventDetails: { ...about, ...dataOf('output', result) },
    });
    return result;
  } catch (thrown) {
    if (thrown instanceof StatesError && !run.history.sealed && !signal.aborted) {
      const [type, member] =
        thrown.error === 'States.Timeout'
          ? (['TaskTimedOut', 'taskTimedOutEventDetails'] as const)
          : (['TaskFailed', 'taskFailedEventDetails'] as const);
      run.history.append(cursor, type, { [member]: { ...about, ...thrown.details } });
    }
    throw thrown;
  } finally {
    over.abort(new Ended('the attempt is over'));
  }
}

async function work(
  { line: { run, cursor } }: Visit<TaskState>,
  resource: Resource,
  args: Json,
  pending: PendingTask | undefined,
  about: JsonObject,
  ending: AbortSignal,
): Promise<Json> {
  const answer = await request(run.integrations, resource, args, run.identity, ending);
  if (resource.pattern === 'request') return answer;
  ending.throwIfAborted();
  run.history.append(cursor, 'TaskSubmitted', {
    taskSubmittedEventDetails: { ...about, ...dataOf('output', answer) },
  });
  return pending === undefined ? completion(run.integrations, answer, ending) : pending.answer;
}

async function expire({ line }: Visit<TaskState>, seconds: number, ending: AbortSignal): Promise<never> {
  await line.run.clock.sleep(seconds * 1000, ending);
  throw new StatesError('States.Timeout');
}

/** "If more time than the specified seconds elapses between heartbeats from the task" the task has timed out. */
async function watch(
  { line }: Visit<TaskState>,
  seconds: number,
  pending: PendingTask | undefined,
  ending: AbortSignal,
): Promise<never> {
  for (;;) {
    const beat = new AbortController();
    if (pending !== undefined) pending.onHeartbeat = () => beat.abort(new Ended('heartbeat'));
    try {
      await line.run.clock.sleep(seconds * 1000, AbortSignal.any([ending, beat.signal]));
    } catch (thrown) {
      if (ending.aborted || !beat.signal.aborted) throw thrown;
      continue;
    }
    throw new StatesError('States.Timeout', undefined, { alias: 'States.HeartbeatTimeout' });
  }
}

async function secondsOf(
  visit: Visit<TaskState>,
  field: 'TimeoutSeconds' | 'HeartbeatSeconds',
  value: number | string | undefined,
): Promise<number | undefined> {
  if (value === undefined) return undefined;
  const seconds = await fieldOf(visit, field, value, 'number', isCount);
  if (seconds < 1 || seconds > LONGEST_SECONDS) {
    throw unexpectedType(field, value, `number from 1 to ${LONGEST_SECONDS}`, seconds);
  }
  return seconds;
}
