import type {
  AttachVolumeCommandInput,
  BlockDeviceMapping,
  CreateVolumeCommandInput,
  DeleteVolumeCommandInput,
  DescribeVolumesCommandInput,
  DescribeVolumesResult,
  DetachVolumeCommandInput,
  Volume,
  VolumeAttachment,
  VolumeType,
} from '@aws-sdk/client-ec2';
import { encrypt } from '../ebs/encrypting.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { DISK_SLOTS, DiskBusy } from '../instance-host/hot-plug.ts';
import { type Action, action } from './action.ts';
import { GIBIBYTE } from './disks.ts';
import { InaccessibleKey, keyFor, type WantedKey } from './encryption.ts';
import { type FilterReader, filtered } from './filters.ts';
import { once } from './idempotency.ts';
import { need, newId } from './ids.ts';
import { attachedVolumes } from './lifecycle.ts';
import type { AttachmentRecord, DeviceMapping, InstanceRecord, Tags, VolumeRecord } from './model.ts';
import { page } from './pagination.ts';
import { windowsIf } from './platform.ts';
import type { Region } from './region.ts';
import { mayMakeVolumes } from './snapshot-permissions.ts';
import { tagList, tagsFor } from './tag-sets.ts';

/** CreateVolume: sizes in GiB, IOPS and throughput (MiB/s) per type. */
const TYPES: Record<
  string,
  { size: [number, number]; iops?: [number, number]; throughput?: [number, number] }
> = {
  gp2: { size: [1, 16_384] },
  gp3: { size: [1, 65_536], iops: [3000, 80_000], throughput: [125, 2000] },
  io1: { size: [4, 16_384], iops: [100, 64_000] },
  io2: { size: [4, 65_536], iops: [100, 256_000] },
  st1: { size: [125, 16_384] },
  sc1: { size: [125, 16_384] },
  standard: { size: [1, 1024] },
};

/**
 * "Device names for volumes on Amazon EC2 instances", hvm: /dev/sd[a-z], /dev/sda1, /dev/sd[b-z][1-15],
 * /dev/xvd[a-d][a-z] or /dev/xvd[e-z] as well; the API also takes the bare xvdf.
 */
const DEVICE_NAME = /^(?:\/dev\/)?(?:sd[a-z](?:1[0-5]?|[2-9])?|xvd[a-z]|xvd[a-d][a-z])$/;

