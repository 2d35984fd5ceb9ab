import type {
  DescribeImageReferencesCommandInput,
  DescribeImageReferencesResult,
  ImageReference,
  ResourceTypeRequest,
} from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { STATE_CODES } from './model.ts';
import { checkOneOf } from './one-of.ts';
import { page } from './pagination.ts';
import type { Region } from './region.ts';

/** DescribeImageReferences, ImageIds: "Minimum number of 1 item. Maximum number of 10 items." */
const MOST_IMAGES = 10;
/** ResourceTypeOption, version-depth: 1 to 10,000; 10 when nobody says. */
const DEPTH = { usual: 10, most: 10_000 };

/** SSM parameters of data type aws:ec2:image, as the region's Parameter Store knows them. */
export interface ImageParameters {
  imageParameters(): Iterable<{ arn: string; imageId: string }>;
}

type Finder = (request: ResourceTypeRequest) => Iterable<{ imageId: string | undefined; arn: string }>;

/** Who refers to an image, as far as DescribeImageReferences looks: not Auto Scaling, and not other accounts. */
export function imageReferenceActions(region: Region, parameters: ImageParameters): Action[] {
  const { accountId, region: name } = region.settings;
  const arn = (resource: string) => `arn:aws:ec2:${name}:${accountId}:${resource}`;

  const finders: Record<string, Finder> = {
    'ec2:Instance': (request) => {
      const states = optionOf(request, 'state-name') ?? Object.keys(STATE_CODES);
      for (const state of states) checkOneOf('state-name', state, Object.keys(STATE_CODES));
      return [...region.instances.values()]
        .filter(({ state }) => states.includes(state))
        .map(({ id, imageId }) => ({ imageId, arn: arn(`instance/${id}`) }));
    },
    'ec2:LaunchTemplate': (request) => {
      const [depth = DEPTH.usual] = (optionOf(request, 'version-depth') ?? []).map(Number);
      if (!Number.isInteger(depth) || depth < 1 || depth > DEPTH.most) {
        throw new ServiceError('InvalidParameterValue', `version-depth is 1 to ${DEPTH.most}`);
      }
      return [...region.launchTemplates.values()].flatMap(({ id, versions }) => {
        // "starting from the most recent version"; a template is one reference, however many versions name the image.
        const named = new Set(versions.slice(-depth).map(({ data }) => data.ImageId));
        return [...named].map((imageId) => ({ imageId, arn: arn(`launch-template/${id}`) }));
      });
    },
    'ssm:Parameter': () => parameters.imageParameters(),
    // There is no Image Builder here, so nobody has recipes of it.
    'imagebuilder:ImageRecipe': () => [],
    'imagebuilder:ContainerRecipe': () => [],
  };

  return [
    action<DescribeImageReferencesCommandInput, DescribeImageReferencesResult>(
      'DescribeImageReferences',
      ['ImageIds', 'IncludeAllResourceTypes', 'MaxResults', 'NextToken', 'ResourceTypes.*'],
      (input) => {
        const ids = input.ImageIds ?? [];
        if (ids.length < 1 || ids.length > MOST_IMAGES) {
          throw new ServiceError('InvalidParameterValue', `1 to ${MOST_IMAGES} image ids can be asked for`);
        }
        const asked = new Map((input.ResourceTypes ?? []).map((one) => [String(one.ResourceType), one]));
        if (input.IncludeAllResourceTypes === true) {
          for (const type of Object.keys(finders)) if (!asked.has(type)) asked.set(type, {});
        }
        if (asked.size === 0) {
          throw new ServiceError(
            'MissingParameter',
            'Either IncludeAllResourceTypes or ResourceTypes must be specified.',
          );
        }
        const found: ImageReference[] = [];
        for (const [type, request] of asked) {
          checkOneOf('resourceType', type, Object.keys(finders));
          for (const { imageId, arn: Arn } of finders[type]?.(request) ?? []) {
            if (imageId !== undefined && ids.includes(imageId)) {
              found.push({
                ImageId: imageId,
                ResourceType: type as NonNullable<ImageReference['ResourceType']>,
                Arn,
              });
            }
          }
        }
        const { items, ...more } = page(found, input, { minimum: 1 });
        return { ImageReferences: items, ...more };
      },
    ),
  ];
}

function optionOf(request: ResourceTypeRequest, name: string): string[] | undefined {
  return request.ResourceTypeOptions?.find(({ OptionName }) => OptionName === name)?.OptionValues;
}
