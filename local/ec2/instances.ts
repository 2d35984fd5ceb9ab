import type {
  DescribeInstanceAttributeCommandInput,
  DescribeInstanceStatusCommandInput,
  DescribeInstanceStatusResult,
  DescribeInstancesCommandInput,
  DescribeInstancesResult,
  GetConsoleOutputCommandInput,
  GetConsoleOutputResult,
  GetConsoleScreenshotCommandInput,
  GetConsoleScreenshotResult,
  Instance,
  InstanceAttribute,
  InstanceStateChange,
  ModifyInstanceAttributeCommandInput,
  RebootInstancesCommandInput,
  Reservation,
  RunInstancesCommandInput,
  StartInstancesCommandInput,
  StartInstancesResult,
  StopInstancesCommandInput,
  StopInstancesResult,
  TerminateInstancesCommandInput,
  TerminateInstancesResult,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { privateDomain } from '../region-names.ts';
import { type Action, action } from './action.ts';
import { keyFor, keyOfSnapshot } from './encryption.ts';
import { type FilterReader, filtered } from './filters.ts';
import { once } from './idempotency.ts';
import { need, newId } from './ids.ts';
import { imageForLaunch } from './image-access.ts';
import { currentBootMode, INSTANCE_TYPES, type InstanceTypeFacts } from './instance-type-table.ts';
import { attachedVolumes, goesRunning, launchFailed, reset, userEnds } from './lifecycle.ts';
import {
  type DeviceMapping,
  type ImageRecord,
  type InstanceRecord,
  type MetadataSettings,
  STATE_CODES,
} from './model.ts';
import { page } from './pagination.ts';
import { platformOf, windowsIf } from './platform.ts';
import { newMacAddress, type Region } from './region.ts';
import { tagList, tagsFor } from './tag-sets.ts';
import { checkDeviceName, completedVolume, createVolumeRecord, overlayMappings } from './volumes.ts';

/** RunInstances, UserData: "limited to 16 KB, in raw form". */
const USER_DATA_BYTES = 16 * 1024;

export function instanceActions(region: Region): Action[] {
  return [
    action<RunInstancesCommandInput, Reservation>(
      'RunInstances',
      [
        'BlockDeviceMappings.*',
        'ClientToken',
        'CreditSpecification.CpuCredits',
        'DisableApiTermination',
        'EbsOptimized',
        'IamInstanceProfile.Name',
        'ImageId',
        'InstanceInitiatedShutdownBehavior',
        'InstanceType',
        'KeyName',
        'MaxCount',
        'MetadataOptions.HttpEndpoint',
        'MetadataOptions.HttpPutResponseHopLimit',
        'MetadataOptions.HttpTokens',
        'MetadataOptions.InstanceMetadataTags',
        'MinCount',
        'Monitoring.Enabled',
        'NetworkInterfaces.AssociatePublicIpAddress',
        'NetworkInterfaces.DeleteOnTermination',
        'NetworkInterfaces.DeviceIndex',
        'NetworkInterfaces.Groups',
        'NetworkInterfaces.SubnetId',
        'Placement.AvailabilityZone',
        'Placement.Tenancy',
        'SecurityGroupIds',
        'SecurityGroups',
        'SubnetId',
        'TagSpecifications.*',
        'UserData',
      ],
      (input) => {
        const ids = once(region.tokens, 'RunInstances', input, region.clock.now(), () => run(region, input));
        return reservationsOf(
          region,
          ids.map((id) => need('instance', region.instances, id)),
        )[0] as Reservation;
      },
    ),

    action<DescribeInstancesCommandInput, DescribeInstancesResult>(
      'DescribeInstances',
      ['InstanceIds', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        forgetTerminated(region);
        const chosen = input.InstanceIds?.length
          ? input.InstanceIds.map((id) => need('instance', region.instances, id))
          : [...region.instances.values()];
        const matching = filtered(chosen, input.Filters, instanceFilters(region), DOCUMENTED_FILTERS, (one) =>
          tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: input.InstanceIds });
        return { Reservations: reservationsOf(region, items), ...more };
      },
    ),

    action<DescribeInstanceStatusCommandInput, DescribeInstanceStatusResult>(
      'DescribeInstanceStatus',
      ['InstanceIds', 'Filters.*', 'IncludeAllInstances', 'MaxResults', 'NextToken'],
      (input) => {
        forgetTerminated(region);
        const chosen = input.InstanceIds?.length
          ? input.InstanceIds.map((id) => need('instance', region.instances, id))
          : [...region.instances.values()];
        // "By default, only running instances are described, unless specified otherwise."
        const shown = chosen.filter((one) => input.IncludeAllInstances === true || one.state === 'running');
        const matching = filtered(shown, input.Filters, STATUS_FILTERS, []);
        const { items, ...more } = page(matching, input, { ids: input.InstanceIds });
        return {
          InstanceStatuses: items.map((one) => {
            const ok = one.state === 'running';
            const summary = {
              Status: ok ? ('ok' as const) : ('not-applicable' as const),
              ...(ok ? { Details: [{ Name: 'reachability' as const, Status: 'passed' as const }] } : {}),
            };
            return {
              AvailabilityZone: one.zone,
              InstanceId: one.id,
              InstanceState: { Code: STATE_CODES[one.state], Name: one.state },
              InstanceStatus: summary,
              SystemStatus: summary,
            };
          }),
          ...more,
        };
      },
    ),

    action<StartInstancesCommandInput, StartInstancesResult>('StartInstances', ['InstanceIds'], (input) => {
      const chosen = (input.InstanceIds ?? []).map((id) => need('instance', region.instances, id));
      for (const one of chosen) {
        if (one.state !== 'stopped' && one.state !== 'running' && one.state !== 'pending') {
          throw incorrectState(one, 'started');
        }
        if (one.state === 'stopped' && rootVolume(region, one) === undefined) {
          throw new ServiceError(
            'IncorrectInstanceState',
            `Invalid value '${one.id}' for instanceId. Instance does not have a volume attached at root (${one.rootDeviceName})`,
          );
        }
      }
      checkQuota(
        region,
        chosen.filter((one) => one.state === 'stopped').map((one) => typeNamed(one.instanceType)),
      );
      return {
        StartingInstances: chosen.map((one) =>
          changed(one, () => {
            if (one.state !== 'stopped') return;
            one.state = 'pending';
            one.launchTime = region.clock.now();
            one.stateTransitionReason = '';
            delete one.stateReason;
            goesRunning(region, one);
          }),
        ),
      };
    }),

    action<StopInstancesCommandInput, StopInstancesResult>(
      'StopInstances',
      ['Force', 'InstanceIds', 'SkipOsShutdown'],
      (input) => {
        const chosen = (input.InstanceIds ?? []).map((id) => need('instance', region.instances, id));
        for (const one of chosen) {
          if (one.state === 'terminated' || one.state === 'shutting-down' || one.state === 'pending') {
            throw incorrectState(one, 'stopped');
          }
        }
        return {
          StoppingInstances: chosen.map((one) =>
            changed(one, () => {
              if (one.state !== 'running') return;
              userEnds(region, one, 'stopped', input.SkipOsShutdown === true || input.Force === true);
            }),
          ),
        };
      },
    ),

    action<RebootInstancesCommandInput, undefined>('RebootInstances', ['InstanceIds'], async (input) => {
      const chosen = (input.InstanceIds ?? []).map((id) => need('instance', region.instances, id));
      for (const one of chosen) {
        if (one.state !== 'running') throw incorrectState(one, 'rebooted');
        // Its user-data ran at its first boot, and there is nothing else to it.
        if (one.body === 'process' && region.host.alive(one.id))
          throw unsupported('RebootInstances of a process instance');
      }
      for (const one of chosen) {
        await region.host.note(one.id, 'local cloud: rebooted');
        if (region.host.alive(one.id)) await reset(region, one);
      }
      return undefined;
    }),

    action<TerminateInstancesCommandInput, TerminateInstancesResult>(
      'TerminateInstances',
      ['Force', 'InstanceIds', 'SkipOsShutdown'],
      (input) => {
        const chosen = (input.InstanceIds ?? []).map((id) => need('instance', region.instances, id));
        for (const one of chosen) {
          // "DisableApiTermination": the instance "can't be terminated using the console, CLI or API".
          if (one.disableApiTermination) {
            throw new ServiceError(
              'OperationNotPermitted',
              `The instance '${one.id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.`,
            );
          }
        }
        return {
          TerminatingInstances: chosen.map((one) =>
            changed(one, () => {
              if (one.state === 'terminated' || one.state === 'shutting-down') return;
              // "SkipOsShutdown: Specifies whether to bypass the graceful OS shutdown process."
              userEnds(region, one, 'terminated', input.SkipOsShutdown === true || input.Force === true);
            }),
          ),
        };
      },
    ),

    action<GetConsoleOutputCommandInput, GetConsoleOutputResult>(
      'GetConsoleOutput',
      ['InstanceId', 'Latest'],
      async (input) => {
        const one = need('instance', region.instances, input.InstanceId ?? '');
        if (input.Latest === true && typeNamed(one.instanceType).hypervisor !== 'nitro') {
          throw new ServiceError(
            'UnsupportedOperation',
            'This instance type does not support retrieving the latest console logs. Only instance types built on the Nitro System do.',
          );
        }
        // Without Latest the buffer is what was posted at the last state change ("Instance console output").
        const live = input.Latest === true && one.state !== 'terminated';
        const end = live ? await region.host.consoleLength(one.id) : (one.consolePosted?.bytes ?? 0);
        const text = await region.host.console(one.id, end);
        return {
          InstanceId: one.id,
          ...(text.length > 0 ? { Output: text.toString('base64') } : {}),
          Timestamp: new Date(live ? region.clock.now() : (one.consolePosted?.at ?? one.launchTime)),
        };
      },
    ),

    action<GetConsoleScreenshotCommandInput, GetConsoleScreenshotResult>(
      'GetConsoleScreenshot',
      ['InstanceId'],
      (input) => {
        const one = need('instance', region.instances, input.InstanceId ?? '');
        // As on Graviton and bare metal ("Instance console screenshot"): neither processes nor the machines here have a screen.
        throw new ServiceError(
          'UnsupportedOperation',
          `The instance '${one.id}' does not support console screenshots.`,
        );
      },
    ),

    action<ModifyInstanceAttributeCommandInput, undefined>(
      'ModifyInstanceAttribute',
      [
        'InstanceId',
        'Attribute',
        'Value',
        'BlockDeviceMappings.DeviceName',
        'BlockDeviceMappings.Ebs.DeleteOnTermination',
        'BlockDeviceMappings.Ebs.VolumeId',
        'DisableApiTermination.Value',
        'EbsOptimized.Value',
        'EnaSupport.Value',
        'Groups',
        'InstanceInitiatedShutdownBehavior.Value',
        'InstanceType.Value',
        'SriovNetSupport.Value',
        'UserData.Value',
      ],
      (input) => {
        modifyInstance(region, input);
        return undefined;
      },
    ),

    action<DescribeInstanceAttributeCommandInput, InstanceAttribute>(
      'DescribeInstanceAttribute',
      ['InstanceId', 'Attribute'],
      (input) => describeAttribute(region, input),
    ),
  ];
}

