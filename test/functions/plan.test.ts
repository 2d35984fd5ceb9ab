import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { type PlanSettings, plan, planStep } from '../../functions/steps/plan.ts';
import { rejected } from '../core/caught.ts';
import { demo } from '../core/legal-recipes.ts';
import { account, BUILD, execution, imageSpec, WORKER_IMAGE } from './builds.ts';
import { type FakeAccount, windowsProperties } from './fake-account.ts';

const RELEASE = 'https://download.freebsd.org/releases/amd64/amd64/15.1-RELEASE';
const MANIFEST = ['base', 'kernel', 'lib32']
  .map((name, n) => `${name}.txz\t${String(n + 1).repeat(64)}\t${n + 10}\t${name}\t"${name}"\ton\n`)
  .join('');

const settings: PlanSettings = {
  ARTIFACTS_BUCKET: 'bucket',
  WORKER_IMAGE_PARAMETER: '/aws/service/freebsd/{architecture}/base',
  WORKER_INSTANCE_TYPES_AMD64: ['c7i.large', 'm7i.large'],
  WORKER_INSTANCE_TYPES_ARM64: ['c7g.large'],
  WORKER_PLATFORM: 'linux',
  WORKER_SECONDS: 3600,
  BOOT_TEST_INSTANCE_TYPES_AMD64: ['m6i.large', 'm5.large'],
  BOOT_TEST_INSTANCE_TYPES_ARM64: ['m7g.large'],
  DISTRIBUTION_REGIONS: ['eu-west-1', 'us-west-2'],
  PARAMETER_PREFIX: '/company/',
  WINDOWS_IMAGE_PARAMETER: '/windows',
  WINDOWS_INSTANCE_TYPES: ['m6i.large'],
};

let fake: FakeAccount;
beforeEach(() => {
  fake = account();
  fake.pages.set(`${RELEASE}/MANIFEST`, { status: 'found', text: MANIFEST });
  fake.pages.set(`${RELEASE}/BUILDDATE`, { status: 'found', text: '20261106\n' });
  fake.parameterValues.set('/aws/service/freebsd/amd64/base', WORKER_IMAGE);
});

const run = (recipe: unknown = demo, dryRun = false) => {
  const { parameters, images, snapshots, mirror, updates, artifacts, sources, clock } = fake;
  return plan({ parameters, images, snapshots, mirror, updates, artifacts, sources, clock, settings })(
    { recipe, dryRun },
    execution,
  );
};

describe('the windows road', () => {
  const recipe = { ...demo, image: { road: 'windows' } };
  const AMI = 'ami-00000000000000002';
  beforeEach(() => {
    fake.parameterValues.set('/windows', AMI);
    fake.windowsImages.set(AMI, windowsProperties);
  });

  test('is planned with the Windows whose place the image takes, and with warnings', async () => {
    const output = await run(recipe);
    expect(planStep.output.safeParse(output).error).toBeUndefined();
    expect(output.plan).toMatchObject({
      road: 'windows',
      windows: {
        imageId: AMI,
        instanceTypes: ['m6i.large'],
        inherited: {
          UsageOperation: 'RunInstances:0002',
          BootMode: 'legacy-bios',
          RootDeviceName: '/dev/sda1',
        },
      },
    });
    expect(output.plan.warnings).toEqual([
      expect.stringContaining('billed as Windows'),
      expect.stringContaining('BootSilent'),
    ]);
  });

  test('has the root device and the boot mode of that Windows', async () => {
    fake.windowsImages.set(AMI, { ...windowsProperties, RootDeviceName: 'xvda', BootMode: 'uefi' });
    const { plan: planned } = await run(recipe);
    expect(planned.image.rootDeviceName).toBe('xvda');
    expect(planned.windows?.inherited.BootMode).toBe('uefi');
  });

  test('warns that nothing has booted when there is no boot test', async () => {
    const { warnings } = (await run({ ...recipe, bootTest: false })).plan;
    expect(warnings[1]).toContain('without having booted');
  });

  test('is not what other recipes take', async () => {
    expect((await run()).plan).toMatchObject({ road: 'unix', windows: null, warnings: [] });
  });

  test.each<[string, () => unknown, string]>([
    ['no parameter', () => fake.parameterValues.delete('/windows'), 'does not exist'],
    ['no AMI', () => fake.windowsImages.clear(), AMI],
  ])('with %s is WindowsImageUnusable', async (_what, change, told) => {
    change();
    const error = await rejected(run(recipe));
    expect(error.name).toBe('WindowsImageUnusable');
    expect(error.message).toContain(told);
    expect(error.message).toContain('/windows');
  });

  test.each([
    ['UsageOperation', 'RunInstances:0006'],
    ['Architecture', 'arm64'],
    ['TpmSupport', 'v2.0'],
    ['EnaSupport', 'false'],
    ['Platform', ''],
  ])('with an AMI whose %s is %j is WindowsImageUnusable', async (key, value) => {
    fake.windowsImages.set(AMI, { ...windowsProperties, [key]: value });
    const error = await rejected(run(recipe));
    expect(error.name).toBe('WindowsImageUnusable');
    expect(error.message).toContain(`- ${key} is ${value}`);
  });
});

