import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, ApiProblem, ApiUnreachable, factoryApi } from '../../cli/api.ts';
import { type Factory, startFactory } from './local-build.ts';

let factory: Factory;
let api: Api;

beforeAll(async () => {
  factory = await startFactory({ cloud: { stub: {} } });
  api = apiOf();
}, 60_000);
afterAll(() => factory[Symbol.asyncDispose]());

const apiOf = (keys: { accessKeyId: string; secretAccessKey: string } = factory.cloud.credentials): Api =>
  factoryApi({
    url: factory.cloud.endpoint,
    region: factory.cloud.region,
    credentials: () => Promise.resolve(keys),
  });

async function ended(id: string) {
  for (;;) {
    const build = await api.call('show-build', { params: { id } });
    if (build.status !== 'RUNNING') return build;
    await pause(100);
  }
}

describe('a build by the API', () => {
  it('is started once, whoever asks and how often', async () => {
    const body = { recipe: factory.recipe({ name: 'once' }) };
    const started = await Promise.all([1, 2, 3].map(() => api.call('start-build', { body })));
    expect(new Set(started.map(({ id }) => id)).size).toBe(1);
    const { id = '' } = started[0] ?? {};
    expect(id).toMatch(/^once-[0-9a-f]{12}$/);
    // In other words, by YAML.
    const yaml = JSON.stringify({ ...body.recipe, flavour: 'small' });
    expect(await api.call('start-build', { body: { recipe: yaml } })).toMatchObject({ id, created: false });
    expect(await ended(id)).toMatchObject({ id, recipe: 'once', status: 'SUCCEEDED' });
    const again = await api.call('start-build', { body });
    expect(again).toMatchObject({ id: `${id}-2`, created: true });
    await ended(again.id);
    expect(await api.call('list-builds', {})).toMatchObject({
      builds: [
        { id: `${id}-2`, recipe: 'once' },
        { id, recipe: 'once' },
      ],
    });
    const log = await api.call('build-log', { params: { id } });
    expect(log).toMatchObject({ id, source: 'worker', sources: ['worker'], complete: true });
    expect(log.text).toContain('foundry: phase=verify state=done');
  });

  it('is planned only, if asked', async () => {
    const body = { recipe: factory.recipe({ name: 'planned' }), dryRun: true };
    const { plan, status } = await api.call('start-build', { body });
    expect(status).toBe('SUCCEEDED');
    expect(plan).toMatchObject({
      release: '15.1-RELEASE',
      image: { name: expect.stringContaining('planned') },
    });
  });
});

it('without a signature that holds, everything is forbidden', async () => {
  const wrong = apiOf({ accessKeyId: 'local', secretAccessKey: 'wrong' });
  const asked = wrong.call('list-builds', {});
  await expect(asked).rejects.toThrow(ApiUnreachable);
  await expect(asked).rejects.toThrow('403: {"message":"Forbidden"}');
  const unsigned = await fetch(`${factory.cloud.endpoint}/builds`);
  expect([unsigned.status, await unsigned.json()]).toEqual([403, { message: 'Forbidden' }]);
  expect((await api.send('GET', '/nowhere')).status).toBe(404);
});

it('what is wrong is told by fields', async () => {
  const refused = api.call('start-build', { body: { recipe: { name: 'x', relase: '15.1-RELEASE' } } });
  await expect(refused).rejects.toThrow(ApiProblem);
  await expect(refused).rejects.toMatchObject({ problem: { status: 400, code: 'InvalidRecipe' } });
});
