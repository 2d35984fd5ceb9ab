/**
 * The Step Functions API of the local cloud: awsJson operations over the interpreter and the store.
 * @see https://docs.aws.amazon.com/step-functions/latest/apireference/Welcome.html
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Definition, Json, JsonObject } from './definition.ts';
import { StatesError, serviceError } from './errors.ts';
import { History, type HistoryEvent } from './history.ts';
import type {
  CallSdk,
  ChildExecutions,
  Integrations,
  Invoke,
  PutEvents,
  ReadObject,
} from './integrations.ts';
import { type ExecutionRequest, execute, type Outcome, type RunningExecution } from './interpreter.ts';
import { Expressions } from './jsonata.ts';
import { PAYLOAD_BYTES } from './limits.ts';
import {
  describeMapRun,
  listedMapRun,
  type MapRunParts,
  type MapRunRecord,
  startMapRun,
} from './map-runs.ts';
import { checkName, type Operation, pageOf, parseRequest, REQUESTS, type Request } from './requests.ts';
import { type Diagnostic, describe, diagnose } from './schema.ts';
import {
  type ExecutionRecord,
  type ExecutionState,
  type Journal,
  type MachineRecord,
  StatesStore,
} from './store.ts';
import { TaskTokens } from './tokens.ts';

export interface StatesOptions {
  /** The cloud's own; everything of this service is under `states/` in it. */
  stateDirectory: string;
  clock: Clock;
  random?: () => number;
  /** `roleArn` is the state machine's: in its name functions are called. */
  invoke: (...args: [...Parameters<Invoke>, roleArn: string]) => ReturnType<Invoke>;
  /** What `events:putEvents` puts onto the bus. */
  putEvents: (...args: [...Parameters<PutEvents>, roleArn: string]) => ReturnType<PutEvents>;
  /** What an ItemReader reads of S3. */
  readObject: (...args: [...Parameters<ReadObject>, roleArn: string]) => ReturnType<ReadObject>;
  /** Whether a state machine's role may start, see and stop the executions that its states start; throws if not. */
  authorize?: (roleArn: string, action: string, resource: string) => void;
  /** Answers `aws-sdk:*` resources; without it such a definition is refused. */
  callSdk?: CallSdk;
  region: string;
  accountId: string;
  /** Multiplies Wait states and pauses before retries; time-outs and heartbeats are never scaled. */
  timeScale: number;
  log: (message: string, details?: Record<string, unknown>) => void;
}

/** What EventBridge would carry as "Step Functions Execution Status Change". Dates in epoch milliseconds. */
export interface StatusChange {
  executionArn: string;
  stateMachineArn: string;
  name: string;
  status: ExecutionState['status'];
  startDate: number;
  stopDate: number | null;
  input: string;
  output: string | null;
  error: string | null;
  cause: string | null;
  redriveCount: number;
  redriveDate: number | null;
}

export interface States {
  /** Answers an operation (named without prefix); throws an Error whose `name` is the AWS error code. */
  handle(operation: string, body: unknown): Promise<unknown>;
  /** Told of every change of an execution's status; returns what ends the subscription. */
  subscribe(listener: (change: StatusChange) => void): () => void;
  /** Ends what runs as ABORTED and lets go of the files. */
  close(): Promise<void>;
}

/** One execution in memory: running ones have a `running`, ended ones are read from their journal when asked for. */
interface Execution {
  record: ExecutionRecord;
  state: ExecutionState;
  journal: Journal;
  running?: RunningExecution;
  /** Resolves when this run, or this redrive, has ended and is on disk. */
  settled: Promise<void>;
  /** The client token of the last redrive: the same request again gets the same answer. */
  redrivenBy?: string;
}

const RESTARTED = 'local cloud was restarted';
/** "A standard execution is eligible for redrive … within 14 days of its completion." (Redriving executions) */
const REDRIVABLE_MS = 14 * 24 * 3_600_000;

export function createStates(options: StatesOptions): States {
  return new Service(options);
}

class Service implements States {
  readonly #options: StatesOptions;
  readonly #store: StatesStore;
  readonly #random: () => number;
  readonly #expressions: Expressions;
  readonly #integrations: Pick<Integrations, 'callSdk' | 'tokens'>;
  readonly #machines = new Map<string, MachineRecord>();
  readonly #mapRuns = new Map<string, MapRunRecord>();
  readonly #executions = new Map<string, Execution>();
  readonly #listeners = new Set<(change: StatusChange) => void>();
  #closed = false;

