import { ServiceError } from '../front/service-error.ts';

/** What a kind of id is called in errors, and how ids begin. */
const kinds = {
  i: 'InvalidInstanceID.NotFound',
  vol: 'InvalidVolume.NotFound',
  snap: 'InvalidSnapshot.NotFound',
  ami: 'InvalidAMIID.NotFound',
} as const;

/** Lists of answers, and the member of an item that is its id. */
const lists: Readonly<Record<string, string>> = {
  Instances: 'InstanceId',
  Volumes: 'VolumeId',
  Snapshots: 'SnapshotId',
  Images: 'ImageId',
};

/** The member of an answer that is the id of what was made; RunInstances answers with a list. */
const makes: Readonly<Record<string, string>> = {
  CreateVolume: 'VolumeId',
  CreateSnapshot: 'SnapshotId',
  CopySnapshot: 'SnapshotId',
  RegisterImage: 'ImageId',
  CreateImage: 'ImageId',
  CopyImage: 'ImageId',
};

type Output = Record<string, unknown> | undefined;

/** Of which call the result is slow to be seen. */
export interface Lag {
  readonly action: string;
  readonly where: (input: Readonly<Record<string, unknown>>) => boolean;
  /** How many calls miss it: those that name it, and those that would list it. */
  readonly looks: number;
}

/**
 * "Eventual consistency in the Amazon EC2 API" (EC2 Developer Guide): what was made a moment ago may be unknown to the next
 * calls, and missing in lists. Here only what a test asks for.
 */
export class Consistency {
  readonly #lags = new Set<Lag>();
  readonly #unseen = new Map<string, number>();

  /** The next result of such a call. */
  lag(lag: Lag): void {
    this.#lags.add(lag);
  }

  /** Refuses a call that names what is not seen yet. */
  check(input: Readonly<Record<string, unknown>>): void {
    if (this.#unseen.size === 0) return;
    for (const text of strings(input)) {
      if (!this.#missed(text)) continue;
      const kind = text.slice(0, text.indexOf('-')) as keyof typeof kinds;
      throw new ServiceError(kinds[kind], `The ID '${text}' does not exist`);
    }
  }

  /** What a call is answered with: new things of which a test says so are unseen from now on. */
  view<T extends Output>(action: string, input: Readonly<Record<string, unknown>>, output: T): T {
    const lag = [...this.#lags].find((one) => one.action === action && one.where(input));
    if (lag) {
      this.#lags.delete(lag);
      const { Instances = [] } = (output ?? {}) as { Instances?: { InstanceId: string }[] };
      const id = output?.[makes[action] ?? ''];
      const ids = typeof id === 'string' ? [id] : Instances.map(({ InstanceId }) => InstanceId);
      for (const one of ids) this.#unseen.set(one, lag.looks);
      return output;
    }
    return this.#unseen.size > 0 && action.startsWith('Describe') ? this.#without(output) : output;
  }

  /** An answer whose lists have nothing that is unseen; the instances of a reservation are a list within a list. */
  #without<T extends Output>(output: T): T {
    const members = Object.entries(output ?? {}).map(([key, member]) => {
      if (!Array.isArray(member)) return [key, member];
      const items = member as Record<string, unknown>[];
      if (key === 'Reservations') {
        const reservations = items.map((one) => this.#without(one));
        return [
          key,
          reservations.filter(({ Instances }) => !Array.isArray(Instances) || Instances.length > 0),
        ];
      }
      const id = lists[key];
      return [key, id === undefined ? member : items.filter((one) => !this.#missed(String(one[id])))];
    });
    return Object.fromEntries(members) as T;
  }

  #missed(id: string): boolean {
    const left = this.#unseen.get(id);
    if (left === undefined) return false;
    if (left <= 1) this.#unseen.delete(id);
    else this.#unseen.set(id, left - 1);
    return true;
  }
}

function* strings(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null)
    for (const one of Object.values(value)) yield* strings(one);
}
