/** How instances live and die: the state machine of the EC2 User Guide, "Amazon EC2 instance state changes". */
import type { Metadata } from '../instance-host/imds.ts';
import { privateDomain } from '../region-names.ts';
import { GIBIBYTE } from './disks.ts';
import { InaccessibleKey } from './encryption.ts';
import { currentBootMode } from './instance-type-table.ts';
import type { InstanceRecord, Reason, VolumeRecord } from './model.ts';
import type { Region } from './region.ts';

export const attachedVolumes = (region: Region, instanceId: string): VolumeRecord[] =>
  [...region.volumes.values()].filter((volume) =>
    volume.attachments.some((attachment) => attachment.instanceId === instanceId),
  );

const stamp = (time: number) =>
  new Date(time)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' GMT');

/** Boots under way: an instance that is ended meanwhile is ended after its boot, so that no body outlives its record. */
const boots = new WeakMap<InstanceRecord, Promise<void>>();

/** pending → running, and the body with it: it is there before anybody can attach a volume to a running instance. */
export function goesRunning(region: Region, instance: InstanceRecord): void {
  region.later(region.settings.delays.instancePending, async () => {
    if (instance.state !== 'pending') return;
    const boot = bootBody(region, instance);
    boots.set(
      instance,
      boot.catch(() => {}),
    );
    try {
      await boot;
    } catch (error) {
      await launchFailed(region, instance, error);
    }
    // Ended meanwhile, by the user or by the end of its own program.
    if ((instance.state as string) === 'pending') instance.state = 'running';
  });
}

/** "Troubleshoot instance launch issues", terminated with Server.InternalError: the host could not start it. */
export async function launchFailed(region: Region, instance: InstanceRecord, error: unknown): Promise<void> {
  if (!(error instanceof InaccessibleKey)) {
    region.log(`ec2: ${instance.id} did not boot: ${error instanceof Error ? error.stack : String(error)}`);
  }
  // Same page: Client.InternalError, "Client error on launch", when a key of its disks cannot be used.
  instance.stateReason =
    error instanceof InaccessibleKey
      ? { Code: 'Client.InternalError', Message: 'Client.InternalError: Client error on launch' }
      : {
          Code: 'Server.InternalError',
          Message: `Server.InternalError: Internal error on launch: ${String(error)}`,
        };
  await terminated(region, instance);
}

async function bootBody(region: Region, instance: InstanceRecord): Promise<void> {
  const first = !instance.booted;
  instance.booted = true;
  if (instance.body === 'process' && !first) {
    await region.host.note(instance.id, 'local cloud: started again; user-data runs at the first boot only');
    return;
  }
  const volumes = rootFirst(instance, attachedVolumes(region, instance.id));
  if (volumes[0]?.windows) {
    await region.host.note(instance.id, 'local cloud: Windows does not run here; this instance does nothing');
    return;
  }
  const disks: { volumeId: string; file: string }[] = [];
  for (const volume of volumes) {
    await region.disks.exclusively(volume.id, async () => {
      await region.disks.makePrivate(volume.id, volume.size * GIBIBYTE);
      if (!volume.writers.includes(instance.id)) volume.writers.push(instance.id);
    });
    disks.push({ volumeId: volume.id, file: region.disks.volume(volume.id) });
  }
  const body = {
    instanceId: instance.id,
    disks,
    onPowerOff: () => {
      // The cloud itself ends its machines when it stops: that is not the machine's own doing.
      if (!region.closing) poweredOff(region, instance);
    },
  };
  const metadata = () => metadataOf(region, instance);
  const { macAddress, architecture, online } = instance;
  const started =
    instance.body === 'process'
      ? await region.host.boot({ ...body, metadata })
      : await region.host.bootMachine({
          ...body,
          architecture,
          bootMode: currentBootMode(instance),
          ...(online ? { online: { metadata, macAddress, hostName: hostNameOf(region, instance) } } : {}),
        });
  if (started) instance.process = started;
}

const rootFirst = ({ id, rootDeviceName }: InstanceRecord, volumes: readonly VolumeRecord[]) => {
  const isRoot = ({ attachments }: VolumeRecord) =>
    attachments.some(({ instanceId, device }) => instanceId === id && device === rootDeviceName);
  return volumes.toSorted((a, b) => Number(isRoot(b)) - Number(isRoot(a)));
};