  constructor(options: StatesOptions) {
    this.#options = options;
    this.#store = new StatesStore(join(options.stateDirectory, 'states'));
    this.#random = options.random ?? Math.random;
    this.#expressions = new Expressions(options.clock, this.#random);
    this.#integrations = {
      callSdk: options.callSdk,
      tokens: new TaskTokens(),
    };
    this.#load();
  }

  /** What `startExecution.sync:2` does in the name of a state machine's role. */
  #children(roleArn: string): ChildExecutions {
    const { authorize = () => {}, log } = this.#options;
    return {
      start: (args) => {
        const { StateMachineArn: machine } = args;
        if (typeof machine === 'string') authorize(roleArn, 'states:StartExecution', machine);
        return this.#startChild(args);
      },
      ended: async (arn) => {
        authorize(roleArn, 'states:DescribeExecution', arn);
        const execution = this.#execution(arn);
        await execution.settled;
        return this.#describe(execution);
      },
      stop: (arn) => {
        const stopped = async () => {
          authorize(roleArn, 'states:StopExecution', arn);
          await this.#stop(this.#execution(arn), { cause: 'The parent execution no longer waits for it.' });
        };
        stopped().catch((error: unknown) =>
          log('a child execution could not be stopped', { execution: arn, error: told(error) }),
        );
      },
    };
  }

  /** Starts a child of a Map Run: an execution like others, of a machine that nobody can look up. */
  #startMapChild(
    parent: ExecutionRecord,
    { arn: mapRunArn, stateMachineArn, label }: MapRunRecord,
    definition: string,
    input: Json,
  ): ReturnType<MapRunParts['start']> {
    this.#options.authorize?.(parent.roleArn, 'states:StartExecution', parent.stateMachineArn);
    const { traceHeader: _header, revisionId: _revision, ...rest } = parent;
    const name = randomUUID();
    const machine = `${parent.stateMachineName}/${label}`;
    const execution = this.#begin(
      {
        ...rest,
        arn: this.#executionArn(machine, name),
        name,
        stateMachineArn,
        stateMachineName: machine,
        definition,
        input: JSON.stringify(input),
        startDate: this.#options.clock.now(),
        mapRunArn,
      },
      input,
    );
    const { outcome } = execution.running as RunningExecution;
    return {
      // Counted by who asks next: so it is on disk before.
      outcome: execution.settled.then(() => outcome),
      stop: (cause) => execution.running?.stop({ cause }),
    };
  }

  subscribe(listener: (change: StatusChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const running = [...this.#executions.values()].filter(({ running }) => running !== undefined);
    await Promise.all(
      running.map((execution) => this.#stop(execution, { cause: 'local cloud was stopped' })),
    );
  }

  async handle(operation: string, body: unknown): Promise<unknown> {
    if (!Object.hasOwn(REQUESTS, operation)) {
      throw serviceError(
        'UnknownOperationException',
        `The local Step Functions does not emulate ${operation}. It has: ${Object.keys(REQUESTS).join(', ')}.`,
      );
    }
    if (this.#closed) throw serviceError('ServiceUnavailable', 'the local cloud is stopping');
    const known = operation as Operation;
    return this.#operations[known](parseRequest(known, body) as never);
  }

  readonly #operations: { [O in Operation]: (request: Request<O>) => unknown } = {
    CreateStateMachine: (request) => this.#createStateMachine(request),
    UpdateStateMachine: (request) => this.#updateStateMachine(request),
    DescribeStateMachine: ({ stateMachineArn }) => {
      const machine = this.#machine(stateMachineArn);
      return {
        stateMachineArn: machine.arn,
        name: machine.name,
        status: 'ACTIVE',
        definition: machine.definition,
        roleArn: machine.roleArn,
        type: 'STANDARD',
        creationDate: seconds(machine.creationDate),
        ...UNLOGGED,
        ...(machine.revisionId === undefined ? {} : { revisionId: machine.revisionId }),
      };
    },
    ListStateMachines: (request) => {
      const all = [...this.#machines.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      const { page, ...more } = pageOf(all, request, 'ListStateMachines');
      return {
        stateMachines: page.map(({ arn, name, creationDate }) => ({
          stateMachineArn: arn,
          name,
          type: 'STANDARD',
          creationDate: seconds(creationDate),
        })),
        ...more,
      };
    },
    DeleteStateMachine: async ({ stateMachineArn }) => {
      this.#checkArn(stateMachineArn, 'stateMachine');
      const machine = this.#machines.get(stateMachineArn);
      // Deleting what is not there succeeds on AWS.
      if (machine === undefined) return {};
      await this.#deleteMachine(machine);
      return {};
    },
    ValidateStateMachineDefinition: ({ definition, maxResults }) => {
      const all = this.#diagnose(definition);
      const limit = maxResults || 100;
      return {
        result: all.length === 0 ? 'OK' : 'FAIL',
        diagnostics: all.slice(0, limit),
        truncated: all.length > limit,
      };
    },
    StartExecution: (request) => this.#startExecution(request),
    DescribeExecution: ({ executionArn }) => this.#describe(this.#execution(executionArn)),
    ListExecutions: (request) => this.#listExecutions(request),
    GetExecutionHistory: (request) => this.#getExecutionHistory(request),
    StopExecution: async ({ executionArn, error, cause }) => {
      const execution = this.#execution(executionArn);
      await this.#stop(execution, {
        ...(error === undefined ? {} : { error }),
        ...(cause === undefined ? {} : { cause }),
      });
      return { stopDate: seconds(execution.state.stopDate ?? this.#options.clock.now()) };
    },
    DescribeStateMachineForExecution: ({ executionArn }) => {
      const { record } = this.#execution(executionArn);
      return {
        stateMachineArn: record.stateMachineArn,
        name: record.stateMachineName,
        definition: record.definition,
        roleArn: record.roleArn,
        updateDate: seconds(record.updateDate),
        ...UNLOGGED,
        ...(record.revisionId === undefined ? {} : { revisionId: record.revisionId }),
        ...(record.mapRunArn === undefined
          ? {}
          : { mapRunArn: record.mapRunArn, label: this.#mapRuns.get(record.mapRunArn)?.label ?? '' }),
      };
    },
    RedriveExecution: (request) => this.#redrive(request),
    DescribeMapRun: ({ mapRunArn }) => {
      const mapRun = this.#mapRun(mapRunArn);
      return describeMapRun(
        mapRun,
        this.#childrenOf(mapRun).map(({ state }) => state),
      );
    },
    ListMapRuns: (request) => {
      const { executionArn } = request;
      this.#execution(executionArn);
      const all = [...this.#mapRuns.values()].filter((mapRun) => mapRun.executionArn === executionArn);
      const { page, ...more } = pageOf(all, request, `ListMapRuns ${executionArn}`);
      return { mapRuns: page.map(listedMapRun), ...more };
    },
    SendTaskSuccess: ({ taskToken, output }) => {
      let value: Json;
      try {
        value = JSON.parse(output) as Json;
      } catch (cause) {
        throw Object.assign(serviceError('InvalidOutput', `Invalid Output: '${output}'`), { cause });
      }
      this.#integrations.tokens.succeed(taskToken, value);
      return {};
    },
    SendTaskFailure: ({ taskToken, error, cause }) => {
      this.#integrations.tokens.fail(taskToken, new StatesError(error, cause));
      return {};
    },
    SendTaskHeartbeat: ({ taskToken }) => {
      this.#integrations.tokens.beat(taskToken);
      return {};
    },
    TagResource: ({ resourceArn, tags }) => {
      const machine = this.#taggable(resourceArn);
      this.#saveMachine({ ...machine, tags: { ...machine.tags, ...tagsOf(tags) } });
      return {};
    },
    UntagResource: ({ resourceArn, tagKeys }) => {
      const machine = this.#taggable(resourceArn);
      const kept = Object.entries(machine.tags).filter(([key]) => !tagKeys.includes(key));
      this.#saveMachine({ ...machine, tags: Object.fromEntries(kept) });
      return {};
    },
    ListTagsForResource: ({ resourceArn }) => ({
      tags: Object.entries(this.#taggable(resourceArn).tags).map(([key, value]) => ({ key, value })),
    }),
  };

  #createStateMachine({ name, definition, roleArn, tags = [] }: Request<'CreateStateMachine'>) {
    checkName(name);
    this.#checkRole(roleArn);
    this.#checkDefinition(definition);
    const arn = this.#arn('stateMachine', name);
    const existing = this.#machines.get(arn);
    if (existing !== undefined) {
      // "CreateStateMachine is an idempotent API": the same request gets the same answer.
      if (existing.definition !== definition || existing.roleArn !== roleArn) {
        throw serviceError('StateMachineAlreadyExists', `State Machine Already Exists: '${arn}'`);
      }
      return { stateMachineArn: arn, creationDate: seconds(existing.creationDate) };
    }
    const now = this.#options.clock.now();
    this.#saveMachine({
      arn,
      name,
      definition,
      roleArn,
      creationDate: now,
      updateDate: now,
      tags: tagsOf(tags),
    });
    return { stateMachineArn: arn, creationDate: seconds(now) };
  }

  #updateStateMachine({ stateMachineArn, definition, roleArn }: Request<'UpdateStateMachine'>) {
    const machine = this.#machine(stateMachineArn);
    if (definition === undefined && roleArn === undefined) {
      throw serviceError(
        'MissingRequiredParameter',
        'Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified',
      );
    }
    if (roleArn !== undefined) this.#checkRole(roleArn);
    if (definition !== undefined) this.#checkDefinition(definition);
    const updated: MachineRecord = {
      ...machine,
      ...(definition === undefined ? {} : { definition }),
      ...(roleArn === undefined ? {} : { roleArn }),
      updateDate: this.#options.clock.now(),
      revisionId: randomUUID(),
    };
    this.#saveMachine(updated);
    return { updateDate: seconds(updated.updateDate), revisionId: updated.revisionId };
  }

  async #deleteMachine(machine: MachineRecord): Promise<void> {
    // On AWS the machine is DELETING until its executions end, and then they go with it.
    this.#machines.delete(machine.arn);
    this.#store.removeMachine(machine.name);
    // A Map Run and its children go with the execution that they are of.
    const its = [...this.#executions.values()].filter(
      ({ record: { stateMachineArn: arn } }) => arn === machine.arn || arn.startsWith(`${machine.arn}/`),
    );
    await Promise.all(
      its.map(async (execution) => {
        await execution.settled;
        execution.journal.remove();
        this.#executions.delete(execution.record.arn);
      }),
    );
    for (const mapRun of this.#mapRuns.values()) {
      if (!mapRun.stateMachineArn.startsWith(`${machine.arn}/`)) continue;
      this.#mapRuns.delete(mapRun.arn);
      this.#store.removeMapRun(mapRun);
    }
  }

  #startExecution({
    stateMachineArn,
    name = randomUUID(),
    input = '{}',
    traceHeader,
  }: Request<'StartExecution'>) {
    const machine = this.#machine(stateMachineArn);
    checkName(name);
    const value = this.#parseInput(input);
    const arn = this.#executionArn(machine.name, name);
    const existing = this.#executions.get(arn);
    if (existing !== undefined) {
      // "StartExecution is idempotent for STANDARD workflows": while it runs, with the same input.
      if (existing.state.status === 'RUNNING' && existing.record.input === input) {
        return { executionArn: arn, startDate: seconds(existing.record.startDate) };
      }
      throw serviceError('ExecutionAlreadyExists', `Execution Already Exists: '${arn}'`);
    }
    const record: ExecutionRecord = {
      arn,
      name,
      stateMachineArn: machine.arn,
      stateMachineName: machine.name,
      definition: machine.definition,
      roleArn: machine.roleArn,
      updateDate: machine.updateDate,
      ...(machine.revisionId === undefined ? {} : { revisionId: machine.revisionId }),
      input,
      startDate: this.#options.clock.now(),
      ...(traceHeader === undefined ? {} : { traceHeader }),
    };
    this.#begin(record, value);
    return { executionArn: arn, startDate: seconds(record.startDate) };
  }

  #begin(record: ExecutionRecord, input: Json): Execution {
    const journal = this.#store.journal(record);
    journal.append({ kind: 'record', record });
    const execution: Execution = {
      record,
      state: { status: 'RUNNING', redriveCount: 0 },
      journal,
      settled: Promise.resolve(),
    };
    this.#executions.set(record.arn, execution);
    this.#run(execution, input);
    return execution;
  }

  /** Starts the interpreter, from the beginning or where a redrive says. */
  #run(execution: Execution, input: Json, alreadyThere = 0, redrive?: ExecutionRequest['redrive']): void {
    const { record, journal } = execution;
    const { clock, region, timeScale, log } = this.#options;
    this.#announce(execution);
    const running = execute({
      definition: JSON.parse(record.definition) as Definition,
      input,
      roleArn: record.roleArn,
      identity: {
        Execution: {
          Id: record.arn,
          Input: JSON.parse(record.input) as Json,
          Name: record.name,
          RoleArn: record.roleArn,
          StartTime: new Date(record.startDate).toISOString(),
          ...(execution.state.redriveDate === undefined
            ? {}
            : {
                RedriveCount: execution.state.redriveCount,
                RedriveTime: new Date(execution.state.redriveDate).toISOString(),
              }),
        },
        StateMachine: { Id: record.stateMachineArn, Name: record.stateMachineName },
      },
      history: new History(clock, (event) => journal.append({ kind: 'event', event }), alreadyThere),
      clock,
      random: this.#random,
      timeScale,
      region,
      expressions: this.#expressions,
      integrations: {
        ...this.#integrations,
        invoke: (target, payload, signal) => this.#options.invoke(target, payload, signal, record.roleArn),
        putEvents: (entries) => this.#options.putEvents(entries, record.roleArn),
        readObject: (bucket, key) => this.#options.readObject(bucket, key, record.roleArn),
        children: this.#children(record.roleArn),
        mapRuns: {
          start: (settings) =>
            startMapRun(
              {
                clock,
                save: (mapRun) => this.#saveMapRun(mapRun),
                start: (mapRun, definition, item) => this.#startMapChild(record, mapRun, definition, item),
              },
              { executionArn: record.arn, stateMachineArn: record.stateMachineArn },
              settings,
            ),
        },
      },
      onProgress: (progress) => journal.append({ kind: 'progress', progress }),
      onDefect: (state, thrown) =>
        log('a state failed by no error of its own', { execution: record.arn, state, error: told(thrown) }),
      ...(redrive === undefined ? {} : { redrive }),
    });
    execution.running = running;
    execution.settled = running.outcome.then((outcome) => this.#settle(execution, outcome));
    // Nobody may be waiting; a failure to write is told all the same.
    execution.settled.catch((thrown: unknown) =>
      log('an execution could not be recorded', { execution: record.arn, error: told(thrown) }),
    );
  }

  #settle(execution: Execution, { status, output, error, cause }: Outcome): void {
    const { redriveCount, redriveDate } = execution.state;
    execution.state = {
      status,
      stopDate: this.#options.clock.now(),
      ...(output === undefined ? {} : { output: JSON.stringify(output) }),
      ...(error === undefined ? {} : { error }),
      ...(cause === undefined ? {} : { cause }),
      redriveCount,
      ...(redriveDate === undefined ? {} : { redriveDate }),
    };
    execution.journal.append({ kind: 'state', state: execution.state });
    execution.journal.close();
    delete execution.running;
    this.#announce(execution);
  }

  async #stop(execution: Execution, why: { error?: string; cause?: string }): Promise<void> {
    execution.running?.stop(why);
    await execution.settled;
  }

  /**
   * Goes on where a FAILED, ABORTED or TIMED_OUT execution ended, with the input and the variables of that state.
   * @see https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
   */
  #redrive({ executionArn, clientToken }: Request<'RedriveExecution'>) {
    const execution = this.#execution(executionArn);
    if (clientToken !== undefined && clientToken === execution.redrivenBy) {
      return { redriveDate: seconds(execution.state.redriveDate ?? Number.NaN) };
    }
    const [status, reason] = this.#redriveStatus(execution);
    if (status !== 'REDRIVABLE')
      throw serviceError('ExecutionNotRedrivable', reason ?? `Execution is ${status}`);
    const { events, progress } = execution.journal.read();
    const definition = JSON.parse(execution.record.definition) as Definition;
    const state = progress === undefined ? undefined : definition.States[progress.state];
    const entered = events.find(({ id }) => id === progress?.enteredEventId)?.stateEnteredEventDetails;
    if (progress === undefined || state === undefined || entered === undefined) {
      throw serviceError(
        'ExecutionNotRedrivable',
        'Execution has not entered a state and cannot be redriven',
      );
    }
    // AWS re-runs only the branches and iterations that failed; here that would mean re-running those that did not.
    if (state.Type === 'Parallel' || state.Type === 'Map') {
      throw serviceError(
        'ExecutionNotRedrivable',
        `The local Step Functions does not redrive an execution that failed in a ${state.Type} state (${progress.state}).`,
      );
    }
    const last = events.at(-1)?.id ?? 0;
    const redriveDate = this.#options.clock.now();
    execution.state = { status: 'RUNNING', redriveCount: execution.state.redriveCount + 1, redriveDate };
    if (clientToken !== undefined) execution.redrivenBy = clientToken;
    execution.journal.append({ kind: 'state', state: execution.state });
    this.#run(execution, JSON.parse(execution.record.input) as Json, events.length, {
      count: execution.state.redriveCount,
      state: progress.state,
      input: JSON.parse(entered.input as string) as Json,
      enteredEventId: progress.enteredEventId,
      variables: progress.variables,
      previousEventId: last,
    });
    return { redriveDate: seconds(redriveDate) };
  }

  #redriveStatus({
    record,
    state,
  }: Execution): ['REDRIVABLE' | 'NOT_REDRIVABLE' | 'REDRIVABLE_BY_MAP_RUN', string?] {
    const { status, stopDate = 0 } = state;
    if (record.mapRunArn !== undefined && status !== 'RUNNING' && status !== 'SUCCEEDED') {
      return ['REDRIVABLE_BY_MAP_RUN', 'Execution is a child of a Map Run and is redriven with it'];
    }
    if (status === 'RUNNING' || status === 'SUCCEEDED') {
      return ['NOT_REDRIVABLE', `Execution is ${status} and cannot be redriven`];
    }
    if (this.#options.clock.now() - stopDate > REDRIVABLE_MS) {
      return [
        'NOT_REDRIVABLE',
        'Execution history event limit or the redrivable period of 14 days is exceeded',
      ];
    }
    return ['REDRIVABLE'];
  }

  #describe(execution: Execution): JsonObject {
    const { record, state } = execution;
    const [redriveStatus, redriveStatusReason] = this.#redriveStatus(execution);
    return {
      executionArn: record.arn,
      stateMachineArn: record.stateMachineArn,
      name: record.name,
      status: state.status,
      startDate: seconds(record.startDate),
      ...(state.stopDate === undefined ? {} : { stopDate: seconds(state.stopDate) }),
      ...(record.mapRunArn === undefined ? {} : { mapRunArn: record.mapRunArn }),
      input: record.input,
      inputDetails: { included: true },
      ...(state.output === undefined ? {} : { output: state.output, outputDetails: { included: true } }),
      ...(record.traceHeader === undefined ? {} : { traceHeader: record.traceHeader }),
      ...(state.error === undefined ? {} : { error: state.error }),
      ...(state.cause === undefined ? {} : { cause: state.cause }),
      redriveCount: state.redriveCount,
      ...(state.redriveDate === undefined ? {} : { redriveDate: seconds(state.redriveDate) }),
      redriveStatus,
      ...(redriveStatusReason === undefined ? {} : { redriveStatusReason }),
    };
  }

  #listExecutions(request: Request<'ListExecutions'>) {
    const { stateMachineArn, mapRunArn, statusFilter, redriveFilter } = request;
    // "You can specify either a mapRunArn or a stateMachineArn, but not both."
    if ((stateMachineArn === undefined) === (mapRunArn === undefined)) {
      throw serviceError('ValidationException', 'Specify either a mapRunArn or a stateMachineArn');
    }
    if (stateMachineArn !== undefined) this.#machine(stateMachineArn);
    const its =
      mapRunArn === undefined
        ? [...this.#executions.values()].filter(({ record }) => record.stateMachineArn === stateMachineArn)
        : this.#childrenOf(this.#mapRun(mapRunArn));
    const all = its
      .filter(({ state }) => statusFilter === undefined || state.status === statusFilter)
      .filter(
        ({ state }) =>
          redriveFilter === undefined || state.redriveCount > 0 === (redriveFilter === 'REDRIVEN'),
      )
      // "Results are sorted by time, with the most recent execution first."
      .sort((a, b) => b.record.startDate - a.record.startDate || (a.record.name < b.record.name ? -1 : 1));
    const { page, ...more } = pageOf(all, request, `ListExecutions ${stateMachineArn ?? mapRunArn}`);
    return {
      executions: page.map(({ record, state }) => ({
        executionArn: record.arn,
        stateMachineArn: record.stateMachineArn,
        name: record.name,
        status: state.status,
        startDate: seconds(record.startDate),
        ...(state.stopDate === undefined ? {} : { stopDate: seconds(state.stopDate) }),
        redriveCount: state.redriveCount,
        ...(state.redriveDate === undefined ? {} : { redriveDate: seconds(state.redriveDate) }),
        ...(record.mapRunArn === undefined ? {} : { mapRunArn: record.mapRunArn, itemCount: 1 }),
      })),
      ...more,
    };
  }

  #getExecutionHistory(request: Request<'GetExecutionHistory'>) {
    const { executionArn, reverseOrder = false, includeExecutionData = true } = request;
    const { events } = this.#execution(executionArn).journal.read();
    if (reverseOrder) events.reverse();
    const { page, ...more } = pageOf(events, request, `GetExecutionHistory ${executionArn} ${reverseOrder}`);
    return { events: page.map((event) => onTheWire(event, includeExecutionData)), ...more };
  }

  async #startChild(args: JsonObject): Promise<{ executionArn: string; startDate: number }> {
    const { StateMachineArn, Name, Input = {} } = args;
    return (await this.handle('StartExecution', {
      stateMachineArn: StateMachineArn,
      ...(Name === undefined ? {} : { name: Name }),
      input: typeof Input === 'string' ? Input : JSON.stringify(Input),
    })) as { executionArn: string; startDate: number };
  }

  /** A crash leaves executions that nobody runs: they end as ABORTED, and their history says why. */
  #load(): void {
    for (const machine of this.#store.machines()) this.#machines.set(machine.arn, machine);
    for (const mapRun of this.#store.mapRuns()) {
      this.#mapRuns.set(mapRun.arn, mapRun);
      if (mapRun.status !== 'RUNNING') continue;
      this.#saveMapRun({ ...mapRun, status: 'ABORTED', stopDate: this.#options.clock.now() });
    }
    for (const { record, state, torn } of this.#store.executions()) {
      const journal = this.#store.journal(record);
      const execution: Execution = { record, state, journal, settled: Promise.resolve() };
      this.#executions.set(record.arn, execution);
      if (!torn) continue;
      journal.repair();
      const contents = journal.read();
      execution.state = contents.state;
      const previous = contents.events.at(-1)?.id ?? 0;
      const history = new History(
        this.#options.clock,
        (event) => journal.append({ kind: 'event', event }),
        previous,
      );
      // The run may have ended without the last line: then its own last event says how.
      const outcome = outcomeIn(contents.events.at(-1)) ?? { status: 'ABORTED' as const, cause: RESTARTED };
      if (outcome.cause === RESTARTED) {
        history.end({ previous }, 'ExecutionAborted', { executionAbortedEventDetails: { cause: RESTARTED } });
      }
      this.#settle(execution, outcome);
      this.#options.log('an execution did not survive the restart', {
        execution: record.arn,
        status: outcome.status,
      });
    }
  }

  #announce({ record, state }: Execution): void {
    const change: StatusChange = {
      executionArn: record.arn,
      stateMachineArn: record.stateMachineArn,
      name: record.name,
      status: state.status,
      startDate: record.startDate,
      stopDate: state.stopDate ?? null,
      input: record.input,
      output: state.output ?? null,
      error: state.error ?? null,
      cause: state.cause ?? null,
      redriveCount: state.redriveCount,
      redriveDate: state.redriveDate ?? null,
    };
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#options.log('a listener to status changes failed', {
          execution: record.arn,
          error: told(error),
        });
      }
    }
  }

  #machine(arn: string): MachineRecord {
    this.#checkArn(arn, 'stateMachine');
    const machine = this.#machines.get(arn);
    if (machine === undefined)
      throw serviceError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${arn}'`);
    return machine;
  }

  #execution(arn: string): Execution {
    this.#checkArn(arn, 'execution');
    const execution = this.#executions.get(arn);
    if (execution === undefined)
      throw serviceError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
    return execution;
  }

  #mapRun(arn: string): MapRunRecord {
    const mapRun = this.#mapRuns.get(arn);
    if (mapRun === undefined) throw serviceError('ResourceNotFound', `Map Run Does Not Exist: '${arn}'`);
    return mapRun;
  }

  #childrenOf({ arn }: MapRunRecord): Execution[] {
    return [...this.#executions.values()].filter(({ record }) => record.mapRunArn === arn);
  }

  #saveMapRun(mapRun: MapRunRecord): void {
    this.#mapRuns.set(mapRun.arn, mapRun);
    this.#store.saveMapRun(mapRun);
  }

  #taggable(arn: string): MachineRecord {
    const machine = this.#machines.get(arn);
    if (machine === undefined)
      throw serviceError('ResourceNotFound', `Resource not found: '${arn}'`, { resourceName: arn });
    return machine;
  }

  #saveMachine(machine: MachineRecord): void {
    this.#store.saveMachine(machine);
    this.#machines.set(machine.arn, machine);
  }

  #checkArn(arn: string, kind: 'stateMachine' | 'execution'): void {
    const parts = arn.split(':');
    const fits =
      parts[0] === 'arn' &&
      parts[2] === 'states' &&
      parts[5] === kind &&
      parts.length === (kind === 'execution' ? 8 : 7);
    if (!fits) throw serviceError('InvalidArn', `Invalid Arn: '${arn}'`);
  }

  #checkRole(arn: string): void {
    if (!/^arn:[\w-]+:iam::\d{12}:role\/.+$/.test(arn))
      throw serviceError('InvalidArn', `Invalid Role Arn: '${arn}'`);
  }

  #checkDefinition(definition: string): void {
    const found = this.#diagnose(definition);
    if (found.length > 0) {
      throw serviceError(
        'InvalidDefinition',
        `Invalid State Machine Definition: '${found.map(describe).join(', ')}'`,
      );
    }
  }

  #diagnose(definition: string): Diagnostic[] {
    let value: unknown;
    try {
      value = JSON.parse(definition);
    } catch (thrown) {
      return [
        { severity: 'ERROR', code: 'INVALID_JSON_DESCRIPTION', message: String((thrown as Error).message) },
      ];
    }
    return diagnose(value, {
      expressions: this.#expressions,
      sdkHandler: this.#options.callSdk !== undefined,
    });
  }

  #parseInput(input: string): Json {
    if (Buffer.byteLength(input) > PAYLOAD_BYTES) {
      throw serviceError(
        'InvalidExecutionInput',
        `Invalid State Machine Execution Input: 'the input is larger than ${PAYLOAD_BYTES} bytes'`,
      );
    }
    try {
      return JSON.parse(input) as Json;
    } catch (cause) {
      throw Object.assign(
        serviceError(
          'InvalidExecutionInput',
          `Invalid State Machine Execution Input: '${(cause as Error).message}'`,
        ),
        { cause },
      );
    }
  }

  #arn(kind: 'stateMachine', name: string): string {
    return `arn:aws:states:${this.#options.region}:${this.#options.accountId}:${kind}:${name}`;
  }

  #executionArn(machine: string, name: string): string {
    return `arn:aws:states:${this.#options.region}:${this.#options.accountId}:execution:${machine}:${name}`;
  }
}

