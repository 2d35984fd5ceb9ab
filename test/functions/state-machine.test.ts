import { readFileSync } from 'node:fs';
import jsonata from 'jsonata';
import { beforeEach, describe, expect, test } from 'vitest';
import { busEvents } from '../../core/events.ts';
import { apiFunctions, eventFunctions, functionEnvironment } from '../../core/function-environment.ts';
import { tagKey } from '../../core/names.ts';
import { prolonged } from '../../core/resumable.ts';
import { stepHandler } from '../../functions/edge/step.ts';
import { attach, attachStep } from '../../functions/steps/attach.ts';
import { cleanUp, cleanUpStep } from '../../functions/steps/clean-up.ts';
import { createImage, createImageStep } from '../../functions/steps/create-image.ts';
import { distribute, distributeStep } from '../../functions/steps/distribute.ts';
import { launch, launchStep } from '../../functions/steps/launch.ts';
import { launchBootTest, launchBootTestStep } from '../../functions/steps/launch-boot-test.ts';
import { launchWindows, launchWindowsStep } from '../../functions/steps/launch-windows.ts';
import { plan, planStep } from '../../functions/steps/plan.ts';
import { preflight, preflightStep } from '../../functions/steps/preflight.ts';
import { publish, publishStep } from '../../functions/steps/publish.ts';
import { register, registerStep } from '../../functions/steps/register.ts';
import { rollBack, rollBackStep } from '../../functions/steps/roll-back.ts';
import { salvage, salvageStep } from '../../functions/steps/salvage.ts';
import { snapshot, snapshotStep } from '../../functions/steps/snapshot.ts';
import { swapRoot, swapRootStep } from '../../functions/steps/swap-root.ts';
import { wait, waitStep } from '../../functions/steps/wait.ts';
import { waitForBoot, waitForBootStep } from '../../functions/steps/wait-for-boot.ts';
import { waitForImage, waitForImageStep } from '../../functions/steps/wait-for-image.ts';
import { waitForWorker, waitForWorkerStep } from '../../functions/steps/wait-for-worker.ts';
import { demo } from '../core/legal-recipes.ts';
import { stage } from '../local/states/stage.ts';
import { VirtualClock } from '../local/states/virtual-clock.ts';
import { account, BUILD, WORKER_IMAGE } from './builds.ts';
import { awsError, type FakeAccount, windowsProperties } from './fake-account.ts';
import { FakeWorld } from './fake-world.ts';

/** The real steps, run by the real state machine on an account in memory, in virtual time. */

