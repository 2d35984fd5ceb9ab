import { createPublicKey } from 'node:crypto';
import * as z from 'zod/mini';
import { described, text } from './described.ts';
import {
  absolutePath,
  accountName,
  accountNumber,
  artifactShape,
  decoded,
  distinct,
  line,
  lines,
  oneOf,
  sha256,
  sourceUrl,
} from './recipe-values.ts';

// What a company wants to change in an image: each list and record of the recipe that fills it.

/** A recipe with its contents must fit into the state of an execution (256 KiB) more than once over. */
const MOST_ENTRIES = 10_000;

const owner = (what: string) =>
  z.union([accountName, z.literal(0), accountNumber], { error: `must be ${what}` });

/** A file: text in the recipe, or something fetched and pinned by its SHA-256. */
const file = z
  .strictObject({
    path: described(
      absolutePath,
      'Where it goes in the image. Missing directories are made, 0755 root:wheel.',
    ),
    content: described(z.optional(lines(100_000)), 'The text itself.'),
    ...artifactShape,
    sha256: described(z.optional(sha256), 'The SHA-256 of what is fetched; needed with url and s3.'),
    mode: described(
      z._default(text(/^[0-7]{4}$/, 'must be four octal digits in quotes, such as "0644"'), '0644'),
      'Permissions, four octal digits in quotes.',
    ),
    owner: described(
      z._default(owner('a user name or number'), 'root'),
      'A user of the image, by name or number.',
    ),
    group: described(
      z._default(owner('a group name or number'), 'wheel'),
      'A group of the image, by name or number.',
    ),
  })
  .check(
    oneOf('content', 'url', 's3'),
    z.refine(({ content, sha256: sum }) => (content === undefined) === (sum !== undefined), {
      when: ({ issues }) => issues.length === 0,
      path: ['sha256'],
      error: 'must be there with url and s3, and only with them',
    }),
  );

export const files = z.array(file).check(
  z.maxLength(4096, {
    error: 'must have at most 4096 entries; put more into a package or an archive of sets',
  }),
  z.refine((all) => new Set(all.map(({ path }) => path)).size === all.length, {
    error: 'must not have a path twice',
  }),
);

/** A crypt(3) hash as master.passwd(5) stores it: no colon, no blank. */
const passwordHash = text(
  /^\$[0-9a-z]{1,3}\$[A-Za-z0-9./$=,-]{8,200}$/,
  'must be a crypt(3) hash such as $6$…, never a password',
);

/** A line of authorized_keys: options may stand before the key type (sshd(8), AUTHORIZED_KEYS FILE FORMAT). */
const sshKey = line(8192).check(
  z.regex(
    /^(?!#)(.*[ ,"])?(sk-)?(ssh-(rsa|ed25519)|ecdsa-sha2-nistp(256|384|521))(@openssh\.com)? [A-Za-z0-9+/]{16,}={0,2}( .*)?$/,
    {
      error: 'must be a public key as in authorized_keys, such as "ssh-ed25519 AAAA… name"',
    },
  ),
);

const user = z.strictObject({
  name: described(
    accountName,
    'The login name. A user that is there already (root, one of a package) is changed.',
  ),
  uid: described(z.optional(accountNumber), 'Default: the lowest free number from 1001.'),
  group: described(
    z.optional(accountName),
    'Primary group; made with the user’s number if it is not there. Default: as the name.',
  ),
  groups: described(z._default(distinct(accountName, 200), []), 'Further groups, such as wheel.'),
  comment: described(
    z._default(line(200).check(z.regex(/^[^:]*$/, { error: 'must not have a colon' })), ''),
    'The full name (GECOS).',
  ),
  home: described(
    z.optional(absolutePath.check(z.regex(/^[^:]*$/, { error: 'must not have a colon' }))),
    'Default: /home/<name>.',
  ),
  shell: described(
    z.optional(absolutePath.check(z.regex(/^[^:]*$/, { error: 'must not have a colon' }))),
    'The login shell. Default: /bin/sh.',
  ),
  password: described(z.optional(passwordHash), 'A crypt(3) hash. Default: no password, keys only.'),
  sshKeys: described(z._default(distinct(sshKey, 100), []), 'Public keys for authorized_keys.'),
});

export const users = z.array(user).check(
  z.maxLength(500, { error: 'must have at most 500 entries' }),
  z.refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
    error: 'must not have a name twice',
  }),
);

