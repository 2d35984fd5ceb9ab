// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${name} is what a recipe writes.
import { describe, expect, test } from 'vitest';
import { detailsOf } from '../../core/api/details.ts';
import { pageOfImages } from '../../core/api/image-list.ts';
import { consoleOf } from '../../core/build-machines.ts';
import { FactoryError } from '../../core/errors.ts';
import { subscriptionKey } from '../../core/names.ts';
import type { BuildRun, BuildRuns } from '../../core/ports.ts';
import { startAttempt } from '../../core/start-attempts.ts';
import { readSubscription } from '../../core/subscriptions.ts';
import { listBuilds } from '../../functions/api/list-builds.ts';
import { listImages } from '../../functions/api/list-images.ts';
import { listSubscriptions } from '../../functions/api/list-subscriptions.ts';
import { resumeBuild } from '../../functions/api/resume-build.ts';
import { startBuild } from '../../functions/api/start-build.ts';

type Found = NonNullable<Awaited<ReturnType<BuildRuns['find']>>>;

/** A state machine's executions as Step Functions has them: a name for one execution, an input for one that runs. */
function memory(runs: Map<string, Found> = new Map()) {
  const clock = { now: () => Date.parse('2026-11-26T12:00:00Z') };
  const found = (name: string, input: string, status: BuildRun['status'] = 'RUNNING'): Found => ({
    name,
    arn: `arn:aws:states:us-east-1:000000000000:execution:build:${name}`,
    status,
    startedAt: new Date(clock.now()).toISOString(),
    endedAt: null,
    input,
    output: undefined,
    error: undefined,
    cause: undefined,
  });
  const builds: BuildRuns = {
    async start(name, input) {
      const there = runs.get(name);
      if (there !== undefined && (there.status !== 'RUNNING' || there.input !== input)) return 'taken';
      runs.set(name, there ?? found(name, input));
      return { startedAt: clock.now() };
    },
    find: async (name) => runs.get(name),
    list: async ({ status, nextToken }) => {
      if (nextToken !== undefined) throw Object.assign(new Error('Invalid Token'), { name: 'InvalidToken' });
      const all = [...runs.values()].filter((run) => status === undefined || run.status === status);
      return { runs: all, nextToken: null };
    },
    stop: async () => {},
    currentState: async () => 'Plan',
  };
  return { runs, builds, clock, found };
}

const recipe = { name: 'web', release: '15.1-RELEASE', architecture: 'amd64' };

function starting({ builds, clock }: ReturnType<typeof memory>, fetched = '') {
  const start = startBuild({
    runs: builds,
    matrices: builds,
    records: { put: async () => {} },
    clock,
    fetchRecipe: async () => fetched,
    pause: async () => {},
  });
  return (body: Parameters<typeof start>[0]['body']) => start({ requestId: 'JKJaXmPLvHcESHA=', body });
}