const file = readFileSync(new URL('../../statemachines/build-image.asl.json', import.meta.url), 'utf8');
const kebab = (name: string) => name.replaceAll(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();
const definition = JSON.parse(
  file.replaceAll(
    /\$\{(\w+)FunctionArn\}/g,
    (_, name: string) => `arn:aws:lambda:us-east-1:123456789012:function:${kebab(name)}`,
  ),
) as { TimeoutSeconds: number; States: Record<string, { Type: string }> };

const RELEASE = 'https://download.freebsd.org/releases/amd64/amd64/15.1-RELEASE';
const MANIFEST = `base.txz\t${'1'.repeat(64)}\t2\tbase\t"b"\ton\nkernel.txz\t${'2'.repeat(64)}\t1\tkernel\t"k"\ton\n`;
const phases = ['fetch', 'extract', 'verify'].map((name) => ({ name, seconds: 5 }));
const success = {
  version: 1,
  ok: true,
  seconds: 15,
  phases,
  disk: { bytes: 9, written: 5, sha256: 'c'.repeat(64) },
};

const KERNEL = '---<<BOOT>>---\n';
const KEYS =
  'ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----\nec2: 256 SHA256:abc root@freebsd (ED25519)\nec2: -----END SSH HOST KEY FINGERPRINTS-----\n';
const LOGIN = '\nlogin: ';

type Handler = (event: unknown, context: object) => Promise<unknown>;

let everywhere: FakeWorld;
let fake: FakeAccount;
/** What was put to the event bus. */
let announced: { source: unknown; detailType: unknown; detail: Record<string, unknown> }[];
let clock: VirtualClock;
/** What a function throws, by "function" or "function:option": an error for ever, or a list, one a call. */
let faults: Map<string, Error | Error[]>;
/** What Lambda itself answers instead of a function, one a call. */
let outages: Map<string, { errorType: string; errorMessage: string }[]>;
let report: object;
/** What an image prints while it boots, a poll each; the last is repeated. */
let boot: string[];
let calls: { name: string; retryCount: number }[];
/** 0, so that what fails leaves nothing, unless a test is about going on. */
let resumableHours: number;

beforeEach(() => {
  everywhere = new FakeWorld(['us-east-1', 'eu-west-1', 'us-west-2']);
  fake = account(everywhere.region('us-east-1'));
  announced = [];
  clock = new VirtualClock();
  faults = new Map();
  outages = new Map();
  report = success;
  boot = ['', KERNEL, KERNEL + KEYS, KERNEL + KEYS + LOGIN];
  calls = [];
  resumableHours = 0;
  fake.pages.set(`${RELEASE}/MANIFEST`, { status: 'found', text: MANIFEST });
  fake.parameterValues.set('/freebsd/amd64', WORKER_IMAGE);
  fake.parameterValues.set('/windows', 'ami-0000000000000000f');
  fake.windowsImages.set('ami-0000000000000000f', windowsProperties);
});

function functions(): Record<string, Handler> {
  const { instances, volumes, snapshots, images, network, parameters, mirror, updates, artifacts, sources } =
    fake;
  const world = {
    instances,
    volumes,
    snapshots,
    images,
    network,
    parameters,
    mirror,
    updates,
    artifacts,
    sources,
    clock,
  };
  const regional = {
    regions: everywhere.ports,
    records: everywhere.records,
    outcomes: () => ({ succeeded: async () => false, matrixSucceeded: async () => false }),
    clock,
    pause: (milliseconds: number) => clock.sleep(milliseconds),
  };
  const planSettings = {
    ARTIFACTS_BUCKET: 'bucket',
    WORKER_IMAGE_PARAMETER: '/freebsd/{architecture}',
    WORKER_PLATFORM: 'linux' as const,
    WORKER_INSTANCE_TYPES_AMD64: ['c7i.large'],
    WORKER_INSTANCE_TYPES_ARM64: ['c7g.large'],
    WORKER_SECONDS: 3600,
    BOOT_TEST_INSTANCE_TYPES_AMD64: ['m6i.large', 'm5.large'],
    BOOT_TEST_INSTANCE_TYPES_ARM64: ['m7g.large'],
    DISTRIBUTION_REGIONS: ['eu-west-1', 'us-west-2'],
    PARAMETER_PREFIX: '/company/',
    WINDOWS_IMAGE_PARAMETER: '/windows',
    WINDOWS_INSTANCE_TYPES: ['m6i.large'],
  };
  const launchSettings = {
    ARTIFACTS_BUCKET: 'bucket',
    SUBNET_IDS: ['subnet-a'],
    SECURITY_GROUP_ID: 'sg-1',
    PAYLOAD_BUCKET: 'payloads',
    PAYLOAD_KEY: 'payload',
    PAYLOAD_SHA256: '4'.repeat(64),
    bootstrap: '@PAYLOAD_URL@ @PAYLOAD_SHA256@ @JOB_URL@ @JOB_SHA256@ @VOLUME@ @BUILD@',
  };
  const steps = {
    plan: plan({ ...world, settings: planSettings }),
    launch: launch({ ...world, payloads: world.artifacts, settings: launchSettings }),
    attach: attach(world),
    wait: wait(world),
    snapshot: snapshot(world),
    register: register(world),
    launchWindows: launchWindows({ ...world, settings: launchSettings }),
    swapRoot: swapRoot(world),
    createImage: createImage(world),
    waitForImage: waitForImage(world),
    launchBootTest: launchBootTest({ ...world, settings: launchSettings }),
    waitForBoot: waitForBoot(world),
    waitForWorker: waitForWorker(world),
    cleanUp: cleanUp(world),
    preflight: preflight(regional),
    distribute: distribute(regional),
    publish: publish(regional),
    rollBack: rollBack({ ...regional, settings: { RESUMABLE_HOURS: 24 } }),
    salvage: salvage({
      ...world,
      history: { events: async () => [] },
      settings: { ARTIFACTS_BUCKET: 'bucket', RESUMABLE_HOURS: resumableHours },
    }),
  };
  // As the .lambda.ts files compose them.
  return {
    plan: stepHandler(planStep, ({ input, execution }) => steps.plan(input, execution)) as Handler,
    launch: stepHandler(launchStep, ({ input, retryCount }) => steps.launch(input, retryCount)) as Handler,
    attach: stepHandler(attachStep, ({ input }) => steps.attach(input)) as Handler,
    wait: stepHandler(waitStep, ({ input, options }) => steps.wait(options.for, input)) as Handler,
    snapshot: stepHandler(snapshotStep, ({ input, retryCount }) =>
      steps.snapshot(input, retryCount),
    ) as Handler,
    register: stepHandler(registerStep, ({ input }) => steps.register(input)) as Handler,
    'launch-windows': stepHandler(launchWindowsStep, ({ input, retryCount }) =>
      steps.launchWindows(input, retryCount),
    ) as Handler,
    'swap-root': stepHandler(swapRootStep, ({ input }) => steps.swapRoot(input)) as Handler,
    'create-image': stepHandler(createImageStep, ({ input }) => steps.createImage(input)) as Handler,
    'wait-for-image': stepHandler(waitForImageStep, ({ input }) => steps.waitForImage(input)) as Handler,
    'launch-boot-test': stepHandler(launchBootTestStep, ({ input, retryCount }) =>
      steps.launchBootTest(input, retryCount),
    ) as Handler,
    'wait-for-boot': stepHandler(waitForBootStep, ({ input }) => steps.waitForBoot(input)) as Handler,
    'wait-for-worker': stepHandler(waitForWorkerStep, ({ input }) => steps.waitForWorker(input)) as Handler,
    preflight: stepHandler(preflightStep, ({ input, execution }) =>
      steps.preflight(input, execution),
    ) as Handler,
    distribute: stepHandler(distributeStep, ({ input, execution }) =>
      steps.distribute(input, execution),
    ) as Handler,
    publish: stepHandler(publishStep, ({ input, options, execution }) =>
      steps.publish(input, execution, options),
    ) as Handler,
    'roll-back': stepHandler(rollBackStep, ({ input, options, execution }) =>
      steps.rollBack(input, execution, options),
    ) as Handler,
    salvage: stepHandler(salvageStep, ({ input, options, execution }) =>
      steps.salvage(input, options, execution),
    ) as Handler,
    'clean-up': stepHandler(cleanUpStep, ({ input, options, execution }) =>
      steps.cleanUp(input, options.outcome, execution),
    ) as Handler,
  };
}

/** Between two calls the account moves on: things arrive, and a worker with its disk prints, then reports. */
function live(build: string): void {
  everywhere.settle();
  for (const instance of fake.heldInstances.values()) {
    const windows = fake.windowsImages.has(instance.spec.imageId);
    if (instance.state === 'running' && instance.spec.userData === undefined && !windows) {
      instance.console = boot[0] ?? '';
      if (boot.length > 1) boot.shift();
    }
    const disk = [...fake.heldVolumes.values()].some(
      ({ attachedTo }) => attachedTo?.instanceId === instance.instanceId && attachedTo.device === '/dev/sdf',
    );
    if (instance.state !== 'running' || !disk) continue;
    const lines = instance.console.split('\n').length;
    instance.console +=
      lines < 4
        ? `foundry: phase=fetch state=progress bytes=${lines} total=9\n`
        : `foundry-report: ${JSON.stringify({ build, ...report })}\n`;
  }
}

async function run(input: object = { recipe: demo }, build = BUILD) {
  const handlers = functions();
  const theater = stage(
    {},
    {
      clock,
      putEvents: (entries) => {
        const thrown = faults.get('announce');
        if (thrown instanceof Error) throw thrown;
        for (const { Source: source, DetailType: detailType, Detail = '{}' } of entries) {
          announced.push({ source, detailType, detail: JSON.parse(Detail) as Record<string, unknown> });
        }
        return { FailedEntryCount: 0, Entries: entries.map(() => ({ EventId: 'id' })) };
      },
      invoke: async (arn, payload) => {
        const name = arn.split(':').at(-1) ?? '';
        const { options, retryCount } = payload as {
          options?: { for?: string; outcome?: string };
          retryCount: number;
        };
        const key = `${name}:${options?.for ?? options?.outcome ?? ''}`;
        calls.push({ name: key.replace(/:$/, ''), retryCount });
        live(build);
        const outage = outages.get(name)?.shift();
        if (outage) return { functionError: 'Unhandled', payload: outage };
        try {
          const fault = faults.get(key) ?? faults.get(name);
          const thrown = Array.isArray(fault) ? fault.shift() : fault;
          if (thrown) throw thrown;
          const handler = handlers[name];
          if (!handler) throw new Error(`no function ${name}`);
          return {
            payload: JSON.parse(
              JSON.stringify(await handler(JSON.parse(JSON.stringify(payload)), {})),
            ) as unknown,
          };
        } catch (error) {
          const { name: errorType, message: errorMessage, stack } = error as Error;
          return {
            functionError: 'Unhandled',
            payload: { errorType, errorMessage, trace: stack?.split('\n') },
          };
        }
      },
    },
  );
  const machine = await theater.create(definition);
  const finished = await theater.finished(await theater.start(machine, input, build));
  const states = finished.events.flatMap((event) => {
    const details = event.stateEnteredEventDetails as { name: string } | undefined;
    return details ? [details.name] : [];
  });
  // What Salvage says of going on comes after what went wrong.
  const [cause, told] = finished.cause?.split('\n\nEvidence: ') ?? [];
  return { ...finished, states, cause, told };
}

/** What a build has left, apart from the image to launch. */
const left = () => ({
  instances: [...fake.heldInstances.values()].filter(({ state }) => state !== 'terminated').length,
  volumes: [...fake.heldVolumes.values()].filter(({ state }) => state !== 'deleting').length,
  snapshots: fake.heldSnapshots.size,
  images: fake.heldImages.size,
});
const nothing = { instances: 0, volumes: 0, snapshots: 0, images: 0 };
const delivered = { instances: 0, volumes: 0, snapshots: 1, images: 1 };

describe('the file', () => {
  test('calls the functions there are, and no other', () => {
    const matrix = readFileSync(
      new URL('../../statemachines/build-matrix.asl.json', import.meta.url),
      'utf8',
    );
    const called = new Set(
      [...`${file}${matrix}`.matchAll(/\$\{(\w+)FunctionArn\}/g)].map(([, name = '']) => kebab(name)),
    );
    expect(new Set([...called, ...eventFunctions, ...apiFunctions])).toEqual(
      new Set(Object.keys(functionEnvironment)),
    );
  });

  test('names every Task after its function', () => {
    const tasks = Object.entries(definition.States).filter(
      ([name, { Type }]) => Type === 'Task' && name !== 'Announce',
    );
    expect(tasks.length).toBeGreaterThan(9);
    for (const [name, state] of tasks) {
      const called = /function:([a-z-]+)"/.exec(JSON.stringify(state))?.[1] ?? '';
      expect(
        kebab(name).startsWith(called === 'wait' ? 'wait-for-' : called),
        `${name} calls ${called}`,
      ).toBe(true);
    }
  });
});

describe('a build', () => {
  test('ends with the image, and with nothing beside it', async () => {
    const { status, output, states, cause } = await run();
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    const [image] = fake.heldImages.values();
    expect(output).toEqual({
      imageId: image?.imageId,
      snapshotId: image?.rootSnapshotId,
      name: image?.name,
      region: 'us-east-1',
      recipeDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
      release: '15.1-RELEASE',
      adopted: false,
      regions: [],
      parameters: [],
      announced: false,
      report: { build: BUILD, ...success },
    });
    expect(left()).toEqual(delivered);
    expect(
      states.filter((name, index) => states.indexOf(name) === index && !/\?$|^Pause/.test(name)),
    ).toEqual([
      'Begin',
      'Plan',
      'Launch',
      'WaitForWorkerRunning',
      'Attach',
      'WaitForWorker',
      'Snapshot',
      'WaitForSnapshot',
      'Register',
      'WaitForImage',
      'LaunchBootTest',
      'WaitForBoot',
      'CleanUp',
      'Done',
    ]);
  });

  test('by the windows road delivers what CreateImage has made, and nothing else', async () => {
    const { status, output, states, cause } = await run(byWindows);
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    const [image] = fake.heldImages.values();
    expect(image?.properties).toMatchObject({ UsageOperation: 'RunInstances:0002', ImdsSupport: 'v2.0' });
    expect(output).toMatchObject({ imageId: image?.imageId, snapshotId: image?.rootSnapshotId });
    expect(left()).toEqual(delivered);
    expect(
      states.filter((name, index) => states.indexOf(name) === index && !/\?$|^Pause/.test(name)).slice(8, 12),
    ).toEqual(['LaunchWindows', 'SwapRoot', 'CreateImage', 'WaitForImage']);
  });

  test('of an image that is there adopts it, and launches nothing', async () => {
    const { output } = await run();
    const launches = fake.heldInstances.size;
    const second = await run();
    expect(second.status).toBe('SUCCEEDED');
    expect(second.output).toEqual({ ...(output as object), adopted: true, report: null });
    expect(fake.heldInstances.size).toBe(launches);
  });

  test('whose recipe wants no boot test launches its worker only', async () => {
    boot = ['panic: no init\n'];
    const { status, states } = await run({ recipe: { ...demo, bootTest: false } });
    expect(status).toBe('SUCCEEDED');
    expect(states).not.toContain('LaunchBootTest');
    expect(fake.heldInstances.size).toBe(1);
    expect(left()).toEqual(delivered);
  });

  test('that is a dry run ends with its plan', async () => {
    const { status, output, states } = await run({ recipe: demo, dryRun: true });
    expect(status).toBe('SUCCEEDED');
    expect(output).toMatchObject({ dryRun: true, plan: { build: BUILD }, adopted: null });
    expect(states.at(-1)).toBe('PlanOnly');
    expect(left()).toEqual(nothing);
  });

  test('of a bad recipe fails with the problems, readable', async () => {
    const { status, error, cause } = await run({ recipe: { ...demo, rootSiz: 1, hostname: '' } });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'InvalidRecipe' });
    expect(cause).toMatch(
      /^the recipe has 2 problems:\n- hostname .*\n- rootSiz .*rootSize\?\nRemedy: .*\nMore: docs\/runbook\.md#invalidrecipe$/,
    );
  });

  test('without a recipe fails, and says how to start one', async () => {
    expect(await run({})).toMatchObject({
      status: 'FAILED',
      error: 'InvalidState',
      cause: expect.stringContaining('start the state machine with {"recipe": …}'),
    });
  });
});

