import type {
  BootModeValues,
  CreateImageCommandInput,
  CreateImageResult,
  DeregisterImageCommandInput,
  DeregisterImageResult,
  DescribeImageAttributeCommandInput,
  DescribeImagesCommandInput,
  DescribeImagesResult,
  DisableImageDeprecationCommandInput,
  DisableImageDeprecationResult,
  EnableImageDeprecationCommandInput,
  EnableImageDeprecationResult,
  Image,
  ImageAttribute,
  LaunchPermission,
  ModifyImageAttributeCommandInput,
  RegisterImageCommandInput,
  RegisterImageResult,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { type FilterReader, filtered } from './filters.ts';
import { need, newId } from './ids.ts';
import { isPublic, needOwn, needVisible, visible } from './image-access.ts';
import { instanceForImage } from './instances.ts';
import type { DeviceMapping, ImageRecord, Tags } from './model.ts';
import { page } from './pagination.ts';
import type { Region } from './region.ts';
import { deleteSnapshot, imageOf, startSnapshot } from './snapshots.ts';
import { tagList, tagsFor } from './tag-sets.ts';
import { checkDeviceName, overlayMappings } from './volumes.ts';

/** RegisterImage, Name: "3-128 alphanumeric characters, parentheses, square brackets, spaces, periods, slashes, dashes, single quotes, at-signs, or underscores". */
const NAME = /^[A-Za-z0-9()[\] ./\-'@_]{3,128}$/;

/** EnableImageDeprecation: "up to 10 years in the future"; public AMIs: "maximum value is two years from creation". */
const DEPRECATION_YEARS = 10;
const YEAR_MILLISECONDS = 365.25 * 24 * 3600 * 1000;

export function imageActions(region: Region): Action[] {
  return [
    action<RegisterImageCommandInput, RegisterImageResult>(
      'RegisterImage',
      [
        'Architecture',
        'BlockDeviceMappings.*',
        'BootMode',
        'Description',
        'EnaSupport',
        'ImdsSupport',
        'Name',
        'RootDeviceName',
        'SriovNetSupport',
        'TagSpecifications.*',
        'TpmSupport',
        'UefiData',
        'VirtualizationType',
      ],
      (input) => ({ ImageId: register(region, input) }),
    ),

    action<CreateImageCommandInput, CreateImageResult>(
      'CreateImage',
      ['BlockDeviceMappings.*', 'Description', 'InstanceId', 'Name', 'NoReboot', 'TagSpecifications.*'],
      (input) => ({ ImageId: create(region, input) }),
    ),

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
          // "If you are the AMI owner, all deprecated AMIs appear in the response regardless of what you specify."
          .filter(
            (one) =>
              input.IncludeDeprecated === true ||
              one.ownerId === region.settings.accountId ||
              one.deprecationTime === undefined ||
              one.deprecationTime > now ||
              input.ImageIds?.includes(one.id),
          );
        const matching = filtered(shown, input.Filters, FILTERS, DOCUMENTED_FILTERS, (one) =>
          tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: input.ImageIds, minimum: 1 });
        return { Images: items.map((one) => describe(one)), ...more };
      },
    ),

    action<DeregisterImageCommandInput, DeregisterImageResult>(
      'DeregisterImage',
      ['DeleteAssociatedSnapshots', 'ImageId'],
      async (input) => {
        const image = needOwn(region, input.ImageId);
        region.images.delete(image.id);
        const results = [];
        if (input.DeleteAssociatedSnapshots) {
          for (const { Ebs } of image.mappings) {
            const snapshot = Ebs?.SnapshotId === undefined ? undefined : region.snapshots.get(Ebs.SnapshotId);
            if (!snapshot) continue;
            // "If a snapshot is associated with multiple AMIs, it won't be deleted."
            if (imageOf(region, snapshot.id)) {
              results.push({ SnapshotId: snapshot.id, ReturnCode: 'skipped' as const });
            } else {
              await deleteSnapshot(region, snapshot);
              results.push({ SnapshotId: snapshot.id, ReturnCode: 'success' as const });
            }
          }
        }
        return { Return: true, ...(results.length > 0 ? { DeleteSnapshotResults: results } : {}) };
      },
    ),

    action<DescribeImageAttributeCommandInput, ImageAttribute>(
      'DescribeImageAttribute',
      ['Attribute', 'ImageId'],
      (input) => describeAttribute(needOwn(region, input.ImageId), input.Attribute),
    ),

    action<ModifyImageAttributeCommandInput, undefined>(
      'ModifyImageAttribute',
      [
        'Attribute',
        'Description.Value',
        'ImageId',
        'ImdsSupport.Value',
        'LaunchPermission.*',
        'OperationType',
        'UserGroups',
        'UserIds',
        'Value',
      ],
      (input) => {
        modify(needOwn(region, input.ImageId), input);
        return undefined;
      },
    ),

    action<EnableImageDeprecationCommandInput, EnableImageDeprecationResult>(
      'EnableImageDeprecation',
      ['DeprecateAt', 'ImageId'],
      (input) => {
        const image = needOwn(region, input.ImageId);
        const at = input.DeprecateAt?.getTime() ?? Number.NaN;
        const now = region.clock.now();
        const latest = isPublic(image)
          ? image.creationDate + 2 * YEAR_MILLISECONDS
          : now + DEPRECATION_YEARS * YEAR_MILLISECONDS;
        if (!(at > now) || at > latest) {
          throw new ServiceError(
            'InvalidParameter',
            `DeprecateAt must be in the future and before ${new Date(latest).toISOString()}`,
          );
        }
        // "If you specify a value for seconds, Amazon EC2 rounds the seconds to the nearest minute."
        image.deprecationTime = Math.round(at / 60_000) * 60_000;
        return { Return: true };
      },
    ),

    action<DisableImageDeprecationCommandInput, DisableImageDeprecationResult>(
      'DisableImageDeprecation',
      ['ImageId'],
      (input) => {
        delete needOwn(region, input.ImageId).deprecationTime;
        return { Return: true };
      },
    ),
  ];
}

