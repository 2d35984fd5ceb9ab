import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AutoScalingServer } from './autoscaling/server.ts';
import type { Clock } from './clock.ts';
import { BlockStore } from './ebs/block-store.ts';
import { EbsServer } from './ebs/server.ts';
import { EbsThrottle } from './ebs/throttle.ts';
import type { Consistency } from './ec2/consistency.ts';
import type { Disks } from './ec2/disks.ts';
import { recover } from './ec2/lifecycle.ts';
import type { PersistedState } from './ec2/model.ts';
import { Region, type RegionSettings } from './ec2/region.ts';
import { seedImages } from './ec2/seed.ts';
import { Ec2Server } from './ec2/server.ts';
import { Throttle } from './ec2/throttle.ts';
import type { WorkerImage } from './ec2/worker-image.ts';
import { ServiceError, unsupported } from './front/service-error.ts';
import type { InstanceHost } from './instance-host/host.ts';
import { Keys } from './kms/keys.ts';
import { Quotas } from './quotas.ts';
import { type OptInStatus, regionsOf } from './region-names.ts';
import { Parameters } from './ssm/parameters.ts';
import { JsonFile } from './state-directory.ts';

/** What one region answers with. */
interface Services {
  region: Region;
  ec2: Ec2Server;
  ebs: EbsServer;
  parameters: Parameters;
  keys: Keys;
  autoScaling: AutoScalingServer;
  quotas: Quotas;
}

interface Parts {
  stateDirectory: string;
  /** Its files lie in the state directory itself, those of others below `regions/`. */
  home: string;
  optedIn: readonly string[];
  settings: Omit<RegionSettings, 'region'>;
  /** What workers of the home region boot; without it they are processes. */
  workerImage: WorkerImage | undefined;
  throttle: boolean;
  clock: Clock;
  disks: Disks;
  host: InstanceHost;
  consistency: Consistency;
  log: (line: string) => void;
}

/**
 * The regions of this cloud: each has records, parameters and token buckets of its own, and is made when it is first asked
 * for. Only files are shared: ids are unique, so a disk's name says it all, and a copy to another region is a link.
 */
export class Regions {
  readonly known: ReadonlyMap<string, OptInStatus>;
  readonly #parts: Parts;
  readonly #open = new Map<string, Promise<Services>>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.known = regionsOf(parts.optedIn);
  }

  /** Opens the home region, and those that an earlier life of the cloud has used: their instances have to be settled. */
  async start(): Promise<Services> {
    const used = await readdir(join(this.#parts.stateDirectory, 'regions')).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    });
    await Promise.all(used.map((name) => this.of(name)));
    return this.of(this.#parts.home);
  }

  of(name: string): Promise<Services> {
    const known = this.#open.get(name);
    if (known) return known;
    this.check(name);
    const opening = this.#make(name);
    this.#open.set(name, opening);
    // The next request may find what this one missed.
    opening.catch(() => this.#open.delete(name));
    return opening;
  }

  /** Throws for a region that AWS does not have, or that the account has not enabled. */
  check(name: string): void {
    const status = this.known.get(name);
    if (status === undefined) {
      // On AWS the endpoint's name does not resolve, so there is no answer to imitate.
      throw unsupported(`the region ${name}: AWS has none of this name`);
    }
    if (status === 'not-opted-in') {
      // "Enable or disable AWS Regions in your account": requests to a Region that is not enabled are not authenticated.
      throw new ServiceError(
        'AuthFailure',
        'AWS was not able to validate the provided access credentials',
        401,
      );
    }
  }

  async close(): Promise<void> {
    for (const opening of this.#open.values()) await (await opening).region.close();
  }

  async #make(name: string): Promise<Services> {
    const { stateDirectory, home, settings, workerImage, clock, disks, host, log } = this.#parts;
    const directory = name === home ? stateDirectory : join(stateDirectory, 'regions', name);
    await mkdir(directory, { recursive: true });
    const keys = await Keys.open({
      path: join(directory, 'kms.json'),
      clock,
      region: name,
      accountId: settings.accountId,
    });
    const path = join(directory, 'ec2.json');
    const region = new Region({
      settings: { ...settings, region: name },
      clock,
      disks,
      host,
      neighbours: { known: this.known, of: async (other) => (await this.of(other)).region },
      keys,
      path,
      saved: await readState(path),
      log,
    });
    await recover(region);
    const publicParameters = await seedImages(region, name === home ? workerImage : undefined);
    await region.save();
    const parameters = await Parameters.open({
      path: join(directory, 'ssm.json'),
      publicParameters,
      region,
    });
    const throttle = this.#parts.throttle ? new Throttle(clock) : undefined;
    const ebs = new EbsServer({
      region,
      blocks: new BlockStore(disks),
      throttle: this.#parts.throttle ? new EbsThrottle(clock) : undefined,
    });
    return {
      region,
      ec2: new Ec2Server({ region, parameters, throttle, consistency: this.#parts.consistency }),
      ebs,
      parameters,
      keys,
      autoScaling: new AutoScalingServer(region),
      quotas: new Quotas(region.settings),
    };
  }
}

async function readState(path: string): Promise<PersistedState | undefined> {
  const saved = await JsonFile.read<PersistedState>(path);
  if (saved !== undefined && saved.version !== 1) {
    throw new Error(
      `${path} was written by another version of the local cloud (${String(saved.version)}): choose another --state directory.`,
    );
  }
  return saved;
}