describe('a build that is asked for', () => {
  test('twice at the same moment is one', async () => {
    const world = memory();
    const start = starting(world);
    const answers = await Promise.all(
      [{ recipe }, { recipe: JSON.stringify({ ...recipe, flavour: 'small' }) }, { recipe }].map(start),
    );
    expect(world.runs.size).toBe(1);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  });

  test('while a later attempt runs is that one, though the first is forgotten', async () => {
    const world = memory();
    const start = starting(world);
    const { id } = (await start({ recipe })).body;
    world.runs.clear();
    world.runs.set(`${id}-7`, world.found(`${id}-7`, 'other'));
    expect(await start({ recipe })).toMatchObject({ status: 200, body: { id: `${id}-7`, created: false } });
    // Of another recipe, though its name begins so.
    world.runs.clear();
    world.runs.set(`${id}-plan-7`, world.found(`${id}-plan-7`, 'other'));
    expect(await start({ recipe })).toMatchObject({ status: 202, body: { id, created: true } });
  });

  test('while its matrix has it held is another, which delivers', async () => {
    const world = memory();
    const start = starting(world);
    const { id } = (await start({ recipe })).body;
    const held = world.found(id, JSON.stringify({ dryRun: false, recipe, matrix: 'matrix-web-1' }));
    world.runs.clear();
    world.runs.set(id, held);
    expect(await start({ recipe })).toMatchObject({ status: 202, body: { id: `${id}-2`, created: true } });
    expect(await start({ recipe })).toMatchObject({ status: 200, body: { id: `${id}-2`, created: false } });
  });

  test('by an older name, while a later attempt runs, is that one', async () => {
    const world = memory();
    const names = (attempt: number) => `web-${attempt}`;
    for (const [name, status] of [
      ['web-2', 'FAILED'],
      ['web-4', 'RUNNING'],
    ] as const)
      world.runs.set(name, world.found(name, '{}', status));
    const ask = { names, input: '{}', now: world.clock.now() };
    expect(await startAttempt(world.builds, ask)).toEqual({ id: 'web-4', created: false });
    world.runs.set('web-4', world.found('web-4', '{}', 'SUCCEEDED'));
    expect(await startAttempt(world.builds, ask)).toEqual({ id: 'web-1', created: true });
  });

  test('after it has ended is the next attempt', async () => {
    const world = memory();
    const start = starting(world);
    const { id } = (await start({ recipe })).body;
    for (const attempt of [id, `${id}-2`]) world.runs.set(attempt, world.found(attempt, '{}', 'SUCCEEDED'));
    expect(await start({ recipe })).toMatchObject({ status: 202, body: { id: `${id}-3`, created: true } });
  });

  test('by YAML behind a URL, with parameters, is what it says', async () => {
    const yaml =
      'name: web\nrelease: ${release}\narchitecture: amd64\nparameters: { release: { type: string } }\n';
    const world = memory();
    const start = starting(world, yaml);
    const given = { recipeUrl: 'https://example.com/web.yaml', parameters: { release: '15.1-RELEASE' } };
    const { body } = await start(given);
    expect(JSON.parse(world.runs.get(body.id)?.input ?? '')).toMatchObject({
      dryRun: false,
      recipe: { name: 'web', release: '15.1-RELEASE' },
    });
    await expect(start({ recipeUrl: given.recipeUrl })).rejects.toThrow('parameters.release has no value');
  });

  test.each([
    ['nothing', {}, 'recipe'],
    ['two recipes', { recipe, recipeUrl: 'https://example.com/' }, 'recipe'],
    ['files that are here', { recipe: { ...recipe, extends: '../../etc/passwd' } }, 'recipe.extends'],
  ])('with %s is refused by its field', async (_what, body, field) => {
    await expect(starting(memory())(body)).rejects.toMatchObject({ status: 400, fields: [{ field }] });
  });

  test.each(['name: [', '['.repeat(100_000), '- a', '5', 'a: &a [*a]'])(
    'as %.20j is refused',
    async (text) => {
      await expect(starting(memory())({ recipe: text })).rejects.toMatchObject({ name: 'InvalidRecipe' });
    },
  );
});

test('a recipe that no build could carry is refused, by itself, in a matrix and as a subscription', async () => {
  const content = 'x'.repeat(70_000);
  const large = { ...recipe, files: [1, 2, 3].map((n) => ({ path: `/etc/large${n}`, content })) };
  const matrix = { filesystem: ['ufs', 'zfs'] };
  for (const one of [large, { ...large, matrix }]) {
    const world = memory();
    await expect(starting(world)({ recipe: one })).rejects.toThrow('at most 160000 bytes');
    expect(world.runs.size).toBe(0);
  }
  expect(() => readSubscription({ ...large, subscribe: {} })).toThrow('at most 160000 bytes');
});

