/**
 * Where moto 5.2.1 differs from us, and why we think that AWS is on our side. Nothing differs silently: a difference that is
 * not here fails, and so does an entry whose difference is gone.
 */

import type { Ending } from './engines.ts';

export interface Difference {
  in: (keyof Ending)[];
  ours: Partial<Ending>;
  moto: Partial<Ending>;
  why: string;
}

/** Event types that moto never writes: its counts are compared without them, and it is checked that it writes none. */
export const NEVER_IN_MOTO: Record<string, string> = {
  TaskStateAborted:
    'API reference, HistoryEvent; a history recorded on AWS has one for the failed task of an iteration and one for each task cut short',
  WaitStateAborted: 'API reference, HistoryEvent: the counterpart for a wait',
  ExecutionTimedOut: 'API reference, HistoryEvent; moto ends such a history without a last event',
};

/** moto leaves out which field a query that returned nothing was in; AWS names it. */
export const withoutField = (cause: string | undefined): string | undefined =>
  cause?.replace(/ specified for the field '[^']*' returned nothing/, ' returned nothing');

export const DIFFERENCES: Record<string, Difference> = {
  'a query that throws': {
    in: ['error', 'cause', 'events'],
    ours: { error: 'States.QueryEvaluationError' },
    moto: { error: 'States.Runtime' },
    why: 'Developer guide, Error names: "States.QueryEvaluationError: Query evaluation failed, such as JSONata type error …"',
  },
  $hash: {
    in: ['output'],
    ours: { output: 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb' },
    moto: { output: 'Function $hash is currently not supported' },
    why: 'moto has no $hash; Developer guide, Transforming data: "$hash – … calculates the hash value"',
  },
  $uuid: {
    in: ['output'],
    ours: { output: 36 },
    moto: { output: 41 },
    why: 'moto answers with the sentence that it has no $uuid, 41 letters long',
  },
  'assign and output see the values before': {
    in: ['output'],
    ours: { output: { before: [1, { deep: ['two', 2] }], x: { deep: ['two', 2] }, y: 1 } },
    moto: { output: { before: [{ deep: ['two', 2] }, 1], x: { deep: ['two', 2] }, y: 1 } },
    why: 'states-language.net, Assign: "Assign and Output … evaluated in parallel": Output sees the values on entry. moto assigns first',
  },
  'choice that matches nothing': {
    in: ['error', 'cause'],
    ours: { error: 'States.NoChoiceMatched' },
    moto: { error: 'States.Runtime' },
    why: 'Developer guide, Error names: States.NoChoiceMatched',
  },
  'distributed map with a failing child, caught': {
    in: ['output', 'events'],
    ours: {
      output: {
        Error: 'States.ExceedToleratedFailureThreshold',
        Cause: 'The specified tolerated failure threshold was exceeded',
      },
    },
    moto: { output: [null, null, null] },
    why: 'Distributed mode, failure threshold: "The default value is zero, which means that the workflow fails if any one of its child workflow executions fails or times out"; moto tolerates every failure',
  },
  'task whose function does not exist': {
    in: ['cause'],
    ours: { cause: 'Function not found: none' },
    moto: {
      cause:
        'Function not found: none (Service: AWSLambda; Status Code: 400; Error Code: ResourceNotFoundException; Request ID: oracle; Proxy: null)',
    },
    why: 'moto adds what an HTTP call would have said; ours is an in-process call, and the error name is what Retry looks at',
  },
  'a failed query in the arguments': {
    in: ['events'],
    ours: { events: { EvaluationFailed: 1, ExecutionFailed: 1, ExecutionStarted: 1, TaskStateEntered: 1 } },
    moto: { events: { EvaluationFailed: 2, ExecutionFailed: 1, ExecutionStarted: 1, TaskStateEntered: 1 } },
    why: 'one failure, one event: moto writes it where it happens and again where it is handled',
  },
  'a failed query in the output, caught': {
    in: ['status', 'output', 'error', 'cause', 'events'],
    ours: { status: 'SUCCEEDED', output: 'States.QueryEvaluationError' },
    moto: { status: 'FAILED', error: 'States.QueryEvaluationError' },
    why: 'Developer guide, Fallback states: a Task may catch States.QueryEvaluationError; its Output is part of the state',
  },
  'more data than a state may give': {
    in: ['status', 'output', 'error', 'cause', 'events'],
    ours: { status: 'FAILED', error: 'States.DataLimitExceeded' },
    moto: { status: 'SUCCEEDED' },
    why: 'Quotas: 256 KiB "as a UTF-8 encoded string", which is the JSON text with its quotes; moto does not look at a Pass state',
  },
  'token failed, caught': {
    in: ['output'],
    ours: { output: { Error: 'Worker', Cause: 'disk full' } },
    moto: { output: { Error: 'Worker', Cause: null } },
    why: 'API reference, SendTaskFailure: cause is "a more detailed explanation of the cause of the failure"; moto loses it',
  },
  'heartbeat missed, caught by its name': {
    in: ['status', 'output', 'error', 'events'],
    ours: { status: 'SUCCEEDED', output: { Error: 'States.Timeout', Cause: '' } },
    moto: { status: 'FAILED', error: 'States.Timeout' },
    why: 'Developer guide, Error names: "HeartbeatTimeout is available inside the Catch and Retry fields"',
  },
};
