import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyOf } from './request.ts';
import { ServiceError } from './service-error.ts';

/** Step Functions' largest request is a 1 MB definition; 4 MiB leaves room for escapes. */
const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/** What answers an awsJson service: throws errors whose `name` is the AWS error code. */
export interface AwsJsonService {
  handle(operation: string, body: unknown): Promise<unknown>;
}

/**
 * Answers one awsJson request (Smithy, "AWS JSON 1.0/1.1 protocol"): operation in X-Amz-Target, JSON both ways,
 * errors as `__type` and `message`.
 */
export async function answerAwsJson(
  request: IncomingMessage,
  response: ServerResponse,
  service: AwsJsonService,
  log: (line: string) => void,
): Promise<void> {
  const target = String(request.headers['x-amz-target'] ?? '');
  const operation = target.slice(target.lastIndexOf('.') + 1);
  let status = 200;
  let answer: unknown;
  try {
    if (operation === '') throw new ServiceError('UnknownOperationException', 'X-Amz-Target is missing.');
    const text = (await bodyOf(request, BODY_LIMIT_BYTES)).toString('utf8');
    let body: unknown;
    try {
      body = text === '' ? {} : JSON.parse(text);
    } catch (error) {
      throw new ServiceError('SerializationException', `The body is not JSON: ${String(error)}`);
    }
    answer = await service.handle(operation, body);
  } catch (error) {
    ({ status, answer } = awsJsonError(error, log, target));
  }
  response.writeHead(status, {
    'content-type': String(request.headers['content-type'] ?? 'application/x-amz-json-1.0'),
    'x-amzn-requestid': randomUUID(),
  });
  // AWS sends dates as epoch seconds with a fraction (awsJson: epoch-seconds).
  response.end(
    JSON.stringify(answer ?? {}, function (this: Record<string, unknown>, key, value: unknown) {
      const original = this[key];
      return original instanceof Date ? original.getTime() / 1000 : value;
    }),
  );
}

export function awsJsonError(error: unknown, log: (line: string) => void, where: string) {
  if (error instanceof Error && error.name !== 'Error' && !isProgrammingError(error)) {
    const { statusCode } = error as Error & { statusCode?: number };
    return { status: statusCode ?? 400, answer: { __type: error.name, message: error.message } };
  }
  log(`${where}: ${error instanceof Error ? error.stack : String(error)}`);
  return {
    status: 500,
    answer: { __type: 'InternalServerError', message: `local cloud: ${String(error)}` },
  };
}

/** A bug of ours must not look like an answer of AWS's. */
function isProgrammingError(error: Error): boolean {
  return (
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError ||
    'syscall' in error
  );
}
