import { DIRECTORY_CHUNK } from './format.ts';

/** Bytes of a directory record with a name of `length` bytes: header, name, NUL, rounded to 4 (DIRSIZ in dir.h). */
export function recordSize(length: number): number {
  return 8 + ((length + 4) & ~3);
}

/** Adds up the size of a directory without building it. */
export class DirectorySizer {
  #chunks = 1;
  #used = recordSize(1) + recordSize(2);

  add(nameLength: number): void {
    const size = recordSize(nameLength);
    if (this.#used + size > DIRECTORY_CHUNK) {
      this.#chunks++;
      this.#used = 0;
    }
    this.#used += size;
  }

  get bytes(): number {
    return this.#chunks * DIRECTORY_CHUNK;
  }
}

/**
 * Packs directory records chunk by chunk. A record never crosses a chunk of 512 bytes, and the last record of a
 * chunk reaches to its end, so that the kernel finds the free space there.
 */
export class DirectoryPacker {
  readonly chunk: Buffer = Buffer.alloc(DIRECTORY_CHUNK);
  #used = 0;
  #last = 0;

  /** True if a record for a name of this length still fits into the chunk. */
  fits(nameLength: number): boolean {
    return this.#used + recordSize(nameLength) <= DIRECTORY_CHUNK;
  }

  /** @param type the d_type of the entry: the type bits of its mode, shifted right by 12 */
  add(inode: number, type: number, name: Uint8Array, start: number, length: number): void {
    const size = recordSize(length);
    const at = this.#used;
    this.chunk.writeUInt32LE(inode, at);
    this.chunk.writeUInt16LE(size, at + 4);
    this.chunk[at + 6] = type;
    this.chunk[at + 7] = length;
    this.chunk.set(name.subarray(start, start + length), at + 8);
    this.#last = at;
    this.#used += size;
  }

  /** Stretches the last record to the end of the chunk; the chunk may be written now. */
  close(): void {
    this.chunk.writeUInt16LE(DIRECTORY_CHUNK - this.#last, this.#last + 4);
  }

  /** Starts an empty chunk. */
  reset(): void {
    this.chunk.fill(0);
    this.#used = 0;
    this.#last = 0;
  }
}

export interface DirectoryRecord {
  readonly offset: number;
  readonly inode: number;
  readonly recordLength: number;
  readonly type: number;
  /** Bytes of the name as latin1 characters. */
  readonly name: string;
}

/** A record that breaks the rules; the rest of its chunk cannot be read. */
export interface BrokenRecord {
  readonly offset: number;
  readonly problem: string;
}

/** All records of a directory, those with inode 0 (deleted) included. */
export function* readRecords(content: Buffer): Generator<DirectoryRecord | BrokenRecord> {
  for (let chunk = 0; chunk < content.length; chunk += DIRECTORY_CHUNK) {
    const end = Math.min(chunk + DIRECTORY_CHUNK, content.length);
    let offset = chunk;
    while (offset < end) {
      if (end - offset < 12) {
        yield { offset, problem: 'the chunk ends inside a record' };
        break;
      }
      const recordLength = content.readUInt16LE(offset + 4);
      const nameLength = content[offset + 7] ?? 0;
      if (recordLength === 0 || recordLength % 4 !== 0 || offset + recordLength > end) {
        yield { offset, problem: `record length ${recordLength} does not end inside its chunk` };
        break;
      }
      const inode = content.readUInt32LE(offset);
      if (inode !== 0 && recordLength < recordSize(nameLength)) {
        yield { offset, problem: `record length ${recordLength} is too short for its name` };
        break;
      }
      yield {
        offset,
        inode,
        recordLength,
        type: content[offset + 6] ?? 0,
        name: content.toString('latin1', offset + 8, offset + 8 + nameLength),
      };
      offset += recordLength;
    }
  }
}
