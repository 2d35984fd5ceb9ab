import { beforeEach, describe, expect, test } from 'vitest';
import { type BusEventType, busEvents } from '../../core/events.ts';
import { buildTags, quarantineKey, tagKey } from '../../core/names.ts';
import type { ImageUse } from '../../core/ports.ts';
import { DAY } from '../../core/retention.ts';
import { retentionTag } from '../../core/retention-tag.ts';
import { type RetentionSummary, retention, retentionEvent } from '../../functions/events/retention.ts';
import { imageSpec } from './builds.ts';
import { awsError } from './fake-account.ts';
import { FakeWorld } from './fake-world.ts';

const HOME = 'eu-central-1';
const COPY = 'us-west-2';
const LINE = 'web/15/amd64/base/ufs';
const QUARANTINE_DAYS = 14;
const OTHER = '123456789012';

let world: FakeWorld;
let lines: { message: string; [field: string]: unknown }[];
let notices: { what: string; [field: string]: unknown }[];
/** Who uses images, by region. */
let users: Map<string, ImageUse[]>;
/** Whether a fault loses the answer of a call that was done, not the call. */
let late: boolean;

beforeEach(() => {
  world = new FakeWorld([HOME, COPY]);
  lines = [];
  notices = [];
  users = new Map([
    [HOME, []],
    [COPY, []],
  ]);
  late = false;
});

/** One region as the function sees it; every call that changes something may fail before or after. */
function ports(region: string) {
  const place = world.region(region);
  const changing = async (name: string, change: () => Promise<void> | void) => {
    if (!late) await world.call(`${region} ${name}`);
    await change();
    if (late) await world.call(`${region} ${name}`);
  };
  const taggable = (id: string) => {
    const held = place.heldImages.get(id) ?? place.heldSnapshots.get(id);
    if (held === undefined) throw awsError('InvalidID');
    return held as { tags: Readonly<Record<string, string>> };
  };
  const image = (id: string) => {
    const held = place.heldImages.get(id);
    if (held === undefined) throw awsError('InvalidAMIID.NotFound');
    return held;
  };
  return {
    ...place.ports(),
    images: {
      ...place.images,
      deregister: (id: string) => changing('deregister', () => place.images.deregister(id)),
    },
    snapshots: {
      ...place.snapshots,
      delete: (id: string) => changing('delete snapshot', () => place.snapshots.delete(id)),
    },
    parameters: place.imageParameters,
    uses: {
      of: async (ids: readonly string[]) => {
        await world.call(`${region} uses`);
        return (users.get(region) ?? []).filter(({ imageId }) => ids.includes(imageId));
      },
    },
    shelf: {
      // DisableImage: "Sets the AMI state to disabled and removes all launch permissions from the AMI".
      disable: (id: string) =>
        changing('disable', () => {
          image(id).state = 'disabled';
          place.permissions.delete(id);
        }),
      enable: (id: string) =>
        changing('enable', () => {
          image(id).state = 'available';
        }),
      mark: (ids: readonly string[], key: string, value: string) =>
        changing('mark', () => {
          for (const id of ids) taggable(id).tags = { ...taggable(id).tags, [key]: value };
        }),
      unmark: (ids: readonly string[], key: string) =>
        changing('unmark', () => {
          for (const id of ids) {
            const { [key]: _gone, ...tags } = taggable(id).tags;
            taggable(id).tags = tags;
          }
        }),
    },
  };
}

const run = (
  event: { retire?: string; restore?: string } = {},
  settings: { DRY_RUN?: boolean } = {},
): Promise<RetentionSummary> =>
  retention({
    places: [HOME, COPY],
    regions: ports,
    records: world.records,
    notices: {
      tell: async (what, detail) => {
        await world.call('tell');
        // As docs/events.md promises.
        busEvents[what as BusEventType].detail.parse(detail);
        notices.push({ what, ...detail });
      },
    },
    clock: { now: () => world.region(HOME).time },
    log: (message, fields) => lines.push({ message, ...fields }),
    undo: (imageId) => `undo ${imageId}`,
    settings: { DRY_RUN: false, QUARANTINE_DAYS, PARAMETER_PREFIX: '/images/', ...settings },
  })(event);