describe('a build that failed', () => {
  const resuming = ({ builds, clock }: ReturnType<typeof memory>) => {
    const resume = resumeBuild({ runs: builds, clock });
    return (id: string) => resume({ requestId: 'id', params: { id } });
  };

  test('is resumed with the same input', async () => {
    const world = memory();
    world.runs.set('web', world.found('web', '{"recipe":1}', 'FAILED'));
    expect(await resuming(world)('web')).toMatchObject({ status: 202, body: { id: 'web-2' } });
    expect(world.runs.get('web-2')?.input).toBe('{"recipe":1}');
  });

  test.each(['FAILED', 'SUCCEEDED'] as const)(
    'or is held (%s) is not resumed without its matrix, which alone could publish it',
    async (status) => {
      const world = memory();
      world.runs.set('web', world.found('web', '{"matrix":"matrix-web-1","recipe":1}', status));
      await expect(resuming(world)('web')).rejects.toMatchObject({ name: 'BuildOfMatrix' });
      expect(world.runs.size).toBe(1);
    },
  );
});

describe('a build in full', () => {
  const now = Date.parse('2026-11-26T13:00:00Z');
  const sights = (changes: Partial<Found>) => ({
    run: { ...memory().found('web', '{"recipe":{},"dryRun":false}', 'SUCCEEDED'), ...changes },
    events: [],
    state: undefined,
    consoles: new Map<string, string>(),
    failure: undefined,
    artifactsBucket: 'artifacts',
    now,
  });
  const made = { imageId: 'ami-00000001', snapshotId: 'snap-00000001', adopted: false };

  test('delivered what it made, or has it held for its matrix', () => {
    const images = [{ region: 'us-east-1', imageId: made.imageId }];
    expect(detailsOf(sights({ output: JSON.stringify(made) }))).toMatchObject({
      result: { ...made, images },
      held: null,
      warnings: [],
    });
    const output = JSON.stringify({ ...made, held: { matrix: 'matrix-web-1', state: {} } });
    expect(detailsOf(sights({ output }))).toMatchObject({
      result: null,
      held: { ...made, images, matrix: 'matrix-web-1' },
      warnings: [expect.stringContaining('held for matrix-web-1')],
    });
  });

  const ended = { status: 'FAILED', error: 'InvalidRequest' } as const;
  test.each([
    ['of AWS’s error of the same name', { cause: 'EC2 said so' }, 'docs/runbook.md', true],
    [
      'of the factory’s own',
      { cause: new FactoryError('InvalidRequest', { message: 'no', remedy: 'ask.' }).message },
      'docs/runbook.md#invalidrequest',
      false,
    ],
    [
      'as part of a matrix',
      { cause: 'EC2 said so', input: '{"recipe":{},"matrix":"matrix-web-1"}' },
      'docs/runbook.md',
      false,
    ],
  ])('that failed %s says where it is explained, and whether to go on', (_what, run, runbook, resumable) => {
    expect(detailsOf(sights({ ...ended, ...run })).failure).toMatchObject({ runbook, resumable });
  });
});

test('the console of a machine that has ended, which EC2 lets nobody read, is empty', async () => {
  const machine = { source: 'worker', instanceId: 'i-00000001', key: 'builds/web/console.log' };
  const failing = (name: string) => ({
    artifacts: { get: async () => undefined },
    consoles: { console: () => Promise.reject(Object.assign(new Error('no'), { name })) },
  });
  expect(await consoleOf(machine, failing('UnauthorizedOperation'))).toEqual({ text: '', kept: false });
  await expect(consoleOf(machine, failing('RequestLimitExceeded'))).rejects.toThrow('no');
});

test('an image that goes while the list is made is nobody’s', async () => {
  const image = { imageId: 'ami-00000001', state: 'available', tags: {}, properties: {}, build: 'web' };
  const list = listImages({
    places: ['us-east-1'],
    regions: () =>
      ({
        images: { findOfAnyBuild: async () => [image] },
        access: {
          permissions: () =>
            Promise.reject(Object.assign(new Error('no'), { name: 'UnauthorizedOperation' })),
        },
      }) as never,
  });
  expect(await list({ requestId: 'id', query: {} })).toMatchObject({
    body: { images: [{ imageId: image.imageId, sharedWith: [] }] },
  });
});

