import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { printsHostKeys } from '../../core/boot-expectation.ts';
import { type BuildState, buildState, type Execution, regionOf } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { MOST_PIECES, PIECES_PER_GIB } from '../../core/disk-blocks.ts';
import { FactoryError } from '../../core/errors.ts';
import { estimate, estimated } from '../../core/estimate.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { renderJob } from '../../core/job.ts';
import { LINGER_SECONDS } from '../../core/machines.ts';
import { artifactKey, buildTags, pieceKey, tagKey } from '../../core/names.ts';
import { refuseUnsupported } from '../../core/platform-limits.ts';
import type {
  Artifacts,
  Image,
  Images,
  Mirror,
  Parameters,
  Snapshots,
  Sources,
  UpdateServer,
} from '../../core/ports.ts';
import { parameterPath } from '../../core/publication.ts';
import { parseRecipe, type Recipe } from '../../core/recipe.ts';
import { usualBootTimeout } from '../../core/recipe-boot-test.ts';
import { type ResolvedBuild, resolveBuild } from '../../core/resolve-build.ts';
import { prolonged, resumableUntil } from '../../core/resumable.ts';
import { imageLine, readRetentionTag, retentionTag } from '../../core/retention-tag.ts';
import { inheritedProperties, roadWarnings, windowsImageProblems } from '../../core/windows-road.ts';

export const planStep = {
  name: 'plan',
  input: z.pick(buildState, { recipe: true, dryRun: true }),
  output: z.extend(
    z.pick(buildState, { dryRun: true, plan: true, adopted: true }),
    z.partial(z.pick(buildState, { snapshot: true })).shape,
  ),
  options: z.object({}),
};

export type PlanSettings = z.output<(typeof functionEnvironment)['plan']>;

interface PlanDependencies {
  readonly parameters: Parameters;
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly mirror: Mirror;
  readonly updates: UpdateServer;
  readonly artifacts: Artifacts;
  readonly sources: Sources;
  readonly clock: Clock;
  readonly settings: PlanSettings;
}

/** Waiting for capacity may delay the launch by this much; the worker's own deadline allows for it. */
const CAPACITY_ALLOWANCE_SECONDS = 1800;

/** Xen and Nitro alike present the root volume of an HVM image under this name (FreeBSD's own images use it too). */
const ROOT_DEVICE = '/dev/sda1';

/** Resolves everything a build needs before anything that costs money is made; adopts an image that exists already. */
export const plan =
  ({
    parameters,
    images,
    snapshots,
    mirror,
    updates,
    artifacts,
    sources,
    clock,
    settings,
  }: PlanDependencies) =>
  async (input: Pick<BuildState, 'recipe' | 'dryRun'>, { name: build, arn }: Execution) => {
    const recipe = parseRecipe(input.recipe);
    refuseUnsupported(recipe, settings.WORKER_PLATFORM);
    const resolved = await resolveBuild(recipe, { mirror: withObjects(mirror, sources), updates });
    const bootTest = planBootTest(resolved, settings);
    const workerImage = await findWorkerImage(recipe, parameters, images, settings);
    const windows = recipe.image.road === 'windows' ? await planWindows(parameters, images, settings) : null;

    const seconds = settings.WORKER_SECONDS + CAPACITY_ALLOWANCE_SECONDS;
    const jobText = await renderJob(resolved, {
      build,
      deadline: Math.floor(clock.now() / 1000) + seconds,
      linger: LINGER_SECONDS,
      upload: {
        ...(recipe.image.road === 'ebs-direct'
          ? { blocks: await blockLinks(artifacts, build, recipe, seconds) }
          : {}),
        manifest: await artifacts.presignPut(artifactKey(build, 'manifest.mtree.gz'), seconds),
        sbom: await artifacts.presignPut(artifactKey(build, 'sbom.cdx.json'), seconds),
      },
      urlOf: async (source) => ('url' in source ? source.url : await sources.presign(source.s3, seconds)),
    });
    const jobKey = artifactKey(build, 'job');
    await artifacts.put(jobKey, jobText, 'text/plain; charset=utf-8');

    const tested = bootTest !== null && !input.dryRun;
    const finished = await findFinishedImage(resolved, tested, images);
    const adopted =
      finished === null || input.dryRun ? finished : await adopt(finished, resolved, images, clock);
    const resumed =
      adopted === null && !input.dryRun
        ? await findWholeDisk(resolved.contentDigest, snapshots, clock)
        : undefined;

    return {
      dryRun: input.dryRun,
      plan: {
        build,
        recipeDigest: resolved.recipeDigest,
        contentDigest: resolved.contentDigest,
        release: resolved.release,
        architecture: recipe.architecture,
        filesystem: recipe.filesystem,
        flavour: recipe.flavour,
        rootSizeGiB: recipe.rootSize,
        road: recipe.image.road ?? 'unix',
        encryption: planEncryption(recipe, arn),
        warnings: roadWarnings(recipe),
        estimate: expectation(resolved, arn, settings),
        worker: {
          imageId: workerImage,
          instanceTypes: instanceTypes(recipe, settings),
          secondsAllowed: settings.WORKER_SECONDS,
        },
        windows,
        bootTest,
        distribution: planDistribution(resolved, arn, settings),
        job: { key: jobKey, sha256: createHash('sha256').update(jobText).digest('hex') },
        image: {
          ...resolved.image,
          rootDeviceName: windows?.inherited.RootDeviceName ?? ROOT_DEVICE,
          tags: { ...recipe.image.tags, ...imageTags(build, resolved) },
        },
      },
      adopted: adopted && { imageId: adopted.imageId, snapshotId: adopted.rootSnapshotId },
      ...(resumed ? { snapshot: resumed } : {}),
    };
  };