function register(region: Region, input: RegisterImageCommandInput): string {
  const name = checkName(region, input.Name);
  if (input.BlockDeviceMappings === undefined || input.BlockDeviceMappings.length === 0) {
    throw unsupported('RegisterImage without BlockDeviceMappings (instance-store images)');
  }
  const rootDeviceName = input.RootDeviceName;
  if (!rootDeviceName) {
    throw new ServiceError('MissingParameter', 'The request must contain the parameter rootDeviceName');
  }
  checkDeviceName(rootDeviceName);
  for (const mapping of input.BlockDeviceMappings) {
    if (mapping.Ebs?.Encrypted !== undefined && mapping.Ebs.SnapshotId !== undefined) {
      // RegisterImage, BlockDeviceMappings: "you can't specify the encryption state of the volume" with a snapshot.
      throw new ServiceError(
        'InvalidBlockDeviceMapping',
        `the encrypted flag cannot be specified since device ${mapping.DeviceName} has a snapshot specified.`,
      );
    }
    if (mapping.Ebs?.SnapshotId) {
      const snapshot = need('snapshot', region.snapshots, mapping.Ebs.SnapshotId);
      if (snapshot.state !== 'completed') {
        throw new ServiceError(
          'InvalidSnapshot.NotCompleted',
          `The snapshot '${snapshot.id}' is ${snapshot.state}, not completed`,
        );
      }
    }
  }
  const mappings = overlayMappings(region, [], input.BlockDeviceMappings);
  checkMappings(mappings, rootDeviceName);

  // RegisterImage: "Default: For Amazon EBS-backed AMIs, i386"; "Default: paravirtual".
  const architecture = input.Architecture ?? 'i386';
  if (!['i386', 'x86_64', 'arm64'].includes(architecture)) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${architecture}) for parameter architecture is invalid.`,
    );
  }
  const virtualizationType = input.VirtualizationType ?? 'paravirtual';
  if (virtualizationType !== 'hvm' && virtualizationType !== 'paravirtual') {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${String(virtualizationType)}) for parameter virtualizationType is invalid.`,
    );
  }
  checkOneOf('imdsSupport', input.ImdsSupport, ['v2.0']);
  checkOneOf('tpmSupport', input.TpmSupport, ['v2.0']);
  checkOneOf('sriovNetSupport', input.SriovNetSupport, ['simple']);
  checkOneOf('bootMode', input.BootMode, ['legacy-bios', 'uefi', 'uefi-preferred']);
  const combination = (message: string) => new ServiceError('InvalidParameterCombination', message);
  // "Boot modes": Graviton boots UEFI only; NitroTPM needs UEFI; ENA and SR-IOV exist on hvm only.
  if (architecture === 'arm64' && input.BootMode !== undefined && input.BootMode !== 'uefi') {
    throw combination(`The boot mode '${input.BootMode}' is not supported for the architecture arm64`);
  }
  if (input.TpmSupport !== undefined && input.BootMode !== 'uefi' && input.BootMode !== 'uefi-preferred') {
    throw combination('TPM support requires a boot mode of uefi');
  }
  if (virtualizationType === 'paravirtual' && (input.EnaSupport || input.SriovNetSupport)) {
    throw combination('Enhanced networking is only supported with virtualization type hvm');
  }
  if (virtualizationType === 'paravirtual' && architecture === 'arm64') {
    throw combination('The architecture arm64 requires virtualization type hvm');
  }
  const { image: tags } = tagsFor(input.TagSpecifications, ['image']);
  return add(region, {
    name,
    description: input.Description,
    architecture,
    virtualizationType,
    bootMode: input.BootMode,
    enaSupport: input.EnaSupport ?? false,
    sriovNetSupport: input.SriovNetSupport,
    imdsSupport: input.ImdsSupport,
    tpmSupport: input.TpmSupport,
    uefiData: input.UefiData,
    rootDeviceName,
    mappings,
    body: 'machine',
    tags,
  });
}