const later = (days: number) => {
  for (const region of world.regions.values()) region.time += days * DAY;
};

interface Made {
  readonly home: string;
  readonly copy: string;
  readonly snapshots: readonly string[];
  readonly digest: string;
}

let contents = 0;
/** An image of the line with a copy, both shared with another account and named by a parameter of their own; a day passes. */
function made(tag: object = {}, tags: Readonly<Record<string, string>> = {}): Made {
  contents += 1;
  const content = contents.toString(16).padStart(64, '0').split('').reverse().join('');
  const spec = {
    ...imageSpec(''),
    name: `web ${content.slice(0, 12)}`,
    tags: {
      ...buildTags(`web-${contents}`, 'image'),
      [tagKey.recipe]: 'web',
      [tagKey.contentDigest]: content,
      [tagKey.retention]: retentionTag({ line: LINE, never: false, ...tag }),
      ...tags,
    },
  };
  const [home, copy] = [HOME, COPY].map((region) => {
    const one = world.holdImage(region, spec);
    const place = world.region(region);
    place.permissions.set(one.imageId, new Set([OTHER]));
    const parameter = { value: one.imageId, version: 1, type: 'String', dataType: 'aws:ec2:image' };
    const name = `/images/web/${content.slice(0, 12)}`;
    place.published.set(name, parameter);
    users.get(region)?.push({ imageId: one.imageId, by: `parameter ${name}`, parameter: name });
    return one;
  });
  later(1);
  return {
    home: home?.imageId ?? '',
    copy: copy?.imageId ?? '',
    snapshots: [home?.snapshotId ?? '', copy?.snapshotId ?? ''],
    digest: content.slice(0, 12),
  };
}
const both = ({ home, copy }: Made) => [home, copy];
const image = (region: string, id: string) => world.region(region).heldImages.get(id);
const states = (one: Made) => [image(HOME, one.home)?.state, image(COPY, one.copy)?.state];
const use = (region: string, imageId: string, by: string, parameter?: string) =>
  users.get(region)?.push({ imageId, by, ...(parameter ? { parameter } : {}) });
/** Everything there is, without what only says when. */
const everything = () =>
  JSON.stringify(
    [...world.regions.values()].map((place) => [
      [...place.heldImages.values()].map(({ imageId, state, tags }) => [imageId, state, tags]),
      [...place.heldSnapshots.values()].map(({ snapshotId, tags }) => [snapshotId, tags]),
      [...place.permissions].map(([id, all]) => [id, ...[...all].sort()].join()).sort(),
      [...place.published.keys()],
    ]),
  ).replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'some time');

