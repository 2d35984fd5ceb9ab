import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, open, rename, rm, stat, truncate } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { GIBIBYTE } from './disks.ts';

const run = promisify(execFile);

/** The file that WORKER_IMAGE names cannot be what workers boot from. */
export class WorkerImageUnusable extends Error {
  override readonly name = 'WorkerImageUnusable';
  constructor(file: string, problem: string, options?: ErrorOptions) {
    super(`WORKER_IMAGE=${file}: ${problem}`, options);
  }
}

/** A disk of FreeBSD's that workers boot from. */
export interface WorkerImage {
  readonly file: string;
  /** Changes with the file. */
  readonly identity: string;
  /** Writes it as a raw disk of whole GiB, at least `bytes` long. Throws {@link WorkerImageUnusable}. */
  unpack(to: string, bytes: number): Promise<{ architecture: 'amd64' | 'arm64'; bytes: number }>;
}

/** Looks whether the file is there; that it is a disk shows when it is unpacked. */
export async function findWorkerImage(path: string): Promise<WorkerImage> {
  const file = resolve(path);
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new WorkerImageUnusable(path, `cannot be read (${error.code})`, { cause: error });
  });
  if (!found.isFile()) throw new WorkerImageUnusable(path, 'is not a file');
  const facts = JSON.stringify([file, found.size, found.mtimeMs]);
  return {
    file,
    identity: createHash('sha256').update(facts).digest('hex').slice(0, 12),
    async unpack(to, bytes) {
      const partial = `${to}.partial`;
      try {
        await toRaw(file, partial);
        const whole = Math.ceil(Math.max((await stat(partial)).size, bytes) / GIBIBYTE) * GIBIBYTE;
        // The table's second copy is no longer at the end then, as on every volume that is larger than its snapshot: growfs mends it.
        await truncate(partial, whole);
        const architecture = await architectureOf(partial, path);
        await chmod(partial, 0o444);
        await rename(partial, to);
        return { architecture, bytes: whole };
      } finally {
        await rm(partial, { force: true });
      }
    },
  };
}

/** First bytes of what people may take for a disk. */
const formats = {
  qcow2: Buffer.from('QFI\xfb', 'latin1'),
  xz: Buffer.from('\xfd7zXZ\0', 'latin1'),
  vmdk: Buffer.from('KDMV'),
  vhd: Buffer.from('conectix'),
} as const;

async function toRaw(file: string, to: string): Promise<void> {
  const start = await read(file, 0, 8);
  const format = (Object.keys(formats) as (keyof typeof formats)[]).find((name) =>
    start.subarray(0, formats[name].length).equals(formats[name]),
  );
  if (format === 'xz') {
    const unpacked = `${to}.unxz`;
    try {
      // The shell's redirection: a disk has more bytes than a buffer should.
      await tool(file, 'xz-utils', 'sh', ['-c', 'exec xz -dc -T0 -- "$1" >"$2"', 'sh', file, unpacked]);
      await toRaw(unpacked, to);
    } finally {
      await rm(unpacked, { force: true });
    }
  } else if (format === 'qcow2') {
    await tool(file, 'qemu-utils', 'qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', file, to]);
  } else if (format !== undefined) {
    throw new WorkerImageUnusable(file, `is a ${format} disk: take the qcow2 or the raw one`);
  } else {
    await tool(file, 'coreutils', 'cp', ['--reflink=auto', '--sparse=always', file, to]);
  }
}

async function tool(image: string, debianPackage: string, program: string, words: string[]): Promise<void> {
  try {
    await run(program, words);
  } catch (error) {
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
    const absent = code === 'ENOENT' || code === 127;
    const problem = absent
      ? `needs ${program}: install Debian's ${debianPackage}`
      : `cannot be unpacked: ${stderr.trim() || String(error)}`;
    throw new WorkerImageUnusable(image, problem, { cause: error });
  }
}

async function read(file: string, position: number, length: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

const SECTOR = 512;
/** C12A7328-F81F-11D2-BA4B-00A0C93EC93B, as it lies on the disk (UEFI Specification, "GPT Partition Entry"). */
const ESP = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex');

/** Names of the loader that a firmware looks for (UEFI Specification, "Removable Media Boot Behavior"). */
const loaders = { 'BOOTX64.EFI': 'amd64', 'BOOTAA64.EFI': 'arm64' } as const;

/** By the loader on its EFI partition: nothing else of a disk says it as plainly. */
async function architectureOf(disk: string, path: string): Promise<'amd64' | 'arm64'> {
  const header = await read(disk, SECTOR, SECTOR);
  if (header.toString('latin1', 0, 8) !== 'EFI PART') {
    throw new WorkerImageUnusable(path, 'is neither a qcow2 nor a raw disk with a GPT');
  }
  const size = header.readUInt32LE(84);
  const table = await read(disk, Number(header.readBigUInt64LE(72)) * SECTOR, header.readUInt32LE(80) * size);
  for (let at = 0; at + size <= table.length; at += size) {
    if (!table.subarray(at, at + 16).equals(ESP)) continue;
    const start = Number(table.readBigUInt64LE(at + 32)) * SECTOR;
    const { stdout } = await run('mdir', ['-b', '-i', `${disk}@@${start}`, '::/EFI/BOOT']).catch(
      (error: NodeJS.ErrnoException) => {
        const problem =
          error.code === 'ENOENT'
            ? "needs mdir: install Debian's mtools"
            : 'has no folder EFI/BOOT on its EFI partition';
        throw new WorkerImageUnusable(path, problem, { cause: error });
      },
    );
    for (const [name, architecture] of Object.entries(loaders)) {
      if (stdout.toUpperCase().includes(`/${name}`)) return architecture;
    }
    throw new WorkerImageUnusable(
      path,
      `has neither ${Object.keys(loaders).join(' nor ')}: it boots nowhere here`,
    );
  }
  throw new WorkerImageUnusable(path, 'has no EFI partition');
}
