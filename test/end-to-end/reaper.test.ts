import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeVolumesCommand,
  EC2Client,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { paginateGetExecutionHistory, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildTags } from '../../core/names.ts';
import { startCloud } from '../../local/cloud.ts';
import { makeDemoRelease } from '../../local/demo-release/make.ts';
import { startMirror } from '../../local/demo-release/serve.ts';
import { FINGERPRINT } from '../../local/demo-release/signing-key.ts';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

const root = new URL('../../', import.meta.url).pathname;
const base = '/releases/amd64/amd64/15.1-RELEASE/base.txz';

/** What a step had begun when its build was stopped may still arrive. */
const STEADY_MILLISECONDS = 700;

/** Waits until only this is left and stays so; shows what is left when that takes too long. */
async function comesTo(ec2: EC2Client, wanted: readonly string[], what: string): Promise<void> {
  const started = performance.now();
  let since: number | undefined;
  for (;;) {
    const left = await whatIsLeft(ec2);
    const now = performance.now();
    if (left.toSorted().join() !== wanted.toSorted().join()) since = undefined;
    else since ??= now;
    if (since !== undefined && now - since >= STEADY_MILLISECONDS) {
      const seconds = ((since - started) / 1000).toFixed(1);
      console.log(`${what}: leftovers ${left.length - wanted.length} after ${seconds} s`);
      return;
    }
    // The schedule comes every 18 s here: a quarter of an hour at a fiftieth of its time.
    if (now - started > 45_000) expect(left, what).toEqual(wanted);
    await pause(100);
  }
}

describe('a build that is stopped', () => {
  let factory: Factory;
  beforeAll(async () => {
    factory = await startFactory();
  }, 120_000);
  afterAll(() => factory[Symbol.asyncDispose]());

  /** Whether the execution has come to a state. */
  async function entered(executionArn: string, state: string): Promise<boolean> {
    const input = { executionArn, reverseOrder: true };
    for await (const { events = [] } of paginateGetExecutionHistory({ client: factory.sfn }, input)) {
      if (events.some(({ stateEnteredEventDetails: details }) => details?.name === state)) return true;
    }
    return false;
  }

  it.each([
    'Plan',
    'Launch',
    'WaitForWorkerRunning',
    'Attach',
    'WaitForWorker',
    'Snapshot',
    'Register',
    'LaunchBootTest',
    'WaitForBoot',
    'CleanUp',
  ])(
    'in %s leaves nothing',
    async (state) => {
      const name = `stopped-in-${state.toLowerCase()}`;
      const bootTest = /Boot/.test(state) ? {} : false;
      const executionArn = await factory.start({ recipe: factory.recipe({ name, bootTest }) });
      while (!(await entered(executionArn, state))) await pause(20);
      await factory.sfn.send(new StopExecutionCommand({ executionArn }));
      expect((await factory.end(executionArn)).status).toBe('ABORTED');
      await comesTo(factory.ec2, [], name);
    },
    90_000,
  );

  it('twice, and late, is no other: nothing is left, and the reaper does not fail', async () => {
    const executionArn = await factory.start({ recipe: factory.recipe({ name: 'twice' }) });
    while (!(await entered(executionArn, 'WaitForWorker'))) await pause(20);
    await factory.sfn.send(new StopExecutionCommand({ executionArn }));
    const build = executionArn.split(':').at(-1);
    const answers = await Promise.all(
      [0, 0, 500].map(async (late) => {
        await pause(late);
        return await factory.cloud.lambda.invoke('ami-foundry-reaper', { build });
      }),
    );
    expect(answers.map(({ functionError }) => functionError)).toEqual([undefined, undefined, undefined]);
    await comesTo(factory.ec2, [], 'twice');
  }, 90_000);

  it('takes nothing from a build that runs, nor from one that was delivered', async () => {
    const first = await factory.end(await factory.start({ recipe: factory.recipe({ name: 'delivered' }) }));
    const { imageId, snapshotId } = JSON.parse(first.output ?? '{}');
    const running = await factory.start({ recipe: factory.recipe({ name: 'running' }) });
    const stopped = await factory.start({ recipe: factory.recipe({ name: 'stopped' }) });
    while (!(await entered(stopped, 'WaitForWorker'))) await pause(20);
    await factory.sfn.send(new StopExecutionCommand({ executionArn: stopped }));
    await factory.cloud.lambda.invoke('ami-foundry-reaper', {});
    const second = await factory.end(running);
    expect([first.status, second.status]).toEqual(['SUCCEEDED', 'SUCCEEDED']);
    const also = JSON.parse(second.output ?? '{}');
    await comesTo(
      factory.ec2,
      [snapshotId, also.snapshotId, imageId, also.imageId],
      'beside a running and two delivered',
    );
  }, 120_000);

  it('or whose execution has vanished: what carries its tag goes by schedule', async () => {
    const before = await whatIsLeft(factory.ec2);
    const TagSpecifications = (role: 'target' | 'snapshot', type: 'volume' | 'snapshot') => [
      {
        ResourceType: type,
        Tags: Object.entries(buildTags('vanished', role)).map(([Key, Value]) => ({ Key, Value })),
      },
    ];
    const { VolumeId = '' } = await factory.ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: `${factory.cloud.region}a`,
        Size: 1,
        TagSpecifications: TagSpecifications('target', 'volume'),
      }),
    );
    await waitUntilVolumeAvailable(
      { client: factory.ec2, maxWaitTime: 10, minDelay: 0.1, maxDelay: 0.1 },
      { VolumeIds: [VolumeId] },
    );
    await factory.ec2.send(
      new CreateSnapshotCommand({ VolumeId, TagSpecifications: TagSpecifications('snapshot', 'snapshot') }),
    );
    await comesTo(factory.ec2, before, 'vanished');
  }, 90_000);

  it('every kill is a line that names the build and what was killed', async () => {
    const log = await readFile(join(factory.stateDirectory, 'logs/ami-foundry-reaper.log'), 'utf8');
    const lines = log
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
    const kills = lines.filter(({ message }) => message === 'reaped');
    expect(kills.length).toBeGreaterThan(10);
    expect(kills.filter(({ build, execution, kind, id }) => !(build && execution && kind && id))).toEqual([]);
    expect(new Set(kills.map(({ kind }) => kind))).toEqual(
      new Set(['instance', 'volume', 'snapshot', 'image']),
    );
    expect(lines.filter(({ level }) => level !== 'INFO')).toEqual([]);
    expect(lines.some(({ message, reaped }) => message === 'reaper done' && reaped.instance === 1)).toBe(
      true,
    );
  });
});

