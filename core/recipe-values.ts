import * as z from 'zod/mini';
import { described, text } from './described.ts';

/** SHA-256, 64 hex digits. */
export const sha256 = text(/^[0-9a-f]{64}$/, 'must be a SHA-256: 64 small hex digits');

const s3Pattern = "s3:\\/\\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\\/[A-Za-z0-9!_.*'()/-]{1,900}";

/** Printable ASCII: fetch(1) sends what it is given, and a job has no room for control characters. */
const httpPattern = 'https?:\\/\\/(?=[!-~]*$)[^/?#@]+(\\/[^?#]*)?';

const url = (pattern: RegExp, error: string) =>
  z.pipe(
    text(pattern, error).check(
      z.refine((given) => URL.canParse(given), {
        error: 'must be an http:// or https:// URL',
        when: ({ issues }) => issues.length === 0,
      }),
      // The state carries the recipe, and Step Functions ends an execution whose state is over 256 KiB without any clean-up.
      z.refine((given) => given.length <= 1000, { error: 'must be at most 1000 characters' }),
    ),
    z.transform((given: string) => given.replace(/\/+$/, '')),
  );

const urlError = 'must be an http:// or https:// URL in ASCII without user name, query or fragment';

/** A URL that a FreeBSD worker's fetch(1) can read, without credentials that would end up in logs and tags. */
export const sourceUrl = url(new RegExp(`^${httpPattern}$`), urlError);

/** The same, or s3://bucket/prefix. */
export const sourceUrlOrS3 = url(
  new RegExp(`^(${httpPattern}|${s3Pattern})$`),
  `${urlError}, or s3://bucket/prefix`,
);

/** s3://bucket/key, read with the plan function's role. Bucket names: S3 User Guide, "Bucket naming rules". */
export const s3Uri = text(
  new RegExp(`^${s3Pattern}(?<!/)$`),
  "must be s3://bucket/key with letters, digits and !_.*'()-/ in the key",
);

/** Something to fetch: by `url`, or by `s3` through a presigned URL. `sha256` pins it. */
export const artifactShape = {
  url: described(z.optional(sourceUrl), 'Where to fetch it over HTTP or HTTPS.'),
  s3: described(z.optional(s3Uri), 'Or where it lies in S3: s3://bucket/key, read with the factory’s role.'),
  sha256: described(sha256, 'Its SHA-256. What was fetched counts only if it has it.'),
};

/** Exactly one of the given keys. */
export const oneOf = <T extends Record<string, unknown>>(...keys: (keyof T & string)[]) =>
  z.refine<T>((value) => keys.filter((key) => value[key] !== undefined).length === 1, {
    error: `must have exactly one of ${keys.join(', ')}`,
  });

/** A whole number of GiB: 10 or "10GiB". */
export const gib = (least: number) =>
  z.pipe(
    z.pipe(
      z.union([z.number(), text(/^\d{1,9} ?GiB$/, 'must be like 10GiB')], {
        error: 'must be a number of GiB: 10 or "10GiB"',
      }),
      z.transform((size: number | string) => (typeof size === 'number' ? size : Number.parseInt(size, 10))),
    ),
    z.number().check(
      z.refine((size) => Number.isInteger(size), {
        error: 'must be a whole number of GiB, as EBS volumes are',
      }),
      z.gte(least, { error: `must be at least ${least} GiB` }),
      z.lte(16384, { error: 'must be at most 16384 GiB, the limit of a gp3 volume' }),
    ),
  );

/** Text of one line: no control characters, no halves of characters. */
export const line = (most: number) =>
  z.string().check(
    z.maxLength(most, { error: `must be at most ${most} characters` }),
    z.refine((value) => !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(value), {
      error: 'must be one line without control characters',
    }),
  );

/** Text of any number of lines. NUL cannot stand in a text file, a half of a surrogate pair not in UTF-8. */
export const lines = (most: number) =>
  z.string().check(
    z.maxLength(most, { error: `must be at most ${most} characters; fetch larger things by url` }),
    z.refine((value) => !/[\0\p{Cs}]/u.test(value), {
      error: 'must not have NUL or halves of characters in it',
    }),
  );

/** An absolute path in which every component stands for itself; what a job can carry and mtree(5) can name. */
export const absolutePath = line(1000).check(
  z.regex(/^\/(?!.*\/$)/, { error: 'must be an absolute path to a file, without a slash at the end' }),
  z.refine((path) => !/(^|\/)(\.\.?)?(\/|$)/.test(path.slice(1)), {
    error: 'must not have empty, . or .. components',
  }),
  z.refine((path) => path.split('/').every((part) => Buffer.byteLength(part) <= 255), {
    error: 'must not have a component of over 255 bytes, the limit of UFS',
  }),
);

/** A name of passwd(5) and group(5). pw(8) takes 32 characters; the first must not be a hyphen. */
export const accountName = text(
  /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/,
  'must be 1 to 32 letters, digits, _ . or -, not beginning with a digit, dot or hyphen',
);

/** A user or group number. 0 is root's, 65533 and 65534 belong to nobody, 2^32-1 means "none" to the kernel. */
export const accountNumber = z
  .int({ error: 'must be a whole number' })
  .check(
    z.gte(1, { error: 'must be at least 1: 0 is root' }),
    z.lte(4_294_967_290, { error: 'must be at most 4294967290' }),
  );

/** A list without repetitions. */
export const distinct = <T extends z.core.SomeType>(item: T, most: number) =>
  z.array(item).check(
    z.maxLength(most, { error: `must have at most ${most} entries` }),
    z.refine((items) => new Set(items.map((one) => JSON.stringify(one))).size === items.length, {
      error: 'must not have an entry twice',
    }),
  );

/** What node:crypto decodes; undefined where it cannot, which it tells by an Error with a code of OpenSSL. Anything else is ours. */
export function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    return undefined;
  }
}
