import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { type BuildState, buildState, type Execution } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { partitions } from '../../core/disk-layout.ts';
import { FactoryError } from '../../core/errors.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { type Job, renderJob } from '../../core/job.ts';
import { contentDigest as digestContent, selectSets } from '../../core/manifest.ts';
import { artifactKey, buildTags, contentId, contentUuid, imageName, tagKey } from '../../core/names.ts';
import type { Artifacts, Images, Mirror, Parameters } from '../../core/ports.ts';
import { parseRecipe, type Recipe, recipeDigest, releaseLabel, rootSizeBytes } from '../../core/recipe.ts';
import { findRelease } from '../../core/release-directory.ts';
import { systemFiles } from '../../core/system-files.ts';

export const planStep = {
  name: 'plan',
  input: z.pick(buildState, { recipe: true, dryRun: true }),
  output: z.pick(buildState, { dryRun: true, plan: true, adopted: true }),
  options: z.object({}),
};

export type PlanSettings = z.output<(typeof functionEnvironment)['plan']>;

interface PlanDependencies {
  readonly parameters: Parameters;
  readonly images: Images;
  readonly mirror: Mirror;
  readonly artifacts: Artifacts;
  readonly clock: Clock;
  readonly settings: PlanSettings;
}

/** Waiting for capacity may delay the launch by this much; the worker's own deadline allows for it. */
const CAPACITY_ALLOWANCE_SECONDS = 1800;

/** The console is polled every few seconds: the report stands on the live console for a minute before power-off. */
const LINGER_SECONDS = 60;

/** Xen and Nitro alike present the root volume of an HVM image under this name (FreeBSD's own images use it too). */
const ROOT_DEVICE = '/dev/sda1';

/** Resolves everything a build needs before anything that costs money is made; adopts an image that exists already. */
export const plan =
  ({ parameters, images, mirror, artifacts, clock, settings }: PlanDependencies) =>
  async (input: Pick<BuildState, 'recipe' | 'dryRun'>, { name: build }: Execution) => {
    const recipe = parseRecipe(input.recipe);
    refuseUnsupported(recipe);
    const release = await findRelease(recipe, mirror);
    const sets = selectSets(release.sets, recipe.sets, release.manifestUrl);
    const digest = recipeDigest(recipe);
    const content = digestContent(digest, sets);
    const workerImage = await findWorkerImage(recipe, parameters, images, settings);

    const job: Job = {
      build,
      deadline: Math.floor(clock.now() / 1000) + settings.WORKER_SECONDS + CAPACITY_ALLOWANCE_SECONDS,
      linger: LINGER_SECONDS,
      release: releaseLabel(recipe),
      architecture: recipe.architecture,
      filesystem: recipe.filesystem,
      mirrors: release.directories,
      sets,
      files: systemFiles(recipe),
      timestamp: release.builtAt,
      filesystemId: contentId(content, 'file system'),
      disk: {
        size: rootSizeBytes(recipe),
        id: contentUuid(content, 'disk'),
        partitions: partitions(recipe, content),
      },
    };
    const jobText = renderJob(job);
    const jobKey = artifactKey(build, 'job');
    await artifacts.put(jobKey, jobText, 'text/plain; charset=utf-8');

    const name = imageName({ ...recipe, release: releaseLabel(recipe) }, content);
    return {
      dryRun: input.dryRun,
      plan: {
        build,
        recipeDigest: digest,
        contentDigest: content,
        release: releaseLabel(recipe),
        architecture: recipe.architecture,
        rootSizeGiB: recipe.rootSize,
        worker: {
          imageId: workerImage,
          instanceTypes: instanceTypes(recipe, settings),
          secondsAllowed: settings.WORKER_SECONDS,
        },
        job: { key: jobKey, sha256: createHash('sha256').update(jobText).digest('hex') },
        image: {
          name,
          description:
            recipe.image.description ??
            `FreeBSD ${releaseLabel(recipe)} ${recipe.architecture} ${recipe.filesystem}, built by ami-foundry`,
          architecture: recipe.architecture === 'arm64' ? ('arm64' as const) : ('x86_64' as const),
          bootMode:
            recipe.image.bootMode ??
            (recipe.architecture === 'arm64' ? ('uefi' as const) : ('uefi-preferred' as const)),
          imdsV2Only: recipe.image.imdsV2Only,
          rootDeviceName: ROOT_DEVICE,
          tags: {
            ...recipe.image.tags,
            ...buildTags(build, 'image'),
            [tagKey.name]: name,
            [tagKey.recipe]: recipe.name,
            [tagKey.release]: releaseLabel(recipe),
            [tagKey.recipeDigest]: digest,
            [tagKey.contentDigest]: content,
          },
        },
      },
      adopted: await findFinishedImage(name, content, images),
    };
  };

function refuseUnsupported(recipe: Recipe): void {
  if (recipe.filesystem === 'zfs') {
    throw new FactoryError('UnsupportedOnPlatform', {
      message: 'filesystem: zfs is part of the recipe language, but no worker of this version makes it',
      remedy: 'set filesystem: ufs.',
    });
  }
}

const instanceTypes = (recipe: Recipe, settings: PlanSettings): string[] =>
  recipe.architecture === 'arm64'
    ? settings.WORKER_INSTANCE_TYPES_ARM64
    : settings.WORKER_INSTANCE_TYPES_AMD64;

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

async function findFinishedImage(name: string, content: string, images: Images) {
  const found = (await images.findByName(name)).filter((image) => image.state === 'available');
  const [image, another] = found;
  if (image === undefined) return null;
  if (another !== undefined) {
    throw new FactoryError('AmbiguousResource', {
      message: `two images are called ${name}: ${image.imageId} and ${another.imageId}`,
      remedy: 'deregister the one that is not wanted.',
    });
  }
  if (image.tags[tagKey.contentDigest] !== content || image.rootSnapshotId === undefined) {
    throw new FactoryError('ImageNameTaken', {
      message: `${image.imageId} is called ${name}, but its tags say that it is another image`,
      remedy: 'deregister that image, or give the recipe another name.',
    });
  }
  return { imageId: image.imageId, snapshotId: image.rootSnapshotId };
}
