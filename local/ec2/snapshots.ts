import type {
  CreateSnapshotCommandInput,
  DeleteSnapshotCommandInput,
  DescribeSnapshotsCommandInput,
  DescribeSnapshotsResult,
  Snapshot,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { isOpenAnywhere } from '../instance-host/open-files.ts';
import { type Action, action } from './action.ts';
import { GIBIBYTE } from './disks.ts';
import { type FilterReader, filtered } from './filters.ts';
import { need, newId } from './ids.ts';
import type { SnapshotRecord, Tags, VolumeRecord } from './model.ts';
import { page } from './pagination.ts';
import { windowsIf } from './platform.ts';
import type { Region } from './region.ts';
import { tagList, tagsFor } from './tag-sets.ts';
import { completedVolume } from './volumes.ts';

/** "Amazon EBS quotas": concurrent snapshots of one gp2 or gp3 volume. */
const PENDING_PER_VOLUME = 5;

export function snapshotActions(region: Region): Action[] {
  return [
    action<CreateSnapshotCommandInput, Snapshot>(
      'CreateSnapshot',
      ['Description', 'TagSpecifications.*', 'VolumeId'],
      (input) => {
        const volume = completedVolume(need('volume', region.volumes, input.VolumeId ?? ''));
        const { snapshot: tags } = tagsFor(input.TagSpecifications, ['snapshot']);
        return describe(startSnapshot(region, volume, input.Description ?? '', tags));
      },
    ),

    action<DescribeSnapshotsCommandInput, DescribeSnapshotsResult>(
      'DescribeSnapshots',
      ['SnapshotIds', 'OwnerIds', 'RestorableByUserIds', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const { accountId } = region.settings;
        const chosen = input.SnapshotIds?.length
          ? input.SnapshotIds.map((id) => need('snapshot', region.snapshots, id))
          : [...region.snapshots.values()];
        for (const id of input.RestorableByUserIds ?? []) {
          if (id !== 'self' && id !== 'all' && id !== accountId)
            throw unsupported('RestorableByUserIds of others');
        }
        const owners = (input.OwnerIds ?? []).map((owner) => (owner === 'self' ? accountId : owner));
        const owned = owners.length > 0 ? chosen.filter((one) => owners.includes(one.ownerId)) : chosen;
        const matching = filtered(owned, input.Filters, FILTERS, DOCUMENTED_FILTERS, (one) =>
          tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: input.SnapshotIds });
        return { Snapshots: items.map(describe), ...more };
      },
    ),

    action<DeleteSnapshotCommandInput, undefined>('DeleteSnapshot', ['SnapshotId'], async (input) => {
      const snapshot = need('snapshot', region.snapshots, input.SnapshotId ?? '');
      if (snapshot.ownerId !== region.settings.accountId) {
        throw new ServiceError('AuthFailure', `You do not own ${snapshot.id}`, 403);
      }
      const image = imageOf(region, snapshot.id);
      // DeleteSnapshot: "You cannot delete a snapshot of the root device of an EBS volume used by a registered AMI."
      if (image) {
        throw new ServiceError(
          'InvalidSnapshot.InUse',
          `The snapshot ${snapshot.id} is currently in use by ${image.id}`,
        );
      }
      await deleteSnapshot(region, snapshot);
      return undefined;
    }),
  ];
}

export const imageOf = (region: Region, snapshotId: string) =>
  [...region.images.values()].find((image) =>
    image.mappings.some((mapping) => mapping.Ebs?.SnapshotId === snapshotId),
  );

export async function deleteSnapshot(region: Region, snapshot: SnapshotRecord): Promise<void> {
  region.snapshots.delete(snapshot.id);
  await region.disks.deleteSnapshot(snapshot.id);
}

