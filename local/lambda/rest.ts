import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyOf } from '../front/request.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import type { LambdaRuntime } from './runtime.ts';

const BODY_LIMIT_BYTES = 8 * 1024 * 1024;

/** Lambda's REST API: Invoke, GetFunction, ListFunctions ("AWS Lambda API Reference"). */
export async function answerLambda(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  runtime: LambdaRuntime,
  log: (line: string) => void,
): Promise<void> {
  const send = (status: number, body: unknown, headers: Record<string, string> = {}) => {
    response.writeHead(status, {
      'content-type': 'application/json',
      'x-amzn-requestid': randomUUID(),
      ...headers,
    });
    response.end(body === undefined ? '' : JSON.stringify(body));
  };
  try {
    const path = url.pathname.match(/^\/2015-03-31\/functions(?:\/(.*))?$/);
    const rest = (path?.[1] ?? '').split('/').map(decodeURIComponent).filter(Boolean);
    if (!path) throw unsupported(`Lambda's ${request.method} ${url.pathname}`);
    if (request.method === 'GET' && rest.length === 0) {
      send(200, { Functions: runtime.list().map(describe) });
    } else if (request.method === 'GET' && rest.length === 1) {
      send(200, { Configuration: describe(runtime.get(rest[0] ?? '')), Tags: {} });
    } else if (request.method === 'POST' && rest.length === 2 && rest[1] === 'invocations') {
      const type = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
      if (type !== 'RequestResponse') throw unsupported(`invocation type ${String(type)}`);
      if ((request.headers['x-amz-log-type'] ?? 'None') !== 'None') throw unsupported('log type Tail');
      const text = (await bodyOf(request, BODY_LIMIT_BYTES)).toString('utf8');
      let payload: unknown;
      try {
        payload = text === '' ? {} : JSON.parse(text);
      } catch (error) {
        throw new ServiceError(
          'InvalidRequestContentException',
          `Could not parse request body into json: ${String(error)}`,
        );
      }
      const result = await runtime.invoke(rest[0] ?? '', payload);
      send(200, result.payload, {
        'x-amz-executed-version': '$LATEST',
        ...(result.functionError === undefined ? {} : { 'x-amz-function-error': result.functionError }),
      });
    } else {
      throw unsupported(`Lambda's ${request.method} ${url.pathname}`);
    }
  } catch (error) {
    const known = error instanceof ServiceError;
    if (!known) log(`lambda: ${error instanceof Error ? error.stack : String(error)}`);
    const name = known ? error.name : 'ServiceException';
    send(
      known ? error.statusCode : 500,
      { Type: 'User', Message: (error as Error).message },
      { 'x-amzn-errortype': name },
    );
  }
}

function describe({ settings, arn, modified }: ReturnType<LambdaRuntime['list']>[number]) {
  return {
    FunctionName: settings.name,
    FunctionArn: arn,
    Runtime: 'nodejs24.x',
    Handler: `index.${settings.handler}`,
    Timeout: settings.timeoutSeconds,
    MemorySize: settings.memoryMegabytes,
    LastModified: new Date(modified).toISOString().replace('Z', '+0000'),
    PackageType: 'Zip',
    State: 'Active',
    Version: '$LATEST',
    Environment: { Variables: settings.environment },
  };
}
