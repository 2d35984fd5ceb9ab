import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { InstanceHost } from '../instance-host/host.ts';
import type { Keys } from '../kms/keys.ts';
import { type OptInStatus, zoneIdPrefix } from '../region-names.ts';
import { JsonFile } from '../state-directory.ts';
import type { Disks } from './disks.ts';
import type { TokenTable } from './idempotency.ts';
import { newId } from './ids.ts';
import type {
  AccountRecord,
  ImageRecord,
  InstanceRecord,
  KeyPairRecord,
  LaunchConfigurationRecord,
  LaunchTemplateRecord,
  NetworkRecord,
  PersistedState,
  ScalingGroupRecord,
  SecurityGroupRecord,
  SnapshotRecord,
  VolumeRecord,
} from './model.ts';

/** How long a change of state takes, in real milliseconds. AWS takes seconds to minutes: every reader must still wait. */
export interface Delays {
  instancePending: number;
  instanceStopping: number;
  instanceShuttingDown: number;
  volumeCreating: number;
  volumeAttaching: number;
  volumeDetaching: number;
  snapshotPending: number;
  imagePending: number;
  /** Copying one snapshot, from another region or the same. */
  snapshotCopying: number;
  /** Until an image that a parameter names has been looked up. */
  parameterValidation: number;
  /** DescribeImages, LastLaunchedTime: "there is a 24-hour delay before that usage is reported". */
  lastLaunchedReported: number;
  /** "Terminated instances remain visible after termination (for approximately one hour)", TerminateInstances. */
  terminatedVisible: number;
}

export const DEFAULT_DELAYS: Delays = {
  instancePending: 80,
  instanceStopping: 20,
  instanceShuttingDown: 20,
  volumeCreating: 20,
  volumeAttaching: 20,
  volumeDetaching: 10,
  snapshotPending: 30,
  imagePending: 20,
  snapshotCopying: 50,
  parameterValidation: 20,
  lastLaunchedReported: 24 * 3600 * 1000,
  terminatedVisible: 3600 * 1000,
};

export interface RegionSettings {
  region: string;
  accountId: string;
  delays: Delays;
  /** vCPUs of running on-demand instances; quota L-1216C47A, 5 in a new account, raised on request. */
  vcpuQuota: number;
  /** Images of the account that are public: quota L-0E3CBAB9, 5 in a new account. */
  publicImageQuota: number;
  /**
   * What makes an image of CreateImage a Windows: the instance, as the documentation says, or its root volume, as RegisterImage
   * does. Which it is for a root volume that was exchanged only AWS can tell.
   */
  createImageBilling: 'instance' | 'root volume';
}

/** The other regions of the cloud, as one of them sees them. */
export interface Neighbours {
  readonly known: ReadonlyMap<string, OptInStatus>;
  /** Throws what a call to the region would be answered with when it is unknown or not enabled. */
  of(region: string): Promise<Region>;
}

/** Everything one region of the local cloud holds, and the ways to change it in time. */
export class Region {
  readonly settings: RegionSettings;
  readonly clock: Clock;
  readonly disks: Disks;
  readonly host: InstanceHost;
  readonly neighbours: Neighbours;
  readonly keys: Keys;
  readonly log: (line: string) => void;
  readonly instances = new Map<string, InstanceRecord>();
  readonly volumes = new Map<string, VolumeRecord>();
  readonly snapshots = new Map<string, SnapshotRecord>();
  readonly images = new Map<string, ImageRecord>();
  readonly securityGroups = new Map<string, SecurityGroupRecord>();
  readonly keyPairs = new Map<string, KeyPairRecord>();
  readonly launchTemplates = new Map<string, LaunchTemplateRecord>();
  /** By name. */
  readonly autoScaling = {
    groups: new Map<string, ScalingGroupRecord>(),
    configurations: new Map<string, LaunchConfigurationRecord>(),
  };
  network: NetworkRecord;
  readonly account: AccountRecord;
  tokens: TokenTable = {};
  readonly #file: JsonFile<PersistedState>;
  readonly #closing = new AbortController();
  readonly #jobs = new Set<Promise<void>>();

