import { beforeEach, describe, expect, test } from 'vitest';
import { buildTags, tagKey } from '../../core/names.ts';
import type { BuildExecution } from '../../core/ports.ts';
import type { Journal } from '../../core/publication.ts';
import { reaper } from '../../functions/events/reaper.ts';
import { cleanUp } from '../../functions/steps/clean-up.ts';
import { account, BUILD, execution, imageSpec, launched, WORKER_IMAGE } from './builds.ts';
import { awsError, type FakeAccount } from './fake-account.ts';
import { FakeWorld } from './fake-world.ts';

const MINUTE = 60_000;
const started = Date.parse(execution.startTime);
const aborted: BuildExecution = {
  status: 'ended',
  outcome: 'ABORTED',
  startedAt: started,
  output: undefined,
};

let world: FakeWorld;
let lines: { message: string; [field: string]: unknown }[];
/** Executions of matrices. */
let matrices: Map<string, BuildExecution>;
beforeEach(() => {
  world = new FakeWorld(['eu-central-1', 'eu-west-1', 'us-west-2']);
  lines = [];
  matrices = new Map();
});

/** A reaper on the account; time goes by as it waits. */
const reap = (
  fake: FakeAccount,
  event: { build?: string; status?: string } = {},
  settings: { GRACE_SECONDS?: number; DRY_RUN?: boolean } = {},
  others: readonly string[] = [],
) =>
  reaper({
    instances: fake.instances,
    volumes: fake.volumes,
    snapshots: fake.snapshots,
    images: fake.images,
    executions: fake.executions,
    matrices: { describe: async (name) => matrices.get(name) ?? { status: 'unknown' } },
    elsewhere: others.map((region) => ({ region, ...world.ports(region) })),
    regions: world.ports,
    records: world.records,
    clock: fake.clock,
    pause: async (milliseconds) => {
      fake.time += milliseconds;
      fake.settle();
    },
    log: (message, fields) => lines.push({ message, ...fields }),
    settings: { GRACE_SECONDS: 600, RESUMABLE_HOURS: 24, DRY_RUN: false, ...settings },
  })(event);

/** All that a build may leave: worker with its root, target attached, snapshot, image; an hour ago. */
async function everything(build = BUILD) {
  const { fake, worker } = await launched(build);
  await fake.volumes.attach(worker.volumeId, worker.instanceId, '/dev/sdf');
  const { snapshotId } = await fake.snapshots.create(worker.volumeId, 'demo', buildTags(build, 'snapshot'));
  fake.settle();
  const { imageId } = fake.holdImage(imageSpec(snapshotId, buildTags(build, 'image')));
  fake.settle();
  fake.time += 60 * MINUTE;
  return { fake, worker, snapshotId, imageId };
}

/** Ids that the account is asked to end, refused ones included. */
function asked(fake: FakeAccount): string[] {
  const ids: string[] = [];
  const { instances, volumes, images, snapshots } = fake;
  const before = {
    terminate: instances.terminate.bind(instances),
    deleteVolume: volumes.delete.bind(volumes),
    deregister: images.deregister.bind(images),
    deleteSnapshot: snapshots.delete.bind(snapshots),
  };
  instances.terminate = async (all) => {
    ids.push(...all);
    await before.terminate(all);
  };
  volumes.delete = async (id) => {
    ids.push(id);
    await before.deleteVolume(id);
  };
  images.deregister = async (id) => {
    ids.push(id);
    await before.deregister(id);
  };
  snapshots.delete = async (id) => {
    ids.push(id);
    await before.deleteSnapshot(id);
  };
  return ids;
}

const left = (fake: FakeAccount): string[] => [
  ...[...fake.heldInstances.values()]
    .filter(({ state }) => state !== 'terminated')
    .map(({ instanceId }) => instanceId),
  ...fake.heldVolumes.keys(),
  ...fake.heldSnapshots.keys(),
  ...fake.heldImages.keys(),
];
const delivered = (imageId: string, snapshotId: string, endedAt = started + 30 * MINUTE) =>
  ({
    status: 'ended',
    outcome: 'SUCCEEDED',
    startedAt: started,
    endedAt,
    output: JSON.stringify({ imageId, snapshotId }),
  }) as const;

