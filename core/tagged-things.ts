import type { Thing, ThingKind } from './leftovers.ts';
import type { Image, Images, Instances, OfBuild, Snapshot, Snapshots, Volumes } from './ports.ts';
import { resumableUntil } from './resumable.ts';

interface Account {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly images: Images;
}

/** A region that has copies and nothing else of the factory's. */
export interface Elsewhere {
  readonly region: string;
  readonly snapshots: Snapshots;
  readonly images: Images;
}

/** Something that carries the factory's tag and is not on its way out for good. */
export interface TaggedThing extends Thing {
  readonly build: string;
  readonly state: string;
  /** Where it is; undefined in the factory's own region. */
  readonly region?: string;
  /** Of a volume: the instances that it is attached to. */
  readonly holders: readonly string[];
  /** Of an image. */
  readonly rootSnapshotId?: string | undefined;
}

/** Instances before the volumes that they hold, images before the snapshots that they hold. */
const order: readonly ThingKind[] = ['instance', 'volume', 'image', 'snapshot'];

const gone = ['terminated', 'deleting', 'deleted'];

interface Findable<T> {
  findByBuild(build: string): Promise<T[]>;
  findOfAnyBuild(): Promise<OfBuild<T>[]>;
}

const foundIn = async <T>(port: Findable<T>, build: string | undefined): Promise<OfBuild<T>[]> =>
  build === undefined
    ? await port.findOfAnyBuild()
    : (await port.findByBuild(build)).map((one) => ({ ...one, build }));

/** What one build made, or any build, in the order in which it can go. Whoever has machines or disks comes first: these cost most. */
export async function taggedThings(
  { instances, volumes, snapshots, images }: Account,
  build: string | undefined,
): Promise<TaggedThing[]> {
  const things: TaggedThing[] = [
    ...(await foundIn(instances, build)).map((one) => ({
      ...one,
      kind: 'instance' as const,
      id: one.instanceId,
      holders: [],
    })),
    ...(await foundIn(volumes, build)).map((one) => ({
      ...one,
      kind: 'volume' as const,
      id: one.volumeId,
      holders: one.attachments.map(({ instanceId }) => instanceId),
    })),
    ...imagesOf(await foundIn(images, build)),
    ...snapshotsOf(await foundIn(snapshots, build)),
  ];
  return inOrder(things);
}

/** The same of a region that has copies only. */
export async function taggedCopies(
  { region, images, snapshots }: Elsewhere,
  build: string | undefined,
): Promise<TaggedThing[]> {
  const things = [...imagesOf(await foundIn(images, build)), ...snapshotsOf(await foundIn(snapshots, build))];
  return inOrder(things.map((one) => ({ ...one, region })));
}

const imagesOf = (found: readonly OfBuild<Image>[]): TaggedThing[] =>
  found.map((one) => ({
    ...one,
    resumableUntil: resumableUntil(one.tags),
    kind: 'image',
    id: one.imageId,
    holders: [],
  }));

const snapshotsOf = (found: readonly OfBuild<Snapshot>[]): TaggedThing[] =>
  found.map((one) => ({
    ...one,
    resumableUntil: resumableUntil(one.tags),
    kind: 'snapshot',
    id: one.snapshotId,
    holders: [],
  }));

const inOrder = (things: readonly TaggedThing[]): TaggedThing[] =>
  things
    .filter(({ build, state }) => build !== '' && !gone.includes(state))
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));

/** Ends one of them; no error when it is gone. */
export const endThing =
  (account: Account, elsewhere: readonly Elsewhere[]) =>
  async ({ kind, id, region }: TaggedThing): Promise<void> => {
    const place = region === undefined ? account : elsewhere.find((one) => one.region === region);
    if (kind === 'instance') await account.instances.terminate([id]);
    if (kind === 'volume') await account.volumes.delete(id);
    if (kind === 'image') await place?.images.deregister(id);
    if (kind === 'snapshot') await place?.snapshots.delete(id);
  };
