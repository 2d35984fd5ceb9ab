import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BuildState, Execution } from '../../core/build-state.ts';
import { tagKey } from '../../core/names.ts';
import { publish } from '../../functions/steps/publish.ts';
import { rollBack } from '../../functions/steps/roll-back.ts';
import { rejected } from '../core/caught.ts';
import { BUILD, execution, imageSpec, plan } from './builds.ts';
import { awsError } from './fake-account.ts';
import { FakeWorld } from './fake-world.ts';

const HOME = 'eu-central-1';
const OTHERS = ['eu-west-1', 'us-west-2', 'ap-southeast-2'];
const REGIONS = [HOME, ...OTHERS];
const PATH = '/company/demo';
const LATEST = `${PATH}/latest`;
const VERSIONED = `${PATH}/222222222222`;
const NOW = Date.UTC(2026, 10, 26, 12, 0, 30);

type Distribution = NonNullable<BuildState['plan']['distribution']>;

const wanted: Distribution = {
  regions: OTHERS.map((region) => ({ region, kmsKeyId: null })),
  share: { accounts: ['111122223333'], organizations: [], organizationalUnits: [], public: false },
  parameters: PATH,
  deprecateAfter: 30,
};

/** A world in which an old release may be published, and the new image and its copies are there. */
function stage(
  distribution = wanted,
  before: { released: boolean; shared: boolean } = { released: true, shared: false },
) {
  const world = new FakeWorld(REGIONS);
  for (const region of REGIONS) {
    const old = world.holdImage(region, {
      ...imageSpec('', { ...plan.image.tags, [tagKey.build]: 'old' }),
      name: 'demo, the old release',
    });
    world.region(region).permissions.set(old.imageId, new Set(['111122223333']));
    if (before.released) {
      world.region(region).published.set(LATEST, {
        value: old.imageId,
        version: 7,
        type: 'String',
        dataType: 'aws:ec2:image',
      });
    }
  }
  const places = REGIONS.map((region) => ({
    region,
    ...world.holdImage(
      region,
      imageSpec('', { ...plan.image.tags, [tagKey.role]: region === HOME ? 'image' : 'copy' }),
    ),
  }));
  const [home, ...copies] = places;
  if (home === undefined) throw new Error('no home');
  for (const { region, imageId } of before.shared ? places : []) {
    // By hand, before the factory shares it.
    world.region(region).permissions.set(imageId, new Set(['111122223333', '999988887777']));
  }
  const state = {
    plan: { ...plan, distribution },
    image: { imageId: home.imageId, registeredAt: 0 },
    snapshot: { snapshotId: home.snapshotId, startedAt: 0 },
    distribution: {
      ready: true,
      since: 0,
      pauseSeconds: 5,
      copies: copies.map((one) => ({ ...one, saw: 'agreed' as const, looks: 3, told: '' })),
    },
  };
  let time = NOW;
  const clock = { now: () => time };
  const pause = async (milliseconds: number) => {
    time += milliseconds;
  };
  /** Builds of the same factory that succeeded. */
  const successes = new Set<string>();
  const outcomes = () => ({
    succeeded: async (build: string) => successes.has(build),
    matrixSucceeded: async (matrix: string) => successes.has(`matrix ${matrix}`),
  });
  const parts = { regions: world.ports, records: world.records, outcomes, clock, pause };
  return {
    world,
    places,
    state,
    successes,
    publish: (who: Execution = execution, options: Parameters<ReturnType<typeof publish>>[2] = {}) =>
      publish(parts)(state, who, options),
    rollBack: (hours = 24, options = { shown: true }) =>
      rollBack({ ...parts, settings: { RESUMABLE_HOURS: hours } })(state, execution, options),
    readers: () => readers(world),
    imageIn: (region: string) => {
      const id = places.find((one) => one.region === region)?.imageId ?? '';
      return { id, held: world.region(region).heldImages.get(id) };
    },
  };
}

