import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { subscribeSchema, wantedReleases } from '../../core/recipe-subscription.ts';
import { listReleases } from '../../core/release-sight.ts';
import { rejected } from '../core/caught.ts';
import { awsError } from '../functions/fake-account.ts';
import { architectures, type Change, history, indexes, MIRROR, page } from './mirror-history.ts';
import { WatchedFactory } from './watched-factory.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const LAGGING = 'https://lagging.example';
const every = ['RELEASE', 'RC', 'BETA'];

let factory: WatchedFactory;
beforeEach(() => {
  factory = new WatchedFactory();
});

/** Goes to a change of the history, with all before it. */
function goTo(until: RegExp): void {
  const index = history.findIndex(({ what }) => until.test(what));
  if (index < 0) throw new Error(`the history has no ${until}`);
  for (const change of history.slice(0, index + 1)) factory.mirror.apply(change);
  factory.time = Date.parse(history[index]?.at ?? '');
}

/** A run whose failure is for the alarm. */
async function failingRun(): Promise<string> {
  const error = await rejected(factory.run());
  expect(error.name).toBe('WatchIncomplete');
  return error.message;
}

describe('a directory index', () => {
  test.each(indexes)('as $name writes it', async ({ html }) => {
    const look = await listReleases(MIRROR, 'amd64', { read: async () => ({ status: 'found', text: html }) });
    expect(look).toEqual({ status: 'seen', value: ['15.1-BETA1', '15.0-RELEASE', '14.3-RELEASE'] });
  });

  test.each(['', page, '{"error":"rate limit"}', '<a href="../">../</a>'])(
    'is not what lists no releases: %j',
    async (text) => {
      const look = await listReleases(MIRROR, 'amd64', { read: async () => ({ status: 'found', text }) });
      expect(look.status).toBe('failed');
    },
  );

  test('is read in linear time, whatever it is', async () => {
    const begun = performance.now();
    for (const piece of ['<a ', '<a href="', '<a href= ', 'href=', "<a href='x' "]) {
      const text = `<a ${piece.repeat(50_000)}`;
      await listReleases(MIRROR, 'amd64', { read: async () => ({ status: 'found', text }) });
    }
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});

/** Plays the history, with a run at each change and in each of the two hours after it. */
async function play(changes: readonly Change[] = history): Promise<void> {
  for (const change of changes) {
    factory.mirror.apply(change);
    factory.time = Date.parse(change.at);
    for (let hour = 0; hour < 3; hour++, factory.time += HOUR) {
      const down = factory.mirror.answers !== 'all';
      if (down) await failingRun();
      else await factory.run();
    }
  }
}

describe('as 15.1 appears,', () => {
  test('a subscription to the newest release is built once for each', async () => {
    factory.subscribe('web', { subscribe: { architectures: ['amd64', 'arm64'] } });
    await play();
    expect(factory.builds).toEqual([
      '15.0-RELEASE amd64',
      '15.0-RELEASE arm64',
      '15.1-RELEASE amd64',
      '15.1-RELEASE arm64',
      // Rebuilt two days later.
      '15.1-RELEASE amd64',
      '15.1-RELEASE arm64',
    ]);
    const arm = factory.started.find(
      ({ recipe }) => recipe.release === '15.1-RELEASE' && recipe.architecture === 'arm64',
    );
    expect(new Date(arm?.at ?? 0).toISOString()).toBe('2026-06-11T09:00:00.000Z');
  });

  test('a subscription to all kinds is built of each, as soon as it is whole', async () => {
    factory.subscribe('web', { subscribe: { releases: ['15.*'], kinds: every } });
    await play();
    expect(
      factory.started.map(({ recipe, at }) => [recipe.release, new Date(at).toISOString().slice(0, 13)]),
    ).toEqual([
      ['15.0-RELEASE', '2026-04-20T00'],
      ['15.1-BETA1', '2026-05-01T10'],
      ['15.1-BETA2', '2026-05-08T09'],
      ['15.1-RC1', '2026-05-15T09'],
      ['15.1-RELEASE', '2026-06-10T09'],
      ['15.1-RELEASE', '2026-06-12T15'],
    ]);
  });

  test('a subscription with patches is built again for them, and never for fewer', async () => {
    factory.subscribe('web', { updates: 'at-build', subscribe: { releases: ['15.*'], patches: true } });
    await play();
    expect(
      factory.started.map(({ recipe, at }) => [recipe.release, new Date(at).toISOString().slice(0, 10)]),
    ).toEqual([
      ['15.0-RELEASE', '2026-04-20'],
      ['15.0-RELEASE', '2026-05-10'],
      ['15.1-RELEASE', '2026-06-10'],
      ['15.1-RELEASE', '2026-06-12'],
      ['15.1-RELEASE', '2026-07-01'],
    ]);
  });

  test('releases that are whole are told of once each, but for the first day', async () => {
    await play();
    expect(
      factory.notices.map(({ what, detail }) =>
        [`${what}:`, detail.release, detail.architecture, detail.builtOn].join(' '),
      ),
    ).toEqual([
      'Release Seen: 15.1-BETA1 amd64 2026-05-01',
      'Release Seen: 15.1-BETA1 arm64 2026-05-01',
      'Release Seen: 15.1-BETA2 amd64 2026-05-08',
      'Release Seen: 15.1-BETA2 arm64 2026-05-08',
      'Release Seen: 15.1-RC1 amd64 2026-05-15',
      'Release Seen: 15.1-RC1 arm64 2026-05-15',
      'Release Seen: 15.1-RELEASE amd64 2026-06-10',
      'Release Seen: 15.1-RELEASE arm64 2026-06-10',
      'Release Seen: 15.1-RELEASE amd64 2026-06-12',
      'Release Seen: 15.1-RELEASE arm64 2026-06-12',
    ]);
  });

  test('what was seen is noted with its patch level, and stays noted when it goes', async () => {
    await play(history.slice(0, 9));
    const { checkedAt, releases } = JSON.parse(factory.objects.get('releases.json') ?? '');
    expect(checkedAt).toBe('2026-05-15T11:00:00.000Z');
    expect(releases).toContainEqual({
      release: '15.0-RELEASE',
      architecture: 'arm64',
      builtOn: '2025-11-28',
      revision: '7aedc8de6446',
      patchLevel: 5,
      firstSeenAt: '2026-04-20T00:00:00.000Z',
    });
    expect(releases).toContainEqual(
      expect.objectContaining({ release: '15.1-BETA1', architecture: 'amd64' }),
    );
  });
});

describe('nothing is started', () => {
  const wanting = (changes: Omit<Change, 'at' | 'what'>) => {
    factory.mirror.apply(changes);
    factory.subscribe('web', { subscribe: { releases: ['15.1'] } });
  };
  test.each([
    ['listed', /MANIFEST/],
    ['without-manifest', /has no MANIFEST/],
    ['truncated', /not a MANIFEST|not in/],
    ['without-sets', /base\.txz is not there/],
    ['without-revision', /has no REVISION/],
  ])('of a release that is %s, and the log says so', async (state, because) => {
    wanting({
      amd64: { '15.1-RELEASE': `${state} 20260610 4d3c2b1a5e6f` },
      arm64: { '15.0-RELEASE': 'whole 20251128 7aedc8de6446' },
    });
    expect(await factory.run()).toMatchObject({ started: 0, waiting: 1 });
    expect(factory.lines).toContainEqual({
      message: 'waits',
      recipe: 'web',
      release: '15.1-RELEASE',
      architecture: 'amd64',
      because: expect.stringMatching(because),
    });
  });

  test.each([
    ['page', /lists no releases/],
    ['nothing', /ECONNREFUSED/],
  ] as const)('while a mirror answers %s, which is an error of the run', async (answers, because) => {
    wanting({ answers, amd64: { '15.1-RELEASE': 'whole 20260610 4d3c2b1a5e6f' } });
    expect(await failingRun()).toMatch(because);
    expect(factory.started).toEqual([]);
  });

  test('when two mirrors of a recipe disagree', async () => {
    goTo(/BETA1 is whole/);
    const other = 'https://stale.example';
    const { read } = factory.mirror;
    factory.mirror.read = async (url) => {
      const answer = await read(url.replace(other, MIRROR));
      return url.startsWith(other) && url.endsWith('MANIFEST') && answer.status === 'found'
        ? { status: 'found', text: answer.text.replace('12', '13') }
        : answer;
    };
    factory.subscribe('web', { mirrors: [MIRROR, other] });
    await factory.run();
    expect(factory.started).toEqual([]);
    expect(factory.lines).toContainEqual(
      expect.objectContaining({ because: expect.stringContaining('differ') }),
    );
  });
});

describe('one of several mirrors', () => {
  test('that is down is an error of the run, and the other serves', async () => {
    goTo(/^before/);
    const { read } = factory.mirror;
    factory.mirror.read = async (url) =>
      url.startsWith('https://down.example') ? { status: 'unreachable', reason: 'ETIMEDOUT' } : read(url);
    factory.subscribe('web', { mirrors: ['https://down.example', MIRROR] });
    expect(await failingRun()).toMatch(/down\.example.*ETIMEDOUT/);
    expect(factory.builds).toEqual(['15.0-RELEASE amd64']);
  });

  test('that is down, while the other lags: the newest that was ever seen stays the newest', async () => {
    goTo(/^before/);
    factory.mirror.apply({ amd64: { '15.1-RELEASE': 'whole 20260610 4d3c2b1a5e6f' } });
    factory.subscribe('web', { mirrors: [MIRROR, LAGGING] });
    const { read } = factory.mirror;
    const whole = factory.mirror.read;
    let down = false;
    factory.mirror.read = async (url) => {
      if (url.startsWith(MIRROR)) return down ? { status: 'unreachable', reason: 'ETIMEDOUT' } : whole(url);
      if (url.includes('15.1-RELEASE')) return { status: 'absent' };
      const answer = await read(url.replace(LAGGING, MIRROR));
      return answer.status === 'found'
        ? { status: 'found', text: answer.text.replaceAll('15.1-RELEASE', 'ISO') }
        : answer;
    };
    await factory.run();
    down = true;
    factory.time += HOUR;
    expect(await failingRun()).toMatch(/web of 15\.1-RELEASE amd64/);
    expect(factory.builds).toEqual(['15.1-RELEASE amd64']);
  });

  test('that is silent is asked once, and keeps no other subscription back', async () => {
    goTo(/^before/);
    const { read } = factory.mirror;
    let asked = 0;
    factory.mirror.read = async (url) => {
      if (!url.startsWith('https://down.example')) return await read(url);
      asked++;
      return { status: 'unreachable', reason: 'ETIMEDOUT', silent: true };
    };
    for (const name of ['web-a', 'web-b', 'web-c'])
      factory.subscribe(name, { mirrors: ['https://down.example', MIRROR] });
    expect(await failingRun()).toMatch(/down\.example.*ETIMEDOUT/);
    expect(asked).toBe(1);
    expect(factory.builds).toHaveLength(3);
  });
});

describe('a run that takes too long', () => {
  test('ends in time, says what it did not look at, and each subscription has its turn', async () => {
    goTo(/^before/);
    const names = ['web-a', 'web-b', 'web-c', 'web-d'];
    for (const name of names) factory.subscribe(name);
    const put = factory.records.put.bind(factory.records);
    factory.records.put = async (key, text) => {
      if (key.startsWith('started/')) factory.time += 200_000;
      await put(key, text);
    };
    for (let run = 0; run < 4; run++, factory.time += HOUR) {
      expect(await failingRun()).toMatch(/3 of 4 combinations, from web-. 15\.0-RELEASE amd64 on, were not/);
    }
    expect(await factory.run()).toMatchObject({ started: 0, waiting: 0 });
    expect(new Set(factory.started.map(({ recipe }) => recipe.name))).toEqual(new Set(names));
  });

  test('asks no mirror when there is no time for an answer', async () => {
    goTo(/^before/);
    factory.subscribe('web');
    const { read } = factory.mirror;
    factory.mirror.read = async (url) => {
      factory.time += 200_000;
      return await read(url);
    };
    expect(await failingRun()).toMatch(/not asked: the run has no time left/);
    expect(factory.started).toEqual([]);
  });
});

describe('a build', () => {
  beforeEach(() => goTo(/^before/));

  test('is started with the recipe for that release and architecture, and nothing of the subscription', async () => {
    factory.subscribe('web', { release: '14.3-RELEASE', subscribe: { architectures: ['arm64'] } });
    await factory.run();
    const recipe = { name: 'web', release: '15.0-RELEASE', architecture: 'arm64', mirrors: [MIRROR] };
    expect(factory.started[0]?.name).toBe(factory.nameOf(recipe));
    expect(factory.started[0]?.recipe.subscribe).toBeUndefined();
  });

  test('that somebody started by hand is the one', async () => {
    factory.subscribe('web');
    factory.outcome = undefined;
    await factory.run();
    const name = factory.started[0]?.name ?? '';
    factory.objects.delete([...factory.objects.keys()].find((key) => key.startsWith('started/')) ?? '');
    expect(await factory.run()).toMatchObject({ started: 0, waiting: 1 });
    factory.end(name, 'SUCCEEDED');
    expect(await factory.run()).toMatchObject({ started: 0, waiting: 0 });
  });

  test('of a recipe that has changed is another; of a subscription that has changed it is not', async () => {
    factory.subscribe('web');
    await factory.run();
    factory.subscribe('web', { subscribe: { maxAge: 90 } });
    await factory.run();
    expect(factory.started).toHaveLength(1);
    factory.subscribe('web', { packages: ['nginx'] });
    await factory.run();
    expect(factory.started).toHaveLength(2);
  });

  test('that fails is tried after a day, then after two, four, seven and seven', async () => {
    factory.subscribe('web');
    factory.outcome = 'FAILED';
    for (let hour = 0; hour < 24 * 30; hour += 8, factory.time += 8 * HOUR) await factory.run();
    const begun = factory.started[0]?.at ?? 0;
    expect(factory.started.map(({ at }) => (at - begun) / DAY)).toEqual([0, 1, 3, 7, 14, 21, 28]);
  });

  test('is tried by its failures in a row only', async () => {
    factory.subscribe('web', { subscribe: { maxAge: 10 } });
    const outcomes = ['FAILED', 'FAILED', 'SUCCEEDED', 'FAILED', 'FAILED'] as const;
    for (let hour = 0; hour < 24 * 20; hour += 8, factory.time += 8 * HOUR) {
      factory.outcome = outcomes[factory.started.length] ?? 'SUCCEEDED';
      await factory.run();
    }
    const begun = factory.started[0]?.at ?? 0;
    expect(factory.started.map(({ at }) => Math.floor((at - begun) / DAY))).toEqual([0, 1, 3, 13, 14, 16]);
  });

  test('is not repeated for base packages of which there is an image already', async () => {
    factory.subscribe('web', { updates: 'at-build', subscribe: { patches: true } });
    await factory.run();
    const [image] = factory.images;
    if (image === undefined) throw new Error('nothing was built');
    const now = image.tags['ami-foundry:patches'] ?? '';
    // The newest was made of a catalogue that was taken back since.
    factory.images.push({
      ...image,
      startedAt: factory.time + HOUR,
      tags: { ...image.tags, 'ami-foundry:patches': 'abcdefabcdef' },
    });
    factory.time += 2 * DAY;
    expect(await factory.run()).toMatchObject({ started: 0 });
    factory.images.splice(0, 1);
    expect(now).toBe('p4');
    expect(await factory.run()).toMatchObject({ started: 1 });
  });

  test('that has a name again is judged by when it ran, not by its number', async () => {
    factory.subscribe('web', { subscribe: { maxAge: 1 } });
    for (let day = 0; day < 5; day++, factory.time += 1.1 * DAY) await factory.run();
    const [first, second] = factory.started;
    const held = factory.executions.get(first?.name ?? '');
    if (held === undefined || second === undefined) throw new Error('too few were built');
    const startedAt = new Date(factory.time - HOUR).toISOString();
    held.run = { ...held.run, status: 'FAILED', startedAt, endedAt: startedAt };
    expect(await factory.run()).toMatchObject({ started: 0 });
  });

  test('is not repeated because its image was deleted, or put away', async () => {
    factory.subscribe('web');
    await factory.run();
    const [image] = factory.images.splice(0);
    factory.time += 3 * DAY;
    await factory.run();
    if (image) factory.images.push({ ...image, state: 'disabled' });
    factory.executions.clear();
    await factory.run();
    expect(factory.started).toHaveLength(1);
  });

  test('is repeated when its image is too old, and not again while the same comes out', async () => {
    factory.subscribe('web', { subscribe: { maxAge: 10 } });
    for (let hour = 0; hour < 24 * 25; hour += 8, factory.time += 8 * HOUR) await factory.run();
    const begun = factory.started[0]?.at ?? 0;
    expect(factory.started.map(({ at }) => Math.floor((at - begun) / DAY))).toEqual([0, 10, 20]);
    expect(factory.images).toHaveLength(1);
  });

  test('whose name Step Functions has forgotten gets the name after that of the last', async () => {
    factory.subscribe('web', { subscribe: { maxAge: 10 } });
    for (let day = 0; day < 200; day++, factory.time += DAY) {
      for (const [name, { run }] of factory.executions) {
        if (run.endedAt !== null && factory.time - Date.parse(run.endedAt) > 90 * DAY)
          factory.executions.delete(name);
      }
      await factory.run();
    }
    const names = factory.started.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toHaveLength(19);
  });

  test('that is not tested yet, or waits for a next attempt, counts for none', async () => {
    factory.subscribe('web');
    await factory.run();
    const [image] = factory.images.splice(0);
    if (image === undefined) throw new Error('nothing was built');
    factory.executions.clear();
    const { 'ami-foundry:boot-tested': _tested, ...untested } = image.tags;
    for (const tags of [untested, { ...image.tags, 'ami-foundry:resumable-until': '2027-01-01T00:00:00Z' }]) {
      factory.images.splice(0, Number.POSITIVE_INFINITY, { ...image, tags });
      factory.objects.clear();
      factory.subscribe('web');
      factory.executions.clear();
      factory.outcome = undefined;
      expect(await factory.run()).toMatchObject({ started: 1 });
    }
  });

  test('whose image a matrix held, and took back when it failed, was not built', async () => {
    factory.subscribe('web');
    await factory.run();
    const [build] = factory.executions.values();
    if (build === undefined) throw new Error('nothing was built');
    factory.images.splice(0);
    factory.time += 2 * DAY;
    expect(await factory.run()).toMatchObject({ started: 0 });
    build.output = JSON.stringify({ held: { matrix: 'web-matrix-0123456789ab' } });
    expect(await factory.run()).toMatchObject({ started: 1 });
    expect(await factory.run()).toMatchObject({ started: 0 });
  });

  test('waits when five were started in a run', async () => {
    for (let count = 0; count < 7; count++) factory.subscribe(`web-${count}`);
    expect(await factory.run()).toMatchObject({ started: 5, waiting: 2 });
    expect(await factory.run()).toMatchObject({ started: 2, waiting: 0 });
  });
});

test('an event that cannot be put is told by the next run, and no other one is told again', async () => {
  goTo(/^before/);
  await factory.run();
  goTo(/BETA1 is whole/);
  factory.failures.set('tell Release Seen 15.1-BETA1 amd64', new Error('no'));
  expect(await failingRun()).toMatch(/Release Seen of 15\.1-BETA1\/amd64\/\S+\/2026-05-01: Error: no/);
  factory.failures.clear();
  await factory.run();
  await factory.run();
  expect(factory.notices.map(({ detail }) => detail.architecture)).toEqual(['arm64', 'amd64']);
});

describe('what is broken does not keep the others back, and is an error at the end:', () => {
  beforeEach(() => goTo(/^before/));

  test('a subscription', async () => {
    factory.subscribe('web');
    factory.objects.set('subscriptions/bad.json', '{');
    factory.subscribe('odd', { packages: 'nginx' });
    const message = await failingRun();
    expect(message).toMatch(/subscriptions\/bad\.json: SyntaxError/);
    expect(message).toMatch(/subscriptions\/odd\.json: InvalidRecipe.*packages/);
    expect(factory.builds).toEqual(['15.0-RELEASE amd64']);
  });

  test('a start', async () => {
    factory.subscribe('a-web');
    factory.subscribe('b-web');
    const name = factory.nameOf({
      name: 'a-web',
      release: '15.0-RELEASE',
      architecture: 'amd64',
      mirrors: [MIRROR],
    });
    factory.failures.set(`start ${name}`, awsError('AccessDeniedException'));
    expect(await failingRun()).toMatch(/a-web of 15\.0-RELEASE amd64: AccessDeniedException/);
    expect(factory.started.map(({ recipe }) => recipe.name)).toEqual(['b-web']);
  });

  test('the update server, for those who ask for patches', async () => {
    factory.subscribe('a-web');
    factory.subscribe('b-web', { updates: 'at-build', subscribe: { patches: true } });
    factory.mirror.bytes = async () => ({ status: 'unreachable', reason: 'ETIMEDOUT' });
    expect(await failingRun()).toMatch(/b-web of .*the update server did not answer/);
    expect(factory.started.map(({ recipe }) => recipe.name)).toEqual(['a-web']);
  });

  test('a release of which nobody can tell', async () => {
    factory.subscribe('web');
    const { read } = factory.mirror;
    factory.mirror.read = async (url) =>
      url.includes('15.0-RELEASE') ? { status: 'unreachable', reason: 'HTTP 503' } : read(url);
    expect(await failingRun()).toMatch(/HTTP 503/);
    expect(factory.started).toEqual([]);
  });
});

test('a release that needs less than all of the sets is not kept waiting for the rest', async () => {
  factory.mirror.apply({
    amd64: { '15.0-RELEASE': 'without-sets 20251128 7aedc8de6446' },
    arm64: { '15.0-RELEASE': 'whole 20251128 7aedc8de6446' },
  });
  const { head } = factory.mirror;
  factory.mirror.head = async (url) =>
    /(base|kernel)\.txz$/.test(url) ? { status: 'found', bytes: 9, type: '' } : head(url);
  factory.subscribe('web');
  await factory.run();
  expect(factory.builds).toEqual(['15.0-RELEASE amd64']);
});

/** Turns of the event loop, in a number that a seed decides. */
const jitter = (seed: number) => {
  let state = seed;
  return async () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    for (let turns = (state >>> 16) % 4; turns > 0; turns--) await Promise.resolve();
  };
};

describe('whatever happens,', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('change' as const) }),
    fc.record({ kind: fc.constant('time' as const), hours: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ kind: fc.constant('run' as const), times: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('end' as const) }),
  );

  test('each combination is built exactly once for each time that FreeBSD built it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 5, maxLength: 60 }),
        fc.nat(),
        fc.boolean(),
        async (events, seed, instant) => {
          factory = new WatchedFactory(jitter(seed));
          // Each on its own: five starts in a run are enough for them.
          factory.subscribe('web', { subscribe: { architectures: [...architectures], kinds: every } });
          factory.subscribe('old', { subscribe: { releases: ['14.*'] } });
          factory.outcome = instant ? 'SUCCEEDED' : undefined;
          let next = 0;
          const change = () => {
            const step = history[next++];
            if (step === undefined) return;
            factory.mirror.apply(step);
            factory.time = Math.max(factory.time, Date.parse(step.at));
          };
          change();
          for (const one of events) {
            if (one.kind === 'change') change();
            else if (one.kind === 'time') factory.time += one.hours * HOUR;
            else if (one.kind === 'end') {
              for (const [name, { run }] of factory.executions) {
                if (run.status === 'RUNNING') factory.end(name, 'SUCCEEDED');
              }
            } else {
              await Promise.allSettled(Array.from({ length: one.times }, () => factory.run()));
            }
          }
          // At the end all is done: builds end, a day goes by, and what is due then is started.
          for (let day = 0; day < 3; day++, factory.time += DAY) {
            factory.mirror.answers = 'all';
            await Promise.all([factory.run(), factory.run()]);
            for (const [name, { run }] of factory.executions) {
              if (run.status === 'RUNNING') factory.end(name, 'SUCCEEDED');
            }
          }
          // Every build made an image of its own: none was for nothing.
          expect(factory.images).toHaveLength(factory.started.length);
          // And what is whole and wanted now is there, as it is now.
          for (const architecture of architectures) {
            const there = factory.mirror.releases(architecture);
            const subscribe = subscribeSchema.parse({ kinds: every });
            for (const release of wantedReleases(subscribe, [...there.keys()])) {
              const { state, revision } = there.get(release) ?? {};
              const image = factory.images.filter(({ build }) => {
                const started = factory.started.find(({ name }) => name === build)?.recipe;
                return started?.release === release && started.architecture === architecture;
              });
              const revisions = image.map(({ tags }) => tags['ami-foundry:revision']);
              if (state === 'whole') expect(revisions).toContain(revision);
            }
          }
          expect(await factory.run()).toMatchObject({ started: 0 });
        },
      ),
      { numRuns: 30 },
    );
  }, 60_000);

  test('a combination whose builds fail is tried once a day at most', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 60 }), fc.nat(), async (events, seed) => {
        factory = new WatchedFactory(jitter(seed));
        factory.subscribe('web', { subscribe: { kinds: every } });
        factory.outcome = 'FAILED';
        goTo(/^before/);
        for (const one of events) {
          if (one.kind === 'time') factory.time += one.hours * HOUR;
          if (one.kind === 'run') await Promise.all(Array.from({ length: one.times }, () => factory.run()));
        }
        const times = factory.started.map(({ at }) => at);
        expect(times.every((at, index) => index === 0 || at - (times[index - 1] ?? 0) >= DAY)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });
});
