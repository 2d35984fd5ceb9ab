import { createHash } from 'node:crypto';
import { appendFile, chmod, copyFile, open, readFile, writeFile } from 'node:fs/promises';
import { blockListPath, type Disks } from '../ec2/disks.ts';
import { BLOCK_BYTES } from './block-size.ts';
import { fillWithGarbage } from './garbage.ts';

const READ_ONLY = 0o444;

export interface Block {
  /** In base64. */
  readonly sha256: string;
  /** Written to this snapshot, not come from its parent. */
  readonly own: boolean;
}

/** The blocks that a snapshot has, by their index. */
export type BlockList = Map<number, Block>;

/**
 * The blocks of snapshots that the EBS direct APIs make: the bytes in the snapshot's sparse file, and beside it a list of which blocks
 * were written, a line each. A block of zeroes that was written is in the list, one that never was is not: the file cannot tell.
 */
export class BlockStore {
  readonly #disks: Disks;
  readonly #lists = new Map<string, BlockList>();

  constructor(disks: Disks) {
    this.#disks = disks;
  }

  /** Begins a snapshot with nothing in it, or with what its parent has. */
  async create(snapshotId: string, bytes: number, parentId?: string): Promise<void> {
    const path = this.#disks.snapshot(snapshotId);
    if (parentId === undefined) {
      const file = await open(path, 'wx');
      await file.truncate(bytes);
      await file.close();
      await writeFile(blockListPath(path), '');
      this.#lists.set(snapshotId, new Map());
      return;
    }
    await copyFile(this.#disks.snapshot(parentId), path);
    await chmod(path, 0o644);
    const file = await open(path, 'r+');
    await file.truncate(bytes);
    await file.close();
    const inherited = [...(await this.list(parentId))].map(([index, { sha256 }]): [number, Block] => [
      index,
      { sha256, own: false },
    ]);
    await writeFile(blockListPath(path), inherited.map(([index, block]) => line(index, block)).join(''));
    this.#lists.set(snapshotId, new Map(inherited));
  }

  async put(snapshotId: string, index: number, data: Buffer, sha256: string): Promise<void> {
    const path = this.#disks.snapshot(snapshotId);
    const file = await open(path, 'r+');
    try {
      await file.write(data, 0, BLOCK_BYTES, index * BLOCK_BYTES);
    } finally {
      await file.close();
    }
    const block = { sha256, own: true };
    await appendFile(blockListPath(path), line(index, block));
    (await this.list(snapshotId)).set(index, block);
  }

  async read(snapshotId: string, index: number): Promise<Buffer> {
    const file = await open(this.#disks.snapshot(snapshotId), 'r');
    try {
      const data = Buffer.alloc(BLOCK_BYTES);
      await file.read(data, 0, BLOCK_BYTES, index * BLOCK_BYTES);
      return data;
    } finally {
      await file.close();
    }
  }

  /** Nothing more is written. What never was is random from now on if the snapshot is encrypted: every volume of it reads that. */
  async seal(snapshotId: string, encrypted: boolean): Promise<void> {
    const path = this.#disks.snapshot(snapshotId);
    if (encrypted) await fillWithGarbage(path, await this.list(snapshotId), snapshotId);
    await chmod(path, READ_ONLY);
  }

  /**
   * Which blocks a snapshot has. One that was taken of a volume has no list of its own: what is not all zeroes counts as written. EBS
   * knows better, which blocks were written with zeroes.
   */
  async list(snapshotId: string): Promise<BlockList> {
    const known = this.#lists.get(snapshotId);
    if (known) return known;
    const path = this.#disks.snapshot(snapshotId);
    const list = (await writtenBlocks(path)) ?? (await scanned(path));
    this.#lists.set(snapshotId, list);
    return list;
  }
}

const line = (index: number, { sha256, own }: Block): string =>
  `${index} ${sha256} ${own ? 'own' : 'parent'}\n`;

/** The list of a snapshot that was written block by block, by the path of its bytes. */
export async function writtenBlocks(path: string): Promise<BlockList | undefined> {
  let text: string;
  try {
    text = await readFile(blockListPath(path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const list: BlockList = new Map();
  for (const [, index, sha256 = '', from] of text.matchAll(/^(\d+) (\S+) (own|parent)$/gm)) {
    list.set(Number(index), { sha256, own: from === 'own' });
  }
  return list;
}

async function scanned(path: string): Promise<BlockList> {
  const list: BlockList = new Map();
  const zeroes = Buffer.alloc(BLOCK_BYTES);
  const data = Buffer.alloc(BLOCK_BYTES);
  const file = await open(path, 'r');
  try {
    for (let index = 0; ; index++) {
      data.fill(0);
      const { bytesRead } = await file.read(data, 0, BLOCK_BYTES, index * BLOCK_BYTES);
      if (bytesRead === 0) return list;
      if (data.equals(zeroes)) continue;
      list.set(index, { sha256: createHash('sha256').update(data).digest('base64'), own: true });
    }
  } finally {
    await file.close();
  }
}

/** The blocks that were put into this very snapshot. */
export const written = (list: BlockList): [number, Block][] => [...list].filter(([, { own }]) => own);

/**
 * CompleteSnapshot, Checksum, method LINEAR: SHA-256 over the blocks' checksums in ascending order of their index. "Concatenated" means
 * their bytes and not their base64 texts: so AWS's own client does it (awslabs/coldsnap, src/upload.rs).
 */
export function linearChecksum(list: BlockList): string {
  const hash = createHash('sha256');
  for (const [, { sha256 }] of written(list).sort(([a], [b]) => a - b))
    hash.update(Buffer.from(sha256, 'base64'));
  return hash.digest('base64');
}
