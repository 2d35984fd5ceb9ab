import * as z from 'zod/mini';
import { canonicalJson, type Json } from './canonical-json.ts';
import { type Mail, mailProblem } from './mail.ts';
import { panicmailNeeds } from './panicmail.ts';
import { type Distribution, distributionProblem } from './recipe-distribution.ts';
import { type Subscribe, subscriptionProblem } from './recipe-subscription.ts';

/**
 * The whole recipe travels in the state of an execution, which Step Functions limits to 256 KiB beside the plan and the report
 * (Step Functions Developer Guide, "Quotas for state machine executions").
 */
const RECIPE_LIMIT = 160_000;

/** What the system needs of the volume beside partitions of the recipe: boot partitions and the least of a root. */
const ROOT_LEAST_GIB = 1;

/** The parts of a recipe that stand in relation to each other. */
interface Related {
  readonly release?: string | undefined;
  readonly source?: string | undefined;
  readonly architecture: string;
  readonly system: string;
  readonly flavour: string;
  readonly rootSize: number;
  readonly kernel?: unknown;
  readonly sets?: readonly string[] | undefined;
  readonly extraSets: readonly unknown[];
  readonly swap: string | number;
  readonly data?: { readonly size: number; readonly mount: string } | undefined;
  readonly files: readonly { readonly path: string }[];
  readonly users: readonly { readonly name: string; readonly home?: string | undefined }[];
  readonly services: Readonly<Record<string, boolean>>;
  readonly rcConf: Readonly<Record<string, string>>;
  readonly ec2: Readonly<Record<string, boolean | string | undefined>>;
  readonly image: {
    readonly road?: string | undefined;
    readonly encryption?: { readonly kmsKey?: string | undefined } | undefined;
    readonly bootMode?: string | undefined;
    readonly tpm: boolean;
    readonly volume?:
      | { readonly iops?: number | undefined; readonly throughput?: number | undefined }
      | undefined;
  };
  readonly hostname: string;
  readonly mail?: Mail | undefined;
  readonly panicmail?: unknown;
  readonly distribution?: Distribution | undefined;
  readonly updates?: string | undefined;
  readonly subscribe?: Subscribe | undefined;
}

type Rule = readonly [path: readonly string[], error: string, holds: (recipe: Related) => boolean];

const majorOf = (release: string | undefined): number | undefined =>
  release === undefined ? undefined : Number.parseInt(release, 10);

/** Rules between the fields of a recipe, each with the field that has to change. */
const rules: readonly Rule[] = [
  [
    ['release'],
    'is missing: say which release (15.1-RELEASE) or give a source URL',
    (recipe) => recipe.release !== undefined || recipe.source !== undefined,
  ],
  [
    ['image', 'bootMode'],
    'must be uefi on arm64: Graviton has no BIOS',
    (recipe) => !(recipe.architecture === 'arm64' && /bios|preferred/.test(recipe.image.bootMode ?? '')),
  ],
  [
    ['image', 'tpm'],
    'must not be true unless bootMode is uefi: NitroTPM needs it',
    ({ image }) => !image.tpm || image.bootMode === 'uefi',
  ],
  [
    ['image', 'road'],
    'must not be windows on arm64: there is no Windows for Graviton',
    ({ image, architecture }) => image.road !== 'windows' || architecture === 'amd64',
  ],
  ...(['bootMode', 'tpm', 'volume', 'encryption'] as const).map(
    (key): Rule => [
      ['image', key],
      'must not be there with road: windows, whose image takes it over from the Windows instance',
      ({ image }) => image.road !== 'windows' || image[key] === undefined || image[key] === false,
    ],
  ),
  [
    ['image', 'volume', 'iops'],
    'must be at most 500 for each GiB of rootSize, as a gp3 volume has it',
    ({ image, rootSize }) =>
      image.volume?.iops === undefined || image.volume.iops <= Math.max(3000, rootSize * 500),
  ],
  [
    ['image', 'volume', 'throughput'],
    'must be at most a quarter of iops, as a gp3 volume has it',
    ({ image }) => (image.volume?.throughput ?? 0) <= (image.volume?.iops ?? 3000) / 4,
  ],
  [
    ['system'],
    'must be sets before release 15.0: there are no base packages for it',
    (recipe) => recipe.system === 'sets' || (majorOf(recipe.release) ?? 15) >= 15,
  ],
  [
    ['release'],
    'is missing: pkgbase takes the base packages of a release',
    (recipe) => recipe.system === 'sets' || recipe.release !== undefined,
  ],
  ...(['sets', 'extraSets', 'kernel', 'source'] as const).map(
    (key): Rule => [
      [key],
      'must not be there with system: pkgbase, whose packages take the place of sets',
      (recipe) =>
        recipe.system === 'sets' ||
        recipe[key] === undefined ||
        (recipe[key] as readonly unknown[]).length === 0,
    ],
  ),
  [
    ['data', 'size'],
    `must leave at least ${ROOT_LEAST_GIB} GiB of rootSize to the root, together with swap`,
    (recipe) => {
      const swap = typeof recipe.swap === 'number' ? recipe.swap : 0;
      return swap === 0 && recipe.data === undefined
        ? true
        : swap + (recipe.data?.size ?? 0) + ROOT_LEAST_GIB <= recipe.rootSize;
    },
  ],
  [
    ['data', 'mount'],
    'must not have files of the recipe or homes of users below it: the partition is empty',
    ({ data, files, users }) =>
      data === undefined ||
      ![...files.map(({ path }) => path), ...users.map(({ name, home }) => home ?? `/home/${name}`)].some(
        (path) => path === data.mount || path.startsWith(`${data.mount}/`),
      ),
  ],
  [
    ['services'],
    'must not say what rcConf says too: leave one of them out',
    ({ services, rcConf }) => !Object.keys(services).some((name) => Object.hasOwn(rcConf, `${name}_enable`)),
  ],
  [
    ['ec2'],
    'must not turn parts of ec2-scripts on with flavour cloud-init, which does their work',
    ({ flavour, ec2 }) => flavour !== 'cloud-init' || !Object.values(ec2).includes(true),
  ],
  [
    [],
    `is too large: as JSON it must be at most ${RECIPE_LIMIT} bytes; put large contents where they can be fetched by url or s3`,
    (recipe) => Buffer.byteLength(canonicalJson(recipe as unknown as Json)) <= RECIPE_LIMIT,
  ],
];

/** Features that know themselves what they need of the rest of a recipe. */
const needs = [mailProblem, panicmailNeeds, distributionProblem, subscriptionProblem];

/** The rules as checks of the recipe's schema. */
export const recipeRules = <T extends Related>() => [
  ...rules.map(([path, error, holds]) => z.refine<T>(holds, { path: [...path], error })),
  z.superRefine<T>((recipe, context) => {
    for (const need of needs) {
      const problem = need(recipe);
      if (problem) context.addIssue({ code: 'custom', ...problem });
    }
  }),
];
