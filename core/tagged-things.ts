import type { Thing, ThingKind } from './leftovers.ts';
import type { Images, Instances, OfBuild, Snapshots, Volumes } from './ports.ts';

interface Account {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly images: Images;
}

/** Something that carries the factory's tag and is not on its way out for good. */
export interface TaggedThing extends Thing {
  readonly build: string;
  readonly state: string;
  /** Of a volume: the instances that it is attached to. */
  readonly holders: readonly string[];
  /** Of an image. */
  readonly rootSnapshotId?: string | undefined;
}

/** Instances before the volumes that they hold, images before the snapshots that they hold. */
const order: readonly ThingKind[] = ['instance', 'volume', 'image', 'snapshot'];

const gone = ['terminated', 'deleting', 'deleted'];

/** What one build made, or any build, in the order in which it can go. Whoever has machines or disks comes first: these cost most. */
export async function taggedThings(
  { instances, volumes, snapshots, images }: Account,
  build: string | undefined,
): Promise<TaggedThing[]> {
  const of = <T>(name: string, found: readonly T[]): OfBuild<T>[] =>
    found.map((one) => ({ ...one, build: name }));
  const found =
    build === undefined
      ? {
          machines: await instances.findOfAnyBuild(),
          disks: await volumes.findOfAnyBuild(),
          amis: await images.findOfAnyBuild(),
          copies: await snapshots.findOfAnyBuild(),
        }
      : {
          machines: of(build, await instances.findByBuild(build)),
          disks: of(build, await volumes.findByBuild(build)),
          amis: of(build, await images.findByBuild(build)),
          copies: of(build, await snapshots.findByBuild(build)),
        };
  const holders: string[] = [];
  const things: TaggedThing[] = [
    ...found.machines.map((one) => ({ ...one, kind: 'instance' as const, id: one.instanceId, holders })),
    ...found.disks.map((one) => ({
      ...one,
      kind: 'volume' as const,
      id: one.volumeId,
      holders: one.attachments.map(({ instanceId }) => instanceId),
    })),
    ...found.amis.map((one) => ({ ...one, kind: 'image' as const, id: one.imageId, holders })),
    ...found.copies.map((one) => ({ ...one, kind: 'snapshot' as const, id: one.snapshotId, holders })),
  ];
  return things
    .filter(({ build: name, state }) => name !== '' && !gone.includes(state))
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** Ends one of them; no error when it is gone. */
export const endThing =
  ({ instances, volumes, snapshots, images }: Account) =>
  async ({ kind, id }: Thing): Promise<void> => {
    if (kind === 'instance') await instances.terminate([id]);
    if (kind === 'volume') await volumes.delete(id);
    if (kind === 'image') await images.deregister(id);
    if (kind === 'snapshot') await snapshots.delete(id);
  };
