import { createHash, randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { BLOCK_BYTES, linearChecksum, readBlockIndex } from '../../core/disk-blocks.ts';
import { blockDigestsKey, buildTags, pieceKey, tagKey } from '../../core/names.ts';
import type { BlocksSpec, SnapshotBlocks } from '../../core/ports.ts';
import { completeSnapshot } from '../../functions/steps/complete-snapshot.ts';
import { startSnapshot } from '../../functions/steps/start-snapshot.ts';
import { writeBlocks } from '../../functions/steps/write-blocks.ts';
import { BUILD, launched, plan } from './builds.ts';
import { awsError, type FakeAccount } from './fake-account.ts';

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest();
const hex = (data: Uint8Array) => sha256(data).toString('hex');

/** A snapshot that takes blocks, and remembers what it was sent. */
class Blocks implements SnapshotBlocks {
  readonly started: BlocksSpec[] = [];
  readonly puts: number[] = [];
  readonly held = new Map<number, Uint8Array>();
  completed: { count: number; checksum: string } | undefined;
  /** Thrown by the next call of a method. */
  refusals: Partial<Record<'start' | 'put' | 'complete', Error>> = {};

  #refuse(method: keyof Blocks['refusals']): void {
    const refusal = this.refusals[method];
    delete this.refusals[method];
    if (refusal) throw refusal;
  }

  async start(spec: BlocksSpec) {
    this.#refuse('start');
    this.started.push(spec);
    return { snapshotId: 'snap-0b1' };
  }

  async put(_id: string, index: number, data: Uint8Array, digest: Uint8Array) {
    this.#refuse('put');
    expect(data.length).toBe(BLOCK_BYTES);
    expect(Buffer.from(digest).equals(sha256(data))).toBe(true);
    this.puts.push(index);
    this.held.set(index, Uint8Array.from(data));
  }

  async complete(_id: string, count: number, checksum: string) {
    this.#refuse('complete');
    this.completed = { count, checksum };
  }
}

let fake: FakeAccount;
let worker: BuildState['worker'];
let blocks: Blocks;
let index: string;
const SNAPSHOT = 'snap-0b1';
/** Two pieces: blocks 0, 2 and 3; and block 9. */
const pieces = [
  { indices: [0, 2, 3], ranges: '0-0,2-3', data: randomBytes(3 * BLOCK_BYTES) },
  { indices: [9], ranges: '9-9', data: randomBytes(BLOCK_BYTES) },
];

const store = (key: string, body: Uint8Array | string) =>
  fake.artifacts.put(key, body, 'application/octet-stream');

beforeEach(async () => {
  ({ fake, worker } = await launched());
  blocks = new Blocks();
  const lines = pieces.map(({ ranges, data }, n) => `piece ${n + 1} ${hex(data)} ${ranges}\n`);
  index = `version 1\ndisk 1073741824\n${lines.join('')}`;
  await store(pieceKey(BUILD, 'index'), index);
  for (const [n, { data }] of pieces.entries()) await store(pieceKey(BUILD, n + 1), data);
});

const write = (piece: number) =>
  writeBlocks({ artifacts: fake.artifacts, blocks })({
    build: BUILD,
    snapshotId: SNAPSHOT,
    indexSha256: hex(Buffer.from(index)),
    piece,
  });

describe('write-blocks', () => {
  test('writes each block of a piece at its place on the disk, and leaves their digests behind', async () => {
    await write(1);
    expect(blocks.puts.toSorted((a, b) => a - b)).toEqual([0, 2, 3]);
    const last = pieces[0]?.data.subarray(2 * BLOCK_BYTES) ?? new Uint8Array();
    expect(Buffer.from(blocks.held.get(3) ?? []).equals(last)).toBe(true);
    const digests = await fake.artifacts.get(blockDigestsKey(BUILD, SNAPSHOT, 1));
    expect(digests?.length).toBe(96);
  });

  test('sends nothing of a piece that was written, and all of one that was begun', async () => {
    await write(1);
    await write(1);
    expect(blocks.puts).toHaveLength(3);
    blocks.refusals.put = awsError('InternalServerException');
    await expect(write(2)).rejects.toMatchObject({ name: 'InternalServerException' });
    expect(await fake.artifacts.get(blockDigestsKey(BUILD, SNAPSHOT, 2))).toBeUndefined();
    await write(2);
    expect(blocks.puts).toHaveLength(4);
  });

  test.each<[code: string, what: string, change: () => Promise<void> | void]>([
    ['PieceMissing', 'is not there', () => void fake.objects.delete(pieceKey(BUILD, 2))],
    ['PieceMissing', 'has no index', () => void fake.objects.delete(pieceKey(BUILD, 'index'))],
    ['PieceTruncated', 'is too short', () => store(pieceKey(BUILD, 2), Buffer.alloc(BLOCK_BYTES - 1))],
    ['PieceChecksumMismatch', 'has other bytes', () => store(pieceKey(BUILD, 2), Buffer.alloc(BLOCK_BYTES))],
    ['PieceChecksumMismatch', 'has another index', () => store(pieceKey(BUILD, 'index'), `${index}\n`)],
  ])('fails as %s when a piece %s, and writes nothing of it', async (code, _what, change) => {
    await change();
    await expect(write(2)).rejects.toMatchObject({ code });
    expect(blocks.puts).toEqual([]);
  });
});