describe('plan', () => {
  test('resolves everything, and its output fits the state', async () => {
    const output = await run();
    expect(planStep.output.safeParse(output).error).toBeUndefined();
    expect(output).toMatchObject({
      dryRun: false,
      adopted: null,
      plan: {
        build: BUILD,
        release: '15.1-RELEASE',
        architecture: 'amd64',
        rootSizeGiB: 10,
        worker: { imageId: WORKER_IMAGE, instanceTypes: ['c7i.large', 'm7i.large'], secondsAllowed: 3600 },
        image: {
          architecture: 'x86_64',
          bootMode: 'uefi-preferred',
          imdsV2Only: true,
          rootDeviceName: '/dev/sda1',
        },
      },
    });
    expect(output.plan.image.name).toBe(
      `demo 15.1-RELEASE-amd64 small UFS ${output.plan.contentDigest.slice(0, 12)}`,
    );
    expect(output.plan.image.tags).toMatchObject({
      [tagKey.build]: BUILD,
      [tagKey.contentDigest]: output.plan.contentDigest,
      [tagKey.recipeDigest]: output.plan.recipeDigest,
      [tagKey.recipe]: 'demo',
      [tagKey.retention]: 'line=demo/15/amd64/small/ufs',
      [tagKey.builtOn]: '2026-11-06',
      Name: output.plan.image.name,
    });
    expect(output.plan.image.tags).not.toHaveProperty(tagKey.revision);
    expect(output.plan.image.tags).not.toHaveProperty(tagKey.patches);
  });

  test('tags the image with the commit and the patches that it is made of', async () => {
    fake.pages.set(`${RELEASE}/REVISION`, { status: 'found', text: '4d3c2b1a5e6f\n' });
    fake.patchLevels.set('15.1-RELEASE/amd64', 3);
    const { parameters, images, snapshots, mirror, updates, artifacts, sources, clock } = fake;
    const freebsd = { ...settings, WORKER_PLATFORM: 'freebsd' as const };
    const ports = { parameters, images, snapshots, mirror, updates, artifacts, sources, clock };
    const output = await plan({ ...ports, settings: freebsd })(
      { recipe: { ...demo, updates: 'at-build' }, dryRun: false },
      execution,
    );
    expect(output.plan.image.tags).toMatchObject({
      [tagKey.revision]: '4d3c2b1a5e6f',
      [tagKey.patches]: 'p3',
    });
  });

  test.each([
    [{}, { machines: [['m6i.large', 'm5.large']], secondsAllowed: 900, hostKeys: true }],
    [{ bootTest: false }, null],
    [
      { bootTest: { instanceTypes: ['m5.large', 'm6i.large'], timeout: 60 } },
      { machines: [['m5.large'], ['m6i.large']], secondsAllowed: 60, hostKeys: true },
    ],
    [{ flavour: 'cloud-init' }, { hostKeys: false }],
    [{ ec2: { logHostKey: false } }, { hostKeys: false }],
    [{ services: { sshd: false } }, { hostKeys: false }],
    [{ rcConf: { ec2_loghostkey_enable: 'no' } }, { hostKeys: false }],
    [{ ec2: { logHostKey: false }, rcConf: { ec2_loghostkey_enable: 'on' } }, { hostKeys: true }],
    [{ files: [{ path: '/etc/rc.conf', content: 'sshd_enable=YES\n' }] }, { hostKeys: false }],
  ])('of a recipe with %j tests the image so: %j', async (more, expected) => {
    const { bootTest } = (await run({ ...demo, ...more })).plan;
    if (expected === null) expect(bootTest).toBeNull();
    else expect(bootTest).toMatchObject(expected);
  });

  test('launches nothing that the deployment does not test images on', async () => {
    const error = await rejected(run({ ...demo, bootTest: { instanceTypes: ['m5.large', 'p5.48xlarge'] } }));
    expect(error.name).toBe('InvalidRecipe');
    expect(error.message).toContain('p5.48xlarge');
    expect(error.message).toContain('choose among m6i.large, m5.large');
    expect(fake.objects.size).toBe(0);
  });

  test('stores the job under the digest it names, with sets, mirror, date and deadline', async () => {
    const { plan: planned } = await run({ ...demo, sets: ['kernel', 'base'], rootSize: 3 });
    const { body } = fake.objects.get(planned.job.key) ?? { body: '' };
    expect(planned.job.key).toBe(`builds/${BUILD}/job`);
    expect(createHash('sha256').update(body).digest('hex')).toBe(planned.job.sha256);
    expect(body.split('\n')).toEqual(
      expect.arrayContaining([
        `build=${BUILD}`,
        `mirror.1=${RELEASE}`,
        'set.1.file=kernel.txz',
        `set.1.sha256=${'2'.repeat(64)}`,
        'set.2.file=base.txz',
        `timestamp=${Date.UTC(2026, 10, 6) / 1000}`,
        // An hour for the worker, half an hour for capacity.
        `deadline=${fake.time / 1000 + 3600 + 1800}`,
        `disk.size=${3 * 1024 ** 3}`,
      ]),
    );
  });

  test('makes the same plan for the same recipe: names and identifiers do not come from the time', async () => {
    const first = await run();
    const jobOf = () => fake.objects.get(`builds/${BUILD}/job`)?.body.replace(/^deadline=.*$/m, '');
    const job = jobOf();
    fake.time += 86_400_000;
    const second = await run({ ...demo, rootSize: '10GiB' });
    expect(second.plan.image).toEqual(first.plan.image);
    expect(jobOf()).toBe(job);
  });

  test('takes the other worker, architecture and boot mode for arm64', async () => {
    const arm = 'https://download.freebsd.org/releases/arm64/aarch64/15.1-RELEASE';
    fake.pages.set(`${arm}/MANIFEST`, { status: 'found', text: MANIFEST });
    fake.parameterValues.set('/aws/service/freebsd/arm64/base', WORKER_IMAGE);
    expect((await run({ ...demo, architecture: 'arm64' })).plan).toMatchObject({
      worker: { instanceTypes: ['c7g.large'] },
      image: { architecture: 'arm64', bootMode: 'uefi' },
    });
  });

  test('gives the caller its description and tags, and keeps its own', async () => {
    const { plan: planned } = await run({
      ...demo,
      image: { description: 'mine', tags: { team: 'a' }, imdsV2Only: false },
    });
    expect(planned.image).toMatchObject({ description: 'mine', imdsV2Only: false });
    expect(planned.image.tags).toMatchObject({ team: 'a', [tagKey.role]: 'image' });
  });

  test('goes on without the kernel modules of a release 14, unless the recipe names their repository', async () => {
    const release = '14.3-RELEASE';
    const directory = RELEASE.replace('15.1-RELEASE', release);
    const ports = 'https://pkg.FreeBSD.org/FreeBSD:14:amd64/quarterly/packagesite.pkg';
    fake.pages.set(`${directory}/MANIFEST`, { status: 'found', text: MANIFEST });
    fake.pages.set(`${directory}/BUILDDATE`, { status: 'found', text: '20250601\n' });
    fake.pages.set(ports, { status: 'found', text: 'a catalogue' });
    expect((await run({ ...demo, release })).plan.release).toBe(release);
    const named = { name: 'FreeBSD-ports-kmods', url: 'https://p.example', unsigned: true };
    const error = await rejected(run({ ...demo, release, repositories: [named] }));
    expect(error.message).toContain('package repository FreeBSD-kmods at https://p.example has none of');
  });

  test('passes dryRun on', async () => {
    expect((await run(demo, true)).dryRun).toBe(true);
  });

  test('makes nothing that costs money', async () => {
    await run();
    expect(fake.changes).toEqual([]);
  });

  test.each([
    ['InvalidRecipe', { ...demo, rootSize: 0 }],
    ['UnsupportedOnPlatform', { ...demo, filesystem: 'zfs' }],
    ['UnsupportedOnPlatform', { ...demo, scripts: [{ name: 'one', run: 'true' }] }],
    ['UnsupportedOnPlatform', { ...demo, updates: 'at-build' }],
    [
      'RepositoryUnavailable',
      { ...demo, repositories: [{ name: 'own', url: 'https://p.example', unsigned: true }] },
    ],
    ['ReleaseNotFound', { ...demo, release: '15.9-RELEASE' }],
    ['SetUnknown', { ...demo, sets: ['base', 'kernel', 'games'] }],
  ])('refuses with %s', async (name, recipe) => {
    expect((await rejected(run(recipe))).name).toBe(name);
    expect(fake.objects.size).toBe(0);
  });

  test('says which parameter names no worker image', async () => {
    fake.parameterValues.clear();
    const error = await rejected(run());
    expect(error.name).toBe('WorkerImageNotFound');
    expect(error.message).toContain('/aws/service/freebsd/amd64/base does not exist');
  });

  test('says which worker image cannot be launched', async () => {
    fake.launchableImages.clear();
    const error = await rejected(run());
    expect(error.name).toBe('WorkerImageNotFound');
    expect(error.message).toContain(`/aws/service/freebsd/amd64/base names ${WORKER_IMAGE}`);
  });

  describe('adoption of an image that is there', () => {
    const finished = async (state: string, content?: string, recipe: unknown = demo) => {
      const { plan: planned } = await run(recipe);
      return fake.holdImage(
        {
          ...imageSpec('snap-0a'),
          name: planned.image.name,
          tags: {
            [tagKey.contentDigest]: content ?? planned.contentDigest,
            [tagKey.build]: 'an-earlier-build',
            [tagKey.bootTested]: '2026-11-26T12:00:00.000Z',
          },
        },
        state,
      );
    };

    test('takes the one with the same content', async () => {
      const image = await finished('available');
      expect((await run()).adopted).toEqual({ imageId: image.imageId, snapshotId: 'snap-0a' });
    });

    test('tells its retention that it was wanted today, and what its recipe says now', async () => {
      const image = await finished('available');
      const tag = () => fake.heldImages.get(image.imageId)?.tags[tagKey.retention];
      await run({ ...demo, retention: { keep: 3 } }, true);
      expect(tag()).toBeUndefined();
      await run({ ...demo, retention: { keep: 3 } });
      const wanted = `wanted=${new Date(fake.time).toISOString()}`;
      expect(tag()).toBe(`line=demo/15/amd64/small/ufs keep=3 ${wanted}`);
      await run();
      expect(tag()).toBe(`line=demo/15/amd64/small/ufs ${wanted}`);
    });

    test('leaves one pinned that somebody has pinned', async () => {
      const image = await finished('available');
      image.tags = { ...image.tags, [tagKey.retention]: 'never' };
      await run();
      expect(fake.heldImages.get(image.imageId)?.tags[tagKey.retention]).toMatch(/ never$/);
    });

    test.each([
      ['2026-11-01T00:00:00.000Z', /invoke the retention function with \{"restore": "ami-/],
      [undefined, /aws ec2 enable-image/],
    ])('not one that is put away: ImageQuarantined says how to take it out (%s)', async (at, says) => {
      const image = await finished('disabled');
      if (at !== undefined) image.tags = { ...image.tags, [tagKey.quarantined]: at };
      const error = await rejected(run());
      expect(error.name).toBe('ImageQuarantined');
      expect(error.message).toMatch(says);
    });

    test('not one that has not passed its boot test: ImageUntested with the build that made it', async () => {
      const image = await finished('available');
      const { [tagKey.bootTested]: _, ...tags } = image.tags;
      image.tags = tags;
      const error = await rejected(run());
      expect(error.name).toBe('ImageUntested');
      expect(error.message).toContain(`${image.imageId} is the image`);
      expect(error.message).toContain('an-earlier-build is testing it');
      expect((await run(demo, true)).adopted).not.toBeNull();
    });

    test('takes one without a test for a recipe that wants none', async () => {
      const recipe = { ...demo, bootTest: false };
      const image = await finished('available', undefined, recipe);
      image.tags = { ...image.tags, [tagKey.bootTested]: undefined as unknown as string };
      expect((await run(recipe)).adopted).toMatchObject({ imageId: image.imageId });
    });

    test('not one that is pending, for which it waits: ImageUntested', async () => {
      await finished('pending');
      expect((await rejected(run())).name).toBe('ImageUntested');
    });

    test.each(['failed', 'deregistered'])('not one that is %s', async (state) => {
      await finished(state);
      expect((await run()).adopted).toBeNull();
    });

    test('not one of another content under the name: ImageNameTaken', async () => {
      const image = await finished('available', 'f'.repeat(64));
      const error = await rejected(run());
      expect(error.name).toBe('ImageNameTaken');
      expect(error.message).toContain(image.imageId);
    });

    test('of two is AmbiguousResource with both', async () => {
      const images = [await finished('available'), await finished('available')];
      const error = await rejected(run());
      expect(error.name).toBe('AmbiguousResource');
      for (const { imageId } of images) expect(error.message).toContain(imageId);
    });

    test('not when the content changed: another set, another checksum on the mirror', async () => {
      await finished('available');
      expect((await run({ ...demo, sets: ['base', 'kernel', 'lib32'] })).adopted).toBeNull();
      fake.pages.set(`${RELEASE}/MANIFEST`, {
        status: 'found',
        text: MANIFEST.replace('1'.repeat(64), 'f'.repeat(64)),
      });
      expect((await run()).adopted).toBeNull();
    });
  });
});

test('retention travels in a tag, and makes no other image', async () => {
  const { plan: without } = await run();
  const { plan: kept } = await run({ ...demo, retention: { keep: 5, days: 90 } });
  expect(kept.image.tags[tagKey.retention]).toBe('line=demo/15/amd64/small/ufs keep=5 days=90');
  expect(kept.contentDigest).toBe(without.contentDigest);
});

describe('a distribution', () => {
  test('is planned for the regions beside the factory’s own', async () => {
    const distribution = {
      regions: ['eu-central-1', 'eu-west-1', 'us-west-2'],
      kmsKeys: { 'eu-west-1': 'alias/images' },
      parameters: '/company/{name}/{release}/{architecture}/{filesystem}/{flavour}',
      deprecateAfter: 90,
    };
    const { plan: planned } = await run({ ...demo, distribution });
    expect(planned.distribution).toEqual({
      regions: [
        { region: 'eu-west-1', kmsKeyId: 'alias/images' },
        { region: 'us-west-2', kmsKeyId: null },
      ],
      share: { accounts: [], organizations: [], organizationalUnits: [], public: false },
      parameters: '/company/demo/15.1-RELEASE/amd64/ufs/small',
      deprecateAfter: 90,
    });
  });

  test.each([
    [{ regions: ['eu-west-1', 'ap-south-1'] }, /ap-south-1, to which this deployment distributes nothing/],
    [{ parameters: '/other/images' }, /under \/company\/ only/],
    [{ parameters: '/company' }, /under \/company\/ only/],
  ])('%j is refused', async (distribution, says) => {
    const error = await rejected(run({ ...demo, distribution }));
    expect(error.name).toBe('InvalidRecipe');
    expect(error.message).toMatch(says);
  });
});