const byWindows = { recipe: { ...demo, image: { road: 'windows' } } };

describe('a build by the windows road', () => {
  const roadTasks = ['launch-windows', 'swap-root', 'create-image', 'wait-for-image'];

  test.each(roadTasks)('that fails in %s leaves nothing', async (task) => {
    faults.set(task, awsError('UnauthorizedOperation', 'no'));
    expect(await run(byWindows)).toMatchObject({ status: 'FAILED', error: 'UnauthorizedOperation' });
    fake.settle();
    expect(left()).toEqual(nothing);
  });

  test.each(roadTasks)('bears throttling of %s', async (task) => {
    faults.set(task, [awsError('RequestLimitExceeded'), awsError('ServiceUnavailable')]);
    expect((await run(byWindows)).status).toBe('SUCCEEDED');
    expect(left()).toEqual(delivered);
  });

  test('whose image is not billed as Windows fails, and leaves neither image nor snapshot', async () => {
    fake.billing = { UsageOperation: 'RunInstances', PlatformDetails: 'Linux/UNIX', Platform: '' };
    const { status, error, cause, states } = await run(byWindows);
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'ImageNotWindows' });
    expect(cause).toContain('- UsageOperation is RunInstances, not RunInstances:0002');
    expect(states.slice(-4)).toEqual(['WaitForImage', 'Salvage', 'CleanUpAfterFailure', 'BuildFailed']);
    fake.settle();
    expect(left()).toEqual(nothing);
  });

  test.each([
    ['launch-windows', 'InsufficientCapacity'],
    ['launch-windows', 'InvalidSnapshot.NotFound'],
    ['swap-root', 'IncorrectState'],
    ['swap-root', 'IncorrectInstanceState'],
    ['swap-root', 'OperationNotPermitted'],
    ['create-image', 'InvalidAMIName.Duplicate'],
    ['create-image', 'IncorrectState'],
  ])('bears %s with %s', async (task, code) => {
    faults.set(task, [awsError(code), awsError(code)]);
    expect((await run(byWindows)).status).toBe('SUCCEEDED');
    expect(left()).toEqual(delivered);
  });
});