function run(region: Region, input: RunInstancesCommandInput): string[] {
  const { MinCount: minimum = 0, MaxCount: maximum = 0 } = input;
  if (minimum < 1 || maximum < minimum) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${minimum}, ${maximum}) for parameters minCount, maxCount is invalid.`,
    );
  }
  if (input.ImageId === undefined || input.ImageId === '') {
    throw new ServiceError('MissingParameter', 'The request must contain the parameter ImageId');
  }
  const image = imageForLaunch(region, input.ImageId);
  const type = typeNamed(input.InstanceType ?? 'm1.small');
  const bootMode = checkMatch(image, type);
  if (input.IamInstanceProfile?.Name) throw unsupported('RunInstances with an instance profile');
  if (input.Placement?.Tenancy && input.Placement.Tenancy !== 'default') {
    throw unsupported(`tenancy ${input.Placement.Tenancy}`);
  }
  if (input.UserData !== undefined && Buffer.from(input.UserData, 'base64').length > USER_DATA_BYTES) {
    throw new ServiceError('InvalidParameterValue', `User data is limited to ${USER_DATA_BYTES} bytes`);
  }
  if (input.UserData !== undefined && !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(input.UserData)) {
    throw new ServiceError('InvalidParameterValue', 'Invalid BASE64 encoding of user data');
  }
  const shutdownBehavior = input.InstanceInitiatedShutdownBehavior ?? 'stop';
  if (shutdownBehavior !== 'stop' && shutdownBehavior !== 'terminate') {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${String(shutdownBehavior)}) for parameter instanceInitiatedShutdownBehavior is invalid.`,
    );
  }
  const keyName = input.KeyName || undefined;
  if (keyName !== undefined && ![...region.keyPairs.values()].some((pair) => pair.name === keyName)) {
    throw new ServiceError('InvalidKeyPair.NotFound', `The key pair '${keyName}' does not exist`);
  }
  const { subnet, groups } = placeInNetwork(region, input);
  const metadata = metadataSettings(input.MetadataOptions, image);
  const tags = tagsFor(input.TagSpecifications, [
    'instance',
    'volume',
    'network-interface',
    'spot-instances-request',
  ]);
  const mappings = overlayMappings(region, image.mappings, input.BlockDeviceMappings ?? []);
  checkLaunchDevices(image, mappings);
  const disks = mappings.flatMap(({ DeviceName, Ebs }) =>
    Ebs === undefined
      ? []
      : [{ ...Ebs, DeviceName, key: keyFor(region, Ebs, keyOfSnapshot(region, Ebs.SnapshotId)) }],
  );
  checkQuota(
    region,
    Array.from({ length: maximum }, () => type),
  );

  const now = region.clock.now();
  image.lastLaunched = now;
  const reservationId = newId('r');
  const made: InstanceRecord[] = [];
  for (let index = 0; index < maximum; index++) {
    const host = (region.network.nextAddress[subnet.id] ?? 4) % 4091;
    region.network.nextAddress[subnet.id] = host + 1;
    const [, , third = '0'] = subnet.cidr.split('.');
    const record: InstanceRecord = {
      id: newId('i'),
      reservationId,
      launchIndex: index,
      imageId: image.id,
      instanceType: type.name,
      state: 'pending',
      stateTransitionReason: '',
      launchTime: now,
      zone: subnet.zone,
      subnetId: subnet.id,
      vpcId: region.network.vpcId,
      privateIp: `172.31.${Number(third) + Math.floor(host / 256)}.${host % 256}`,
      macAddress: newMacAddress(),
      networkInterfaceId: newId('eni'),
      networkInterfaceAttachmentId: newId('eni-attach'),
      securityGroupIds: groups,
      ...(keyName === undefined ? {} : { keyName }),
      ...(input.UserData === undefined ? {} : { userData: input.UserData }),
      ...(input.ClientToken === undefined ? {} : { clientToken: input.ClientToken }),
      shutdownBehavior,
      disableApiTermination: input.DisableApiTermination ?? false,
      metadata,
      architecture: image.architecture,
      ...(bootMode === undefined ? {} : { bootMode }),
      enaSupport: image.enaSupport,
      ...(image.tpmSupport === undefined ? {} : { tpmSupport: image.tpmSupport }),
      rootDeviceName: image.rootDeviceName,
      ebsOptimized: input.EbsOptimized ?? false,
      monitoring: input.Monitoring?.Enabled ?? false,
      ...(input.CreditSpecification?.CpuCredits === undefined
        ? {}
        : { cpuCredits: input.CreditSpecification.CpuCredits }),
      body: image.body,
      ...windowsIf(image.windows),
      ...(image.online ? { online: image.online } : {}),
      booted: false,
      tags: { ...tags.instance },
    };
    region.instances.set(record.id, record);
    made.push(record);
  }
  const files: Promise<void>[] = [];
  for (const record of made) {
    for (const disk of disks) {
      const { volume, file } = createVolumeRecord(region, {
        size: disk.VolumeSize,
        snapshotId: disk.SnapshotId ?? '',
        zone: subnet.zone,
        type: disk.VolumeType,
        iops: disk.Iops,
        throughput: disk.Throughput,
        key: disk.key,
        tags: { ...tags.volume },
      });
      volume.state = 'in-use';
      volume.attachments.push({
        instanceId: record.id,
        device: disk.DeviceName,
        state: 'attached',
        attachTime: now,
        deleteOnTermination: disk.DeleteOnTermination,
      });
      files.push(file);
    }
  }
  region.later(0, async () => {
    try {
      await Promise.all(files);
    } catch (error) {
      for (const record of made) await launchFailed(region, record, error);
      return;
    }
    for (const record of made) goesRunning(region, record);
  });
  return made.map((record) => record.id);
}