export const groups = z
  .array(
    z.strictObject({
      name: described(accountName, 'The name of the group.'),
      gid: described(z.optional(accountNumber), 'Default: the lowest free number from 1001.'),
    }),
  )
  .check(
    z.maxLength(500, { error: 'must have at most 500 entries' }),
    z.refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
      error: 'must not have a name twice',
    }),
  );

/** true and false are YES and NO, a number its digits. */
const settingValue = (value: z.ZodMiniType<string, string>, yes: string, no: string) =>
  z.pipe(
    z.union([value, z.boolean(), z.number()], { error: 'must be text, a number, true or false' }),
    z.transform((given: string | number | boolean) =>
      typeof given === 'boolean' ? (given ? yes : no) : String(given),
    ),
  );

const settings = (
  key: RegExp,
  keyError: string,
  value: z.ZodMiniType<string, string>,
  yes: string,
  no: string,
) =>
  z.record(z.string(), settingValue(value, yes, no)).check(
    z.refine((all) => Object.keys(all).length <= MOST_ENTRIES, {
      error: `must have at most ${MOST_ENTRIES} entries`,
    }),
    z.refine((all) => Object.keys(all).every((name) => key.test(name)), { error: keyError }),
  );

/** rc.conf(5) is a program of sh(1): a key is a variable, a value any line, and it is quoted where it is written. */
export const rcConf = settings(
  /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
  'must have keys that are variables of sh: letters, digits and _',
  line(4096),
  'YES',
  'NO',
);

