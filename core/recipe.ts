import { distance } from 'fastest-levenshtein';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { digestOf, type Json } from './canonical-json.ts';
import { FactoryError } from './errors.ts';

const GIB = 1024 ** 3;

/** A URL that a FreeBSD worker's fetch(1) can read, without credentials that would end up in logs and tags. */
const sourceUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, {
    error: 'must be an http:// or https:// URL without user name, query or fragment',
  })
  .transform((url) => url.replace(/\/+$/, ''));

const recipeShape = {
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$/, {
      error: 'must be 2 to 40 characters: small letters, digits and inner hyphens',
    })
    .meta({
      description: 'What the image is called; heads the AMI name, the execution name and out/<name>.raw.',
    }),
  release: z
    .string()
    .regex(/^[1-9]\d*\.\d+-(RELEASE|RC[1-9]\d*|BETA[1-9]\d*)$/, {
      error: 'must be a FreeBSD release such as 15.1-RELEASE, 15.1-RC1 or 15.1-BETA2, without a patch level',
    })
    .optional()
    .meta({ description: 'The FreeBSD release, as the directory on the mirror is called.' }),
  source: sourceUrl.optional().meta({
    description: 'A directory with a release of your own: MANIFEST and sets as FreeBSD lays them out.',
  }),
  mirrors: z
    .array(sourceUrl)
    .min(1, { error: 'must name at least one mirror, or be left out' })
    .max(8, { error: 'must name at most 8 mirrors' })
    .default(['https://download.freebsd.org'])
    .meta({ description: 'Mirrors to try in order; each has the tree of download.freebsd.org.' }),
  architecture: z
    .enum(['amd64', 'arm64'])
    .meta({ description: 'The machine the image is for: amd64 (x86_64 instances) or arm64 (Graviton).' }),
  filesystem: z.enum(['ufs', 'zfs']).default('ufs').meta({ description: 'The root file system.' }),
  rootSize: z
    .union([z.number(), z.string().regex(/^\d+ ?GiB$/, { error: 'must be like 10GiB' })])
    .transform((size) => (typeof size === 'number' ? size : Number.parseInt(size, 10)))
    .pipe(
      z
        .number()
        .int({ error: 'must be a whole number of GiB, as EBS volumes are' })
        .min(1, { error: 'must be at least 1 GiB' })
        .max(16384, { error: 'must be at most 16384 GiB, the limit of a gp3 volume' }),
    )
    .default(10)
    .meta({
      description:
        'Size of the root volume in GiB: 10, or "10GiB". It can be launched larger, never smaller.',
    }),
  sets: z
    .array(z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, { error: 'must be the name of a set, such as base' }))
    .default(['base', 'kernel'])
    .refine((sets) => new Set(sets).size === sets.length, { error: 'must not name a set twice' })
    .refine((sets) => ['base', 'kernel'].every((set) => sets.includes(set)), {
      error: 'must contain base and kernel: nothing boots without them',
    })
    .meta({ description: "Distribution sets to extract, by the MANIFEST's names." }),
  hostname: z
    .string()
    .regex(
      /^(?=.{1,253}$)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/,
      {
        error: 'must be a host name (RFC 1123)',
      },
    )
    .default('freebsd')
    .meta({ description: 'hostname in rc.conf; DHCP may replace it.' }),
  image: z
    .strictObject({
      description: z
        .string()
        .min(1)
        .max(255, { error: 'must be at most 255 characters, the limit of RegisterImage' })
        .optional()
        .meta({ description: 'Description of the AMI.' }),
      bootMode: z
        .enum(['uefi', 'uefi-preferred', 'legacy-bios'])
        .optional()
        .meta({ description: 'Default: uefi-preferred on amd64, uefi on arm64.' }),
      imdsV2Only: z
        .boolean()
        .default(true)
        .meta({ description: 'Instances of the image require IMDSv2 tokens (ImdsSupport v2.0).' }),
      tags: z
        .record(
          z
            .string()
            .min(1)
            .max(128)
            .regex(/^(?!aws:|ami-foundry:)/i, { error: 'must not begin with aws: or ami-foundry:' }),
          z.string().max(256),
        )
        .refine((tags) => Object.keys(tags).length <= 40, {
          error: 'must have at most 40 entries: AWS allows 50 and the factory needs some',
        })
        .default({})
        .meta({ description: 'Tags of the AMI and its snapshot, beside those of the factory.' }),
    })
    .prefault({})
    .meta({ description: 'Settings of the AMI.' }),
};

/** The recipe: what a caller writes. Every key is described; unknown keys are errors. */
export const recipeSchema = z
  .strictObject(recipeShape)
  .refine((recipe) => recipe.release !== undefined || recipe.source !== undefined, {
    path: ['release'],
    error: 'is missing: say which release (15.1-RELEASE) or give a source URL',
  })
  .refine(
    (recipe) => !(recipe.architecture === 'arm64' && /bios|preferred/.test(recipe.image.bootMode ?? '')),
    {
      path: ['image', 'bootMode'],
      error: 'must be uefi on arm64: Graviton has no BIOS',
    },
  );

export type Recipe = z.output<typeof recipeSchema>;

/** What the release is called in names and tags: a source of one's own need not say. */
export const releaseLabel = (recipe: Recipe): string => recipe.release ?? 'custom';

export const rootSizeBytes = (recipe: Recipe): number => recipe.rootSize * GIB;

/** SHA-256 of the parsed recipe with its defaults: two spellings of one wish have one digest. */
export const recipeDigest = (recipe: Recipe): string => digestOf(recipe as unknown as Json);

/**
 * Reads a recipe from YAML or JSON text, or takes an object that already was JSON.
 * Throws `InvalidRecipe` that lists every problem with its field, at once.
 */
export function parseRecipe(source: unknown, where = 'recipe'): Recipe {
  const value = typeof source === 'string' ? parseText(source, where) : source;
  const result = recipeSchema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap(describeIssue);
  throw new FactoryError(
    'InvalidRecipe',
    {
      message: `${where} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((p) => `- ${p}`).join('\n')}`,
      remedy: 'correct the fields named above; docs/recipe.md describes each.',
    },
    { cause: result.error },
  );
}

function parseText(text: string, where: string): unknown {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => `- ${error.message.split('\n')[0]?.replace(/:$/, '')}`);
    throw new FactoryError(
      'InvalidRecipe',
      {
        message: `${where} is not well-formed YAML or JSON:\n${problems.join('\n')}`,
        remedy: 'correct the syntax at the lines named above.',
      },
      { cause: document.errors[0] },
    );
  }
  return document.toJS({ maxAliasCount: 100 });
}

type Issue = z.core.$ZodIssue;

function describeIssue(issue: Issue): string[] {
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path);
    return issue.keys.map((key) => {
      const near = nearest(key, known);
      const field = path === '' ? key : `${path}.${key}`;
      return `${field} is not a key of a recipe${near ? `; did you mean ${near}?` : `; known here: ${known.join(', ')}`}`;
    });
  }
  if (issue.code === 'invalid_type' && issue.input === undefined)
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
  return path[0] === 'image' ? Object.keys(recipeShape.image.unwrap().shape) : [];
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
  const text = JSON.stringify(input) ?? String(input);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

const article = (type: string): string => (/^[aeio]/.test(type) ? `an ${type}` : `a ${type}`);
