/** A Step Functions service with scripted Lambda functions, for the tests of this folder. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Clock } from '../../../local/clock.ts';
import { EventBus } from '../../../local/event-bus.ts';
import type { InvokeResult } from '../../../local/states/integrations.ts';
import { createStates, type States, type StatesOptions } from '../../../local/states/service.ts';
import { VirtualClock } from './virtual-clock.ts';

export const ROLE = 'arn:aws:iam::123456789012:role/states';

/** One scripted answer of a function; the last of a script is given for ever. */
export interface Act {
  /** Answers with this. Without it (and without an error) the payload comes back. */
  returns?: unknown;
  /** Fails as a Lambda function does. */
  error?: { errorType?: string; errorMessage: string; trace?: string[] };
  /** The Lambda service refuses the call. */
  refused?: { name: string; message: string };
  /** Takes so many seconds first. */
  seconds?: number;
  /** Answers the task token found in the payload's `token`, after the function has returned. */
  token?: {
    seconds?: number;
    beats?: { every: number; times: number };
    success?: unknown;
    failure?: { error?: string; cause?: string };
  };
}

export type Script = Record<string, Act[]>;

/** How a function reaches the service that it answers tokens to. */
export interface Callbacks {
  success(taskToken: string, output: string): Promise<unknown>;
  failure(taskToken: string, failure: { error?: string; cause?: string }): Promise<unknown>;
  heartbeat(taskToken: string): Promise<unknown>;
}

/** Plays a script: the same functions serve our interpreter and the oracle. */
export class Troupe {
  readonly calls: { name: string; payload: unknown }[] = [];
  readonly #script: Script;
  readonly #clock: Clock;
  readonly #callbacks: Callbacks;
  readonly #played = new Map<string, number>();
  /** Answers to tokens that the service refused, by error name: the task was over. */
  readonly refusedAnswers: string[] = [];
  readonly #after: Promise<void>[] = [];

  constructor(script: Script, clock: Clock, callbacks: Callbacks) {
    this.#script = script;
    this.#clock = clock;
    this.#callbacks = callbacks;
  }

  /** A function may be named by its ARN. */
  async invoke(nameOrArn: string, payload: unknown, signal?: AbortSignal): Promise<InvokeResult> {
    const name = nameOrArn.split(':').at(-1) ?? nameOrArn;
    const acts = this.#script[name];
    if (acts === undefined)
      throw Object.assign(new Error(`Function not found: ${nameOrArn}`), {
        name: 'ResourceNotFoundException',
      });
    this.calls.push({ name, payload });
    const turn = this.#played.get(name) ?? 0;
    this.#played.set(name, turn + 1);
    const act = acts[Math.min(turn, acts.length - 1)] ?? {};
    if (act.seconds !== undefined) await this.#clock.sleep(act.seconds * 1000, signal);
    if (act.refused !== undefined)
      throw Object.assign(new Error(act.refused.message), { name: act.refused.name });
    if (act.token !== undefined) {
      const answer = this.#answer(act.token, (payload as { token: string }).token);
      this.#after.push(
        answer.catch((thrown: unknown) => void this.refusedAnswers.push((thrown as Error).name)),
      );
    }
    if (act.error !== undefined) return { functionError: 'Unhandled', payload: { trace: [], ...act.error } };
    return { payload: 'returns' in act ? act.returns : payload };
  }

  async #answer(plan: NonNullable<Act['token']>, token: string): Promise<void> {
    const { beats, seconds = 0 } = plan;
    for (let beat = 0; beat < (beats?.times ?? 0); beat++) {
      await this.#clock.sleep((beats?.every ?? 0) * 1000);
      await this.#callbacks.heartbeat(token);
    }
    await this.#clock.sleep(seconds * 1000);
    if (plan.failure !== undefined) await this.#callbacks.failure(token, plan.failure);
    else if ('success' in plan) await this.#callbacks.success(token, JSON.stringify(plan.success));
  }

  /** Every answer to a token has been sent. */
  async settled(): Promise<void> {
    await Promise.all(this.#after);
  }
}

export interface WireEvent {
  id: number;
  previousEventId: number;
  timestamp: number;
  type: string;
  [details: string]: unknown;
}

export interface Finished {
  executionArn: string;
  status: string;
  output?: unknown;
  error?: string;
  cause?: string;
  events: WireEvent[];
  types: string[];
}

export interface Stage {
  service: States;
  clock: VirtualClock;
  troupe: Troupe;
  directory: string;
  log: { message: string; details: Record<string, unknown> | undefined }[];
  call: <T = Record<string, never>>(operation: string, body: unknown) => Promise<T>;
  create: (definition: object, name?: string) => Promise<string>;
  start: (stateMachineArn: string, input?: unknown, name?: string) => Promise<string>;
  finished: (executionArn: string) => Promise<Finished>;
  /** Creates, starts and waits for the end. */
  run: (definition: object, input?: unknown) => Promise<Finished>;
}