function typeNamed(name: string): InstanceTypeFacts {
  const type = INSTANCE_TYPES.get(name);
  if (!type) throw new ServiceError('InvalidParameterValue', `Invalid value '${name}' for InstanceType.`);
  return type;
}

/** What the instance type and the image must agree on; gives the mode it boots in. */
function checkMatch(image: ImageRecord, type: InstanceTypeFacts) {
  if (image.architecture !== type.architecture) {
    throw new ServiceError(
      'InvalidParameterValue',
      `The architecture '${type.architecture}' of the specified instance type does not match the architecture '${image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.`,
    );
  }
  // "Linux AMI virtualization types": current instance types need hvm; RegisterImage's default is paravirtual.
  if (image.virtualizationType !== 'hvm') {
    throw new ServiceError(
      'InvalidParameterCombination',
      `Virtualization type 'hvm' is required for instances of type '${type.name}'. Ensure that you are using an AMI with virtualization type 'hvm'.`,
    );
  }
  // "Enable enhanced networking with ENA": a Nitro type does not start without it.
  if (type.hypervisor === 'nitro' && !image.enaSupport) {
    throw new ServiceError(
      'InvalidParameterCombination',
      `Enhanced networking with the Elastic Network Adapter (ENA) is required for the '${type.name}' instance type. Ensure that you are using an AMI that is enabled for ENA.`,
    );
  }
  // "Amazon EC2 instance boot modes": uefi-preferred takes what the type offers; no mode = the type's own default.
  const mode = image.bootMode;
  if (mode === undefined) return undefined;
  const fits =
    mode === 'uefi-preferred' ? type.bootModes.length > 0 : (type.bootModes as string[]).includes(mode);
  if (!fits) {
    throw new ServiceError(
      'InvalidParameterCombination',
      `The boot mode '${mode}' of the AMI is not supported by the instance type '${type.name}'.`,
    );
  }
  return mode;
}