const tasks = [
  'plan',
  'launch',
  'wait:worker-running',
  'attach',
  'wait-for-worker',
  'snapshot',
  'wait:snapshot',
  'register',
  'wait-for-image',
  'launch-boot-test',
  'wait-for-boot',
];

describe('a build whose recipe distributes', () => {
  const recipe = {
    ...demo,
    distribution: {
      regions: ['eu-west-1', 'us-west-2'],
      share: { accounts: ['111122223333'] },
      parameters: '/company/{name}/{architecture}',
      deprecateAfter: 30,
    },
  };
  const REGIONS = ['us-east-1', 'eu-west-1', 'us-west-2'];
  const LATEST = '/company/demo/amd64/latest';
  const latest = () => REGIONS.map((region) => everywhere.region(region).published.get(LATEST)?.value);
  const images = () => REGIONS.map((region) => [...everywhere.region(region).heldImages.keys()]);
  const order = (states: readonly string[]) =>
    states.filter((name, index) => states.indexOf(name) === index && !/\?$|^Pause/.test(name));

  test('is published in all regions, and announced', async () => {
    const { status, cause, output, states } = await run({ recipe });
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    expect(order(states)).toEqual([
      'Begin',
      'Plan',
      'Preflight',
      'Launch',
      'WaitForWorkerRunning',
      'Attach',
      'WaitForWorker',
      'Snapshot',
      'WaitForSnapshot',
      'Register',
      'WaitForImage',
      'LaunchBootTest',
      'WaitForBoot',
      'CleanUp',
      'Distribute',
      'Publish',
      'Announce',
      'Done',
    ]);
    const regions = Object.fromEntries(REGIONS.map((region, index) => [region, images()[index]?.[0]]));
    expect(latest()).toEqual(Object.values(regions));
    const parameters = [expect.stringMatching(/^\/company\/demo\/amd64\/[0-9a-f]{12}$/), LATEST];
    expect(output).toMatchObject({
      imageId: regions['us-east-1'],
      adopted: false,
      regions: REGIONS.map((region) => ({ region, imageId: regions[region] })),
      parameters,
      announced: true,
    });
    expect(announced).toEqual([
      {
        source: 'ami-foundry',
        detailType: 'Image Published',
        detail: {
          name: expect.stringMatching(/^demo 15\.1-RELEASE-amd64 small UFS /),
          recipe: 'demo',
          release: '15.1-RELEASE',
          architecture: 'amd64',
          filesystem: 'ufs',
          flavour: 'small',
          digest: expect.stringMatching(/^[0-9a-f]{64}$/),
          build: BUILD,
          publishedAt: expect.stringMatching(/Z$/),
          regions,
          parameters,
        },
      },
    ]);
    // As docs/events.md promises.
    for (const { detail } of announced) busEvents['Image Published'].detail.parse(detail);
  });

  test('of an image that is there launches nothing, and copies only where it is not yet', async () => {
    await run({ recipe: { ...recipe, distribution: { ...recipe.distribution, regions: ['eu-west-1'] } } });
    const launches = fake.heldInstances.size;
    const { status, output, states } = await run({ recipe });
    expect(status).toBe('SUCCEEDED');
    expect(order(states)).toEqual([
      'Begin',
      'Plan',
      'Preflight',
      'Distribute',
      'Publish',
      'Announce',
      'Done',
    ]);
    expect(output).toMatchObject({ adopted: true, report: null });
    expect(fake.heldInstances.size).toBe(launches);
    expect(REGIONS.map((region) => everywhere.region(region).copied)).toEqual([0, 1, 1]);
  });

  test('to no other region is published at home', async () => {
    const home = { ...recipe, distribution: { parameters: '/company/demo' } };
    const { output } = await run({ recipe: home });
    expect(output).toMatchObject({ regions: [{ region: 'us-east-1' }], announced: true });
    expect(announced[0]?.detail.regions).toEqual({ 'us-east-1': images()[0]?.[0] });
  });

  test('is not begun when a region would refuse it', async () => {
    everywhere.region('us-west-2').blocksPublic = true;
    const { status, error, cause } = await run({
      recipe: { ...recipe, distribution: { ...recipe.distribution, share: { public: true } } },
    });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'PreflightFailed' });
    expect(cause).toContain('us-west-2: block public access for AMIs is on');
    expect(fake.heldInstances.size).toBe(0);
  });

  test('is a plan after its preflight when that is all that is wanted', async () => {
    const { states } = await run({ recipe, dryRun: true });
    expect(order(states)).toEqual(['Begin', 'Plan', 'Preflight', 'PlanOnly']);
  });

  test('is published also when nobody can be told', async () => {
    faults.set('announce', awsError('InternalException', 'the bus is down'));
    const { status, output } = await run({ recipe });
    expect(status).toBe('SUCCEEDED');
    expect(output).toMatchObject({ announced: false });
    expect(latest()).not.toContain(undefined);
  });

  test.each(['distribute', 'publish'])('and fails in %s is rolled back with that error', async (task) => {
    faults.set(task, awsError('UnauthorizedOperation', 'no'));
    const { status, error, cause, states } = await run({ recipe });
    expect({ status, error, cause }).toEqual({
      status: 'FAILED',
      error: 'UnauthorizedOperation',
      cause: 'no',
    });
    expect(states.slice(-4)).toEqual(['RollBack', 'Salvage', 'CleanUpAfterFailure', 'BuildFailed']);
    expect(latest()).toEqual([undefined, undefined, undefined]);
    // Verified copies wait for the next attempt.
    expect(images().map((ids) => ids.length)).toEqual(task === 'publish' ? [0, 1, 1] : [0, 0, 0]);
  });

  test('and fails at a change is rolled back; the next attempt takes the copies that are there', async () => {
    everywhere.fault = (call) =>
      call === 'us-west-2 put latest' ? awsError('AccessDeniedException') : undefined;
    expect(await run({ recipe })).toMatchObject({ status: 'FAILED', error: 'AccessDeniedException' });
    expect(latest()).toEqual([undefined, undefined, undefined]);
    expect(everywhere.objects.size).toBe(1);
    const copies = images().slice(1);
    expect(copies.map((ids) => ids.length)).toEqual([1, 1]);
    everywhere.fault = () => undefined;
    // The reaper, after its grace period and before its schedule has come twice.
    const closed = clock.sleep(25 * 60_000).then(() => everywhere.objects.clear());
    const { status, output } = await run({ recipe }, `${BUILD}-2`);
    await closed;
    expect(status).toBe('SUCCEEDED');
    expect(calls.filter(({ name }) => name === 'publish').length).toBeGreaterThan(10);
    expect(images().slice(1)).toEqual(copies);
    expect(output).toMatchObject({ adopted: false });
    expect(latest()).toEqual(images().flat());
  });

  test('and fails in the end when what another build showed is never put back', async () => {
    everywhere.fault = (call) =>
      call === 'us-west-2 put latest' ? awsError('AccessDeniedException') : undefined;
    await run({ recipe });
    everywhere.fault = () => undefined;
    const before = clock.now();
    const { status, error, cause } = await run({ recipe }, `${BUILD}-2`);
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'PublicationPending' });
    expect(cause).toContain(BUILD);
    expect(clock.now() - before).toBeGreaterThan(30 * 60_000);
    expect(latest()).toEqual([undefined, undefined, undefined]);
    // Its own is not there: it has begun nothing.
    expect([...everywhere.objects.keys()]).toEqual([`publications/open/${BUILD}.json`]);
  });

  test('and cannot be rolled back says both, and is left to the reaper', async () => {
    // It took effect before it failed.
    everywhere.fault = (call) => {
      if (call === 'us-west-2 put latest') {
        everywhere.region('us-west-2').published.set(LATEST, {
          value: images()[2]?.[0] ?? '',
          version: 1,
          type: 'String',
          dataType: 'aws:ec2:image',
        });
      }
      return /us-west-2 (put latest|delete)/.test(call)
        ? awsError('AccessDeniedException', 'not you')
        : undefined;
    };
    const { status, error, cause, states } = await run({ recipe });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'AccessDeniedException' });
    expect(cause).toMatch(
      /^parameter of ami-\w+ in us-west-2: not you\n\nIt could not be rolled back: RollBackIncomplete: /,
    );
    expect(states.slice(-2)).toEqual(['RollBack', 'BuildFailed']);
    // The image that readers find there is there.
    expect(images()[2]).toEqual([latest()[2]]);
    expect(everywhere.objects.size).toBe(1);
  });
});

