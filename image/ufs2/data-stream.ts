/** Where an image goes. Offsets are bytes from the start of the file system. */
export interface ImageSink {
  /** Writes `length` bytes of `source` from `offset` on at `position`. Must not keep `source`. */
  write(position: number, source: Uint8Array, offset: number, length: number): void;
}

/**
 * Joins writes that follow each other on the disk into large ones. Callers ask for room at an address, fill it, and
 * the next call may send it off. Room that was given before can be asked for again while it is still held.
 */
export class DataStream {
  /** Buffer that holds the room of the last `room` call, at `offset`. */
  buffer: Buffer;
  offset = 0;

  readonly #sink: ImageSink;
  readonly #window: Buffer;
  #scratch: Buffer;
  #base = 0;
  #length = 0;
  #strayAt = -1;
  #strayLength = 0;

  /** @param capacity bytes held back at most */
  constructor(sink: ImageSink, capacity: number) {
    this.#sink = sink;
    this.#window = Buffer.allocUnsafe(capacity);
    this.#scratch = Buffer.alloc(0);
    this.buffer = this.#window;
  }

  get capacity(): number {
    return this.#window.length;
  }

  /** How many bytes at `address` could be joined to what is held, without sending anything first. */
  space(address: number): number {
    return address === this.#base + this.#length ? this.#window.length - this.#length : 0;
  }

  /**
   * Gives room for `length` bytes at byte `address`: `buffer` from `offset` on, with whatever bytes are there. Valid
   * until the next call.
   */
  room(address: number, length: number): void {
    this.#sendStray();
    const at = address - this.#base;
    if (at >= 0 && at + length <= this.#length) {
      this.buffer = this.#window;
      this.offset = at;
      return;
    }
    if (address < this.#base + this.#length && address + length > this.#base) {
      // Partly held: never happens for aligned blocks and their fragments, and must not be guessed at.
      throw new Error(`room at ${address} overlaps what is held`);
    }
    if (at < 0) {
      // A gap that was sent long ago: written by itself, so that the long runs stay whole.
      if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafe(length);
      this.buffer = this.#scratch;
      this.offset = 0;
      this.#strayAt = address;
      this.#strayLength = length;
      return;
    }
    if (at !== this.#length || this.#length + length > this.#window.length) {
      this.#sendWindow();
      this.#base = address;
    }
    this.buffer = this.#window;
    this.offset = this.#length;
    this.#length += length;
  }

  /** Sends everything that is held. */
  flush(): void {
    this.#sendStray();
    this.#sendWindow();
  }

  #sendStray(): void {
    if (this.#strayAt < 0) return;
    this.#sink.write(this.#strayAt, this.#scratch, 0, this.#strayLength);
    this.#strayAt = -1;
  }

  #sendWindow(): void {
    if (this.#length > 0) this.#sink.write(this.#base, this.#window, 0, this.#length);
    this.#base += this.#length;
    this.#length = 0;
  }
}