function placeInNetwork(region: Region, input: RunInstancesCommandInput) {
  const { network } = region;
  const [face, ...others] = input.NetworkInterfaces ?? [];
  if (others.length > 0) throw unsupported('RunInstances with several network interfaces');
  if (face && (input.SubnetId || input.SecurityGroupIds?.length || input.SecurityGroups?.length)) {
    throw new ServiceError(
      'InvalidParameterCombination',
      'Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request',
    );
  }
  const subnetId = (face?.SubnetId ?? input.SubnetId) || undefined;
  const zone = input.Placement?.AvailabilityZone || undefined;
  const byId = new Map(network.subnets.map((subnet) => [subnet.id, subnet]));
  let subnet = subnetId === undefined ? undefined : need('subnet', byId, subnetId);
  if (subnet && zone !== undefined && subnet.zone !== zone) {
    throw new ServiceError(
      'InvalidParameterValue',
      `The availability zone of subnet '${subnet.id}' is ${subnet.zone}, not ${zone}`,
    );
  }
  subnet ??= zone === undefined ? network.subnets[0] : network.subnets.find((one) => one.zone === zone);
  if (!subnet) {
    throw new ServiceError('InvalidParameterValue', `Invalid availability zone: [${zone}]`);
  }
  const groups = [...(face?.Groups ?? input.SecurityGroupIds ?? [])];
  for (const id of groups) need('securityGroup', region.securityGroups, id);
  for (const name of input.SecurityGroups ?? []) {
    const group = [...region.securityGroups.values()].find((one) => one.name === name);
    if (!group)
      throw new ServiceError('InvalidGroup.NotFound', `The security group '${name}' does not exist`);
    groups.push(group.id);
  }
  if (groups.length === 0) {
    const group = [...region.securityGroups.values()].find((one) => one.name === 'default');
    if (group) groups.push(group.id);
  }
  return { subnet, groups };
}

