import type {
  CreateImageCommandInput,
  CreateImageResult,
  DeregisterImageCommandInput,
  DeregisterImageResult,
  RegisterImageCommandInput,
  RegisterImageResult,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { need, newId } from './ids.ts';
import { needOwn } from './image-access.ts';
import { instanceForImage } from './instances.ts';
import type { DeviceMapping } from './model.ts';
import { addImage, checkImageName } from './new-image.ts';
import { checkOneOf } from './one-of.ts';
import type { Region } from './region.ts';
import { deleteSnapshot, imageOf, startSnapshot } from './snapshots.ts';
import { tagsFor } from './tag-sets.ts';
import { checkDeviceName, overlayMappings } from './volumes.ts';

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
  ];
}

function register(region: Region, input: RegisterImageCommandInput): string {
  const name = checkImageName(region, input.Name);
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
  return addImage(region, {
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
    // "AMI billing information fields": derived from what the snapshot of the root volume says.
    windows: rootSnapshot(region, mappings, rootDeviceName)?.windows,
    body: 'machine',
    tags,
  });
}

function create(region: Region, input: CreateImageCommandInput): string {
  const name = checkImageName(region, input.Name);
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
      ...(volume.iops === undefined ? {} : { Iops: volume.iops }),
      ...(volume.throughput === undefined ? {} : { Throughput: volume.throughput }),
    },
  }));
  const mappings = overlayMappings(region, attached, input.BlockDeviceMappings ?? []);
  const id = newId('ami');
  for (const mapping of mappings) {
    const origin = volumes.find(({ device }) => device === mapping.DeviceName);
    if (!origin || !mapping.Ebs) continue;
    const snapshot = startSnapshot(
      region,
      origin.volume,
      `Created by CreateImage(${instance.id}) for ${id}`,
      {
        ...snapshotTags,
      },
    );
    mapping.Ebs.SnapshotId = snapshot.id;
  }
  checkMappings(mappings, instance.rootDeviceName);
  return addImage(region, {
    id,
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
    windows:
      region.settings.createImageBilling === 'instance'
        ? instance.windows
        : rootSnapshot(region, mappings, instance.rootDeviceName)?.windows,
    body: 'machine',
    sourceInstanceId: instance.id,
    sourceImageId: instance.imageId,
    sourceImageRegion: region.settings.region,
    tags,
  });
}

const rootSnapshot = (region: Region, mappings: readonly DeviceMapping[], rootDeviceName: string) =>
  region.snapshots.get(
    mappings.find((mapping) => mapping.DeviceName === rootDeviceName)?.Ebs?.SnapshotId ?? '',
  );

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
