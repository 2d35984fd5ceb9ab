/**
 * The members that each operation takes. A member that is not here is refused by name: an emulator that ignores one lies.
 * @see https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html
 */

import * as z from 'zod';
import { serviceError } from './errors.ts';

const arn = z.string().min(1).max(256);
const longArn = z.string().min(1).max(2000);
const pageSize = z.int().min(0).max(1000);
const pageToken = z.string().min(1).max(1024);
/** Longer than any payload may be: the size in bytes is judged where the payload is used. */
const data = z.string().max(262_144);
const error = z.string().max(256);
const cause = z.string().max(32_768);
const token = z.string().min(1).max(2048);
const tag = z.strictObject({ key: z.string().min(1).max(128), value: z.string().max(256) });

/** Logging and tracing have no effect here; what AWS has by default may be said, anything else would be ignored. */
const noLogging = z.strictObject({
  level: z.literal('OFF').optional(),
  includeExecutionData: z.boolean().optional(),
  destinations: z.array(z.never()).max(0).optional(),
});
const noTracing = z.strictObject({ enabled: z.literal(false) });

export const REQUESTS = {
  CreateStateMachine: z.strictObject({
    name: z.string(),
    definition: z.string().min(1).max(1_048_576),
    roleArn: arn,
    type: z.literal('STANDARD').optional(),
    tags: z.array(tag).max(50).optional(),
    loggingConfiguration: noLogging.optional(),
    tracingConfiguration: noTracing.optional(),
  }),
  UpdateStateMachine: z.strictObject({
    stateMachineArn: arn,
    definition: z.string().min(1).max(1_048_576).optional(),
    roleArn: arn.optional(),
    loggingConfiguration: noLogging.optional(),
    tracingConfiguration: noTracing.optional(),
  }),
  DescribeStateMachine: z.strictObject({
    stateMachineArn: arn,
    includedData: z.literal('ALL_DATA').optional(),
  }),
  ListStateMachines: z.strictObject({ maxResults: pageSize.optional(), nextToken: pageToken.optional() }),
  DeleteStateMachine: z.strictObject({ stateMachineArn: arn }),
  ValidateStateMachineDefinition: z.strictObject({
    definition: z.string().min(1).max(1_048_576),
    type: z.literal('STANDARD').optional(),
    severity: z.enum(['ERROR', 'WARNING']).optional(),
    maxResults: z.int().min(0).max(100).optional(),
  }),
  StartExecution: z.strictObject({
    stateMachineArn: arn,
    name: z.string().optional(),
    input: data.optional(),
    traceHeader: z.string().max(256).optional(),
  }),
  DescribeExecution: z.strictObject({ executionArn: arn, includedData: z.literal('ALL_DATA').optional() }),
  ListExecutions: z.strictObject({
    stateMachineArn: arn.optional(),
    mapRunArn: longArn.optional(),
    statusFilter: z
      .enum(['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED', 'PENDING_REDRIVE'])
      .optional(),
    redriveFilter: z.enum(['REDRIVEN', 'NOT_REDRIVEN']).optional(),
    maxResults: pageSize.optional(),
    nextToken: pageToken.optional(),
  }),
  GetExecutionHistory: z.strictObject({
    executionArn: arn,
    maxResults: pageSize.optional(),
    reverseOrder: z.boolean().optional(),
    nextToken: pageToken.optional(),
    includeExecutionData: z.boolean().optional(),
  }),
  StopExecution: z.strictObject({ executionArn: arn, error: error.optional(), cause: cause.optional() }),
  DescribeStateMachineForExecution: z.strictObject({
    executionArn: arn,
    includedData: z.literal('ALL_DATA').optional(),
  }),
  RedriveExecution: z.strictObject({ executionArn: arn, clientToken: z.string().min(1).max(64).optional() }),
  DescribeMapRun: z.strictObject({ mapRunArn: longArn }),
  ListMapRuns: z.strictObject({
    executionArn: arn,
    maxResults: pageSize.optional(),
    nextToken: pageToken.optional(),
  }),
  SendTaskSuccess: z.strictObject({ taskToken: token, output: data }),
  SendTaskFailure: z.strictObject({ taskToken: token, error: error.optional(), cause: cause.optional() }),
  SendTaskHeartbeat: z.strictObject({ taskToken: token }),
  TagResource: z.strictObject({ resourceArn: arn, tags: z.array(tag).min(1).max(50) }),
  UntagResource: z.strictObject({ resourceArn: arn, tagKeys: z.array(z.string().min(1).max(128)) }),
  ListTagsForResource: z.strictObject({ resourceArn: arn }),
} as const;

export type Operation = keyof typeof REQUESTS;
export type Request<O extends Operation> = z.output<(typeof REQUESTS)[O]>;

export function parseRequest<O extends Operation>(operation: O, body: unknown): Request<O> {
  const parsed = REQUESTS[operation].safeParse(body ?? {});
  if (parsed.success) return parsed.data as Request<O>;
  const faults = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `${operation}.${[...issue.path, key].join('.')} is not emulated`)
      : [`${operation}.${issue.path.join('.')}: ${issue.message}`],
  );
  throw serviceError(
    'ValidationException',
    `${faults.length} validation error${faults.length > 1 ? 's' : ''} detected: ${faults.join('; ')}`,
  );
}

/** "A name must not contain: white space, brackets < > { } [ ], wildcard characters ? *, special characters, control characters." */
const FORBIDDEN = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}\ufffe\uffff]/u;

/** Names of machines and executions: 1 to 80 characters. */
export function checkName(name: string): string {
  const length = Array.from(name).length;
  if (length < 1 || length > 80 || FORBIDDEN.test(name)) {
    throw serviceError('InvalidName', `Invalid Name: '${name}'`);
  }
  return name;
}

/** One page of a list; the token says where the next one starts, and for which call. */
export function pageOf<T>(
  all: readonly T[],
  { maxResults, nextToken }: { maxResults?: number | undefined; nextToken?: string | undefined },
  call: string,
): { page: T[]; nextToken?: string } {
  const from = nextToken === undefined ? 0 : offsetIn(nextToken, call);
  // "If a value of 0 is given, the default (100) is used."
  const to = from + (maxResults || 100);
  return {
    page: all.slice(from, to),
    ...(to < all.length
      ? { nextToken: Buffer.from(JSON.stringify({ call, from: to })).toString('base64url') }
      : {}),
  };
}

function offsetIn(nextToken: string, call: string): number {
  let token: { call?: unknown; from?: unknown } | null;
  try {
    token = JSON.parse(Buffer.from(nextToken, 'base64url').toString()) as typeof token;
  } catch (cause) {
    throw Object.assign(serviceError('InvalidToken', `Invalid Token: '${nextToken}'`), { cause });
  }
  if (token?.call !== call || typeof token.from !== 'number') {
    throw serviceError('InvalidToken', `Invalid Token: '${nextToken}'`);
  }
  return token.from;
}
