import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { problemSchema } from '../../core/api/schemas.ts';
import { FactoryError } from '../../core/errors.ts';

const written: string[] = [];
const spies = [process.stdout, process.stderr].map((stream) =>
  vi.spyOn(stream, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  }),
);
afterAll(() => {
  for (const spy of spies) spy.mockRestore();
});
beforeEach(() => {
  written.length = 0;
});

// The logger takes its stream when it is made.
const { apiHandler } = await import('../../functions/edge/http.ts');

const CALLER = 'arn:aws:sts::000000000000:assumed-role/ops/someone';

/** As "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" shows one, with changes. */
const event = (changes: Record<string, unknown> = {}) => ({
  version: '2.0',
  routeKey: 'POST /builds',
  rawPath: '/builds',
  rawQueryString: '',
  headers: { 'content-type': 'application/json', host: 'id.execute-api.us-east-1.amazonaws.com' },
  requestContext: {
    accountId: '000000000000',
    apiId: 'id',
    authorizer: {
      iam: { accessKey: 'AKIA', accountId: '000000000000', userArn: CALLER, cognitoIdentity: null },
    },
    http: {
      method: 'POST',
      path: '/builds',
      protocol: 'HTTP/1.1',
      sourceIp: '192.0.2.1',
      userAgent: 'agent',
    },
    requestId: 'JKJaXmPLvHcESHA=',
    routeKey: 'POST /builds',
    stage: '$default',
    time: '12/Mar/2020:19:03:58 +0000',
    timeEpoch: 1583348638390,
  },
  isBase64Encoded: false,
  ...changes,
});

const started = { id: 'a', kind: 'build', status: 'RUNNING', created: true, plan: null } as const;
const asked: unknown[] = [];
const start = apiHandler('start-build', async (request) => {
  asked.push(request);
  return { status: 202 as const, body: started };
});
const list = apiHandler('list-builds', async (request) => {
  asked.push(request);
  return { status: 200 as const, body: { builds: [], nextToken: null } };
});

type Handler = typeof start;
async function call(handler: Handler, changes: Record<string, unknown> = {}) {
  const { statusCode, headers, body } = await handler(event(changes), {} as never);
  return { status: statusCode, type: headers['content-type'], headers, body: JSON.parse(body) as unknown };
}

async function problem(handler: Handler, changes: Record<string, unknown> = {}) {
  const { status, type, headers, body } = await call(handler, changes);
  expect(type).toBe('application/problem+json');
  const told = problemSchema.parse(body);
  expect(told.status).toBe(status);
  return { ...told, headers };
}

const json = (value: unknown) => JSON.stringify(value);
const failing = (error: unknown) =>
  apiHandler('list-builds', () => Promise.reject(error instanceof Error ? error : new Error(String(error))));