describe('a build that fails', () => {
  test.each(tasks)(
    'for good in %s ends as BuildFailed with that error and message, and leaves nothing',
    async (task) => {
      faults.set(task, awsError('UnauthorizedOperation', 'You are not authorized:\n"no" {not} \\ enough'));
      const { status, error, cause, states } = await run();
      expect({ status, error, cause }).toEqual({
        status: 'FAILED',
        error: 'UnauthorizedOperation',
        cause: 'You are not authorized:\n"no" {not} \\ enough',
      });
      expect(states.slice(-3)).toEqual(['Salvage', 'CleanUpAfterFailure', 'BuildFailed']);
      expect(calls.filter(({ name }) => name === task)).toHaveLength(1);
      fake.settle();
      expect(left()).toEqual(nothing);
    },
  );

  test.each(tasks)('in %s keeps that error although the clean-up fails too', async (task) => {
    faults.set(task, awsError('FirstError', 'the first'));
    faults.set('clean-up', awsError('SecondError', 'the second'));
    const { status, error, cause } = await run();
    expect({ status, error, cause }).toEqual({ status: 'FAILED', error: 'FirstError', cause: 'the first' });
  });

  test('only in its clean-up fails with that error, and keeps the image', async () => {
    faults.set('clean-up', awsError('UnauthorizedOperation', 'no'));
    expect(await run()).toMatchObject({ status: 'FAILED', error: 'UnauthorizedOperation', cause: 'no' });
    expect(fake.heldImages.size).toBe(1);
  });

  test('in the worker fails with the worker’s code, and leaves nothing', async () => {
    report = {
      ok: false,
      phase: 'fetch',
      code: 'SetTruncated',
      message: 'base.txz ended early',
      remedy: 'wait',
      phases: [],
    };
    const { status, error, cause } = await run();
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'SetTruncated' });
    expect(cause).toMatch(/^phase fetch: base\.txz ended early\nLast console lines:\nfoundry: phase=fetch/);
    expect(left()).toEqual(nothing);
    expect(fake.objects.has(`builds/${BUILD}/console.log`)).toBe(true);
  });

  test('with a worker that never ends is given up, and leaves nothing', async () => {
    report = { ok: 'neither' };
    const { status, error } = await run();
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'WorkerTimedOut' });
    expect(left()).toEqual(nothing);
  });

  test('because its image does not boot fails with the rule and its line, and leaves neither image nor snapshot', async () => {
    boot = ['', KERNEL, `${KERNEL}panic: no init\ncpuid = 0\n`];
    const { status, error, cause, states } = await run();
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'BootPanicked' });
    expect(cause).toMatch(
      /^the image on i-\w+ \(m6i\.large\) failed to boot: panic: no init\nLast console lines:\n/,
    );
    expect(states.slice(-4)).toEqual(['WaitForBoot', 'Salvage', 'CleanUpAfterFailure', 'BuildFailed']);
    expect(left()).toEqual(nothing);
    expect(fake.objects.has(`builds/${BUILD}/boot/m6i.large.log`)).toBe(true);
  });

  test('because its image never comes to its login is given up in time, and leaves nothing', async () => {
    boot = [KERNEL];
    const before = clock.now();
    const { status, error } = await run({ recipe: { ...demo, bootTest: { timeout: 300 } } });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'BootTimedOut' });
    expect(clock.now() - before).toBeLessThan(600_000);
    expect(left()).toEqual(nothing);
  });

  test('because a function ran out of its time is tried again', async () => {
    const outage = {
      errorType: 'Sandbox.Timedout',
      errorMessage: 'RequestId: 1 Error: Task timed out after 120.00 seconds',
    };
    for (const name of ['plan', 'snapshot']) outages.set(name, [outage]);
    expect((await run()).status).toBe('SUCCEEDED');
    outages.set('plan', Array(99).fill(outage));
    expect(await run()).toMatchObject({
      status: 'FAILED',
      error: 'Sandbox.Timedout',
      cause: outage.errorMessage,
    });
  });
});

