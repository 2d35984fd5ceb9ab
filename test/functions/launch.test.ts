import { spawnSync } from 'node:child_process';
import { beforeEach, describe, expect, test } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { launch } from '../../functions/steps/launch.ts';
import { rejected } from '../core/caught.ts';
import { account, BUILD, plan } from './builds.ts';
import { awsError, type FakeAccount } from './fake-account.ts';

const BOOTSTRAP = `printf '%s\\n' @PAYLOAD_URL@ @PAYLOAD_SHA256@ @JOB_URL@ @JOB_SHA256@ @VOLUME@ @BUILD@\n`;
const settings = {
  ARTIFACTS_BUCKET: 'bucket',
  SUBNET_IDS: ['subnet-b', 'subnet-a'],
  SECURITY_GROUP_ID: 'sg-1',
  PAYLOAD_BUCKET: 'payloads',
  PAYLOAD_KEY: 'payload/worker.tar.gz',
  PAYLOAD_SHA256: '4'.repeat(64),
  bootstrap: BOOTSTRAP,
};

let fake: FakeAccount;
beforeEach(() => {
  fake = account();
});
const run = (retryCount = 0, of = plan) => {
  const { instances, volumes, network, artifacts, clock } = fake;
  return launch({ instances, volumes, network, artifacts, payloads: artifacts, clock, settings })(
    { plan: of },
    retryCount,
  );
};
const full = (zones: readonly string[], code = 'InsufficientInstanceCapacity') => {
  for (const type of plan.worker.instanceTypes) {
    for (const zone of zones) fake.refusals.set(`${type} ${zone}`, awsError(code, `no ${type}`));
  }
};
const targets = () => [...fake.heldVolumes.values()].filter(({ attachedTo }) => attachedTo === undefined);