describe.each([{}, { build: BUILD }])('with the event %j', (event) => {
  test.each(['ABORTED', 'FAILED', 'TIMED_OUT'] as const)(
    'a build that %s leaves nothing, and each thing is told once',
    async (outcome) => {
      const { fake, worker, snapshotId, imageId } = await everything();
      fake.heldExecutions.set(BUILD, { ...aborted, outcome } as BuildExecution);
      expect(await reap(fake, event)).toEqual({
        dryRun: false,
        rolledBack: 0,
        reaped: { instance: 1, volume: 1, image: 1, snapshot: 1 },
        kept: 0,
        ending: 0,
        uncertain: 0,
      });
      fake.settle();
      expect(left(fake)).toEqual([]);
      const told = (kind: string, id: string) => ({
        message: 'reaped',
        build: BUILD,
        execution: outcome,
        kind,
        id,
        // A failed build has been through CleanUpAfterFailure; the others have not.
        escaped: outcome === 'FAILED',
        madeAt: execution.startTime,
      });
      expect(lines.slice(0, -1)).toEqual([
        told('instance', worker.instanceId),
        told('image', imageId),
        told('snapshot', snapshotId),
        told('volume', worker.volumeId),
      ]);
      expect(lines.at(-1)).toMatchObject({ message: 'reaper done', uncertain: 0, kept: 0 });
    },
  );

  test('it comes twice: the second finds nothing', async () => {
    const { fake } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    await reap(fake, event);
    fake.settle();
    const { changes } = fake;
    const before = changes.length;
    expect(await reap(fake, event)).toMatchObject({ reaped: { instance: 0, volume: 0 }, kept: 0 });
    expect(changes).toHaveLength(before);
  });

  test('a build that runs keeps all it has, whatever the event said before it was redriven', async () => {
    const { fake } = await everything();
    fake.heldExecutions.set(BUILD, { status: 'running' });
    const before = left(fake);
    expect(await reap(fake, event)).toMatchObject({ kept: before.length, uncertain: 0 });
    expect(left(fake)).toEqual(before);
  });

  test('what was delivered stays; a worker and a second snapshot beside it go', async () => {
    const { fake, worker, snapshotId, imageId } = await everything();
    await fake.snapshots.create(worker.volumeId, 'again', buildTags(BUILD, 'snapshot'));
    fake.time += 60 * MINUTE;
    fake.heldExecutions.set(BUILD, delivered(imageId, snapshotId));
    expect(await reap(fake, event)).toMatchObject({
      reaped: { instance: 1, volume: 1, image: 0, snapshot: 1 },
      kept: 2,
    });
    fake.settle();
    expect(left(fake)).toEqual([snapshotId, imageId]);
  });

  test('a snapshot that was delivered stays without its image', async () => {
    const { fake, snapshotId, imageId } = await everything();
    fake.heldExecutions.set(BUILD, delivered(imageId, snapshotId));
    await fake.images.deregister(imageId);
    await reap(fake, event);
    fake.settle();
    expect(left(fake)).toEqual([snapshotId]);
  });

  describe('held for a matrix', () => {
    const ended = (
      outcome: 'SUCCEEDED' | 'FAILED' | 'ABORTED' | 'TIMED_OUT',
      hoursAgo = 1,
    ): BuildExecution => ({
      ...aborted,
      outcome,
      endedAt: started + (3 - hoursAgo) * 60 * MINUTE,
    });
    /** Three hours after its beginning, with an image of two hours ago. */
    async function heldBuild() {
      const { fake, ...things } = await everything();
      const { imageId, snapshotId } = things;
      fake.time = started + 180 * MINUTE;
      const held = { imageId, snapshotId, regions: [], held: { matrix: 'the-matrix' } };
      fake.heldExecutions.set(BUILD, {
        ...delivered(imageId, snapshotId),
        output: JSON.stringify(held),
      } as BuildExecution);
      return { fake, ...things, held };
    }

    test.each([
      ['while it runs', { status: 'running' }],
      ['when it has succeeded', ended('SUCCEEDED')],
      ['for the next attempt when it has failed', ended('FAILED')],
      ['for the next attempt when it has run out of time', ended('TIMED_OUT')],
    ] as [string, BuildExecution][])('an image stays %s', async (_when, of) => {
      const { fake, imageId, snapshotId } = await heldBuild();
      matrices.set('the-matrix', of);
      await reap(fake);
      expect([fake.heldImages.has(imageId), fake.heldSnapshots.has(snapshotId)]).toEqual([true, true]);
      expect(fake.changes.some((change) => change.startsWith('terminate'))).toBe(true);
    });

    test.each([
      ['was stopped', ended('ABORTED')],
      ['failed a day ago', ended('FAILED', 25)],
      ['ran out of time a day ago', ended('TIMED_OUT', 25)],
    ] as [string, BuildExecution][])('an image goes when it %s', async (_why, of) => {
      const { fake, imageId, snapshotId } = await heldBuild();
      matrices.set('the-matrix', of);
      await reap(fake, {}, {}, []);
      expect([fake.heldImages.has(imageId), fake.heldSnapshots.has(snapshotId)]).toEqual([false, false]);
    });

    test('an image stays when nobody knows the matrix', async () => {
      const { fake, imageId } = await heldBuild();
      await reap(fake);
      expect(fake.heldImages.has(imageId)).toBe(true);
    });

    test.each([
      ['stays', { status: 'running' }, true],
      ['goes', ended('ABORTED'), false],
    ] as [string, BuildExecution, boolean][])(
      'what was adopted for another matrix %s with it',
      async (_how, of, stays) => {
        const { fake, imageId, held } = await heldBuild();
        matrices.set('the-matrix', ended('ABORTED'));
        matrices.set('another', of);
        fake.heldExecutions.set('adopter', {
          ...delivered(imageId, held.snapshotId),
          output: JSON.stringify({ ...held, held: { matrix: 'another' } }),
        } as BuildExecution);
        await reap(fake);
        expect(fake.heldImages.has(imageId)).toBe(stays);
      },
    );
  });

  test('an image that another build adopted and delivered stays, with its snapshot', async () => {
    const { fake, snapshotId, imageId } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    fake.heldExecutions.set('other', delivered(imageId, snapshotId));
    expect(await reap(fake, event)).toMatchObject({
      reaped: { image: 0, snapshot: 0, instance: 1 },
      kept: 2,
    });
    fake.settle();
    expect(left(fake)).toEqual([snapshotId, imageId]);
  });

  test.each(['ThrottlingException', 'AccessDeniedException'])(
    'an execution that cannot be asked for keeps all, and is told: %s',
    async (code) => {
      const { fake } = await everything();
      fake.failures.set(`executions.describe ${BUILD}`, awsError(code));
      const before = left(fake);
      await expect(reap(fake, event)).rejects.toMatchObject({
        name: 'LeftoversRemain',
        message: expect.stringContaining(`- ${BUILD}: ${code}: ${code} happened`),
      });
      expect(left(fake)).toEqual(before);
    },
  );

  test('what has succeeded is listed once, and each output read once, however much is left', async () => {
    const { fake, worker } = await everything();
    for (const name of ['one', 'two'])
      await fake.snapshots.create(worker.volumeId, name, buildTags(BUILD, 'snapshot'));
    fake.settle();
    fake.heldExecutions.set(BUILD, aborted);
    const { executions } = fake;
    const asked: string[] = [];
    fake.heldExecutions.set('other', {
      status: 'ended',
      outcome: 'SUCCEEDED',
      startedAt: started,
      endedAt: fake.time,
      output: JSON.stringify({ imageId: 'ami-1', snapshotId: 'snap-9' }),
    });
    const [list, read] = [executions.successes.bind(executions), executions.output.bind(executions)];
    fake.executions.successes = async () => {
      asked.push('list');
      return await list();
    };
    fake.executions.output = async (id) => {
      asked.push(id);
      return await read(id);
    };
    await reap(fake, event, { DRY_RUN: true });
    expect(asked).toEqual(['list', 'other']);
  });

  test('what another build delivered is not certain when the list is refused: the image stays', async () => {
    const { fake, imageId } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    fake.failures.set('executions.successes', awsError('AccessDeniedException'));
    await expect(reap(fake, event)).rejects.toMatchObject({ name: 'LeftoversRemain' });
    expect(left(fake)).toContain(imageId);
  });

  test('a dry run tells what would go, and changes nothing', async () => {
    const { fake } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    const before = [...fake.changes];
    expect(await reap(fake, event, { DRY_RUN: true })).toEqual({
      dryRun: true,
      rolledBack: 0,
      // The root volume of the worker too: it is in use until the worker goes.
      reaped: { instance: 1, volume: 2, image: 1, snapshot: 1 },
      kept: 0,
      ending: 0,
      uncertain: 0,
    });
    expect(fake.changes).toEqual(before);
    expect(lines.filter(({ message }) => message === 'would reap')).toHaveLength(5);
  });

  test('beside the CleanUp of its state machine: both end, nothing is left', async () => {
    const { fake, worker, snapshotId, imageId } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    const state = {
      worker,
      snapshot: { snapshotId, startedAt: fake.time },
      image: { imageId, registeredAt: fake.time },
    };
    await Promise.allSettled([reap(fake, event), cleanUp(fake)(state, 'failed', execution)]);
    fake.settle();
    await expect(reap(fake, event)).resolves.toMatchObject({ uncertain: 0 });
    fake.settle();
    expect(left(fake)).toEqual([]);
  });
});