describe('the cause of a failure', () => {
  test.each([
    ['a cut JSON', `{"errorMessage":"${'x'.repeat(99)}`, `{"errorMessage":"${'x'.repeat(99)}`],
    ['JSON without a message', '{"at":1}', '{"at":1}'],
    ['a text', 'no JSON', 'no JSON'],
    ['nothing', '', 'no cause was given'],
    ['null', null, 'no cause was given'],
    ['absent', undefined, 'no cause was given'],
  ])('that is %s is shown', async (_what, given, shown) => {
    const cause = /"Cause": "\{% (.*) %\}"/.exec(file)?.[1] ?? '';
    const expression = jsonata(cause);
    expression.registerFunction('parse', (text: string) => JSON.parse(text) as unknown);
    const failure = { Error: 'E', ...(given === undefined ? {} : { Cause: given }) };
    expect(await expression.evaluate({}, { failure })).toBe(shown);
  });
});

describe('outages that the SDK or Lambda names', () => {
  /** What every Task bears. Step Functions Developer Guide, "Handle Lambda service exceptions"; EC2 and S3, "Error codes". */
  const borne = [
    'InternalServerError',
    'RequestTimeout',
    'States.Timeout',
    'Runtime.ExitError',
    'Lambda.Unknown',
    'Lambda.ClientExecutionTimeoutException',
  ];

  test('are borne alike by every Task', () => {
    const { Announce: _, ...states } = definition.States as Record<
      string,
      { Retry?: { ErrorEquals: string[] }[] }
    >;
    const lists = Object.values(states)
      .flatMap(({ Retry = [] }) => Retry.slice(-1))
      .map(({ ErrorEquals }) => ErrorEquals);
    expect(lists.length).toBeGreaterThan(9);
    for (const list of lists) expect(list).toEqual(lists[0]);
    expect(lists[0]).toEqual(expect.arrayContaining(borne));
  });

  test('let a build go on', async () => {
    outages.set(
      'attach',
      borne.map((errorType) => ({ errorType, errorMessage: 'gone' })),
    );
    expect((await run()).status).toBe('SUCCEEDED');
  });
});