function create(region: Region, input: CreateImageCommandInput): string {
  const name = checkName(region, input.Name);
  const { instance, volumes } = instanceForImage(region, input.InstanceId ?? '');
  if (region.host.alive(instance.id) && input.NoReboot !== true) {
    throw unsupported('CreateImage with a reboot of a running instance: stop it, or say NoReboot');
  }
  const { image: tags, snapshot: snapshotTags } = tagsFor(input.TagSpecifications, ['image', 'snapshot']);
  const source = region.images.get(instance.imageId);
  const attached: DeviceMapping[] = volumes.map(({ volume, device, deleteOnTermination }) => ({
    DeviceName: device,
    Ebs: {
      VolumeSize: volume.size,
      VolumeType: volume.type,
      DeleteOnTermination: deleteOnTermination,
      Encrypted: false,
      ...(volume.iops === undefined ? {} : { Iops: volume.iops }),
      ...(volume.throughput === undefined ? {} : { Throughput: volume.throughput }),
    },
  }));
  const mappings = overlayMappings(region, attached, input.BlockDeviceMappings ?? []);
  for (const mapping of mappings) {
    const origin = volumes.find(({ device }) => device === mapping.DeviceName);
    if (!origin || !mapping.Ebs) continue;
    const snapshot = startSnapshot(
      region,
      origin.volume,
      `Created by CreateImage(${instance.id}) for ${name}`,
      {
        ...snapshotTags,
      },
    );
    mapping.Ebs.SnapshotId = snapshot.id;
  }
  checkMappings(mappings, instance.rootDeviceName);
  return add(region, {
    name,
    description: input.Description,
    architecture: instance.architecture,
    virtualizationType: 'hvm',
    bootMode: instance.bootMode,
    enaSupport: instance.enaSupport,
    sriovNetSupport: source?.sriovNetSupport,
    imdsSupport: source?.imdsSupport,
    tpmSupport: instance.tpmSupport,
    uefiData: undefined,
    rootDeviceName: instance.rootDeviceName,
    mappings,
    body: 'machine',
    sourceInstanceId: instance.id,
    sourceImageId: instance.imageId,
    tags,
  });
}

function add(
  region: Region,
  made: {
    name: string;
    description: string | undefined;
    architecture: ImageRecord['architecture'];
    virtualizationType: ImageRecord['virtualizationType'];
    bootMode: BootModeValues | undefined;
    enaSupport: boolean;
    sriovNetSupport: string | undefined;
    imdsSupport: string | undefined;
    tpmSupport: string | undefined;
    uefiData: string | undefined;
    rootDeviceName: string;
    mappings: DeviceMapping[];
    body: ImageRecord['body'];
    sourceInstanceId?: string;
    sourceImageId?: string;
    tags: Tags;
  },
): string {
  const image = {
    // Members that are undefined vanish in JSON and must not be there before either.
    ...(Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)) as typeof made),
    id: newId('ami'),
    state: 'pending',
    ownerId: region.settings.accountId,
    creationDate: region.clock.now(),
    launchPermissions: [],
  } as unknown as ImageRecord;
  region.images.set(image.id, image);
  becomeAvailable(region, image);
  return image.id;
}

