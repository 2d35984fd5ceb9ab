import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { imageDigest, parseRecipe, recipeDigest } from '../../core/recipe.ts';
import { type Subscribe, wantedReleases } from '../../core/recipe-subscription.ts';
import { buildInput } from '../../core/start-build.ts';
import { caught } from './caught.ts';
import { demo } from './legal-recipes.ts';

const subscribed = (subscribe: unknown, changes: object = {}) =>
  parseRecipe({ ...demo, ...changes, subscribe }).subscribe as Subscribe;

describe('a subscription', () => {
  test('of nothing in particular is that to the newest release', () => {
    expect(subscribed({})).toEqual({ releases: ['newest'], kinds: ['RELEASE'], patches: false });
  });

  test('makes no other build and no other image of a recipe', () => {
    const [plain, watched] = [parseRecipe(demo), parseRecipe({ ...demo, subscribe: { maxAge: 3 } })];
    expect(recipeDigest(watched)).toBe(recipeDigest(plain));
    expect(imageDigest(watched)).toBe(imageDigest(plain));
  });

  test.each<[unknown, object, RegExp]>([
    [{ releases: ['15'] }, {}, /subscribe\.releases\.0 must be newest, 15\.newest/],
    [{ releases: [15.1] }, {}, /subscribe\.releases\.0/],
    [{ releases: [] }, {}, /subscribe\.releases must name at least one/],
    [{ kinds: ['ALPHA'] }, {}, /subscribe\.kinds/],
    [{ architectures: ['riscv64'] }, {}, /subscribe\.architectures/],
    [{ maxAge: 0 }, {}, /subscribe\.maxAge must be at least 1 day/],
    [{ patch: true }, {}, /did you mean patches/],
    [{}, { source: 'https://mirror.example/own' }, /subscribe must not be there with source/],
    [{ patches: true }, {}, /subscribe\.patches must go with updates: at-build or system: pkgbase/],
  ])('%j with %j is wrong', (subscribe, changes, message) => {
    expect(caught(() => subscribed(subscribe, changes)).message).toMatch(message);
  });

  test.each([{ updates: 'at-build' }, { system: 'pkgbase' }])('may ask for patches with %j', (changes) => {
    expect(subscribed({ patches: true }, changes).patches).toBe(true);
  });
});

describe('the releases that are wanted', () => {
  const names = [
    '14.3-RELEASE',
    '15.0-RELEASE',
    '15.1-BETA1',
    '15.1-RC2',
    '15.1-RC10',
    '15.1-BETA3',
    '9.3-RELEASE',
  ];
  test.each<[object, string[]]>([
    [{}, ['15.0-RELEASE']],
    [{ kinds: ['RELEASE', 'RC', 'BETA'] }, ['15.1-RC10']],
    [{ kinds: ['BETA'] }, ['15.1-BETA3']],
    [{ releases: ['14.newest', '9.*'] }, ['14.3-RELEASE', '9.3-RELEASE']],
    [{ releases: ['15.*'], kinds: ['RELEASE', 'RC'] }, ['15.1-RC10', '15.0-RELEASE']],
    [{ releases: ['15.1'] }, []],
    [{ releases: ['15.1', '15.0'] }, ['15.0-RELEASE']],
    [{ releases: ['16.newest'] }, []],
  ])('for %j', (subscribe, wanted) => {
    expect(wantedReleases(subscribed(subscribe), names)).toEqual(wanted);
  });

  test('do not depend on the order in which a mirror lists them', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(names),
        fc.constantFrom(...(['newest', '15.*', '15.newest', '15.1'] as const)),
        (some, pattern) => {
          const subscribe = subscribed({ releases: [pattern], kinds: ['RELEASE', 'RC', 'BETA'] });
          expect(wantedReleases(subscribe, some)).toEqual(wantedReleases(subscribe, [...some].sort()));
        },
      ),
    );
  });

  test('give way to what is further along', () => {
    const subscribe = subscribed({ releases: ['15.*'], kinds: ['RELEASE', 'RC', 'BETA'] });
    expect(wantedReleases(subscribe, [...names, '15.1-RELEASE'])).toEqual(['15.1-RELEASE', '15.0-RELEASE']);
  });
});

test('a build is started with the same input, whoever starts it and however the recipe is written', () => {
  const [plain, watched] = [demo, { subscribe: {}, ...demo, rootSize: '10GiB' }].map((each) =>
    buildInput(parseRecipe(each)),
  );
  expect(watched).toBe(plain);
  expect(buildInput(parseRecipe((JSON.parse(plain ?? '') as { recipe: unknown }).recipe))).toBe(plain);
});