/** "Configure instance metadata options": the AMI's ImdsSupport v2.0 makes tokens required and the hop limit 2. */
function metadataSettings(
  options: RunInstancesCommandInput['MetadataOptions'],
  image: ImageRecord,
): MetadataSettings {
  const strict = image.imdsSupport === 'v2.0';
  const hops = options?.HttpPutResponseHopLimit ?? (strict ? 2 : 1);
  if (hops < 1 || hops > 64) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${hops}) for parameter HttpPutResponseHopLimit is invalid.`,
    );
  }
  const settings = {
    HttpTokens: options?.HttpTokens ?? (strict ? 'required' : 'optional'),
    HttpEndpoint: options?.HttpEndpoint ?? 'enabled',
    HttpPutResponseHopLimit: hops,
    InstanceMetadataTags: options?.InstanceMetadataTags ?? 'disabled',
  };
  const legal: Record<string, readonly string[]> = {
    HttpTokens: ['optional', 'required'],
    HttpEndpoint: ['enabled', 'disabled'],
    InstanceMetadataTags: ['enabled', 'disabled'],
  };
  for (const [key, values] of Object.entries(legal)) {
    const value = settings[key as keyof MetadataSettings];
    if (!values.includes(String(value))) {
      throw new ServiceError('InvalidParameterValue', `Value (${value}) for parameter ${key} is invalid.`);
    }
  }
  return settings as MetadataSettings;
}

function checkLaunchDevices(image: ImageRecord, mappings: DeviceMapping[]): void {
  const names = mappings.map((mapping) => mapping.DeviceName);
  for (const mapping of mappings) checkDeviceName(mapping.DeviceName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ServiceError('InvalidBlockDeviceMapping', `Duplicate device name '${twice}'`);
  }
  if (!mappings.some((mapping) => mapping.DeviceName === image.rootDeviceName && mapping.Ebs)) {
    throw new ServiceError(
      'InvalidBlockDeviceMapping',
      `The root device '${image.rootDeviceName}' has no volume`,
    );
  }
}

function checkQuota(region: Region, wanted: InstanceTypeFacts[]): void {
  const inUse = [...region.instances.values()]
    .filter((one) => one.state === 'pending' || one.state === 'running')
    .reduce((sum, one) => sum + (INSTANCE_TYPES.get(one.instanceType)?.vcpus ?? 0), 0);
  const asked = wanted.reduce((sum, type) => sum + type.vcpus, 0);
  if (inUse + asked > region.settings.vcpuQuota) {
    throw new ServiceError(
      'VcpuLimitExceeded',
      `You have requested more vCPU capacity than your current vCPU limit of ${region.settings.vcpuQuota} allows for the instance bucket that the specified instance type belongs to.`,
    );
  }
}

const incorrectState = (one: InstanceRecord, verb: string) =>
  new ServiceError(
    'IncorrectInstanceState',
    `The instance '${one.id}' is not in a state from which it can be ${verb}.`,
  );

function changed(one: InstanceRecord, change: () => void): InstanceStateChange {
  const PreviousState = { Code: STATE_CODES[one.state], Name: one.state };
  change();
  return {
    InstanceId: one.id,
    PreviousState,
    CurrentState: { Code: STATE_CODES[one.state], Name: one.state },
  };
}

/** Terminated instances are shown for about an hour, then nobody knows them. */
function forgetTerminated(region: Region): void {
  const before = region.clock.now() - region.settings.delays.terminatedVisible;
  for (const one of region.instances.values()) {
    if (one.terminatedAt !== undefined && one.terminatedAt < before) region.instances.delete(one.id);
  }
}

const rootVolume = (region: Region, one: InstanceRecord) =>
  attachedVolumes(region, one.id).find((volume) =>
    volume.attachments.some((attachment) => attachment.device === one.rootDeviceName),
  );

function reservationsOf(region: Region, records: readonly InstanceRecord[]): Reservation[] {
  const groups = new Map<string, InstanceRecord[]>();
  for (const one of records) {
    groups.set(one.reservationId, [...(groups.get(one.reservationId) ?? []), one]);
  }
  return [...groups].map(([ReservationId, members]) => ({
    ReservationId,
    OwnerId: region.settings.accountId,
    Groups: [],
    Instances: members.map((one) => describe(region, one)),
  }));
}

function describe(region: Region, one: InstanceRecord): Instance {
  const gone = one.state === 'terminated';
  const groups = one.securityGroupIds.map((GroupId) => ({
    GroupId,
    GroupName: region.securityGroups.get(GroupId)?.name ?? '',
  }));
  const address = `ip-${one.privateIp.replaceAll('.', '-')}.${privateDomain(region.settings.region)}`;
  return {
    AmiLaunchIndex: one.launchIndex,
    Architecture: one.architecture,
    BlockDeviceMappings: attachedVolumes(region, one.id).flatMap((volume) =>
      volume.attachments
        .filter((attachment) => attachment.instanceId === one.id)
        .map((attachment) => ({
          DeviceName: attachment.device,
          Ebs: {
            AttachTime: new Date(attachment.attachTime),
            DeleteOnTermination: attachment.deleteOnTermination,
            Status: attachment.state === 'busy' ? 'attached' : attachment.state,
            VolumeId: volume.id,
          },
        })),
    ),
    ...(one.bootMode === undefined ? {} : { BootMode: one.bootMode }),
    ...(INSTANCE_TYPES.get(one.instanceType) === undefined || gone
      ? {}
      : { CurrentInstanceBootMode: currentBootMode(one) }),
    CpuOptions: { CoreCount: typeNamed(one.instanceType).vcpus, ThreadsPerCore: 1 },
    ...(one.clientToken === undefined ? {} : { ClientToken: one.clientToken }),
    EbsOptimized: one.ebsOptimized,
    EnaSupport: one.enaSupport,
    EnclaveOptions: { Enabled: false },
    HibernationOptions: { Configured: false },
    Hypervisor: 'xen', // Also on Nitro: "The value xen is used for both Xen and Nitro hypervisors."
    ImageId: one.imageId,
    InstanceId: one.id,
    InstanceType: one.instanceType as NonNullable<Instance['InstanceType']>,
    ...(one.keyName === undefined ? {} : { KeyName: one.keyName }),
    LaunchTime: new Date(one.launchTime),
    MetadataOptions: { State: 'applied', HttpProtocolIpv6: 'disabled', ...one.metadata },
    Monitoring: { State: one.monitoring ? 'enabled' : 'disabled' },
    NetworkInterfaces: gone
      ? []
      : [
          {
            Attachment: {
              AttachmentId: one.networkInterfaceAttachmentId,
              AttachTime: new Date(one.launchTime),
              DeleteOnTermination: true,
              DeviceIndex: 0,
              Status: 'attached',
            },
            Groups: groups,
            InterfaceType: 'interface',
            MacAddress: one.macAddress,
            NetworkInterfaceId: one.networkInterfaceId,
            OwnerId: region.settings.accountId,
            PrivateDnsName: address,
            PrivateIpAddress: one.privateIp,
            PrivateIpAddresses: [{ Primary: true, PrivateDnsName: address, PrivateIpAddress: one.privateIp }],
            SourceDestCheck: true,
            Status: 'in-use',
            SubnetId: one.subnetId,
            VpcId: one.vpcId,
          },
        ],
    Placement: { AvailabilityZone: one.zone, GroupName: '', Tenancy: 'default' },
    ...platformOf(one),
    ...(gone
      ? {}
      : {
          PrivateDnsName: address,
          PrivateIpAddress: one.privateIp,
          SubnetId: one.subnetId,
          VpcId: one.vpcId,
        }),
    RootDeviceName: one.rootDeviceName,
    RootDeviceType: 'ebs',
    SecurityGroups: gone ? [] : groups,
    SourceDestCheck: true,
    State: { Code: STATE_CODES[one.state], Name: one.state },
    ...(one.stateReason === undefined ? {} : { StateReason: one.stateReason }),
    StateTransitionReason: one.stateTransitionReason,
    Tags: tagList(one.tags),
    ...(one.tpmSupport === undefined ? {} : { TpmSupport: one.tpmSupport }),
    VirtualizationType: 'hvm',
  };
}

function modifyInstance(region: Region, input: ModifyInstanceAttributeCommandInput): void {
  const one = need('instance', region.instances, input.InstanceId ?? '');
  if (one.state === 'terminated') throw incorrectState(one, 'modified');
  const stopped = (what: string) => {
    if (one.state !== 'stopped') {
      throw new ServiceError(
        'IncorrectInstanceState',
        `The instance '${one.id}' is not in the 'stopped' state: ${what} cannot be changed.`,
      );
    }
  };
  // The old form: one Attribute with one Value.
  const { Attribute: attribute, Value: value } = input;
  const shutdown =
    input.InstanceInitiatedShutdownBehavior?.Value ??
    (attribute === 'instanceInitiatedShutdownBehavior' ? value : undefined);
  const protect =
    input.DisableApiTermination?.Value ??
    (attribute === 'disableApiTermination' ? value === 'true' : undefined);
  const known = ['instanceInitiatedShutdownBehavior', 'disableApiTermination', 'blockDeviceMapping'];
  if (attribute !== undefined && !known.includes(attribute))
    throw unsupported(`ModifyInstanceAttribute's ${attribute}`);

  if (shutdown !== undefined) {
    if (shutdown !== 'stop' && shutdown !== 'terminate') {
      throw new ServiceError(
        'InvalidParameterValue',
        `Invalid value '${shutdown}' for instanceInitiatedShutdownBehavior.`,
      );
    }
    one.shutdownBehavior = shutdown;
  }
  if (protect !== undefined) one.disableApiTermination = protect;
  for (const mapping of input.BlockDeviceMappings ?? []) {
    const volume = attachedVolumes(region, one.id).find((candidate) =>
      candidate.attachments.some((attachment) => attachment.device === mapping.DeviceName),
    );
    const attachment = volume?.attachments.find((candidate) => candidate.instanceId === one.id);
    if (
      !volume ||
      !attachment ||
      (mapping.Ebs?.VolumeId !== undefined && mapping.Ebs.VolumeId !== volume.id)
    ) {
      throw new ServiceError(
        'InvalidInstanceAttributeValue',
        `No device is currently mapped at ${mapping.DeviceName}`,
      );
    }
    if (mapping.Ebs?.DeleteOnTermination !== undefined) {
      attachment.deleteOnTermination = mapping.Ebs.DeleteOnTermination;
    }
  }
  if (input.EbsOptimized?.Value !== undefined) {
    stopped('EbsOptimized');
    one.ebsOptimized = input.EbsOptimized.Value;
  }
  if (input.EnaSupport?.Value !== undefined) {
    stopped('EnaSupport');
    one.enaSupport = input.EnaSupport.Value;
  }
  if (input.SriovNetSupport?.Value !== undefined) {
    stopped('SriovNetSupport');
    if (input.SriovNetSupport.Value !== 'simple') {
      throw new ServiceError(
        'InvalidParameterValue',
        `Invalid value '${input.SriovNetSupport.Value}' for sriovNetSupport.`,
      );
    }
  }
  if (input.InstanceType?.Value !== undefined) {
    stopped('InstanceType');
    const type = typeNamed(input.InstanceType.Value);
    if (type.architecture !== one.architecture) {
      throw new ServiceError(
        'InvalidParameterValue',
        `The architecture of '${type.name}' does not match that of the instance.`,
      );
    }
    one.instanceType = type.name;
  }
  if (input.UserData?.Value !== undefined) {
    stopped('UserData');
    const bytes = Buffer.from(input.UserData.Value);
    if (bytes.length > USER_DATA_BYTES) {
      throw new ServiceError('InvalidParameterValue', `User data is limited to ${USER_DATA_BYTES} bytes`);
    }
    one.userData = bytes.toString('base64');
  }
  if (input.Groups !== undefined) {
    for (const id of input.Groups) need('securityGroup', region.securityGroups, id);
    one.securityGroupIds = [...input.Groups];
  }
}

