import {
  CreateImageCommand,
  CreateTagsCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  type EC2Client,
  type Image as Ec2Image,
  type Filter,
  ModifyImageAttributeCommand,
  paginateDescribeImages,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import type { Image, Images, OfBuild } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { buildOf, fromTags, ofAnyBuild, ofBuild, toTagSpecification } from './tags.ts';

const absent = ['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable'];

function fromEc2(image: Ec2Image): OfBuild<Image> {
  const root = image.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === image.RootDeviceName)?.Ebs;
  const properties: Record<string, unknown> = {
    Name: image.Name,
    Description: image.Description,
    Architecture: image.Architecture,
    VirtualizationType: image.VirtualizationType,
    BootMode: image.BootMode,
    EnaSupport: image.EnaSupport,
    SriovNetSupport: image.SriovNetSupport,
    ImdsSupport: image.ImdsSupport,
    TpmSupport: image.TpmSupport,
    RootDeviceName: image.RootDeviceName,
    RootDeviceType: image.RootDeviceType,
    Platform: image.Platform,
    PlatformDetails: image.PlatformDetails,
    UsageOperation: image.UsageOperation,
    'Ebs.SnapshotId': root?.SnapshotId,
    'Ebs.VolumeSize': root?.VolumeSize,
    'Ebs.VolumeType': root?.VolumeType,
    'Ebs.Iops': root?.Iops,
    'Ebs.Throughput': root?.Throughput,
    'Ebs.DeleteOnTermination': root?.DeleteOnTermination,
    'Ebs.Encrypted': root?.Encrypted,
  };
  return {
    imageId: image.ImageId ?? '',
    name: image.Name ?? '',
    state: image.State ?? 'pending',
    stateReason: image.StateReason?.Message ?? '',
    rootSnapshotId: root?.SnapshotId,
    startedAt: image.CreationDate ? Date.parse(image.CreationDate) : undefined,
    launchedAt: image.LastLaunchedTime ? Date.parse(image.LastLaunchedTime) : undefined,
    isProtected: (image.DeregistrationProtection ?? 'disabled') !== 'disabled',
    deprecatedAt: image.DeprecationTime,
    properties: Object.fromEntries(
      Object.entries(properties)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => [key, String(value)]),
    ),
    tags: fromTags(image.Tags),
    build: buildOf(image.Tags),
  };
}

export const ec2Images = (ec2: EC2Client): Images => {
  const find = async (Filters: Filter[]): Promise<OfBuild<Image>[]> => {
    const found: OfBuild<Image>[] = [];
    // A disabled image has its name and holds its snapshot all the same.
    const input = { Owners: ['self'], Filters, IncludeDisabled: true };
    for await (const page of paginateDescribeImages({ client: ec2 }, input)) {
      found.push(...(page.Images ?? []).map(fromEc2));
    }
    return found;
  };
  const describe = (imageId: string) =>
    unless(absent, async () => {
      const asked = new DescribeImagesCommand({ ImageIds: [imageId], IncludeDisabled: true });
      return (await ec2.send(asked)).Images?.[0];
    });

  return {
    async register(spec) {
      const { ImageId } = await ec2.send(
        new RegisterImageCommand({
          Name: spec.name,
          Description: spec.description,
          // RegisterImage defaults to i386 and paravirtual: both are said.
          Architecture: spec.architecture,
          VirtualizationType: 'hvm',
          BootMode: spec.bootMode,
          EnaSupport: true,
          SriovNetSupport: 'simple',
          ...(spec.imdsV2Only ? { ImdsSupport: 'v2.0' as const } : {}),
          ...(spec.tpm ? { TpmSupport: 'v2.0' as const } : {}),
          RootDeviceName: spec.rootDeviceName,
          BlockDeviceMappings: [
            {
              DeviceName: spec.rootDeviceName,
              Ebs: {
                SnapshotId: spec.snapshotId,
                VolumeSize: spec.rootSizeGiB,
                VolumeType: 'gp3',
                ...(spec.iops === undefined ? {} : { Iops: spec.iops }),
                ...(spec.throughput === undefined ? {} : { Throughput: spec.throughput }),
                DeleteOnTermination: true,
              },
            },
          ],
          TagSpecifications: [toTagSpecification('image', spec.tags)],
        }),
      );
      if (!ImageId) throw new Error('RegisterImage returned no image id');
      return { imageId: ImageId };
    },
    async createFromInstance(spec) {
      const { ImageId } = await ec2.send(
        new CreateImageCommand({
          InstanceId: spec.instanceId,
          Name: spec.name,
          Description: spec.description,
          // One that somebody starts in this moment must not be rebooted for it.
          NoReboot: true,
          TagSpecifications: [
            toTagSpecification('image', spec.tags),
            toTagSpecification('snapshot', spec.snapshotTags),
          ],
        }),
      );
      if (!ImageId) throw new Error('CreateImage returned no image id');
      return { imageId: ImageId };
    },
    async requireImdsV2(imageId) {
      await ec2.send(new ModifyImageAttributeCommand({ ImageId: imageId, ImdsSupport: { Value: 'v2.0' } }));
    },
    describe: async (imageId) => {
      const image = await describe(imageId);
      return image && fromEc2(image);
    },
    // The filter takes wildcards (* and ?), which a name may not contain, so it is exact here.
    findByName: (name) => find([{ Name: 'name', Values: [name] }]),
    findByBuild: (build) => find(ofBuild(build)),
    findOfAnyBuild: () => find(ofAnyBuild),
    launchable: async (imageId) => (await describe(imageId))?.State === 'available',
    async tag(imageId, key, value) {
      await ec2.send(new CreateTagsCommand({ Resources: [imageId], Tags: [{ Key: key, Value: value }] }));
    },

    async deregister(imageId) {
      await unless(absent, () => ec2.send(new DeregisterImageCommand({ ImageId: imageId })));
    },
  };
};