  constructor(parts: {
    settings: RegionSettings;
    clock: Clock;
    disks: Disks;
    host: InstanceHost;
    neighbours: Neighbours;
    keys: Keys;
    path: string;
    saved: PersistedState | undefined;
    log: (line: string) => void;
  }) {
    this.settings = parts.settings;
    this.clock = parts.clock;
    this.disks = parts.disks;
    this.host = parts.host;
    this.neighbours = parts.neighbours;
    this.keys = parts.keys;
    this.log = parts.log;
    this.#file = new JsonFile(parts.path, () => this.#persisted());
    const { saved } = parts;
    this.network = saved?.network ?? defaultNetwork(parts.settings.region);
    this.account = saved?.account ?? {
      encryptionByDefault: false,
      // "Block public access to your AMIs": on for new accounts, and for those without public AMIs.
      blockPublicImages: true,
    };
    if (saved) {
      for (const one of saved.instances) this.instances.set(one.id, one);
      for (const one of saved.volumes) this.volumes.set(one.id, one);
      for (const one of saved.snapshots) this.snapshots.set(one.id, one);
      for (const one of saved.images) this.images.set(one.id, one);
      for (const one of saved.securityGroups) this.securityGroups.set(one.id, one);
      for (const one of saved.keyPairs) this.keyPairs.set(one.id, one);
      for (const one of saved.launchTemplates ?? []) this.launchTemplates.set(one.id, one);
      for (const one of saved.scalingGroups ?? []) {
        this.autoScaling.groups.set(one.AutoScalingGroupName ?? '', one);
      }
      for (const one of saved.launchConfigurations ?? []) {
        this.autoScaling.configurations.set(one.LaunchConfigurationName ?? '', one);
      }
      this.tokens = saved.tokens;
    } else {
      const id = newId('sg');
      this.securityGroups.set(id, {
        id,
        name: 'default',
        description: 'default VPC security group',
        vpcId: this.network.vpcId,
        ingress: [],
        tags: {},
      });
    }
  }

  get zones(): string[] {
    return this.network.subnets.map((subnet) => subnet.zone);
  }

  save(): Promise<void> {
    return this.#file.save();
  }

  /**
   * Runs `change` after `milliseconds` and persists the result. What is asleep when the cloud stops is settled by
   * `recover` at the next start; what already runs is waited for by `close`.
   */
  later(milliseconds: number, change: () => void | Promise<void>): void {
    const job = (async () => {
      try {
        await this.clock.sleep(milliseconds, this.#closing.signal);
      } catch {
        return; // The cloud stops.
      }
      await change();
      await this.save();
    })().catch((error: unknown) => {
      this.log(`ec2: ${error instanceof Error ? error.stack : String(error)}`);
    });
    this.#jobs.add(job);
    void job.finally(() => this.#jobs.delete(job));
  }

  get closing(): boolean {
    return this.#closing.signal.aborted;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#jobs);
    await this.save();
  }

  #persisted(): PersistedState {
    return {
      version: 1,
      instances: [...this.instances.values()],
      volumes: [...this.volumes.values()],
      snapshots: [...this.snapshots.values()],
      images: [...this.images.values()],
      securityGroups: [...this.securityGroups.values()],
      keyPairs: [...this.keyPairs.values()],
      network: this.network,
      account: this.account,
      scalingGroups: [...this.autoScaling.groups.values()],
      launchConfigurations: [...this.autoScaling.configurations.values()],
      launchTemplates: [...this.launchTemplates.values()],
      tokens: this.tokens,
    };
  }
}

/** "Default VPCs": 172.31.0.0/16 and a /20 subnet in each zone. */
function defaultNetwork(region: string): NetworkRecord {
  const subnets = ['a', 'b', 'c'].map((letter, index) => ({
    id: newId('subnet'),
    zone: `${region}${letter}`,
    zoneId: `${zoneIdPrefix(region)}-az${index + 1}`,
    cidr: `172.31.${index * 16}.0/20`,
  }));
  return {
    vpcId: newId('vpc'),
    cidr: '172.31.0.0/16',
    subnets,
    vpcTags: {},
    subnetTags: {},
    nextAddress: {},
  };
}

/** A locally administered MAC address. */
export const newMacAddress = (): string =>
  `02:${randomBytes(5)
    .toString('hex')
    .replace(/(..)(?=.)/g, '$1:')}`;
