import { execFile } from 'node:child_process';
import { chmod, link, mkdir, open, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const GIBIBYTE = 1024 ** 3;

/** Where the bytes of a volume are. */
export const volumePath = (stateDirectory: string, id: string): string =>
  join(stateDirectory, 'volumes', `${id}.raw`);
/** Where the bytes of a snapshot are. */
export const snapshotPath = (stateDirectory: string, id: string): string =>
  join(stateDirectory, 'snapshots', `${id}.raw`);

/** Which blocks of a snapshot were written, beside its bytes; only what the EBS direct APIs made has such a list. */
export const blockListPath = (snapshot: string): string => `${snapshot}.blocks`;

const WRITABLE = 0o644;
const READ_ONLY = 0o444;

/**
 * Volumes and snapshots as sparse files.
 *
 * A snapshot of a volume that nobody can write to is a hard link: no byte is copied. The volume's file is given back to
 * itself (copied, holes kept) before an instance sees it again. So the usual way of a build, worker off → snapshot → volume
 * deleted, costs nothing, and a file with one link is always private.
 */
export class Disks {
  readonly #directory: string;
  readonly #turns = new Map<string, Promise<void>>();

  constructor(stateDirectory: string) {
    this.#directory = stateDirectory;
  }

  async open(): Promise<void> {
    await mkdir(join(this.#directory, 'volumes'), { recursive: true });
    await mkdir(join(this.#directory, 'snapshots'), { recursive: true });
  }

  volume(id: string): string {
    return volumePath(this.#directory, id);
  }

  snapshot(id: string): string {
    return snapshotPath(this.#directory, id);
  }

  /**
   * Runs what changes a volume's links or writers alone: a snapshot that links a file which an attachment is just making
   * private would end up sharing it with a writer.
   */
  async exclusively<T>(volumeId: string, act: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(volumeId) ?? Promise.resolve();
    const mine = before.then(act);
    const turn = mine.then(
      () => {},
      () => {}, // The failure is the caller's; the next in turn only waits for the end.
    );
    this.#turns.set(volumeId, turn);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(volumeId) === turn) this.#turns.delete(volumeId);
    }
  }

  async createBlank(volumeId: string, bytes: number): Promise<void> {
    const file = await open(this.volume(volumeId), 'wx', WRITABLE);
    await file.truncate(bytes);
    await file.close();
  }

  async createFromSnapshot(volumeId: string, snapshotId: string): Promise<void> {
    await link(this.snapshot(snapshotId), this.volume(volumeId));
  }

  /** Makes the volume's file its own and `bytes` long: before anything may write to it, and in its turn. */
  async makePrivate(volumeId: string, bytes: number): Promise<void> {
    const path = this.volume(volumeId);
    const before = await stat(path);
    if (before.nlink > 1) {
      const copy = `${path}.copy`;
      await copySparse(path, copy);
      await rename(copy, path);
    }
    await chmod(path, WRITABLE);
    if (before.size < bytes) await truncate(path, bytes);
  }

  /** Takes the volume's content as it is now, in its turn. `frozen` says that a live instance has the disk: then only a copy is safe. */
  async takeSnapshot(volumeId: string, snapshotId: string, bytes: number, frozen: boolean): Promise<void> {
    const source = this.volume(volumeId);
    const target = this.snapshot(snapshotId);
    if ((await stat(source)).size < bytes) await this.makePrivate(volumeId, bytes);
    if (frozen) {
      const partial = `${target}.partial`;
      await copySparse(source, partial);
      await rename(partial, target);
    } else {
      await link(source, target);
    }
    await chmod(target, READ_ONLY);
  }

  /** A copy of a snapshot: neither is ever written to, so one file serves both. */
  async copySnapshot(from: string, to: string): Promise<void> {
    await link(this.snapshot(from), this.snapshot(to));
    try {
      await link(blockListPath(this.snapshot(from)), blockListPath(this.snapshot(to)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // A snapshot of a volume has no list.
    }
  }

  async deleteVolume(id: string): Promise<void> {
    // A snapshot that was started before may still read the file.
    await this.exclusively(id, () => rm(this.volume(id), { force: true }));
  }

  async deleteSnapshot(id: string): Promise<void> {
    await rm(this.snapshot(id), { force: true });
    await rm(`${this.snapshot(id)}.partial`, { force: true });
    await rm(blockListPath(this.snapshot(id)), { force: true });
  }

  async hasVolume(id: string): Promise<boolean> {
    return exists(this.volume(id));
  }

  async hasSnapshot(id: string): Promise<boolean> {
    return exists(this.snapshot(id));
  }
}

/**
 * Copies with the holes where they are; a reflink makes it free where the file system can. What reads as zeroes may be a
 * hole afterwards although it was written: coreutils 9.1 looks for zeroes in every file that has holes, also with
 * `--sparse=auto`. No reader of the disk can tell; only `du` of the snapshot can. Measured on ext4: 0.6 s for 500 MB.
 */
export async function copySparse(from: string, to: string): Promise<void> {
  await run('cp', ['--reflink=auto', '--sparse=auto', from, to]);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
