import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import {
  type EC2Client,
  paginateDescribeImageReferences,
  paginateDescribeInstances,
  paginateDescribeLaunchTemplates,
  paginateDescribeLaunchTemplateVersions,
} from '@aws-sdk/client-ec2';
import type { ImageUse, ImageUses } from '../../core/ports.ts';
import { autoScalingUses } from './auto-scaling-uses.ts';
import type { parameterUses } from './parameter-uses.ts';

/** Every state but terminated: what is stopped starts again, and what shuts down may be stopping. */
const STATES = ['pending', 'running', 'shutting-down', 'stopping', 'stopped'];

/** A filter takes 200 values (EC2 API, "List and filter"); 10 images are what DescribeImageReferences takes. */
const FILTER_VALUES = 200;
const REFERENCED_IMAGES = 10;

const portions = (ids: readonly string[], size: number): string[][] =>
  Array.from({ length: Math.ceil(ids.length / size) }, (_, index) =>
    ids.slice(index * size, (index + 1) * size),
  );

async function instanceUses(ec2: EC2Client, ids: readonly string[]): Promise<ImageUse[]> {
  const found: ImageUse[] = [];
  for (const Values of portions(ids, FILTER_VALUES)) {
    const Filters = [
      { Name: 'image-id', Values },
      { Name: 'instance-state-name', Values: STATES },
    ];
    for await (const page of paginateDescribeInstances({ client: ec2 }, { Filters })) {
      for (const { InstanceId, ImageId = '', State } of (page.Reservations ?? []).flatMap(
        ({ Instances = [] }) => Instances,
      )) {
        found.push({ imageId: ImageId, by: `instance ${InstanceId} (${State?.Name})` });
      }
    }
  }
  return found;
}

/** Every version: a group may be told any of them, and so may whoever launches by hand. */
async function templateUses(ec2: EC2Client): Promise<ImageUse[]> {
  const found: ImageUse[] = [];
  for await (const page of paginateDescribeLaunchTemplates({ client: ec2 }, {})) {
    for (const { LaunchTemplateId, LaunchTemplateName } of page.LaunchTemplates ?? []) {
      const versions = paginateDescribeLaunchTemplateVersions({ client: ec2 }, { LaunchTemplateId });
      for await (const { LaunchTemplateVersions = [] } of versions) {
        for (const { VersionNumber, LaunchTemplateData } of LaunchTemplateVersions) {
          const by = `launch template ${LaunchTemplateName} version ${VersionNumber}`;
          found.push({ imageId: LaunchTemplateData?.ImageId ?? '', by });
        }
      }
    }
  }
  return found;
}

/**
 * What AWS itself knows of the account's references: beside what is asked above, parameters outside our prefix and recipes of Image
 * Builder. Without options it would look at the ten newest versions of a template.
 */
async function referenceUses(ec2: EC2Client, ids: readonly string[]): Promise<ImageUse[]> {
  const found: ImageUse[] = [];
  for (const ImageIds of portions(ids, REFERENCED_IMAGES)) {
    const input = {
      ImageIds,
      IncludeAllResourceTypes: true,
      ResourceTypes: [
        {
          ResourceType: 'ec2:Instance' as const,
          ResourceTypeOptions: [{ OptionName: 'state-name' as const, OptionValues: STATES }],
        },
        {
          ResourceType: 'ec2:LaunchTemplate' as const,
          ResourceTypeOptions: [{ OptionName: 'version-depth' as const, OptionValues: ['10000'] }],
        },
      ],
    };
    for await (const page of paginateDescribeImageReferences({ client: ec2 }, input)) {
      for (const { ImageId = '', Arn = '' } of page.ImageReferences ?? []) {
        const [, parameter] = /^arn:[^:]+:ssm:[^:]*:[^:]*:parameter(\/.+)$/.exec(Arn) ?? [];
        found.push({ imageId: ImageId, by: Arn, ...(parameter ? { parameter } : {}) });
      }
    }
  }
  return found;
}

interface OtherServices {
  readonly autoScaling: AutoScalingClient;
  readonly parameters: ReturnType<typeof parameterUses>;
}

/** Everybody in one region of this account who can be asked. */
export const ec2ImageUses = (ec2: EC2Client, { autoScaling, parameters }: OtherServices): ImageUses => ({
  async of(imageIds) {
    const all = [
      ...(await instanceUses(ec2, imageIds)),
      ...(await templateUses(ec2)),
      ...(await autoScalingUses(autoScaling)),
      ...(await parameters.all()),
      ...(await referenceUses(ec2, imageIds)),
    ];
    const resolved = new Map<string, string | undefined>();
    for (const { imageId } of all) {
      if (!imageId.startsWith('resolve:ssm:') || resolved.has(imageId)) continue;
      resolved.set(imageId, await parameters.resolve(imageId));
    }
    return all
      .map((use) => ({ ...use, imageId: resolved.get(use.imageId) ?? use.imageId }))
      .filter(({ imageId }) => imageIds.includes(imageId));
  },
});
