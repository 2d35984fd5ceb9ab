import { beforeEach, describe, expect, test } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { tagKey } from '../../core/names.ts';
import { distribute } from '../../functions/steps/distribute.ts';
import { rejected } from '../core/caught.ts';
import { BUILD, execution, imageSpec, plan } from './builds.ts';
import { awsError } from './fake-account.ts';
import { FakeWorld } from './fake-world.ts';

const HOME = 'eu-central-1';
const OTHERS = ['eu-west-1', 'us-west-2'];

let world: FakeWorld;
let image: { imageId: string; snapshotId: string };
let time: number;

beforeEach(() => {
  time = Date.UTC(2026, 10, 26, 12);
  world = new FakeWorld([HOME, ...OTHERS]);
  image = world.holdImage(
    HOME,
    imageSpec('', { ...plan.image.tags, [tagKey.bootTested]: '2026-11-26T12:00:00Z', 'aws:createdBy': 'x' }),
  );
});

const planned = (
  regions: { region: string; kmsKeyId: string | null }[] = OTHERS.map((region) => ({
    region,
    kmsKeyId: null,
  })),
): BuildState['plan'] => ({
  ...plan,
  distribution: {
    regions,
    share: { accounts: [], organizations: [], organizationalUnits: [], public: false },
    parameters: null,
    deprecateAfter: null,
  },
});

type Input = Parameters<ReturnType<typeof distribute>>[0];

const input = (more: Partial<Input> = {}): Input => ({
  plan: planned(),
  preflight: { kmsKeys: {} },
  image: { imageId: image.imageId, registeredAt: 0 },
  ...more,
});

/** Looks until it is ready; between two looks the world moves on, and the pause goes by. */
async function turns(most: number, start = input(), between: () => void = () => world.settle()) {
  const step = distribute({ regions: world.ports, clock: { now: () => time } });
  let state = start;
  const pauses: number[] = [];
  for (let turn = 1; turn <= most; turn++) {
    const { distribution } = await step(state, execution);
    state = { ...state, distribution };
    if (distribution.ready) return { distribution, turns: turn, pauses };
    pauses.push(distribution.pauseSeconds);
    time += distribution.pauseSeconds * 1000;
    between();
  }
  return { distribution: state.distribution as BuildState['distribution'], turns: most, pauses };
}

const copyIn = (region: string) => {
  const [copy] = [...world.region(region).heldImages.values()];
  if (copy === undefined) throw new Error(`no copy in ${region}`);
  return copy;
};