describe('by schedule', () => {
  test('what is younger than the grace period stays until it is not', async () => {
    const { fake } = await launched();
    fake.heldExecutions.set(BUILD, aborted);
    const before = left(fake);
    fake.time += 600_000 - 1;
    await reap(fake);
    expect(left(fake)).toEqual(before);
    fake.time += 1;
    await reap(fake);
    fake.settle();
    expect(left(fake)).toEqual([]);
  });

  test('an execution that has vanished: worker, disks and a lone snapshot go, an image and its snapshot stay', async () => {
    const { fake, worker, snapshotId, imageId } = await everything();
    await fake.snapshots.create(worker.volumeId, 'again', buildTags(BUILD, 'snapshot'));
    fake.time += 60 * MINUTE;
    const ids = asked(fake);
    await reap(fake);
    fake.settle();
    expect(left(fake)).toEqual([snapshotId, imageId]);
    // Not even tried: EC2 would refuse, but that is its last word and not ours.
    expect(ids).not.toContain(snapshotId);
  });

  test('each build is judged by its own execution, and one that cannot be judged keeps no other', async () => {
    const { fake } = await launched('dead');
    for (const build of ['alive', 'doubtful']) {
      await fake.volumes.create({
        clientToken: build,
        zone: 'eu-central-1a',
        sizeGiB: 1,
        tags: buildTags(build, 'target'),
      });
    }
    fake.settle();
    fake.time += 60 * MINUTE;
    fake.heldExecutions.set('dead', aborted);
    fake.heldExecutions.set('alive', { status: 'running' });
    const { executions } = fake;
    const ask = executions.describe.bind(executions);
    fake.executions.describe = async (build) => {
      if (build === 'doubtful') throw awsError('ThrottlingException');
      return await ask(build);
    };
    await expect(reap(fake)).rejects.toMatchObject({
      message: expect.stringMatching(/\n- doubtful: Throttling/),
    });
    fake.settle();
    expect([...fake.heldVolumes.values()].map(({ spec }) => spec.clientToken)).toEqual(['alive', 'doubtful']);
    expect([...fake.heldInstances.values()].map(({ state }) => state)).toEqual(['terminated']);
  });

  test.each(['instances', 'volumes', 'images', 'snapshots'] as const)(
    'a list of %s that fails stops the run before anything is ended',
    async (noun) => {
      const { fake } = await everything();
      fake.heldExecutions.set(BUILD, aborted);
      const before = [...fake.changes];
      fake.failures.set(`${noun}.findOfAnyBuild`, awsError('RequestLimitExceeded'));
      await expect(reap(fake)).rejects.toMatchObject({ name: 'RequestLimitExceeded' });
      expect(fake.changes).toEqual(before);
    },
  );

  test('a tag that names no build is nobody’s', async () => {
    const { fake } = await launched('');
    fake.time += 60 * MINUTE;
    fake.failures.set('executions.describe ', awsError('InvalidArn'));
    const before = left(fake);
    expect(await reap(fake)).toMatchObject({ kept: 0, uncertain: 0 });
    expect(left(fake)).toEqual(before);
  });

  test('images that Step Functions may have forgotten cost no question', async () => {
    const fake = account();
    fake.holdImage(imageSpec('snap-1'));
    fake.time += 91 * 24 * 60 * MINUTE;
    fake.failures.set(`executions.describe ${BUILD}`, awsError('ThrottlingException'));
    expect(await reap(fake)).toMatchObject({ kept: 1, uncertain: 0 });
  });
});

