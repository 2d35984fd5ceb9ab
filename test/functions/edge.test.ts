import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';
import { FactoryError } from '../../core/errors.ts';
import { BUILD, execution, plan } from './builds.ts';

// The bundler puts the bootstrap into the launch function.
vi.mock('../../worker/bootstrap.sh', () => ({ default: '#!/bin/sh\n' }));

const written: string[] = [];
const streams = [process.stdout, process.stderr] as const;
const spies = streams.map((stream) =>
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
const { stepHandler } = await import('../../functions/edge/step.ts');
const { eventHandler, log } = await import('../../functions/edge/event.ts');

const declaration = {
  name: 'example',
  input: z.object({ wish: z.string(), many: z.optional(z.int()) }),
  output: z.object({ done: z.boolean() }),
  options: z.object({ how: z._default(z.enum(['fast', 'slow']), 'fast') }),
};
const context = {} as never;
const event = { input: { wish: 'w', other: 'state' }, execution, retryCount: 2, options: { how: 'slow' } };
const failure = async (promise: unknown): Promise<Error> =>
  Promise.resolve(promise).then(
    () => {
      throw new Error('nothing was thrown');
    },
    (error: Error) => error,
  );
const lines = () =>
  written
    .flatMap((text) => text.trim().split('\n'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the handler of a step', () => {
  test('hands the step its slice, options, execution and count of retries', async () => {
    const seen: unknown[] = [];
    const handler = stepHandler(declaration, async (call) => {
      seen.push(call);
      return { done: true };
    });
    expect(await handler(event, context)).toEqual({ done: true });
    expect(seen).toEqual([{ input: { wish: 'w' }, options: { how: 'slow' }, execution, retryCount: 2 }]);
  });

  test('fills in what a state may leave out', async () => {
    const handler = stepHandler(declaration, async ({ retryCount, options }) => ({
      done: retryCount === 0 && options.how === 'fast',
    }));
    expect(await handler({ input: { wish: 'w' }, execution }, context)).toEqual({ done: true });
  });

  test.each<[unknown, string[]]>([
    [{ ...event, input: { wish: 1, many: 1.5 } }, ['wish', 'many']],
    [{ ...event, input: undefined }, ['Invalid input']],
    [{ ...event, execution: { name: 1 } }, ['execution.name', 'execution.arn', 'execution.startTime']],
    [{ ...event, options: { how: 'other' } }, ['how']],
    [{}, ['execution']],
    [null, ['Invalid input']],
    ['text', ['Invalid input']],
  ])('refuses %j with InvalidState that names the fields', async (payload, fields) => {
    const handler = stepHandler(declaration, async () => ({ done: true }));
    const error = await failure(handler(payload, context));
    expect(error.name).toBe('InvalidState');
    expect(error.message).toContain('example cannot work');
    for (const field of fields) expect(error.message).toContain(field);
  });

  test('refuses an output that does not fit the state', async () => {
    const handler = stepHandler(declaration, async () => ({ done: 'yes' }) as never);
    const error = await failure(handler(event, context));
    expect(error.name).toBe('InvalidState');
    expect(error.message).toContain('done');
  });

  test.each([
    new FactoryError('VolumeBusy', { message: 'm', remedy: 'r' }),
    Object.assign(new Error('slow down'), { name: 'RequestLimitExceeded' }),
    new RangeError('off'),
  ])('lets %s pass as it is: its name is the code', async (thrown) => {
    const handler = stepHandler(declaration, async () => {
      throw thrown;
    });
    expect(await failure(handler(event, context))).toBe(thrown);
  });

  test('logs one line on success and one on failure, with step, build and code', async () => {
    await stepHandler(declaration, async () => ({ done: true }))(event, context);
    await failure(
      stepHandler(declaration, async () => {
        throw new FactoryError('VolumeBusy', { message: 'still there', remedy: 'r' });
      })(event, context),
    );
    expect(lines()).toEqual([
      expect.objectContaining({
        message: 'step done',
        step: 'example',
        build: BUILD,
        milliseconds: expect.any(Number),
      }),
      expect.objectContaining({
        message: 'step failed',
        step: 'example',
        build: BUILD,
        code: 'VolumeBusy',
        level: 'ERROR',
      }),
    ]);
  });

  test.each([
    ['a name that no resolver knows', { name: 'Error', code: 'EAI_AGAIN' }, 'ServiceUnavailable'],
    [
      'an answer without a code',
      { name: 'Unknown', $metadata: { httpStatusCode: 503 } },
      'ServiceUnavailable',
    ],
    [
      'an answer that is no JSON',
      { name: 'SyntaxError', $metadata: { httpStatusCode: 502 } },
      'ServiceUnavailable',
    ],
    ['a refusal without a code', { name: 'Unknown', $metadata: { httpStatusCode: 403 } }, 'Unknown'],
    ['an error with a code', { name: 'InternalError', $metadata: { httpStatusCode: 500 } }, 'InternalError'],
    ['a mistake of ours', { name: 'SyntaxError' }, 'SyntaxError'],
    ['a file that is not there', { name: 'Error', code: 'ENOENT' }, 'Error'],
  ])('%s gets the name that the state machine goes by', async (_what, properties, name) => {
    const error = Object.assign(new Error('no'), properties);
    const handler = stepHandler(declaration, async () => {
      throw error;
    });
    expect(await failure(handler(event, context))).toBe(error);
    expect(error.name).toBe(name);
  });

  test('never logs what it was handed or what it gives', async () => {
    const secrets = ['https://b.s3.example/k?X-Amz-Signature=5ec2e7', '#!/bin/sh user data', 'wish-value'];
    const wide = {
      ...declaration,
      input: z.looseObject({ wish: z.string() }),
      output: z.looseObject({ done: z.boolean() }),
    };
    const payload = { ...event, input: { wish: 'wish-value', url: secrets[0], userData: secrets[1] } };
    await stepHandler(wide, async ({ input }) => ({ done: true, ...input }))(payload, context);
    await failure(
      stepHandler(wide, async () => {
        throw new Error('no');
      })(payload, context),
    );
    await failure(
      stepHandler({ ...wide, input: z.looseObject({ wish: z.int() }) as never }, async () => ({
        done: true,
      }))(payload, context),
    );
    expect(lines()).toHaveLength(3);
    for (const secret of secrets) expect(written.join('')).not.toContain(secret);
  });
});

describe('the handler of an event', () => {
  const event = { name: 'example', input: z.object({ build: z.string() }) };

  test('hands on what it was told, gives the answer, and writes lines as they are', async () => {
    const handler = eventHandler(event, async ({ build }) => {
      log('done', { build, count: 2 });
      return build;
    });
    expect(await handler({ build: 'demo', more: 'recipe' }, context)).toBe('demo');
    expect(lines()).toEqual([expect.objectContaining({ message: 'done', build: 'demo', count: 2 })]);
  });

  test('logs a failure with its code, and lets it pass', async () => {
    const thrown = new FactoryError('LeftoversRemain', { message: 'i-1', remedy: 'r' });
    const handler = eventHandler(event, async () => {
      throw thrown;
    });
    expect(await failure(handler({ build: 'demo' }, context))).toBe(thrown);
    expect((await failure(handler({ recipe: 'secret' }, context))).name).toBe('InvalidState');
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'ERROR', function: 'example', code: 'LeftoversRemain' }),
      expect.objectContaining({ level: 'ERROR', function: 'example', code: 'InvalidState' }),
    ]);
    expect(written.join('')).not.toContain('secret');
  });
});

