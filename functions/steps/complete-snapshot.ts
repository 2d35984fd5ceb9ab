import * as z from 'zod/mini';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import { linearChecksum, readBlockIndex, readPiece } from '../../core/disk-blocks.ts';
import { FactoryError } from '../../core/errors.ts';
import { blockDigestsKey } from '../../core/names.ts';
import type { Artifacts, SnapshotBlocks, Snapshots } from '../../core/ports.ts';

export const completeSnapshotStep = {
  name: 'complete-snapshot',
  input: z.pick(buildState, { plan: true, report: true, snapshot: true }),
  output: z.object({}),
  options: z.object({}),
};

interface CompleteSnapshotDependencies {
  readonly snapshots: Pick<Snapshots, 'describe'>;
  readonly artifacts: Pick<Artifacts, 'get'>;
  readonly blocks: Pick<SnapshotBlocks, 'complete'>;
}

/** Seals the snapshot: EBS compares how many blocks it has and the checksum over all of them. */
export const completeSnapshot =
  ({ snapshots, artifacts, blocks }: CompleteSnapshotDependencies) =>
  async (
    { plan: { build }, report, snapshot: { snapshotId } }: Pick<BuildState, 'plan' | 'report' | 'snapshot'>,
    retryCount: number,
  ): Promise<Record<string, never>> => {
    if ((await snapshots.describe(snapshotId))?.state === 'completed') return {};
    const { indexSha256 } = required(report.blocks, 'report.blocks');
    const digests: Uint8Array[] = [];
    for (const piece of readBlockIndex(await readPiece(artifacts, build, 'index'), indexSha256)) {
      const found = await artifacts.get(blockDigestsKey(build, snapshotId, piece.number));
      if (found === undefined || found.length !== piece.blocks.length * 32) {
        throw new FactoryError('PieceMissing', {
          message: `piece ${piece.number} of ${build} was not written into ${snapshotId}: the digests of its blocks are not there`,
          remedy: 'build again.',
        });
      }
      for (let at = 0; at < found.length; at += 32) digests.push(found.subarray(at, at + 32));
    }
    try {
      await blocks.complete(snapshotId, digests.length, linearChecksum(digests));
    } catch (error) {
      if (!(error instanceof Error && error.name === 'ValidationException')) throw error;
      // The answer to an earlier try was lost: what is sealed already cannot be sealed. WaitForSnapshot sees whether it was that.
      if (retryCount > 0 && !/checksum|block/i.test(error.message)) return {};
      throw new FactoryError(
        'SnapshotRefused',
        {
          message: `EBS does not complete ${snapshotId} with ${digests.length} blocks: ${error.message}`,
          remedy: 'build again; if it recurs, report it.',
        },
        { cause: error },
      );
    }
    return {};
  };