function describeAttribute(region: Region, input: DescribeInstanceAttributeCommandInput): InstanceAttribute {
  const one = need('instance', region.instances, input.InstanceId ?? '');
  const InstanceId = one.id;
  switch (input.Attribute) {
    case 'userData':
      return { InstanceId, UserData: one.userData === undefined ? {} : { Value: one.userData } };
    case 'instanceInitiatedShutdownBehavior':
      return { InstanceId, InstanceInitiatedShutdownBehavior: { Value: one.shutdownBehavior } };
    case 'disableApiTermination':
      return { InstanceId, DisableApiTermination: { Value: one.disableApiTermination } };
    case 'instanceType':
      return { InstanceId, InstanceType: { Value: one.instanceType } };
    case 'rootDeviceName':
      return { InstanceId, RootDeviceName: { Value: one.rootDeviceName } };
    case 'ebsOptimized':
      return { InstanceId, EbsOptimized: { Value: one.ebsOptimized } };
    case 'enaSupport':
      return { InstanceId, EnaSupport: { Value: one.enaSupport } };
    case 'groupSet':
      return { InstanceId, Groups: one.securityGroupIds.map((GroupId) => ({ GroupId })) };
    case 'blockDeviceMapping':
      return { InstanceId, BlockDeviceMappings: describe(region, one).BlockDeviceMappings };
    default:
      throw unsupported(`DescribeInstanceAttribute's ${String(input.Attribute)}`);
  }
}