describe('an image that is too old', () => {
  let old: Made;
  let newest: Made;
  beforeEach(() => {
    old = made({ keep: 1 });
    newest = made({ keep: 1 });
  });

  test('is put away with its copy: disabled, tagged, its permissions written down; the newest is not touched', async () => {
    expect(await run()).toEqual({
      dryRun: false,
      quarantined: both(old),
      retired: [],
      restored: [],
      inUse: 0,
      waiting: 0,
      uncertain: 0,
    });
    expect(states(old)).toEqual(['disabled', 'disabled']);
    expect(states(newest)).toEqual(['available', 'available']);
    const at = new Date(world.region(HOME).time).toISOString();
    for (const [index, [region, id]] of [
      [HOME, old.home],
      [COPY, old.copy],
    ].entries()) {
      const place = world.region(region ?? '');
      expect(place.heldImages.get(id ?? '')?.tags[tagKey.quarantined]).toBe(at);
      expect(place.heldSnapshots.get(old.snapshots[index] ?? '')?.tags[tagKey.quarantined]).toBe(at);
      expect(JSON.parse(world.objects.get(quarantineKey(region ?? '', id ?? '')) ?? '')).toMatchObject({
        imageId: id,
        permissions: [OTHER],
        at,
      });
    }
  });

  test('whoever listens is told, with the command that undoes it and the day when it goes', async () => {
    await run();
    const told = {
      name: `web ${old.digest}`,
      line: LINE,
      regions: { [HOME]: old.home, [COPY]: old.copy },
      deletedAfter: new Date(world.region(HOME).time + QUARANTINE_DAYS * DAY).toISOString(),
      undo: `undo ${old.home}`,
    };
    expect(notices).toEqual([{ what: 'Image Quarantined', ...told }]);
    expect(lines).toContainEqual({ message: 'quarantined', ...told });
  });

  test('goes when its time in quarantine is over, to the millisecond, with snapshots and its own parameter', async () => {
    await run();
    later(QUARANTINE_DAYS);
    for (const region of world.regions.values()) region.time -= 1;
    expect(await run()).toMatchObject({ quarantined: [], retired: [], waiting: 2 });
    for (const region of world.regions.values()) region.time += 1;
    expect(await run()).toMatchObject({ retired: both(old), waiting: 0, uncertain: 0 });
    for (const [index, region] of [HOME, COPY].entries()) {
      const place = world.region(region);
      expect([...place.heldImages.keys()]).toEqual([both(newest)[index]]);
      expect([...place.heldSnapshots.keys()]).toEqual([newest.snapshots[index]]);
      expect([...place.published.keys()]).toEqual([`/images/web/${newest.digest}`]);
    }
    expect(notices.map(({ what }) => what)).toEqual(['Image Quarantined', 'Image Retired']);
  });

  test('once more is no other: the second run changes nothing', async () => {
    await run();
    const before = everything();
    const { length } = world.calls.filter((call) => !call.endsWith(' uses'));
    expect(await run()).toMatchObject({ quarantined: [], retired: [], waiting: 2, uncertain: 0 });
    expect(everything()).toBe(before);
    expect(world.calls.filter((call) => !call.endsWith(' uses'))).toHaveLength(length);
    later(QUARANTINE_DAYS);
    await run();
    expect(await run()).toMatchObject({ retired: [], waiting: 0, uncertain: 0 });
  });

  test('is only told of in a dry run', async () => {
    const before = everything();
    const dry = { DRY_RUN: true };
    expect(await run({}, dry)).toMatchObject({ dryRun: true, quarantined: both(old) });
    expect(await run({ retire: newest.home }, dry)).toMatchObject({ quarantined: both(newest) });
    expect(everything()).toBe(before);
    await run();
    later(QUARANTINE_DAYS);
    const put = everything();
    expect(await run({}, dry)).toMatchObject({ retired: both(old) });
    expect(await run({ restore: old.home }, dry)).toMatchObject({ restored: [] });
    expect(everything()).toBe(put);
    expect(lines.map(({ message }) => message)).toEqual(
      expect.arrayContaining(['would quarantine', 'would retire']),
    );
  });

  test.each([
    ['an instance that is stopped', HOME, 'instance i-1 (stopped)'],
    ['one version of a launch template in the other region', COPY, 'launch template web version 3'],
    ['a launch configuration', HOME, 'launch configuration web'],
  ])('stays while it is in use by %s', async (_what, region, by) => {
    use(region, region === HOME ? old.home : old.copy, by);
    const before = everything();
    expect(await run()).toMatchObject({ quarantined: [], inUse: 2, uncertain: 0 });
    expect(everything()).toBe(before);
    expect(lines[0]).toMatchObject({ message: 'in use', users: [`${region}: ${by}`] });
  });

  test.each([
    ['/images/web/latest', 0],
    ['/other/web', 0],
    [`/other/`, 0],
  ])('stays while the parameter %s names it', async (name) => {
    const parameter = name === '/other/' ? `/other/${old.digest}` : name;
    use(COPY, old.copy, `parameter ${parameter}`, parameter);
    expect(await run()).toMatchObject({ quarantined: [], inUse: 2 });
  });

  test('stays while EC2 protects it from deregistration, or it was launched a week ago', async () => {
    const held = image(COPY, old.copy);
    if (held === undefined) throw new Error('no copy');
    held.isProtected = true;
    expect(await run()).toMatchObject({ inUse: 2, quarantined: [] });
    held.isProtected = false;
    later(100);
    held.launchedAt = world.region(HOME).time - 7 * DAY;
    expect(await run()).toMatchObject({ inUse: 2, quarantined: [] });
    later(100);
    expect(await run()).toMatchObject({ inUse: 0, quarantined: both(old) });
  });

  test.each(['Throttling', 'UnauthorizedOperation', 'ServiceUnavailable'])(
    'stays while one region does not say who uses it (%s), which is told',
    async (code) => {
      world.fault = (call) => (call === `${COPY} uses` ? awsError(code) : undefined);
      const before = everything();
      await expect(run()).rejects.toMatchObject({
        name: 'RetentionIncomplete',
        message: expect.stringContaining(`- ${COPY}: who uses its images is not certain: ${code}`),
      });
      expect(everything()).toBe(before);
    },
  );

  test('stays while one region does not list its images, in quarantine too', async () => {
    const fail = () => world.region(COPY).failures.set('images.findOfAnyBuild', awsError('Throttling'));
    fail();
    const before = everything();
    await expect(run()).rejects.toMatchObject({ name: 'RetentionIncomplete' });
    expect(everything()).toBe(before);
    await run();
    later(QUARANTINE_DAYS);
    fail();
    const put = everything();
    await expect(run()).rejects.toMatchObject({ name: 'RetentionIncomplete' });
    expect(everything()).toBe(put);
  });

  test('that is used although in quarantine stays, and people are asked', async () => {
    await run();
    use(HOME, old.home, 'instance i-9 (running)');
    later(QUARANTINE_DAYS);
    const put = everything();
    await expect(run()).rejects.toMatchObject({
      name: 'RetentionIncomplete',
      message: expect.stringMatching(new RegExp(`instance i-9 \\(running\\).*undo ${old.home}`)),
    });
    expect(everything()).toBe(put);
  });

  test('that its recipe keeps again stays in quarantine, and people are asked', async () => {
    await run();
    const held = image(HOME, newest.home);
    if (held === undefined) throw new Error('no image');
    held.tags = { ...held.tags, [tagKey.retention]: retentionTag({ line: LINE, never: false }) };
    later(QUARANTINE_DAYS);
    await expect(run()).rejects.toMatchObject({
      message: expect.stringContaining(`its recipe keeps it now: undo ${old.home}`),
    });
    expect(states(old)).toEqual(['disabled', 'disabled']);
  });

  test('that somebody else has disabled is left to them', async () => {
    const held = image(HOME, old.home);
    if (held === undefined) throw new Error('no image');
    held.state = 'disabled';
    expect(await run()).toMatchObject({ quarantined: [], uncertain: 0 });
    expect(states(old)).toEqual(['disabled', 'available']);
  });

  test('of which a copy is still being made stays', async () => {
    const held = image(COPY, old.copy);
    if (held === undefined) throw new Error('no image');
    held.state = 'pending';
    await expect(run()).rejects.toMatchObject({ message: expect.stringContaining('is pending') });
    expect(states(old)).toEqual(['available', 'pending']);
  });

  test.each([
    ['retention', 'keep=1'],
    ['retention', 'for ever'],
    ['quarantined', 'soon'],
  ] as const)(
    'stays while the tag %s of any image of its recipe is %j, which is told',
    async (key, value) => {
      const held = image(COPY, newest.copy);
      if (held === undefined) throw new Error('no image');
      held.tags = { ...held.tags, [tagKey[key]]: value };
      await expect(run()).rejects.toMatchObject({
        message: expect.stringContaining(`${newest.copy} in ${COPY}: its tag ${tagKey[key]} is "${value}"`),
      });
      expect(states(old)).toEqual(['available', 'available']);
    },
  );

  test('leaves a snapshot to the image that somebody else has made of it', async () => {
    await run();
    later(QUARANTINE_DAYS);
    const [snapshotId = ''] = old.snapshots;
    world.region(HOME).holdImage({ ...imageSpec(snapshotId), name: 'their own', tags: {} }, 'available');
    expect(await run()).toMatchObject({ retired: both(old), uncertain: 0 });
    expect(await run()).toMatchObject({ uncertain: 0 });
    expect(world.region(HOME).heldSnapshots.has(snapshotId)).toBe(true);
  });
});

