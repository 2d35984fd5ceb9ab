import type {
  ListChangedBlocksRequest,
  ListChangedBlocksResponse,
  ListSnapshotBlocksRequest,
  ListSnapshotBlocksResponse,
} from '@aws-sdk/client-ebs';
import type { SnapshotRecord } from '../ec2/model.ts';
import type { Region } from '../ec2/region.ts';
import { BLOCK_BYTES } from './block-size.ts';
import type { BlockList, BlockStore } from './block-store.ts';
import { invalid } from './errors.ts';
import { snapshotOf } from './snapshots.ts';
import { blockToken, checkBlockToken, expiry, pageStart, pageToken } from './tokens.ts';

/** Shape MaxResults: 100 to 10,000. */
const RESULTS = { least: 100, most: 10_000 };

/** Fails unless the snapshot can be read: "Read Amazon EBS snapshots with EBS direct APIs" knows completed ones only. */
function readable(region: Region, id: string): SnapshotRecord {
  const snapshot = snapshotOf(region, id);
  if (snapshot.state !== 'completed') {
    throw invalid('INVALID_SNAPSHOT_ID', `The snapshot '${id}' is ${snapshot.state}, not completed.`);
  }
  return snapshot;
}

const listOf = async (blocks: BlockStore, snapshot: SnapshotRecord): Promise<BlockList> =>
  snapshot.blank ? new Map() : await blocks.list(snapshot.id);

export async function listSnapshotBlocks(
  region: Region,
  blocks: BlockStore,
  input: ListSnapshotBlocksRequest,
): Promise<ListSnapshotBlocksResponse> {
  const snapshot = readable(region, input.SnapshotId ?? '');
  const now = region.clock.now();
  const { indices, next } = page([...(await listOf(blocks, snapshot)).keys()], input);
  return {
    Blocks: indices.map((BlockIndex) => ({
      BlockIndex,
      BlockToken: blockToken(snapshot.id, BlockIndex, now),
    })),
    ...common(snapshot, now, next),
  };
}

export async function listChangedBlocks(
  region: Region,
  blocks: BlockStore,
  input: ListChangedBlocksRequest,
): Promise<ListChangedBlocksResponse> {
  // ListChangedBlocks: "The FirstSnapshotID parameter must be specified with a SecondSnapshotId parameter".
  if (input.FirstSnapshotId === undefined) {
    throw invalid('INVALID_PARAMETER_VALUE', 'FirstSnapshotId and SecondSnapshotId belong together.');
  }
  const first = readable(region, input.FirstSnapshotId);
  const second = readable(region, input.SecondSnapshotId ?? '');
  const [before, after] = [await listOf(blocks, first), await listOf(blocks, second)];
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    (index) => before.get(index)?.sha256 !== after.get(index)?.sha256,
  );
  const now = region.clock.now();
  const { indices, next } = page(changed, input);
  return {
    ChangedBlocks: indices.map((BlockIndex) => ({
      BlockIndex,
      ...(before.has(BlockIndex) ? { FirstBlockToken: blockToken(first.id, BlockIndex, now) } : {}),
      ...(after.has(BlockIndex) ? { SecondBlockToken: blockToken(second.id, BlockIndex, now) } : {}),
    })),
    ...common(second, now, next),
  };
}

/** A block that the snapshot has, with its checksum. */
export async function getSnapshotBlock(
  region: Region,
  blocks: BlockStore,
  { snapshotId, index, token }: { snapshotId: string; index: number; token: string | null },
): Promise<{ data: Buffer; sha256: string }> {
  const snapshot = readable(region, snapshotId);
  checkBlockToken(token, snapshotId, index, region.clock.now());
  const block = (await listOf(blocks, snapshot)).get(index);
  if (block === undefined) throw invalid('INVALID_BLOCK', `The snapshot has no block ${index}.`);
  return { data: await blocks.read(snapshotId, index), sha256: block.sha256 };
}

function page(
  all: number[],
  input: {
    NextToken?: string | undefined;
    StartingBlockIndex?: number | undefined;
    MaxResults?: number | undefined;
  },
): { indices: number[]; next: number | undefined } {
  const { MaxResults: most = RESULTS.most, NextToken } = input;
  if (most < RESULTS.least || most > RESULTS.most) {
    throw invalid('INVALID_PARAMETER_VALUE', `MaxResults is ${RESULTS.least} to ${RESULTS.most}.`);
  }
  // "If you specify NextToken, then StartingBlockIndex is ignored."
  const start = NextToken === undefined ? (input.StartingBlockIndex ?? 0) : pageStart(NextToken);
  const from = all.filter((index) => index >= start).sort((a, b) => a - b);
  return { indices: from.slice(0, most), next: from[most] };
}

const common = (snapshot: SnapshotRecord, now: number, next: number | undefined) => ({
  ExpiryTime: new Date(expiry(now)),
  VolumeSize: snapshot.size,
  BlockSize: BLOCK_BYTES,
  ...(next === undefined ? {} : { NextToken: pageToken(next) }),
});
