import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, digestOf, type Json } from '../../core/canonical-json.ts';
import { parseRecipe, recipeDigest, releaseLabel, rootSizeBytes } from '../../core/recipe.ts';
import { caught } from './caught.ts';
import { demo, plausibleRecipe } from './legal-recipes.ts';

const problemsOf = (value: unknown): string[] => {
  const error = caught(() => parseRecipe(value));
  expect(error.name).toBe('InvalidRecipe');
  return error.message.split('\n').flatMap((line) => (line.startsWith('- ') ? [line.slice(2)] : []));
};

const nested = (path: string, value: unknown): unknown =>
  path
    .split('.')
    .reverse()
    .reduce((inner: unknown, key) => ({ [key]: inner }), value);

const defaults = {
  mirrors: ['https://download.freebsd.org'],
  filesystem: 'ufs',
  rootSize: 10,
  flavour: 'small',
  system: 'sets',
  extraSets: [],
  packages: [],
  repositories: [],
  files: [],
  users: [],
  groups: [],
  rcConf: {},
  loaderConf: {},
  sysctl: {},
  hostname: 'freebsd',
  kernelModules: [],
  services: {},
  scripts: [],
  swap: 'auto',
  serialConsole: { speed: 115200 },
  ec2: { loginUser: 'ec2-user' },
  image: { imdsV2Only: true, tpm: false, tags: {} },
};

