import {
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import {
  ListExecutionsCommand,
  ListMapRunsCommand,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { factoryApi } from '../../cli/api.ts';
import { executionName, matrixListKey } from '../../core/names.ts';
import { parseRecipe, recipeDigest } from '../../core/recipe.ts';
import { buildInput } from '../../core/start-build.ts';
import { type Factory, startFactory } from './local-build.ts';

/** Matrices of builds on the local cloud; workers are stubs. Nothing waits for a next attempt unless a test says so: what stays was forgotten. */

const HOME = 'us-east-1';
const OTHERS = ['us-west-2', 'eu-west-1'];
const REGIONS = [HOME, ...OTHERS];
const READER = '111122223333';

let factory: Factory;
let count = 0;
beforeAll(async () => {
  factory = await startFactory({
    resumableHours: 0,
    graceSeconds: 0,
    cloud: {
      stub: {
        worker: (build) =>
          build.includes('bad') ? { code: 'VerifyFailed' } : build.includes('slow') ? 'hang' : 'ok',
        machine: () => 'ok',
      },
    },
  });
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());
afterEach(() => factory.cloud.faults.clear());

const client = (region: string) => ({
  region,
  endpoint: factory.cloud.endpoint,
  credentials: factory.cloud.credentials,
});

interface Wish {
  readonly concurrency?: number;
  readonly toleratedFailures?: number;
  readonly publishTogether?: boolean;
}

/** Starts a matrix of these recipes. */
async function startMatrix(recipes: readonly object[], wish: Wish = {}, name = `matrix-${++count}`) {
  const items = recipes.map((value) => {
    const recipe = parseRecipe(value);
    return { build: executionName(recipe.name, recipeDigest(recipe)), input: JSON.parse(buildInput(recipe)) };
  });
  const list = matrixListKey(name);
  await factory.s3.send(
    new PutObjectCommand({ Bucket: factory.artifactsBucket, Key: list, Body: JSON.stringify(items) }),
  );
  const input = {
    list,
    builds: items.length,
    concurrency: 10,
    toleratedFailures: 0,
    publishTogether: false,
    ...wish,
  };
  const { executionArn = '' } = await factory.sfn.send(
    new StartExecutionCommand({
      stateMachineArn: factory.matrixStateMachineArn,
      name,
      input: JSON.stringify(input),
    }),
  );
  return { executionArn, name, builds: items.map(({ build }) => build) };
}

async function matrix(...given: Parameters<typeof startMatrix>) {
  const started = await startMatrix(...given);
  const ended = await factory.end(started.executionArn);
  return { ...started, ...ended, output: JSON.parse(ended.output ?? '{}') };
}

const images = async (region: string) =>
  (await new EC2Client(client(region)).send(new DescribeImagesCommand({ Owners: ['self'] }))).Images ?? [];
const snapshots = async (region: string) =>
  (await new EC2Client(client(region)).send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] })))
    .Snapshots ?? [];