/** An image is available when all its snapshots are. */
function becomeAvailable(region: Region, image: ImageRecord): void {
  region.later(region.settings.delays.imagePending, () => {
    const snapshots = image.mappings.map((mapping) => region.snapshots.get(mapping.Ebs?.SnapshotId ?? ''));
    if (snapshots.some((snapshot) => snapshot?.state === 'error')) image.state = 'failed';
    else if (snapshots.some((snapshot) => snapshot?.state === 'pending')) becomeAvailable(region, image);
    else image.state = 'available';
  });
}

function checkName(region: Region, name: string | undefined): string {
  if (name === undefined || !NAME.test(name)) {
    throw new ServiceError(
      'InvalidAMIName.Malformed',
      "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
    );
  }
  // Names are unique per owner and Region.
  const same = [...region.images.values()].find(
    (image) => image.name === name && image.ownerId === region.settings.accountId,
  );
  if (same) {
    throw new ServiceError(
      'InvalidAMIName.Duplicate',
      `AMI name ${name} is already in use by AMI ${same.id}`,
    );
  }
  return name;
}

function checkMappings(mappings: DeviceMapping[], rootDeviceName: string): void {
  for (const mapping of mappings) checkDeviceName(mapping.DeviceName);
  const root = mappings.find((mapping) => mapping.DeviceName === rootDeviceName);
  if (!root?.Ebs?.SnapshotId) {
    throw new ServiceError(
      'InvalidBlockDeviceMapping',
      `No snapshot is given for the root device ${rootDeviceName}`,
    );
  }
}

function checkOneOf(parameter: string, value: string | undefined, legal: readonly string[]): void {
  if (value !== undefined && !legal.includes(value)) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${value}) for parameter ${parameter} is invalid. Valid: ${legal.join(', ')}`,
    );
  }
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

function describe(image: ImageRecord): Image {
  return {
    Architecture: image.architecture,
    BlockDeviceMappings: mappingsOf(image),
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
    Name: image.name,
    OwnerId: image.ownerId,
    PlatformDetails: 'Linux/UNIX',
    Public: isPublic(image),
    RootDeviceName: image.rootDeviceName,
    RootDeviceType: 'ebs',
    ...(image.sourceImageId === undefined ? {} : { SourceImageId: image.sourceImageId }),
    ...(image.sourceInstanceId === undefined ? {} : { SourceInstanceId: image.sourceInstanceId }),
    ...(image.sriovNetSupport === undefined ? {} : { SriovNetSupport: image.sriovNetSupport }),
    State: image.state,
    Tags: tagList(image.tags),
    ...(image.tpmSupport === undefined ? {} : { TpmSupport: image.tpmSupport as 'v2.0' }),
    UsageOperation: 'RunInstances',
    VirtualizationType: image.virtualizationType,
  };
}

const mappingsOf = (image: ImageRecord) =>
  image.mappings.map((mapping) => ({
    DeviceName: mapping.DeviceName,
    ...(mapping.Ebs === undefined ? {} : { Ebs: mapping.Ebs }),
  }));

function describeAttribute(image: ImageRecord, attribute: string | undefined): ImageAttribute {
  const ImageId = image.id;
  const value = (text: string | undefined) => (text === undefined ? {} : { Value: text });
  switch (attribute) {
    case 'description':
      return { ImageId, Description: value(image.description) };
    case 'launchPermission':
      return { ImageId, LaunchPermissions: image.launchPermissions };
    case 'blockDeviceMapping':
      return { ImageId, BlockDeviceMappings: mappingsOf(image) };
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
    case 'productCodes':
      return { ImageId, ProductCodes: [] };
    default:
      throw unsupported(`DescribeImageAttribute's ${attribute}`);
  }
}

