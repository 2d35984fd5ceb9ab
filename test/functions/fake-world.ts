import { expectedProperties } from '../../core/image-properties.ts';
import { tagKey } from '../../core/names.ts';
import type {
  CopySpec,
  ImageAccess,
  ImageCopies,
  ImageParameters,
  ImageRules,
  Keys,
  PublishedParameter,
  Quotas,
  Records,
} from '../../core/ports.ts';
import { imageSpec } from './builds.ts';
import { awsError, FakeAccount } from './fake-account.ts';

/** "Concurrent snapshot copies per destination Region" (EBS quotas). */
const COPIES_IN_FLIGHT = 20;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One region of an account in memory: what FakeAccount has, and what distribution asks of a region. */
export class FakeRegion extends FakeAccount {
  readonly region: string;
  readonly world: FakeWorld;
  /** Launch permissions by image. */
  readonly permissions = new Map<string, Set<string>>();
  readonly published = new Map<string, Mutable<PublishedParameter>>();
  /** Keys of KMS by id. */
  readonly kms = new Map<string, { arn: string; state: string; usable: boolean; ofAws: boolean }>();
  blocksPublic = false;
  encryptsEverything = false;
  publicQuota: number | undefined = undefined;
  /** How often a parameter is read before it shows what was put. */
  parameterLag = 0;
  /** How many copies of others are under way. */
  busy = 0;
  /** Calls of CopyImage that began a copy. */
  copied = 0;
  readonly #copyTokens = new Map<string, string>();
  #snapshots: number;
  readonly #late = new Map<string, { reads: number; value: string }>();

  constructor(world: FakeWorld, region: string, number: number) {
    super(number * 0x1000);
    this.#snapshots = number * 0x1000 + 0x800;
    this.world = world;
    this.region = region;
  }

  #grants(imageId: string): Set<string> {
    if (!this.heldImages.has(imageId)) throw awsError('InvalidAMIID.NotFound');
    const held = this.permissions.get(imageId) ?? new Set();
    this.permissions.set(imageId, held);
    return held;
  }

  readonly copies: ImageCopies = {
    copy: async (spec: CopySpec) => {
      await this.world.call(`${this.region} copy`);
      const known = this.#copyTokens.get(spec.clientToken);
      if (known !== undefined) return { imageId: known };
      const source = this.world.region(spec.source.region).heldImages.get(spec.source.imageId);
      if (source === undefined) throw awsError('InvalidAMIID.NotFound');
      const pending = [...this.heldImages.values()].filter(({ state }) => state === 'pending').length;
      if (pending + this.busy >= COPIES_IN_FLIGHT) throw awsError('ResourceLimitExceeded');
      const key = spec.encryption?.kmsKeyId;
      const { snapshotId } = this.holdSnapshot(spec.tags, {
        encrypted: spec.encryption !== null,
        kmsKeyId: key ? this.kms.get(key)?.arn : undefined,
      });
      const held = this.holdImage({ ...imageSpec(snapshotId, spec.tags), name: spec.name });
      // Every attribute of the source goes along.
      held.properties = {
        ...source.properties,
        Description: spec.description,
        'Ebs.SnapshotId': snapshotId,
      };
      this.#copyTokens.set(spec.clientToken, held.imageId);
      this.copied++;
      return { imageId: held.imageId };
    },
    pending: async () =>
      [...this.heldImages.values()].filter(({ state }) => state === 'pending').length + this.busy,
  };

  readonly access: ImageAccess = {
    permissions: async (imageId) => [...this.#grants(imageId)].sort(),
    allow: async (imageId, permissions) => {
      await this.world.call(`${this.region} allow`);
      if (permissions.includes('all') && this.blocksPublic) throw awsError('OperationNotPermitted');
      for (const one of permissions) this.#grants(imageId).add(one);
    },
    withdraw: async (imageId, permissions) => {
      await this.world.call(`${this.region} withdraw`);
      for (const one of permissions) this.#grants(imageId).delete(one);
    },
    deprecate: async (imageId, at) => {
      await this.world.call(`${this.region} deprecate`);
      const held = this.heldImages.get(imageId);
      if (held === undefined) throw awsError('InvalidAMIID.NotFound');
      held.deprecatedAt = at;
    },
    undeprecate: async (imageId) => {
      await this.world.call(`${this.region} undeprecate`);
      const held = this.heldImages.get(imageId);
      if (held !== undefined) held.deprecatedAt = undefined;
    },
  };

  readonly imageParameters: ImageParameters = {
    get: async (name) => {
      const late = this.#late.get(name);
      if (late && late.reads-- <= 0) {
        this.#set(name, late.value);
        this.#late.delete(name);
      }
      const held = this.published.get(name);
      return held && { ...held };
    },
    put: async (name, imageId) => {
      await this.world.call(`${this.region} put ${name.split('/').at(-1)}`);
      // Looked at after the answer; what is refused is not written.
      if (this.heldImages.get(imageId)?.state !== 'available') return;
      if (this.parameterLag === 0) this.#set(name, imageId);
      else this.#late.set(name, { reads: this.parameterLag, value: imageId });
    },
    delete: async (name) => {
      await this.world.call(`${this.region} delete ${name.split('/').at(-1)}`);
      this.published.delete(name);
    },
  };

  #set(name: string, value: string): void {
    const version = (this.published.get(name)?.version ?? 0) + 1;
    this.published.set(name, { value, version, type: 'String', dataType: 'aws:ec2:image' });
  }

  readonly rules: ImageRules = {
    regions: async () => this.world.known,
    publicBlocked: async () => this.blocksPublic,
    publicImages: async () =>
      [...this.heldImages.values()]
        .filter(({ imageId }) => this.permissions.get(imageId)?.has('all'))
        .map(({ imageId, name }) => ({ imageId, name })),
    encryptsByDefault: async () => this.encryptsEverything,
  };

  readonly keys: Keys = { describe: async (keyId) => this.kms.get(keyId) };
  readonly quotas: Quotas = { value: async () => this.publicQuota };

  /** A completed snapshot, as a copy or a build leaves it. */
  holdSnapshot(
    tags: Readonly<Record<string, string>>,
    more: { encrypted?: boolean; kmsKeyId?: string | undefined } = {},
  ) {
    this.#snapshots += 1;
    const snapshotId = `snap-${this.#snapshots.toString(16).padStart(17, '0')}`;
    const held = {
      snapshotId,
      state: 'completed' as const,
      stateMessage: '',
      startedAt: this.time,
      volumeId: 'vol-0',
      description: '',
      tags,
      ...more,
    };
    this.heldSnapshots.set(snapshotId, held);
    return held;
  }

  /** What distribution's steps are given. */
  ports() {
    const { images, snapshots, copies, access, rules, keys, quotas, imageParameters: parameters } = this;
    return { images, snapshots, copies, access, rules, keys, quotas, parameters };
  }
}

