import { setTimeout as pause } from 'node:timers/promises';
import { AwsClient } from 'aws4fetch';
import { apiRoutes, type RouteAnswer, type RouteCall, type RouteName } from '../core/api/routes.ts';
import { type Problem, problemSchema } from '../core/api/schemas.ts';

/** Where a factory's HTTP API is, and who asks. */
export interface ApiPlace {
  /** Without a slash at the end. */
  readonly url: string;
  readonly region: string;
  /** Asked before each request: those of a role end. */
  readonly credentials: () => Promise<{
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string | undefined;
  }>;
}

/** What the API said no to; `name` is its code. */
export class ApiProblem extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(`${problem.detail}\nRemedy: ${problem.remedy}`);
    this.name = problem.code;
    this.problem = problem;
  }
}

export interface Api {
  readonly url: string;
  /** Sends a signed request as it is; for whoever passes requests on. Throws `ApiUnreachable` when nobody answers. */
  send(method: string, path: string, body?: string): Promise<Response>;
  /** Throws `ApiProblem` for what the API refuses, `ApiUnreachable` when nobody answers as the API does. */
  call<Name extends RouteName>(name: Name, call: RouteCall<Name>): Promise<RouteAnswer<Name>>;
}

/** Nobody answered, or somebody who is not the API, or who does not let us in. */
export class ApiUnreachable extends Error {
  override readonly name = 'ApiUnreachable';
  /** The message without its remedy. */
  readonly detail: string;
  readonly remedy: string;
  constructor(detail: string, remedy: string, options?: ErrorOptions) {
    super(`${detail}\nRemedy: ${remedy}`, options);
    this.detail = detail;
    this.remedy = remedy;
  }
}

/** After an error of the server, or when it was too much; each wait is at most twice the one before, the first 50 ms. */
const RETRIES = 4;
const FIRST_PAUSE = 50;

/** A function answers within 30 s (API Gateway, "Maximum integration timeout"). */
const PATIENCE = 35_000;

/** AWS refuses a signature whose time is further off (IAM User Guide, "Troubleshoot Signature Version 4"). */
const TOLERATED_SKEW = 5 * 60_000;

/** A factory's HTTP API, with requests signed as API Gateway wants them (Signature Version 4, service execute-api). */
export function factoryApi({ url, region, credentials }: ApiPlace): Api {
  async function send(method: string, path: string, body?: string): Promise<Response> {
    const { sessionToken, ...keys } = await credentials();
    // Of what changes something each time, nobody knows after an error whether it has; what was too much (429) was never begun.
    const repeatable = method !== 'POST';
    const client = new AwsClient({
      ...keys,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: 'execute-api',
      region,
      retries: repeatable ? RETRIES : 0,
    });
    const signal = AbortSignal.timeout(PATIENCE);
    const ask = () =>
      client.fetch(`${url}${path}`, {
        method,
        signal,
        ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
      });
    try {
      let response = await ask();
      for (let again = 0; !repeatable && response.status === 429 && again < RETRIES; again++) {
        await pause(Math.random() * FIRST_PAUSE * 2 ** again, undefined, { signal });
        response = await ask();
      }
      return response;
    } catch (error) {
      throw new ApiUnreachable(`${url} does not answer: ${reasonOf(error)}`, remedyFor(url), {
        cause: error,
      });
    }
  }
  return {
    url,
    send,
    async call(name, { params = {}, query = {}, body }) {
      const { method, path } = apiRoutes[name];
      const filled = path.replace(/\{(\w+)\}/g, (_hole, key: string) =>
        encodeURIComponent(String((params as Record<string, unknown>)[key])),
      );
      const asked = new URLSearchParams(
        Object.entries(query as Readonly<Record<string, string | undefined>>).flatMap(
          ([key, value]): [string, string][] => (value === undefined ? [] : [[key, value]]),
        ),
      ).toString();
      const response = await send(
        method,
        asked === '' ? filled : `${filled}?${asked}`,
        body === undefined ? undefined : JSON.stringify(body),
      );
      const text = await response.text();
      const answer = parsed(text);
      if (response.ok && typeof answer === 'object' && answer !== null) {
        return answer as RouteAnswer<typeof name>;
      }
      const problem = problemSchema.safeParse(answer);
      if (problem.success) throw new ApiProblem(problem.data);
      throw refusal(url, response, text);
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Where a connection failed, in the words of the system. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `nothing came for ${PATIENCE / 1000} s`;
  const { cause } = error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nobody listens there',
    ENOTFOUND: 'there is no host of this name',
    EAI_AGAIN: 'its name cannot be looked up now',
    ECONNRESET: 'the connection was cut',
  };
  return words[code] ?? (cause instanceof Error ? cause.message : error.message);
}

export const isLoopback = (url: string): boolean =>
  /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:|\/|$)/.test(url);

const remedyFor = (url: string): string =>
  isLoopback(url)
    ? 'start the local cloud: foundry cloud up; or look where it runs: foundry cloud status.'
    : 'check --api or FOUNDRY_API_URL, and the network; the stack’s output ApiUrl has the address.';

/** API Gateway itself refuses with {"message": …}: a signature, a permission, a route. */
function refusal(url: string, response: Response, text: string): ApiUnreachable {
  const message = (parsed(text) as { readonly message?: unknown } | undefined)?.message;
  const said = typeof message === 'string' ? message : text.slice(0, 300);
  if (response.status === 403 || response.status === 401) {
    const theirs = Date.parse(response.headers.get('date') ?? '');
    const skew = Date.now() - theirs;
    if (Math.abs(skew) > TOLERATED_SKEW) {
      return new ApiUnreachable(
        `${url} refuses the signature (${said}): this machine’s clock is ${Math.round(Math.abs(skew) / 60_000)} minutes ${skew > 0 ? 'fast' : 'slow'}`,
        'set the clock; signatures hold for five minutes.',
      );
    }
    return new ApiUnreachable(
      `${url} does not let these credentials in (${response.status}): ${said}`,
      'see who you are: aws sts get-caller-identity; credentials that have expired are renewed by aws sso login or the like, and the caller needs execute-api:Invoke on the API (docs/deploy.md).',
    );
  }
  return new ApiUnreachable(
    `${url} answered ${response.status}, and not as the API of a factory does: ${said}`,
    response.status >= 500
      ? 'try again; the log of the API’s function says why.'
      : 'check --api or FOUNDRY_API_URL; a factory of another version may lack this route: foundry deploy.',
  );
}