describe('a matrix', () => {
  it('builds each recipe and says what came of it', async () => {
    const recipes = ['one', 'two', 'three'].map((name) => factory.recipe({ name }));
    const { status, output, builds } = await matrix(recipes, { concurrency: 2 });
    expect({ status, summary: output.summary }).toEqual({
      status: 'SUCCEEDED',
      summary: { total: 3, succeeded: 3, failed: 0, waiting: 0, running: 0 },
    });
    expect(output.builds).toEqual(
      builds.map((build) => ({
        build,
        status: 'SUCCEEDED',
        imageId: expect.stringMatching(/^ami-/),
        error: null,
      })),
    );
  });

  it('takes over what runs already, and starts the next attempt at what has ended', async () => {
    const recipe = factory.recipe({ name: 'again' });
    const first = await matrix([recipe]);
    const second = await matrix([recipe]);
    const [name = ''] = first.builds;
    expect(first.output.builds[0].build).toBe(name);
    expect(second.output.builds[0]).toEqual({ ...first.output.builds[0], build: `${name}-2` });
    // Somebody else's build of the very recipe: there is one more execution of it, not two.
    const twin = factory.recipe({ name: 'twin' });
    const [build, input] = [
      executionName('twin', recipeDigest(parseRecipe(twin))),
      buildInput(parseRecipe(twin)),
    ];
    const running = await factory.start(JSON.parse(input), build);
    const third = await matrix([twin]);
    expect(third.output.builds[0]).toMatchObject({ build, status: 'SUCCEEDED' });
    expect((await factory.end(running)).status).toBe('SUCCEEDED');
  });

  it('goes on past failures that are tolerated', async () => {
    const recipes = ['good-a', 'bad-a', 'good-b', 'good-c'].map((name) => factory.recipe({ name }));
    const { status, output } = await matrix(recipes, { toleratedFailures: 25 });
    expect({ status, summary: output.summary }).toEqual({
      status: 'SUCCEEDED',
      summary: { total: 4, succeeded: 3, failed: 1, waiting: 0, running: 0 },
    });
    expect(output.builds[1]).toMatchObject({ status: 'FAILED', imageId: null, error: 'VerifyFailed' });
  });

  it('stops the rest beyond that, and says which builds failed', async () => {
    const recipes = ['slow-b', 'bad-b', 'late-b'].map((name) => factory.recipe({ name }));
    const { status, error, cause, builds } = await matrix(recipes, { concurrency: 2 });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'MatrixFailed' });
    expect(cause).toBe(
      `2 of 3 builds failed or were stopped, 1 were not begun, 0 succeeded\n- ${builds[1]}: VerifyFailed`,
    );
    await nothingLeft(builds);
  });

  it('stops its builds when it is stopped, and the reaper leaves nothing of them', async () => {
    const recipes = ['slow-c', 'slow-d'].map((name) => factory.recipe({ name }));
    const { executionArn, builds } = await startMatrix(recipes);
    await expect.poll(() => running(builds), { timeout: 30_000 }).toEqual([...builds].sort());
    await factory.sfn.send(new StopExecutionCommand({ executionArn }));
    await expect.poll(() => running(builds), { timeout: 30_000 }).toEqual([]);
    await nothingLeft(builds);
  });

  it('without a list is no matrix', async () => {
    const { executionArn } = await startMatrix([], {});
    await factory.end(executionArn);
    const { executionArn: lost = '' } = await factory.sfn.send(
      new StartExecutionCommand({
        stateMachineArn: factory.matrixStateMachineArn,
        input: JSON.stringify({
          list: 'matrices/none.json',
          builds: 1,
          concurrency: 1,
          toleratedFailures: 0,
          publishTogether: false,
        }),
      }),
    );
    expect(await factory.end(lost)).toMatchObject({
      status: 'FAILED',
      error: 'MatrixFailed',
      cause: expect.stringContaining('States.ItemReaderFailed: The specified key does not exist.'),
    });
  });
});

describe('POST /builds with a matrix', () => {
  const api = () =>
    factoryApi({
      url: factory.cloud.endpoint,
      region: factory.cloud.region,
      credentials: async () => factory.cloud.credentials,
    });

  it('is one matrix, however often it is asked for; it can be looked at and stopped', async () => {
    const recipe = { ...factory.recipe({ name: 'slow-asked' }), matrix: { flavour: ['base', 'small'] } };
    const started = await api().call('start-build', { body: { recipe, matrix: { concurrency: 1 } } });
    expect(started).toMatchObject({ kind: 'matrix', status: 'RUNNING', created: true });
    expect(started.id).toMatch(/^matrix-slow-asked-[0-9a-f]{12}$/);
    expect(await api().call('start-build', { body: { recipe, matrix: { concurrency: 1 } } })).toEqual({
      ...started,
      created: false,
    });
    const shown = () => api().call('show-matrix', { params: { id: started.id } });
    await expect
      .poll(async () => (await shown()).summary, { timeout: 30_000 })
      .toEqual({ total: 2, succeeded: 0, failed: 0, waiting: 1, running: 1 });
    const [first] = (await shown()).builds;
    expect(await api().call('show-build', { params: { id: first?.build ?? '' } })).toMatchObject({
      recipe: 'slow-asked',
      status: 'RUNNING',
    });
    await api().call('abort-matrix', { params: { id: started.id } });
    expect(await shown()).toMatchObject({ status: 'ABORTED', failure: { code: 'Aborted' } });
    await expect.poll(async () => (await shown()).summary.running, { timeout: 30_000 }).toBe(0);
  });

  it.for([
    ['a parameter that two images share', { publishTogether: true }, 'recipe.distribution.parameters'],
    [
      'failures beside all or none',
      { publishTogether: true, toleratedFailures: 5 },
      'matrix.toleratedFailures',
    ],
  ] as const)('refuses %s', async ([_what, matrix, field]) => {
    const recipe = {
      ...factory.recipe({ name: 'shared', distribution: { regions: OTHERS, parameters: '/company/{name}' } }),
      matrix: { flavour: ['base', 'small'] },
    };
    await expect(api().call('start-build', { body: { recipe, matrix } })).rejects.toMatchObject({
      problem: { status: 400, code: 'InvalidRequest', field },
    });
  });
});

