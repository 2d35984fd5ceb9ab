import type {
  DescribeImageAttributeCommandInput,
  DescribeImagesCommandInput,
  DescribeImagesResult,
  Image,
  ImageAttribute,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { keyOfSnapshot } from './encryption.ts';
import { type FilterReader, filtered } from './filters.ts';
import { isPublic, needOwn, needVisible, visible } from './image-access.ts';
import type { DeviceMapping, ImageRecord } from './model.ts';
import { page } from './pagination.ts';
import { platformOf } from './platform.ts';
import type { Region } from './region.ts';
import { tagList } from './tag-sets.ts';

export function describeImageActions(region: Region): Action[] {
  return [
    action<DescribeImagesCommandInput, DescribeImagesResult>(
      'DescribeImages',
      [
        'ExecutableUsers',
        'Filters.*',
        'ImageIds',
        'IncludeDeprecated',
        'IncludeDisabled',
        'MaxResults',
        'NextToken',
        'Owners',
      ],
      (input) => {
        const now = region.clock.now();
        const chosen = input.ImageIds?.length
          ? input.ImageIds.map((id) => needVisible(region, id))
          : [...region.images.values()].filter((one) => visible(region, one));
        const shown = chosen
          .filter((one) => ownedBy(region, one, input.Owners))
          .filter((one) => executableBy(region, one, input.ExecutableUsers))
          // IncludeDisabled: "Default: No disabled AMIs are included in the response."
          .filter((one) => input.IncludeDisabled === true || one.state !== 'disabled')
          // "If you are the AMI owner, all deprecated AMIs appear in the response regardless of what you specify."
          .filter(
            (one) =>
              input.IncludeDeprecated === true ||
              one.ownerId === region.settings.accountId ||
              one.deprecationTime === undefined ||
              one.deprecationTime > now ||
              input.ImageIds?.includes(one.id),
          );
        const matching = filtered(shown, input.Filters, filtersOf(region), DOCUMENTED_FILTERS, (one) =>
          tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: input.ImageIds, minimum: 1 });
        return { Images: items.map((one) => describe(region, one)), ...more };
      },
    ),

    action<DescribeImageAttributeCommandInput, ImageAttribute>(
      'DescribeImageAttribute',
      ['Attribute', 'ImageId'],
      (input) => describeAttribute(region, needOwn(region, input.ImageId), input.Attribute),
    ),
  ];
}

function ownedBy(region: Region, image: ImageRecord, owners: readonly string[] | undefined): boolean {
  if (!owners?.length) return true;
  return owners.some((owner) => {
    if (owner === 'self') return image.ownerId === region.settings.accountId;
    if (/^\d{12}$/.test(owner)) return image.ownerId === owner;
    if (['amazon', 'aws-backup-vault', 'aws-marketplace'].includes(owner)) return image.ownerAlias === owner;
    throw new ServiceError('InvalidUserID.Malformed', `Invalid user id: "${owner}"`);
  });
}

function executableBy(region: Region, image: ImageRecord, users: readonly string[] | undefined): boolean {
  if (!users?.length) return true;
  return users.some((user) => {
    if (user === 'all') return isPublic(image);
    const id = user === 'self' ? region.settings.accountId : user;
    return image.launchPermissions.some((one) => one.UserId === id);
  });
}

function describe(region: Region, image: ImageRecord): Image {
  const lastLaunched = lastLaunchedOf(region, image);
  return {
    Architecture: image.architecture,
    BlockDeviceMappings: mappingsOf(region, image),
    ...(image.bootMode === undefined ? {} : { BootMode: image.bootMode }),
    CreationDate: new Date(image.creationDate).toISOString(),
    ...(image.deprecationTime === undefined
      ? {}
      : { DeprecationTime: new Date(image.deprecationTime).toISOString() }),
    DeregistrationProtection: 'disabled',
    ...(image.description === undefined ? {} : { Description: image.description }),
    EnaSupport: image.enaSupport,
    Hypervisor: 'xen',
    ImageId: image.id,
    ImageLocation: `${image.ownerAlias ?? image.ownerId}/${image.name}`,
    ...(image.ownerAlias === undefined ? {} : { ImageOwnerAlias: image.ownerAlias }),
    ImageType: 'machine',
    ...(image.imdsSupport === undefined ? {} : { ImdsSupport: image.imdsSupport as 'v2.0' }),
    ...(lastLaunched === undefined ? {} : { LastLaunchedTime: lastLaunched }),
    Name: image.name,
    OwnerId: image.ownerId,
    ...platformOf(image),
    Public: isPublic(image),
    RootDeviceName: image.rootDeviceName,
    RootDeviceType: 'ebs',
    ...(image.sourceImageId === undefined ? {} : { SourceImageId: image.sourceImageId }),
    ...(image.sourceImageRegion === undefined ? {} : { SourceImageRegion: image.sourceImageRegion }),
    ...(image.sourceInstanceId === undefined ? {} : { SourceInstanceId: image.sourceInstanceId }),
    ...(image.sriovNetSupport === undefined ? {} : { SriovNetSupport: image.sriovNetSupport }),
    State: image.state,
    ...(image.stateReason === undefined ? {} : { StateReason: image.stateReason }),
    Tags: tagList(image.tags),
    ...(image.tpmSupport === undefined ? {} : { TpmSupport: image.tpmSupport as 'v2.0' }),
    VirtualizationType: image.virtualizationType,
  };
}

