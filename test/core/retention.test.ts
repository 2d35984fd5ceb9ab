import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DAY,
  LAUNCH_MEMORY,
  launchedLately,
  type RetainedImage,
  SETTLED_AFTER,
  unwanted,
} from '../../core/retention.ts';
import { imageLine, readRetentionTag, retentionTag } from '../../core/retention-tag.ts';

const now = Date.UTC(2026, 10, 26);
const LINE = 'web/15/amd64/base/ufs';
const wish = (more: object = {}) => ({ line: LINE, never: false, ...more });

const image = (content: string, days: number, tag: object = {}, more: object = {}): RetainedImage => ({
  region: 'eu-west-1',
  imageId: `ami-${content}`,
  home: true,
  content,
  tag: wish(tag),
  madeAt: now - days * DAY,
  settledAt: now - days * DAY + SETTLED_AFTER,
  launchable: true,
  ...more,
});
const copy = (content: string, days: number, more: object = {}) =>
  image(content, days, {}, { region: 'us-west-2', home: false, imageId: `ami-${content}-copy`, ...more });
const going = (images: readonly RetainedImage[], at = now) =>
  unwanted(images, at)
    .flatMap((edition) => edition.members.map(({ imageId }) => imageId))
    .sort();

describe('the tag', () => {
  test('is read as it was written', () =>
    fc.assert(
      fc.property(
        fc.record(
          {
            line: fc.constant(LINE),
            keep: fc.integer({ min: 1, max: 10 ** 9 - 1 }),
            days: fc.integer({ min: 1, max: 10 ** 9 - 1 }),
            wantedAt: fc.integer({ min: 0, max: 4 * 10 ** 12 }),
            never: fc.boolean(),
            gone: fc.boolean(),
          },
          { requiredKeys: ['line', 'never', 'gone'] },
        ),
        (tag) => {
          const text = retentionTag(tag);
          expect(text).toMatch(/^[\p{L}\d +\-=._:/@]{1,256}$/u);
          expect(readRetentionTag(text)).toEqual({
            keep: undefined,
            days: undefined,
            wantedAt: undefined,
            ...tag,
          });
        },
      ),
    ));
  test('of the longest names is within its 256 characters', () => {
    const line = imageLine({
      name: 'x'.repeat(40),
      release: '999.999-BETA99',
      architecture: 'amd64',
      flavour: 'cloud-init',
      filesystem: 'ufs',
    });
    const text = retentionTag({ line, keep: 999_999_999, days: 999_999_999, wantedAt: now, never: true });
    expect(text.length).toBeLessThan(160);
  });
  test.each([
    '',
    'keep=5',
    'line=x keep=0',
    'line=x keep=5.5',
    'line=x keep=5 keep=6',
    'line=x days=-1',
    'line=x kep=5',
    'line=x wanted=yesterday',
    'for ever',
  ])('%j is nothing that the factory writes', (text) => expect(readRetentionTag(text)).toBeUndefined());
  test('never, by hand, is enough to pin an image', () =>
    expect(readRetentionTag('never')).toMatchObject({ line: '', never: true }));
});

test('a line is one major release on one architecture, of one flavour and file system', () => {
  const of = (release: string) =>
    imageLine({ name: 'web', release, architecture: 'amd64', flavour: 'base', filesystem: 'ufs' });
  expect(of('15.1-RELEASE')).toBe(LINE);
  expect(of('15.2-RC1')).toBe(LINE);
  expect(of('14.3-RELEASE')).not.toBe(LINE);
  expect(of('custom')).toBe('web/custom/amd64/base/ufs');
});

describe('an image goes', () => {
  const five = (tag: object) => [1, 2, 3, 4, 5].map((age) => image(String(age), age * 10, tag));
  test('beyond the newest `keep`', () => expect(going(five({ keep: 3 }))).toEqual(['ami-4', 'ami-5']));
  test('after `days`, to the millisecond, but never the newest', () => {
    expect(going(five({ days: 30 }))).toEqual(['ami-3', 'ami-4', 'ami-5']);
    expect(going(five({ days: 30 }), now - 1)).toEqual(['ami-4', 'ami-5']);
    expect(going(five({ days: 1 }))).toEqual(['ami-2', 'ami-3', 'ami-4', 'ami-5']);
  });
  test('when neither speaks for it', () => {
    expect(going(five({ keep: 2, days: 40 }))).toEqual(['ami-4', 'ami-5']);
    expect(going(five({ keep: 4, days: 10 }))).toEqual(['ami-5']);
  });
  test('never without a wish', () => expect(going(five({}))).toEqual([]));
  test('by what the newest says, whatever was said when it was made', () => {
    const old = five({ keep: 1 }).slice(1);
    expect(going([image('1', 10, { keep: 4 }), ...old])).toEqual(['ami-5']);
    expect(going([image('1', 10), ...old])).toEqual([]);
    expect(going([image('1', 10, { keep: 1 }), ...five({}).slice(1)])).toHaveLength(4);
  });
  test('in its own line', () =>
    expect(going([image('1', 10, { keep: 1 }), image('2', 20, { line: 'web/14/amd64/base/ufs' })])).toEqual(
      [],
    ));
  test('not when it is pinned', () =>
    expect(going([image('1', 10, { keep: 1 }), image('2', 20, { never: true }), image('3', 30)])).toEqual([
      'ami-3',
    ]));
  test('when somebody says so, even the newest and without a wish, unless it is pinned', () => {
    expect(going([image('1', 10, { gone: true }), image('2', 20)])).toEqual(['ami-1']);
    expect(going([image('1', 10, { gone: true, never: true })])).toEqual([]);
  });
  test('with its copies, or not at all', () => {
    const newest = image('1', 10, { keep: 1 });
    expect(going([newest, image('2', 20), copy('2', 20)])).toEqual(['ami-2', 'ami-2-copy']);
    expect(going([newest, image('2', 20), copy('2', 20, { tag: wish({ never: true }) })])).toEqual([]);
    expect(going([newest, image('2', 20), copy('2', 0)])).toEqual([]);
    expect(going([newest, image('2', 20), copy('2', 20, { settledAt: now + 1 })])).toEqual([]);
  });
  test('as old as the day when a build last wanted it', () => {
    const images = [image('1', 10, { keep: 1 }), image('2', 90, { keep: 1, wantedAt: now - DAY })];
    expect(going(images)).toEqual(['ami-1']);
  });
});

