import {
  CreateSnapshotCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  type EC2Client,
  type Snapshot as Ec2Snapshot,
  type Filter,
  paginateDescribeSnapshots,
} from '@aws-sdk/client-ec2';
import { tagKey } from '../../core/names.ts';
import type { OfBuild, Snapshot, Snapshots } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { buildOf, fromTags, ofAnyBuild, ofBuild, toTagSpecification } from './tags.ts';

const fromEc2 = (snapshot: Ec2Snapshot): Snapshot => ({
  snapshotId: snapshot.SnapshotId ?? '',
  state: snapshot.State ?? 'pending',
  stateMessage: snapshot.StateMessage ?? '',
  kmsKeyId: snapshot.KmsKeyId,
  startedAt: snapshot.StartTime?.getTime(),
  encrypted: snapshot.Encrypted,
  tags: fromTags(snapshot.Tags),
});

async function find(ec2: EC2Client, Filters: Filter[]): Promise<OfBuild<Snapshot>[]> {
  const found: OfBuild<Snapshot>[] = [];
  for await (const page of paginateDescribeSnapshots({ client: ec2 }, { OwnerIds: ['self'], Filters })) {
    found.push(...(page.Snapshots ?? []).map((one) => ({ ...fromEc2(one), build: buildOf(one.Tags) })));
  }
  return found;
}

export const ec2Snapshots = (ec2: EC2Client): Snapshots => ({
  async create(volumeId, description, tags) {
    const { SnapshotId } = await ec2.send(
      new CreateSnapshotCommand({
        VolumeId: volumeId,
        Description: description,
        TagSpecifications: [toTagSpecification('snapshot', tags)],
      }),
    );
    if (!SnapshotId) throw new Error('CreateSnapshot returned no snapshot id');
    return { snapshotId: SnapshotId };
  },

  describe: (snapshotId) =>
    unless(['InvalidSnapshot.NotFound'], async () => {
      const { Snapshots: found = [] } = await ec2.send(
        new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }),
      );
      return found[0];
    }).then((snapshot) => snapshot && fromEc2(snapshot)),

  findByBuild: (build) => find(ec2, ofBuild(build)),
  findOfAnyBuild: () => find(ec2, ofAnyBuild),
  findResumable: (contentDigest) =>
    find(ec2, [
      { Name: `tag:${tagKey.contentDigest}`, Values: [contentDigest] },
      { Name: 'tag-key', Values: [tagKey.resumableUntil] },
    ]),

  async tag(snapshotId, key, value) {
    await ec2.send(new CreateTagsCommand({ Resources: [snapshotId], Tags: [{ Key: key, Value: value }] }));
  },

  async delete(snapshotId) {
    await unless(['InvalidSnapshot.NotFound'], () =>
      ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId })),
    );
  },
});
