import * as z from 'zod/mini';
import { digestOf, type Json } from './canonical-json.ts';
import { described, text } from './described.ts';
import { FactoryError } from './errors.ts';
import { mailSchema } from './mail.ts';
import { panicmailSchema } from './panicmail.ts';
import { bootTestSchema } from './recipe-boot-test.ts';
import {
  extraSets,
  files,
  groups,
  kernel,
  kernelModules,
  loaderConf,
  mountPoint,
  packages,
  rcConf,
  repositories,
  scripts,
  services,
  sysctl,
  timezone,
  users,
} from './recipe-contents.ts';
import { distributionSchema, kmsKey, retentionSchema } from './recipe-distribution.ts';
import { describeProblems } from './recipe-problems.ts';
import { recipeRules } from './recipe-rules.ts';
import { subscribeSchema } from './recipe-subscription.ts';
import { accountName, gib, sourceUrl, sourceUrlOrS3 } from './recipe-values.ts';

const GIB = 1024 ** 3;

const label = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';

const imageShape = {
  description: described(
    z.optional(
      z
        .string()
        .check(
          z.minLength(1, { error: 'must not be empty' }),
          z.maxLength(255, { error: 'must be at most 255 characters, the limit of RegisterImage' }),
          z.regex(/^[\x20-\x7e]*$/, { error: 'must be printable ASCII, as RegisterImage demands' }),
        ),
    ),
    'Description of the AMI.',
  ),
  bootMode: described(
    z.optional(z.enum(['uefi', 'uefi-preferred', 'legacy-bios'])),
    'Default: uefi-preferred on amd64, uefi on arm64.',
  ),
  imdsV2Only: described(
    z._default(z.boolean(), true),
    'Instances of the image require IMDSv2 tokens (ImdsSupport v2.0).',
  ),
  tpm: described(
    z._default(z.boolean(), false),
    'Instances have a NitroTPM 2.0 (TpmSupport). Needs bootMode: uefi.',
  ),
  volume: described(
    z.optional(
      z.strictObject({
        iops: described(
          z.optional(
            z
              .int({ error: 'must be a whole number' })
              .check(
                z.gte(3000, { error: 'must be at least 3000, what a gp3 volume has anyway' }),
                z.lte(80_000, { error: 'must be at most 80000, the limit of a gp3 volume' }),
              ),
          ),
          'Operations per second, at most 500 for each GiB. Default: 3000.',
        ),
        throughput: described(
          z.optional(
            z
              .int({ error: 'must be a whole number of MiB/s' })
              .check(
                z.gte(125, { error: 'must be at least 125 MiB/s, what a gp3 volume has anyway' }),
                z.lte(2000, { error: 'must be at most 2000 MiB/s, the limit of a gp3 volume' }),
              ),
          ),
          'MiB per second, at most a quarter of iops. Default: 125.',
        ),
      }),
    ),
    'The root volume (gp3) that an instance gets unless its launch says otherwise.',
  ),
  road: described(
    z.optional(z.enum(['unix', 'windows', 'ebs-direct'])),
    'How the disk becomes an AMI. unix (the default): a snapshot of the worker’s volume is registered. ebs-direct: the same without a volume, by the EBS direct APIs. windows: in the place of a Windows instance’s root, for an AMI that EC2 takes, and bills, for Windows.',
  ),
  encryption: described(
    z.optional(
      z.strictObject({
        kmsKey: described(
          z.optional(kmsKey),
          'Key id, alias/name or ARN. Default: the account’s key for EBS.',
        ),
      }),
    ),
    'Encrypts the image. {} is with the account’s key for EBS, which cannot be shared.',
  ),
  tags: described(
    z._default(
      z
        .record(
          z.string(),
          z.string().check(z.maxLength(256, { error: 'must be at most 256 characters, as AWS allows' })),
        )
        .check(
          z.refine((tags) => Object.keys(tags).length <= 36, {
            error: 'must have at most 36 entries: AWS allows 50 and the factory needs some',
          }),
          z.refine((tags) => Object.keys(tags).every((key) => key.length >= 1 && key.length <= 128), {
            error: 'must have keys of 1 to 128 characters, as AWS allows',
          }),
          // EC2 takes any other character, but its requests and answers are XML and URLs (User Guide, "Tag restrictions").
          z.refine((tags) => !/[\p{Cc}\p{Cs}]/u.test(Object.entries(tags).flat().join('')), {
            error: 'must not have control characters or halves of characters in keys or values',
          }),
          z.refine((tags) => !Object.keys(tags).some((key) => /^(aws:|ami-foundry:|Name$)/i.test(key)), {
            error: 'must not have keys that begin with aws: or ami-foundry:, nor Name: they are taken',
          }),
        ),
      {},
    ),
    'Tags of the AMI and its snapshot, beside those of the factory.',
  ),
};

