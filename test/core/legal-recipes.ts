import fc from 'fast-check';

/** The least that makes a recipe. */
export const demo = { name: 'demo', release: '15.1-RELEASE', architecture: 'amd64' };

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$/);

/** Most of the time what it should be; sometimes what a caller may try as well. */
const mostly = (usual: fc.Arbitrary<string>, wild: fc.Arbitrary<string>) =>
  fc.oneof({ arbitrary: usual, weight: 19 }, { arbitrary: wild, weight: 1 });

const release = mostly(
  fc.stringMatching(/^[1-9]\d{0,2}\.\d{1,3}-(RELEASE|RC[1-9]\d?|BETA[1-9]\d?)$/),
  fc.stringMatching(/^[1-9]\d*\.\d+-(RELEASE|RC[1-9]\d*|BETA[1-9]\d*)$/),
);

const hostLabel = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?$/);
const hostname = fc.array(hostLabel, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));

const url = fc
  .tuple(
    fc.constantFrom('http', 'https'),
    fc.constantFrom('mirror.example', '[::1]:8080', '10.0.0.1', 'localhost:9'),
    mostly(
      fc.stringMatching(/^[!-~]{0,20}$/).map((path) => path.replaceAll(/[?#]/g, '_')),
      fc.string({ unit: 'binary-ascii', maxLength: 20 }),
    ),
  )
  .map(([scheme, host, path]) => `${scheme}://${host}/${path}`);

const image = fc.record(
  {
    description: fc.string({ minLength: 1, maxLength: 255 }),
    imdsV2Only: fc.boolean(),
    tags: fc.dictionary(fc.string({ minLength: 1, maxLength: 128 }), fc.string({ maxLength: 256 })),
  },
  { requiredKeys: [] },
);

/** What a caller might write. Nearly all of it is legal; the schema says which. */
export const plausibleRecipe = fc.record(
  {
    name,
    release,
    architecture: fc.constantFrom('amd64', 'arm64'),
    filesystem: fc.constantFrom('ufs', 'zfs'),
    rootSize: fc.oneof(
      fc.integer({ min: 1, max: 16384 }),
      fc.integer({ min: 1, max: 16384 }).map((size) => `${size}GiB`),
    ),
    source: url,
    mirrors: fc.array(url, { minLength: 1, maxLength: 8 }),
    sets: fc
      .uniqueArray(fc.stringMatching(/^[a-z][a-z0-9_-]{0,10}$/), { maxLength: 4 })
      .map((more) => [...new Set(['base', 'kernel', ...more])]),
    hostname,
    image,
    bootTest: fc.oneof(
      fc.constant(false),
      fc.record(
        { instanceTypes: fc.constant(['m6i.large']), timeout: fc.integer({ min: 5, max: 1800 }) },
        { requiredKeys: [] },
      ),
    ),
  },
  { requiredKeys: ['name', 'release', 'architecture'] },
);
