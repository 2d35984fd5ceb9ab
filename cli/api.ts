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
  /** Sends a signed request as it is; for whoever passes requests on. */
  send(method: string, path: string, body?: string): Promise<Response>;
  /** Throws `ApiProblem` for what the API refuses, `ApiUnreachable` when nobody answers as the API does. */
  call<Name extends RouteName>(name: Name, call: RouteCall<Name>): Promise<RouteAnswer<Name>>;
}

/** Nobody answered, or somebody who is not the API. */
export class ApiUnreachable extends Error {
  override readonly name = 'ApiUnreachable';
}

/** A factory's HTTP API, with requests signed as API Gateway wants them (Signature Version 4, service execute-api). */
export function factoryApi({ url, region, credentials }: ApiPlace): Api {
  async function send(method: string, path: string, body?: string): Promise<Response> {
    const { sessionToken, ...keys } = await credentials();
    const client = new AwsClient({
      ...keys,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: 'execute-api',
      region,
    });
    try {
      return await client.fetch(`${url}${path}`, {
        method,
        ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
      });
    } catch (error) {
      throw new ApiUnreachable(`${url} does not answer`, { cause: error });
    }
  }
  return {
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
      if (response.ok && answer !== undefined) return answer as RouteAnswer<typeof name>;
      const problem = problemSchema.safeParse(answer);
      if (problem.success) throw new ApiProblem(problem.data);
      // API Gateway itself refuses with {"message": …}: a signature, a permission, a route.
      throw new ApiUnreachable(`${url} answered ${response.status}: ${text.slice(0, 500)}`);
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