describe('an image in quarantine', () => {
  let old: Made;
  beforeEach(async () => {
    old = made({ keep: 1 });
    made({ keep: 1 });
    world
      .region(COPY)
      .permissions.set(old.copy, new Set(['all', OTHER, 'arn:aws:organizations::1:organization/o-1']));
  });

  test('comes back by one command exactly as it was, with its copies, and stays for good', async () => {
    const before = everything();
    await run();
    expect(await run({ restore: old.copy })).toMatchObject({ restored: both(old) });
    expect(everything().match(/ never/g)).toHaveLength(2);
    expect(everything().replaceAll(' never', '')).toBe(before);
    later(1000);
    expect(await run()).toMatchObject({ quarantined: [], uncertain: 0 });
    expect(notices.map(({ what }) => what)).toEqual(['Image Quarantined', 'Image Restored']);
  });

  test('that somebody has enabled by hand only stays, and people are asked', async () => {
    await run();
    const held = image(HOME, old.home);
    if (held === undefined) throw new Error('no image');
    held.state = 'available';
    later(QUARANTINE_DAYS);
    await expect(run()).rejects.toMatchObject({
      message: expect.stringContaining(`is in quarantine and enabled: undo ${old.home}`),
    });
    expect(states(old)).toEqual(['available', 'disabled']);
    await run({ restore: old.home });
    expect(states(old)).toEqual(['available', 'available']);
    expect(await run()).toMatchObject({ uncertain: 0 });
  });
});