export function checkDeviceName(name: string): void {
  if (!DEVICE_NAME.test(name)) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${name}) for parameter device is invalid. ${name} is not a valid EBS device name.`,
    );
  }
}

/** Checks a volume's numbers and fills in the type's defaults. */
export function volumeNumbers(wanted: {
  size: number;
  type: VolumeType | undefined;
  iops?: number | undefined;
  throughput?: number | undefined;
  fallback: VolumeType;
}): { type: VolumeType; iops?: number; throughput?: number } {
  const type = wanted.type ?? wanted.fallback;
  const rules = TYPES[type];
  if (!rules) throw new ServiceError('InvalidParameterValue', `Unknown volume type '${type}'`);
  const invalid = (what: string, value: number, [low, high]: [number, number]) =>
    new ServiceError(
      'InvalidParameterValue',
      `Volume ${what} of ${value} is invalid for ${type}: it is ${low} to ${high}.`,
    );
  const outside = (value: number, [low, high]: [number, number]) =>
    !Number.isInteger(value) || value < low || value > high;
  if (outside(wanted.size, rules.size)) throw invalid('size', wanted.size, rules.size);
  if (wanted.iops !== undefined) {
    if (!rules.iops) {
      throw new ServiceError(
        'InvalidParameterCombination',
        `The parameter iops is not supported for ${type} volumes.`,
      );
    }
    if (outside(wanted.iops, rules.iops)) throw invalid('iops', wanted.iops, rules.iops);
  } else if (type === 'io1' || type === 'io2') {
    throw new ServiceError('MissingParameter', `The parameter iops must be specified for ${type} volumes.`);
  }
  if (wanted.throughput !== undefined) {
    if (!rules.throughput) {
      throw new ServiceError(
        'InvalidParameterCombination',
        `The parameter throughput is not supported for ${type} volumes.`,
      );
    }
    if (outside(wanted.throughput, rules.throughput))
      throw invalid('throughput', wanted.throughput, rules.throughput);
  }
  // gp3: 3,000 IOPS and 125 MiB/s come with it; gp2: 3 IOPS per GiB, 100 at least and 16,000 at most.
  const iops =
    wanted.iops ??
    (type === 'gp3' ? 3000 : type === 'gp2' ? Math.min(16_000, Math.max(100, wanted.size * 3)) : undefined);
  const throughput = wanted.throughput ?? (type === 'gp3' ? 125 : undefined);
  return {
    type,
    ...(iops === undefined ? {} : { iops }),
    ...(throughput === undefined ? {} : { throughput }),
  };
}

/** A new volume's record in state `creating`, and the making of its file. */
export function createVolumeRecord(
  region: Region,
  wanted: {
    size: number;
    snapshotId: string;
    zone: string;
    type: VolumeType;
    iops?: number | undefined;
    throughput?: number | undefined;
    key: WantedKey | undefined;
    tags: Tags;
  },
): { volume: VolumeRecord; file: Promise<void> } {
  const volume: VolumeRecord = {
    id: newId('vol'),
    state: 'creating',
    size: wanted.size,
    snapshotId: wanted.snapshotId,
    zone: wanted.zone,
    type: wanted.type,
    ...(wanted.iops === undefined ? {} : { iops: wanted.iops }),
    ...(wanted.throughput === undefined ? {} : { throughput: wanted.throughput }),
    createTime: region.clock.now(),
    ...(wanted.key === undefined ? {} : { kmsKeyId: wanted.key.arn ?? wanted.key.name }),
    attachments: [],
    ...windowsIf(region.snapshots.get(wanted.snapshotId)?.windows),
    writers: [],
    tags: wanted.tags,
  };
  region.volumes.set(volume.id, volume);
  const snapshot = region.snapshots.get(wanted.snapshotId);
  if (wanted.key && wanted.key.arn === undefined) {
    const file = Promise.reject(new InaccessibleKey());
    file.catch(() => {}); // As below.
    return { volume, file };
  }
  const file = (
    snapshot && !snapshot.blank
      ? wanted.key && snapshot.kmsKeyId === undefined
        ? encrypt(region.disks.snapshot(snapshot.id), region.disks.volume(volume.id))
        : region.disks.createFromSnapshot(volume.id, snapshot.id)
      : region.disks.createBlank(volume.id, volume.size * GIBIBYTE)
  ).catch((error: unknown) => {
    // DescribeVolumes, State: `error`, "the underlying hardware … has failed".
    volume.state = 'error';
    region.log(`ec2: ${volume.id}: ${String(error)}`);
    throw error;
  });
  file.catch(() => {}); // Whoever waits for it gets the error; nobody may be waiting yet.
  return { volume, file };
}

/** Fails while the volume is not yet, or no more. */
export function completedVolume(volume: VolumeRecord): VolumeRecord {
  if (volume.state !== 'available' && volume.state !== 'in-use') {
    throw new ServiceError('IncorrectState', `Volume '${volume.id}' is in the '${volume.state}' state.`);
  }
  return volume;
}

export function volumeActions(region: Region): Action[] {
  return [
    action<CreateVolumeCommandInput, Volume>(
      'CreateVolume',
      [
        'AvailabilityZone',
        'ClientToken',
        'Encrypted',
        'Iops',
        'KmsKeyId',
        'MultiAttachEnabled',
        'Size',
        'SnapshotId',
        'TagSpecifications.*',
        'Throughput',
        'VolumeType',
      ],
      async (input) => {
        const files: Promise<void>[] = [];
        const id = once(region.tokens, 'CreateVolume', input, region.clock.now(), () => {
          const { volume, file } = create(region, input);
          files.push(file);
          return volume.id;
        });
        const answer = describe(need('volume', region.volumes, id));
        await Promise.all(files).catch((error: unknown) => {
          // That one is told of later: the volume vanishes.
          if (!(error instanceof InaccessibleKey)) throw error;
        });
        return answer;
      },
    ),

    action<DescribeVolumesCommandInput, DescribeVolumesResult>(
      'DescribeVolumes',
      ['VolumeIds', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const chosen = input.VolumeIds?.length
          ? input.VolumeIds.map((id) => need('volume', region.volumes, id))
          : [...region.volumes.values()];
        const matching = filtered(chosen, input.Filters, FILTERS, DOCUMENTED_FILTERS, (one) =>
          tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: input.VolumeIds });
        return { Volumes: items.map(describe), ...more };
      },
    ),

    action<AttachVolumeCommandInput, VolumeAttachment>(
      'AttachVolume',
      ['Device', 'InstanceId', 'VolumeId'],
      (input) => attach(region, input),
    ),

    action<DetachVolumeCommandInput, VolumeAttachment>(
      'DetachVolume',
      ['Device', 'Force', 'InstanceId', 'VolumeId'],
      (input) => detach(region, input),
    ),

    action<DeleteVolumeCommandInput, undefined>('DeleteVolume', ['VolumeId'], (input) => {
      const volume = need('volume', region.volumes, input.VolumeId ?? '');
      const [attachment] = volume.attachments;
      // DeleteVolume: "The volume must be in the available state (not attached to an instance)."
      if (attachment) {
        throw new ServiceError(
          'VolumeInUse',
          `Volume ${volume.id} is currently attached to ${attachment.instanceId}`,
        );
      }
      if (volume.state !== 'available' && volume.state !== 'error') {
        throw new ServiceError('IncorrectState', `Volume '${volume.id}' is in the '${volume.state}' state.`);
      }
      volume.state = 'deleting';
      region.later(region.settings.delays.volumeDetaching, async () => {
        region.volumes.delete(volume.id);
        await region.disks.deleteVolume(volume.id);
      });
      return undefined;
    }),
  ];
}

function create(region: Region, input: CreateVolumeCommandInput) {
  const zone = input.AvailabilityZone ?? '';
  if (!region.zones.includes(zone)) {
    throw new ServiceError('InvalidZone.NotFound', `The zone '${zone}' does not exist.`);
  }
  if (input.MultiAttachEnabled) throw unsupported('Multi-Attach volumes');
  const snapshot = input.SnapshotId ? need('snapshot', region.snapshots, input.SnapshotId) : undefined;
  if (snapshot && !mayMakeVolumes(region, snapshot)) {
    // One that is not shared is as if it were not there; only launches of a shared image reach its snapshots.
    throw new ServiceError('InvalidSnapshot.NotFound', `The snapshot '${snapshot.id}' does not exist.`);
  }
  if (snapshot && snapshot.state !== 'completed') {
    throw new ServiceError('IncorrectState', `Snapshot is in invalid state - ${snapshot.state}`);
  }
  const size = input.Size ?? snapshot?.size;
  if (size === undefined) {
    throw new ServiceError('MissingParameter', 'The request must contain the parameter size or snapshotId');
  }
  // "The volume size must be equal to or larger than the snapshot size."
  if (snapshot && size < snapshot.size) {
    throw new ServiceError(
      'InvalidParameterValue',
      `The size of the volume (${size} GiB) may not be smaller than that of the snapshot (${snapshot.size} GiB)`,
    );
  }
  // The API's default type is gp2 (CreateVolume, VolumeType).
  const numbers = volumeNumbers({
    size,
    type: input.VolumeType,
    iops: input.Iops,
    throughput: input.Throughput,
    fallback: 'gp2',
  });
  const { volume: tags } = tagsFor(input.TagSpecifications, ['volume']);
  const key = keyFor(region, input, snapshot?.kmsKeyId);
  const made = createVolumeRecord(region, {
    size,
    snapshotId: snapshot?.id ?? '',
    zone,
    ...numbers,
    key,
    tags,
  });
  region.later(region.settings.delays.volumeCreating, async () => {
    try {
      await made.file;
    } catch (error) {
      if (!(error instanceof InaccessibleKey)) throw error;
      // CreateVolume, KmsKeyId: "the action can appear to complete, but eventually fails": nothing is left of it.
      region.volumes.delete(made.volume.id);
      return;
    }
    if (made.volume.state === 'creating') made.volume.state = 'available';
  });
  return made;
}

function attach(region: Region, input: AttachVolumeCommandInput): VolumeAttachment {
  const volume = need('volume', region.volumes, input.VolumeId ?? '');
  const instance = need('instance', region.instances, input.InstanceId ?? '');
  const device = input.Device ?? '';
  checkDeviceName(device);
  // EC2 API Reference, "Error codes": VolumeInUse, IncorrectState, InvalidVolume.ZoneMismatch.
  if (volume.attachments.length > 0) {
    throw new ServiceError('VolumeInUse', `${volume.id} is already attached to an instance`);
  }
  if (volume.state !== 'available') {
    throw new ServiceError('IncorrectState', `Volume '${volume.id}' is not 'available'.`);
  }
  if (instance.state !== 'running' && instance.state !== 'stopped') {
    throw new ServiceError('IncorrectState', `Instance '${instance.id}' is not 'running'.`);
  }
  if (volume.zone !== instance.zone) {
    throw new ServiceError(
      'InvalidVolume.ZoneMismatch',
      `The volume '${volume.id}' is not in the same availability zone as instance '${instance.id}'`,
    );
  }
  const taken = attachedVolumes(region, instance.id).some((one) =>
    one.attachments.some((attachment) => attachment.device === device),
  );
  if (taken) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`,
    );
  }
  refuseHotPlug(region, instance, 'AttachVolume to');
  // "Amazon EBS volume limits for Amazon EC2 instances"; real types take more.
  if (instance.online && attachedVolumes(region, instance.id).length > DISK_SLOTS) {
    throw new ServiceError(
      'AttachmentLimitExceeded',
      `Maximum number of attachments (${DISK_SLOTS} beside the root) reached for instance '${instance.id}'`,
    );
  }
  const attachment: AttachmentRecord = {
    instanceId: instance.id,
    device,
    state: 'attaching',
    attachTime: region.clock.now(),
    deleteOnTermination: false,
  };
  volume.attachments.push(attachment);
  volume.state = 'in-use';
  region.later(region.settings.delays.volumeAttaching, () =>
    region.disks.exclusively(volume.id, async () => {
      if (!volume.attachments.includes(attachment)) return; // Its instance is gone already.
      // A snapshot that is a link to this file must not see what the instance writes.
      await region.disks.makePrivate(volume.id, volume.size * GIBIBYTE);
      if (attachment.state !== 'attaching' || !volume.attachments.includes(attachment)) return;
      if (region.host.alive(instance.id)) {
        if (!volume.writers.includes(instance.id)) volume.writers.push(instance.id);
        await region.host.connect(instance.id, volume.id, region.disks.volume(volume.id));
      }
      attachment.state = 'attached';
    }),
  );
  return describeAttachment(volume, attachment);
}

