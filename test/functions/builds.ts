import type { BuildState, Execution } from '../../core/build-state.ts';
import { buildTags, tagKey } from '../../core/names.ts';
import type { ImageSpec } from '../../core/ports.ts';
import { inheritedProperties } from '../../core/windows-road.ts';
import { createImage } from '../../functions/steps/create-image.ts';
import { swapRoot } from '../../functions/steps/swap-root.ts';
import { FakeAccount, windowsProperties } from './fake-account.ts';

export const BUILD = 'demo-0123456789ab';

export const execution: Execution = {
  name: BUILD,
  arn: `arn:aws:states:eu-central-1:123456789012:execution:build-image:${BUILD}`,
  startTime: '2026-11-23T12:00:00.000Z',
};

export const WORKER_IMAGE = 'ami-00000000000000001';

/** A plan as the plan step makes it. */
export const plan: BuildState['plan'] = {
  build: BUILD,
  recipeDigest: '1'.repeat(64),
  contentDigest: '2'.repeat(64),
  release: '15.1-RELEASE',
  architecture: 'amd64',
  filesystem: 'ufs',
  flavour: 'base',
  rootSizeGiB: 12,
  road: 'unix',
  encryption: null,
  warnings: [],
  distribution: null,
  windows: null,
  worker: { imageId: WORKER_IMAGE, instanceTypes: ['c7i.large', 'm7i.large'], secondsAllowed: 3600 },
  job: { key: `builds/${BUILD}/job`, sha256: '3'.repeat(64) },
  bootTest: { machines: [['m6i.large', 'm5.large']], secondsAllowed: 900, hostKeys: true },
  image: {
    name: 'demo 15.1-RELEASE-amd64 UFS 222222222222',
    description: 'FreeBSD',
    architecture: 'x86_64',
    bootMode: 'uefi-preferred',
    imdsV2Only: true,
    tpm: false,
    rootDeviceName: '/dev/sda1',
    tags: {
      team: 'images',
      ...buildTags(BUILD, 'image'),
      [tagKey.name]: 'demo 15.1-RELEASE-amd64 UFS 222222222222',
      [tagKey.contentDigest]: '2'.repeat(64),
    },
  },
};

/** The same by the windows road. */
export const windowsPlan: BuildState['plan'] = {
  ...plan,
  road: 'windows',
  windows: {
    imageId: 'ami-00000000000000002',
    instanceTypes: ['m6i.large', 'm5.large'],
    inherited: inheritedProperties(windowsProperties),
  },
};

export const imageSpec = (snapshotId: string, tags = plan.image.tags): ImageSpec => ({
  ...plan.image,
  tags,
  snapshotId,
  rootSizeGiB: plan.rootSizeGiB,
});

/** An account with two zones and an AMI to launch. */
export function account<Account extends FakeAccount = FakeAccount>(
  fake = new FakeAccount() as Account,
): Account {
  fake.zones.set('subnet-a', 'eu-central-1a');
  fake.zones.set('subnet-b', 'eu-central-1b');
  fake.launchableImages.add(WORKER_IMAGE);
  for (const abi of ['FreeBSD:15:amd64', 'FreeBSD:15:aarch64']) {
    fake.pages.set(`https://pkg.FreeBSD.org/${abi}/quarterly/packagesite.pkg`, {
      status: 'found',
      text: abi,
    });
  }
  return fake;
}

const [ZONE, SUBNET] = ['eu-central-1a', 'subnet-a'];

/** An account in which a build's worker runs and its volume is there. */
export async function launched(build = BUILD) {
  const fake = account();
  const { volumeId } = await fake.volumes.create({
    clientToken: `v-${build}`,
    zone: ZONE,
    sizeGiB: 12,
    tags: buildTags(build, 'target'),
  });
  const { instanceId } = await fake.instances.runWorker({
    clientToken: `i-${build}`,
    imageId: WORKER_IMAGE,
    instanceType: 'c7i.large',
    subnetId: SUBNET,
    securityGroupId: 'sg-1',
    userData: '#!/bin/sh\n',
    tags: buildTags(build, 'worker'),
  });
  fake.settle();
  const worker = { instanceId, volumeId, zone: ZONE, instanceType: 'c7i.large', launchedAt: fake.time };
  const instance = fake.heldInstances.get(instanceId);
  const volume = fake.heldVolumes.get(volumeId);
  if (!instance || !volume) throw new Error('the fake account lost what it made');
  return { fake, worker, instance, volume };
}

/** An account in which the Windows of a build runs, and the disk that will replace its root is there. */
export async function launchedWindows(properties = windowsProperties) {
  const fake = account();
  const imageId = windowsPlan.windows?.imageId ?? '';
  fake.windowsImages.set(imageId, properties);
  const tags = buildTags(BUILD, 'windows');
  const disk = { clientToken: 'disk', zone: ZONE, sizeGiB: plan.rootSizeGiB, tags };
  const target = await fake.volumes.create({ ...disk, clientToken: 'target' });
  const { snapshotId } = await fake.snapshots.create(target.volumeId, 'x', buildTags(BUILD, 'snapshot'));
  fake.settle();
  fake.heldVolumes.delete(target.volumeId);
  const { instanceId } = await fake.instances.runWindows({
    clientToken: 'windows',
    imageId,
    instanceType: 'm6i.large',
    subnetId: SUBNET,
    securityGroupId: 'sg-1',
    tags,
  });
  const { volumeId } = await fake.volumes.create({ ...disk, snapshotId });
  fake.settle();
  const instance = fake.heldInstances.get(instanceId);
  if (!instance) throw new Error('the fake account lost what it made');
  const windows = { instanceId, volumeId, snapshotId, instanceType: 'm6i.large', launchedAt: fake.time };
  return { fake, windows, instance };
}

/** An account in which the disk has replaced the root of Windows, and the image is being made of it. */
export async function madeOfWindows() {
  const built = await launchedWindows();
  const { fake, windows } = built;
  for (let waiting: BuildState['waiting'] | undefined; !waiting?.ready; fake.settle()) {
    ({ waiting } = await swapRoot(fake)({ plan: windowsPlan, windows, ...(waiting ? { waiting } : {}) }));
  }
  const { image } = await createImage(fake)({ plan: windowsPlan, windows });
  const held = fake.heldImages.get(image.imageId);
  if (!held) throw new Error('the fake account lost the image');
  return { ...built, image, held };
}
