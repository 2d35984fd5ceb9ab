import { setTimeout as pause } from 'node:timers/promises';
import { httpMirror } from '../adapters/mirror/http-mirror.ts';
import { FactoryError } from '../core/errors.ts';
import { type Estimate, estimate, estimated } from '../core/estimate.ts';
import type { FileEdit } from '../core/image-parts.ts';
import type { Mirror } from '../core/ports.ts';
import type { Coordinates } from '../core/recipe-matrix.ts';
import { type ResolvedBuild, resolveBuild } from '../core/resolve-build.ts';
import { updateServer } from '../core/update-server.ts';
import { type DescribedFile, describeFile, describeImage, type ImageDescription } from './describe-image.ts';
import { describeDistribution, distributionText, type PlannedDistribution } from './distribution-text.ts';
import { imageText } from './image-text.ts';
import { jobLines } from './job-text.ts';
import { coordinatesText, readRecipeFile, type WantedBuild } from './recipe-file.ts';
import { maskedValue, printable } from './secrets.ts';
import { labelled, listed } from './text.ts';
import type { VerbOptions } from './validate.ts';

interface PlanOptions extends VerbOptions {
  readonly files?: boolean;
  readonly job?: boolean;
  /** Whose prices the estimate takes. */
  readonly awsRegion?: string;
}

/** A file as it will be; its content with `--files` only. */
interface PlannedFile extends DescribedFile {
  readonly content?: string;
  readonly url?: string;
  readonly s3?: string;
  readonly sha256?: string;
}

/** What `--json` prints for each recipe: its builds, as far as they could be planned. */
interface Plan {
  readonly file: string;
  readonly ok: boolean;
  readonly builds: readonly PlannedBuild[];
  readonly error?: { readonly code: string; readonly message: string; readonly remedy: string };
}

interface PlannedBuild {
  readonly coordinates: Coordinates;
  readonly recipeDigest: string;
  readonly contentDigest: string;
  readonly ami: ResolvedBuild['image'];
  readonly mirrors: readonly string[];
  readonly sets: readonly {
    readonly name: string;
    readonly file: string;
    readonly sha256: string;
    readonly entries: number;
    readonly from?: string;
  }[];
  readonly image: Omit<ImageDescription, 'files'> & { readonly files: readonly PlannedFile[] };
  readonly edits?: readonly FileEdit[];
  /** The lines of the worker's job, with `--job` only. */
  readonly job?: readonly string[];
  readonly distribution?: PlannedDistribution;
  readonly estimate: Estimate;
}

/** Resolves recipes as the plan function does, and prints what would be built; whether all could be. Starts nothing. */
export async function plan(
  files: readonly string[],
  { set = {}, json = false, files: contents = false, job = false, awsRegion: region }: PlanOptions,
): Promise<boolean> {
  const plans: Plan[] = [];
  for (const file of files) {
    const result = await planFile(file, set, { contents, job, region });
    plans.push(result);
    if (!json) for (const build of result.builds) console.log(printable(planText(file, build).join('\n')));
    if (result.error) console.error(printable(`${result.error.code}: ${file}: ${result.error.message}`));
  }
  if (json) console.log(JSON.stringify(maskedValue(plans), null, 2));
  return plans.every(({ ok }) => ok);
}

async function planFile(
  file: string,
  set: Readonly<Record<string, string>>,
  wanted: { readonly contents: boolean; readonly job: boolean; readonly region: string | undefined },
): Promise<Plan> {
  const builds: PlannedBuild[] = [];
  try {
    for (const build of await readRecipeFile(file, set)) {
      const resolved = await resolveBuild(build.recipe, { mirror: mirrors(), updates: updateServer(web) });
      builds.push({
        ...describe(build, resolved, wanted),
        ...(wanted.job ? { job: await jobLines(resolved) } : {}),
      });
    }
    return { file, ok: true, builds };
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const { code, message, remedy } = error;
    const offline = ['MirrorUnreachable', 'RepositoryUnavailable'].includes(code)
      ? `\nWhat the recipe says without a mirror: foundry validate ${file}`
      : '';
    return { file, ok: false, builds, error: { code, message: `${message}${offline}`, remedy } };
  }
}

const web = httpMirror((milliseconds) => pause(milliseconds));

/** The mirrors as this machine sees them. What lies in S3 is read with the role of the plan function, which a client has not. */
function mirrors(): Mirror {
  const inBucket = (url: string) => url.startsWith('s3://');
  const unreachable = {
    status: 'unreachable',
    reason: 'it is in S3, which the factory reads with its own role',
  } as const;
  return {
    read: async (url) => (inBucket(url) ? unreachable : await web.read(url)),
    digest: async (url) => (inBucket(url) ? unreachable : await web.digest(url)),
  };
}

