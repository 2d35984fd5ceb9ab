import { createHash } from 'node:crypto';
import { expectedProperties } from '../../core/image-properties.ts';
import type { Tags } from '../../core/names.ts';
import { tagKey } from '../../core/names.ts';
import type {
  Artifacts,
  BootTestSpec,
  BuildExecution,
  Executions,
  Image,
  ImageSpec,
  Images,
  Instance,
  InstanceDisk,
  Instances,
  Mirror,
  MirrorAnswer,
  Network,
  OfBuild,
  Parameters,
  Snapshot,
  Snapshots,
  Sources,
  Subnet,
  UpdateServer,
  Volume,
  VolumeSpec,
  Volumes,
  WorkerSpec,
} from '../../core/ports.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface HeldInstance extends Mutable<Omit<Instance, 'disks'>> {
  readonly spec: BootTestSpec & Partial<WorkerSpec>;
  /** Undefined when GetConsoleScreenshot has none. */
  screen?: Uint8Array;
  /** Empty when GetConsoleOutput has nothing. */
  console: string;
}

export interface HeldVolume {
  readonly volumeId: string;
  readonly spec: VolumeSpec;
  startedAt?: number | undefined;
  state: Volume['state'];
  /** The instance it is attached to, and how. */
  attachedTo?: {
    instanceId: string;
    device: string;
    state: 'attaching' | 'attached' | 'detaching';
    deleteOnTermination: boolean;
    attachedAt: number;
  };
}

export interface HeldSnapshot extends Mutable<Snapshot> {
  readonly volumeId: string;
  readonly description: string;
  tags: Tags;
}

export interface HeldImage extends Mutable<Image> {
  readonly spec: Pick<ImageSpec, 'name' | 'snapshotId' | 'tags'>;
}

/** What DescribeImages says of Amazon's Windows AMIs. */
export const windowsProperties: Readonly<Record<string, string>> = {
  Name: 'Windows_Server-2022-English-Core-Base-2026.11.11',
  Architecture: 'x86_64',
  VirtualizationType: 'hvm',
  EnaSupport: 'true',
  Platform: 'windows',
  PlatformDetails: 'Windows',
  UsageOperation: 'RunInstances:0002',
  RootDeviceName: '/dev/sda1',
  RootDeviceType: 'ebs',
};

/** An error as the adapters throw it: named by the service's code. */
export const awsError = (code: string, message = `${code} happened`): Error =>
  Object.assign(new Error(message), { name: code });

/**
 * An AWS account in memory, at the level of the ports. It keeps the rules of EC2 that steps rely on (client tokens, one
 * zone for volume and instance, states in which a call is allowed, roots that cannot be detached, snapshots that images hold,
 * names of images that are unique) and answers with EC2's codes; whatever a test has not set up is an error, never a guess.
 *
 * Nothing moves by itself: a test moves instances and volumes on with `settle`.
 */
export class FakeAccount {
  readonly heldInstances = new Map<string, HeldInstance>();
  readonly heldVolumes = new Map<string, HeldVolume>();
  readonly heldSnapshots = new Map<string, HeldSnapshot>();
  readonly heldImages = new Map<string, HeldImage>();
  readonly objects = new Map<string, { body: string; contentType: string }>();
  readonly parameterValues = new Map<string, string>();
  readonly pages = new Map<string, MirrorAnswer>();
  readonly zones = new Map<string, string>();
  /** Images of others that may be launched. */
  readonly launchableImages = new Set<string>();
  /** AMIs of Amazon, by id. */
  readonly windowsImages = new Map<string, Readonly<Record<string, string>>>();
  /** Executions by the name of their build; others are unknown. */
  readonly heldExecutions = new Map<string, BuildExecution & { readonly endedAt?: number | undefined }>();
  /** What to throw instead of launching a type in a zone: key "type zone". */
  readonly refusals = new Map<string, Error>();
  /** What the next call of a name throws: key "volumes.create" and so on. */
  readonly failures = new Map<string, Error>();
  /** Ids that searches by tag do not see yet, as EC2's eventual consistency allows. */
  readonly hidden = new Set<string>();
  /** How CreateImage bills its image, if not like the instance. */
  billing: Readonly<Record<string, string>> = {};
  /** Whether a volume is there as soon as it is asked for; EC2 takes seconds. */
  instantVolumes = false;
  /** Every call that changed something, in order: "runWorker i-1". */
  readonly changes: string[] = [];
  /** Clock of the steps, epoch milliseconds. */
  time = Date.UTC(2026, 10, 23, 12);

