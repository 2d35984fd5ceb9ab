import * as z from 'zod/mini';
import { described, text } from './described.ts';
import { distinct } from './recipe-values.ts';

/** "Regional endpoints": us-east-1, ap-southeast-2, us-gov-west-1. */
const region = text(/^[a-z]{2}(-[a-z]{2,12}){1,2}-\d{1,2}$/, 'must be a region such as eu-west-1');

/** The forms that EC2 takes (CreateVolume, CopyImage: KmsKeyId): key id, alias, or the ARN of either. */
export const kmsKey = text(
  /^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:)?(key\/|alias\/)?[A-Za-z0-9/_-]{1,256}$/,
  'must be a KMS key: its id, alias/name, or the ARN of either',
);

/** CopyImage and ModifyImageAttribute name it as a string: YAML would take the quotes' absence for a number. */
const account = text(/^\d{12}$/, 'must be the twelve digits of an AWS account, in quotes');

const organizationArn = (kind: 'organization' | 'ou', example: string) =>
  text(
    new RegExp(
      `^arn:aws[a-z-]*:organizations::\\d{12}:${kind}/o-[a-z0-9]{10,32}${kind === 'ou' ? '/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}' : ''}$`,
    ),
    `must be an ARN such as ${example}`,
  );

const YEAR_DAYS = 365;

/** What a parameter's name may be made of (PutParameter): a path whose parts are letters, digits, `.`, `-` and `_`. */
const parameterPath = text(
  /^(\/([A-Za-z0-9._-]|\{(name|release|architecture|filesystem|flavour)\})+){1,12}$/,
  'must be a path such as /company/images/{name}/{architecture}; it may have {name}, {release}, {architecture}, {filesystem} and {flavour} in it',
).check(
  z.maxLength(200, { error: 'must be at most 200 characters' }),
  z.refine((path) => !/^\/(aws|ssm)/i.test(path), {
    error: 'must not begin with /aws or /ssm, which Systems Manager keeps for itself',
  }),
);

const share = z.strictObject({
  accounts: described(z._default(distinct(account, 500), []), 'AWS accounts that may launch it.'),
  organizations: described(
    z._default(
      distinct(
        organizationArn('organization', 'arn:aws:organizations::111122223333:organization/o-abcdefghij'),
        100,
      ),
      [],
    ),
    'Organizations whose accounts may launch it, by ARN.',
  ),
  organizationalUnits: described(
    z._default(
      distinct(
        organizationArn('ou', 'arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-abcd-12345678'),
        100,
      ),
      [],
    ),
    'Organizational units whose accounts may launch it, by ARN.',
  ),
  public: described(z._default(z.boolean(), false), 'Anybody may launch it.'),
});

/** Where an image goes, and who may see it there: in every region or in none. No part of what the image is. */
export const distributionSchema = z.strictObject({
  regions: described(
    z._default(distinct(region, 40), []),
    'Regions to copy the image to, beside the one of the factory.',
  ),
  kmsKeys: described(
    z._default(z.record(region, kmsKey), {}),
    'The KMS key that encrypts the copy of a region: an encrypted image cannot be copied under a key of another region.',
  ),
  share: described(z.prefault(share, {}), 'Who may launch the image, in all its regions.'),
  parameters: described(
    z.optional(parameterPath),
    'Path of SSM parameters with the image’s id, in all its regions: <path>/<digest> for this very image and <path>/latest.',
  ),
  deprecateAfter: described(
    z.optional(
      z
        .int({ error: 'must be a whole number of days' })
        .check(
          z.gte(1, { error: 'must be at least 1 day' }),
          z.lte(10 * YEAR_DAYS, { error: 'must be at most 3650 days, the limit of EnableImageDeprecation' }),
        ),
    ),
    'Days until the image is deprecated: from then on only its owner finds it, and its id still works.',
  ),
});

export type Distribution = z.output<typeof distributionSchema>;

/** Which of a recipe's images are kept. An image goes when neither `keep` nor `days` speaks for it. */
export const retentionSchema = z
  .strictObject({
    keep: described(
      z.optional(z.int({ error: 'must be a whole number' }).check(z.gte(1, { error: 'must be at least 1' }))),
      'How many of the newest images stay.',
    ),
    days: described(
      z.optional(
        z
          .int({ error: 'must be a whole number of days' })
          .check(z.gte(1, { error: 'must be at least 1 day' })),
      ),
      'For how many days an image stays.',
    ),
  })
  .check(
    z.refine(({ keep, days }) => keep !== undefined || days !== undefined, {
      error: 'must have keep, days or both',
    }),
  );

export type Retention = z.output<typeof retentionSchema>;

interface Distributed {
  readonly image: { readonly encryption?: { readonly kmsKey?: string | undefined } | undefined };
  readonly distribution?: Distribution | undefined;
}

/** Public AMIs are deprecated two years after their creation at the latest (EnableImageDeprecation). */
const PUBLIC_DAYS = 2 * YEAR_DAYS;

/** What a distribution and the rest of a recipe ask of each other: a field, and what is wrong with it. */
export function distributionProblem({ image, distribution }: Distributed) {
  if (distribution === undefined) return undefined;
  const { share: to, regions, kmsKeys, deprecateAfter = 0 } = distribution;
  const { encryption } = image;
  const problem = (field: string[], message: string) => ({ path: ['distribution', ...field], message });
  const shared =
    to.public || to.accounts.length + to.organizations.length + to.organizationalUnits.length > 0;
  if (to.public && (encryption !== undefined || Object.keys(kmsKeys).length > 0)) {
    return problem(
      ['share', 'public'],
      'must not be true for an encrypted image: EC2 shares none with everybody',
    );
  }
  if (shared && encryption !== undefined && encryption.kmsKey === undefined) {
    return problem(
      ['share'],
      'must go with image.encryption.kmsKey: what the account’s default key encrypts cannot be shared',
    );
  }
  const stray = Object.keys(kmsKeys).find((key) => !regions.includes(key));
  if (stray !== undefined) {
    return problem(
      ['kmsKeys', stray],
      'must be one of distribution.regions; image.encryption.kmsKey is for the region of the factory',
    );
  }
  if (to.public && deprecateAfter > PUBLIC_DAYS) {
    return problem(
      ['deprecateAfter'],
      `must be at most ${PUBLIC_DAYS} days for a public image, as EC2 has it`,
    );
  }
  return undefined;
}