describe('launch', () => {
  test('makes volume and worker in the first zone asked for', async () => {
    const { worker } = await run();
    expect(worker).toMatchObject({ zone: 'eu-central-1b', instanceType: 'c7i.large', launchedAt: fake.time });
    expect(fake.heldVolumes.get(worker.volumeId ?? '')?.spec).toMatchObject({
      zone: 'eu-central-1b',
      sizeGiB: 12,
    });
    expect(fake.heldInstances.get(worker.instanceId)?.spec).toMatchObject({
      subnetId: 'subnet-b',
      securityGroupId: 'sg-1',
      imageId: plan.worker.imageId,
    });
  });

  test('encrypts the volume as the plan says', async () => {
    const encryption = { kmsKeyId: 'alias/images' };
    const { worker } = await run(0, { ...plan, encryption });
    expect(fake.heldVolumes.get(worker.volumeId ?? '')?.spec.encryption).toEqual(encryption);
  });

  test('gives both their tags in the very call that makes them', async () => {
    const { worker } = await run();
    expect(fake.heldInstances.get(worker.instanceId)?.spec.tags).toMatchObject({
      [tagKey.build]: BUILD,
      [tagKey.role]: 'worker',
    });
    expect(fake.heldVolumes.get(worker.volumeId ?? '')?.spec.tags).toMatchObject({
      [tagKey.build]: BUILD,
      [tagKey.role]: 'target',
    });
  });

  test('tells the worker where payload, job and volume are', async () => {
    const { worker } = await run();
    const script = fake.heldInstances.get(worker.instanceId)?.spec.userData ?? '';
    const said = spawnSync('sh', { input: script, encoding: 'utf8' }).stdout.trimEnd().split('\n');
    expect(said).toEqual([
      await fake.artifacts.presign('payload/worker.tar.gz', 1800),
      settings.PAYLOAD_SHA256,
      await fake.artifacts.presign(plan.job.key, 1800),
      plan.job.sha256,
      worker.volumeId,
      BUILD,
    ]);
  });

  test('walks the types of a zone before it leaves it', async () => {
    fake.refusals.set('c7i.large eu-central-1b', awsError('InsufficientInstanceCapacity'));
    expect((await run()).worker).toMatchObject({ zone: 'eu-central-1b', instanceType: 'm7i.large' });
    expect(fake.changes.filter((change) => change.startsWith('createVolume'))).toHaveLength(1);
  });

  test.each([
    'InsufficientInstanceCapacity',
    'InsufficientFreeAddressesInSubnet',
    'InsufficientHostCapacity',
    'InsufficientReservedInstanceCapacity',
    'Unsupported',
  ])('goes to the next zone on %s, and leaves no volume in the one before', async (code) => {
    fake.instantVolumes = true;
    full(['eu-central-1b'], code);
    const { worker } = await run();
    expect(worker).toMatchObject({ zone: 'eu-central-1a', instanceType: 'c7i.large' });
    fake.settle();
    expect(targets().map(({ volumeId }) => volumeId)).toEqual([worker.volumeId]);
  });

  test('goes to the next zone although the volume is still being made, and leaves that one findable', async () => {
    full(['eu-central-1b']);
    expect((await run()).worker.zone).toBe('eu-central-1a');
    expect(await fake.volumes.findByBuild(BUILD)).toHaveLength(3);
  });

  test('goes to the next zone when EBS has no room in the first', async () => {
    fake.failures.set('volumes.create', awsError('InsufficientVolumeCapacity', 'no room'));
    expect((await run()).worker.zone).toBe('eu-central-1a');
    expect(targets()).toHaveLength(1);
  });

  test('does not go on when the volume cannot be deleted for another reason', async () => {
    full(['eu-central-1b']);
    const failure = awsError('UnauthorizedOperation');
    fake.failures.set('volumes.delete', failure);
    await expect(run()).rejects.toBe(failure);
  });

  test('says of every type and zone why not, and leaves no volume', async () => {
    fake.instantVolumes = true;
    full(['eu-central-1a', 'eu-central-1b']);
    const error = await rejected(run());
    expect(error.name).toBe('InsufficientCapacity');
    for (const type of plan.worker.instanceTypes) {
      for (const zone of ['eu-central-1a', 'eu-central-1b']) {
        expect(error.message).toContain(`${type} in ${zone}: no ${type}`);
      }
    }
    fake.settle();
    expect(targets()).toEqual([]);
    expect(fake.heldInstances.size).toBe(0);
  });

  test.each(['UnauthorizedOperation', 'VcpuLimitExceeded', 'RequestLimitExceeded', 'InvalidAMIID.NotFound'])(
    'lets %s pass untouched, with no other zone tried',
    async (code) => {
      const refusal = awsError(code);
      fake.refusals.set('c7i.large eu-central-1b', refusal);
      await expect(run()).rejects.toBe(refusal);
      expect(fake.changes.filter((change) => change.startsWith('createVolume'))).toHaveLength(1);
    },
  );

  test('lets errors of the volume and the bucket pass untouched', async () => {
    for (const call of ['volumes.create', 'artifacts.presign', 'network.subnets']) {
      const failure = awsError('VolumeLimitExceeded', call);
      fake.failures.set(call, failure);
      await expect(run()).rejects.toBe(failure);
    }
    expect(fake.heldInstances.size).toBe(0);
  });

  test('again after a lost answer gets the same volume and worker', async () => {
    const first = await run(0);
    expect(await run(0)).toEqual(first);
    expect(fake.heldInstances.size).toBe(1);
    expect(targets()).toHaveLength(1);
  });

  test('in a retry asks for new ones: the tokens of a dead resource would bring it back dead', async () => {
    const first = await run(0);
    const second = await run(1);
    expect(second.worker.instanceId).not.toBe(first.worker.instanceId);
    expect(second.worker.volumeId).not.toBe(first.worker.volumeId);
  });

  test('tries a refused type again in a retry and may succeed', async () => {
    full(['eu-central-1a', 'eu-central-1b']);
    await rejected(run(0));
    fake.settle();
    fake.refusals.clear();
    const { worker } = await run(1);
    expect(fake.heldVolumes.get(worker.volumeId ?? '')?.state).toBe('creating');
  });
});