/** What the build will take, of which the state has what its receipt is compared with. */
function expectation(
  resolved: ResolvedBuild,
  executionArn: string,
  settings: PlanSettings,
): NonNullable<BuildState['plan']['estimate']> {
  const [instanceType] = instanceTypes(resolved.recipe, settings);
  const { seconds, price, phases } = estimate({
    ...estimated(resolved),
    region: regionOf(executionArn),
    ...(instanceType === undefined ? {} : { instanceType }),
  });
  return {
    seconds,
    dollars: Math.round(price.build * 10_000) / 10_000,
    phases: phases.map((phase) => ({ name: phase.name, seconds: phase.seconds })),
  };
}

/**
 * Takes an image over: an old image that is wanted today is no old image, so what its recipe says of retention, it says from now on; and its
 * maker may yet be aborted, and the reaper come for what this build delivers. Null when it came first.
 */
async function adopt<T extends Image>(
  image: T,
  resolved: ResolvedBuild,
  images: Images,
  clock: Clock,
): Promise<T | null> {
  const { imageId, tags } = image;
  const { never = false } = readRetentionTag(tags[tagKey.retention] ?? '') ?? {};
  const wish = retentionTag({ ...retentionOf(resolved), wantedAt: clock.now(), never });
  const until = prolonged(tags, clock.now());
  try {
    if (until) await images.tag(imageId, tagKey.resumableUntil, until);
    await images.tag(imageId, tagKey.retention, wish);
  } catch (error) {
    // UnauthorizedOperation is EC2's word, too, for a tagged resource that has just gone.
    const gone = error instanceof Error && /^(InvalidAMIID\.|UnauthorizedOperation$)/.test(error.name);
    if (!gone || (await images.describe(imageId)) !== undefined) throw error;
    return null;
  }
  // The reaper looks at the tags once more before it takes an image: what is there now stays.
  return (await images.describe(imageId))?.state === 'available' ? image : null;
}

/** The disk of this very content that a failed build has left; the newest, since they are all alike. */
async function findWholeDisk(
  contentDigest: string,
  snapshots: Snapshots,
  clock: Clock,
): Promise<BuildState['snapshot'] | undefined> {
  const now = clock.now();
  const [disk] = (await snapshots.findResumable(contentDigest))
    .filter(({ state, tags }) => state === 'completed' && resumableUntil(tags) > now)
    .sort((a, b) => (b.startedAt ?? 0) - (a.startedAt ?? 0));
  if (disk === undefined) return undefined;
  const { snapshotId, startedAt = now, build } = disk;
  const until = prolonged(disk.tags, now);
  if (until) await snapshots.tag(snapshotId, tagKey.resumableUntil, until);
  return { snapshotId, startedAt, from: build };
}

/** Where the worker puts a disk that no volume holds: no more pieces than the disk has room for. */
async function blockLinks(artifacts: Artifacts, build: string, recipe: Recipe, seconds: number) {
  const pieces: string[] = [];
  const most = Math.min(MOST_PIECES, recipe.rootSize * PIECES_PER_GIB);
  for (let piece = 1; piece <= most; piece++) {
    pieces.push(await artifacts.presignPut(pieceKey(build, piece), seconds));
  }
  return { pieces, index: await artifacts.presignPut(pieceKey(build, 'index'), seconds) };
}

