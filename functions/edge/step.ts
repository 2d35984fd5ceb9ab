import { Logger } from '@aws-lambda-powertools/logger';
import middy from '@middy/core';
import * as z from 'zod/mini';
import { type Execution, executionSchema, parseSlice } from '../../core/build-state.ts';

const logger = new Logger({ serviceName: 'ami-foundry' });

/** What every Task state sends: the state so far, who is asking, and what the state wants beyond that. */
const callSchema = z.object({
  input: z.unknown(),
  execution: executionSchema,
  retryCount: z._default(z.int(), 0),
  options: z._default(z.unknown(), {}),
});

export interface StepCall<Input, Options> {
  readonly input: Input;
  readonly options: Options;
  readonly execution: Execution;
  /** How often the state machine has retried this state. */
  readonly retryCount: number;
}

/** A step's declaration: its name, the slice of the state it reads, what it adds, and what its states may tell it. */
interface StepDeclaration<In, Out, Options> {
  readonly name: string;
  readonly input: In;
  readonly output: Out;
  readonly options: Options;
}

/** Logs begin, end and failure of a step. Never the payload: user data and presigned URLs pass through steps. */
const stepLog = (step: string): middy.MiddlewareObj<unknown> => {
  const started = new WeakMap<object, number>();
  const build = (event: unknown) => callSchema.safeParse(event).data?.execution.name ?? 'unknown';
  return {
    before: (request) => {
      started.set(request, Date.now());
    },
    after: (request) => {
      const milliseconds = Date.now() - (started.get(request) ?? Date.now());
      logger.info('step done', { step, build: build(request.event), milliseconds });
    },
    onError: (request) => {
      const { name, message } = request.error ?? { name: 'Error', message: '' };
      logger.error('step failed', { step, build: build(request.event), code: name, reason: message });
    },
  };
};

/** What the SDK calls an answer without an error code, and one that it cannot parse: a load balancer's page, not the service's word. */
const namelessAnswers = new Set(['Unknown', 'Error', 'SyntaxError']);

/** What Node says of a network that fails, beyond what the SDK calls TimeoutError. */
const networkErrors = new Set(['EAI_AGAIN', 'ENOTFOUND', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Throws on, with AWS's id of the request; an outage that has no name gets one, because the state machine retries by name. */
function named(error: unknown): never {
  if (error instanceof Error) {
    const { code, $metadata } = error as {
      code?: unknown;
      $metadata?: { httpStatusCode?: number; requestId?: string };
    };
    const outage =
      (error.name === 'Error' && typeof code === 'string' && networkErrors.has(code)) ||
      (namelessAnswers.has(error.name) && ($metadata?.httpStatusCode ?? 0) >= 500);
    if (outage) error.name = 'ServiceUnavailable';
    // What AWS Support asks for first.
    if ($metadata?.requestId) error.message += ` (request id ${$metadata.requestId})`;
  }
  throw error;
}

/** The middy stack of a step: parse its slice of the state, run, parse what it adds. Errors keep their name: it is the code. */
export function stepHandler<
  In extends z.ZodMiniType,
  Out extends z.ZodMiniType,
  Options extends z.ZodMiniType,
>(
  { name, input, output, options }: StepDeclaration<In, Out, Options>,
  run: (call: StepCall<z.output<In>, z.output<Options>>) => Promise<z.input<Out>>,
) {
  return middy()
    .use(stepLog(name))
    .handler(async (event: unknown) => {
      const call = parseSlice(callSchema, event, name);
      const result = await run({
        ...call,
        input: parseSlice(input, call.input, name),
        options: parseSlice(options, call.options, name),
      }).catch(named);
      return parseSlice(output, result, name);
    });
}
