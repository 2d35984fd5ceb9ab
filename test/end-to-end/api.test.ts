import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CreateLaunchTemplateCommand, DeleteLaunchTemplateCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, ApiProblem, ApiUnreachable, factoryApi } from '../../cli/api.ts';
import { workerPhases } from '../../core/worker-console.ts';
import type { StubMachineEnd } from '../../local/instance-host/stub.ts';
import type { StubWorkerEnd } from '../../local/instance-host/stub-worker.ts';
import { type Factory, startFactory } from './local-build.ts';

let factory: Factory;
let api: Api;
let machine: StubMachineEnd = 'ok';
let worker: StubWorkerEnd = 'ok';

beforeAll(async () => {
  factory = await startFactory({ cloud: { stub: { machine: () => machine, worker: () => worker } } });
  api = apiOf();
}, 60_000);
afterAll(() => factory[Symbol.asyncDispose]());

const apiOf = (
  keys: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } = factory.cloud.credentials,
): Api =>
  factoryApi({
    url: factory.cloud.endpoint,
    region: factory.cloud.region,
    credentials: () => Promise.resolve(keys),
  });

const start = async (changes: Record<string, unknown>): Promise<string> =>
  (await api.call('start-build', { body: { recipe: factory.recipe(changes) } })).id;

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
  }, 90_000);

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

describe('what a build tells', () => {
  const statesOfStages = ({ stages }: Awaited<ReturnType<typeof ended>>) =>
    Object.fromEntries(stages.map(({ name, state }) => [name, state]));

  it('when it succeeds and goes to another region; and of its images, until they retire', async () => {
    const share = { accounts: ['111122223333'] };
    const id = await start({ name: 'good', bootTest: {}, distribution: { regions: ['eu-west-1'], share } });
    const running = await api.call('list-builds', { query: { status: 'RUNNING' } });
    expect(running.builds).toMatchObject([{ id, recipe: 'good', status: 'RUNNING', endedAt: null }]);
    const build = await ended(id);
    expect(build.image).toMatchObject({
      name: expect.stringMatching(/^good 15\.1-RELEASE-amd64/),
      road: 'unix',
    });
    expect(new Set(Object.values(statesOfStages(build)))).toEqual(new Set(['done']));
    expect(build.stages.map(({ name }) => name)).toEqual([
      'plan',
      'launch',
      'attach',
      'worker: start',
      ...workerPhases.map((phase) => `worker: ${phase}`),
      'snapshot',
      'register',
      'boot test',
      'clean-up',
      'copies',
      'publish',
    ]);
    expect(build.states.every(({ status }) => status === 'succeeded')).toBe(true);
    expect(build.receipt).toMatchObject({ build: id, status: 'SUCCEEDED' });
    expect(build.console).toMatchObject({
      source: 'boot-m6i.large',
      tail: expect.arrayContaining(['login:']),
    });
    expect(build.failure).toBeNull();
    const { result } = build;
    expect(result?.images.map(({ region }) => region)).toEqual(['us-east-1', 'eu-west-1']);
    const copy = result?.images[1]?.imageId ?? '';
    expect(build.resources).toContainEqual({
      kind: 'image',
      role: 'copy',
      id: copy,
      region: 'eu-west-1',
      link: `https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#ImageDetails:imageId=${copy}`,
    });

    const first = await api.call('list-images', { query: { recipe: 'good', limit: '1' } });
    const second = await api.call('list-images', {
      query: { recipe: 'good', limit: '1', nextToken: first.nextToken ?? '' },
    });
    expect(second.nextToken).toBeNull();
    const images = [...first.images, ...second.images];
    expect(images.map(({ imageId }) => imageId)).toEqual([copy, result?.imageId]);
    for (const image of images) {
      expect(image).toMatchObject({
        recipe: 'good',
        build: id,
        sharedWith: share.accounts,
        quarantinedAt: null,
      });
      expect(image.bootTestedAt).not.toBeNull();
    }

    const imageId = copy;
    const LaunchTemplateName = 'uses-it';
    const LaunchTemplateData = { ImageId: result?.imageId };
    await factory.ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }));
    const { kept, ...nothing } = await api.call('retire-image', { params: { imageId } });
    expect(nothing).toEqual({ imageId, quarantined: [], undo: '' });
    expect(kept.map(({ region }) => region)).toEqual(['us-east-1', 'eu-west-1']);
    expect(kept[0]?.reason).toContain('us-east-1: launch template');
    await factory.ec2.send(new DeleteLaunchTemplateCommand({ LaunchTemplateName }));
    const gone = await api.call('retire-image', { params: { imageId } });
    expect(gone).toMatchObject({ imageId, kept: [], undo: expect.stringContaining('"restore"') });
    const after = await api.call('list-images', { query: { recipe: 'good' } });
    expect(after.images.map(({ state }) => state)).toEqual(['disabled', 'disabled']);
    expect(after.images.every(({ quarantinedAt }) => quarantinedAt !== null)).toBe(true);
  }, 60_000);

  it('when its image panics', async () => {
    machine = 'panic';
    const build = await ended(await start({ name: 'panics', bootTest: {} }));
    machine = 'ok';
    expect(statesOfStages(build)).toMatchObject({
      register: 'done',
      'boot test': 'failed',
      'clean-up': 'done',
    });
    expect(build).toMatchObject({
      status: 'FAILED',
      result: null,
      failure: {
        code: 'BootPanicked',
        decisive: ['panic: the stub was told to'],
        runbook: 'docs/runbook.md#bootpanicked',
        kept: [],
        resumable: false,
      },
    });
    expect(build.failure?.evidence).toContain(`builds/${build.id}/failure.json`);
    expect(build.failure?.message).not.toContain('Remedy:');
    expect(build.states.filter(({ status }) => status === 'failed').map(({ name }) => name)).toEqual([
      'WaitForBoot',
      'BuildFailed',
    ]);
    const source = 'boot-m6i.large';
    const log = await api.call('build-log', { params: { id: build.id }, query: { source } });
    expect(log).toMatchObject({ source, sources: ['worker', source], complete: true });
    expect(log.text).toContain('panic: the stub was told to');
  }, 60_000);

  it('when its worker fails, and then goes on', async () => {
    worker = { code: 'WriteFailed' };
    const build = await ended(await start({ name: 'fails' }));
    worker = 'ok';
    expect(statesOfStages(build)).toMatchObject({
      'worker: start': 'done',
      'worker: preflight': 'done',
      'worker: fetch': 'failed',
      'worker: extract': 'skipped',
      snapshot: 'skipped',
    });
    expect(build.failure).toMatchObject({ code: 'WriteFailed', resumable: true });
    expect(build.failure?.decisive[0]).toMatch(/^foundry: phase=fetch state=failed/);
    const resumed = await api.call('resume-build', { params: { id: build.id } });
    expect(resumed).toMatchObject({ id: `${build.id}-2`, created: true, status: 'RUNNING' });
    expect(await api.call('resume-build', { params: { id: build.id } })).toMatchObject({
      id: `${build.id}-2`,
      created: false,
    });
    await expect(api.call('resume-build', { params: { id: resumed.id } })).rejects.toMatchObject({
      problem: { status: 409, code: 'BuildRunning' },
    });
    expect(await ended(resumed.id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await api.call('resume-build', { params: { id: resumed.id } })).toMatchObject({
      id: resumed.id,
      created: false,
      status: 'SUCCEEDED',
    });
  }, 60_000);

  it('when it is stopped: twice is once, and nothing stays', async () => {
    machine = 'hang';
    const id = await start({ name: 'hangs', bootTest: {} });
    const hangs = async () =>
      (await api.call('list-builds', { query: { status: 'RUNNING' } })).builds[0]?.state;
    while ((await hangs()) !== 'PauseForBoot') await pause(100);
    const live = await api.call('build-log', { params: { id } });
    expect(live).toMatchObject({ sources: ['worker', 'boot-m6i.large'] });
    for (const _ of [1, 2]) {
      expect(await api.call('abort-build', { params: { id } })).toEqual({ id, status: 'ABORTED' });
    }
    machine = 'ok';
    const build = await ended(id);
    expect(statesOfStages(build)).toMatchObject({ 'boot test': 'failed', 'clean-up': 'skipped' });
    expect(build.failure).toMatchObject({ code: 'Aborted', message: 'stopped through the HTTP API' });
    const { builds } = await api.call('list-builds', { query: { status: 'SUCCEEDED', limit: '1' } });
    await expect(api.call('abort-build', { params: { id: builds[0]?.id ?? '' } })).rejects.toMatchObject({
      problem: { status: 409, code: 'BuildEnded' },
    });
  }, 60_000);
});