let machines = 0;

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A state directory that goes when the test file is done. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'states-'));
  directories.push(directory);
  return directory;
}

export function stage(
  script: Script = {},
  options: Partial<StatesOptions> = {},
  /** Texts in S3, by bucket and key. */
  objects: Readonly<Record<string, string>> = {},
): Stage {
  const clock = new VirtualClock();
  const directory = options.stateDirectory ?? temporaryDirectory();
  const log: Stage['log'] = [];
  const troupe: Troupe = new Troupe(script, options.clock ?? clock, {
    success: (taskToken, output) => service.handle('SendTaskSuccess', { taskToken, output }),
    failure: (taskToken, failure) => service.handle('SendTaskFailure', { taskToken, ...failure }),
    heartbeat: (taskToken) => service.handle('SendTaskHeartbeat', { taskToken }),
  });
  const bus = new EventBus({ clock, region: 'us-east-1', accountId: '123456789012' });
  const service: States = createStates({
    stateDirectory: directory,
    clock,
    random: () => 0.5,
    invoke: (name, payload, signal) => troupe.invoke(name, payload, signal),
    putEvents: (entries) => bus.put(entries),
    readObject: async (bucket, key) => {
      const text = objects[`${bucket}/${key}`];
      if (text === undefined) throw new Error('The specified key does not exist.');
      return text;
    },
    region: 'us-east-1',
    accountId: '123456789012',
    timeScale: 1,
    log: (message, details) => log.push({ message, details }),
    ...options,
  });
  const call = <T>(operation: string, body: unknown) => service.handle(operation, body) as Promise<T>;
  const create = async (definition: object, name = `machine-${++machines}`) => {
    const { stateMachineArn } = await call<{ stateMachineArn: string }>('CreateStateMachine', {
      name,
      roleArn: ROLE,
      definition: JSON.stringify({ QueryLanguage: 'JSONata', ...definition }),
    });
    return stateMachineArn;
  };
  const start = async (stateMachineArn: string, input: unknown = {}, name?: string) => {
    const { executionArn } = await call<{ executionArn: string }>('StartExecution', {
      stateMachineArn,
      input: JSON.stringify(input),
      ...(name === undefined ? {} : { name }),
    });
    return executionArn;
  };
  const finished = async (executionArn: string): Promise<Finished> => {
    await new Promise<void>((resolve) => {
      const stop = service.subscribe((change) => {
        if (change.executionArn === executionArn && change.status !== 'RUNNING') settle();
      });
      const settle = () => {
        stop();
        resolve();
      };
      void call<{ status: string }>('DescribeExecution', { executionArn }).then(({ status }) => {
        if (status !== 'RUNNING') settle();
      });
    });
    const description = await call<{ status: string; output?: string; error?: string; cause?: string }>(
      'DescribeExecution',
      { executionArn },
    );
    const events: WireEvent[] = [];
    let nextToken: string | undefined;
    do {
      const page = await call<{ events: WireEvent[]; nextToken?: string }>('GetExecutionHistory', {
        executionArn,
        maxResults: 1000,
        ...(nextToken === undefined ? {} : { nextToken }),
      });
      events.push(...page.events);
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    const { status, output, error, cause } = description;
    return {
      executionArn,
      status,
      ...(output === undefined ? {} : { output: JSON.parse(output) as unknown }),
      ...(error === undefined ? {} : { error }),
      ...(cause === undefined ? {} : { cause }),
      events,
      types: events.map(({ type }) => type),
    };
  };
  return {
    service,
    clock,
    troupe,
    directory,
    log,
    call,
    create,
    start,
    finished,
    run: async (definition, input) => finished(await start(await create(definition), input)),
  };
}

/** A machine of one state that ends it. */
export const only = (name: string, state: object) => ({ StartAt: name, States: { [name]: state } });

/** A call of a scripted function. */
export const call = (
  name: string,
  payload: unknown = '{% $states.input %}',
  rest: object = { End: true },
) => ({
  Type: 'Task',
  Resource: 'arn:aws:states:::lambda:invoke',
  Arguments: { FunctionName: name, Payload: payload },
  ...rest,
});

/** The details of an event, whatever its type. */
export const detailsOf = (event: WireEvent | undefined): Record<string, unknown> => {
  const [, details] = Object.entries(event ?? {}).find(([name]) => name.endsWith('EventDetails')) ?? [];
  return (details ?? {}) as Record<string, unknown>;
};
