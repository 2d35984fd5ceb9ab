import { Logger } from '@aws-lambda-powertools/logger';
import middy from '@middy/core';
import * as z from 'zod/mini';
import { problemOf, RETRY_AFTER_SECONDS, Refusal } from '../../core/api/problems.ts';
import { fieldProblems } from '../../core/api/request-problems.ts';
import {
  type ApiRoute,
  apiRoutes,
  type RouteName,
  type RouteReply,
  type RouteRequest,
} from '../../core/api/routes.ts';

const logger = new Logger({ serviceName: 'ami-foundry' });

/** Step Functions takes 256 KiB of input ("Quotas for Step Functions"): a recipe that is larger could not be built. */
const BODY_LIMIT_BYTES = 256 * 1024;

/** Deeper than any recipe, and far from where reading a value would exhaust the stack. */
const DEPTH_LIMIT = 64;

/** "Lambda quotas": 6 MB for an answer, in which the body is a JSON string once more. */
const ANSWER_LIMIT_BYTES = 5_000_000;

/** What API Gateway sends ("Create AWS Lambda proxy integrations for HTTP APIs in API Gateway", payload format version 2.0). */
const eventSchema = z.object({
  version: z.literal('2.0'),
  rawQueryString: z._default(z.string(), ''),
  headers: z._default(z.record(z.string(), z.string()), {}),
  pathParameters: z.optional(z.record(z.string(), z.string())),
  body: z.optional(z.string()),
  isBase64Encoded: z._default(z.boolean(), false),
  requestContext: z.object({
    requestId: z.string(),
    authorizer: z.optional(
      z.object({ iam: z.optional(z.object({ userArn: z.optional(z.nullable(z.string())) })) }),
    ),
  }),
});

interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const answer = (statusCode: number, type: string, value: unknown, more = {}): HttpAnswer => ({
  statusCode,
  headers: { 'content-type': type, 'cache-control': 'no-store', ...more },
  body: JSON.stringify(value),
});

/** Errors become problems (RFC 9457). What is not the caller's mistake is logged with its reason, and told without. */
const problems = (route: RouteName): middy.MiddlewareObj<unknown, HttpAnswer> => ({
  onError: (request) => {
    const { error } = request;
    const requestId = requestIdOf(request.event);
    const { problem, unexpected } = problemOf(error, requestId);
    if (unexpected) {
      const { name: code, message: reason } = error ?? {};
      logger.error('request failed', { route, requestId, code, reason });
    }
    const patience = problem.status === 503 ? { 'retry-after': String(RETRY_AFTER_SECONDS) } : {};
    request.response = answer(problem.status, 'application/problem+json', problem, patience);
  },
});

/** One line for each request: who asked for what, and what came of it. Never bodies: recipes may hold secrets. */
const requestLog = (route: RouteName): middy.MiddlewareObj<unknown, HttpAnswer> => {
  const started = new WeakMap<object, number>();
  const line: middy.MiddlewareFn<unknown, HttpAnswer> = ({ event, context, response }) => {
    const milliseconds = Date.now() - (started.get(context) ?? Date.now());
    const caller = eventSchema.safeParse(event).data?.requestContext.authorizer?.iam?.userArn;
    logger.info('request', {
      route,
      requestId: requestIdOf(event),
      status: response?.statusCode,
      caller: caller ?? 'unknown',
      milliseconds,
    });
  };
  return {
    before: ({ context }) => {
      started.set(context, Date.now());
    },
    after: line,
    onError: line,
  };
};

const requestIdOf = (event: unknown): string =>
  eventSchema.safeParse(event).data?.requestContext.requestId ?? 'unknown';

/**
 * The middy stack of a route of the HTTP API: what the caller sends is read by the schemas of core/api/routes.ts, what he gets back is
 * held to them, and errors become problems.
 */
export function apiHandler<Name extends RouteName>(
  name: Name,
  run: (request: RouteRequest<Name>) => Promise<RouteReply<Name>>,
) {
  const route: ApiRoute = apiRoutes[name];
  return middy<unknown, HttpAnswer>()
    .use(requestLog(name))
    .use(problems(name))
    .handler(async (event: unknown) => {
      const { requestContext, ...request } = eventSchema.parse(event);
      const { status, body } = (await run({
        requestId: requestContext.requestId,
        params: route.params && read(route.params, request.pathParameters ?? {}, 'the path'),
        query: route.query && read(strict(route.query), queryOf(request.rawQueryString), 'the query'),
        body: route.body && read(route.body, bodyOf(request), 'the body'),
      } as never)) as { readonly status: number; readonly body: unknown };
      const schema = route.answers[status];
      if (schema === undefined) throw new Error(`${name} has no answer ${status}`);
      const made = answer(status, 'application/json', schema.parse(body));
      if (Buffer.byteLength(made.body) > ANSWER_LIMIT_BYTES) {
        throw new Error(`the answer of ${name} has ${Buffer.byteLength(made.body)} bytes`);
      }
      return made;
    });
}

/** A misspelt parameter would otherwise be one that is not there. */
const strict = (schema: z.ZodMiniObject): z.ZodMiniObject => z.strictObject(schema._zod.def.shape);

function read(schema: z.ZodMiniType, value: unknown, whole: string): unknown {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const known = Object.keys((schema as Partial<z.ZodMiniObject>)._zod?.def.shape ?? {});
  const fields = fieldProblems(result.error.issues, { whole, known });
  throw new Refusal(
    'InvalidRequest',
    {
      message: `${whole} is not right:\n${fields.map(({ field, message }) => `- ${field} ${message}`).join('\n')}`,
      remedy:
        'correct what is named above; docs/openapi.json and GET /openapi.json have what each route takes.',
    },
    { fields, cause: result.error },
  );
}

/** API Gateway joins values of a parameter that comes twice by commas; the raw query still tells. */
function queryOf(rawQueryString: string): Record<string, string> {
  const query = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(rawQueryString)) {
    // The signature, of who signs in the query.
    if (/^x-amz-/i.test(key)) continue;
    if (query.has(key)) {
      throw new Refusal(
        'InvalidRequest',
        { message: `${key} is given twice in the query`, remedy: 'give it once.' },
        { fields: [{ field: key, message: 'is given twice' }] },
      );
    }
    query.set(key, value);
  }
  return Object.fromEntries(query);
}

function bodyOf({
  headers,
  body: text = '',
  isBase64Encoded,
}: Pick<z.output<typeof eventSchema>, 'headers' | 'body' | 'isBase64Encoded'>): unknown {
  const refused = (status: number, message: string, remedy: string, cause?: unknown) =>
    new Refusal('InvalidRequest', { message, remedy }, { status, cause });
  const bytes = Buffer.from(text, isBase64Encoded ? 'base64' : 'utf8');
  if (bytes.length > BODY_LIMIT_BYTES) {
    throw refused(
      413,
      `the body has ${bytes.length} bytes; ${BODY_LIMIT_BYTES} are the most`,
      'leave large files out of the recipe: name them by url or s3.',
    );
  }
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw refused(
      415,
      `the body is ${type === undefined ? 'of no type' : type.slice(0, 100)}; it must be application/json`,
      'send the header content-type: application/json.',
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    // TypeError: the bytes are no UTF-8.
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    throw refused(400, 'the body is not JSON in UTF-8', 'send one JSON object.', error);
  }
  if (isDeeperThan(DEPTH_LIMIT, value)) {
    throw refused(400, `the body is nested deeper than ${DEPTH_LIMIT}`, 'send a recipe.');
  }
  return value;
}

function isDeeperThan(limit: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((member) => isDeeperThan(limit - 1, member));
}