function detach(region: Region, input: DetachVolumeCommandInput): VolumeAttachment {
  const volume = need('volume', region.volumes, input.VolumeId ?? '');
  if (input.InstanceId) need('instance', region.instances, input.InstanceId);
  const [attachment] = volume.attachments;
  if (!attachment) {
    throw new ServiceError('IncorrectState', `Volume '${volume.id}' is in the '${volume.state}' state.`);
  }
  const mismatch =
    (input.InstanceId !== undefined &&
      input.InstanceId !== '' &&
      input.InstanceId !== attachment.instanceId) ||
    (input.Device !== undefined && input.Device !== '' && input.Device !== attachment.device);
  if (mismatch) {
    throw new ServiceError(
      'InvalidAttachment.NotFound',
      `Volume '${volume.id}' is not attached to instance '${input.InstanceId}' as device '${input.Device ?? attachment.device}'`,
    );
  }
  const instance = need('instance', region.instances, attachment.instanceId);
  // DetachVolume: "You can't detach or force detach the root volume of a running instance."
  if (isRoot(instance, attachment) && instance.state !== 'stopped') {
    throw new ServiceError(
      'OperationNotPermitted',
      `Unable to detach root volume '${attachment.device}' from instance '${instance.id}'`,
    );
  }
  refuseHotPlug(region, instance, 'DetachVolume from');
  if (attachment.state === 'detaching' || attachment.state === 'busy')
    return describeAttachment(volume, attachment);
  attachment.state = 'detaching';
  region.later(region.settings.delays.volumeDetaching, async () => {
    try {
      await region.host.disconnect(instance.id, volume.id);
    } catch (error) {
      if (!(error instanceof DiskBusy)) throw error;
      region.log(`ec2: ${volume.id} is busy: ${error.message}`);
      // VolumeAttachment, State: "busy". It is let go when its instance ends.
      attachment.state = 'busy';
      return;
    }
    volume.attachments = volume.attachments.filter((one) => one !== attachment);
    if (volume.attachments.length === 0 && volume.state === 'in-use') volume.state = 'available';
  });
  return describeAttachment(volume, attachment);
}

