/**
 * What a Task state can call. Three optimized integrations, and `aws-sdk:*` where the local cloud was given a handler.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
 */

import { randomUUID } from 'node:crypto';
import type { EventEntry, PutEventsResult } from '../event-bus.ts';
import type { Json, JsonObject } from './definition.ts';
import { StatesError } from './errors.ts';
import type { MapRun, MapRunSettings } from './map-runs.ts';
import type { TaskTokens } from './tokens.ts';

/** `arn:aws:states:::lambda:invoke.waitForTaskToken`, taken apart. */
export interface Resource {
  sdk: boolean;
  service: string;
  action: string;
  pattern: 'request' | 'waitForTaskToken' | 'sync:2';
  /** As history names them: `lambda` or `aws-sdk:ec2`, `invoke` or `startExecution.sync:2`. */
  resourceType: string;
  resource: string;
}

const ARN = /^arn:aws:states:::(aws-sdk:)?([A-Za-z0-9]+):([A-Za-z0-9]+)(?:\.(waitForTaskToken|sync:2))?$/;

export function parseResource(arn: string): Resource | undefined {
  const [, sdk, service, action, pattern] = ARN.exec(arn) ?? [];
  if (service === undefined || action === undefined) return undefined;
  return {
    sdk: sdk !== undefined,
    service,
    action,
    pattern: (pattern ?? 'request') as Resource['pattern'],
    resourceType: `${sdk ?? ''}${service}`,
    resource: pattern === undefined ? action : `${action}.${pattern}`,
  };
}

/** The optimized integrations here, with the members that their Arguments may have. */
const OPTIMIZED = new Map<string, { patterns: Resource['pattern'][]; members: string[] }>([
  // InvocationType, Qualifier, ClientContext and LogType exist on AWS: none of our state machines uses them.
  ['lambda:invoke', { patterns: ['request', 'waitForTaskToken'], members: ['FunctionName', 'Payload'] }],
  ['events:putEvents', { patterns: ['request'], members: ['Entries'] }],
  ['states:startExecution', { patterns: ['sync:2'], members: ['StateMachineArn', 'Input', 'Name'] }],
]);

export function isSupported(resource: Resource, sdkHandler: boolean): boolean {
  if (resource.sdk) return sdkHandler && resource.pattern !== 'sync:2';
  return (
    OPTIMIZED.get(`${resource.service}:${resource.action}`)?.patterns.includes(resource.pattern) ?? false
  );
}

/** The first member of Arguments that the integration here does not know; undefined when all are known. */
export function unknownArgument(resource: Resource, args: Json | undefined): string | undefined {
  if (
    resource.sdk ||
    args === undefined ||
    args === null ||
    typeof args !== 'object' ||
    Array.isArray(args)
  ) {
    return undefined;
  }
  const members = OPTIMIZED.get(`${resource.service}:${resource.action}`)?.members ?? [];
  return Object.keys(args).find((member) => !members.includes(member));
}

/** A Lambda function's answer: the payload is `{ errorType, errorMessage, trace }` when `functionError` is there. */
export interface InvokeResult {
  payload: unknown;
  functionError?: string;
}

export type Invoke = (
  functionNameOrArn: string,
  payload: unknown,
  signal: AbortSignal,
) => Promise<InvokeResult>;

export type CallSdk = (service: string, action: string, args: Json, signal: AbortSignal) => Promise<Json>;

export type PutEvents = (entries: readonly EventEntry[]) => PutEventsResult;

/** What `startExecution.sync:2` needs of the service. */
export interface ChildExecutions {
  start(args: JsonObject): Promise<{ executionArn: string; startDate: number }>;
  /** DescribeExecution's answer (dates in epoch seconds), once the execution has ended. */
  ended(executionArn: string): Promise<JsonObject>;
  /** Asks for its end; that it could not be stopped is nothing to the task that gave it up. */
  stop(executionArn: string): void;
}

/** Gives the text of an object in S3, in the name of the state machine's role. */
export type ReadObject = (bucket: string, key: string) => Promise<string>;

export interface Integrations {
  readonly invoke: Invoke;
  readonly callSdk: CallSdk | undefined;
  readonly putEvents: PutEvents;
  readonly tokens: TaskTokens;
  readonly children: ChildExecutions;
  readonly readObject: ReadObject;
  /** Map states in distributed mode make theirs here. */
  readonly mapRuns: { start(settings: MapRunSettings): MapRun };
}

/** Makes the request: its answer is the task's result, or what TaskSubmitted records for the waiting patterns. */
export async function request(
  { invoke, callSdk, children, putEvents }: Integrations,
  resource: Resource,
  args: Json,
  identity: JsonObject,
  signal: AbortSignal,
): Promise<Json> {
  if (resource.sdk) {
    if (callSdk === undefined)
      throw new StatesError('States.Runtime', `no handler for ${resource.resourceType}`);
    return callSdk(resource.service, resource.action, args, signal);
  }
  const members = objectOf(args);
  if (resource.service === 'lambda') return invokeLambda(invoke, members, signal);
  if (resource.service === 'events') return sendEvents(putEvents, members, identity);
  return startChild(children, members);
}

