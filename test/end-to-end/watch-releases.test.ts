import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DescribeImagesCommand } from '@aws-sdk/client-ec2';
import { ListExecutionsCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, factoryApi } from '../../cli/api.ts';
import { type Mirror, startMirror } from '../../local/demo-release/serve.ts';
import { type Factory, startFactory } from './local-build.ts';

/** A recipe is subscribed by the API, a release appears on a mirror, and the watcher's bundle has it built: by stubs, on the local cloud. */

const INDEX = '/releases/amd64/amd64/';
let factory: Factory;
let api: Api;
let directory: string;
let mirror: Mirror;

const demo = (file = '') => join(factory.release.directory, file);
const mirrored = (path: string) => join(directory, INDEX, path);
const recipe = (changes: object = {}) =>
  factory.recipe({ name: 'watched', mirrors: [mirror.url], subscribe: {}, ...changes });

beforeAll(async () => {
  factory = await startFactory({ cloud: { stub: {} } });
  directory = await mkdtemp(join(factory.stateDirectory, 'mirror-'));
  await mkdir(mirrored('15.0-RELEASE'), { recursive: true });
  mirror = await startMirror({ directory });
  const { endpoint: url, region, credentials } = factory.cloud;
  api = factoryApi({ url, region, credentials: () => Promise.resolve(credentials) });
}, 60_000);
afterAll(async () => {
  await mirror.close();
  await factory[Symbol.asyncDispose]();
});

const watch = () => factory.cloud.lambda.invoke('ami-foundry-watch-releases', {});

async function started(): Promise<{ name: string; arn: string }[]> {
  const stateMachineArn = `arn:aws:states:${factory.cloud.region}:${factory.cloud.accountId}:stateMachine:ami-foundry-build-image`;
  const { executions = [] } = await factory.sfn.send(new ListExecutionsCommand({ stateMachineArn }));
  return executions.map(({ name = '', executionArn = '' }) => ({ name, arn: executionArn }));
}

describe('a subscription', () => {
  it.each<[object, RegExp, string | null]>([
    [{ subscribe: undefined }, /subscribe is missing/, 'recipe.subscribe'],
    [{ matrix: { release: ['15.1-RELEASE'] } }, /matrix must not be there/, 'recipe.matrix'],
    [{ subscribe: { kinds: ['ALPHA'] } }, /subscribe\.kinds/, 'recipe.subscribe.kinds.0'],
    [{ name: 'another' }, /recipe\.name is another/, 'recipe.name'],
    [
      { subscribe: { architectures: ['arm64'] }, image: { bootMode: 'legacy-bios' } },
      /must be uefi on arm64/,
      'recipe.image.bootMode',
    ],
  ])('with %j is refused', async (changes, message, field) => {
    const asked = api.call('subscribe', { params: { name: 'watched' }, body: { recipe: recipe(changes) } });
    await expect(asked).rejects.toThrow(message);
    await expect(asked).rejects.toMatchObject({ problem: { status: 400, field } });
  });

  it('is made, replaced and listed', async () => {
    const put = async () =>
      await api.send('PUT', '/subscriptions/watched', JSON.stringify({ recipe: recipe() }));
    expect([(await put()).status, (await put()).status]).toEqual([201, 200]);
    const { subscriptions } = await api.call('list-subscriptions', {});
    expect(subscriptions).toEqual([
      { name: 'watched', recipe: recipe(), updatedAt: expect.any(String), started: [] },
    ]);
  });
});

describe('a release', () => {
  it('that is not whole is not built', async () => {
    expect(await watch()).toMatchObject({ payload: { started: 0, waiting: 1 } });
    await mkdir(mirrored('15.1-RELEASE'));
    for (const file of ['MANIFEST', 'BUILDDATE', 'REVISION', 'kernel.txz']) {
      await cp(demo(file), mirrored(`15.1-RELEASE/${file}`));
    }
    await writeFile(mirrored('15.1-RELEASE/base.txz'), '');
    expect(await watch()).toMatchObject({ payload: { started: 0, waiting: 1 } });
    expect(await started()).toEqual([]);
  });

  it('is not looked at while a page stands in its place, and that is an error', async () => {
    mirror.faults.set(INDEX, [{ kind: 'html' }]);
    const { functionError, payload } = await watch();
    expect(functionError).toBeDefined();
    expect(payload).toMatchObject({
      errorType: 'WatchIncomplete',
      errorMessage: expect.stringContaining(`${mirror.url}${INDEX} answers something that lists no releases`),
    });
    mirror.faults.clear();
  });

  it('that is whole is built exactly once, however often and at once the watcher runs', async () => {
    await rm(mirrored('15.1-RELEASE/base.txz'));
    await cp(demo(), mirrored('15.1-RELEASE'), { recursive: true });
    const runs = await Promise.all([watch(), watch(), watch()]);
    expect(runs.map(({ functionError }) => functionError)).toEqual([undefined, undefined, undefined]);
    const builds = await started();
    expect(builds).toEqual([
      { name: expect.stringMatching(/^watched-[0-9a-f]{12}$/), arn: expect.any(String) },
    ]);
    const [build] = builds;
    expect((await factory.end(build?.arn ?? '')).status).toBe('SUCCEEDED');
    await Promise.all([watch(), watch()]);
    expect(await started()).toHaveLength(1);

    const { Images: [image] = [] } = await factory.ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
    const tags = Object.fromEntries((image?.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
    expect(tags).toMatchObject({
      'ami-foundry:build': build?.name,
      'ami-foundry:release': '15.1-RELEASE',
      'ami-foundry:built-on': '2026-06-02',
      'ami-foundry:revision': expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    const { subscriptions } = await api.call('list-subscriptions', {});
    expect(subscriptions[0]?.started).toEqual([
      { build: build?.name, release: '15.1-RELEASE', architecture: 'amd64', at: expect.any(String) },
    ]);
  });

  it('is the one that POST /builds would have built', async () => {
    const { id, created } = await api.call('start-build', { body: { recipe: recipe() } });
    const [first] = (await started()).filter(({ name }) => !name.endsWith('-2'));
    expect({ id, created }).toEqual({ id: `${first?.name}-2`, created: true });
  });

  it('is told by GET /releases', async () => {
    const { checkedAt, releases } = await api.call('list-releases', {});
    expect(Date.parse(checkedAt ?? '')).toBeGreaterThan(Date.now() - 60_000);
    expect(releases).toEqual([
      {
        release: '15.1-RELEASE',
        architecture: 'amd64',
        builtOn: '2026-06-02',
        revision: expect.any(String),
        patchLevel: null,
        firstSeenAt: expect.any(String),
      },
    ]);
  });
});

it('a subscription ends once', async () => {
  const call = { params: { name: 'watched' } };
  expect(await api.call('unsubscribe', call)).toEqual({ name: 'watched' });
  await expect(api.call('unsubscribe', call)).rejects.toMatchObject({
    problem: { status: 404, code: 'SubscriptionNotFound' },
  });
  expect(await api.call('list-subscriptions', {})).toEqual({ subscriptions: [], nextToken: null });
});