function modify(image: ImageRecord, input: ModifyImageAttributeCommandInput): void {
  const { Attribute: attribute } = input;
  const description = input.Description?.Value ?? (attribute === 'description' ? input.Value : undefined);
  const imds = input.ImdsSupport?.Value ?? (attribute === 'imdsSupport' ? input.Value : undefined);
  const add: LaunchPermission[] = [...(input.LaunchPermission?.Add ?? [])];
  const remove: LaunchPermission[] = [...(input.LaunchPermission?.Remove ?? [])];
  if (attribute === 'launchPermission') {
    const named: LaunchPermission[] = [
      ...(input.UserIds ?? []).map((UserId) => ({ UserId })),
      ...(input.UserGroups ?? []).map((Group) => ({ Group: Group as 'all' })),
    ];
    if (input.OperationType !== 'add' && input.OperationType !== 'remove') {
      throw new ServiceError(
        'InvalidParameterValue',
        `Value (${String(input.OperationType)}) for parameter operationType is invalid.`,
      );
    }
    (input.OperationType === 'add' ? add : remove).push(...named);
  } else if (attribute !== undefined && attribute !== 'description' && attribute !== 'imdsSupport') {
    throw unsupported(`ModifyImageAttribute's ${attribute}`);
  }
  if (description === undefined && imds === undefined && add.length === 0 && remove.length === 0) {
    throw new ServiceError('InvalidRequest', 'The request received was invalid: there is nothing to modify');
  }
  // "you can specify only one attribute at a time"
  if (
    [description !== undefined, imds !== undefined, add.length + remove.length > 0].filter(Boolean).length > 1
  ) {
    throw new ServiceError('InvalidParameterCombination', 'You can specify only one attribute at a time');
  }
  for (const permission of [...add, ...remove]) {
    if (permission.OrganizationArn || permission.OrganizationalUnitArn)
      throw unsupported('sharing with organizations');
    if (permission.Group !== undefined && permission.Group !== 'all') {
      throw new ServiceError(
        'InvalidAMIAttributeItemValue',
        `Invalid attribute item value "${String(permission.Group)}" for launchPermission`,
      );
    }
    if (permission.UserId !== undefined && !/^\d{12}$/.test(permission.UserId)) {
      throw new ServiceError(
        'InvalidAMIAttributeItemValue',
        `Invalid attribute item value "${permission.UserId}" for userId`,
      );
    }
  }
  if (description !== undefined) image.description = description;
  if (imds !== undefined) {
    checkOneOf('imdsSupport', imds, ['v2.0']);
    image.imdsSupport = imds;
  }
  const key = (one: LaunchPermission) => `${one.Group ?? ''}/${one.UserId ?? ''}`;
  const gone = new Set(remove.map(key));
  const kept = new Map(image.launchPermissions.map((one) => [key(one), one]));
  for (const one of add) kept.set(key(one), one);
  image.launchPermissions = [...kept.values()].filter((one) => !gone.has(key(one)));
}

const ebs = <T>(image: ImageRecord, read: (one: NonNullable<DeviceMapping['Ebs']>) => T): T[] =>
  image.mappings.flatMap((mapping) => (mapping.Ebs ? [read(mapping.Ebs)] : []));

const FILTERS: Record<string, FilterReader<ImageRecord>> = {
  architecture: (one) => [one.architecture],
  'block-device-mapping.delete-on-termination': (one) => ebs(one, (device) => device.DeleteOnTermination),
  'block-device-mapping.device-name': (one) => one.mappings.map((mapping) => mapping.DeviceName),
  'block-device-mapping.snapshot-id': (one) => ebs(one, (device) => device.SnapshotId),
  'block-device-mapping.volume-size': (one) => ebs(one, (device) => device.VolumeSize),
  'block-device-mapping.volume-type': (one) => ebs(one, (device) => device.VolumeType),
  'block-device-mapping.encrypted': (one) => ebs(one, (device) => device.Encrypted),
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
  'root-device-name': (one) => [one.rootDeviceName],
  'root-device-type': () => ['ebs'],
  'source-image-id': (one) => [one.sourceImageId],
  'source-instance-id': (one) => [one.sourceInstanceId],
  'sriov-net-support': (one) => [one.sriovNetSupport],
  state: (one) => [one.state],
  'virtualization-type': (one) => [one.virtualizationType],
};

const DOCUMENTED_FILTERS = [
  'free-tier-eligible',
  'image-allowed',
  'kernel-id',
  'manifest-location',
  'platform',
  'product-code',
  'product-code.type',
  'public-ssm-parameter-name',
  'ramdisk-id',
  'source-image-region',
  'state-reason-code',
  'state-reason-message',
];