describe('at the end of an execution', () => {
  test('what it made a moment ago goes too', async () => {
    const { fake } = await launched();
    fake.heldExecutions.set(BUILD, aborted);
    await reap(fake, { build: BUILD });
    fake.settle();
    expect(left(fake)).toEqual([]);
  });

  test('no other build is touched', async () => {
    const { fake } = await launched('other');
    fake.heldExecutions.set('other', aborted);
    fake.heldExecutions.set(BUILD, aborted);
    const before = left(fake);
    await reap(fake, { build: BUILD });
    expect(left(fake)).toEqual(before);
  });

  test('that Step Functions does not know (yet): nothing is touched', async () => {
    const { fake } = await everything();
    const before = left(fake);
    expect(await reap(fake, { build: BUILD })).toMatchObject({ kept: before.length, uncertain: 0 });
    expect(left(fake)).toEqual(before);
  });

  test('a volume that is being made is waited for', async () => {
    const fake = account();
    await fake.volumes.create({
      clientToken: 'v',
      zone: 'eu-central-1a',
      sizeGiB: 1,
      tags: buildTags(BUILD, 'target'),
    });
    fake.heldExecutions.set(BUILD, aborted);
    const ids = asked(fake);
    expect(await reap(fake, { build: BUILD })).toMatchObject({ reaped: { volume: 1 }, ending: 0 });
    expect(ids).toHaveLength(1);
  });

  test('an instance that is ending is waited for, and is not the reaper’s', async () => {
    const { fake, worker } = await everything();
    await fake.instances.terminate([worker.instanceId]);
    fake.heldExecutions.set(BUILD, aborted);
    const ids = asked(fake);
    expect(await reap(fake, { build: BUILD })).toMatchObject({ reaped: { instance: 0, volume: 1 } });
    expect(ids).not.toContain(worker.instanceId);
  });

  test('what EC2 still shows after its end is ended and told once', async () => {
    const { fake, worker } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    // Two looks later than it is: the instance still runs, then has gone and still holds its volume.
    const settle = fake.settle.bind(fake);
    const instance = fake.heldInstances.get(worker.instanceId);
    let looks = 0;
    fake.settle = () => {
      looks++;
      if (instance && looks === 1) instance.state = 'running';
      if (instance && looks === 2) instance.state = 'terminated';
      if (instance && looks === 3) instance.state = 'shutting-down';
      if (looks >= 3) settle();
    };
    const ids = asked(fake);
    expect(await reap(fake, { build: BUILD })).toMatchObject({
      reaped: { instance: 1, volume: 1 },
      ending: 0,
    });
    expect(ids.filter((id) => id === worker.instanceId)).toHaveLength(1);
    expect(lines.filter(({ id }) => id === worker.instanceId)).toHaveLength(1);
  });
});

