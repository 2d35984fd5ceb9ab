import { chmod, link, rename } from 'node:fs/promises';
import { blockListPath, copySparse } from '../ec2/disks.ts';
import { writtenBlocks } from './block-store.ts';
import { fillWithGarbage } from './garbage.ts';

const WRITABLE = 0o644;

/**
 * What an encrypted disk reads that is made of an unencrypted snapshot. Blocks that the EBS direct APIs never put are noise there too
 * (awslabs/coldsnap#470: an unencrypted image, launched with encryption switched on). A snapshot of a volume has no list of
 * blocks, so all of it counts as written. Gives a file that may be linked to others when nothing had to be changed.
 */
export async function encrypt(from: string, to: string): Promise<void> {
  const written = await writtenBlocks(from);
  if (written === undefined) {
    await link(from, to);
    return;
  }
  const partial = `${to}.partial`;
  await copySparse(from, partial);
  await chmod(partial, WRITABLE);
  await fillWithGarbage(partial, written, from);
  await rename(partial, to);
}

/** The same for a copy that is a snapshot: which blocks were written stays known. */
export async function encryptSnapshot(from: string, to: string): Promise<void> {
  await encrypt(from, to);
  if ((await writtenBlocks(from)) !== undefined) await link(blockListPath(from), blockListPath(to));
}