/** Starts a snapshot of what the volume holds now; it is `pending` until its file is whole. */
export function startSnapshot(
  region: Region,
  volume: VolumeRecord,
  description: string,
  tags: Tags,
): SnapshotRecord {
  const pending = [...region.snapshots.values()].filter(
    (one) => one.volumeId === volume.id && one.state === 'pending',
  );
  if (pending.length >= PENDING_PER_VOLUME) {
    throw new ServiceError(
      'ConcurrentSnapshotLimitExceeded',
      `Maximum allowed in-progress snapshots for a single volume exceeded (${PENDING_PER_VOLUME}).`,
    );
  }
  const snapshot: SnapshotRecord = {
    id: newId('snap'),
    state: 'pending',
    progress: '0%',
    volumeId: volume.id,
    size: volume.size,
    description,
    ownerId: region.settings.accountId,
    startTime: region.clock.now(),
    blank: false,
    ...(volume.kmsKeyId === undefined ? {} : { kmsKeyId: volume.kmsKeyId }),
    ...windowsIf(volume.windows),
    tags,
  };
  region.snapshots.set(snapshot.id, snapshot);
  const bytes = volume.size * GIBIBYTE;
  const taken = region.disks
    .exclusively(volume.id, async () => {
      const alive = volume.writers.filter((id) => mayWrite(region, id));
      // Detached and closed: its link is gone from every /dev, so nobody can open the file any more.
      const detached = volume.attachments.length === 0;
      const closed = detached && !(await isOpenAnywhere(region.disks.volume(volume.id)));
      const writers = closed ? [] : alive;
      const take = () => region.disks.takeSnapshot(volume.id, snapshot.id, bytes, writers.length > 0);
      return region.host.whileFrozen(writers, take);
    })
    .catch((error: unknown) => {
      snapshot.state = 'error';
      snapshot.stateMessage = `local cloud: ${String(error)}`;
      region.log(`ec2: ${snapshot.id}: ${String(error)}`);
    });
  region.later(0, async () => {
    await taken;
    region.later(region.settings.delays.snapshotPending, async () => {
      if (!region.snapshots.has(snapshot.id)) await region.disks.deleteSnapshot(snapshot.id);
      if (snapshot.state !== 'pending') return;
      snapshot.state = 'completed';
      snapshot.progress = '100%';
      snapshot.completionTime = region.clock.now();
    });
  });
  return snapshot;
}

/** Whether the body of the instance has, or is about to get, the disks that it has seen. */
function mayWrite(region: Region, instanceId: string): boolean {
  const instance = region.instances.get(instanceId);
  return instance !== undefined && instance.state !== 'stopped' && instance.state !== 'terminated';
}

function describe(snapshot: SnapshotRecord): Snapshot {
  return {
    ...(snapshot.completionTime === undefined ? {} : { CompletionTime: new Date(snapshot.completionTime) }),
    Description: snapshot.description,
    Encrypted: snapshot.kmsKeyId !== undefined,
    ...(snapshot.kmsKeyId === undefined ? {} : { KmsKeyId: snapshot.kmsKeyId }),
    OwnerId: snapshot.ownerId,
    Progress: snapshot.progress,
    SnapshotId: snapshot.id,
    StartTime: new Date(snapshot.startTime),
    State: snapshot.state,
    ...(snapshot.stateMessage === undefined ? {} : { StateMessage: snapshot.stateMessage }),
    StorageTier: 'standard',
    Tags: tagList(snapshot.tags),
    VolumeId: snapshot.volumeId,
    VolumeSize: snapshot.size,
  };
}

const FILTERS: Record<string, FilterReader<SnapshotRecord>> = {
  description: (one) => [one.description],
  encrypted: (one) => [one.kmsKeyId !== undefined],
  'owner-id': (one) => [one.ownerId],
  progress: (one) => [one.progress],
  'snapshot-id': (one) => [one.id],
  'start-time': (one) => [new Date(one.startTime).toISOString()],
  status: (one) => [one.state],
  'storage-tier': () => ['standard'],
  'volume-id': (one) => [one.volumeId],
  'volume-size': (one) => [one.size],
};

const DOCUMENTED_FILTERS = ['owner-alias', 'transfer-type'];