it('without a signature that holds, everything is forbidden', async () => {
  const wrong = apiOf({ accessKeyId: 'local', secretAccessKey: 'wrong' });
  const asked = wrong.call('list-builds', {});
  await expect(asked).rejects.toThrow(ApiUnreachable);
  await expect(asked).rejects.toThrow('(403): Forbidden');
  const unsigned = await fetch(`${factory.cloud.endpoint}/builds`);
  expect([unsigned.status, await unsigned.json()]).toEqual([403, { message: 'Forbidden' }]);
  expect((await api.send('GET', '/nowhere')).status).toBe(404);
});

it('IAM decides who may call which route', async () => {
  const { iam, accountId, region } = factory.cloud;
  const keys = iam.credentialsOf('reader');
  iam.setPolicy('reader', [
    {
      Effect: 'Allow',
      Action: ['execute-api:Invoke'],
      Resource: [`arn:aws:execute-api:${region}:${accountId}:*/$default/GET/builds*`],
      Condition: {},
    },
  ]);
  const reader = apiOf(keys);
  expect((await reader.call('list-builds', {})).builds.length).toBeGreaterThan(0);
  const missing = reader.call('show-build', { params: { id: 'nobody' } });
  await expect(missing).rejects.toMatchObject({ problem: { status: 404, code: 'BuildNotFound' } });
  await expect(reader.call('list-images', {})).rejects.toThrow(
    'does not let these credentials in (403): Forbidden',
  );
  const aborts = reader.call('abort-build', { params: { id: 'nobody' } });
  await expect(aborts).rejects.toThrow('does not let these credentials in (403): Forbidden');
});

it('curl signs as well, with what it has for that', async () => {
  const { endpoint, region } = factory.cloud;
  const { stdout } = await promisify(execFile)('curl', [
    '--silent',
    '--show-error',
    '--user',
    'local:local',
    '--aws-sigv4',
    `aws:amz:${region}:execute-api`,
    '--header',
    'content-type: application/json',
    '--data',
    '{"recipe": "name: ["}',
    `${endpoint}/builds`,
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ status: 400, code: 'InvalidRecipe', field: 'recipe' });
});

it('what is wrong is told by fields', async () => {
  const refused = api.call('start-build', { body: { recipe: { name: 'x', relase: '15.1-RELEASE' } } });
  await expect(refused).rejects.toThrow(ApiProblem);
  await expect(refused).rejects.toMatchObject({ problem: { status: 400, code: 'InvalidRecipe' } });
});