describe('pages of subscriptions', () => {
  const listing = (stored: ReadonlyMap<string, string>, gone = '') =>
    listSubscriptions({
      records: {
        list: async (prefix) => [...stored.keys()].filter((key) => key.startsWith(prefix)),
        get: async (key) => {
          if (key === gone) throw Object.assign(new Error('no'), { name: 'AccessDenied' });
          return stored.get(key) ?? '';
        },
      },
    });
  const subscription = (text = '') =>
    JSON.stringify({ recipe: { text }, updatedAt: '2026-11-26T12:00:00.000Z' });
  const allOf = async (list: ReturnType<typeof listing>, limit: number) => {
    const seen: string[][] = [];
    let nextToken: string | undefined;
    do {
      const { body } = await list({ requestId: 'id', query: { limit, nextToken } });
      seen.push(body.subscriptions.map(({ name }) => name));
      nextToken = body.nextToken ?? undefined;
    } while (nextToken !== undefined);
    return seen;
  };
  const keyed = (names: readonly string[], text = '') =>
    new Map(names.map((name) => [subscriptionKey(name), subscription(text)]));

  test('have each once, by name, without what went meanwhile', async () => {
    const stored = keyed(['dd', 'aa', 'cc', 'bb', 'ee']);
    expect(await allOf(listing(stored), 2)).toEqual([['aa', 'bb'], ['cc', 'dd'], ['ee']]);
    expect(await allOf(listing(stored), 5)).toEqual([['aa', 'bb', 'cc', 'dd', 'ee']]);
    expect(await allOf(listing(stored, subscriptionKey('bb')), 2)).toEqual([['aa'], ['cc', 'dd'], ['ee']]);
    expect(await allOf(listing(new Map()), 2)).toEqual([[]]);
  });

  test('end before an answer is too large', async () => {
    const stored = keyed(['aa', 'bb', 'cc'], 'x'.repeat(1_500_000));
    expect(await allOf(listing(stored), 100)).toEqual([['aa', 'bb'], ['cc']]);
  });

  test('do not begin at what is no name', async () => {
    await expect(listing(new Map())({ requestId: 'id', query: { nextToken: '../x' } })).rejects.toMatchObject(
      { status: 400, fields: [{ field: 'nextToken' }] },
    );
  });
});

test('a page token that is not of the list is the asker’s mistake, and no token is nobody’s', async () => {
  const world = memory();
  const list = listBuilds({ runs: world.builds, clock: world.clock });
  const requestId = 'id';
  await expect(list({ requestId, query: { nextToken: 'mine' } })).rejects.toMatchObject({
    status: 400,
    fields: [{ field: 'nextToken' }],
  });
  expect(await list({ requestId, query: {} })).toEqual({
    status: 200,
    body: { builds: [], nextToken: null },
  });
});

describe('pages of images', () => {
  const image = (index: number) => ({
    region: index % 2 ? 'eu-west-1' : 'us-east-1',
    image: {
      imageId: `ami-${String(index).padStart(8, '0')}`,
      startedAt: Date.parse('2026-11-26T12:00:00Z') + Math.floor(index / 3) * 1000,
    } as Parameters<typeof pageOfImages>[0][number]['image'],
  });
  const images = Array.from({ length: 10 }, (_, index) => image(index));

  test('have each image once, the newest first, also when some come and go between them', () => {
    let rest = images;
    const seen: string[] = [];
    let nextToken: string | null = null;
    do {
      const page: ReturnType<typeof pageOfImages> = pageOfImages(rest, {
        limit: 3,
        nextToken: nextToken ?? undefined,
      });
      seen.push(...page.page.map((one) => one.image.imageId));
      ({ nextToken } = page);
      rest = [...rest.filter((one) => one.image.imageId !== seen.at(-1)), image(30 + seen.length)];
    } while (nextToken !== null);
    expect(seen).toEqual(images.toReversed().map((one) => one.image.imageId));
  });

  test.each(['', 'x', 'bnVsbA', Buffer.from('2026-11-26T12:00:00.000Z ami-x us').toString('base64url')])(
    'do not begin at %j',
    (nextToken) => {
      expect(() => pageOfImages(images, { limit: 3, nextToken })).toThrow('nextToken is not of this list');
    },
  );
});