/** DescribeImages, LastLaunchedTime: reported a day late. */
function lastLaunchedOf(region: Region, { lastLaunched }: ImageRecord): string | undefined {
  if (lastLaunched === undefined) return undefined;
  const reported = lastLaunched + region.settings.delays.lastLaunchedReported <= region.clock.now();
  return reported ? new Date(lastLaunched).toISOString() : undefined;
}

const mappingsOf = (region: Region, image: ImageRecord) =>
  image.mappings.map((mapping) => ({
    DeviceName: mapping.DeviceName,
    ...(mapping.Ebs === undefined
      ? {}
      : {
          Ebs: {
            ...mapping.Ebs,
            // What it is copied or launched from decides; the key is only told of volumes and snapshots.
            Encrypted: mapping.Ebs.SnapshotId
              ? keyOfSnapshot(region, mapping.Ebs.SnapshotId) !== undefined
              : (mapping.Ebs.Encrypted ?? false),
            KmsKeyId: undefined,
          },
        }),
  }));

function describeAttribute(
  region: Region,
  image: ImageRecord,
  attribute: string | undefined,
): ImageAttribute {
  const ImageId = image.id;
  const value = (text: string | undefined) => (text === undefined ? {} : { Value: text });
  switch (attribute) {
    case 'description':
      return { ImageId, Description: value(image.description) };
    case 'launchPermission':
      return { ImageId, LaunchPermissions: image.launchPermissions };
    case 'blockDeviceMapping':
      return { ImageId, BlockDeviceMappings: mappingsOf(region, image) };
    case 'bootMode':
      return { ImageId, BootMode: value(image.bootMode) };
    case 'tpmSupport':
      return { ImageId, TpmSupport: value(image.tpmSupport) };
    case 'uefiData':
      return { ImageId, UefiData: value(image.uefiData) };
    case 'imdsSupport':
      return { ImageId, ImdsSupport: value(image.imdsSupport) };
    case 'sriovNetSupport':
      return { ImageId, SriovNetSupport: value(image.sriovNetSupport) };
    case 'deregistrationProtection':
      return { ImageId, DeregistrationProtection: { Value: 'disabled' } };
    case 'lastLaunchedTime':
      return { ImageId, LastLaunchedTime: value(lastLaunchedOf(region, image)) };
    case 'productCodes':
      return { ImageId, ProductCodes: [] };
    default:
      throw unsupported(`DescribeImageAttribute's ${attribute}`);
  }
}

const ebs = <T>(image: ImageRecord, read: (one: NonNullable<DeviceMapping['Ebs']>) => T): T[] =>
  image.mappings.flatMap((mapping) => (mapping.Ebs ? [read(mapping.Ebs)] : []));

const filtersOf = (region: Region): Record<string, FilterReader<ImageRecord>> => ({
  architecture: (one) => [one.architecture],
  'block-device-mapping.delete-on-termination': (one) => ebs(one, (device) => device.DeleteOnTermination),
  'block-device-mapping.device-name': (one) => one.mappings.map((mapping) => mapping.DeviceName),
  'block-device-mapping.snapshot-id': (one) => ebs(one, (device) => device.SnapshotId),
  'block-device-mapping.volume-size': (one) => ebs(one, (device) => device.VolumeSize),
  'block-device-mapping.volume-type': (one) => ebs(one, (device) => device.VolumeType),
  'block-device-mapping.encrypted': (one) => mappingsOf(region, one).map(({ Ebs }) => Ebs?.Encrypted),
  'creation-date': (one) => [new Date(one.creationDate).toISOString()],
  description: (one) => [one.description],
  'ena-support': (one) => [one.enaSupport],
  hypervisor: () => ['xen'],
  'image-id': (one) => [one.id],
  'image-type': () => ['machine'],
  'is-public': (one) => [isPublic(one)],
  name: (one) => [one.name],
  'owner-alias': (one) => [one.ownerAlias],
  'owner-id': (one) => [one.ownerId],
  platform: (one) => [platformOf(one).Platform],
  'root-device-name': (one) => [one.rootDeviceName],
  'root-device-type': () => ['ebs'],
  'source-image-id': (one) => [one.sourceImageId],
  'source-image-region': (one) => [one.sourceImageRegion],
  'source-instance-id': (one) => [one.sourceInstanceId],
  'sriov-net-support': (one) => [one.sriovNetSupport],
  state: (one) => [one.state],
  'virtualization-type': (one) => [one.virtualizationType],
});

const DOCUMENTED_FILTERS = [
  'free-tier-eligible',
  'image-allowed',
  'kernel-id',
  'manifest-location',
  'product-code',
  'product-code.type',
  'public-ssm-parameter-name',
  'ramdisk-id',
  'state-reason-code',
  'state-reason-message',
];