/** What AWS answers for a machine that was created without logging and tracing. */
const UNLOGGED = {
  loggingConfiguration: { level: 'OFF', includeExecutionData: false },
  tracingConfiguration: { enabled: false },
};

/** An error as text: a log line is often made with JSON, which leaves nothing of an Error. */
const told = (thrown: unknown): string =>
  thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);

/** awsJson carries dates as epoch seconds. */
const seconds = (ms: number): number => ms / 1000;

const tagsOf = (tags: readonly { key: string; value: string }[]): Record<string, string> =>
  Object.fromEntries(tags.map(({ key, value }) => [key, value]));

/** Members that carry the workflow's data; GetExecutionHistory leaves them out when asked to. */
const DATA = ['input', 'output', 'parameters', 'assignedVariables', 'error', 'cause'];

function onTheWire(event: HistoryEvent, includeExecutionData: boolean): Record<string, unknown> {
  const { timestamp, ...rest } = event;
  const wire: Record<string, unknown> = { ...rest, timestamp: seconds(timestamp) };
  if (includeExecutionData) return wire;
  for (const [member, details] of Object.entries(wire)) {
    if (!member.endsWith('EventDetails')) continue;
    wire[member] = Object.fromEntries(
      Object.entries(details as JsonObject).filter(([name]) => !DATA.includes(name)),
    );
  }
  return wire;
}

/** The outcome that a last event tells of; undefined when the run was in the middle of something. */
function outcomeIn(event: HistoryEvent | undefined): Outcome | undefined {
  const details = (member: `${string}EventDetails`) =>
    (event?.[member] ?? {}) as { error?: string; cause?: string };
  switch (event?.type) {
    case 'ExecutionSucceeded':
      return {
        status: 'SUCCEEDED',
        output: JSON.parse(event.executionSucceededEventDetails?.output as string) as Json,
      };
    case 'ExecutionFailed':
      return { status: 'FAILED', ...details('executionFailedEventDetails') };
    case 'ExecutionAborted':
      return { status: 'ABORTED', ...details('executionAbortedEventDetails') };
    case 'ExecutionTimedOut':
      return { status: 'TIMED_OUT', ...details('executionTimedOutEventDetails') };
    default:
      return undefined;
  }
}
