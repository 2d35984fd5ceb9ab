import { createCipheriv, createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { BLOCK_BYTES } from './block-size.ts';

/**
 * Fills what no block was put for. An encrypted volume decrypts whatever stands there, so a block that was never written does not read
 * as zeroes but as noise (awslabs/coldsnap#395 and #470, bottlerocket-os/bottlerocket#2169). Equal seed, equal noise.
 */
export async function fillWithGarbage(
  path: string,
  present: { has(index: number): boolean },
  seed: string,
): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const zeroes = Buffer.alloc(BLOCK_BYTES);
    for (let index = 0; index * BLOCK_BYTES < size; index++) {
      if (present.has(index)) continue;
      const key = createHash('sha256').update(`${seed} ${index}`).digest();
      const noise = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16)).update(zeroes);
      await file.write(noise, 0, Math.min(BLOCK_BYTES, size - index * BLOCK_BYTES), index * BLOCK_BYTES);
    }
  } finally {
    await file.close();
  }
}