describe('start-snapshot', () => {
  let state: Pick<BuildState, 'plan' | 'worker'>;
  beforeEach(() => {
    state = { plan, worker };
  });
  const run = () => startSnapshot({ snapshots: fake.snapshots, blocks, clock: fake.clock })(state);

  test('begins it with its tags, as large as the root volume, encrypted as the plan says', async () => {
    const encryption = { kmsKeyId: 'arn:aws:kms:eu-central-1:000000000000:key/1' };
    state = { ...state, plan: { ...state.plan, encryption } };
    expect(await run()).toMatchObject({ snapshot: { snapshotId: SNAPSHOT } });
    expect(blocks.started).toMatchObject([
      {
        sizeGiB: state.plan.rootSizeGiB,
        encryption,
        tags: { [tagKey.build]: BUILD, [tagKey.role]: 'snapshot', [tagKey.name]: state.plan.image.name },
      },
    ]);
  });

  test('asks twice with one token, and goes on with what is there', async () => {
    await run();
    await run();
    expect(new Set(blocks.started.map(({ clientToken }) => clientToken)).size).toBe(1);
    const { snapshotId } = await fake.snapshots.create(
      worker.volumeId ?? '',
      'x',
      buildTags(BUILD, 'snapshot'),
    );
    expect(await run()).toMatchObject({ snapshot: { snapshotId } });
    expect(blocks.started).toHaveLength(2);
    await fake.snapshots.create(worker.volumeId ?? '', 'x', buildTags(BUILD, 'snapshot'));
    await expect(run()).rejects.toMatchObject({ code: 'AmbiguousResource' });
  });

  test('begins another in the place of one that EBS has given up', async () => {
    await run();
    const { snapshotId } = await fake.snapshots.create(
      worker.volumeId ?? '',
      'x',
      buildTags(BUILD, 'snapshot'),
    );
    const held = fake.heldSnapshots.get(snapshotId);
    if (held) fake.heldSnapshots.set(snapshotId, { ...held, state: 'error' });
    await run();
    expect(new Set(blocks.started.map(({ clientToken }) => clientToken)).size).toBe(2);
  });
});

describe('complete-snapshot', () => {
  const run = (retryCount = 0) =>
    completeSnapshot({ snapshots: fake.snapshots, artifacts: fake.artifacts, blocks })(
      {
        plan,
        report: {
          seconds: 1,
          phases: [],
          blocks: { pieces: 2, count: 4, indexSha256: hex(Buffer.from(index)) },
        },
        snapshot: { snapshotId: SNAPSHOT, startedAt: 0 },
      },
      retryCount,
    );

  test('counts all blocks, and sums their digests up in the order of the disk', async () => {
    await write(2);
    await write(1);
    await run();
    const digests = [0, 2, 3, 9].map((at) => sha256(blocks.held.get(at) ?? new Uint8Array()));
    expect(blocks.completed).toEqual({ count: 4, checksum: linearChecksum(digests) });
  });

  test('fails as PieceMissing while a piece was not written', async () => {
    await write(1);
    await expect(run()).rejects.toMatchObject({ code: 'PieceMissing' });
    expect(blocks.completed).toBeUndefined();
  });

  test('fails as SnapshotRefused when EBS counts otherwise, unless an earlier try may have sealed it', async () => {
    await write(1);
    await write(2);
    blocks.refusals.complete = awsError('ValidationException');
    await expect(run()).rejects.toMatchObject({ code: 'SnapshotRefused' });
    blocks.refusals.complete = awsError('ValidationException');
    expect(await run(1)).toEqual({});
    blocks.refusals.complete = awsError('RequestThrottledException');
    await expect(run(1)).rejects.toMatchObject({ name: 'RequestThrottledException' });
  });
});

test('an index that is no index is not the worker’s', () => {
  const text = 'version 1\ndisk 1\npiece one\n';
  expect(() => readBlockIndex(Buffer.from(text), hex(Buffer.from(text)))).toThrow(/no piece/);
});