/** What CreateImage captures: the attached volumes as mappings without snapshots yet. */
export function instanceForImage(region: Region, id: string) {
  const one = need('instance', region.instances, id);
  if (one.state !== 'running' && one.state !== 'stopped') {
    throw incorrectState(one, 'imaged');
  }
  const volumes = attachedVolumes(region, one.id).map((volume) => ({
    volume: completedVolume(volume),
    device: volume.attachments.find((attachment) => attachment.instanceId === one.id)?.device ?? '',
    deleteOnTermination:
      volume.attachments.find((attachment) => attachment.instanceId === one.id)?.deleteOnTermination ?? false,
  }));
  return { instance: one, volumes };
}

function instanceFilters(region: Region): Record<string, FilterReader<InstanceRecord>> {
  const attachments = (one: InstanceRecord) =>
    attachedVolumes(region, one.id).flatMap((volume) =>
      volume.attachments
        .filter((attachment) => attachment.instanceId === one.id)
        .map((attachment) => ({ volume, attachment })),
    );
  return {
    architecture: (one) => [one.architecture],
    'availability-zone': (one) => [one.zone],
    'block-device-mapping.delete-on-termination': (one) =>
      attachments(one).map(({ attachment }) => attachment.deleteOnTermination),
    'block-device-mapping.device-name': (one) => attachments(one).map(({ attachment }) => attachment.device),
    'block-device-mapping.status': (one) => attachments(one).map(({ attachment }) => attachment.state),
    'block-device-mapping.volume-id': (one) => attachments(one).map(({ volume }) => volume.id),
    'boot-mode': (one) => [one.bootMode],
    'client-token': (one) => [one.clientToken],
    'image-id': (one) => [one.imageId],
    'instance-id': (one) => [one.id],
    'instance-state-code': (one) => [STATE_CODES[one.state]],
    'instance-state-name': (one) => [one.state],
    'instance-type': (one) => [one.instanceType],
    'instance.group-id': (one) => one.securityGroupIds,
    'key-name': (one) => [one.keyName],
    'launch-time': (one) => [new Date(one.launchTime).toISOString()],
    'metadata-options.http-endpoint': (one) => [one.metadata.HttpEndpoint],
    'metadata-options.http-tokens': (one) => [one.metadata.HttpTokens],
    'network-interface.network-interface-id': (one) => [one.networkInterfaceId],
    'owner-id': () => [region.settings.accountId],
    platform: (one) => [platformOf(one).Platform],
    'platform-details': (one) => [platformOf(one).PlatformDetails],
    'usage-operation': (one) => [platformOf(one).UsageOperation],
    'private-ip-address': (one) => [one.privateIp],
    'reservation-id': (one) => [one.reservationId],
    'root-device-name': (one) => [one.rootDeviceName],
    'root-device-type': () => ['ebs'],
    'state-reason-code': (one) => [one.stateReason?.Code],
    'subnet-id': (one) => [one.subnetId],
    'tpm-support': (one) => [one.tpmSupport],
    'virtualization-type': () => ['hvm'],
    'vpc-id': (one) => [one.vpcId],
  };
}

