import { mkdir, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `starttime` of a process (proc_pid_stat(5), field 22), so that a recycled pid is not taken for the old process. */
export async function processStart(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command name in field 2 may hold spaces and parentheses: count from the last ')'.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // Z: it has ended, and nobody has asked how.
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether the process that was recorded as (pid, start) still lives. */
export async function processLives(pid: number, start: string | undefined): Promise<boolean> {
  const now = await processStart(pid);
  if (now !== undefined) return start === undefined || now === start;
  try {
    process.kill(pid, 0);
    return start === undefined;
  } catch {
    return false;
  }
}

/** Another cloud lives in the directory; the message says whose process it is. */
export class StateDirectoryInUse extends Error {
  override name = 'StateDirectoryInUse';
}

/**
 * Takes `directory/lock`: two clouds on one state would overwrite each other's disks. A lock left by a process that
 * lives no more is taken over.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, 'lock');
  const mine = JSON.stringify({ pid: process.pid, start: await processStart(process.pid) });
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(mine);
      await file.close();
      return async () => {
        if ((await readFile(path, 'utf8').catch(() => '')) === mine) await unlink(path);
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = await lockOwner(directory);
    if (owner && (await processLives(owner.pid, owner.start))) {
      throw new StateDirectoryInUse(
        `Another local cloud (process ${owner.pid}) uses ${directory}. Stop it or choose another --state directory.`,
      );
    }
    await rm(path, { force: true });
  }
  throw new Error(`Could not take ${path}: it keeps coming back.`);
}

/** Who took `directory/lock`, be it alive or not. */
export const lockOwner = async (directory: string): Promise<{ pid: number; start?: string } | undefined> =>
  parseOwner(await readFile(join(directory, 'lock'), 'utf8').catch(() => ''));

function parseOwner(text: string): { pid: number; start?: string } | undefined {
  try {
    const owner = JSON.parse(text) as { pid?: unknown; start?: string };
    return typeof owner.pid === 'number' ? (owner as { pid: number; start?: string }) : undefined;
  } catch {
    return undefined; // An empty or cut-off lock file: its writer died between create and write.
  }
}

/**
 * One JSON file, written whole: temporary file, then rename, so a reader or a restart sees the old or the new state and
 * never half of one. Safe against the death of this process; not against a power cut (no fsync: a laptop toy's price).
 */
export class JsonFile<T> {
  readonly #path: string;
  readonly #value: () => T;
  #dirty = false;
  #writing: Promise<void> | undefined;

  constructor(path: string, value: () => T) {
    this.#path = path;
    this.#value = value;
  }

  static async read<T>(path: string): Promise<T | undefined> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return JSON.parse(text) as T;
  }

  /** Resolves when a state at least as new as now is on disk; calls made meanwhile share one write. */
  async save(): Promise<void> {
    this.#dirty = true;
    while (this.#dirty || this.#writing) {
      if (this.#writing) {
        await this.#writing;
      } else {
        this.#dirty = false;
        this.#writing = this.#write().finally(() => {
          this.#writing = undefined;
        });
        await this.#writing;
      }
    }
  }

  async #write(): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    await writeFile(temporary, JSON.stringify(this.#value()));
    await rename(temporary, this.#path);
  }
}