describe('what AWS refuses', () => {
  test('once, because something has just changed, is asked for again', async () => {
    const { fake } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    for (const call of ['instances.terminate', 'volumes.delete', 'images.deregister', 'snapshots.delete']) {
      fake.failures.set(call, awsError('UnauthorizedOperation'));
    }
    expect(await reap(fake)).toMatchObject({ uncertain: 0, ending: 0 });
    fake.settle();
    expect(left(fake)).toEqual([]);
  });

  test('every time is told by LeftoversRemain, and the rest is ended', async () => {
    const { fake, worker } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    fake.instances.terminate = async () => {
      throw awsError('UnauthorizedOperation');
    };
    const began = fake.time;
    await expect(reap(fake)).rejects.toMatchObject({
      name: 'LeftoversRemain',
      message: expect.stringContaining(`- ${worker.instanceId}: UnauthorizedOperation`),
    });
    expect(fake.time - began).toBeLessThan(MINUTE);
    expect(fake.heldImages.size + fake.heldSnapshots.size).toBe(0);
  });

  test('a snapshot that an image of somebody else’s holds is theirs', async () => {
    const { fake, snapshotId } = await everything();
    const { imageId } = fake.holdImage(imageSpec(snapshotId, { team: 'other' }));
    fake.heldExecutions.set(BUILD, aborted);
    expect(await reap(fake)).toMatchObject({ kept: 1, uncertain: 0 });
    expect(left(fake)).toEqual(expect.arrayContaining([snapshotId, imageId]));
  });

  test('a volume that is attached to somebody else’s machine is in use, and nobody waits for it', async () => {
    const { fake, worker } = await launched();
    const { instanceId } = await fake.instances.runWorker({
      clientToken: 'theirs',
      imageId: WORKER_IMAGE,
      instanceType: 'c7i.large',
      subnetId: 'subnet-a',
      securityGroupId: 'sg-1',
      userData: '',
      tags: { team: 'other' },
    });
    fake.settle();
    await fake.volumes.attach(worker.volumeId, instanceId, '/dev/sdf');
    fake.end(worker.instanceId, '');
    fake.time += 60 * MINUTE;
    const began = fake.time;
    fake.heldExecutions.set(BUILD, aborted);
    expect(await reap(fake)).toMatchObject({ kept: 1, ending: 0, uncertain: 0 });
    expect(fake.time).toBe(began);
    expect(left(fake)).toContain(worker.volumeId);
  });

  test('an instance that does not end is left to the next run', async () => {
    const { fake } = await everything();
    fake.heldExecutions.set(BUILD, aborted);
    fake.settle = () => {};
    const began = fake.time;
    const summary = await reap(fake);
    expect(summary).toMatchObject({ reaped: { instance: 1 }, uncertain: 0 });
    // The instance, its root, and the target.
    expect(summary.ending).toBe(3);
    expect(fake.time - began).toBeLessThan(3 * MINUTE);
  });
});