/** Filters that DescribeInstances has on AWS and not here (its API Reference page; the network-interface family shortened). */
const DOCUMENTED_FILTERS = [
  'affinity',
  'availability-zone-id',
  'block-device-mapping.attach-time',
  'capacity-reservation-id',
  'current-instance-boot-mode',
  'dns-name',
  'ebs-optimized',
  'ena-support',
  'enclave-options.enabled',
  'hibernation-options.configured',
  'host-id',
  'hypervisor',
  'iam-instance-profile.arn',
  'instance-lifecycle',
  'instance.group-name',
  'ip-address',
  'launch-index',
  'monitoring-state',
  'placement-group-name',
  'private-dns-name',
  'product-code',
  'reason',
  'requester-id',
  'source-dest-check',
  'spot-instance-request-id',
  'state-reason-message',
  'tenancy',
];

const STATUS_FILTERS: Record<string, FilterReader<InstanceRecord>> = {
  'availability-zone': (one) => [one.zone],
  'instance-state-code': (one) => [STATE_CODES[one.state]],
  'instance-state-name': (one) => [one.state],
  'instance-status.status': (one) => [one.state === 'running' ? 'ok' : 'not-applicable'],
  'instance-status.reachability': (one) => (one.state === 'running' ? ['passed'] : []),
  'system-status.status': (one) => [one.state === 'running' ? 'ok' : 'not-applicable'],
  'system-status.reachability': (one) => (one.state === 'running' ? ['passed'] : []),
};