describe('distribute', () => {
  test('copies to all regions at once and is ready after three agreeing looks', async () => {
    const { distribution, turns: looks } = await turns(10);
    expect(distribution.ready).toBe(true);
    // One that begins, three that agree.
    expect(looks).toBe(4);
    for (const region of OTHERS) {
      const copy = copyIn(region);
      expect(copy.name).toBe(plan.image.name);
      expect(copy.tags).toEqual({
        team: 'images',
        [tagKey.name]: plan.image.name,
        [tagKey.contentDigest]: plan.contentDigest,
        [tagKey.bootTested]: '2026-11-26T12:00:00Z',
        [tagKey.build]: BUILD,
        [tagKey.role]: 'copy',
      });
      expect(distribution.copies.find((one) => one.region === region)).toMatchObject({
        imageId: copy.imageId,
        snapshotId: copy.rootSnapshotId,
        saw: 'agreed',
      });
    }
  });

  test('without other regions it is ready at once', async () => {
    expect(await turns(1, input({ plan: planned([]) }))).toMatchObject({
      turns: 1,
      distribution: { copies: [] },
    });
  });

  test('an answer that was lost makes no second copy', async () => {
    // The call is made and its answer lost: the next look finds the copy by its name.
    await turns(1);
    const again = await turns(10);
    expect(again.distribution.ready).toBe(true);
    expect(OTHERS.map((region) => world.region(region).copied)).toEqual([1, 1]);
  });

  test('takes an image that was adopted, too, and copies it only where it is not yet', async () => {
    await turns(10, input({ plan: planned([{ region: 'eu-west-1', kmsKeyId: null }]) }));
    const other = { ...planned(), build: 'other-0123456789ab' };
    const { distribution } = await turns(10, { ...input(), plan: other, image: undefined, adopted: image });
    expect(distribution.ready).toBe(true);
    expect(OTHERS.map((region) => world.region(region).copied)).toEqual([1, 1]);
    // The first build may still end badly: its copy is kept for whoever needs it.
    expect(Date.parse(copyIn('eu-west-1').tags[tagKey.resumableUntil] ?? '')).toBeGreaterThan(time);
    expect(copyIn('us-west-2').tags[tagKey.resumableUntil]).toBeUndefined();
  });

  test('what the image says of its retention today, a copy that is taken over says, too', async () => {
    await turns(10);
    const home = world.region(HOME).heldImages.get(image.imageId);
    if (home) home.tags = { ...home.tags, [tagKey.retention]: 'line=demo wanted=today' };
    expect((await turns(10)).distribution.ready).toBe(true);
    expect(copyIn('eu-west-1').tags[tagKey.retention]).toBe('line=demo wanted=today');
  });

  test('a copy that retention has put away is not copied beside', async () => {
    await turns(10);
    copyIn('us-west-2').state = 'disabled';
    const error = await rejected(turns(2));
    expect(error.name).toBe('ImageNameTaken');
    expect(error.message).toContain('us-west-2 is the copy, but it is disabled');
  });

  test('waits for a place when twenty copies are under way, and asks for none before', async () => {
    world.region('eu-west-1').busy = 20;
    const before = await turns(3);
    expect(before.distribution.copies[0]).toMatchObject({ region: 'eu-west-1', imageId: null, saw: 'none' });
    expect(world.calls.filter((call) => call === 'eu-west-1 copy')).toEqual([]);
    world.region('eu-west-1').busy = 19;
    expect((await turns(10, { ...input(), distribution: before.distribution })).distribution.ready).toBe(
      true,
    );
  });

  test.each([
    'ResourceLimitExceeded',
    'RequestLimitExceeded',
    'InvalidAMIID.NotFound',
    'InvalidAMIName.Duplicate',
  ])('%s is for later, not a failure', async (code) => {
    let left = 3;
    world.fault = (call) => (call === 'us-west-2 copy' && left-- > 0 ? awsError(code) : undefined);
    expect((await turns(20)).distribution.ready).toBe(true);
    expect(world.region('us-west-2').copied).toBe(1);
  });

  test('any other refusal is the build’s failure', async () => {
    world.fault = (call) => (call === 'us-west-2 copy' ? awsError('UnauthorizedOperation') : undefined);
    await expect(turns(3)).rejects.toThrow(expect.objectContaining({ name: 'UnauthorizedOperation' }));
  });

  test('a copy that fails is CopyFailed with region and reason', async () => {
    const begun = await turns(1);
    Object.assign(copyIn('eu-west-1'), { state: 'failed', stateReason: 'the key is disabled' });
    const error = await rejected(turns(5, { ...input(), distribution: begun.distribution }));
    expect(error.name).toBe('CopyFailed');
    expect(error.message).toContain('eu-west-1');
    expect(error.message).toContain('the key is disabled');
  });

  test('the ruin of an earlier copy is not taken over', async () => {
    await turns(1);
    const ruin = copyIn('eu-west-1');
    Object.assign(ruin, { state: 'failed', name: plan.image.name });
    const other = { ...planned(), build: 'other-0123456789ab' };
    const { distribution } = await turns(10, { ...input(), plan: other });
    expect(distribution.ready).toBe(true);
    expect(distribution.copies[0]?.imageId).not.toBe(ruin.imageId);
  });

  test('a copy that differs is CopyMismatch, but only if it stays so', async () => {
    await turns(1);
    const copy = copyIn('us-west-2');
    const late = copy.tags;
    copy.tags = { ...late, team: 'other' };
    const seen = await turns(4);
    expect(seen.distribution.copies[1]).toMatchObject({ saw: 'different' });
    copy.tags = late;
    const found = await turns(10, { ...input(), distribution: seen.distribution });
    expect(found.distribution.ready).toBe(true);

    copy.properties = { ...copy.properties, BootMode: 'legacy-bios' };
    const error = await rejected(turns(20));
    expect(error.name).toBe('CopyMismatch');
    expect(error.message).toContain('us-west-2');
    expect(error.message).toContain('BootMode is legacy-bios, not uefi-preferred');
  });

  test('an agreeing look counts only in a row', async () => {
    await turns(1);
    const first = await turns(2);
    expect(first.distribution.copies.map(({ saw }) => saw)).toEqual(['agreed', 'agreed']);
    const copy = copyIn('us-west-2');
    world.region('us-west-2').heldImages.delete(copy.imageId);
    const missed = await turns(1, { ...input(), distribution: first.distribution });
    expect(missed.distribution.copies[1]).toMatchObject({ saw: 'missing', looks: 1 });
    world.region('us-west-2').heldImages.set(copy.imageId, copy);
    const found = await turns(10, { ...input(), distribution: missed.distribution });
    expect(found.turns).toBe(3);
  });

  test('a copy that stays away is CopyFailed', async () => {
    const begun = await turns(1);
    world.region('us-west-2').heldImages.clear();
    const error = await rejected(turns(40, { ...input(), distribution: begun.distribution }));
    expect(error.name).toBe('CopyFailed');
    expect(error.message).toContain('is gone');
  });

  test('copies are encrypted with the key of their region, and looked at by its ARN', async () => {
    const arn = 'arn:aws:kms:eu-west-1:123456789012:key/1';
    world.region('eu-west-1').kms.set('alias/images', { arn, state: 'Enabled', usable: true, ofAws: false });
    const wanted = planned([{ region: 'eu-west-1', kmsKeyId: 'alias/images' }]);
    const { distribution } = await turns(
      10,
      input({ plan: wanted, preflight: { kmsKeys: { 'eu-west-1': arn } } }),
    );
    expect(distribution.ready).toBe(true);
    const other = arn.replace('/1', '/2');
    const start = input({ plan: wanted, preflight: { kmsKeys: { 'eu-west-1': other } } });
    const error = await rejected(turns(20, start));
    expect(error.message).toContain(`its key is ${arn}, not ${other}`);
  });

  test('an unencrypted copy of what shall be encrypted is refused', async () => {
    await turns(10);
    const start = input({ plan: { ...planned(), encryption: { kmsKeyId: null } } });
    expect((await rejected(turns(20, start))).message).toContain('it is not encrypted');
  });

  test('another image of the name is ImageNameTaken, two are AmbiguousResource', async () => {
    world.holdImage(
      'us-west-2',
      imageSpec('', { ...plan.image.tags, [tagKey.contentDigest]: '9'.repeat(64) }),
    );
    expect((await rejected(turns(2))).name).toBe('ImageNameTaken');
    world.holdImage('us-west-2', imageSpec(''));
    const error = await rejected(turns(2));
    expect(error.name).toBe('AmbiguousResource');
    expect(error.message).toContain('us-west-2');
  });

  test('gives up after eight hours, in fewer looks than the history has room for', async () => {
    let looks = 0;
    const never = () => {
      looks++;
    };
    const error = await rejected(turns(5_000, input(), never));
    expect(error.name).toBe('DistributionTimedOut');
    expect(error.message).toContain('eu-west-1 (copying), us-west-2 (copying)');
    // Nine events a turn; the rest of the longest road leaves 8,000 of 25,000.
    expect(looks * 9).toBeLessThan(8_000);
  });
});
