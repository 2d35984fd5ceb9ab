import { beforeEach, describe, expect, test } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { launchBootTest } from '../../functions/steps/launch-boot-test.ts';
import { rejected } from '../core/caught.ts';
import { account, BUILD, imageSpec, plan } from './builds.ts';
import { awsError, type FakeAccount } from './fake-account.ts';

const settings = { SUBNET_IDS: ['subnet-b', 'subnet-a'], SECURITY_GROUP_ID: 'sg-1' };

let fake: FakeAccount;
let image: { imageId: string; registeredAt: number };
beforeEach(() => {
  fake = account();
  image = { imageId: fake.holdImage(imageSpec('snap-1'), 'available').imageId, registeredAt: fake.time };
});
const run = (retryCount = 0, bootTest: typeof plan.bootTest = plan.bootTest) =>
  launchBootTest({ instances: fake.instances, network: fake.network, clock: fake.clock, settings })(
    { plan: { ...plan, bootTest }, image },
    retryCount,
  );
const launched = () => [...fake.heldInstances.values()];

describe('launch-boot-test', () => {
  test('launches the new image where workers run, with the tags that find it and nothing to do', async () => {
    const { bootTest } = await run();
    expect(bootTest.machines).toEqual([
      {
        instanceId: launched()[0]?.instanceId,
        instanceType: 'm6i.large',
        launchedAt: fake.time,
        phases: [],
        watch: { ready: false, since: fake.time, goneFor: 0, seen: '', seenAt: fake.time },
      },
    ]);
    expect(launched()[0]?.spec).toMatchObject({
      imageId: image.imageId,
      subnetId: 'subnet-b',
      securityGroupId: 'sg-1',
      tags: { [tagKey.build]: BUILD, [tagKey.role]: 'boot-test' },
    });
    expect(launched()[0]?.spec.userData).toBeUndefined();
  });

  test('asked twice launches once; a new try of the state launches anew', async () => {
    const first = await run();
    expect(await run()).toEqual(first);
    expect(launched()).toHaveLength(1);
    expect(await run(1)).not.toEqual(first);
    expect(launched()).toHaveLength(2);
  });

  test('goes to the next type, then to the next zone, where there is no capacity', async () => {
    fake.refusals.set('m6i.large eu-central-1b', awsError('InsufficientInstanceCapacity'));
    expect((await run()).bootTest.machines[0]?.instanceType).toBe('m5.large');
    fake.refusals.set('m5.large eu-central-1b', awsError('Unsupported'));
    await run(1);
    expect(launched().at(-1)?.spec).toMatchObject({ subnetId: 'subnet-a', instanceType: 'm6i.large' });
  });

  test('says of every type and zone why not', async () => {
    for (const type of ['m6i.large', 'm5.large']) {
      for (const zone of ['eu-central-1a', 'eu-central-1b']) {
        fake.refusals.set(`${type} ${zone}`, awsError('InsufficientInstanceCapacity', `no ${type}`));
      }
    }
    const error = await rejected(run());
    expect(error.name).toBe('InsufficientCapacity');
    expect(error.message).toContain('- m5.large in eu-central-1a: no m5.large');
    expect(error.message.match(/^- /gm)).toHaveLength(4);
    expect(launched()).toEqual([]);
  });

  test('launches on every machine of the plan, or on none', async () => {
    const each = {
      secondsAllowed: 900,
      hostKeys: true,
      machines: [['m6i.large'], ['t3.small'], ['m5.large']],
    };
    const { bootTest } = await run(0, each);
    expect(bootTest.machines.map(({ instanceType }) => instanceType)).toEqual(each.machines.flat());
    const before = launched().length;
    for (const zone of ['eu-central-1a', 'eu-central-1b'])
      fake.refusals.set(`m5.large ${zone}`, awsError('InsufficientInstanceCapacity'));
    expect((await rejected(run(1, each))).name).toBe('InsufficientCapacity');
    const later = launched().slice(before);
    expect(later).toHaveLength(2);
    expect(later.every(({ state }) => state === 'shutting-down')).toBe(true);
  });

  test('does not take any other refusal for a lack of capacity', async () => {
    const refusal = awsError('UnauthorizedOperation');
    fake.refusals.set('m6i.large eu-central-1b', refusal);
    await expect(run()).rejects.toBe(refusal);
  });

  test('without a plan for it is a state that does not fit', async () => {
    expect((await rejected(run(0, null))).name).toBe('InvalidState');
  });
});