/** Disks come and go where somebody may need it: a machine that only tries an image has no slots for them. */
function refuseHotPlug(region: Region, instance: InstanceRecord, call: string): void {
  if (instance.body === 'machine' && !instance.online && region.host.alive(instance.id)) {
    throw unsupported(`${call} a running machine`);
  }
}

const isRoot = (instance: InstanceRecord, attachment: AttachmentRecord) =>
  attachment.device === instance.rootDeviceName;

function describeAttachment(volume: VolumeRecord, attachment: AttachmentRecord): VolumeAttachment {
  return {
    AttachTime: new Date(attachment.attachTime),
    DeleteOnTermination: attachment.deleteOnTermination,
    Device: attachment.device,
    InstanceId: attachment.instanceId,
    State: attachment.state,
    VolumeId: volume.id,
  };
}

export function describe(volume: VolumeRecord): Volume {
  return {
    Attachments: volume.attachments.map((attachment) => describeAttachment(volume, attachment)),
    AvailabilityZone: volume.zone,
    CreateTime: new Date(volume.createTime),
    Encrypted: volume.kmsKeyId !== undefined,
    ...(volume.kmsKeyId === undefined ? {} : { KmsKeyId: volume.kmsKeyId }),
    ...(volume.iops === undefined ? {} : { Iops: volume.iops }),
    MultiAttachEnabled: false,
    Size: volume.size,
    SnapshotId: volume.snapshotId,
    State: volume.state,
    Tags: tagList(volume.tags),
    ...(volume.throughput === undefined ? {} : { Throughput: volume.throughput }),
    VolumeId: volume.id,
    VolumeType: volume.type,
  };
}

