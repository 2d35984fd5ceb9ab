import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { ImageError, reason } from './errors.ts';
import type { ImageSink } from './ufs2/data-stream.ts';

/** An image as a sparse file: what is never written stays a hole. */
export class ImageFile implements ImageSink {
  readonly #path: string;
  readonly #fd: number;

  /**
   * Makes the file anew, `size` bytes long and all hole.
   * @throws ImageError `WriteFailed`
   */
  constructor(path: string, size: number) {
    this.#path = path;
    try {
      this.#fd = openSync(path, 'w');
      ftruncateSync(this.#fd, size);
    } catch (error) {
      throw writeFailed(path, error);
    }
  }

  write(position: number, source: Uint8Array, offset: number, length: number): void {
    let done = 0;
    try {
      while (done < length) {
        done += writeSync(this.#fd, source, offset + done, length - done, position + done);
      }
    } catch (error) {
      throw writeFailed(this.#path, error);
    }
  }

  close(): void {
    try {
      closeSync(this.#fd);
    } catch (error) {
      throw writeFailed(this.#path, error);
    }
  }

  /** Takes the unfinished file away. */
  discard(): void {
    closeSync(this.#fd);
    unlinkSync(this.#path);
  }
}

function writeFailed(path: string, cause: unknown): ImageError {
  return new ImageError(
    'WriteFailed',
    `${path}: ${reason(cause)}`,
    'free space on the disk of the image, or choose another path',
    cause,
  );
}