describe('throttling', () => {
  test.each([...tasks, 'clean-up:succeeded'])('of %s is borne', async (task) => {
    faults.set(task, [
      awsError('RequestLimitExceeded'),
      awsError('ThrottlingException'),
      awsError('ServiceUnavailable'),
    ]);
    const { status, cause } = await run();
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    expect(
      calls
        .filter(({ name }) => name === task)
        .slice(0, 4)
        .map(({ retryCount }) => retryCount),
    ).toEqual([0, 1, 2, 3]);
    expect(left()).toEqual(delivered);
  });

  test('of the clean-up after a failure is borne', async () => {
    faults.set('register', awsError('FirstError', 'the first'));
    faults.set('clean-up', [awsError('RequestLimitExceeded'), awsError('RequestLimitExceeded')]);
    expect(await run()).toMatchObject({ status: 'FAILED', error: 'FirstError' });
    fake.settle();
    expect(left()).toEqual(nothing);
  });

  test('without end is an error in the end', async () => {
    faults.set('attach', awsError('RequestLimitExceeded', 'Request limit exceeded.'));
    expect(await run()).toMatchObject({
      status: 'FAILED',
      error: 'RequestLimitExceeded',
      cause: 'Request limit exceeded.',
    });
    expect(calls.filter(({ name }) => name === 'attach')).toHaveLength(7);
  });
});

describe('a retry that belongs to one state', () => {
  test('Launch asks again for capacity, with new client tokens, and leaves no volume of the first tries', async () => {
    fake.refusals.set('c7i.large eu-central-1a', awsError('InsufficientInstanceCapacity'));
    const sleep = clock.sleep.bind(clock);
    clock.sleep = async (ms, signal) => {
      // Capacity comes back while the state machine waits before its third try.
      const waits = ms < 120_000;
      if (waits && calls.filter(({ name }) => name === 'launch').length === 2) fake.refusals.clear();
      await sleep(ms, signal);
    };
    const { status, cause } = await run();
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    expect(calls.filter(({ name }) => name === 'launch').map(({ retryCount }) => retryCount)).toEqual([
      0, 1, 2,
    ]);
    fake.settle();
    expect(left()).toEqual(delivered);
  });

  test('Launch gives up on capacity with every refusal, and leaves nothing', async () => {
    fake.refusals.set('c7i.large eu-central-1a', awsError('InsufficientInstanceCapacity', 'sold out'));
    const { error, cause } = await run();
    expect(error).toBe('InsufficientCapacity');
    expect(cause).toContain('c7i.large in eu-central-1a: sold out');
    fake.settle();
    expect(left()).toEqual(nothing);
  });

  test('LaunchBootTest asks again for capacity, with a new client token', async () => {
    faults.set('launch-boot-test', [awsError('InsufficientCapacity'), awsError('InsufficientCapacity')]);
    expect((await run()).status).toBe('SUCCEEDED');
    expect(
      calls.filter(({ name }) => name === 'launch-boot-test').map(({ retryCount }) => retryCount),
    ).toEqual([0, 1, 2]);
  });

  test('Plan waits while another build tests the image', async () => {
    faults.set('plan', [awsError('ImageUntested'), awsError('ImageUntested')]);
    const before = clock.now();
    expect((await run()).status).toBe('SUCCEEDED');
    expect(calls.filter(({ name }) => name === 'plan')).toHaveLength(3);
    expect(clock.now()).toBeGreaterThan(before);
  });

  test('Register makes the plan anew when another build was faster, once, and then launches with new client tokens', async () => {
    faults.set('register', [awsError('ImageNameTaken')]);
    expect((await run()).status).toBe('SUCCEEDED');
    expect(left()).toEqual(delivered);
    const tries = (name: string) =>
      calls.filter((call) => call.name === name).map(({ retryCount }) => retryCount);
    expect([tries('plan'), tries('launch'), tries('launch-boot-test')]).toEqual([[0, 0], [0, 100], [100]]);
  });

  test('a name that is taken again and again fails the build, which leaves nothing', async () => {
    faults.set('register', awsError('ImageNameTaken', 'taken'));
    expect(await run()).toMatchObject({ status: 'FAILED', error: 'ImageNameTaken', cause: 'taken' });
    expect(calls.filter(({ name }) => name === 'plan')).toHaveLength(2);
    expect(left()).toEqual(nothing);
  });

  test('Plan asks again when no mirror answers', async () => {
    fake.pages.set(`${RELEASE}/MANIFEST`, { status: 'unreachable', reason: 'ECONNREFUSED' });
    expect(await run()).toMatchObject({ status: 'FAILED', error: 'MirrorUnreachable' });
    expect(calls.filter(({ name }) => name === 'plan')).toHaveLength(4);
  });

  test.each([
    ['attach', 'IncorrectState'],
    ['attach', 'VolumeInUse'],
    ['snapshot', 'VolumeBusy'],
    ['snapshot', 'SnapshotCreationPerVolumeRateExceeded'],
    ['register', 'InvalidSnapshot.NotFound'],
    // A lost answer, asked again by the SDK: the next look finds the image.
    ['register', 'InvalidAMIName.Duplicate'],
    ['clean-up:succeeded', 'StillTerminating'],
    ['clean-up:succeeded', 'VolumeInUse'],
  ])('%s bears %s', async (task, code) => {
    faults.set(task, [awsError(code), awsError(code)]);
    expect((await run()).status).toBe('SUCCEEDED');
  });
});