/** The image's devices with the launch's laid over: RunInstances, BlockDeviceMappings. */
export function overlayMappings(
  region: Region,
  base: readonly DeviceMapping[],
  changes: readonly BlockDeviceMapping[],
): DeviceMapping[] {
  const result = new Map<string, DeviceMapping>(
    base.map((mapping) => [mapping.DeviceName, structuredClone(mapping)]),
  );
  for (const change of changes) {
    const name = change.DeviceName ?? '';
    if (name === '')
      throw new ServiceError('MissingParameter', 'The request must contain the parameter deviceName');
    if (change.NoDevice !== undefined) {
      result.delete(name);
      continue;
    }
    if (change.VirtualName) {
      throw unsupported(`instance store volumes (VirtualName ${change.VirtualName})`);
    }
    const { Ebs: ebs } = change;
    if (!ebs)
      throw new ServiceError('InvalidBlockDeviceMapping', `The device ${name} has neither Ebs nor NoDevice`);
    const before = result.get(name)?.Ebs;
    for (const member of Object.keys(ebs)) {
      if (!EBS_MEMBERS.has(member)) throw unsupported(`BlockDeviceMappings.Ebs.${member}`);
    }
    const snapshotId = ebs.SnapshotId || before?.SnapshotId;
    const snapshot = snapshotId === undefined ? undefined : need('snapshot', region.snapshots, snapshotId);
    if (snapshot && snapshot.state !== 'completed') {
      throw new ServiceError('InvalidSnapshot.NotFound', `The snapshot '${snapshot.id}' is not completed`);
    }
    const size = ebs.VolumeSize ?? before?.VolumeSize ?? snapshot?.size;
    if (size === undefined) {
      throw new ServiceError('MissingParameter', `The request must contain the size of device ${name}`);
    }
    if (snapshot && size < snapshot.size) {
      throw new ServiceError(
        'InvalidBlockDeviceMapping',
        `Volume of size ${size}GB is smaller than snapshot '${snapshot.id}', expect size >= ${snapshot.size}GB`,
      );
    }
    const type = ebs.VolumeType ?? before?.VolumeType;
    const sameType = ebs.VolumeType === undefined || ebs.VolumeType === before?.VolumeType;
    const numbers = volumeNumbers({
      size,
      type,
      iops: ebs.Iops ?? (sameType && type !== 'gp2' ? before?.Iops : undefined),
      throughput: ebs.Throughput ?? (sameType ? before?.Throughput : undefined),
      fallback: 'gp2',
    });
    result.set(name, {
      DeviceName: name,
      Ebs: {
        ...(snapshotId === undefined ? {} : { SnapshotId: snapshotId }),
        VolumeSize: size,
        VolumeType: numbers.type,
        // EbsBlockDevice, DeleteOnTermination: true by default in a mapping.
        DeleteOnTermination: ebs.DeleteOnTermination ?? before?.DeleteOnTermination ?? true,
        ...encryptedAs(ebs.Encrypted ?? before?.Encrypted),
        ...(ebs.KmsKeyId ? { KmsKeyId: ebs.KmsKeyId } : {}),
        ...(numbers.iops === undefined ? {} : { Iops: numbers.iops }),
        ...(numbers.throughput === undefined ? {} : { Throughput: numbers.throughput }),
      },
    });
  }
  return [...result.values()];
}