describe('a recipe', () => {
  test('needs name, release and architecture, and gets documented defaults', () => {
    expect(parseRecipe(demo)).toEqual({
      ...demo,
      ...defaults,
    });
  });

  test.each([12, '12GiB', '12 GiB'])('takes a root size of %j', (rootSize) => {
    const recipe = parseRecipe({ ...demo, rootSize });
    expect(recipe.rootSize).toBe(12);
    expect(rootSizeBytes(recipe)).toBe(12_884_901_888);
  });

  test.each(['15.1-RELEASE', '15.1-RC1', '15.0-BETA5', '9.3-RELEASE', '100.10-RC12'])(
    'takes release %s',
    (release) => {
      expect(releaseLabel(parseRecipe({ ...demo, release }))).toBe(release);
    },
  );

  test('may name a source of its own instead of a release', () => {
    const recipe = parseRecipe({
      name: 'own',
      architecture: 'arm64',
      source: 'http://[::1]:8080/my/release//',
    });
    expect(recipe.source).toBe('http://[::1]:8080/my/release');
    expect(releaseLabel(recipe)).toBe('custom');
  });

  const bad: [field: string, value: unknown, says: RegExp][] = [
    ['name', 'Demo', /small letters/],
    ['name', 'a', /2 to 40/],
    ['name', 'a'.repeat(41), /2 to 40/],
    ['name', '-demo', /small letters/],
    ['name', 'demo\n', /small letters/],
    ['name', '', /small letters/],
    ['name', 7, /must be a string; it is 7/],
    ['release', '15.1', /15\.1-RELEASE/],
    ['release', '15.1-RELEASE-p3', /patch level/],
    ['release', '15.1-STABLE', /15\.1-RELEASE/],
    ['release', '../15.1-RELEASE', /15\.1-RELEASE/],
    ['release', `15.${'1'.repeat(100)}-RELEASE`, /15\.1-RELEASE/],
    ['release', 15.1, /must be a string; it is 15\.1/],
    ['architecture', 'x86_64', /one of amd64, arm64; it is "x86_64"/],
    ['architecture', undefined, /^architecture is missing$/],
    ['filesystem', 'ext4', /one of ufs, zfs/],
    ['rootSize', 0, /at least 1 GiB/],
    ['rootSize', -1, /at least 1 GiB/],
    ['rootSize', 1.5, /whole number/],
    ['rootSize', 16385, /at most 16384/],
    ['rootSize', '10GB', /10GiB/],
    ['rootSize', '1e3GiB', /10GiB/],
    ['rootSize', Number.NaN, /GiB/],
    ['rootSize', Number.POSITIVE_INFINITY, /GiB/],
    ['rootSize', null, /GiB/],
    ['rootSize', true, /GiB/],
    ['source', 'ftp://mirror/', /http/],
    ['source', 'https://user:secret@mirror/', /without user name.*; it is "https:\/\/…@mirror\/"$/],
    ['source', 'https://mirror/?token=1', /without user name, query.*; it is "https:\/\/mirror\/\?…"$/],
    ['source', 'https://mirror/a b', /http/],
    ['source', 'https://mirror/a\u0000b', /http/],
    ['source', 'https://mirror/\u001b[2J', /http/],
    ['source', 'https://mirror/größe', /http/],
    ['source', 'https://:8080/', /http/],
    ['source', 'https://', /http/],
    ['mirrors', [], /at least one mirror/],
    ['mirrors', Array(9).fill('https://m'), /at most 8/],
    ['mirrors', 'https://m', /must be an array/],
    ['sets', ['base'], /base and kernel/],
    ['sets', ['base', 'kernel', 'base'], /twice/],
    ['sets', ['base', 'kernel', 'base-dbg', 'base_dbg'], /twice/],
    ['source', `https://mirror.example/${'a'.repeat(1000)}`, /at most 1000/],
    ['hostname', 'a b', /host name/],
    ['hostname', '-a', /host name/],
    ['hostname', 'a..b', /host name/],
    ['hostname', '$(id)', /host name/],
    ['hostname', 'a\n', /host name/],
    ['hostname', `${'a'.repeat(63)}.`.repeat(4).slice(0, 254), /host name/],
    ['image', [], /must be an object/],
    ['image.description', '', /not be empty/],
    ['image.description', 'é', /ASCII/],
    ['image.description', 'x'.repeat(256), /255/],
    ['image.bootMode', 'bios', /one of uefi, uefi-preferred, legacy-bios/],
    ['image.imdsV2Only', 'yes', /must be a boolean/],
    ['bootTest', true, /must be false, or a map of instanceTypes/],
    ['bootTest', { timeout: '5m' }, /timeout \(10 to 1800 seconds\)/],
    ['bootTest.timeout', 9, /at least 10 seconds/],
    ['bootTest.timeout', 1801, /at most 1800 seconds/],
    ['bootTest.instanceTypes', [], /at least one instance type/],
    ['bootTest.timeot', 60, /did you mean timeout/],
    ['image.tags', { 'aws:x': '1' }, /taken/],
    ['image.tags', { 'AMI-Foundry:build': '1' }, /taken/],
    ['image.tags', { Name: '1' }, /taken/],
    ['image.tags', { a: 'line\nline' }, /control characters/],
    ['image.tags', { 'a\u0000': '' }, /control characters/],
    ['image.tags', { a: '\ud800' }, /control characters/],
    ['image.tags', { '': '1' }, /1 to 128/],
    ['image.tags', { [`k${'x'.repeat(128)}`]: '1' }, /1 to 128/],
    ['image.tags', Object.fromEntries(Array.from({ length: 37 }, (_, n) => [`k${n}`, ''])), /at most 36/],
  ];
  test.each(bad)('%s = %j is one problem that names the field', (field, value, says) => {
    const problems = problemsOf({ ...demo, ...(nested(field, value) as object) });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${field.replace('.', '\\.')} `));
    expect(problems[0]).toMatch(says);
  });

  test('a problem inside a list or a map names its place', () => {
    expect(problemsOf({ ...demo, mirrors: ['https://ok', 'nope'] })).toEqual([
      expect.stringMatching(/^mirrors\.1 must be/),
    ]);
    expect(problemsOf({ ...demo, sets: ['base', 'kernel', 'Ports'] })).toEqual([
      expect.stringMatching(/^sets\.2 must be/),
    ]);
    expect(problemsOf({ ...demo, image: { tags: { team: 1 } } })).toEqual([
      'image.tags.team must be a string; it is 1',
    ]);
  });

  test('lists every problem at once, with one remedy', () => {
    const fields = problemsOf({
      nam: 'x',
      architecture: 'amd46',
      mirrors: [],
      hostname: 'a b',
      rootSize: 'x',
      image: { bootmode: 'uefi', description: '' },
    }).map((line) => line.split(' ')[0]);
    expect(new Set(fields)).toEqual(
      new Set([
        'architecture',
        'hostname',
        'image.bootmode',
        'image.description',
        'mirrors',
        'nam',
        'name',
        'rootSize',
      ]),
    );
    expect(fields).toHaveLength(8);
  });

  test.each([null, undefined, [], 'text', 7, true])('%j is no recipe', (value) => {
    expect(problemsOf(value)).toEqual([expect.stringMatching(/^the recipe (must be an object|is missing)/)]);
  });

  test('says which release when neither release nor source is given', () => {
    const { release: _, ...rest } = demo;
    expect(problemsOf(rest)).toEqual([expect.stringMatching(/^release is missing: .*15\.1-RELEASE.*source/)]);
  });

  test.each(['legacy-bios', 'uefi-preferred'])('refuses %s on arm64, takes it on amd64', (bootMode) => {
    expect(problemsOf({ ...demo, architecture: 'arm64', image: { bootMode } })).toEqual([
      expect.stringMatching(/^image\.bootMode must be uefi on arm64/),
    ]);
    expect(parseRecipe({ ...demo, image: { bootMode } }).image.bootMode).toBe(bootMode);
  });

  test.each([
    [{ ...demo, hostnam: 'x' }, 'hostnam', 'hostname'],
    [{ ...demo, root_size: 10 }, 'root_size', 'rootSize'],
    [{ ...demo, Mirrors: [] }, 'Mirrors', 'mirrors'],
    [{ ...demo, HOSTNAME: 'x' }, 'HOSTNAME', 'hostname'],
    [{ ...demo, image: { bootmode: 'uefi' } }, 'image.bootmode', 'bootMode'],
    [{ ...demo, image: { imdsv2only: true } }, 'image.imdsv2only', 'imdsV2Only'],
  ])('an unknown key is told its nearest: %j', (value, key, nearest) => {
    expect(problemsOf(value)).toEqual([`${key} is not a key of a recipe; did you mean ${nearest}?`]);
  });

  test('an unknown key that is like no other gets the list of those of its own place', () => {
    expect(problemsOf({ ...demo, xylophone: 1 })).toEqual([
      expect.stringMatching(/^xylophone .*known here: name, release,/),
    ]);
    expect(problemsOf({ ...demo, image: { xylophone: 1 } })).toEqual([
      'image.xylophone is not a key of a recipe; known here: description, bootMode, imdsV2Only, tpm, volume, road, encryption, tags',
    ]);
  });

  test.each(['__proto__', 'constructor', 'prototype', 'toString'])(
    'the key %s is refused and pollutes nothing',
    (key) => {
      const at = (prefix: string) => JSON.parse(`{"${key}":{"polluted":true}${prefix}}`) as object;
      const rest = JSON.stringify(demo).slice(1, -1);
      expect(problemsOf(at(`,${rest}`))).toEqual([expect.stringMatching(new RegExp(`^${key} is not a key`))]);
      expect(problemsOf({ ...demo, image: at('') })).toEqual([
        expect.stringMatching(new RegExp(`^image\\.${key} is not`)),
      ]);
      expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    },
  );

  test('a huge input gives a message that fits into the cause of an execution, soon', () => {
    const inputs = [
      Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`key${n}`, 'x'])),
      { ...demo, ['k'.repeat(1_000_000)]: 1 },
      { ...demo, hostname: 'h'.repeat(1_000_000) },
      {
        ...demo,
        image: { tags: Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`t${n}`, n])) },
      },
      { ...demo, mirrors: Array(20_000).fill('x') },
    ];
    const began = performance.now();
    for (const input of inputs) {
      const { message } = caught(() => parseRecipe(input));
      // Lambda sends the message twice, as errorMessage and in the trace; a cause holds 32,768 characters.
      expect(message.length).toBeLessThan(8_000);
      expect(message).toMatch(/Remedy: .*\nMore: docs\/runbook\.md#invalidrecipe$/);
    }
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test('says where the recipe came from', () => {
    expect(caught(() => parseRecipe({}, 'examples/demo.yaml')).message).toMatch(
      /^examples\/demo\.yaml has 2 problems|^examples\/demo\.yaml has 3 problems/,
    );
  });
});

describe('the digest of a recipe', () => {
  const digest = (value: unknown) => recipeDigest(parseRecipe(value));

  test('is fixed: a change of it makes every image anew', () => {
    expect(digest(demo)).toMatch(/^[0-9a-f]{64}$/);
    expect(digest(demo)).toBe(
      digestOf({
        ...demo,
        ...defaults,
      }),
    );
  });

  test('is the same for every order of keys and for defaults that are written out', () => {
    const shuffled = (value: object, seed: readonly number[]): object =>
      Object.fromEntries(
        Object.entries(value)
          .map(([key, item], index): [number, string, unknown] => [
            seed[index % seed.length] ?? 0,
            key,
            typeof item === 'object' && item !== null && !Array.isArray(item)
              ? shuffled(item, seed.toReversed())
              : item,
          ])
          .sort(([a], [b]) => a - b)
          .map(([, key, item]) => [key, item]),
      );
    const seeds = fc.array(fc.integer(), { minLength: 1, maxLength: 12 });
    let compared = 0;
    fc.assert(
      fc.property(plausibleRecipe, seeds, (value, seed) => {
        const result = parsed(value);
        if (result === undefined) return;
        compared++;
        expect(digest(shuffled(value, seed))).toBe(recipeDigest(result));
        // The parsed recipe has every default written out, and is itself a recipe.
        expect(digest(result)).toBe(recipeDigest(result));
      }),
    );
    expect(compared).toBeGreaterThan(20);
  });

  test.each([
    [{ rootSize: 10 }, { rootSize: '10GiB' }],
    [{ rootSize: '10 GiB' }, {}],
    [{ mirrors: ['https://m/'] }, { mirrors: ['https://m'] }],
    [{ source: undefined }, {}],
    [{ image: undefined }, { image: {} }],
    [{ sets: ['base', 'kernel', 'base-dbg'] }, { sets: ['base', 'kernel', 'base_dbg'] }],
  ])('is the same for %j and %j', (a, b) => {
    expect(digest({ ...demo, ...a })).toBe(digest({ ...demo, ...b }));
  });

  test('differs for every other wish', () => {
    const wishes: object[] = [
      {},
      { name: 'demo2' },
      { release: '15.0-RELEASE' },
      { architecture: 'arm64' },
      { filesystem: 'zfs' },
      { rootSize: 11 },
      { sets: ['base', 'kernel', 'lib32'] },
      { hostname: 'other' },
      { mirrors: ['https://other'] },
      { source: 'https://own/release' },
      { image: { description: 'd' } },
      { image: { bootMode: 'uefi' } },
      { image: { imdsV2Only: false } },
      { image: { tags: { a: 'b' } } },
      { image: { tags: { ab: '' } } },
    ];
    expect(new Set(wishes.map((wish) => digest({ ...demo, ...wish }))).size).toBe(wishes.length);
  });

  test('differs whenever the parsed recipes differ', () => {
    fc.assert(
      fc.property(plausibleRecipe, plausibleRecipe, (a, b) => {
        const [one, other] = [parsed(a), parsed(b)];
        if (one === undefined || other === undefined) return;
        expect(recipeDigest(one) === recipeDigest(other)).toBe(same(one, other));
      }),
    );
  });
});

function parsed(value: unknown) {
  try {
    return parseRecipe(value);
  } catch {
    return undefined;
  }
}

function same(a: unknown, b: unknown): boolean {
  try {
    expect(a).toEqual(b);
    return true;
  } catch {
    return false;
  }
}

describe('canonical JSON', () => {
  const json = fc.jsonValue() as fc.Arbitrary<Json>;

  test('is JSON of the same value', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('is the same whatever the order of keys', () => {
    const reversed = (value: Json): Json => {
      if (Array.isArray(value)) return value.map(reversed);
      if (value === null || typeof value !== 'object') return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, item]) => [key, reversed(item)]),
      );
    };
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value));
      }),
    );
  });

  test('of two values is equal only if the values are', () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(canonicalJson(a) === canonicalJson(b)).toBe(
          same(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b))),
        );
      }),
    );
  });

  test('sorts by UTF-16 code units, as RFC 8785 does in its example', () => {
    // RFC 8785, 3.2.3: the order of the names in the sample of sorting.
    const sample = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': 7 };
    expect(Object.values(JSON.parse(canonicalJson(sample).replaceAll('"1"', '"one"')) as object)).toEqual([
      2, 4, 6, 7, 1, 5, 3,
    ]);
  });

  test('has neither blanks nor members without a value, as JSON.stringify', () => {
    expect(canonicalJson({ b: [1, { d: '', c: null }], a: undefined } as unknown as Json)).toBe(
      '{"b":[1,{"c":null,"d":""}]}',
    );
  });
});