  readonly clock = { now: () => this.time };
  readonly #tokens = new Map<string, { id: string; spec: string }>();
  #last: number;

  /** Ids are counted from the number, so that those of two regions differ. */
  constructor(last = 0) {
    this.#last = last;
  }

  #id(prefix: string): string {
    this.#last += 1;
    return `${prefix}-${this.#last.toString(16).padStart(17, '0')}`;
  }

  #call(name: string): void {
    const failure = this.failures.get(name);
    this.failures.delete(name);
    if (failure) throw failure;
  }

  /** A create with a client token: the same token and the same wish give the same resource. */
  #once(kind: string, spec: { readonly clientToken: string }, make: () => string): string {
    if (!/^[\x21-\x7e]{1,64}$/.test(spec.clientToken))
      throw awsError('InvalidParameterValue', 'client token');
    const before = this.#tokens.get(`${kind} ${spec.clientToken}`);
    const wish = JSON.stringify(spec);
    if (before && before.spec !== wish) throw awsError('IdempotentParameterMismatch');
    if (before) return before.id;
    const id = make();
    this.#tokens.set(`${kind} ${spec.clientToken}`, { id, spec: wish });
    return id;
  }

  #seen<T>(held: Iterable<[string, T]>, tagsOf: (one: T) => Tags, build: string): T[] {
    return [...held]
      .filter(([id, one]) => !this.hidden.has(id) && tagsOf(one)[tagKey.build] === build)
      .map(([, one]) => one);
  }

  #seenOfAny<T>(held: Iterable<[string, T]>, tagsOf: (one: T) => Tags): OfBuild<T>[] {
    return [...held]
      .filter(([id, one]) => !this.hidden.has(id) && tagKey.build in tagsOf(one))
      .map(([, one]) => ({ ...one, build: tagsOf(one)[tagKey.build] ?? '' }));
  }

  /** Lets time do its work: what is pending or ending arrives. */
  settle(): void {
    for (const instance of this.heldInstances.values()) {
      if (instance.state === 'pending') instance.state = 'running';
      if (instance.state === 'stopping') instance.state = 'stopped';
      if (instance.state === 'shutting-down') this.#ended(instance.instanceId);
    }
    for (const volume of this.heldVolumes.values()) {
      if (volume.state === 'creating') volume.state = 'available';
      if (volume.attachedTo?.state === 'attaching') volume.attachedTo.state = 'attached';
      if (volume.attachedTo?.state === 'detaching') {
        delete volume.attachedTo;
        volume.state = 'available';
      }
      if (volume.state === 'deleting') this.heldVolumes.delete(volume.volumeId);
    }
    for (const snapshot of this.heldSnapshots.values()) {
      if (snapshot.state === 'pending') snapshot.state = 'completed';
    }
    for (const image of this.heldImages.values()) if (image.state === 'pending') image.state = 'available';
  }

  #ended(instanceId: string): void {
    const instance = this.heldInstances.get(instanceId);
    if (!instance) throw new Error(`there is no ${instanceId}`);
    instance.state = 'terminated';
    for (const volume of this.heldVolumes.values()) {
      if (volume.attachedTo?.instanceId !== instanceId) continue;
      // DeleteOnTermination is set for the root of an image and not for a volume attached later.
      if (volume.attachedTo.deleteOnTermination) this.heldVolumes.delete(volume.volumeId);
      delete volume.attachedTo;
      volume.state = 'available';
    }
  }

  /** The worker powers itself off, or EC2 takes it away. */
  end(instanceId: string, reason: string): void {
    this.#ended(instanceId);
    const instance = this.heldInstances.get(instanceId);
    if (instance) instance.stateReason = reason;
  }

  /** Somebody starts a stopped instance. */
  start(instanceId: string): void {
    const instance = this.heldInstances.get(instanceId);
    if (instance?.state !== 'stopped') throw awsError('IncorrectInstanceState');
    instance.state = 'running';
    instance.startedAt = this.time;
  }

  #disksOf(instanceId: string): InstanceDisk[] {
    return [...this.heldVolumes.values()].flatMap(({ volumeId, attachedTo }) =>
      attachedTo?.instanceId === instanceId ? { ...attachedTo, volumeId } : [],
    );
  }

  #instance = (held: HeldInstance): Instance => ({
    instanceId: held.instanceId,
    state: held.state,
    stateReason: held.stateReason,
    startedAt: held.startedAt,
    rootDeviceName: held.rootDeviceName,
    disks: this.#disksOf(held.instanceId),
  });

  readonly network: Network = {
    subnets: async (subnetIds) => {
      this.#call('network.subnets');
      return subnetIds.map((subnetId): Subnet => {
        const zone = this.zones.get(subnetId);
        if (zone === undefined) throw awsError('InvalidSubnetID.NotFound');
        return { subnetId, zone };
      });
    },
  };

  #launch(call: string, spec: HeldInstance['spec']): { instanceId: string } {
    const zone = this.zones.get(spec.subnetId);
    if (zone === undefined) throw awsError('InvalidSubnetID.NotFound');
    const launchable =
      this.launchableImages.has(spec.imageId) ||
      this.windowsImages.has(spec.imageId) ||
      this.heldImages.get(spec.imageId)?.state === 'available';
    if (!launchable) throw awsError('InvalidAMIID.NotFound');
    const refusal = this.refusals.get(`${spec.instanceType} ${zone}`);
    if (refusal) throw refusal;
    const instanceId = this.#once('instance', spec, () => {
      const id = this.#id('i');
      this.heldInstances.set(id, {
        instanceId: id,
        state: 'pending',
        stateReason: '',
        startedAt: this.time,
        rootDeviceName: this.windowsImages.get(spec.imageId)?.RootDeviceName ?? '/dev/sda1',
        spec,
        console: '',
      });
      const volumeId = this.#id('vol');
      // The tags of the launch go to the root volume too, as the adapter asks.
      this.heldVolumes.set(volumeId, {
        volumeId,
        spec: { clientToken: '', zone, sizeGiB: 10, tags: spec.tags },
        startedAt: this.time,
        state: 'in-use',
        attachedTo: {
          instanceId: id,
          device: this.windowsImages.get(spec.imageId)?.RootDeviceName ?? '/dev/sda1',
          state: 'attached',
          deleteOnTermination: true,
          attachedAt: this.time,
        },
      });
      this.changes.push(`${call} ${id}`);
      return id;
    });
    return { instanceId };
  }

  readonly instances: Instances = {
    runWorker: async (spec) => {
      this.#call('instances.runWorker');
      if (Buffer.byteLength(spec.userData) > 16 * 1024) throw awsError('InvalidParameterValue', 'user data');
      return this.#launch('runWorker', spec);
    },
    runBootTest: async (spec) => {
      this.#call('instances.runBootTest');
      return this.#launch('runBootTest', spec);
    },
    runWindows: async (spec) => {
      this.#call('instances.runWindows');
      return this.#launch('runWindows', spec);
    },
    describe: async (instanceId) => {
      this.#call('instances.describe');
      const held = this.heldInstances.get(instanceId);
      return held && this.#instance(held);
    },
    findByBuild: async (build) =>
      this.#seen(this.heldInstances, ({ spec }) => spec.tags, build).map(this.#instance),
    findOfAnyBuild: async () => {
      this.#call('instances.findOfAnyBuild');
      return this.#seenOfAny(this.heldInstances, ({ spec }) => spec.tags).map(({ build, ...held }) => ({
        ...this.#instance(held),
        build,
      }));
    },
    console: async (instanceId) => {
      this.#call('instances.console');
      return this.heldInstances.get(instanceId)?.console ?? '';
    },
    screenshot: async (instanceId) => {
      this.#call('instances.screenshot');
      return this.heldInstances.get(instanceId)?.screen;
    },
    stop: async (instanceId) => {
      this.#call('instances.stop');
      const held = this.heldInstances.get(instanceId);
      if (!held) throw awsError('InvalidInstanceID.NotFound');
      // StopInstances of one that is on its way there does nothing.
      if (held.state === 'stopping' || held.state === 'stopped') return;
      if (held.state !== 'running') throw awsError('IncorrectInstanceState', held.state);
      held.state = 'stopping';
      this.changes.push(`stop ${instanceId}`);
    },
    deleteOnTermination: async (instanceId, device) => {
      this.#call('instances.deleteOnTermination');
      const disk = [...this.heldVolumes.values()].find(
        ({ attachedTo }) => attachedTo?.instanceId === instanceId && attachedTo.device === device,
      );
      if (disk?.attachedTo?.state !== 'attached') throw awsError('InvalidInstanceAttributeValue', device);
      disk.attachedTo.deleteOnTermination = true;
      this.changes.push(`deleteOnTermination ${disk.volumeId}`);
    },
    terminate: async (instanceIds) => {
      this.#call('instances.terminate');
      for (const instanceId of instanceIds) {
        const held = this.heldInstances.get(instanceId);
        if (!held || held.state === 'terminated') continue;
        held.state = 'shutting-down';
        this.changes.push(`terminate ${instanceId}`);
      }
    },
  };

  readonly volumes: Volumes = {
    create: async (spec) => {
      this.#call('volumes.create');
      if (![...this.zones.values()].includes(spec.zone)) throw awsError('InvalidZone.NotFound');
      if (spec.snapshotId !== undefined && this.heldSnapshots.get(spec.snapshotId)?.state !== 'completed') {
        throw awsError('IncorrectState', `${spec.snapshotId} is not completed`);
      }
      if (this.refusals.has(`volume ${spec.zone}`)) throw this.refusals.get(`volume ${spec.zone}`);
      const volumeId = this.#once('volume', spec, () => {
        const id = this.#id('vol');
        this.heldVolumes.set(id, {
          volumeId: id,
          spec,
          startedAt: this.time,
          state: this.instantVolumes ? 'available' : 'creating',
        });
        this.changes.push(`createVolume ${id}`);
        return id;
      });
      return { volumeId };
    },
    describe: async (volumeId) => {
      this.#call('volumes.describe');
      const held = this.heldVolumes.get(volumeId);
      return held && seenVolume(held);
    },
    findByBuild: async (build) =>
      this.#seen(this.heldVolumes, ({ spec }) => spec.tags, build).map(seenVolume),
    findOfAnyBuild: async () => {
      this.#call('volumes.findOfAnyBuild');
      const found = this.#seenOfAny(this.heldVolumes, ({ spec }) => spec.tags);
      return found.map(({ build, ...held }) => ({ ...seenVolume(held), build }));
    },
    attach: async (volumeId, instanceId, device) => {
      this.#call('volumes.attach');
      const volume = this.heldVolumes.get(volumeId);
      const instance = this.heldInstances.get(instanceId);
      if (!volume) throw awsError('InvalidVolume.NotFound');
      if (!instance) throw awsError('InvalidInstanceID.NotFound');
      if (volume.state === 'in-use') throw awsError('VolumeInUse');
      if (volume.state !== 'available') throw awsError('IncorrectState', `volume is ${volume.state}`);
      if (!['running', 'stopped'].includes(instance.state))
        throw awsError('IncorrectState', `instance is ${instance.state}`);
      if (this.zones.get(instance.spec.subnetId) !== volume.spec.zone)
        throw awsError('InvalidVolume.ZoneMismatch');
      const asRoot = device === instance.rootDeviceName && instance.state === 'stopped';
      if (!asRoot && !/^\/dev\/sd[f-p]$/.test(device)) throw awsError('InvalidParameterValue', device);
      if (this.#disksOf(instanceId).some((disk) => disk.device === device))
        throw awsError('InvalidParameterValue', `${device} is already in use`);
      volume.state = 'in-use';
      volume.attachedTo = {
        instanceId,
        device,
        // A worker has its disk at once; a root takes a moment.
        state: asRoot ? 'attaching' : 'attached',
        deleteOnTermination: false,
        attachedAt: this.time,
      };
      this.changes.push(`attach ${volumeId}`);
    },
    detach: async (volumeId) => {
      this.#call('volumes.detach');
      const volume = this.heldVolumes.get(volumeId);
      if (!volume?.attachedTo) return;
      const instance = this.heldInstances.get(volume.attachedTo.instanceId);
      if (volume.attachedTo.device === instance?.rootDeviceName) {
        if (instance.state !== 'stopped')
          throw awsError('OperationNotPermitted', `Unable to detach root volume ${volumeId}`);
        volume.attachedTo.state = 'detaching';
      } else {
        delete volume.attachedTo;
        volume.state = 'available';
      }
      this.changes.push(`detach ${volumeId}`);
    },
    delete: async (volumeId) => {
      this.#call('volumes.delete');
      const volume = this.heldVolumes.get(volumeId);
      if (!volume || volume.state === 'deleting') return;
      if (volume.state === 'in-use') throw awsError('VolumeInUse');
      if (volume.state === 'creating') throw awsError('IncorrectState', 'volume is creating');
      volume.state = 'deleting';
      this.changes.push(`deleteVolume ${volumeId}`);
    },
  };

  readonly snapshots: Snapshots = {
    create: async (volumeId, description, tags) => {
      this.#call('snapshots.create');
      const volume = this.heldVolumes.get(volumeId);
      if (!volume) throw awsError('InvalidVolume.NotFound');
      const snapshotId = this.#id('snap');
      this.heldSnapshots.set(snapshotId, {
        snapshotId,
        state: 'pending',
        stateMessage: '',
        startedAt: this.time,
        volumeId,
        description,
        tags,
      });
      this.changes.push(`createSnapshot ${snapshotId}`);
      return { snapshotId };
    },
    describe: async (snapshotId) => {
      this.#call('snapshots.describe');
      return this.heldSnapshots.get(snapshotId);
    },
    findResumable: async (contentDigest) =>
      this.#seenOfAny(this.heldSnapshots, ({ tags }) => tags).filter(
        ({ tags }) =>
          tags[tagKey.contentDigest] === contentDigest && tags[tagKey.resumableUntil] !== undefined,
      ),
    tag: async (snapshotId, key, value) => {
      this.#call('snapshots.tag');
      const held = this.heldSnapshots.get(snapshotId);
      if (!held) throw awsError('InvalidSnapshot.NotFound');
      held.tags = { ...held.tags, [key]: value };
    },
    findByBuild: async (build) => this.#seen(this.heldSnapshots, ({ tags }) => tags, build),
    findOfAnyBuild: async () => {
      this.#call('snapshots.findOfAnyBuild');
      return this.#seenOfAny(this.heldSnapshots, ({ tags }) => tags);
    },
    delete: async (snapshotId) => {
      this.#call('snapshots.delete');
      if (!this.heldSnapshots.has(snapshotId)) return;
      if ([...this.heldImages.values()].some((image) => image.rootSnapshotId === snapshotId)) {
        throw awsError('InvalidSnapshot.InUse');
      }
      this.heldSnapshots.delete(snapshotId);
      this.changes.push(`deleteSnapshot ${snapshotId}`);
    },
  };

  readonly images: Images = {
    register: async (spec) => {
      this.#call('images.register');
      if (!this.heldSnapshots.has(spec.snapshotId)) throw awsError('InvalidSnapshot.NotFound');
      if (this.heldSnapshots.get(spec.snapshotId)?.state !== 'completed') throw awsError('IncorrectState');
      if ([...this.heldImages.values()].some(({ name }) => name === spec.name)) {
        throw awsError('InvalidAMIName.Duplicate');
      }
      return { imageId: this.holdImage(spec).imageId };
    },
    createFromInstance: async ({ instanceId, name, tags, snapshotTags, description }) => {
      this.#call('images.createFromInstance');
      const instance = this.heldInstances.get(instanceId);
      if (!instance) throw awsError('InvalidInstanceID.NotFound');
      if (instance.state !== 'stopped') throw awsError('IncorrectState', `instance is ${instance.state}`);
      if ([...this.heldImages.values()].some((image) => image.name === name)) {
        throw awsError('InvalidAMIName.Duplicate');
      }
      const root = this.#disksOf(instanceId).find(({ device }) => device === instance.rootDeviceName);
      const volume = root && this.heldVolumes.get(root.volumeId);
      if (!root || !volume) throw awsError('InvalidParameterValue', 'the instance has no root');
      const { snapshotId } = await this.snapshots.create(root.volumeId, description, snapshotTags);
      const imageId = this.#id('ami');
      const { Name: _name, ...inherited } = this.windowsImages.get(instance.spec.imageId) ?? {};
      this.heldImages.set(imageId, {
        imageId,
        name,
        state: 'pending',
        stateReason: '',
        rootSnapshotId: snapshotId,
        startedAt: this.time,
        properties: {
          ...inherited,
          ...this.billing,
          Name: name,
          Description: description,
          'Ebs.SnapshotId': snapshotId,
          'Ebs.VolumeSize': String(volume.spec.sizeGiB),
          'Ebs.VolumeType': 'gp3',
          'Ebs.DeleteOnTermination': String(root.deleteOnTermination),
        },
        tags,
        spec: { name, snapshotId, tags },
      });
      this.changes.push(`createImage ${imageId}`);
      return { imageId };
    },
    requireImdsV2: async (imageId) => {
      this.#call('images.requireImdsV2');
      const held = this.heldImages.get(imageId);
      if (!held) throw awsError('InvalidAMIID.NotFound');
      held.properties = { ...held.properties, ImdsSupport: 'v2.0' };
      this.changes.push(`requireImdsV2 ${imageId}`);
    },
    describe: async (imageId) => {
      this.#call('images.describe');
      const windows = this.windowsImages.get(imageId);
      return windows ? foreignImage(imageId, windows) : this.heldImages.get(imageId);
    },
    findByName: async (name) => {
      this.#call('images.findByName');
      return [...this.heldImages.values()].filter((image) => image.name === name);
    },
    findByBuild: async (build) => this.#seen(this.heldImages, ({ tags }) => tags, build),
    findOfAnyBuild: async () => {
      this.#call('images.findOfAnyBuild');
      return this.#seenOfAny(this.heldImages, ({ tags }) => tags);
    },
    launchable: async (imageId) =>
      this.launchableImages.has(imageId) || this.heldImages.get(imageId)?.state === 'available',
    tag: async (imageId, key, value) => {
      this.#call('images.tag');
      const held = this.heldImages.get(imageId);
      if (!held) throw awsError('InvalidAMIID.NotFound');
      held.tags = { ...held.tags, [key]: value };
    },
    deregister: async (imageId) => {
      this.#call('images.deregister');
      if (this.heldImages.delete(imageId)) this.changes.push(`deregister ${imageId}`);
    },
  };

  /** An image that is there, made by whomever. */
  holdImage(spec: ImageSpec, state = 'pending'): HeldImage {
    const imageId = this.#id('ami');
    const held: HeldImage = {
      imageId,
      name: spec.name,
      state,
      stateReason: '',
      rootSnapshotId: spec.snapshotId,
      startedAt: this.time,
      properties: expectedProperties(spec),
      tags: spec.tags,
      spec,
    };
    this.heldImages.set(imageId, held);
    this.changes.push(`register ${imageId}`);
    return held;
  }

  readonly executions: Executions = {
    describe: async (build) => {
      this.#call(`executions.describe ${build}`);
      return this.heldExecutions.get(build) ?? { status: 'unknown' };
    },
    successes: async () => {
      this.#call('executions.successes');
      return [...this.heldExecutions].flatMap(([id, one]) =>
        one.status === 'ended' && one.outcome === 'SUCCEEDED' ? { id, endedAt: one.endedAt } : [],
      );
    },
    output: async (id) => {
      this.#call(`executions.output ${id}`);
      const held = this.heldExecutions.get(id);
      return held?.status === 'ended' ? held.output : undefined;
    },
  };

  readonly artifacts: Artifacts = {
    put: async (key, body, contentType) => {
      this.#call('artifacts.put');
      const text = typeof body === 'string' ? body : Buffer.from(body).toString('latin1');
      this.objects.set(key, { body: text, contentType });
    },
    get: async (key) => {
      this.#call(`artifacts.get ${key}`);
      const object = this.objects.get(key);
      return object && new Uint8Array(Buffer.from(object.body, 'latin1'));
    },
    presign: async (key, seconds) => {
      this.#call('artifacts.presign');
      return `https://bucket.s3.example/${key}?X-Amz-Expires=${seconds}&X-Amz-Signature=5ec2e7`;
    },
    copy: async (from, to) => {
      this.#call('artifacts.copy');
      const object = this.objects.get(from);
      if (object === undefined) throw awsError('NoSuchKey');
      this.objects.set(to, object);
    },
    presignPut: async (key, seconds) => {
      this.#call('artifacts.presignPut');
      // No worker runs here: what it would put is there at once.
      this.objects.set(key, { body: 'of the worker', contentType: 'application/octet-stream' });
      return `https://bucket.s3.example/${key}?X-Amz-Expires=${seconds}&X-Amz-Signature=5ec2e8`;
    },
  };

  readonly sources: Sources = {
    presign: async (uri, seconds) =>
      `https://sources.example/${uri.slice(5)}?X-Amz-Expires=${seconds}&X-Amz-Signature=5ec2e7`,
  };

  readonly parameters: Parameters = {
    get: async (name) => {
      this.#call('parameters.get');
      return this.parameterValues.get(name);
    },
  };

  /** Patch levels by release and architecture, as in 15.1-RELEASE/amd64. */
  readonly patchLevels = new Map<string, number>();
  readonly updates: UpdateServer = {
    patchLevel: async (release, architecture) => this.patchLevels.get(`${release}/${architecture}`),
  };

  readonly mirror: Mirror = {
    read: async (url) => this.pages.get(url) ?? { status: 'absent' },
    digest: async (url) => {
      const answer = this.pages.get(url) ?? { status: 'absent' };
      return answer.status === 'found'
        ? {
            status: 'found',
            sha256: createHash('sha256').update(answer.text).digest('hex'),
            bytes: answer.text.length,
          }
        : answer;
    },
  };
}

const foreignImage = (imageId: string, properties: Readonly<Record<string, string>>): Image => ({
  imageId,
  name: properties.Name ?? '',
  state: 'available',
  stateReason: '',
  rootSnapshotId: undefined,
  properties,
  tags: {},
});

const seenVolume = ({ volumeId, state, startedAt, attachedTo }: HeldVolume): Volume => ({
  volumeId,
  state,
  startedAt,
  attachments: attachedTo ? [{ instanceId: attachedTo.instanceId, state: attachedTo.state }] : [],
});
