import { describe, expect, test } from 'vitest';
import { imageDigest, parseRecipe, recipeDigest } from '../../core/recipe.ts';
import { caught } from './caught.ts';
import { demo } from './legal-recipes.ts';

const problemsOf = (changes: object): string[] => {
  const error = caught(() => parseRecipe({ ...demo, ...changes }));
  expect(error.name).toBe('InvalidRecipe');
  return error.message.split('\n').flatMap((line) => (line.startsWith('- ') ? [line.slice(2)] : []));
};
const distribution = (part: object) => ({ distribution: part });
const share = (part: object) => distribution({ share: part });
const ORGANIZATION = 'arn:aws:organizations::111122223333:organization/o-abcdefghij';

describe('a distribution', () => {
  test('may say all of it', () => {
    const full = {
      regions: ['eu-west-1', 'us-gov-west-1'],
      kmsKeys: { 'eu-west-1': 'alias/images' },
      share: {
        accounts: ['111122223333'],
        organizations: [ORGANIZATION],
        organizationalUnits: ['arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-abcd-12345678'],
        public: false,
      },
      parameters: '/company/{name}/{release}/{architecture}',
      deprecateAfter: 365,
    };
    expect(parseRecipe({ ...demo, distribution: full }).distribution).toEqual(full);
  });

  test('has defaults for what it does not say', () => {
    expect(parseRecipe({ ...demo, distribution: {} }).distribution).toEqual({
      regions: [],
      kmsKeys: {},
      share: { accounts: [], organizations: [], organizationalUnits: [], public: false },
    });
  });

  test.each<[object, string, RegExp]>([
    [distribution({ regions: ['Frankfurt'] }), 'distribution.regions.0', /a region such as eu-west-1/],
    [distribution({ regions: ['eu-west-1', 'eu-west-1'] }), 'distribution.regions', /twice/],
    [
      distribution({ kmsKeys: { 'eu-west-1': 'alias/images' } }),
      'distribution.kmsKeys.eu-west-1',
      /must be one of distribution\.regions/,
    ],
    [
      distribution({ regions: ['eu-west-1'], kmsKeys: { 'eu-west-1': 'my key' } }),
      'distribution.kmsKeys.eu-west-1',
      /must be a KMS key/,
    ],
    [share({ accounts: [111122223333] }), 'distribution.share.accounts.0', /must be a string/],
    [share({ accounts: ['11112222333'] }), 'distribution.share.accounts.0', /twelve digits/],
    [share({ organizations: ['o-abcdefghij'] }), 'distribution.share.organizations.0', /an ARN such as/],
    [
      share({ organizationalUnits: [ORGANIZATION] }),
      'distribution.share.organizationalUnits.0',
      /an ARN such as/,
    ],
    [share({ public: 'yes' }), 'distribution.share.public', /must be a boolean/],
    [distribution({ parameters: 'company/images' }), 'distribution.parameters', /a path such as/],
    [distribution({ parameters: '/company/{recipe}' }), 'distribution.parameters', /\{filesystem\} and/],
    [distribution({ parameters: '/aws/service/x' }), 'distribution.parameters', /must not begin with \/aws/],
    [distribution({ deprecateAfter: 0 }), 'distribution.deprecateAfter', /at least 1 day/],
    [distribution({ deprecateAfter: 3651 }), 'distribution.deprecateAfter', /at most 3650/],
    [
      distribution({ share: { public: true }, deprecateAfter: 731 }),
      'distribution.deprecateAfter',
      /at most 730 days for a public image/,
    ],
    [
      { image: { encryption: { kmsKey: 'alias/a' } }, ...share({ public: true }) },
      'distribution.share.public',
      /must not be true for an encrypted image/,
    ],
    [
      { image: { encryption: {} }, ...share({ accounts: ['111122223333'] }) },
      'distribution.share',
      /must go with image\.encryption\.kmsKey/,
    ],
    [distribution({ to: [] }), 'distribution.to', /known here: regions/],
    [{ retention: {} }, 'retention', /must have keep, days or both/],
    [{ retention: { keep: 0 } }, 'retention.keep', /at least 1/],
    [{ retention: { days: 1.5 } }, 'retention.days', /whole number/],
    [{ image: { road: 'xen' } }, 'image.road', /must be one of unix, windows, ebs-direct/],
    [{ image: { encryption: { kmsKey: 'a key' } } }, 'image.encryption.kmsKey', /must be a KMS key/],
    [
      { image: { road: 'windows', bootMode: 'uefi' } },
      'image.bootMode',
      /must not be there with road: windows/,
    ],
    [
      { image: { road: 'windows', encryption: {} } },
      'image.encryption',
      /must not be there with road: windows/,
    ],
    [{ architecture: 'arm64', image: { road: 'windows' } }, 'image.road', /must not be windows on arm64/],
  ])('%j has a problem in one field', (changes, field, says) => {
    const problems = problemsOf(changes);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.startsWith(`${field} `), problems[0]).toBe(true);
    expect(problems[0]).toMatch(says);
  });
});

test('where an image goes, and for how long, makes no other image of it, but another build', () => {
  const plain = parseRecipe(demo);
  const sent = parseRecipe({ ...demo, distribution: { regions: ['eu-west-1'] }, retention: { keep: 3 } });
  expect(imageDigest(sent)).toBe(imageDigest(plain));
  expect(recipeDigest(sent)).not.toBe(recipeDigest(plain));
  const encrypted = parseRecipe({ ...demo, image: { encryption: {} } });
  expect(imageDigest(encrypted)).not.toBe(imageDigest(plain));
});
