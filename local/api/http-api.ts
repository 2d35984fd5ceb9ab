import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { bodyOf, type Scope } from '../front/request.ts';
import { ServiceError } from '../front/service-error.ts';
import { signatureHolds } from '../front/signed.ts';
import type { Iam } from '../iam/iam.ts';
import type { LambdaRuntime } from '../lambda/runtime.ts';
import { type MetRoute, proxyEvent } from './event.ts';

/** "Quotas for configuring and running an HTTP API": a payload of 10 MB, an integration of 30 s. */
const BODY_LIMIT_BYTES = 10 * 1024 * 1024;
const INTEGRATION_MILLISECONDS = 30_000;

interface Route {
  readonly method: string;
  readonly path: string;
  readonly functionName: string;
}

/** The answer of a function, as the same page has it: without statusCode it is a body of JSON. */
interface ProxyAnswer {
  readonly statusCode?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly string[];
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
}

/**
 * API Gateway's HTTP API with IAM authorization on every route and a Lambda function behind each; one API, on the `$default` stage, at the root
 * of the cloud's own port. Its refusals are {"message": …}.
 */
export class HttpApi {
  readonly apiId = 'local';
  readonly #lambda: LambdaRuntime;
  readonly #iam: Iam;
  readonly #secretOf: (accessKey: string) => string | undefined;
  readonly #accountId: string;
  readonly #region: string;
  readonly #clock: Clock;
  readonly #log: (line: string) => void;
  readonly #routes: Route[] = [];

  constructor(parts: {
    lambda: LambdaRuntime;
    iam: Iam;
    secretOf: (accessKey: string) => string | undefined;
    accountId: string;
    region: string;
    clock: Clock;
    log: (line: string) => void;
  }) {
    this.#lambda = parts.lambda;
    this.#iam = parts.iam;
    this.#secretOf = parts.secretOf;
    this.#accountId = parts.accountId;
    this.#region = parts.region;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Makes or replaces a route. */
  route(method: string, path: string, functionName: string): void {
    const there = this.#routes.findIndex((one) => one.method === method && one.path === path);
    this.#routes.splice(there < 0 ? this.#routes.length : there, there < 0 ? 0 : 1, {
      method,
      path,
      functionName,
    });
  }

  /** Whether a request that nobody signed is one of this API, which alone has such paths. */
  has(method: string, url: URL): boolean {
    return this.#find(method, url) !== undefined;
  }

  #find(method: string, url: URL): { readonly functionName: string; readonly met: MetRoute } | undefined {
    for (const { path, functionName, ...route } of this.#routes) {
      const pathParameters = route.method === method ? parametersOf(path, url.pathname) : undefined;
      if (pathParameters) return { functionName, met: { key: `${method} ${path}`, pathParameters } };
    }
    return undefined;
  }

  /** Answers a request that the front has let through. */
  async answer(request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope): Promise<void> {
    const outcome = await this.#outcome(request, url, scope);
    if ('payload' in outcome) send(response, outcome.payload);
    else refuse(response, outcome.status, outcome.message);
  }

  async #outcome(
    request: IncomingMessage,
    url: URL,
    scope: Scope,
  ): Promise<{ readonly payload: unknown } | { readonly status: number; readonly message: string }> {
    const { method = 'GET' } = request;
    const body = await bodyOf(request, BODY_LIMIT_BYTES).catch((error: unknown) => {
      if (error instanceof ServiceError && error.statusCode === 413) return undefined;
      throw error;
    });
    if (body === undefined) return { status: 413, message: 'Request Entity Too Large' };
    const secret = this.#secretOf(scope.accessKey);
    if (
      scope.region !== this.#region ||
      secret === undefined ||
      !signatureHolds(request, body, secret, this.#clock.now())
    ) {
      return { status: 403, message: 'Forbidden' };
    }
    const found = this.#find(method, url);
    if (found === undefined) return { status: 404, message: 'Not Found' };
    const caller = {
      accessKey: scope.accessKey,
      accountId: this.#accountId,
      arn: this.#iam.arnOf(scope.accessKey),
    };
    const event = proxyEvent(request, {
      url,
      body,
      route: found.met,
      caller,
      apiId: this.apiId,
      now: this.#clock.now(),
    });
    const timer = new AbortController();
    const late = this.#clock.sleep(INTEGRATION_MILLISECONDS, timer.signal).then(
      () => 'late' as const,
      () => 'late' as const,
    );
    const result = await Promise.race([this.#lambda.invoke(found.functionName, event), late]);
    timer.abort();
    // "If your API's Lambda function does not answer in time": Service Unavailable.
    if (result === 'late') return { status: 503, message: 'Service Unavailable' };
    if (result.functionError !== undefined) {
      this.#log(`api: ${found.functionName}: ${JSON.stringify(result.payload)}`);
      return { status: 500, message: 'Internal Server Error' };
    }
    return { payload: result.payload };
  }
}

/** Path parameters stand for one segment each, and for no empty one. */
function parametersOf(path: string, pathname: string): Record<string, string> | undefined {
  const wanted = path.split('/');
  const given = pathname.split('/');
  if (wanted.length !== given.length) return undefined;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    const value = given[index] ?? '';
    if (name === undefined ? part !== value : value === '') return undefined;
    if (name === undefined) continue;
    try {
      found[name] = decodeURIComponent(value);
    } catch (error) {
      if (!(error instanceof URIError)) throw error;
      found[name] = value;
    }
  }
  return found;
}

export function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'apigw-requestid': randomUUID() });
  response.end(JSON.stringify({ message }));
}

function send(response: ServerResponse, payload: unknown): void {
  const whole = typeof payload === 'object' && payload !== null && 'statusCode' in payload;
  const {
    statusCode = 200,
    headers = { 'content-type': 'application/json' },
    cookies = [],
    body = '',
    isBase64Encoded = false,
  } = (whole ? payload : { body: JSON.stringify(payload) }) as ProxyAnswer;
  response.writeHead(statusCode, {
    ...headers,
    ...(cookies.length === 0 ? {} : { 'set-cookie': [...cookies] }),
    'apigw-requestid': randomUUID(),
  });
  response.end(Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'));
}
