import { beforeEach, describe, expect, test } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { buildTags, tagKey } from '../../core/names.ts';
import { waitForBoot } from '../../functions/steps/wait-for-boot.ts';
import { rejected } from '../core/caught.ts';
import { account, BUILD, imageSpec, plan } from './builds.ts';
import { awsError, type FakeAccount, type HeldInstance } from './fake-account.ts';

const KERNEL = '---<<BOOT>>---\n';
const KEYS =
  'ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----\nec2: 256 SHA256:abc root@freebsd (ED25519)\nec2: -----END SSH HOST KEY FINGERPRINTS-----\n';
const LOGIN = '\nlogin: ';
const LOG = `builds/${BUILD}/boot/m6i.large.log`;
const SCREEN = `builds/${BUILD}/boot/m6i.large.jpg`;

let fake: FakeAccount;
let instance: HeldInstance;
let image: BuildState['image'];
let bootTest: BuildState['bootTest'];
let waiting: BuildState['waiting'] | undefined;

beforeEach(async () => {
  fake = account();
  const { imageId } = fake.holdImage(imageSpec('snap-1'), 'available');
  image = { imageId, registeredAt: fake.time };
  bootTest = { machines: [] };
  instance = await machine('m6i.large');
  // The state still has the wait before, which was ready.
  waiting = { ready: true, since: 0, goneFor: 0, seen: 'available', seenAt: 0 };
});

/** One more machine on which the image boots. */
async function machine(instanceType: string): Promise<HeldInstance> {
  const { instanceId } = await fake.instances.runBootTest({
    clientToken: instanceType,
    imageId: image.imageId,
    instanceType,
    subnetId: 'subnet-a',
    securityGroupId: 'sg-1',
    tags: buildTags(BUILD, 'boot-test'),
  });
  fake.settle();
  const watch = { ready: false, since: fake.time, goneFor: 0, seen: '', seenAt: fake.time };
  bootTest.machines.push({ instanceId, instanceType, launchedAt: fake.time, phases: [], watch });
  return fake.heldInstances.get(instanceId) as HeldInstance;
}

/** A look, some seconds after the one before; the state goes on from it. */
async function look(seconds = 8, hostKeys = true) {
  fake.time += seconds * 1000;
  const run = waitForBoot({
    instances: fake.instances,
    images: fake.images,
    artifacts: fake.artifacts,
    clock: fake.clock,
  });
  const state = await run({
    plan: { ...plan, bootTest: { machines: [['m6i.large']], secondsAllowed: 900, hostKeys } },
    image,
    bootTest,
    ...(waiting ? { waiting } : {}),
  });
  ({ bootTest, waiting } = state);
  return state;
}