describe('what is no reason for another to go', () => {
  const old = image('2', 20, { keep: 1 });
  test('an image that may still fail', () => {
    const at = (settledAt: number) => image('1', 1, { keep: 1 }, { settledAt });
    expect(going([at(now + 1), old])).toEqual([]);
    expect(going([at(Number.NaN), old])).toEqual([]);
    expect(going([at(now), old])).toEqual(['ami-2']);
  });
  test('an image that somebody wants gone', () =>
    expect(going([image('1', 10, { keep: 1, gone: true }), old])).toEqual(['ami-1']));
  test('an image that is put away', () =>
    expect(going([image('1', 10, { keep: 1 }, { launchable: false }), old])).toEqual([]));
  test('an image of which one copy cannot be launched', () =>
    expect(going([image('1', 10, { keep: 1 }), copy('1', 10, { launchable: false }), old])).toEqual([]));
  test('a copy without its original', () => expect(going([copy('1', 10), old])).toEqual([]));
});

describe('whatever the images', () => {
  const some = fc.array(
    fc.record({
      content: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
      line: fc.constantFrom('one', 'two'),
      age: fc.integer({ min: 0, max: 100 }),
      home: fc.boolean(),
      launchable: fc.boolean(),
      never: fc.boolean(),
      wanted: fc.option(fc.integer({ min: 0, max: 100 })),
      keep: fc.option(fc.integer({ min: 1, max: 5 })),
      days: fc.option(fc.integer({ min: 1, max: 100 })),
    }),
    { maxLength: 14 },
  );
  type Some = typeof some extends fc.Arbitrary<infer All> ? All : never;
  const made = (all: Some, change: object = {}) =>
    all.map((one, index) =>
      image(
        one.content,
        one.age,
        {
          line: one.line,
          never: one.never,
          keep: one.keep ?? undefined,
          days: one.days ?? undefined,
          wantedAt: one.wanted === null ? undefined : now - one.wanted * DAY,
          ...change,
        },
        { home: one.home, launchable: one.launchable, imageId: `ami-${index}` },
      ),
    );

  test('the newest that can be launched never goes, nor what is pinned, nor half of an edition', () =>
    fc.assert(
      fc.property(some, (all) => {
        const images = made(all);
        const gone = new Set(going(images));
        const editions = unwanted(images, now);
        for (const [line, of] of Map.groupBy(images, ({ tag }) => tag.line)) {
          const left = of.filter(({ imageId }) => !gone.has(imageId));
          const deliveredAt = ({ madeAt, tag }: RetainedImage) => Math.max(madeAt, tag.wantedAt ?? 0);
          if (left.length < of.length) {
            // Something that stands is left, and it is newer than whatever goes.
            const standing = left.filter(({ home, launchable }) => home && launchable);
            expect(standing).not.toEqual([]);
            const newest = Math.max(...standing.map(deliveredAt));
            for (const edition of editions.filter((each) => each.line === line))
              expect(edition.deliveredAt).toBeLessThanOrEqual(newest);
          }
          for (const each of of) {
            if (each.tag.never) expect(gone).not.toContain(each.imageId);
            for (const sibling of of.filter(({ content }) => content === each.content))
              expect(gone.has(sibling.imageId)).toBe(gone.has(each.imageId));
          }
        }
      }),
    ));

  test('a larger wish lets nothing more go', () =>
    fc.assert(
      fc.property(
        some,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 100 }),
        fc.nat(3),
        fc.nat(30),
        (all, keep, days, more, longer) => {
          const less = going(made(all, { keep, days }));
          const larger = going(made(all, { keep: keep + more, days: days + longer }));
          expect(less).toEqual(expect.arrayContaining(larger));
          expect(going(made(all, { keep, days: undefined }))).toEqual(expect.arrayContaining(less));
          expect(going(made(all, { days, keep: undefined }))).toEqual(expect.arrayContaining(less));
        },
      ),
    ));

  test('what goes today goes tomorrow, if nothing else has changed', () =>
    fc.assert(
      fc.property(some, fc.nat(50), (all, later) => {
        const images = made(all).filter(({ settledAt }) => now >= settledAt);
        expect(going(images, now + later * DAY)).toEqual(expect.arrayContaining(going(images)));
      }),
    ));
});

test('a launch in the last month is a use, but for that of the boot test', () => {
  const madeAt = now - 400 * DAY;
  expect(launchedLately(now - DAY, madeAt, now)).toBe(true);
  expect(launchedLately(now - LAUNCH_MEMORY + 1, madeAt, now)).toBe(true);
  expect(launchedLately(now - LAUNCH_MEMORY, madeAt, now)).toBe(false);
  expect(launchedLately(now - 2 * DAY, now - 2 * DAY - 3_600_000, now)).toBe(false);
});
