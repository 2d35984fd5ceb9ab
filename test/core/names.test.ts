import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partitions } from '../../core/disk-layout.ts';
import {
  artifactKey,
  buildTags,
  clientToken,
  contentId,
  contentUuid,
  executionName,
  imageName,
  imageRecordKey,
  nextAttempt,
} from '../../core/names.ts';
import { parseRecipe, type Recipe, recipeDigest, releaseLabel } from '../../core/recipe.ts';
import { plausibleRecipe } from './legal-recipes.ts';

const digest = fc.stringMatching(/^[0-9a-f]{64}$/);

/** Runs a check on every recipe that the schema takes, and makes sure that these were many. */
function forLegalRecipes(check: (recipe: Recipe, digest: string) => void): void {
  let seen = 0;
  fc.assert(
    fc.property(plausibleRecipe, digest, (value, content) => {
      let recipe: Recipe;
      try {
        recipe = parseRecipe(value);
      } catch {
        return;
      }
      seen++;
      check(recipe, content);
    }),
    { numRuns: 400 },
  );
  expect(seen).toBeGreaterThan(50);
}

describe('names fit the limits of AWS for every legal recipe', () => {
  test('execution name: 1 to 80 characters that StartExecution and an object key take alike', () => {
    forLegalRecipes((recipe) => {
      for (const attempt of [1, 2, 9_999]) {
        expect(executionName(recipe.name, recipeDigest(recipe), attempt)).toMatch(/^[0-9A-Za-z-]{1,80}$/);
      }
    });
  });

  test('image name: 3 to 128 of the characters of RegisterImage, no wildcard among them', () => {
    forLegalRecipes((recipe, content) => {
      const name = imageName({ ...recipe, release: releaseLabel(recipe) }, content);
      expect(name).toMatch(/^[a-zA-Z0-9()[\] ./\-'@_]{3,128}$/);
    });
  });

  test('tags: keys to 128, values to 256 characters, nothing that begins with aws:', () => {
    forLegalRecipes((recipe) => {
      const build = executionName(recipe.name, recipeDigest(recipe), 12);
      for (const role of ['worker', 'target', 'snapshot', 'image'] as const) {
        for (const [key, value] of Object.entries(buildTags(build, role))) {
          expect(key).toMatch(/^(?!aws:).{1,128}$/);
          expect(value).toMatch(/^.{1,256}$/);
        }
      }
    });
  });
});

describe('the execution name', () => {
  test('is recipe name and digest; later attempts are numbered', () => {
    const hash = '0123456789ab'.padEnd(64, 'c');
    expect(executionName('demo', hash)).toBe('demo-0123456789ab');
    expect(executionName('demo', hash, 3)).toBe('demo-0123456789ab-3');
  });
});

describe('the image name', () => {
  test('says what the image is', () => {
    expect(
      imageName(
        { name: 'demo', release: '15.1-RELEASE', architecture: 'arm64', flavour: 'small', filesystem: 'ufs' },
        'fedcba987654'.padEnd(64, '0'),
      ),
    ).toBe('demo 15.1-RELEASE-arm64 small UFS fedcba987654');
  });
});

describe('client tokens', () => {
  const words = fc.array(fc.stringMatching(/^[\x20-\x7e]{0,20}$/), { maxLength: 4 });

  test('are at most 64 ASCII characters, the same for the same wish and others for others', () => {
    fc.assert(
      fc.property(words, words, fc.string(), (a, b, build) => {
        expect(clientToken(build, ...a)).toMatch(/^[\x21-\x7e]{1,64}$/);
        expect(clientToken(build, ...a)).toBe(clientToken(build, ...a));
        expect(clientToken(build, ...a) === clientToken(build, ...b)).toBe(
          JSON.stringify(a) === JSON.stringify(b),
        );
        expect(clientToken(`${build}x`, ...a)).not.toBe(clientToken(build, ...a));
      }),
    );
  });

  test('do not join words: ("ab", "c") is not ("a", "bc")', () => {
    expect(clientToken('b', 'ab', 'c')).not.toBe(clientToken('b', 'a', 'bc'));
  });
});

describe('identifiers from content', () => {
  test('UUIDs have the version and variant of RFC 9562, and are stable and distinct', () => {
    fc.assert(
      fc.property(digest, fc.string(), fc.string(), (content, a, b) => {
        const uuid = contentUuid(content, a);
        expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(contentUuid(content, a)).toBe(uuid);
        expect(contentUuid(content, b) === uuid).toBe(a === b);
        expect(contentId(content, a)).toMatch(/^[0-9a-f]{16}$/);
        expect(contentId(content, b) === contentId(content, a)).toBe(a === b);
      }),
    );
  });

  test('every partition of a disk has its own', () => {
    const recipe = parseRecipe({ name: 'demo', release: '15.1-RELEASE', architecture: 'amd64' });
    const disk = partitions(recipe, 'a'.repeat(64));
    expect(new Set(disk.map(({ id }) => id)).size).toBe(disk.length);
    expect(partitions(recipe, 'b'.repeat(64)).some(({ id }, index) => id === disk[index]?.id)).toBe(false);
  });
});

describe('the disk', () => {
  const layout = (architecture: string) =>
    partitions(parseRecipe({ name: 'demo', release: '15.1-RELEASE', architecture }), 'a'.repeat(64)).map(
      ({ type, label, size }) => ({ type, label, size }),
    );

  test('has BIOS boot code on amd64 only, an ESP, and a root that takes the rest', () => {
    const common = [
      { type: 'efi', label: 'efiboot0', size: 34 * 1024 ** 2 },
      { type: 'freebsd-ufs', label: 'rootfs', size: 0 },
    ];
    expect(layout('amd64')).toEqual([{ type: 'freebsd-boot', label: 'bootfs', size: 512 * 1024 }, ...common]);
    expect(layout('arm64')).toEqual(common);
  });
});

describe('keys of artifacts', () => {
  test('lie under the build', () => {
    expect(artifactKey('demo-0123456789ab', 'console.log')).toBe('builds/demo-0123456789ab/console.log');
    // The bucket forgets builds/ after a month; an image may live for years.
    expect(imageRecordKey('demo-0123456789ab', 'sbom.cdx.json')).toBe(
      'images/demo-0123456789ab/sbom.cdx.json',
    );
  });
});

test.each([
  ['web-0123456789ab', 'web-0123456789ab-2'],
  ['web-0123456789ab-2', 'web-0123456789ab-3'],
  ['web-0123456789ab-99', 'web-0123456789ab-100'],
  ['by-hand', 'by-hand-2'],
  ['by-hand-2', 'by-hand-3'],
  ['n'.repeat(80), `${'n'.repeat(78)}-2`],
])('the attempt after %s is %s', (name, next) => expect(nextAttempt(name)).toBe(next));