/** A machine is switched off and on: the hard reboot of RebootInstances, without the minutes in which a system could shut down. */
export async function reset(region: Region, instance: InstanceRecord): Promise<void> {
  await region.host.end(instance.id, true);
  await bootBody(region, instance);
}

/** The machine went off by itself: InstanceInitiatedShutdownBehavior decides what becomes of it. */
function poweredOff(region: Region, instance: InstanceRecord): void {
  if (instance.state !== 'running' && instance.state !== 'pending') return;
  const reason = {
    Code: 'Client.InstanceInitiatedShutdown',
    Message: 'Client.InstanceInitiatedShutdown: Instance initiated shutdown',
  };
  goesDown(
    region,
    instance,
    instance.shutdownBehavior === 'terminate' ? 'terminated' : 'stopped',
    reason,
    '',
    false,
  );
  void region.save().catch((error: unknown) => region.log(`ec2: ${String(error)}`));
}

/** The user asked for it. */
export function userEnds(
  region: Region,
  instance: InstanceRecord,
  to: 'stopped' | 'terminated',
  abruptly: boolean,
): void {
  goesDown(
    region,
    instance,
    to,
    {
      Code: 'Client.UserInitiatedShutdown',
      Message: 'Client.UserInitiatedShutdown: User initiated shutdown',
    },
    `User initiated (${stamp(region.clock.now())})`,
    abruptly,
  );
}

/** running → stopping → stopped, or → shutting-down → terminated; the body dies in between. */
function goesDown(
  region: Region,
  instance: InstanceRecord,
  to: 'stopped' | 'terminated',
  reason: Reason,
  transition: string,
  abruptly: boolean,
): void {
  const { delays } = region.settings;
  instance.state = to === 'stopped' ? 'stopping' : 'shutting-down';
  instance.stateReason = reason;
  instance.stateTransitionReason = transition;
  const delay = to === 'stopped' ? delays.instanceStopping : delays.instanceShuttingDown;
  region.later(0, async () => {
    await boots.get(instance);
    await region.host.end(instance.id, abruptly);
    delete instance.process;
    // A stop that was overtaken by a terminate ends there.
    region.later(delay, async () => {
      if (instance.state === 'terminated' || (to === 'stopped' && instance.state !== 'stopping')) return;
      instance.consolePosted = {
        bytes: await region.host.consoleLength(instance.id),
        at: region.clock.now(),
      };
      if (to === 'terminated') await terminated(region, instance);
      else stopped(region, instance);
    });
  });
}

function stopped(region: Region, instance: InstanceRecord): void {
  instance.state = 'stopped';
  // A system that runs no more keeps no disk ("Detach an Amazon EBS volume", a volume that is stuck in the busy state).
  for (const volume of attachedVolumes(region, instance.id)) {
    volume.attachments = volume.attachments.filter(({ state }) => state !== 'busy');
    if (volume.attachments.length === 0) volume.state = 'available';
  }
}

/** Volumes of a terminated instance are deleted or let go (TerminateInstances: DeleteOnTermination). */
export async function terminated(region: Region, instance: InstanceRecord): Promise<void> {
  for (const volume of attachedVolumes(region, instance.id)) {
    const attachment = volume.attachments.find((one) => one.instanceId === instance.id);
    volume.attachments = volume.attachments.filter((one) => one.instanceId !== instance.id);
    if (attachment?.deleteOnTermination) {
      region.volumes.delete(volume.id);
      await region.disks.deleteVolume(volume.id);
    } else if (volume.attachments.length === 0) {
      volume.state = 'available';
    }
  }
  await region.host.removeScratch(instance.id);
  instance.state = 'terminated';
  instance.terminatedAt = region.clock.now();
}

/** "Amazon EC2 instance hostnames": named after the private address. */
const hostNameOf = (region: Region, { privateIp }: InstanceRecord): string =>
  `ip-${privateIp.replaceAll('.', '-')}.${privateDomain(region.settings.region)}`;