describe('a build that goes on where one failed', () => {
  test('has for all its time what it took over', () => {
    const until = (milliseconds: number) => new Date(milliseconds).toISOString();
    const least = definition.TimeoutSeconds * 1000;
    const tags = { [tagKey.resumableUntil]: until(1) };
    expect(Date.parse(prolonged(tags, 0) ?? '')).toBeGreaterThan(least);
    expect(prolonged({ [tagKey.resumableUntil]: until(2 * least) }, 0)).toBeUndefined();
    // An image whose maker may yet be aborted.
    expect(Date.parse(prolonged({}, 0) ?? '')).toBeGreaterThan(least);
  });

  const RESUMED = `${BUILD}-2`;
  const bundle = () => JSON.parse(fake.objects.get(`builds/${BUILD}/failure.json`)?.body ?? '{}');
  beforeEach(() => {
    resumableHours = 24;
  });

  test('with a whole disk begins at Register, and delivers it', async () => {
    faults.set('register', awsError('UnauthorizedOperation', 'no'));
    const first = await run();
    expect(first).toMatchObject({ status: 'FAILED', error: 'UnauthorizedOperation', cause: 'no' });
    const [disk] = fake.heldSnapshots.values();
    expect(left()).toEqual({ ...nothing, snapshots: 1 });
    expect(first.told).toContain(`Kept until 2026-11-24T`);
    expect(first.told).toMatch(new RegExp(`Resume: foundry resume arn:\\S+:${BUILD}$`));
    expect(bundle()).toMatchObject({ error: 'UnauthorizedOperation', kept: [disk?.snapshotId] });

    faults.clear();
    const launches = fake.heldInstances.size;
    const { status, output, states } = await run({ recipe: demo }, RESUMED);
    expect(status).toBe('SUCCEEDED');
    expect(states.slice(0, 6)).toEqual(['Begin', 'Plan', 'Distributed?', 'Planned?', 'Road?', 'Register']);
    expect(output).toMatchObject({ snapshotId: disk?.snapshotId, adopted: false, report: null });
    // The boot test, and no worker.
    expect(fake.heldInstances.size).toBe(launches + 1);
    expect(left()).toEqual(delivered);
    expect(fake.objects.get(`images/${RESUMED}/manifest.mtree.gz`)?.body).toBe(
      fake.objects.get(`builds/${BUILD}/manifest.mtree.gz`)?.body,
    );
  });

  test('with an image that has passed its test adopts it', async () => {
    // Once: CleanUpAfterFailure can do what CleanUp could not.
    faults.set('clean-up', [awsError('AccessDenied', 'for a moment')]);
    const first = await run();
    expect(first.status).toBe('FAILED');
    const [image] = fake.heldImages.values();
    expect(bundle().kept).toEqual([image?.imageId, image?.rootSnapshotId]);
    expect(left()).toEqual(delivered);
    const { output } = await run({ recipe: demo }, RESUMED);
    expect(output).toMatchObject({ imageId: image?.imageId, adopted: true });
  });

  test('is not begun with a disk whose time has come', async () => {
    faults.set('register', awsError('UnauthorizedOperation', 'no'));
    await run();
    faults.clear();
    for (const snapshot of fake.heldSnapshots.values())
      snapshot.tags = { ...snapshot.tags, [tagKey.resumableUntil]: new Date(clock.now() - 1).toISOString() };
    const { states } = await run({ recipe: demo }, RESUMED);
    expect(states).toContain('Launch');
  });

  test.each<[string, () => void]>([
    ['whose image does not boot', () => (boot = [`${KERNEL}panic: no init\n`])],
    [
      'whose worker fails',
      () =>
        (report = {
          ...success,
          ok: false,
          code: 'ScriptFailed',
          phase: 'customise',
          message: 'no',
          remedy: 'no',
        }),
    ],
  ])('finds nothing of one %s', async (_what, breaks) => {
    breaks();
    const { told } = await run();
    expect(told).not.toContain('Kept');
    expect(left()).toEqual(nothing);
    expect(bundle()).toMatchObject({ kept: [], until: null });
  });

  test('is not offered for a recipe that has to be corrected', async () => {
    const { told } = await run({ recipe: { ...demo, hostname: '' } });
    expect(told).toBe(`s3://bucket/builds/${BUILD}/failure.json`);
  });

  test('finds nothing when Salvage itself fails, whose failure is not the build’s', async () => {
    faults.set('register', awsError('UnauthorizedOperation', 'no'));
    faults.set('salvage', awsError('AccessDenied', 'not you'));
    expect(await run()).toMatchObject({ error: 'UnauthorizedOperation', cause: 'no', told: undefined });
    expect(left()).toEqual(nothing);
  });
});