describe('a request', () => {
  test('comes to the function as its schemas read it, and goes back as they have it', async () => {
    const recipe = { name: 'web' };
    const answer = await call(start, { body: json({ recipe, dryRun: true }) });
    expect(answer).toMatchObject({ status: 202, type: 'application/json', body: started });
    expect(asked.pop()).toEqual({
      requestId: 'JKJaXmPLvHcESHA=',
      params: undefined,
      query: undefined,
      body: { recipe, dryRun: true },
    });
    const body = Buffer.from(json({ recipe })).toString('base64');
    await call(start, { body, isBase64Encoded: true });
    expect(asked.pop()).toMatchObject({ body: { recipe } });
    await call(list, { rawQueryString: 'limit=5&status=RUNNING&X-Amz-Signature=abc' });
    expect(asked.pop()).toMatchObject({ query: { limit: 5, status: 'RUNNING' } });
  });

  test.each([
    ['no body', {}, 400, []],
    ['broken JSON', { body: '{"recipe": ' }, 400, []],
    ['no object', { body: '5' }, 400, ['the body']],
    [
      'what is no UTF-8',
      { body: Buffer.from([0x22, 0xff, 0x22]).toString('base64'), isBase64Encoded: true },
      400,
      [],
    ],
    [
      'a form',
      { body: 'recipe=web', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      [],
    ],
    ['no type', { body: '{}', headers: {} }, 415, []],
    ['too much', { body: json({ recipe: 'x'.repeat(300_000) }) }, 413, []],
    ['too deep', { body: `{"recipe":{"a":${'['.repeat(100)}${']'.repeat(100)}}}` }, 400, []],
    ['an unknown key', { body: json({ recipe: {}, dryrun: true }) }, 400, ['dryrun']],
    ['an unknown key inside', { body: json({ recipe: {}, matrix: { at: 1 } }) }, 400, ['matrix.at']],
    ['a wrong type', { body: json({ recipe: {}, dryRun: 'yes' }) }, 400, ['dryRun']],
    [
      'a wrong number',
      { body: json({ recipe: {}, matrix: { concurrency: 0 } }) },
      400,
      ['matrix.concurrency'],
    ],
    ['a URL that is none', { body: json({ recipeUrl: 'http://example.com' }) }, 400, ['recipeUrl']],
  ])('with %s is refused by its fields', async (_what, changes, status, fields) => {
    const told = await problem(start, changes);
    expect(told).toMatchObject({ status, code: 'InvalidRequest', type: 'docs/runbook.md#invalidrequest' });
    expect(told.errors.map(({ field }) => field)).toEqual(fields);
    expect(told.field).toBe(fields[0] ?? null);
    expect(told.remedy).not.toBe('');
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=1e3', 'limit'],
    ['limit=', 'limit'],
    ['status=running', 'status'],
    ['stat=RUNNING', 'stat'],
    ['limit=1&limit=2', 'limit'],
  ])('with the query %s is refused by its name', async (rawQueryString, field) => {
    expect(await problem(list, { rawQueryString })).toMatchObject({ status: 400, field });
  });

  test('is told what was meant', async () => {
    const { detail } = await problem(start, { body: json({ recipe: {}, dryrun: true }) });
    expect(detail).toContain('dryrun is not known here; did you mean dryRun?');
  });
});

test('builds that somebody started by hand are listed and found, whatever he called them', async () => {
  const at = '2026-11-26T12:00:00.000Z';
  const odd = (id: string) =>
    ({ id, recipe: id, status: 'RUNNING', startedAt: at, endedAt: null, seconds: 1, state: null }) as const;
  const builds = ['web-15.1-test', "a+b=c@(d)!'", 'größer'].map(odd);
  const listed = apiHandler('list-builds', async () => ({
    status: 200 as const,
    body: { builds, nextToken: null },
  }));
  expect(await call(listed)).toMatchObject({ status: 200, body: { builds } });

  const asks = apiHandler('abort-build', async ({ params: { id } }) => ({
    status: 202 as const,
    body: { id, status: 'ABORTED' as const },
  }));
  for (const id of ['web-15.1-test', "a+b=c@(d)!'"]) {
    expect(await call(asks, { pathParameters: { id } })).toMatchObject({ status: 202, body: { id } });
  }
  for (const id of ['a b', 'a/b', 'a:b', 'a%', 'a\u0000', 'x'.repeat(81)]) {
    expect(await problem(asks, { pathParameters: { id } })).toMatchObject({ status: 400, field: 'id' });
  }
});

describe('an error', () => {
  const text = { message: 'what happened', remedy: 'what next.' };
  test.each([
    ['BuildNotFound', 404],
    ['ImageUnknown', 404],
    ['BuildRunning', 409],
    ['BuildEnded', 409],
    ['BuildOfMatrix', 409],
    ['ImageInUse', 409],
    ['RecipeUnavailable', 400],
    ['MirrorUnreachable', 503],
  ] as const)('%s is a problem of status %d', async (code, status) => {
    const told = await problem(failing(new FactoryError(code, text)));
    expect(told).toMatchObject({ status, code, detail: text.message, remedy: text.remedy });
    expect(told.type).toBe(`docs/runbook.md#${code.toLowerCase()}`);
  });

  test('of a recipe tells every field', async () => {
    const message =
      'the recipe has 2 problems:\n- relase is not a key of a recipe\n- users.0.name is missing';
    const { errors, field } = await problem(failing(new FactoryError('InvalidRecipe', { ...text, message })));
    expect(errors).toEqual([
      { field: 'recipe.relase', message: 'is not a key of a recipe' },
      { field: 'recipe.users.0.name', message: 'is missing' },
    ]);
    expect(field).toBe('recipe.relase');
  });

  test.each(['ThrottlingException', 'RequestLimitExceeded', 'ServiceUnavailable', 'TimeoutError'])(
    '%s of AWS asks for patience',
    async (name) => {
      const told = await problem(failing(Object.assign(new Error('Rate exceeded'), { name })));
      expect(told).toMatchObject({ status: 503, code: 'ApiBusy', headers: { 'retry-after': '3' } });
      expect(JSON.stringify(told)).not.toContain('Rate exceeded');
    },
  );

  test.each([
    ['of a bug', new TypeError('cannot read secret of undefined')],
    [
      'of a permission',
      Object.assign(new Error('secret: not authorized'), { name: 'AccessDeniedException' }),
    ],
    ['of the deployment', new FactoryError('ConfigurationError', { message: 'secret', remedy: 'deploy.' })],
  ])('%s is told by the id of the request, and logged with its reason', async (_what, error) => {
    const told = await problem(failing(error));
    expect(told).toMatchObject({ status: 500, code: 'ApiFailed' });
    expect(told.detail).toContain('JKJaXmPLvHcESHA=');
    expect(JSON.stringify(told)).not.toContain('secret');
    const line = written.map((one) => JSON.parse(one)).find(({ level }) => level === 'ERROR');
    expect(line).toMatchObject({ route: 'list-builds', code: error.name, reason: error.message });
  });

  test('is what an answer is that the route does not have', async () => {
    const wrong = apiHandler('list-builds', () =>
      Promise.resolve({ status: 200, body: { builds: [1] } } as never),
    );
    expect(await problem(wrong)).toMatchObject({ status: 500 });
    const other = apiHandler('list-builds', () => Promise.resolve({ status: 204, body: {} } as never));
    expect(await problem(other)).toMatchObject({ status: 500 });
  });
});

test('a request is one line with its caller, and without its body', async () => {
  await call(start, { body: json({ recipe: { users: [{ password: '$6$hash' }] } }) });
  await problem(start, { body: json({ recipe: {}, password: 'hunter2' }) });
  const lines = written.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toMatchObject([
    { message: 'request', route: 'start-build', requestId: 'JKJaXmPLvHcESHA=', status: 202, caller: CALLER },
    { message: 'request', route: 'start-build', status: 400, caller: CALLER },
  ]);
  expect(written.join('')).not.toMatch(/hash|hunter2/);
});