describe('by hand', () => {
  test('an image is put away whatever its recipe says, and goes like others', async () => {
    const one = made();
    expect(await run({ retire: one.copy })).toMatchObject({ quarantined: both(one) });
    expect(await run()).toMatchObject({ waiting: 2 });
    later(QUARANTINE_DAYS);
    expect(await run()).toMatchObject({ retired: both(one) });
  });

  test('but not one that is in use: ImageInUse says by whom', async () => {
    const one = made();
    use(COPY, one.copy, 'instance i-1 (running)');
    await expect(run({ retire: one.home })).rejects.toMatchObject({
      name: 'ImageInUse',
      message: expect.stringContaining(`- ${COPY}: instance i-1 (running)`),
    });
    expect(states(one)).toEqual(['available', 'available']);
  });

  test('nor while a region does not answer', async () => {
    const one = made();
    world.fault = (call) => (call === `${COPY} uses` ? awsError('Throttling') : undefined);
    await expect(run({ retire: one.home })).rejects.toMatchObject({ name: 'ImageInUse' });
    world.fault = () => undefined;
    world.region(COPY).failures.set('images.findOfAnyBuild', awsError('Throttling'));
    await expect(run({ retire: one.home })).rejects.toMatchObject({ name: 'ImageInUse' });
    expect(states(one)).toEqual(['available', 'available']);
  });

  test('what comes back comes back where it can be seen', async () => {
    const one = made();
    await run({ retire: one.home });
    world.region(COPY).failures.set('images.findOfAnyBuild', awsError('Throttling'));
    await expect(run({ restore: one.home })).rejects.toMatchObject({ name: 'RetentionIncomplete' });
    expect(states(one)).toEqual(['available', 'disabled']);
    expect(await run({ restore: one.home })).toMatchObject({ restored: [one.copy] });
    expect(states(one)).toEqual(['available', 'available']);
  });

  test.each(['retire', 'restore'] as const)(
    '%s of what is not the factory’s is ImageUnknown',
    async (what) => {
      await expect(run({ [what]: 'ami-0000000000000beef' })).rejects.toMatchObject({ name: 'ImageUnknown' });
    },
  );

  test('the event names AMIs and nothing else', () => {
    expect(retentionEvent.input.safeParse({}).success).toBe(true);
    expect(retentionEvent.input.safeParse({ retire: 'ami-0123456789abcdef0' }).success).toBe(true);
    expect(retentionEvent.input.safeParse({ restore: '*' }).success).toBe(false);
  });
});

