import { createHash } from 'node:crypto';
import { FactoryError } from './errors.ts';
import { pieceKey } from './names.ts';
import type { Artifacts } from './ports.ts';

/** A block of the EBS direct APIs (PutSnapshotBlock, DataLength: "the only supported size"). */
export const BLOCK_BYTES = 524_288;

/**
 * Pieces of 128 MiB that a build has links for: 8 GiB of data, however large the volume is. 64 links with a session token make a job of
 * about 100 KB, and the Map over them at most 64 of Step Functions' history entries of eight events each.
 */
export const MOST_PIECES = 64;

/** worker/blocks.sh cuts at this. */
export const BLOCKS_PER_PIECE = 256;
export const PIECES_PER_GIB = 1024 ** 3 / BLOCK_BYTES / BLOCKS_PER_PIECE;

/** A part of the disk as the worker has put it: its blocks, one behind the other. */
export interface Piece {
  readonly number: number;
  /** Of the whole piece, in hex. */
  readonly sha256: string;
  /** Indices of its blocks on the disk, ascending. */
  readonly blocks: readonly number[];
}

export const missingPiece = (build: string, piece: number | 'index'): FactoryError =>
  new FactoryError('PieceMissing', {
    message: `${pieceKey(build, piece)} is not in the artifacts bucket, although the worker reported that it put it there`,
    remedy: 'pieces are kept for two days: if it is older, or somebody removed it, build again.',
  });

/** What the worker has put into the artifacts bucket. Throws `PieceMissing`. */
export async function readPiece(
  artifacts: Pick<Artifacts, 'get'>,
  build: string,
  piece: number | 'index',
): Promise<Uint8Array> {
  const data = await artifacts.get(pieceKey(build, piece));
  if (data === undefined) throw missingPiece(build, piece);
  return data;
}

/** Reads the index that the worker has put last (docs/architecture.md, "Contract: worker"). Throws `PieceChecksumMismatch`. */
export function readBlockIndex(bytes: Uint8Array, sha256: string): readonly Piece[] {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256) {
    throw new FactoryError('PieceChecksumMismatch', {
      message: `the index of the disk has SHA-256 ${found}, and the worker reported ${sha256}`,
      remedy: 'something replaced the object in the artifacts bucket: build again.',
    });
  }
  const lines = Buffer.from(bytes).toString('utf8').trimEnd().split('\n').slice(2);
  return lines.map((line) => {
    const [, number, digest = '', ranges = ''] = /^piece (\d+) ([0-9a-f]{64}) ([0-9,-]+)$/.exec(line) ?? [];
    const blocks = ranges.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
    });
    if (number === undefined || blocks.length > BLOCKS_PER_PIECE) {
      // The digest is right, so this is what the worker has written.
      throw new FactoryError('InvalidState', {
        message: `the index of the disk has the line "${line.slice(0, 80)}", which is no piece`,
        remedy: 'the worker and the functions are of different versions: deploy again.',
      });
    }
    return { number: Number(number), sha256: digest, blocks };
  });
}

/**
 * The checksum that CompleteSnapshot compares, method LINEAR: SHA-256 over the digests of all blocks in ascending order of their index
 * (their bytes: so awslabs/coldsnap does it). Base64.
 */
export const linearChecksum = (digests: readonly Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const digest of digests) hash.update(digest);
  return hash.digest('base64');
};