/** Images with readers in three regions. */
const shown = (name: string, description: string) =>
  factory.recipe({
    name,
    image: { description },
    distribution: { regions: OTHERS, share: { accounts: [READER] }, parameters: '/company/{name}' },
  });

/** What readers of these recipes find in each region: an image that they may launch, or nothing. */
async function readersSee(names: readonly string[]) {
  const seen = REGIONS.flatMap((region) =>
    names.map(async (name) => {
      const value = await new SSMClient(client(region))
        .send(new GetParameterCommand({ Name: `/company/${name}/latest` }))
        .then(
          ({ Parameter }) => Parameter?.Value,
          () => undefined,
        );
      if (value === undefined) return `${region} ${name}: nothing`;
      const { LaunchPermissions = [] } = await new EC2Client(client(region)).send(
        new DescribeImageAttributeCommand({ ImageId: value, Attribute: 'launchPermission' }),
      );
      const may = LaunchPermissions.some(({ UserId }) => UserId === READER);
      const image = (await images(region)).find(({ ImageId }) => ImageId === value);
      return `${region} ${name}: ${may ? image?.Description : 'what nobody may launch'}`;
    }),
  );
  return await Promise.all(seen);
}
const everywhere = (names: readonly string[], what: string) =>
  REGIONS.flatMap((region) => names.map((name) => `${region} ${name}: ${what}`));

/** Two matrices each: some ten seconds, and more on a busy machine. */
describe('images that are published together', { timeout: 90_000 }, () => {
  it('are there for readers of all regions when all are there', async () => {
    const names = ['set-a', 'set-b', 'set-c'];
    const first = await matrix(
      names.map((name) => shown(name, 'old')),
      { publishTogether: true },
    );
    expect({ status: first.status, cause: first.cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    expect(await readersSee(names)).toEqual(everywhere(names, 'old'));
    // Its builds have ended: their images stay, and so do the next ones.
    await reap();
    const second = await matrix(
      names.map((name) => shown(name, 'new')),
      { publishTogether: true },
    );
    expect(second.status).toBe('SUCCEEDED');
    await reap();
    expect(await readersSee(names)).toEqual(everywhere(names, 'new'));
    expect(await openJournals()).toEqual([]);
  });

  it.for([
    ['a build', {}, ['whole-a', 'bad-together', 'whole-b']],
    ['a publication', { publish: true }, ['part-a', 'part-b', 'part-c']],
  ] as const)('are there for nobody when %s fails', async ([_what, fault, names]) => {
    const before = names.filter((name) => !name.startsWith('bad'));
    const old = await matrix(
      before.map((name) => shown(name, 'old')),
      { publishTogether: true },
    );
    expect(old.status).toBe('SUCCEEDED');
    if ('publish' in fault) {
      // Each image has two parameters in each of three regions: the first image is shown everywhere by then.
      let puts = 0;
      factory.cloud.faults.add({
        service: 'ssm',
        action: 'PutParameter',
        where: ({ caller }) => caller === 'ami-foundry-publish' && ++puts > 8,
        times: Number.POSITIVE_INFINITY,
        error: { code: 'AccessDeniedException' },
      });
    }
    const { status, error, cause, builds } = await matrix(
      names.map((name) => shown(name, 'new')),
      { publishTogether: true },
    );
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'MatrixFailed' });
    expect(cause).toContain('publish' in fault ? 'AccessDenied' : 'VerifyFailed');
    expect(await readersSee(before)).toEqual(everywhere(before, 'old'));
    factory.cloud.faults.clear();
    await nothingLeft(builds);
    expect(await readersSee(before)).toEqual(everywhere(before, 'old'));
  });

  it('are shown when all may be: else no reader sees any, and nobody has to wait for it', async () => {
    const names = ['claim-a', 'claim-b', 'claim-c'];
    const wish = names.map((name) => shown(name, 'new'));
    const claimed: unknown[] = [];
    const changes: string[] = [];
    factory.cloud.faults.add({
      service: 's3',
      action: 'PutObject',
      where: ({ caller, input }) => caller === 'ami-foundry-publish' && claimed.push(input) > 2,
      times: Number.POSITIVE_INFINITY,
      error: { code: 'AccessDenied' },
    });
    for (const [service, action] of [
      ['ssm', 'PutParameter'],
      ['ec2', 'ModifyImageAttribute'],
    ] as const) {
      factory.cloud.faults.add({
        service,
        action,
        where: ({ caller }) => caller === 'ami-foundry-publish' && changes.push(action) < 0,
      });
    }
    const first = await matrix(wish, { publishTogether: true });
    expect(first).toMatchObject({ status: 'FAILED', cause: expect.stringContaining('AccessDenied') });
    expect({ claims: claimed.length, changes }).toEqual({ claims: 3, changes: [] });
    // Its claims are gone without the reaper: the next attempt need not wait for it.
    expect(await openJournals()).toEqual([]);
    factory.cloud.faults.clear();
    expect((await matrix(wish, { publishTogether: true })).status).toBe('SUCCEEDED');
    expect(await readersSee(names)).toEqual(everywhere(names, 'new'));
    await reap();
    expect(await openJournals()).toEqual([]);
  });

  it('are there for nobody when somebody stops the work on one of them', async () => {
    const { executionArn, builds } = await startMatrix(
      ['alone-a', 'slow-alone'].map((name) => shown(name, 'new')),
      { publishTogether: true },
    );
    await expect.poll(() => running(builds), { timeout: 30_000 }).toEqual([builds[1]]);
    const { mapRuns = [] } = await factory.sfn.send(new ListMapRunsCommand({ executionArn }));
    const { executions = [] } = await factory.sfn.send(
      new ListExecutionsCommand({ mapRunArn: mapRuns[0]?.mapRunArn, statusFilter: 'RUNNING' }),
    );
    expect(executions).toHaveLength(1);
    await factory.sfn.send(new StopExecutionCommand({ executionArn: executions[0]?.executionArn }));
    expect(await factory.end(executionArn)).toMatchObject({
      status: 'FAILED',
      error: 'MatrixFailed',
      cause: expect.stringContaining('BuildAborted: 1 of 2 builds came to their end'),
    });
    expect(await readersSee(['alone-a', 'slow-alone'])).toEqual(
      everywhere(['alone-a', 'slow-alone'], 'nothing'),
    );
    await nothingLeft(builds);
  });

  it('are there for nobody when the matrix is stopped while it shows them', async () => {
    const names = ['cut-a', 'cut-b'];
    const old = await matrix(
      names.map((name) => shown(name, 'old')),
      { publishTogether: true },
    );
    expect(old.status).toBe('SUCCEEDED');
    const started = startMatrix(
      names.map((name) => shown(name, 'new')),
      { publishTogether: true },
    );
    let puts = 0;
    factory.cloud.faults.add({
      service: 'ssm',
      action: 'PutParameter',
      where: ({ caller }) => caller === 'ami-foundry-publish' && ++puts > 8,
      strike: async () => {
        const { executionArn } = await started;
        await factory.sfn.send(new StopExecutionCommand({ executionArn }));
      },
    });
    const { executionArn, builds } = await started;
    expect((await factory.end(executionArn)).status).toBe('ABORTED');
    await expect.poll(() => readersSee(names), { timeout: 30_000 }).toEqual(everywhere(names, 'old'));
    await nothingLeft(builds);
    expect(await readersSee(names)).toEqual(everywhere(names, 'old'));
  });
});