/** The regions of an account in memory. */
export class FakeWorld {
  readonly regions = new Map<string, FakeRegion>();
  readonly known = new Map<string, boolean>();
  readonly objects = new Map<string, string>();
  /** Every call that changes something, in order. */
  readonly calls: string[] = [];
  /** What such a call throws instead, or after it was done. */
  fault: (call: string, index: number) => Error | undefined = () => undefined;

  constructor(regions: readonly string[]) {
    for (const [index, region] of regions.entries()) {
      this.known.set(region, true);
      this.regions.set(region, new FakeRegion(this, region, index));
    }
  }

  region = (name: string): FakeRegion => {
    const found = this.regions.get(name);
    if (found === undefined) throw new Error(`no test has made ${name}`);
    return found;
  };

  /** As the steps ask for it. */
  ports = (name: string) => this.region(name).ports();

  async call(name: string): Promise<void> {
    this.calls.push(name);
    const error = this.fault(name, this.calls.length);
    if (error) throw error;
  }

  settle(): void {
    for (const region of this.regions.values()) region.settle();
  }

  readonly records: Records = {
    put: async (key, text) => {
      await this.call(`put ${key}`);
      this.objects.set(key, text);
    },
    get: async (key) => {
      const text = this.objects.get(key);
      if (text === undefined) throw awsError('NoSuchKey');
      return text;
    },
    list: async (prefix) => [...this.objects.keys()].filter((key) => key.startsWith(prefix)),
    delete: async (key) => {
      this.objects.delete(key);
    },
  };

  /** An image of the factory that is there, with its snapshot. */
  holdImage(
    region: string,
    spec: Parameters<FakeRegion['holdImage']>[0],
  ): { imageId: string; snapshotId: string } {
    const place = this.region(region);
    const { snapshotId } = place.holdSnapshot({ ...spec.tags, [tagKey.role]: 'snapshot' });
    const held = place.holdImage({ ...spec, snapshotId }, 'available');
    held.properties = expectedProperties({ ...spec, snapshotId });
    return { imageId: held.imageId, snapshotId };
  }
}