function metadataOf(region: Region, instance: InstanceRecord): Metadata {
  const { region: regionName, accountId } = region.settings;
  const zoneId = region.network.subnets.find((subnet) => subnet.zone === instance.zone)?.zoneId ?? '';
  const groups = instance.securityGroupIds.map((id) => region.securityGroups.get(id)?.name ?? id).join('\n');
  const hostName = hostNameOf(region, instance);
  const leaves: Record<string, string> = {
    'ami-id': instance.imageId,
    'ami-launch-index': String(instance.launchIndex),
    'ami-manifest-path': '(unknown)',
    'block-device-mapping/ami': instance.rootDeviceName.replace(/^\/dev\//, ''),
    'block-device-mapping/root': instance.rootDeviceName,
    hostname: hostName,
    'instance-action': 'none',
    'instance-id': instance.id,
    'instance-life-cycle': 'on-demand',
    'instance-type': instance.instanceType,
    'local-hostname': hostName,
    'local-ipv4': instance.privateIp,
    mac: instance.macAddress,
    'placement/availability-zone': instance.zone,
    'placement/availability-zone-id': zoneId,
    'placement/region': regionName,
    'reservation-id': instance.reservationId,
    'security-groups': groups,
    'services/domain': 'amazonaws.com',
    'services/partition': 'aws',
    [`network/interfaces/macs/${instance.macAddress}/local-ipv4s`]: instance.privateIp,
    [`network/interfaces/macs/${instance.macAddress}/vpc-id`]: instance.vpcId,
    [`network/interfaces/macs/${instance.macAddress}/subnet-id`]: instance.subnetId,
  };
  if (instance.metadata.InstanceMetadataTags === 'enabled') {
    for (const [key, value] of Object.entries(instance.tags)) leaves[`tags/instance/${key}`] = value;
  }
  return {
    enabled: instance.metadata.HttpEndpoint === 'enabled',
    tokenRequired: instance.metadata.HttpTokens === 'required',
    userData: instance.userData === undefined ? undefined : Buffer.from(instance.userData, 'base64'),
    leaves,
    identity: {
      accountId,
      architecture: instance.architecture,
      availabilityZone: instance.zone,
      billingProducts: null,
      devpayProductCodes: null,
      imageId: instance.imageId,
      instanceId: instance.id,
      instanceType: instance.instanceType,
      kernelId: null,
      marketplaceProductCodes: null,
      pendingTime: new Date(instance.launchTime).toISOString(),
      privateIp: instance.privateIp,
      ramdiskId: null,
      region: regionName,
      version: '2017-09-30',
    },
  };
}

/**
 * Settles what the last life of the cloud left half done. Instances are gone with their host: stopped or terminated, with
 * the reason AWS gives when a host fails (DescribeInstances, StateReason: Server.InternalError). Disks are what is on disk.
 */
export async function recover(region: Region): Promise<void> {
  for (const instance of region.instances.values()) {
    if (instance.state === 'terminated' || instance.state === 'stopped') continue;
    if (instance.process) await region.host.endOrphan(instance.process);
    delete instance.process;
    const ends = instance.state === 'shutting-down' || instance.shutdownBehavior === 'terminate';
    if (instance.state !== 'shutting-down' && instance.state !== 'stopping') {
      instance.stateReason = {
        Code: 'Server.InternalError',
        Message: 'Server.InternalError: local cloud: the host was restarted',
      };
      instance.stateTransitionReason = `Server.InternalError: host restarted (${stamp(region.clock.now())})`;
    }
    await region.host.note(instance.id, 'local cloud: the host was restarted');
    instance.consolePosted = { bytes: await region.host.consoleLength(instance.id), at: region.clock.now() };
    if (ends) await terminated(region, instance);
    else instance.state = 'stopped';
  }
  for (const volume of region.volumes.values()) {
    if (volume.state === 'deleting' || !(await region.disks.hasVolume(volume.id))) {
      if (volume.state !== 'deleting') region.log(`ec2: ${volume.id} has lost its file and is forgotten`);
      region.volumes.delete(volume.id);
      await region.disks.deleteVolume(volume.id);
      continue;
    }
    volume.attachments = volume.attachments.filter((attachment) => attachment.state !== 'detaching');
    for (const attachment of volume.attachments) attachment.state = 'attached';
    volume.state = volume.attachments.length > 0 ? 'in-use' : 'available';
  }
  for (const snapshot of region.snapshots.values()) {
    if (snapshot.blank || snapshot.state === 'error' || snapshot.writing) continue;
    if (await region.disks.hasSnapshot(snapshot.id)) {
      snapshot.state = 'completed';
      snapshot.progress = '100%';
    } else {
      snapshot.state = 'error';
      snapshot.stateMessage = 'local cloud: the host was restarted during the copy';
    }
  }
  for (const image of region.images.values()) {
    if (image.state !== 'pending') continue;
    const whole = image.mappings.every(
      ({ Ebs }) => region.snapshots.get(Ebs?.SnapshotId ?? '')?.state !== 'error',
    );
    image.state = whole ? 'available' : 'failed';
  }
}
