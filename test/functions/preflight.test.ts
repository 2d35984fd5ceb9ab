import { beforeEach, describe, expect, test } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { tagKey } from '../../core/names.ts';
import { preflight } from '../../functions/steps/preflight.ts';
import { rejected } from '../core/caught.ts';
import { execution, imageSpec, plan } from './builds.ts';
import { awsError } from './fake-account.ts';
import { FakeWorld } from './fake-world.ts';

const HOME = 'eu-central-1';
const OTHERS = ['eu-west-1', 'us-west-2'];

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld([HOME, ...OTHERS]);
});

type Distribution = NonNullable<BuildState['plan']['distribution']>;

const nobody = { accounts: [], organizations: [], organizationalUnits: [], public: false };

const run = (
  distribution: Partial<Omit<Distribution, 'share'>> & { share?: Partial<Distribution['share']> } = {},
  more: Partial<BuildState['plan']> = {},
) =>
  preflight({ regions: world.ports })(
    {
      plan: {
        ...plan,
        ...more,
        distribution: {
          regions: OTHERS.map((region) => ({ region, kmsKeyId: null })),
          parameters: null,
          deprecateAfter: null,
          ...distribution,
          share: { ...nobody, ...distribution.share },
        },
      },
    },
    execution,
  );

const lines = async (wanted: Promise<unknown>): Promise<string[]> => {
  const error = await rejected(wanted);
  expect(error.name).toBe('PreflightFailed');
  return error.message.split('\n').filter((line) => line.startsWith('- '));
};

const spec = (name: string) => ({ ...imageSpec(''), name });

describe('preflight', () => {
  test('says nothing when every region would take the image', async () => {
    expect(await run({ share: { public: true }, parameters: '/company/demo' })).toEqual({
      preflight: { kmsKeys: {} },
    });
  });

  test('tells all that is wrong at once, by region', async () => {
    world.known.set('us-west-2', false);
    world.region(HOME).blocksPublic = true;
    world.region('eu-west-1').encryptsEverything = true;
    const found = await lines(
      run({
        share: { public: true },
        regions: [...OTHERS, 'xx-north-1'].map((region) => ({ region, kmsKeyId: null })),
      }),
    );
    expect(found).toEqual([
      expect.stringMatching(/^- eu-central-1: block public access for AMIs is on/),
      expect.stringMatching(/^- eu-west-1: the account encrypts every disk there/),
      expect.stringMatching(/^- us-west-2: the account has not enabled this region/),
      expect.stringMatching(/^- xx-north-1: AWS has no region of this name/),
    ]);
  });

  test('counts public images against the quota, or against what AWS gives at first', async () => {
    const fill = (region: string, count: number) => {
      for (let n = 0; n < count; n++) {
        const { imageId } = world.holdImage(region, spec(`public ${n}`));
        world.region(region).permissions.set(imageId, new Set(['all']));
      }
    };
    fill('eu-west-1', 5);
    fill('us-west-2', 7);
    world.region('us-west-2').publicQuota = 8;
    expect(await lines(run({ share: { public: true } }))).toEqual([
      expect.stringMatching(/^- eu-west-1: the account has 5 public AMIs there, and its quota is 5/),
    ]);
    world.region('us-west-2').publicQuota = 7;
    expect(await lines(run({ share: { public: true } }))).toHaveLength(2);
    // Nobody who shares with accounts only needs that quota.
    await run({ share: { accounts: ['111122223333'] } });
  });

  test('an image that is public already needs no room', async () => {
    for (let n = 0; n < 4; n++) {
      const { imageId } = world.holdImage(HOME, spec(`public ${n}`));
      world.region(HOME).permissions.set(imageId, new Set(['all']));
    }
    const { imageId } = world.holdImage(HOME, imageSpec(''));
    world.region(HOME).permissions.set(imageId, new Set(['all']));
    await run({ share: { public: true } });
  });

  test('keys must exist and be able to encrypt; their ARNs go on', async () => {
    const arn = 'arn:aws:kms:eu-west-1:123456789012:key/1';
    const keys = (kmsKeyId: string) => ({ regions: [{ region: 'eu-west-1', kmsKeyId }] });
    world.region('eu-west-1').kms.set('alias/good', { arn, state: 'Enabled', usable: true, ofAws: false });
    world.region('eu-west-1').kms.set('alias/off', { arn, state: 'Disabled', usable: false, ofAws: false });
    expect(await run(keys('alias/good'))).toEqual({ preflight: { kmsKeys: { 'eu-west-1': arn } } });
    expect(await lines(run(keys('alias/off')))).toEqual([
      '- eu-west-1: KMS key alias/off cannot encrypt a disk: it is Disabled',
    ]);
    expect(await lines(run(keys('alias/none')))).toEqual([
      '- eu-west-1: there is no KMS key alias/none in this region',
    ]);
  });

  test('what the default key would encrypt cannot be shared', async () => {
    const home = 'arn:aws:kms:eu-central-1:123456789012:key/1';
    world.region(HOME).kms.set(home, { arn: home, state: 'Enabled', usable: true, ofAws: false });
    const found = await lines(
      run({ share: { accounts: ['111122223333'] } }, { encryption: { kmsKeyId: home } }),
    );
    expect(found).toEqual([
      expect.stringMatching(/^- eu-west-1: .*name a key in distribution.kmsKeys/),
      expect.stringMatching(/^- us-west-2: .*name a key in distribution.kmsKeys/),
    ]);
  });

  test('nor can what a key of AWS’s own encrypts', async () => {
    const arn = 'arn:aws:kms:eu-west-1:123456789012:key/1';
    world.region('eu-west-1').kms.set('alias/aws/ebs', { arn, state: 'Enabled', usable: true, ofAws: true });
    const keys = { regions: [{ region: 'eu-west-1', kmsKeyId: 'alias/aws/ebs' }] };
    await run(keys);
    expect(await lines(run({ ...keys, share: { accounts: ['111122223333'] } }))).toEqual([
      '- eu-west-1: KMS key alias/aws/ebs is AWS’s own, and what it encrypts cannot be shared',
    ]);
  });

  test('a parameter of another data type is in the way', async () => {
    world.region('us-west-2').published.set('/company/demo/latest', {
      value: 'ami-1',
      version: 3,
      type: 'String',
      dataType: 'text',
    });
    expect(await lines(run({ parameters: '/company/demo' }))).toEqual([
      expect.stringMatching(/^- us-west-2: parameter \/company\/demo\/latest exists with data type text/),
    ]);
  });

  test('another image of the name is in the way', async () => {
    world.holdImage(
      'us-west-2',
      imageSpec('', { ...plan.image.tags, [tagKey.contentDigest]: '9'.repeat(64) }),
    );
    world.holdImage('eu-west-1', imageSpec(''));
    expect(await lines(run())).toEqual([expect.stringMatching(/^- us-west-2: ami-\w+ is called demo /)]);
  });

  test('what it may not look at is a finding; an outage is not', async () => {
    const ports = world.ports;
    const failing = (name: string) => (region: string) => ({
      ...ports(region),
      rules: { ...ports(region).rules, publicBlocked: () => Promise.reject(awsError(name)) },
    });
    world.ports = failing('UnauthorizedOperation') as typeof ports;
    expect(await lines(run({ share: { public: true } }))).toHaveLength(3);
    world.ports = failing('RequestLimitExceeded') as typeof ports;
    await expect(run({ share: { public: true } })).rejects.toThrow(
      expect.objectContaining({ name: 'RequestLimitExceeded' }),
    );
  });
});