/** base-dbg and base_dbg are one set: the file has a hyphen, the MANIFEST an underscore. */
const setName = z.pipe(
  text(/^[a-z][a-z0-9_-]{0,31}$/, 'must be the name of a set, such as base'),
  z.transform((name: string) => name.replaceAll('-', '_')),
);

const ec2Shape = {
  configinit: described(z.optional(z.boolean()), 'Run user-data by configinit at first boot.'),
  fetchKey: described(z.optional(z.boolean()), 'Give the launch key to the login user at first boot.'),
  loginUser: described(z._default(accountName, 'ec2-user'), 'The login user; made at first boot.'),
  logHostKey: described(
    z.optional(z.boolean()),
    'Print the fingerprints of the SSH host keys on the console.',
  ),
  ephemeralSwap: described(z.optional(z.boolean()), 'Swap on instance-store disks.'),
};

const recipeShape = {
  name: described(
    text(
      /^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$/,
      'must be 2 to 40 characters: small letters, digits and inner hyphens',
    ),
    'What the image is called; heads the AMI name, the execution name and out/<name>.raw.',
  ),
  release: described(
    z.optional(
      text(
        // At most 16 characters, so that the AMI name stays within its 128.
        /^[1-9]\d{0,2}\.\d{1,3}-(RELEASE|RC[1-9]\d?|BETA[1-9]\d?)$/,
        'must be a FreeBSD release such as 15.1-RELEASE, 15.1-RC1 or 15.1-BETA2, without a patch level',
      ),
    ),
    'The FreeBSD release, as the directory on the mirror is called.',
  ),
  source: described(
    z.optional(sourceUrlOrS3),
    'A directory with a release of your own, by URL or s3://bucket/prefix: MANIFEST and sets as FreeBSD lays them out.',
  ),
  mirrors: described(
    z._default(
      z
        .array(sourceUrl)
        .check(
          z.minLength(1, { error: 'must name at least one mirror, or be left out' }),
          z.maxLength(8, { error: 'must name at most 8 mirrors' }),
        ),
      ['https://download.freebsd.org'],
    ),
    'Mirrors to try in order; each has the tree of download.freebsd.org, which is the default.',
  ),
  architecture: described(
    z.enum(['amd64', 'arm64']),
    'The machine the image is for: amd64 (x86_64 instances) or arm64 (Graviton).',
  ),
  filesystem: described(z._default(z.enum(['ufs', 'zfs']), 'ufs'), 'The root file system.'),
  rootSize: described(
    z._default(gib(1), 10),
    'Size of the root volume in GiB: 10, or "10GiB". It can be launched larger, never smaller. Default: 10.',
  ),
  flavour: described(
    z._default(z.enum(['base', 'small', 'cloud-init']), 'small'),
    'As FreeBSD’s own EC2 images: small has the EC2 scripts; base also debug symbols, 32-bit libraries, tests and the SSM agent; cloud-init has cloud-init in their place.',
  ),
  system: described(
    z._default(z.enum(['sets', 'pkgbase']), 'sets'),
    'Where the base system comes from: distribution sets, or packages of the FreeBSD-base repository (from 15.0 on).',
  ),
  sets: described(
    z.optional(
      z.array(setName).check(
        z.refine((sets) => new Set(sets).size === sets.length, { error: 'must not name a set twice' }),
        z.refine((sets) => ['base', 'kernel'].every((set) => sets.includes(set)), {
          error: 'must contain base and kernel: nothing boots without them',
        }),
      ),
    ),
    'Distribution sets to extract, by the MANIFEST’s names. Default: base and kernel; for flavour base also what it adds.',
  ),
  extraSets: described(z._default(extraSets, []), 'Archives (.txz) to extract over the sets, in order.'),
  kernel: described(z.optional(kernel), 'A kernel.txz of your own in the place of the set kernel.'),
  updates: described(
    z.optional(z.enum(['at-build', 'first-boot', 'none'])),
    'When security updates are installed. Default: first-boot, none for flavour cloud-init. at-build needs a FreeBSD worker.',
  ),
  packages: described(z._default(packages, []), 'Packages to install at build time, by name or origin.'),
  firstbootPackages: described(
    z.optional(packages),
    'Packages that the instance installs at its first boot. Default: none; for flavour base the AWS CLI.',
  ),
  repositories: described(
    z._default(repositories, []),
    'Package repositories beside FreeBSD’s own, or in the place of one.',
  ),
  files: described(z._default(files, []), 'Files to put into the image, after packages and users.'),
  users: described(z._default(users, []), 'Users.'),
  groups: described(z._default(groups, []), 'Groups.'),
  rcConf: described(
    z._default(rcConf, {}),
    'Variables of rc.conf(5). They win over everything else of the recipe.',
  ),
  loaderConf: described(z._default(loaderConf, {}), 'Variables of loader.conf(5).'),
  sysctl: described(z._default(sysctl, {}), 'Settings of sysctl.conf(5).'),
  timezone: described(z.optional(timezone), 'Such as Europe/Berlin. Default: UTC.'),
  hostname: described(
    z._default(
      text(new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`), 'must be a host name (RFC 1123)'),
      'freebsd',
    ),
    'hostname in rc.conf. DHCP does not replace it, cloud-init may.',
  ),
  kernelModules: described(z._default(kernelModules, []), 'Kernel modules to load at boot (kld_list).'),
  services: described(
    z._default(services, {}),
    'Services on (true) or off (false): nginx: true is nginx_enable="YES".',
  ),
  scripts: described(
    z._default(scripts, []),
    'Scripts of sh(1) run at build time in a chroot of the image, in order. They need a FreeBSD worker.',
  ),
  swap: described(
    z._default(
      z.union([z.literal('auto'), z.literal('none'), gib(1)], {
        error: 'must be auto, none or a size in GiB',
      }),
      'auto',
    ),
    'auto: growfs(7) adds a swap partition at first boot if the disk is 15 GB or more and much larger than the root. none: never. A size: a partition in the image, before the root.',
  ),
  data: described(
    z.optional(
      z.strictObject({
        size: described(gib(1), 'Size of the partition in GiB.'),
        mount: described(mountPoint, 'Where it is mounted.'),
      }),
    ),
    'A partition with an empty UFS for data, before the root so that the root can grow.',
  ),
  serialConsole: described(
    z.prefault(
      z.strictObject({
        speed: described(
          z._default(
            z.union(
              [9600, 19200, 38400, 57600, 115200].map((speed) => z.literal(speed)),
              {
                error: 'must be 9600, 19200, 38400, 57600 or 115200',
              },
            ),
            115200,
          ),
          'Bits per second. EC2’s own serial console reads 115200.',
        ),
      }),
      {},
    ),
    'The serial console.',
  ),
  ec2: described(
    z.prefault(z.strictObject(ec2Shape), {}),
    'The parts of ec2-scripts. Default: all on; off for flavour cloud-init, which does their work itself.',
  ),
  mail: described(z.optional(mailSchema), 'Outgoing mail, through relays chosen by the sender.'),
  panicmail: described(z.optional(panicmailSchema), 'Encrypted reports of kernel panics by mail.'),
  image: described(z.prefault(z.strictObject(imageShape), {}), 'Settings of the AMI.'),
  bootTest: described(
    z.optional(bootTestSchema),
    'How the AMI is booted once before it counts as built. false: not at all. Part of the image’s identity: an image that was adopted has passed the same test.',
  ),
  distribution: described(
    z.optional(distributionSchema),
    'Where the image goes and who may launch it, in all regions or in none. No part of the image’s identity.',
  ),
  retention: described(
    z.optional(retentionSchema),
    'Which of the recipe’s images stay. Default: all. What somebody uses stays in any case.',
  ),
  subscribe: described(
    z.optional(subscribeSchema),
    'Of which releases it is built when they appear, once it is subscribed (PUT /subscriptions/{name}). {} is the newest RELEASE. No part of the image’s identity, nor of the build’s.',
  ),
};

const recipeObject = z.strictObject(recipeShape);

/** The recipe: what a caller writes. Every key is described; unknown keys are errors. */
export const recipeSchema = recipeObject.check(...recipeRules<z.output<typeof recipeObject>>());

export type Recipe = z.output<typeof recipeSchema>;

/** What the release is called in names and tags: a source of one's own need not say. */
export const releaseLabel = (recipe: Pick<Recipe, 'release'>): string => recipe.release ?? 'custom';

export const rootSizeBytes = (recipe: Recipe): number => recipe.rootSize * GIB;

/** What is built of a recipe: when it is built again says nothing about it. */
export const buildable = ({ subscribe: _when, ...recipe }: Recipe): Recipe => recipe;

/**
 * SHA-256 of the parsed recipe with its defaults: two spellings of one wish have one digest. Who starts a build makes no other build of it,
 * a person or the release watcher.
 */
export const recipeDigest = (recipe: Recipe): string => digestOf(buildable(recipe) as unknown as Json);

/** The same of what goes into the image: where it goes and how long it stays make no other image of it. */
export const imageDigest = ({ distribution: _where, retention: _howLong, ...recipe }: Recipe): string =>
  recipeDigest(recipe);

/** Takes a recipe as a value. Throws `InvalidRecipe` that lists every problem with its field, at once. */
export function parseRecipe(value: unknown, where = 'the recipe'): Recipe {
  const result = recipeSchema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw new FactoryError(
    'InvalidRecipe',
    {
      message: `${where} has ${describeProblems(result.error.issues, recipeSchema)}`,
      remedy: 'correct the fields named above; docs/recipe.md describes each.',
    },
    { cause: result.error },
  );
}