// The first with the boot test that a recipe has by default; once is enough, it comes long after the end of the dead build.
describe.each([
  { signal: 'SIGKILL', more: {} },
  { signal: 'SIGINT', more: { bootTest: false } },
] as const)('`make image` that ends by $signal and is started again', ({ signal, more }) => {
  let scratch: string;
  let state: string;
  let recipe: string;
  let mirror: Awaited<ReturnType<typeof startMirror>>;
  const args = () => ['local/make-image.ts', recipe, '--state', state, '--out', scratch];

  beforeAll(async () => {
    await mkdir(join(root, '.state'), { recursive: true });
    scratch = await mkdtemp(join(root, '.state/reaper-'));
    state = join(scratch, 'cloud');
    // A mirror under another name than 127.0.0.1 is not made by `make image` itself.
    const directory = join(root, '.state/demo-release-small');
    await makeDemoRelease({ directory, scale: 0.02 });
    mirror = await startMirror({ directory });
    const url = mirror.url.replace('127.0.0.1', 'localhost');
    recipe = join(scratch, 'killed.yaml');
    await writeFile(
      recipe,
      JSON.stringify({
        name: 'killed',
        release: '15.1-RELEASE',
        architecture: 'amd64',
        rootSize: '1GiB',
        ...more,
        mirrors: [url],
        repositories: [
          {
            name: 'FreeBSD-ports',
            url: `${url}/packages/{abi}/quarterly`,
            inImage: false,
            fingerprints: [FINGERPRINT],
          },
        ],
      }),
    );
  }, 120_000);
  afterAll(async () => {
    await mirror.close();
    await rm(scratch, { recursive: true, force: true });
  });

  it('leaves its own image and nothing of the dead build', async () => {
    mirror.faults.set(base, [{ kind: 'slow', bytesPerSecond: 20_000 }]);
    const first = spawn('node', args(), { cwd: root, stdio: 'ignore' });
    const ended = once(first, 'exit');
    const consoles = join(state, 'consoles');
    const fetching = async () => {
      const { stdout } = await promisify(execFile)('grep', [
        '-rls',
        'phase=fetch state=start',
        consoles,
      ]).catch(() => ({ stdout: '' }));
      return stdout !== '';
    };
    while (!(await fetching())) await pause(50);
    first.kill(signal);
    await ended;
    mirror.faults.clear();

    const { stdout } = await promisify(execFile)('node', args(), { cwd: root });
    const [imageId = ''] = /ami-[0-9a-f]{17}/.exec(stdout) ?? [];
    const [snapshotId = ''] = /snap-[0-9a-f]{17}/.exec(stdout) ?? [];
    const cloud = await startCloud({ stateDirectory: state, log: () => {} });
    try {
      const ec2 = new EC2Client({
        region: cloud.region,
        endpoint: cloud.endpoint,
        credentials: cloud.credentials,
      });
      // Nothing is deployed to this cloud: what the second run left is left.
      expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes).toEqual([]);
      const left = await whatIsLeft(ec2);
      expect(left.toSorted()).toEqual([imageId, snapshotId].toSorted());
      console.log(`${signal}: leftovers ${left.length - 2}`);
    } finally {
      await cloud.stop();
    }
  }, 180_000);
});
