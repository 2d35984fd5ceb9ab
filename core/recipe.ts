import { distance } from 'fastest-levenshtein';
import * as z from 'zod/mini';
import { digestOf, type Json } from './canonical-json.ts';
import { FactoryError } from './errors.ts';

const GIB = 1024 ** 3;

const described = <T extends z.core.$ZodType>(schema: T, description: string): T => {
  z.globalRegistry.add(schema, { description });
  return schema;
};

const text = (pattern: RegExp, error: string) => z.string().check(z.regex(pattern, { error }));

/** A URL that a FreeBSD worker's fetch(1) can read, without credentials that would end up in logs and tags. */
const sourceUrl = z.pipe(
  // Printable ASCII: fetch(1) sends what it is given, and a job has no room for control characters.
  text(
    /^https?:\/\/(?=[!-~]*$)[^/?#@]+(\/[^?#]*)?$/,
    'must be an http:// or https:// URL in ASCII without user name, query or fragment',
  ).check(
    z.refine((url) => URL.canParse(url), {
      error: 'must be an http:// or https:// URL',
      when: ({ issues }) => issues.length === 0,
    }),
    // The state carries the recipe, and Step Functions ends an execution whose state is over 256 KiB without any clean-up.
    z.refine((url) => url.length <= 1000, { error: 'must be at most 1000 characters' }),
  ),
  z.transform((url: string) => url.replace(/\/+$/, '')),
);

const rootSize = z.pipe(
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
    z.gte(1, { error: 'must be at least 1 GiB' }),
    z.lte(16384, { error: 'must be at most 16384 GiB, the limit of a gp3 volume' }),
  ),
);

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
  tags: described(
    z._default(
      z
        .record(
          z.string(),
          z.string().check(z.maxLength(256, { error: 'must be at most 256 characters, as AWS allows' })),
        )
        .check(
          z.refine((tags) => Object.keys(tags).length <= 40, {
            error: 'must have at most 40 entries: AWS allows 50 and the factory needs some',
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
    z.optional(sourceUrl),
    'A directory with a release of your own: MANIFEST and sets as FreeBSD lays them out.',
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
    z._default(rootSize, 10),
    'Size of the root volume in GiB: 10, or "10GiB". It can be launched larger, never smaller. Default: 10.',
  ),
  sets: described(
    z._default(
      z.array(setName).check(
        z.refine((sets) => new Set(sets).size === sets.length, { error: 'must not name a set twice' }),
        z.refine((sets) => ['base', 'kernel'].every((set) => sets.includes(set)), {
          error: 'must contain base and kernel: nothing boots without them',
        }),
      ),
      ['base', 'kernel'],
    ),
    "Distribution sets to extract, by the MANIFEST's names. Default: base and kernel.",
  ),
  hostname: described(
    z._default(
      text(new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`), 'must be a host name (RFC 1123)'),
      'freebsd',
    ),
    'hostname in rc.conf; DHCP may replace it.',
  ),
  image: described(z.prefault(z.strictObject(imageShape), {}), 'Settings of the AMI.'),
};

/** The recipe: what a caller writes. Every key is described; unknown keys are errors. */
export const recipeSchema = z.strictObject(recipeShape).check(
  z.refine((recipe) => recipe.release !== undefined || recipe.source !== undefined, {
    path: ['release'],
    error: 'is missing: say which release (15.1-RELEASE) or give a source URL',
  }),
  z.refine(
    (recipe) => !(recipe.architecture === 'arm64' && /bios|preferred/.test(recipe.image.bootMode ?? '')),
    {
      path: ['image', 'bootMode'],
      error: 'must be uefi on arm64: Graviton has no BIOS',
    },
  ),
);

export type Recipe = z.output<typeof recipeSchema>;

/** What the release is called in names and tags: a source of one's own need not say. */
export const releaseLabel = (recipe: Recipe): string => recipe.release ?? 'custom';

export const rootSizeBytes = (recipe: Recipe): number => recipe.rootSize * GIB;

/** SHA-256 of the parsed recipe with its defaults: two spellings of one wish have one digest. */
export const recipeDigest = (recipe: Recipe): string => digestOf(recipe as unknown as Json);

/** Takes a recipe as a value. Throws `InvalidRecipe` that lists every problem with its field, at once. */
export function parseRecipe(value: unknown, where = 'the recipe'): Recipe {
  const result = recipeSchema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const problems = listed(withoutConsequences(result.error.issues).flatMap(describeIssue));
  throw new FactoryError(
    'InvalidRecipe',
    {
      message: `${where} has ${problems}`,
      remedy: 'correct the fields named above; docs/recipe.md describes each.',
    },
    { cause: result.error },
  );
}

type Issue = z.core.$ZodIssue;

/** Enough for any recipe that was meant as one. */
const PROBLEMS_SHOWN = 40;

function listed(problems: readonly string[]): string {
  const shown = problems.slice(0, PROBLEMS_SHOWN).map((problem) => `- ${problem}`);
  const rest = problems.length - shown.length;
  if (rest > 0) shown.push(`- and ${rest} more`);
  return `${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${shown.join('\n')}`;
}

/** What is of the wrong type has the wrong length too, which would only confuse (checks of length look at texts and lists alike). */
function withoutConsequences(issues: readonly Issue[]): Issue[] {
  const place = (issue: Issue) => JSON.stringify(issue.path);
  const mistyped = new Set(issues.filter(({ code }) => code === 'invalid_type').map(place));
  return issues.filter((issue) => issue.code === 'invalid_type' || !mistyped.has(place(issue)));
}

function describeIssue(issue: Issue): string[] {
  const path = issue.path.map((key) => shortened(String(key))).join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path);
    return issue.keys.map(shortened).map((key) => {
      const near = nearest(key, known);
      const field = path === '' ? key : `${path}.${key}`;
      return `${field} is not a key of a recipe${near ? `; did you mean ${near}?` : `; known here: ${known.join(', ')}`}`;
    });
  }
  if ((issue.code === 'invalid_type' || issue.code === 'invalid_value') && issue.input === undefined)
    return [`${path || 'the recipe'} is missing`];
  if (issue.code === 'invalid_value') {
    return [`${path} must be one of ${issue.values.map(String).join(', ')}; it is ${preview(issue.input)}`];
  }
  if (issue.code === 'invalid_type') {
    return [`${path || 'the recipe'} must be ${article(issue.expected)}; it is ${preview(issue.input)}`];
  }
  const said = /^(must|is) /.test(issue.message) ? issue.message : `is not right: ${issue.message}`;
  const shown = issue.input === undefined || issue.code === 'custom' ? '' : `; it is ${preview(issue.input)}`;
  return [`${path} ${said}${shown}`];
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  if (path.length === 0) return Object.keys(recipeShape);
  return path[0] === 'image' ? Object.keys(imageShape) : [];
}

function nearest(key: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(key.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  // More than half of the word changed is a different word, not a slip.
  return best && best.edits <= Math.max(2, Math.floor(key.length / 2)) ? best.candidate : undefined;
}

function preview(input: unknown): string {
  return shortened(JSON.stringify(input) ?? String(input));
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}…` : text);

const article = (type: string): string => (/^[aeio]/.test(type) ? `an ${type}` : `a ${type}`);
