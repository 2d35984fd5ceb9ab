import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetFunctionCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
let directory: string;
beforeAll(async () => {
  stage = await openStage();
  directory = await mkdtemp(join(tmpdir(), 'bundles-'));
});
afterAll(async () => {
  await stage.close();
  await rm(directory, { recursive: true, force: true });
});

let bundles = 0;
async function deploy(
  source: string,
  change: Partial<Parameters<Stage['cloud']['lambda']['deploy']>[0]> = {},
) {
  const name = change.name ?? `function-${++bundles}`;
  const bundle = join(directory, `${name}-${++bundles}.mjs`);
  await writeFile(bundle, source);
  const { arn } = await stage.cloud.lambda.deploy({
    name,
    bundle,
    handler: 'handler',
    environment: {},
    timeoutSeconds: 5,
    memoryMegabytes: 128,
    ...change,
  });
  return { name, arn };
}
const invoke = (name: string, payload: unknown = {}) => stage.cloud.lambda.invoke(name, payload);

describe('a function', () => {
  test('gets its event and a context, and answers by name and by ARN', async () => {
    const { name, arn } = await deploy(`export const handler = async (event, context) => ({
      event, id: context.awsRequestId, name: context.functionName, arn: context.invokedFunctionArn,
      left: context.getRemainingTimeInMillis(), memory: context.memoryLimitInMB });`);
    const { payload, functionError } = await invoke(arn, { a: [1, null] });
    expect(functionError).toBeUndefined();
    expect(payload).toMatchObject({ event: { a: [1, null] }, name, arn, memory: '128' });
    const { id, left } = payload as { id: string; left: number };
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(left).toBeGreaterThan(4000);
    expect(left).toBeLessThanOrEqual(5000);
    await expect(invoke('nobody')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  test('has its own environment, and nothing of this process', async () => {
    process.env.LEAKED_FROM_HOST = 'yes';
    const source = 'export const handler = async () => ({ ...process.env });';
    const one = await deploy(source, { environment: { MINE: 'one' } });
    const two = await deploy(source, { environment: { MINE: 'two' } });
    const [a, b] = await Promise.all([invoke(one.name), invoke(two.name)]);
    delete process.env.LEAKED_FROM_HOST;
    expect(a.payload).toMatchObject({
      MINE: 'one',
      AWS_LAMBDA_FUNCTION_NAME: one.name,
      AWS_REGION: stage.cloud.region,
      AWS_ENDPOINT_URL: stage.cloud.endpoint,
      AWS_ACCESS_KEY_ID: 'local',
    });
    expect(b.payload).toMatchObject({ MINE: 'two' });
    expect(a.payload).not.toHaveProperty('LEAKED_FROM_HOST');
    expect(a.payload).not.toHaveProperty('HOME');
  });

  test('keeps its thread warm; invocations at the same time have threads of their own', async () => {
    const { name } = await deploy(`let calls = 0; import { threadId } from 'node:worker_threads';
      export const handler = async ({ wait = 0 }) => { const call = ++calls; await new Promise((r) => setTimeout(r, wait)); return { call, threadId }; };`);
    type Answer = { call: number; threadId: number };
    const first = (await invoke(name)).payload as Answer;
    const second = (await invoke(name)).payload as Answer;
    expect(second).toEqual({ call: 2, threadId: first.threadId });
    const both = await Promise.all([invoke(name, { wait: 200 }), invoke(name, { wait: 200 })]);
    const threads = both.map(({ payload }) => (payload as Answer).threadId);
    expect(new Set(threads).size).toBe(2);
  });

  test.each([
    [
      'an error of its own',
      `export const handler = async () => { const e = new Error('no room'); e.name = 'QuotaExceeded'; throw e; };`,
      { errorType: 'QuotaExceeded', errorMessage: 'no room' },
    ],
    [
      'a string',
      `export const handler = async () => { throw 'plain'; };`,
      { errorType: 'string', errorMessage: 'plain' },
    ],
    [
      'a bundle that does not load',
      `import './missing.mjs'; export const handler = 1;`,
      { errorType: 'Runtime.ImportModuleError' },
    ],
    ['no handler', `export const other = () => {};`, { errorType: 'Runtime.HandlerNotFound' }],
    [
      'an exit',
      `export const handler = async () => { process.exit(7); };`,
      { errorType: 'Runtime.ExitError' },
    ],
    [
      'an answer that is no JSON',
      `export const handler = async () => { const a = {}; a.a = a; return a; };`,
      { errorType: 'Runtime.MarshalError' },
    ],
    [
      'too much memory',
      `export const handler = async () => { const a = []; for (;;) a.push(new Array(1e5).fill({})); };`,
      { errorType: 'Runtime.ExitError' },
    ],
  ])('fails with %s', async (_what, source, error) => {
    const { name } = await deploy(source);
    expect(await invoke(name)).toMatchObject({ functionError: 'Unhandled', payload: error });
    const known = await invoke(name);
    expect(known.functionError).toBe('Unhandled'); // And again, in a new thread if need be.
  });

  test('is ended when its time is up, even in an endless loop, and starts afresh', async () => {
    const { name } = await deploy(
      'let calls = 0; export const handler = async ({ spin }) => { calls += 1; while (spin); return calls; };',
      {
        timeoutSeconds: 1,
      },
    );
    expect((await invoke(name)).payload).toBe(1);
    const started = Date.now();
    const late = await invoke(name, { spin: true });
    expect(Date.now() - started).toBeLessThan(2000);
    expect(late).toMatchObject({
      functionError: 'Unhandled',
      payload: {
        errorType: 'Sandbox.Timedout',
        errorMessage: expect.stringMatching(/Task timed out after 1\.00 seconds$/),
      },
    });
    expect((await invoke(name)).payload).toBe(1); // A new environment: its counter is new.
  });

  test('an aborted call ends', async () => {
    const { name } = await deploy('export const handler = () => new Promise(() => {});');
    await expect(stage.cloud.lambda.invoke(name, {}, AbortSignal.timeout(300))).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });

  test('an aborted call ends, even when it was aborted before the function had started', async () => {
    const { name } = await deploy(
      'await new Promise((go) => setTimeout(go, 300)); export const handler = () => new Promise(() => {});',
    );
    await expect(stage.cloud.lambda.invoke(name, {}, AbortSignal.timeout(20))).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });

  test('is replaced by a new deployment', async () => {
    const { name } = await deploy('export const handler = async () => 1;');
    expect((await invoke(name)).payload).toBe(1);
    await deploy('export const handler = async () => 2;', { name });
    expect((await invoke(name)).payload).toBe(2);
  });

  test('writes its log', async () => {
    const { name } = await deploy(
      `export const handler = async () => { console.log('to the log'); console.error('this too'); };`,
    );
    await invoke(name);
    const until = Date.now() + 5000;
    let log = '';
    while (Date.now() < until && !/to the log[\s\S]*this too|this too[\s\S]*to the log/.test(log)) {
      log = await readFile(join(stage.stateDirectory, 'logs', `${name}.log`), 'utf8').catch(() => '');
    }
    expect(log).toContain('START RequestId');
    expect(log).toContain('to the log\n');
    expect(log).toContain('this too\n');
  });

  test('a bundle that is not there is told at once', async () => {
    await expect(deploy('', { bundle: join(directory, 'none.mjs') })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});

describe('over HTTP', () => {
  test('Invoke and GetFunction, with errors of the right shape', async () => {
    const client = new LambdaClient(stage.client);
    const { name, arn } = await deploy(
      'export const handler = async ({ bad }) => { if (bad) throw new RangeError("bad"); return { ok: 1 }; };',
    );
    const good = await client.send(new InvokeCommand({ FunctionName: arn, Payload: '{}' }));
    expect(good).toMatchObject({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    expect(good.FunctionError).toBeUndefined();
    expect(good.Payload?.transformToString()).toBe('{"ok":1}');
    const bad = await client.send(new InvokeCommand({ FunctionName: name, Payload: '{"bad":true}' }));
    expect(bad.FunctionError).toBe('Unhandled');
    expect(JSON.parse(bad.Payload?.transformToString() ?? '')).toMatchObject({
      errorType: 'RangeError',
      errorMessage: 'bad',
    });
    expect((await client.send(new GetFunctionCommand({ FunctionName: name }))).Configuration).toMatchObject({
      FunctionArn: arn,
      Timeout: 5,
    });
    await expect(client.send(new GetFunctionCommand({ FunctionName: 'nobody' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    await expect(
      client.send(new InvokeCommand({ FunctionName: name, InvocationType: 'Event' })),
    ).rejects.toMatchObject({
      name: 'UnsupportedByLocalCloud',
    });
  });
});
