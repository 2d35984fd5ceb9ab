import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { BLOCK_BYTES, missingPiece, type Piece, readBlockIndex, readPiece } from '../../core/disk-blocks.ts';
import { FactoryError } from '../../core/errors.ts';
import { blockDigestsKey } from '../../core/names.ts';
import type { Artifacts, SnapshotBlocks } from '../../core/ports.ts';

export const writeBlocksStep = {
  name: 'write-blocks',
  /** What the Map gives each of its turns: the whole state would stand in the history for every piece. */
  input: z.object({
    build: z.string(),
    snapshotId: z.string(),
    indexSha256: z.string(),
    piece: z.int(),
  }),
  output: z.object({}),
  options: z.object({}),
};

type WriteBlocksInput = z.output<typeof writeBlocksStep.input>;

interface WriteBlocksDependencies {
  readonly artifacts: Pick<Artifacts, 'get' | 'put'>;
  readonly blocks: Pick<SnapshotBlocks, 'put'>;
}

/**
 * Blocks on their way at once. Four pieces are written beside each other (the Map's MaxConcurrency): 64 connections, as coldsnap has, and
 * below the 1,000 requests a second that one snapshot takes unless each is answered within 64 ms; EBS then says so, and the SDK waits.
 */
const AT_ONCE = 16;

/** Writes one piece of the disk into the snapshot, once; leaves the digests of its blocks behind when all of them stand there. */
export const writeBlocks =
  ({ artifacts, blocks }: WriteBlocksDependencies) =>
  async ({ build, snapshotId, indexSha256, piece }: WriteBlocksInput): Promise<Record<string, never>> => {
    const digestsKey = blockDigestsKey(build, snapshotId, piece);
    if ((await artifacts.get(digestsKey)) !== undefined) return {};
    const wanted = readBlockIndex(await readPiece(artifacts, build, 'index'), indexSha256)[piece - 1];
    if (wanted === undefined) throw missingPiece(build, piece);
    const data = checked(await readPiece(artifacts, build, piece), wanted);

    const digests = new Uint8Array(wanted.blocks.length * 32);
    const waiting = wanted.blocks.entries();
    // Workers take from one iterator: what is slow holds up itself only.
    let failed = false;
    const work = async () => {
      for (const [position, index] of waiting) {
        if (failed) return;
        const block = data.subarray(position * BLOCK_BYTES, (position + 1) * BLOCK_BYTES);
        const digest = createHash('sha256').update(block).digest();
        await blocks.put(snapshotId, index, block, digest).catch((error: unknown) => {
          failed = true;
          throw error;
        });
        digests.set(digest, position * 32);
      }
    };
    // All come to rest before the function does: what Lambda freezes in mid-air goes on in the next call.
    const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
    const end = ends.find(({ status }) => status === 'rejected');
    if (end?.status === 'rejected') throw end.reason;
    await artifacts.put(digestsKey, digests, 'application/octet-stream');
    return {};
  };

/** The bytes of a piece, once they are those that the worker had. */
function checked(data: Uint8Array, { number, sha256, blocks }: Piece): Uint8Array {
  const bytes = blocks.length * BLOCK_BYTES;
  if (data.length !== bytes) {
    throw new FactoryError('PieceTruncated', {
      message: `piece ${number} has ${data.length} bytes, and its ${blocks.length} blocks have ${bytes}`,
      remedy: 'something replaced the object in the artifacts bucket: build again.',
    });
  }
  const found = createHash('sha256').update(data).digest('hex');
  if (found !== sha256) {
    throw new FactoryError('PieceChecksumMismatch', {
      message: `piece ${number} has SHA-256 ${found}, and the worker had ${sha256}`,
      remedy: 'something replaced the object in the artifacts bucket: build again.',
    });
  }
  return data;
}
