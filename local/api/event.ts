import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The route that a request has met. */
export interface MetRoute {
  /** `GET /builds/{id}`. */
  readonly key: string;
  readonly pathParameters: Readonly<Record<string, string>>;
}

export interface Caller {
  readonly accessKey: string;
  readonly accountId: string;
  readonly arn: string;
}

/**
 * What API Gateway hands to a function, payload format version 2.0: "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway",
 * Amazon API Gateway Developer Guide. What it says of names: headers in lower case, values of one that comes twice joined by
 * commas, like those of the query; what is empty is left out.
 */
export function proxyEvent(
  request: IncomingMessage,
  {
    url,
    body,
    route,
    caller,
    apiId,
    now,
  }: {
    readonly url: URL;
    readonly body: Buffer;
    readonly route: MetRoute;
    readonly caller: Caller;
    readonly apiId: string;
    readonly now: number;
  },
): Record<string, unknown> {
  const { cookie, ...named } = request.headers;
  const headers = Object.fromEntries(
    Object.entries(named).map(([name, value]) => [name, [value ?? ''].flat().join(',')]),
  );
  const query = new Map<string, string>();
  for (const [key, value] of url.searchParams) {
    const before = query.get(key);
    query.set(key, before === undefined ? value : `${before},${value}`);
  }
  const text = isText(headers['content-type']);
  return {
    version: '2.0',
    routeKey: route.key,
    rawPath: decoded(url.pathname),
    rawQueryString: url.search.slice(1),
    ...(cookie === undefined ? {} : { cookies: cookie.split(/;\s*/) }),
    headers,
    ...(query.size === 0 ? {} : { queryStringParameters: Object.fromEntries(query) }),
    ...(Object.keys(route.pathParameters).length === 0 ? {} : { pathParameters: route.pathParameters }),
    requestContext: {
      accountId: caller.accountId,
      apiId,
      authorizer: {
        iam: {
          accessKey: caller.accessKey,
          accountId: caller.accountId,
          callerId: caller.accessKey,
          cognitoIdentity: null,
          principalOrgId: null,
          userArn: caller.arn,
          userId: caller.accessKey,
        },
      },
      domainName: headers.host ?? '',
      domainPrefix: apiId,
      http: {
        method: request.method,
        path: decoded(url.pathname),
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: request.socket.remoteAddress ?? '',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey: route.key,
      stage: '$default',
      time: commonLogTime(now),
      timeEpoch: now,
    },
    ...(body.length === 0 ? {} : { body: body.toString(text ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !text,
  };
}

/** Anything but text travels in base64. */
const isText = (type = ''): boolean =>
  /^(text\/|application\/(json|javascript|xml)\b|[^;]*\+(json|xml)\b)/i.test(type);

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) return path;
    throw error;
  }
}

/** `12/Mar/2020:19:03:58 +0000`. */
function commonLogTime(now: number): string {
  const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) (\S+)/.exec(new Date(now).toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}