describe('copies in other regions', () => {
  const OTHERS = ['eu-west-1', 'us-west-2'];

  /** An image at home and a copy of it in every other region, an hour ago. */
  function distributed(tags: Readonly<Record<string, string>> = {}) {
    const fake = world.region('eu-central-1');
    const copies = OTHERS.map((region) => ({
      region,
      ...world.holdImage(region, imageSpec('', { ...buildTags(BUILD, 'copy'), ...tags })),
    }));
    const home = world.holdImage('eu-central-1', imageSpec('', buildTags(BUILD, 'image')));
    fake.time += 60 * MINUTE;
    return { fake, home, copies };
  }

  const reapAll = (fake: FakeAccount, event: { build?: string; status?: string } = {}, settings = {}) =>
    reap(fake, event, settings, OTHERS);

  const there = () =>
    OTHERS.flatMap((region) => [
      ...world.region(region).heldImages.keys(),
      ...world.region(region).heldSnapshots.keys(),
    ]);

  test.each([{}, { build: BUILD }])(
    'of a build that was aborted go, with their snapshots (%j)',
    async (event) => {
      const { fake } = distributed();
      fake.heldExecutions.set(BUILD, aborted);
      expect(await reapAll(fake, event)).toMatchObject({ reaped: { image: 3, snapshot: 3 }, uncertain: 0 });
      expect(there()).toEqual([]);
      expect(lines.filter(({ message }) => message === 'reaped').map(({ region }) => region)).toContain(
        'us-west-2',
      );
    },
  );

  test('that were delivered stay, also those that another build adopted', async () => {
    const { fake, home, copies } = distributed();
    const before = there();
    fake.heldExecutions.set(BUILD, aborted);
    fake.heldExecutions.set('adopter', {
      status: 'ended',
      outcome: 'SUCCEEDED',
      startedAt: started,
      endedAt: Number.POSITIVE_INFINITY,
      output: JSON.stringify({ ...home, regions: copies }),
    });
    expect(await reapAll(fake)).toMatchObject({ reaped: { image: 0, snapshot: 0 } });
    expect(there()).toEqual(before);
  });

  test('wait for the next attempt as long as their tag says', async () => {
    const { fake } = distributed({
      [tagKey.resumableUntil]: new Date(account().time + 120 * MINUTE).toISOString(),
    });
    fake.heldExecutions.set(BUILD, { ...aborted, outcome: 'FAILED' } as BuildExecution);
    expect(await reapAll(fake)).toMatchObject({ reaped: { image: 1, snapshot: 1 }, kept: 4 });
    fake.time += 120 * MINUTE;
    expect(await reapAll(fake)).toMatchObject({ reaped: { image: 2, snapshot: 2 }, kept: 0 });
  });

  test('a region that does not answer is told, and all others are judged', async () => {
    const { fake } = distributed();
    fake.heldExecutions.set(BUILD, aborted);
    world.region('us-west-2').failures.set('images.findOfAnyBuild', awsError('AuthFailure'));
    await expect(reapAll(fake)).rejects.toMatchObject({
      name: 'LeftoversRemain',
      message: expect.stringContaining('- region us-west-2: AuthFailure'),
    });
    expect(world.region('eu-west-1').heldImages.size).toBe(0);
  });

  describe('in the midst of a publication', () => {
    const LATEST = '/company/demo/latest';

    /** `latest` named an old image in all regions, and names the new one in some by now. */
    function halfPublished() {
      const { fake, home, copies } = distributed();
      const places = [{ region: 'eu-central-1', ...home }, ...copies];
      const old = new Map(
        places.map(({ region }) => [
          region,
          world.holdImage(region, { ...imageSpec('', { team: 'images' }), name: 'old' }).imageId,
        ]),
      );
      const journal: Journal = {
        version: 1,
        build: BUILD,
        execution: execution.startTime,
        at: execution.startTime,
        begun: true,
        share: ['111122223333'],
        deprecateAt: null,
        parameters: [LATEST],
        regions: places.map(({ region, imageId }) => ({
          region,
          imageId,
          before: {
            permissions: [],
            deprecatedAt: null,
            parameters: { [LATEST]: { value: old.get(region) ?? '', version: 1 } },
          },
        })),
      };
      world.objects.set(`publications/open/${BUILD}.json`, JSON.stringify(journal));
      for (const { region, imageId } of places) {
        world.region(region).permissions.set(imageId, new Set(['111122223333']));
        const value = region === 'us-west-2' ? (old.get(region) ?? '') : imageId;
        world
          .region(region)
          .published.set(LATEST, { value, version: 2, type: 'String', dataType: 'aws:ec2:image' });
      }
      const latest = () => places.map(({ region }) => world.region(region).published.get(LATEST)?.value);
      return { fake, places, latest, old: places.map(({ region }) => old.get(region)) };
    }

    test('readers are given back what they saw, and then everything goes', async () => {
      const { fake, latest, old } = halfPublished();
      fake.heldExecutions.set(BUILD, { ...aborted, endedAt: fake.time } as BuildExecution);
      expect(await reapAll(fake, { build: BUILD })).toMatchObject({ rolledBack: 1, reaped: { image: 0 } });
      expect(latest()).toEqual(old);
      // Its last step may still be going on: the journal and what it may yet show are there for the next run.
      expect(world.objects.size).toBe(1);
      fake.time += 15 * MINUTE;
      expect(await reapAll(fake)).toMatchObject({ rolledBack: 1, reaped: { image: 3 } });
      expect(world.objects.size).toBe(0);
    });

    test('what Parameter Store shows only after that, of a build that ended by itself, is put back, too', async () => {
      const { fake, places, latest, old } = halfPublished();
      fake.heldExecutions.set(BUILD, { ...aborted, outcome: 'FAILED', endedAt: fake.time } as BuildExecution);
      await reapAll(fake, { build: BUILD, status: 'FAILED' });
      expect(latest()).toEqual(old);
      const [{ region, imageId } = { region: '', imageId: '' }] = places;
      world
        .region(region)
        .published.set(LATEST, { value: imageId, version: 9, type: 'String', dataType: 'aws:ec2:image' });
      fake.time += 5 * MINUTE;
      await reapAll(fake);
      expect(latest()).toEqual(old);
      expect(world.objects.size).toBe(1);
      fake.time += 15 * MINUTE;
      await reapAll(fake);
      expect(world.objects.size).toBe(0);
    });

    test('what has not begun has nothing to be put back', async () => {
      const { fake, latest } = halfPublished();
      const [key = '', text = ''] = [...world.objects][0] ?? [];
      world.objects.set(key, JSON.stringify({ ...JSON.parse(text), begun: false }));
      const before = latest();
      fake.heldExecutions.set(BUILD, { ...aborted, endedAt: fake.time - 60 * MINUTE } as BuildExecution);
      await reapAll(fake);
      expect(latest()).toEqual(before);
      expect(world.objects.size).toBe(0);
    });

    test('at the end of a build that succeeded, its journal goes, and nothing else is looked at', async () => {
      const { fake, latest } = halfPublished();
      const before = latest();
      fake.heldExecutions.set(BUILD, { ...aborted, outcome: 'SUCCEEDED' } as BuildExecution);
      for (const port of [fake.instances, fake.volumes, fake.images, fake.snapshots]) {
        port.findByBuild = async () => {
          throw awsError('RequestLimitExceeded');
        };
      }
      const ended = { build: BUILD, status: 'SUCCEEDED' };
      expect(await reapAll(fake, ended)).toMatchObject({ rolledBack: 0, kept: 0, uncertain: 0 });
      expect(latest()).toEqual(before);
      expect(world.objects.size).toBe(0);
      // Of one that has published nothing not even the execution is asked for.
      fake.failures.set(`executions.describe ${BUILD}`, awsError('ThrottlingException'));
      expect(await reapAll(fake, ended)).toMatchObject({ uncertain: 0 });
    });

    test('a region that cannot be put back keeps the image that its readers find', async () => {
      const { fake, places, latest, old } = halfPublished();
      fake.heldExecutions.set(BUILD, { ...aborted, endedAt: fake.time - 60 * MINUTE } as BuildExecution);
      world.fault = (call) => (call === 'eu-west-1 put latest' ? awsError('InternalServerError') : undefined);
      await expect(reapAll(fake)).rejects.toMatchObject({
        name: 'LeftoversRemain',
        message: expect.stringContaining(
          `publication of ${BUILD} in eu-west-1: ${LATEST}: InternalServerError`,
        ),
      });
      const copy = places.find(({ region }) => region === 'eu-west-1');
      expect(latest()).toEqual(old.map((id, index) => (index === 1 ? copy?.imageId : id)));
      expect(world.region('eu-west-1').heldImages.has(copy?.imageId ?? '')).toBe(true);
      expect(world.region('eu-west-1').heldSnapshots.has(copy?.snapshotId ?? '')).toBe(true);
      expect(world.region('us-west-2').heldImages.size).toBe(1);
      world.fault = () => undefined;
      fake.time += 15 * MINUTE;
      expect(await reapAll(fake)).toMatchObject({ rolledBack: 1, uncertain: 0 });
      expect(latest()).toEqual(old);
    });

    test('a dry run is about reaping: readers are given back what they saw, and the next publication may begin', async () => {
      const { fake, places, latest, old } = halfPublished();
      fake.heldExecutions.set(BUILD, { ...aborted, endedAt: fake.time - 60 * MINUTE } as BuildExecution);
      expect(await reapAll(fake, {}, { DRY_RUN: true })).toMatchObject({ rolledBack: 1, uncertain: 0 });
      expect([latest(), world.objects.size]).toEqual([old, 0]);
      for (const { region, imageId } of places) {
        expect(world.region(region).heldImages.has(imageId)).toBe(true);
      }
    });

    test('a parameter whose old image is gone meanwhile names nothing, and the journal goes', async () => {
      const { fake, latest, old } = halfPublished();
      fake.heldExecutions.set(BUILD, { ...aborted, endedAt: fake.time - 60 * MINUTE } as BuildExecution);
      world.region('eu-west-1').heldImages.delete(old[1] ?? '');
      expect(await reapAll(fake)).toMatchObject({ rolledBack: 1, uncertain: 0 });
      expect([latest(), world.objects.size]).toEqual([[old[0], undefined, old[2]], 0]);
    });

    test('one whose old image is there and is refused stays as it is, and is told', async () => {
      const { fake, latest, old, places } = halfPublished();
      fake.heldExecutions.set(BUILD, { ...aborted, endedAt: fake.time - 60 * MINUTE } as BuildExecution);
      const image = world.region('eu-west-1').heldImages.get(old[1] ?? '');
      if (image) image.state = 'disabled';
      await expect(reapAll(fake)).rejects.toMatchObject({
        message: expect.stringContaining(`in eu-west-1: ${LATEST}: ParameterRefused`),
      });
      const copy = places.find(({ region }) => region === 'eu-west-1');
      expect([latest(), world.objects.size]).toEqual([[old[0], copy?.imageId, old[2]], 1]);
    });

    test('each of many journals is read once and its matrix asked for once; one that cannot be read keeps no other', async () => {
      const { fake } = halfPublished();
      const [text = ''] = world.objects.values();
      for (let number = 0; number < 40; number++) {
        const build = `one-of-${number}`;
        world.objects.set(
          `publications/open/${build}.json`,
          JSON.stringify({ ...JSON.parse(text), build, matrix: 'the-matrix' }),
        );
        fake.heldExecutions.set(build, { ...aborted, outcome: 'SUCCEEDED' } as BuildExecution);
      }
      world.objects.set(`publications/open/${BUILD}.json`, '{}');
      fake.heldExecutions.set(BUILD, aborted);
      matrices.set('the-matrix', { ...aborted, outcome: 'SUCCEEDED' } as BuildExecution);
      const reads = { matrix: 0, lists: 0 };
      const get = matrices.get.bind(matrices);
      const list = world.records.list.bind(world.records);
      matrices.get = (name) => {
        reads.matrix++;
        return get(name);
      };
      world.records.list = async (prefix) => {
        reads.lists++;
        return await list(prefix);
      };
      await expect(reapAll(fake)).rejects.toMatchObject({ name: 'LeftoversRemain' });
      expect([...world.objects.keys()]).toEqual([`publications/open/${BUILD}.json`]);
      expect(reads).toEqual({ matrix: 1, lists: 1 });
    });

    test('a build that runs, or has succeeded, is let be; the journal of what succeeded goes', async () => {
      const { fake, latest, places } = halfPublished();
      const before = latest();
      fake.heldExecutions.set(BUILD, { status: 'running' });
      await reapAll(fake);
      expect(world.objects.size).toBe(1);
      const [home, ...copies] = places;
      fake.heldExecutions.set(BUILD, {
        ...aborted,
        outcome: 'SUCCEEDED',
        output: JSON.stringify({ ...home, regions: copies }),
      } as BuildExecution);
      expect(await reapAll(fake)).toMatchObject({ rolledBack: 0, reaped: { image: 0, snapshot: 0 } });
      expect(latest()).toEqual(before);
      expect(world.objects.size).toBe(0);
    });

    test('what is published together is put back unless the matrix has succeeded', async () => {
      const { fake, latest, old, places } = halfPublished();
      const key = `publications/open/${BUILD}.json`;
      const journal = JSON.parse(world.objects.get(key) ?? '{}') as Journal;
      world.objects.set(key, JSON.stringify({ ...journal, matrix: 'the-matrix' }));
      const [home, ...copies] = places;
      fake.heldExecutions.set(BUILD, {
        ...aborted,
        outcome: 'SUCCEEDED',
        output: JSON.stringify({ ...home, regions: copies, held: { matrix: 'the-matrix' } }),
      } as BuildExecution);
      const before = latest();
      matrices.set('the-matrix', { status: 'running' });
      expect(await reapAll(fake)).toMatchObject({ rolledBack: 0 });
      expect([latest(), world.objects.has(key)]).toEqual([before, true]);
      matrices.set('the-matrix', { ...aborted, endedAt: started } as BuildExecution);
      expect(await reapAll(fake)).toMatchObject({ rolledBack: 1, uncertain: 0 });
      expect([latest(), world.objects.has(key)]).toEqual([old, false]);
    });

    test('what is published together stays when the matrix has succeeded', async () => {
      const { fake, latest } = halfPublished();
      const key = `publications/open/${BUILD}.json`;
      const journal = JSON.parse(world.objects.get(key) ?? '{}') as Journal;
      world.objects.set(key, JSON.stringify({ ...journal, matrix: 'the-matrix' }));
      fake.heldExecutions.set(BUILD, { ...aborted, outcome: 'SUCCEEDED' } as BuildExecution);
      matrices.set('the-matrix', { ...aborted, outcome: 'SUCCEEDED' } as BuildExecution);
      const before = latest();
      await reapAll(fake).catch(() => undefined);
      expect([latest(), world.objects.has(key)]).toEqual([before, false]);
    });

    test('a journal that cannot be read keeps all that its build made', async () => {
      const { fake, places } = halfPublished();
      fake.heldExecutions.set(BUILD, aborted);
      world.objects.set(`publications/open/${BUILD}.json`, '{"version":2}');
      await expect(reapAll(fake)).rejects.toMatchObject({
        name: 'LeftoversRemain',
        message: expect.stringContaining(`publication of ${BUILD}: InvalidState`),
      });
      for (const { region, imageId } of places) {
        expect(world.region(region).heldImages.has(imageId)).toBe(true);
      }
    });

    test('a build that nobody knows any more is told by the schedule', async () => {
      const { fake } = halfPublished();
      expect(await reapAll(fake, { build: BUILD })).toMatchObject({ rolledBack: 0, uncertain: 0 });
      await expect(reapAll(fake)).rejects.toMatchObject({
        message: expect.stringContaining('nobody knows how its execution ended'),
      });
    });
  });
});