/** What readers find: who resolves a parameter, and who may launch what there is. */
const readers = (world: FakeWorld) =>
  Object.fromEntries(
    [...world.regions].map(([region, place]) => [
      region,
      {
        parameters: Object.fromEntries([...place.published].map(([name, { value }]) => [name, value])),
        launchable: Object.fromEntries(
          [...place.heldImages.values()].map(({ imageId, deprecatedAt }) => [
            imageId,
            { to: [...(place.permissions.get(imageId) ?? [])].sort(), deprecatedAt },
          ]),
        ),
      },
    ]),
  );

/** What a reader of `latest` finds in each region, if that can be launched: old, new, or nothing. */
const resolved = (of: ReturnType<typeof stage>) =>
  REGIONS.map((region) => {
    const place = of.world.region(region);
    const value = place.published.get(LATEST)?.value;
    if (value === undefined) return 'none';
    if (!place.permissions.get(value)?.has('111122223333')) return 'broken';
    return value === of.imageIn(region).id ? 'new' : 'old';
  });

describe('publish', () => {
  test('flips permissions, deprecation and parameters in all regions, `latest` last', async () => {
    const at = stage();
    const { publication } = await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
    for (const { region, imageId } of at.places) {
      expect([...(at.world.region(region).permissions.get(imageId) ?? [])]).toEqual(['111122223333']);
      expect(at.imageIn(region).held?.deprecatedAt).toBe('2026-12-26T12:00:00.000Z');
      expect(at.world.region(region).published.get(VERSIONED)?.value).toBe(imageId);
    }
    expect(publication).toEqual({
      at: '2026-11-26T12:00:30.000Z',
      regions: at.places,
      parameters: [VERSIONED, LATEST],
    });
    const kinds = at.world.calls.map((call) => call.replace(/^\S+ /, ''));
    expect(kinds).toEqual([
      // Once to keep others away, and once with what was there.
      `publications/open/${BUILD}.json`,
      `publications/open/${BUILD}.json`,
      ...['allow', 'deprecate', 'put 222222222222', 'put latest'].flatMap((kind) => REGIONS.map(() => kind)),
    ]);
  });

  test('does nothing that is done already', async () => {
    const at = stage();
    const first = await at.publish();
    const calls = at.world.calls.length;
    expect(await at.publish()).toEqual(first);
    expect(at.world.calls.slice(calls).filter((call) => !call.endsWith('deprecate'))).toEqual([]);
  });

  test('a second try goes on with the journal of the first', async () => {
    const at = stage();
    at.world.fault = (call) =>
      call === 'us-west-2 put latest' ? awsError('InternalServerError') : undefined;
    await expect(at.publish()).rejects.toThrow('InternalServerError');
    const journal = at.world.objects.get(`publications/open/${BUILD}.json`);
    at.world.fault = () => undefined;
    await at.publish();
    expect(at.world.objects.get(`publications/open/${BUILD}.json`)).toBe(journal);
    expect(JSON.parse(journal ?? '').regions[0].before.parameters[LATEST]).toMatchObject({ version: 7 });
  });

  test('but not with that of an earlier execution of the name', async () => {
    const at = stage();
    await at.publish();
    const later = { ...execution, startTime: '2027-03-01T00:00:00.000Z' };
    await at.publish(later);
    expect(JSON.parse(at.world.objects.get(`publications/open/${BUILD}.json`) ?? '').execution).toBe(
      later.startTime,
    );
  });

  test('names block public access, with the region', async () => {
    const at = stage({ ...wanted, share: { ...wanted.share, public: true } });
    at.world.region('us-west-2').blocksPublic = true;
    const error = await rejected(at.publish());
    expect(error.name).toBe('PublicAccessBlocked');
    expect(error.message).toContain('us-west-2');
  });

  test('waits for Parameter Store, which looks at the image after it has answered', async () => {
    const at = stage();
    at.world.region('us-west-2').parameterLag = 3;
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('a parameter that is not taken is ParameterRefused', async () => {
    const at = stage();
    at.world.region('us-west-2').parameterLag = 1_000;
    const error = await rejected(at.publish());
    expect(error.name).toBe('ParameterRefused');
    expect(error.message).toContain('us-west-2');
  });

  test('a public image is deprecated two years after it was made at the latest', async () => {
    const at = stage({ ...wanted, share: { ...wanted.share, public: true }, deprecateAfter: 730 });
    const made = NOW - 100 * 24 * 3_600_000;
    for (const { region } of at.places) Object.assign(at.imageIn(region).held ?? {}, { startedAt: made });
    await at.publish();
    expect(Date.parse(at.imageIn(HOME).held?.deprecatedAt ?? '')).toBeLessThanOrEqual(
      made + 730 * 24 * 3_600_000,
    );
  });
});

describe('beside another publication', () => {
  const OTHER = 'publications/open/other.json';
  const other = (at: ReturnType<typeof stage>, changes: object = {}) =>
    JSON.stringify({
      version: 1,
      build: 'other',
      execution: execution.startTime,
      at: execution.startTime,
      share: [],
      deprecateAt: null,
      parameters: [],
      regions: [
        {
          region: 'us-west-2',
          imageId: at.imageIn('us-west-2').id,
          before: { permissions: [], deprecatedAt: null, parameters: {} },
        },
      ],
      ...changes,
    });
  const elsewhere = (region: string) => [
    { region, imageId: 'ami-9', before: { permissions: [], deprecatedAt: null, parameters: {} } },
  ];

  test.each([
    ['the same image', {}],
    ['the same parameter', { parameters: [LATEST], regions: elsewhere('us-west-2') }],
    ['the same image, not begun', { begun: false }],
  ])('of %s: changes nothing until that is at an end', async (_what, changes) => {
    const at = stage();
    at.world.objects.set(OTHER, other(at, changes));
    const before = at.readers();
    const error = await rejected(at.publish());
    expect(error).toMatchObject({ name: 'PublicationPending', message: expect.stringContaining('other') });
    expect(at.readers()).toEqual(before);
    expect([...at.world.objects.keys()]).toEqual([OTHER]);
    at.world.objects.delete(OTHER);
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test.each([
    ['of another image, without parameters', { regions: elsewhere('us-west-2') }],
    ['to another path', { parameters: ['/company/x/latest'], regions: elsewhere('us-west-2') }],
    ['in other regions', { parameters: [LATEST], regions: elsewhere('eu-north-1') }],
  ])('%s: goes on', async (_what, changes) => {
    const at = stage();
    at.world.objects.set(OTHER, other(at, changes));
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('that succeeded for a matrix which has not: waits for the matrix', async () => {
    const at = stage();
    at.world.objects.set(OTHER, other(at, { matrix: 'another' }));
    at.successes.add('other');
    expect(await rejected(at.publish())).toMatchObject({ name: 'PublicationPending' });
    at.successes.add('matrix another');
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('of its own matrix: neither would come to an end, so it is refused', async () => {
    const at = stage();
    at.world.objects.set(OTHER, other(at, { matrix: 'ours' }));
    Object.assign(at.state, { matrix: 'ours' });
    expect(await rejected(at.publish())).toMatchObject({
      name: 'InvalidRecipe',
      message: expect.stringContaining('of one matrix'),
    });
    expect(resolved(at)).toEqual(['old', 'old', 'old', 'old']);
  });

  test('that has succeeded, whose journal is only left: goes on', async () => {
    const at = stage();
    at.world.objects.set(OTHER, other(at));
    at.successes.add('other');
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('whose journal is closed between list and look: goes on', async () => {
    const at = stage();
    const list = at.world.records.list.bind(at.world.records);
    at.world.records.list = async (prefix) => {
      const found = await list(prefix);
      return OTHER.startsWith(prefix) ? [...found, OTHER] : found;
    };
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('of which S3 says only that it may not be read, as of what is missing: goes on when it is closed', async () => {
    const at = stage();
    at.world.objects.set(OTHER, other(at));
    const get = at.world.records.get.bind(at.world.records);
    let closes = false;
    at.world.records.get = async (key) => {
      if (key !== OTHER) return await get(key);
      if (closes) at.world.objects.delete(OTHER);
      throw awsError('AccessDenied');
    };
    await expect(at.publish()).rejects.toMatchObject({ name: 'AccessDenied' });
    closes = true;
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('that began at the same moment: gives way, and writes down what was there only when it may begin', async () => {
    const at = stage();
    const before = at.readers();
    at.world.fault = (call) => {
      if (call.startsWith('put publications/')) at.world.objects.set(OTHER, other(at, { begun: false }));
      return undefined;
    };
    expect(await rejected(at.publish())).toMatchObject({ name: 'PublicationPending' });
    expect(at.readers()).toEqual(before);
    expect([...at.world.objects.keys()]).toEqual([OTHER]);
    at.world.fault = () => undefined;
    at.world.objects.delete(OTHER);
    // What the other has shown meanwhile is what readers must be given back.
    const newer = at.world.holdImage(HOME, { ...imageSpec(''), name: 'the release of the other' });
    await at.world.region(HOME).imageParameters.put(LATEST, newer.imageId);
    await at.publish();
    await at.rollBack();
    expect(at.world.region(HOME).published.get(LATEST)?.value).toBe(newer.imageId);
  });

  test('once begun it goes on at a second try, whoever has come since', async () => {
    const at = stage();
    at.world.fault = (call) =>
      call === 'us-west-2 put latest' ? awsError('InternalServerError') : undefined;
    await expect(at.publish()).rejects.toThrow('InternalServerError');
    at.world.fault = () => undefined;
    at.world.objects.set(OTHER, other(at, { begun: false }));
    await at.publish();
    expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
  });

  describe('claimed before anything is shown', () => {
    const OWN = `publications/open/${BUILD}.json`;

    test('changes nothing that readers see, and keeps others away', async () => {
      const at = stage();
      const before = at.readers();
      expect(await at.publish(execution, { claim: 'only' })).toEqual({});
      expect(at.readers()).toEqual(before);
      expect(JSON.parse(at.world.objects.get(OWN) ?? '')).toMatchObject({ begun: false });
      // The same for the other, whose claim this one is.
      at.world.objects.set(OTHER, at.world.objects.get(OWN)?.replaceAll(BUILD, 'other') ?? '');
      at.world.objects.delete(OWN);
      expect(await rejected(at.publish())).toMatchObject({ name: 'PublicationPending' });
    });

    test('waits for others, and may be claimed twice', async () => {
      const at = stage();
      at.world.objects.set(OTHER, other(at));
      expect(await rejected(at.publish(execution, { claim: 'only' }))).toMatchObject({
        name: 'PublicationPending',
      });
      expect([...at.world.objects.keys()]).toEqual([OTHER]);
      at.world.objects.delete(OTHER);
      await at.publish(execution, { claim: 'only' });
      await at.publish(execution, { claim: 'only' });
      expect([...at.world.objects.keys()]).toEqual([OWN]);
    });

    test('goes on whoever looks at it meanwhile, and can be put back', async () => {
      const at = stage();
      await at.publish(execution, { claim: 'only' });
      at.world.objects.set(OTHER, other(at, { begun: false }));
      await at.publish(execution, { claim: 'made' });
      expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
      await at.rollBack();
      expect(resolved(at)).toEqual(['old', 'old', 'old', 'old']);
    });

    test('but not with the claim of an earlier execution of the name', async () => {
      const at = stage();
      await at.publish(execution, { claim: 'only' });
      at.world.objects.set(OTHER, other(at));
      const later = { ...execution, startTime: '2027-03-01T00:00:00.000Z' };
      expect(await rejected(at.publish(later, { claim: 'made' }))).toMatchObject({
        name: 'PublicationPending',
      });
    });

    test.each([
      [false, []],
      [true, [OWN]],
    ])('rolled back, when it may have been shown is %s, leaves %j', async (shown, left) => {
      const at = stage();
      await at.publish(execution, { claim: 'only' });
      await at.rollBack(24, { shown });
      expect([...at.world.objects.keys()]).toEqual(left);
    });

    test('what was begun is never let go of', async () => {
      const at = stage();
      await at.publish();
      await at.rollBack(24, { shown: false });
      expect([...at.world.objects.keys()]).toEqual([OWN]);
    });
  });

  test('one that died before it began looks again', async () => {
    const at = stage();
    at.world.fault = (call, index) =>
      call.startsWith('put publications/') && index === 2 ? awsError('InternalError') : undefined;
    await expect(at.publish()).rejects.toThrow('InternalError');
    at.world.fault = () => undefined;
    at.world.objects.set(OTHER, other(at));
    expect(await rejected(at.publish())).toMatchObject({ name: 'PublicationPending' });
  });
});

describe('roll back', () => {
  const flips = 4 * REGIONS.length;

  test('leaves the journal: what was asked for may show later, and is put back by the reaper', async () => {
    const at = stage();
    at.world.region('us-west-2').parameterLag = 1_000;
    await expect(at.publish()).rejects.toMatchObject({ name: 'ParameterRefused' });
    await at.rollBack();
    expect(resolved(at)).toEqual(['old', 'old', 'old', 'old']);
    expect([...at.world.objects.keys()]).toEqual([`publications/open/${BUILD}.json`]);
  });

  test('after a break at any change, before or after it took effect, readers see what they saw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: flips + 1 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(0, 24),
        async (broken, lost, released, shared, hours) => {
          const at = stage(wanted, { released, shared });
          const before = at.readers();
          // Before the change takes effect; or with the next call, as if its answer had been lost and the function died.
          at.world.fault = (_call, index) =>
            index === broken + (lost ? 1 : 0) ? awsError('InternalError') : undefined;
          const failed = await at.publish().then(
            () => false,
            () => true,
          );
          at.world.fault = () => undefined;
          // Shared by hand already: there is less to change, and the break may be beyond the end.
          if (!failed) expect(resolved(at)).toEqual(['new', 'new', 'new', 'new']);
          await at.rollBack(hours);
          expect(resolved(at).every((one) => one === (released ? 'old' : 'none'))).toBe(true);
          const after = at.readers();
          for (const region of REGIONS) {
            expect(after[region]?.parameters).toEqual(before[region]?.parameters);
            // What is left of images is as it was; copies of the failed build may have gone.
            const left = Object.keys(after[region]?.launchable ?? {});
            for (const id of left)
              expect(after[region]?.launchable[id]).toEqual(before[region]?.launchable[id]);
            expect(left).toHaveLength(hours > 0 || region === HOME ? 2 : 1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('while it goes on, nobody finds in `latest` what cannot be launched', async () => {
    for (let broken = 1; broken <= flips + 1; broken++) {
      const at = stage();
      const watch = () => expect(resolved(at)).not.toContain('broken');
      at.world.fault = (_call, index) => {
        watch();
        return index === broken ? awsError('InternalError') : undefined;
      };
      await at.publish().catch(() => undefined);
      at.world.fault = () => {
        watch();
        return undefined;
      };
      await at.rollBack();
      expect(resolved(at)).toEqual(['old', 'old', 'old', 'old']);
    }
  });

  test('that is broken itself is said, goes on in all other regions, and ends at the next try', async () => {
    const at = stage();
    await at.publish();
    at.world.fault = (call) =>
      call === 'us-west-2 put latest' ? awsError('InternalServerError') : undefined;
    const error = await rejected(at.rollBack());
    expect(error.name).toBe('RollBackIncomplete');
    expect(error.message).toContain(`- us-west-2: ${LATEST}: InternalServerError`);
    // What `latest` names there can still be launched.
    expect(resolved(at)).toEqual(['old', 'old', 'new', 'old']);
    at.world.fault = () => undefined;
    await at.rollBack();
    expect(resolved(at)).toEqual(['old', 'old', 'old', 'old']);
  });

  test('leaves what somebody else has changed since', async () => {
    const at = stage();
    await at.publish();
    const newer = at.world.holdImage(HOME, { ...imageSpec(''), name: 'a newer release' });
    await at.world.region(HOME).imageParameters.put(LATEST, newer.imageId);
    at.world.region(HOME).permissions.get(at.imageIn(HOME).id)?.add('555566667777');
    const held = at.imageIn('us-west-2').held;
    if (held) held.deprecatedAt = '2030-01-01T00:00:00.000Z';
    await at.rollBack();
    expect(at.world.region(HOME).published.get(LATEST)?.value).toBe(newer.imageId);
    expect([...(at.world.region(HOME).permissions.get(at.imageIn(HOME).id) ?? [])]).toEqual(['555566667777']);
    expect(held?.deprecatedAt).toBe('2030-01-01T00:00:00.000Z');
  });

  test('keeps verified copies for the next attempt, and takes all others away with their snapshots', async () => {
    const at = stage();
    const [first, ...rest] = at.state.distribution.copies;
    const unverified = rest.map((one) => ({ ...one, saw: 'pending' as const }));
    const state = {
      ...at.state,
      distribution: { ...at.state.distribution, copies: first === undefined ? [] : [first, ...unverified] },
    };
    const parts = {
      regions: at.world.ports,
      records: at.world.records,
      clock: { now: () => NOW },
      pause: async () => {},
    };
    const { rolledBack } = await rollBack({ ...parts, settings: { RESUMABLE_HOURS: 24 } })(state, execution);
    expect(rolledBack.kept).toEqual([first?.imageId]);
    expect([...rolledBack.removed].sort()).toEqual(
      unverified.flatMap(({ imageId, snapshotId }) => [imageId, snapshotId]).sort(),
    );
    const kept = at.world.region('eu-west-1').heldImages.get(first?.imageId ?? '');
    expect(kept?.tags[tagKey.resumableUntil]).toBe('2026-11-27T12:00:30.000Z');
    expect(at.world.region('eu-west-1').heldSnapshots.has(first?.snapshotId ?? '')).toBe(true);
    // Again: nothing more.
    expect(
      (await rollBack({ ...parts, settings: { RESUMABLE_HOURS: 24 } })(state, execution)).rolledBack.removed,
    ).toEqual([]);
  });

  test('leaves copies that an earlier execution of the same name has delivered', async () => {
    const at = stage();
    const places = ['eu-west-1', 'us-west-2', 'ap-southeast-2'].map((region) => at.imageIn(region));
    for (const { held } of places) if (held) held.startedAt = Date.parse(execution.startTime) - 1;
    for (const region of ['eu-west-1', 'us-west-2', 'ap-southeast-2']) {
      const { heldSnapshots } = at.world.region(region);
      for (const snapshot of heldSnapshots.values()) snapshot.startedAt = Date.parse(execution.startTime) - 1;
    }
    const { rolledBack } = await at.rollBack(0);
    expect(rolledBack).toEqual({ kept: [], removed: [] });
  });

  test('leaves copies that another build relies on, and those of other builds', async () => {
    const at = stage();
    const reserved = at.imageIn('eu-west-1').held;
    const others = at.imageIn('us-west-2').held;
    if (reserved) reserved.tags = { ...reserved.tags, [tagKey.resumableUntil]: '2026-11-27T00:00:00.000Z' };
    const theirs = { ...others?.tags, [tagKey.build]: 'other' };
    if (others) others.tags = theirs;
    const { heldSnapshots } = at.world.region('us-west-2');
    const snapshot = heldSnapshots.get(others?.rootSnapshotId ?? '');
    if (snapshot) heldSnapshots.set(snapshot.snapshotId, { ...snapshot, tags: theirs });
    const { rolledBack } = await at.rollBack(0);
    expect(rolledBack.kept).toEqual([at.imageIn('eu-west-1').id]);
    expect(at.world.region('us-west-2').heldImages.has(at.imageIn('us-west-2').id)).toBe(true);
    expect(at.world.region('ap-southeast-2').heldImages.has(at.imageIn('ap-southeast-2').id)).toBe(false);
  });
});