/** The rest of a `.sync:2` request: waits until what was submitted has ended. */
export async function completion(
  { children }: Integrations,
  submitted: Json,
  signal: AbortSignal,
): Promise<Json> {
  const { ExecutionArn: executionArn } = submitted as { ExecutionArn: string };
  // "If a task using this (.sync) service integration pattern is aborted, and Step Functions is unable to cancel the task…":
  // it does try, and here it can.
  const stop = () => children.stop(executionArn);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const ended = await children.ended(executionArn);
    const description = capitalised(ended);
    // ".sync:2" gives Input and Output as JSON where ".sync" gives strings.
    for (const member of ['Input', 'Output']) {
      const text = description[member];
      if (typeof text === 'string') description[member] = JSON.parse(text) as Json;
    }
    if (ended.status !== 'SUCCEEDED') {
      throw new StatesError('States.TaskFailed', JSON.stringify(description));
    }
    return description;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function invokeLambda(invoke: Invoke, args: JsonObject, signal: AbortSignal): Promise<Json> {
  const { FunctionName: name, Payload: payload = {} } = args;
  if (typeof name !== 'string') {
    throw new StatesError('States.Runtime', "The field 'FunctionName' of the Arguments must be a string.");
  }
  let answer: InvokeResult;
  try {
    answer = await invoke(name, payload, signal);
  } catch (thrown) {
    // The Lambda service refused the call: AWS prefixes the exception with the service's name.
    if (thrown instanceof Error && thrown.name.endsWith('Exception')) {
      throw new StatesError(`Lambda.${thrown.name}`, thrown.message, { cause: thrown });
    }
    throw thrown;
  }
  const result = (answer.payload ?? null) as Json;
  if (answer.functionError !== undefined) throw functionFailure(result);
  const length = String(Buffer.byteLength(JSON.stringify(result)));
  return {
    ExecutedVersion: '$LATEST',
    Payload: result,
    ...sdkMetadata({
      'Content-Length': length,
      'Content-Type': 'application/json',
      'X-Amz-Executed-Version': '$LATEST',
      'x-amzn-Remapped-Content-Length': '0',
    }),
    StatusCode: 200,
  };
}

/** Error is the function's errorType; Cause is its whole answer as JSON text. */
function functionFailure(payload: Json): StatesError {
  const type =
    payload !== null && typeof payload === 'object' && !Array.isArray(payload)
      ? payload.errorType
      : undefined;
  if (typeof type === 'string' && type !== '') return new StatesError(type, JSON.stringify(payload));
  return new StatesError(
    'Lambda.Unknown',
    `The cause could not be determined because Lambda did not return an error type. Returned payload: ${JSON.stringify(payload)}`,
  );
}

/**
 * "Add EventBridge events with Step Functions": Detail may be an object, the ARNs of execution and state machine are
 * appended to Resources, and any entry that failed fails the task.
 */
function sendEvents(putEvents: PutEvents, { Entries: entries = [] }: JsonObject, identity: JsonObject): Json {
  if (!Array.isArray(entries)) {
    throw new StatesError('States.Runtime', "The field 'Entries' of the Arguments must be an array.");
  }
  const arns = [identity.Execution, identity.StateMachine].map((one) => objectOf(one ?? null).Id as string);
  let answer: PutEventsResult;
  try {
    answer = putEvents(
      entries.map((entry): EventEntry => {
        const { Detail: detail, Resources: resources = [], ...members } = objectOf(entry);
        return {
          ...members,
          ...(detail === undefined
            ? {}
            : { Detail: typeof detail === 'string' ? detail : JSON.stringify(detail) }),
          Resources: [...(resources as string[]), ...arns],
        };
      }),
    );
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name.endsWith('Exception')) {
      throw new StatesError(`EventBridge.${thrown.name}`, thrown.message, { cause: thrown });
    }
    throw thrown;
  }
  if (answer.FailedEntryCount > 0) throw new StatesError('EventBridge.FailedEntry', JSON.stringify(answer));
  return { ...answer, ...sdkMetadata({ 'Content-Type': 'application/x-amz-json-1.1' }) };
}

async function startChild(children: ChildExecutions, args: JsonObject): Promise<Json> {
  try {
    const { executionArn, startDate } = await children.start(args);
    return {
      ExecutionArn: executionArn,
      ...sdkMetadata({ 'Content-Type': 'application/x-amz-json-1.0' }),
      StartDate: Math.round(startDate * 1000),
    };
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown;
    // AWS writes `StepFunctions.ExecutionAlreadyExistsException` and so on.
    const name = thrown.name.endsWith('Exception') ? thrown.name : `${thrown.name}Exception`;
    throw new StatesError(`StepFunctions.${name}`, thrown.message, { cause: thrown });
  }
}

/** What the service's own client adds to an answer. */
function sdkMetadata(headers: Record<string, string>): JsonObject {
  const id = randomUUID();
  const all: Record<string, string> = { Connection: 'keep-alive', ...headers, 'x-amzn-RequestId': id };
  return {
    SdkHttpMetadata: {
      AllHttpHeaders: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])),
      HttpHeaders: all,
      HttpStatusCode: 200,
    },
    SdkResponseMetadata: { RequestId: id },
  };
}

/** The API's members as the integration writes them: capitalised, dates in milliseconds. */
function capitalised(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      `${name.charAt(0).toUpperCase()}${name.slice(1)}`,
      name.endsWith('Date') && typeof member === 'number'
        ? Math.round(member * 1000)
        : member !== null && typeof member === 'object' && !Array.isArray(member)
          ? capitalised(member)
          : member,
    ]),
  );
}

function objectOf(value: Json): JsonObject {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value;
  throw new StatesError(
    'States.Runtime',
    `The Arguments of a Task must be an object, got ${JSON.stringify(value)}.`,
  );
}