/** The key of the image. Without a volume it is named by its ARN (StartSnapshot, KmsKeyArn), which an id is enough for, and an alias not. */
function planEncryption(
  { image: { encryption, road } }: Recipe,
  executionArn: string,
): BuildState['plan']['encryption'] {
  if (encryption === undefined) return null;
  const key = encryption.kmsKey ?? null;
  if (road !== 'ebs-direct' || key === null || /^arn:.*:key\//.test(key)) return { kmsKeyId: key };
  if (/(^|:)alias\//.test(key)) {
    throw new FactoryError('InvalidRecipe', {
      message: `image.encryption.kmsKey is ${key}, and image.road ebs-direct takes no alias: StartSnapshot knows keys by their ARN only`,
      remedy:
        'name the key by its id or its ARN (aws kms describe-key tells both of an alias), or take the road over a volume.',
    });
  }
  const [, partition = 'aws', , region = '', account = ''] = executionArn.split(':');
  return { kmsKeyId: `arn:${partition}:kms:${region}:${account}:key/${key.replace(/^key\//, '')}` };
}

/** Seconds for the plan itself to read a small object. */
const READ_SECONDS = 300;

/** A release of one's own may lie in S3: read by presigned URLs, named by s3:// in every message. */
const withObjects = (mirror: Mirror, sources: Sources): Mirror => {
  const place = async (url: string) =>
    url.startsWith('s3://') ? await sources.presign(url, READ_SECONDS) : url;
  return {
    read: async (url) => await mirror.read(await place(url)),
    digest: async (url) => await mirror.digest(await place(url)),
  };
};

const imageTags = (build: string, resolved: ResolvedBuild) => ({
  ...buildTags(build, 'image'),
  [tagKey.name]: resolved.image.name,
  [tagKey.recipe]: resolved.recipe.name,
  [tagKey.release]: resolved.release,
  [tagKey.recipeDigest]: resolved.recipeDigest,
  [tagKey.contentDigest]: resolved.contentDigest,
  [tagKey.retention]: retentionTag(retentionOf(resolved)),
  [tagKey.builtOn]: new Date(resolved.builtAt * 1000).toISOString().slice(0, 10),
  ...(resolved.revision === undefined ? {} : { [tagKey.revision]: resolved.revision }),
  ...(resolved.patches === undefined ? {} : { [tagKey.patches]: resolved.patches }),
});

const retentionOf = ({ recipe, release }: ResolvedBuild) => ({
  line: imageLine({ ...recipe, release }),
  ...recipe.retention,
  never: false,
});

const instanceTypes = (recipe: Recipe, settings: PlanSettings): string[] =>
  recipe.architecture === 'arm64'
    ? settings.WORKER_INSTANCE_TYPES_ARM64
    : settings.WORKER_INSTANCE_TYPES_AMD64;

/** How the image will be tried. What a recipe may launch is for the deployment to say, which pays. */
function planBootTest(
  { recipe, contents }: ResolvedBuild,
  settings: PlanSettings,
): BuildState['plan']['bootTest'] {
  if (recipe.bootTest === false) return null;
  const allowed =
    recipe.architecture === 'arm64'
      ? settings.BOOT_TEST_INSTANCE_TYPES_ARM64
      : settings.BOOT_TEST_INSTANCE_TYPES_AMD64;
  const { instanceTypes, timeout = usualBootTimeout } = recipe.bootTest ?? {};
  const others = (instanceTypes ?? []).filter((type) => !allowed.includes(type));
  if (others.length > 0) {
    throw new FactoryError('InvalidRecipe', {
      message: `bootTest.instanceTypes has ${others.join(', ')}, on which this deployment tests no ${recipe.architecture} images`,
      remedy: `choose among ${allowed.join(', ')}, or leave it out.`,
    });
  }
  return {
    machines: instanceTypes?.map((type) => [type]) ?? [allowed],
    secondsAllowed: timeout,
    hostKeys: printsHostKeys(contents),
  };
}

/** Where the image goes. Which regions and parameters a recipe may write to is for the deployment to say. */
function planDistribution(
  { recipe, release }: ResolvedBuild,
  executionArn: string,
  { DISTRIBUTION_REGIONS: allowed = [], PARAMETER_PREFIX: prefix }: PlanSettings,
): BuildState['plan']['distribution'] {
  const { distribution } = recipe;
  if (distribution === undefined) return null;
  const home = regionOf(executionArn);
  const others = distribution.regions.filter((region) => region !== home);
  const strange = others.filter((region) => !allowed.includes(region));
  if (strange.length > 0) {
    throw new FactoryError('InvalidRecipe', {
      message: `distribution.regions has ${strange.join(', ')}, to which this deployment distributes nothing`,
      remedy: `choose among ${[home, ...allowed].join(', ')}, or deploy with these regions.`,
    });
  }
  const path = distribution.parameters && parameterPath(distribution.parameters, { ...recipe, release });
  if (path !== undefined && !path.startsWith(prefix)) {
    throw new FactoryError('InvalidRecipe', {
      message: `distribution.parameters is ${path}, but this deployment writes parameters under ${prefix} only`,
      remedy: `let it begin with ${prefix}, or deploy with another prefix.`,
    });
  }
  return {
    regions: others.map((region) => ({ region, kmsKeyId: distribution.kmsKeys[region] ?? null })),
    share: distribution.share,
    parameters: path ?? null,
    deprecateAfter: distribution.deprecateAfter ?? null,
  };
}

async function findWorkerImage(
  recipe: Recipe,
  parameters: Parameters,
  images: Images,
  settings: PlanSettings,
): Promise<string> {
  const parameter = settings.WORKER_IMAGE_PARAMETER.replaceAll('{architecture}', recipe.architecture);
  const imageId = await parameters.get(parameter);
  if (imageId !== undefined && (await images.launchable(imageId))) return imageId;
  throw new FactoryError('WorkerImageNotFound', {
    message:
      imageId === undefined
        ? `SSM parameter ${parameter} does not exist in this region`
        : `SSM parameter ${parameter} names ${imageId}, which this account cannot launch`,
    remedy:
      'set WORKER_IMAGE_PARAMETER of the plan function to a parameter with a FreeBSD AMI of this region.',
  });
}

/** The Windows whose place the image takes. Which one is for the deployment to say, which pays for its licence. */
async function planWindows(
  parameters: Parameters,
  images: Images,
  { WINDOWS_IMAGE_PARAMETER: parameter, WINDOWS_INSTANCE_TYPES: instanceTypes }: PlanSettings,
): Promise<NonNullable<BuildState['plan']['windows']>> {
  const imageId = await parameters.get(parameter);
  const image = imageId === undefined ? undefined : await images.describe(imageId);
  const problems =
    image?.state === 'available'
      ? windowsImageProblems(image.properties)
      : [
          imageId === undefined
            ? '- the parameter does not exist in this region'
            : `- there is no ${imageId}`,
        ];
  if (image === undefined || problems.length > 0) {
    throw new FactoryError('WindowsImageUnusable', {
      message: `the Windows AMI of SSM parameter ${parameter} cannot be used:\n${problems.join('\n')}`,
      remedy:
        'set windowsImageParameter of the deployment to a Windows AMI of Amazon for x86_64 without SQL Server and without TPM.',
    });
  }
  return { imageId: image.imageId, instanceTypes, inherited: inheritedProperties(image.properties) };
}

async function findFinishedImage(resolved: ResolvedBuild, tested: boolean, images: Images) {
  const { name } = resolved.image;
  const found = (await images.findByName(name)).filter(({ state }) =>
    ['available', 'disabled', 'pending'].includes(state),
  );
  const [image, another] = found;
  if (image === undefined) return null;
  if (another !== undefined) {
    throw new FactoryError('AmbiguousResource', {
      message: `two images are called ${name}: ${image.imageId} and ${another.imageId}`,
      remedy: 'deregister the one that is not wanted.',
    });
  }
  const pending = image.state === 'pending';
  if (
    image.tags[tagKey.contentDigest] !== resolved.contentDigest ||
    (image.rootSnapshotId === undefined && !pending)
  ) {
    throw new FactoryError('ImageNameTaken', {
      message: `${image.imageId} is called ${name}, but its tags say that it is another image`,
      remedy: 'deregister that image, or give the recipe another name.',
    });
  }
  if (
    pending ||
    image.rootSnapshotId === undefined ||
    (tested && image.tags[tagKey.bootTested] === undefined)
  ) {
    throw new FactoryError('ImageUntested', {
      message: `${image.imageId} is the image, but has not passed its boot test: ${image.tags[tagKey.build]} is testing it, or was aborted`,
      remedy: 'wait for that execution; if it has ended, deregister the image and build again.',
    });
  }
  const quarantined = image.tags[tagKey.quarantined];
  if (quarantined !== undefined || image.state === 'disabled') {
    throw new FactoryError('ImageQuarantined', {
      message: `${image.imageId} is the image, but it is disabled${quarantined === undefined ? '' : `: retention has put it away (${quarantined})`}`,
      remedy:
        quarantined === undefined
          ? 'enable the image (aws ec2 enable-image), or deregister it to have it built anew.'
          : `take it out again: invoke the retention function with {"restore": "${image.imageId}"}; or deregister it to have it built anew.`,
    });
  }
  return { ...image, rootSnapshotId: image.rootSnapshotId };
}