function describe(
  { coordinates, recipe }: WantedBuild,
  resolved: ResolvedBuild,
  { contents: withContents, region }: { readonly contents: boolean; readonly region: string | undefined },
): PlannedBuild {
  const image = describeImage(recipe);
  const distribution = describeDistribution(recipe, resolved);
  const { files, edits } = resolved.contents;
  return {
    coordinates,
    recipeDigest: resolved.recipeDigest,
    contentDigest: resolved.contentDigest,
    ami: resolved.image,
    mirrors: resolved.mirrors,
    sets: resolved.sets.map(({ name, file: archive, sha256, entries, source }) => ({
      name,
      file: archive,
      sha256,
      entries,
      ...(source === undefined || 'content' in source
        ? {}
        : { from: 'url' in source ? source.url : source.s3 }),
    })),
    image: {
      ...image,
      repositories: resolved.contents.repositories.map(({ name, url, trust }) => ({
        name,
        url,
        trust: trust.signature,
      })),
      files: files.map((one) => ({ ...describeFile(one), ...(withContents ? one.source : {}) })),
    },
    ...(withContents ? { edits } : {}),
    ...(distribution === undefined ? {} : { distribution }),
    estimate: estimate({ ...estimated(resolved), ...(region === undefined ? {} : { region }) }),
  };
}

function planText(source: string, build: PlannedBuild): string[] {
  const place = coordinatesText(build.coordinates);
  const { ami } = build;
  return [
    `${ami.name}${place === '' ? '' : `  (${place})`}`,
    ...listed('', [
      `${source}, ${ami.architecture}, ${build.image.road === 'windows' ? 'in the place of Windows, with its boot mode' : ami.bootMode}, ${ami.imdsV2Only ? 'IMDSv2 only' : 'IMDSv1 and IMDSv2'}, ${build.image.rootSizeGiB} GiB`,
    ]),
    ...labelled('digests', [
      `recipe ${build.recipeDigest.slice(0, 12)}`,
      `content ${build.contentDigest.slice(0, 12)}`,
    ]),
    ...listed('from', build.mirrors),
    ...listed(
      'sets',
      build.sets.map(
        ({ name, sha256, entries, from }) =>
          `${name}  sha256 ${sha256.slice(0, 12)}…${entries > 0 ? `, ${entries} entries` : ''}${from === undefined ? '' : `, ${from}`}`,
      ),
    ),
    ...imageText({ ...build.image, system: { ...build.image.system, sets: [], optional: [] } }),
    ...(build.edits === undefined ? [] : contentsText(build.image.files, build.edits)),
    ...(build.job === undefined ? [] : ['  job', ...build.job.map((line) => `    ${line}`)]),
    ...distributionText(build.distribution),
    ...estimateText(build.estimate),
    '',
  ];
}

function contentsText(files: readonly PlannedFile[], edits: readonly FileEdit[]): string[] {
  const block = (title: string, text: string) => ['', `  ${title}`, ...indented(text)];
  return [
    ...files.flatMap((file) => [
      ...block(
        `──── ${file.path} ${file.mode} ${file.owner}`,
        file.content ?? `fetched from ${file.url ?? file.s3}, SHA-256 ${file.sha256}`,
      ),
    ]),
    ...edits.flatMap(({ path, comment, first, last }) =>
      block(
        `──── ${path}, changed`,
        [
          comment === '' ? '' : `(lines that begin with ${comment} become comments)\n`,
          first === '' ? '' : `(in front)\n${first}`,
          last === '' ? '' : `(at the end)\n${last}`,
        ].join(''),
      ),
    ),
    '',
  ];
}

const indented = (text: string): string[] =>
  text === ''
    ? ['    (empty)']
    : text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => `    ${line}`.trimEnd());

/** Two digits that mean something: estimates have no more. */
const rough = (value: number): string => String(Number(value.toPrecision(2)));

const bytes = (value: number): string =>
  value >= 1e9 ? `${rough(value / 1e9)} GB` : `${rough(value / 1e6)} MB`;

const duration = (seconds: number): string =>
  seconds < 90 ? `${rough(seconds)} s` : `${rough(seconds / 60)} min`;

function estimateText({ size, phases, seconds, price }: Estimate): string[] {
  const unknown = size.unknown.length > 0 ? `, without ${size.unknown.join(', ')}` : '';
  const parts = (total: string, items: readonly string[]) => [`${total}: ${items[0]}`, ...items.slice(1)];
  return [
    ...listed('size', [
      `about ${bytes(size.download)} fetched, ${bytes(size.extracted)} in the image${unknown}`,
    ]),
    ...labelled(
      'time',
      parts(
        `about ${duration(seconds)}`,
        phases.map((phase) => `${phase.name} ${duration(phase.seconds)}`),
      ),
    ),
    ...labelled(
      'price',
      parts(
        `about $${rough(price.build)}`,
        price.lines.map(({ name, dollars }) => `${name} $${rough(dollars)}`),
      ),
    ),
    ...listed('', [
      `and about $${rough(price.monthly)} a month for the snapshot${price.lines.some(({ name }) => name === 'transfer of copies') ? 's of all regions' : ''}`,
      `(list prices of ${price.region}, ${price.asOf}${price.exact ? '' : ', some of them those of us-east-1'}; nothing of this was measured on AWS; --json has the reasons)`,
    ]),
  ];
}
