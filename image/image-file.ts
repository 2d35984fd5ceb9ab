import { closeSync, fstatSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { ImageError, reason } from './errors.ts';
import type { ImageSink } from './ufs2/data-stream.ts';
import type { ByteReader } from './ufs2/reader.ts';

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

  /** Takes the unfinished file away; a device stays. */
  discard(): void {
    const isFile = fstatSync(this.#fd).isFile();
    closeSync(this.#fd);
    if (isFile) unlinkSync(this.#path);
  }
}

/** A file system inside an image file, from byte `offset` on. */
export class ImageFileReader implements ByteReader {
  readonly size: number;
  readonly #fd: number;
  readonly #offset: number;

  /** @throws ImageError `ReadFailed` */
  constructor(path: string, offset = 0) {
    try {
      this.#fd = openSync(path, 'r');
    } catch (error) {
      throw new ImageError(
        'ReadFailed',
        `${path}: ${reason(error)}`,
        'name an image that can be read',
        error,
      );
    }
    this.#offset = offset;
    this.size = Math.max(0, fstatSync(this.#fd).size - offset);
  }

  read(position: number, target: Uint8Array, offset: number, length: number): void {
    let done = 0;
    while (done < length) {
      const got = readSync(this.#fd, target, offset + done, length - done, this.#offset + position + done);
      if (got === 0) {
        target.fill(0, offset + done, offset + length);
        return;
      }
      done += got;
    }
  }

  close(): void {
    closeSync(this.#fd);
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
