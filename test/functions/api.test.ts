// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${name} is what a recipe writes.
import { describe, expect, test } from 'vitest';
import { pageOfImages } from '../../core/api/image-list.ts';
import type { BuildRun, BuildRuns } from '../../core/ports.ts';
import { listBuilds } from '../../functions/api/list-builds.ts';
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