async function reap() {
  const { payload, functionError } = await factory.cloud.lambda.invoke('ami-foundry-reaper', {});
  expect({ payload, functionError }).toMatchObject({ functionError: undefined });
}

/** Names of those of the builds that run, sorted; also of later attempts. */
async function running(builds: readonly string[]) {
  const { executions = [] } = await factory.sfn.send(
    new ListExecutionsCommand({ stateMachineArn: factory.stateMachineArn, statusFilter: 'RUNNING' }),
  );
  return executions
    .map(({ name = '' }) => name)
    .filter((name) => builds.includes(name))
    .sort();
}

const openJournals = async () =>
  (
    await factory.s3.send(
      new ListObjectsV2Command({ Bucket: factory.artifactsBucket, Prefix: 'publications/open/' }),
    )
  ).Contents?.map(({ Key }) => Key) ?? [];

/** After the reaper nothing of these builds is anywhere. */
async function nothingLeft(builds: readonly string[]) {
  await reap();
  const of = (tags: readonly { Key?: string | undefined; Value?: string | undefined }[] = []) =>
    tags.some(({ Key, Value = '' }) => Key === 'ami-foundry:build' && builds.includes(Value));
  const left: string[] = [];
  for (const region of REGIONS) {
    left.push(...(await images(region)).filter(({ Tags }) => of(Tags)).map(({ ImageId = '' }) => ImageId));
    left.push(
      ...(await snapshots(region)).filter(({ Tags }) => of(Tags)).map(({ SnapshotId = '' }) => SnapshotId),
    );
  }
  expect(left).toEqual([]);
  expect(await openJournals()).toEqual([]);
}