test('what waits for the next attempt of a failed build neither goes nor makes others go, until its time is over', async () => {
  const until = new Date(world.region(HOME).time + 30 * DAY).toISOString();
  const waiting = made({ keep: 1 });
  for (const [region, id] of [
    [HOME, waiting.home],
    [COPY, waiting.copy],
  ] as const) {
    const held = image(region, id);
    if (held) held.tags = { ...held.tags, [tagKey.resumableUntil]: until };
  }
  const newest = made({ keep: 1 }, { [tagKey.resumableUntil]: until });
  expect(await run()).toMatchObject({ quarantined: [], uncertain: 0 });
  later(30);
  expect(await run()).toMatchObject({ quarantined: both(waiting) });
  expect(states(newest)).toEqual(['available', 'available']);
});

test('what has no tag of retention is nobody’s', async () => {
  const foreign = made({ keep: 1 });
  for (const [region, id] of [
    [HOME, foreign.home],
    [COPY, foreign.copy],
  ] as const) {
    const held = image(region, id);
    if (held === undefined) throw new Error('no image');
    const { [tagKey.retention]: _gone, ...tags } = held.tags;
    held.tags = tags;
  }
  made({ keep: 1 });
  expect(await run()).toMatchObject({ quarantined: [], uncertain: 0 });
  expect(states(foreign)).toEqual(['available', 'available']);
});

describe.each([false, true])('a run that fails at any call (answer lost: %s)', (lost) => {
  /** Runs with a fault at one call, then again without. */
  async function faulty(index: number, event: { retire?: string; restore?: string } = {}): Promise<boolean> {
    late = lost;
    const start = world.calls.length;
    let met = false;
    world.fault = (_call, count) => {
      if (count !== start + index) return undefined;
      met = true;
      return awsError('InternalError');
    };
    await run(event).catch((error: Error) => error);
    world.fault = () => undefined;
    await run(event);
    return met;
  }

  test('is finished by the next', async () => {
    let ends = 0;
    for (let index = 1; ; index++) {
      world = new FakeWorld([HOME, COPY]);
      users = new Map([
        [HOME, []],
        [COPY, []],
      ]);
      const old = made({ keep: 1 });
      const newest = made({ keep: 1 });
      const before = everything();
      const putAway = await faulty(index);
      expect(states(old), `put away, call ${index}`).toEqual(['disabled', 'disabled']);
      const takenOut = await faulty(index, { restore: old.home });
      const pinned = everything().replaceAll(' never', '');
      expect(pinned, `restored, call ${index}`).toBe(before);
      await run({ retire: old.home });
      later(QUARANTINE_DAYS);
      const retired = await faulty(index);
      const left = [...world.regions.values()].flatMap((place) => [
        ...place.heldImages.keys(),
        ...place.heldSnapshots.keys(),
        ...place.published.keys(),
      ]);
      const name = `/images/web/${newest.digest}`;
      expect(left.toSorted(), `retired, call ${index}`).toEqual(
        [newest.home, newest.copy, ...newest.snapshots, name, name].toSorted(),
      );
      if (!putAway && !takenOut && !retired) break;
      ends = index;
    }
    expect(ends).toBeGreaterThan(8);
    console.log(`retention: ${ends} calls, each failed once (answer lost: ${lost}); nothing half done`);
  });
});