describe('the functions as they are shipped', () => {
  const environment = {
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'secret',
    // Whoever asks AWS here asks nobody.
    AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
    ARTIFACTS_BUCKET: 'bucket',
    WORKER_IMAGE_PARAMETER: '/p/{architecture}',
    WORKER_PLATFORM: 'linux',
    WORKER_INSTANCE_TYPES_AMD64: 'c7i.large',
    WORKER_INSTANCE_TYPES_ARM64: 'c7g.large',
    WORKER_SECONDS: '3600',
    BOOT_TEST_INSTANCE_TYPES_AMD64: 'm6i.large',
    BOOT_TEST_INSTANCE_TYPES_ARM64: 'm7g.large',
    DISTRIBUTION_REGIONS: 'eu-west-1,us-west-2',
    PARAMETER_PREFIX: '/company/',
    WINDOWS_IMAGE_PARAMETER: '/windows',
    WINDOWS_INSTANCE_TYPES: 'm6i.large',
    SUBNET_IDS: 'subnet-a',
    SECURITY_GROUP_ID: 'sg-1',
    PAYLOAD_BUCKET: 'payloads',
    PAYLOAD_KEY: 'payload',
    PAYLOAD_SHA256: '4'.repeat(64),
    STATE_MACHINE_ARN: 'arn:aws:states:eu-central-1:123456789012:stateMachine:build-image',
    MATRIX_STATE_MACHINE_ARN: 'arn:aws:states:eu-central-1:123456789012:stateMachine:build-matrix',
    RESUMABLE_HOURS: '24',
    GRACE_SECONDS: '600',
    DRY_RUN: 'no',
  };
  beforeAll(() => {
    for (const [key, value] of Object.entries(environment)) vi.stubEnv(key, value);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
  });

  const shipped = {
    launch: () => import('../../functions/steps/launch.lambda.ts'),
    attach: () => import('../../functions/steps/attach.lambda.ts'),
    wait: () => import('../../functions/steps/wait.lambda.ts'),
    snapshot: () => import('../../functions/steps/snapshot.lambda.ts'),
    register: () => import('../../functions/steps/register.lambda.ts'),
    'clean-up': () => import('../../functions/steps/clean-up.lambda.ts'),
    reaper: () => import('../../functions/events/reaper.lambda.ts'),
  };

  test.each<[keyof typeof shipped, object, string[]]>([
    ['launch', { input: {} }, ['plan']],
    [
      'attach',
      { input: { worker: { instanceId: 'x', volumeId: 'vol-1' } } },
      ['worker.instanceId', 'worker.zone'],
    ],
    ['wait', { input: { plan }, options: { for: 'godot' } }, ['for']],
    ['snapshot', { input: { plan } }, ['worker']],
    [
      'register',
      { input: { plan, snapshot: { snapshotId: 'vol-1', startedAt: 1 } } },
      ['snapshot.snapshotId'],
    ],
    ['clean-up', { input: {}, options: {} }, ['outcome']],
    // A wildcard would be every build's.
    ['reaper', { build: 'demo-*' }, ['build']],
    ['reaper', { build: '' }, ['build']],
  ])('%s refuses a bad payload before it asks AWS anything', async (name, payload, fields) => {
    const { handler } = await shipped[name]();
    const error = await failure(handler({ execution, ...payload }, context));
    expect(error.name).toBe('InvalidState');
    for (const field of fields) expect(error.message).toContain(field);
  });

  test('plan refuses a bad recipe by name', async () => {
    const { handler } = await import('../../functions/steps/plan.lambda.ts');
    const error = await failure(handler({ execution, input: { recipe: { nam: 'x' } } }, context));
    expect(error.name).toBe('InvalidRecipe');
    expect(error.message).toContain('nam is not a key of a recipe; did you mean name?');
  });

  test('export the handler and nothing else', async () => {
    for (const load of Object.values(shipped)) expect(Object.keys(await load())).toEqual(['handler']);
  });
});