/** loader.conf(5) has no way to write a quote, a backslash or anything beyond ASCII inside a value. */
export const loaderConf = settings(
  /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/,
  'must have keys of letters, digits, _, . and -',
  text(/^(?=.{0,1024}$)[\x20-\x7e]*$/, 'must be at most 1024 printable ASCII characters').check(
    z.regex(/^[^"\\]*$/, { error: 'must not have " or \\: loader.conf(5) cannot express them' }),
  ),
  'YES',
  'NO',
);

/** sysctl.conf(5): a # begins a comment, blanks and quotes around a value are taken off. */
export const sysctl = settings(
  /^[A-Za-z0-9_][A-Za-z0-9_.%/-]{0,255}$/,
  'must have keys that are names of sysctl(8), such as kern.ipc.somaxconn',
  text(
    /^(?=.{1,1024}$)[!-~]([\x20-\x7e]*[!-~])?$/,
    'must be 1 to 1024 printable ASCII characters without blanks around',
  ).check(z.regex(/^[^#"'\\]*$/, { error: 'must not have #, quotes or \\: sysctl.conf(5) takes them off' })),
  '1',
  '0',
);

/** A package by name (nginx), name and version (nginx-1.28.0) or origin (www/nginx). */
const packageName = text(
  /^[A-Za-z0-9][A-Za-z0-9._+@,~-]{0,199}(\/[A-Za-z0-9][A-Za-z0-9._+@,~-]{0,199})?$/,
  'must be the name or origin of a package, such as nginx or www/nginx',
);

export const packages = distinct(packageName, 2000);

const publicKey = lines(10_000).check(
  z.refine((pem) => decoded(() => createPublicKey(pem)) !== undefined, {
    error: 'must be a public key in PEM',
    when: ({ issues }) => issues.length === 0,
  }),
);

const trust = ['fingerprints', 'publicKey', 'keys', 'unsigned'] as const;

/** The repositories that FreeBSD's pkg knows: how they are trusted and where they are need not be said. */
export const knownRepositories = ['FreeBSD-ports', 'FreeBSD-ports-kmods', 'FreeBSD-base'] as const;

const repository = z
  .strictObject({
    name: described(
      text(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'must be 1 to 64 letters, digits, _, . and -'),
      'What pkg calls it. FreeBSD-ports, FreeBSD-ports-kmods and FreeBSD-base change those.',
    ),
    url: described(
      sourceUrl,
      'Where meta.conf is. {abi} stands for the ABI, {major} and {minor} for the numbers of the release.',
    ),
    fingerprints: described(
      z.optional(distinct(sha256, 20).check(z.minLength(1, { error: 'must not be empty' }))),
      'Trust keys with these SHA-256 fingerprints.',
    ),
    publicKey: described(z.optional(publicKey), 'Or trust this public key (PEM).'),
    keys: described(
      z.optional(absolutePath),
      'Or trust the keys of this directory of the image, as FreeBSD has it: /usr/share/keys/pkg.',
    ),
    unsigned: described(
      z.optional(z.literal(true, { error: 'must be true, or be left out' })),
      'Or trust whatever stands there. Only for a repository that nobody else can write to.',
    ),
    priority: described(
      z._default(
        z
          .int({ error: 'must be a whole number' })
          .check(z.gte(0, { error: 'must be at least 0' }), z.lte(1000, { error: 'must be at most 1000' })),
        0,
      ),
      'Where two repositories have a package, the higher number gives it.',
    ),
    inImage: described(
      z._default(z.boolean(), true),
      'Whether the booted system uses it too. false: it serves the build only.',
    ),
  })
  .check(
    z.refine(
      (given) => {
        const ways = trust.filter((way) => given[way] !== undefined).length;
        return ways === 1 || (ways === 0 && (knownRepositories as readonly string[]).includes(given.name));
      },
      { error: `must have exactly one of ${trust.join(', ')}` },
    ),
  );

export const repositories = z.array(repository).check(
  z.maxLength(20, { error: 'must have at most 20 entries' }),
  z.refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
    error: 'must not have a name twice',
  }),
);

export type RecipeRepository = z.output<typeof repository>;

export const scripts = z
  .array(
    z.strictObject({
      name: described(
        text(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'must be 1 to 64 letters, digits, _, . and -'),
        'What messages call it.',
      ),
      run: described(lines(60_000), 'Text for sh(1), run with -e as root in a chroot of the image.'),
    }),
  )
  .check(
    z.maxLength(100, { error: 'must have at most 100 entries' }),
    z.refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
      error: 'must not have a name twice',
    }),
  );

export const kernelModules = distinct(
  text(/^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$/, 'must be the name of a kernel module, such as ipfw'),
  200,
);

export const services = z.record(z.string(), z.boolean({ error: 'must be true (on) or false (off)' })).check(
  z.refine((all) => Object.keys(all).every((name) => /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)), {
    error: 'must have keys that are names of rc variables, such as nginx for nginx_enable',
  }),
);

/** A file below /usr/share/zoneinfo, as tzsetup(8) takes it. */
export const timezone = text(
  /^[A-Za-z][A-Za-z0-9_+-]{0,31}(\/[A-Za-z][A-Za-z0-9_+-]{0,31}){0,2}$/,
  'must be a time zone such as Europe/Berlin or UTC',
);

const artifact = z.strictObject(artifactShape).check(oneOf('url', 's3'));

export const kernel = artifact;

export const extraSets = z
  .array(
    z
      .strictObject({
        name: described(
          text(/^[a-z][a-z0-9_-]{0,31}$/, 'must be small letters, digits, _ and -'),
          'What messages call it.',
        ),
        ...artifactShape,
      })
      .check(oneOf('url', 's3')),
  )
  .check(
    z.maxLength(20, { error: 'must have at most 20 entries' }),
    z.refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
      error: 'must not have a name twice',
    }),
  );

/** Where the mount point of the data partition may not be: what the system itself needs before it is mounted. */
const systemDirectories = /^\/(bin|boot|dev|etc|lib|libexec|proc|rescue|root|sbin|tmp|usr|var)?$/;

export const mountPoint = absolutePath.check(
  z.refine((path) => !systemDirectories.test(path), { error: 'must not be a directory of the system' }),
  z.regex(/^[A-Za-z0-9/._-]+$/, { error: 'must be letters, digits, /, ., _ and -' }),
);
