/**
 * One execution environment of a function: a worker thread with the function's own environment. It imports the bundle
 * once and then runs one invocation at a time, as Lambda does.
 */
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { reachHostAs } from './gateway.ts';

export interface ThreadData {
  bundle: string;
  handler: string;
  /** What this host is called in URLs that machines get too. */
  hostAddress?: string | undefined;
}

export interface InvocationMessage {
  requestId: string;
  payload: unknown;
  functionName: string;
  invokedFunctionArn: string;
  memoryMegabytes: number;
  logStreamName: string;
  /** Epoch milliseconds. */
  deadline: number;
}

export interface ErrorPayload {
  errorType: string;
  errorMessage: string;
  trace?: string[];
}

export type ThreadMessage =
  | { kind: 'ready' }
  | { kind: 'failed'; error: ErrorPayload }
  | { kind: 'done'; requestId: string; json: string }
  | { kind: 'error'; requestId: string; error: ErrorPayload };

type Handler = (event: unknown, context: object) => unknown;

const port = parentPort;
if (!port) throw new Error('thread.ts runs in a worker thread');
const { bundle, handler: handlerName, hostAddress } = workerData as ThreadData;
if (hostAddress !== undefined) reachHostAs(hostAddress);

const send = (message: ThreadMessage) => port.postMessage(message);

/** Lambda's Node.js runtime: errorType is the error's name, trace its stack by lines. */
function describe(error: unknown): ErrorPayload {
  if (error instanceof Error) {
    return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

let handler: Handler | undefined;
try {
  const module = (await import(pathToFileURL(bundle).href)) as Record<string, unknown>;
  const found = module[handlerName];
  if (typeof found === 'function') {
    handler = found as Handler;
    send({ kind: 'ready' });
  } else {
    send({
      kind: 'failed',
      error: {
        errorType: 'Runtime.HandlerNotFound',
        errorMessage: `index.${handlerName} is undefined or not exported`,
      },
    });
  }
} catch (error) {
  send({ kind: 'failed', error: { ...describe(error), errorType: 'Runtime.ImportModuleError' } });
}

async function invoke(message: InvocationMessage): Promise<void> {
  const { requestId } = message;
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: message.functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: message.invokedFunctionArn,
    memoryLimitInMB: String(message.memoryMegabytes),
    awsRequestId: requestId,
    logGroupName: `/aws/lambda/${message.functionName}`,
    logStreamName: message.logStreamName,
    getRemainingTimeInMillis: () => Math.max(0, message.deadline - Date.now()),
  };
  try {
    const result = await handler?.(message.payload, context);
    let json: string | undefined;
    try {
      json = JSON.stringify(result);
    } catch (error) {
      send({
        kind: 'error',
        requestId,
        error: {
          errorType: 'Runtime.MarshalError',
          errorMessage: `Unable to stringify response body: ${String(error)}`,
        },
      });
      return;
    }
    send({ kind: 'done', requestId, json: json ?? 'null' });
  } catch (error) {
    send({ kind: 'error', requestId, error: describe(error) });
  }
}

port.on('message', (message: InvocationMessage) => {
  void invoke(message);
});