describe('wait-for-boot', () => {
  test('is ready when the image has shown its keys and its prompt, and says when it had come how far', async () => {
    expect((await look()).waiting.ready).toBe(false);
    instance.console = `loader\n${KERNEL}`;
    expect((await look()).waiting.ready).toBe(false);
    instance.console += KEYS;
    expect((await look()).waiting.ready).toBe(false);
    expect(fake.objects.has(LOG)).toBe(false);
    instance.console += LOGIN;
    const { waiting: done, bootTest: booted } = await look();
    expect(done.ready).toBe(true);
    expect(booted.machines[0]?.phases).toEqual([
      { name: 'firmware', seconds: 16 },
      { name: 'kernel', seconds: 16 },
      { name: 'host-keys', seconds: 24 },
      { name: 'login', seconds: 32 },
    ]);
    expect(fake.objects.get(LOG)?.body).toBe(instance.console);
    expect(fake.objects.has(SCREEN)).toBe(false);
    expect(fake.heldImages.get(image.imageId)?.tags[tagKey.bootTested]).toBe(
      new Date(fake.time).toISOString(),
    );
  });

  test('wants no keys of an image that prints none', async () => {
    instance.console = KERNEL + LOGIN;
    expect((await look(8, true)).waiting.ready).toBe(false);
    expect((await look(8, false)).waiting.ready).toBe(true);
  });

  test('fails by the rule that the console breaks, and keeps console and screen', async () => {
    instance.console = `${KERNEL}panic: no init\n`;
    instance.screen = Buffer.from('a screen');
    const error = await rejected(look());
    expect(error.name).toBe('BootPanicked');
    expect(error.message).toContain(`${instance.instanceId} (m6i.large)`);
    expect(fake.heldImages.get(image.imageId)?.tags[tagKey.bootTested]).toBeUndefined();
    expect(fake.objects.get(LOG)?.body).toBe(instance.console);
    expect(fake.objects.get(SCREEN)).toEqual({ body: 'a screen', contentType: 'image/jpeg' });
  });

  test('fails when nothing came, without a screen where there is none', async () => {
    await look(900);
    expect((await rejected(look(1))).name).toBe('BootSilent');
    expect(fake.objects.has(LOG)).toBe(true);
    expect(fake.objects.has(SCREEN)).toBe(false);
  });

  test('fails without keys some seconds after the console came to rest', async () => {
    instance.console = KERNEL + LOGIN;
    await look();
    await look();
    expect((await rejected(look())).name).toBe('BootNoHostKeys');
  });

  test.each(['artifacts.put', 'instances.screenshot'])(
    'keeps the image’s failure when %s fails, as its cause',
    async (call) => {
      instance.console = 'panic: no init\n';
      const failure = awsError('AccessDenied');
      fake.failures.set(call, failure);
      expect(await rejected(look())).toMatchObject({ name: 'BootPanicked', cause: failure });
    },
  );

  test('of an instance that ended waits some looks for its last words', async () => {
    fake.end(instance.instanceId, 'Server.InternalError: Internal error on launch');
    for (let count = 0; count < 3; count++) expect((await look()).waiting.ready).toBe(false);
    const error = await rejected(look());
    expect(error.name).toBe('BootDied');
    expect(error.message).toContain('Server.InternalError: Internal error on launch');
  });

  test('bears that the console of an ended instance may not be read any more, and only then', async () => {
    fake.failures.set('instances.console', awsError('UnauthorizedOperation'));
    await expect(look()).rejects.toMatchObject({ name: 'UnauthorizedOperation' });
    fake.end(instance.instanceId, '');
    fake.failures.set('instances.console', awsError('UnauthorizedOperation'));
    expect((await look()).bootTest.machines[0]?.watch).toMatchObject({ ready: false, goneFor: 1 });
  });

  test('waits for an instance that EC2 does not know yet', async () => {
    fake.heldInstances.delete(instance.instanceId);
    expect((await look()).bootTest.machines[0]?.watch).toMatchObject({ ready: false, goneFor: 0 });
  });

  test('passes when it has come up on every machine, and keeps each console', async () => {
    const other = await machine('t3.small');
    instance.console = KERNEL + KEYS + LOGIN;
    expect((await look()).waiting).toMatchObject({
      ready: false,
      seen: 'm6i.large: login, t3.small: nothing',
    });
    expect(fake.heldImages.get(image.imageId)?.tags[tagKey.bootTested]).toBeUndefined();
    // What has passed is not looked at any more.
    instance.console = 'panic: too late\n';
    other.console = KERNEL + KEYS + LOGIN;
    expect((await look()).waiting.ready).toBe(true);
    expect(fake.heldImages.get(image.imageId)?.tags[tagKey.bootTested]).toBeDefined();
    expect([...fake.objects.keys()]).toEqual([LOG, `builds/${BUILD}/boot/t3.small.log`]);
  });

  test('fails when one machine of several does, and says which', async () => {
    const other = await machine('t3.small');
    instance.console = KERNEL;
    other.console = `${KERNEL}panic: no init\n`;
    const error = await rejected(look());
    expect(error.name).toBe('BootPanicked');
    expect(error.message).toContain(`${other.instanceId} (t3.small)`);
    expect([...fake.objects.keys()]).toEqual([LOG, `builds/${BUILD}/boot/t3.small.log`]);
  });
});