const encryptedAs = (Encrypted: boolean | undefined) => (Encrypted === undefined ? {} : { Encrypted });

const EBS_MEMBERS = new Set([
  'DeleteOnTermination',
  'Encrypted',
  'Iops',
  'KmsKeyId',
  'SnapshotId',
  'Throughput',
  'VolumeSize',
  'VolumeType',
]);

const FILTERS: Record<string, FilterReader<VolumeRecord>> = {
  'attachment.delete-on-termination': (one) =>
    one.attachments.map((attachment) => attachment.deleteOnTermination),
  'attachment.device': (one) => one.attachments.map((attachment) => attachment.device),
  'attachment.instance-id': (one) => one.attachments.map((attachment) => attachment.instanceId),
  'attachment.status': (one) => one.attachments.map((attachment) => attachment.state),
  'availability-zone': (one) => [one.zone],
  'create-time': (one) => [new Date(one.createTime).toISOString()],
  encrypted: (one) => [one.kmsKeyId !== undefined],
  'multi-attach-enabled': () => [false],
  size: (one) => [one.size],
  'snapshot-id': (one) => [one.snapshotId],
  status: (one) => [one.state],
  'volume-id': (one) => [one.id],
  'volume-type': (one) => [one.type],
};

const DOCUMENTED_FILTERS = [
  'attachment.attach-time',
  'availability-zone-id',
  'fast-restored',
  'operator.managed',
  'operator.principal',
];
