import {
  CompleteSnapshotCommand,
  type EBSClient,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';
import { BLOCK_BYTES } from '../../core/disk-blocks.ts';
import type { SnapshotBlocks } from '../../core/ports.ts';

/**
 * Minutes until EBS gives a snapshot up that nobody writes to (StartSnapshot, Timeout; 60 is its default). What is not completed by then
 * has failed; a resumed build begins another.
 */
const TIMEOUT_MINUTES = 60;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** Snapshots without volumes: the EBS direct APIs. */
export const ebsSnapshotBlocks = (ebs: EBSClient): SnapshotBlocks => ({
  async start({ clientToken, sizeGiB, description, encryption, tags }) {
    const { SnapshotId } = await ebs.send(
      new StartSnapshotCommand({
        ClientToken: clientToken,
        VolumeSize: sizeGiB,
        Description: description,
        Timeout: TIMEOUT_MINUTES,
        Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
        ...(encryption === null ? {} : { Encrypted: true }),
        ...(encryption?.kmsKeyId ? { KmsKeyArn: encryption.kmsKeyId } : {}),
      }),
    );
    if (!SnapshotId) throw new Error('StartSnapshot returned no snapshot id');
    return { snapshotId: SnapshotId };
  },

  async put(snapshotId, index, data, sha256) {
    await ebs.send(
      new PutSnapshotBlockCommand({
        SnapshotId: snapshotId,
        BlockIndex: index,
        BlockData: data,
        DataLength: BLOCK_BYTES,
        Checksum: base64(sha256),
        ChecksumAlgorithm: 'SHA256',
      }),
    );
  },

  async complete(snapshotId, count, checksum) {
    await ebs.send(
      new CompleteSnapshotCommand({
        SnapshotId: snapshotId,
        ChangedBlocksCount: count,
        Checksum: checksum,
        ChecksumAlgorithm: 'SHA256',
        ChecksumAggregationMethod: 'LINEAR',
      }),
    );
  },
});
