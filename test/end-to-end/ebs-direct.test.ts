import { open } from 'node:fs/promises';
import { EBSClient, paginateListSnapshotBlocks } from '@aws-sdk/client-ebs';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBlockIndex } from '../../core/disk-blocks.ts';
import { artifactKey, pieceKey } from '../../core/names.ts';
import { snapshotPath } from '../../local/ec2/disks.ts';
import type { RecordedCall } from '../../local/faults.ts';
import { removeMachines, removePayload, runWorker } from '../worker/worker-run.ts';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * The road without a volume, with the true worker. That an image boots from an encrypted snapshot, with noise wherever nothing was written, is
 * tried with examples/ebs-direct.yaml (examples.test.ts).
 */

const BLOCK = 524_288;
const GIB = 1024 ** 3;
/** A root of this size has cylinder groups enough for two pieces. */
const ROOT_GIB = 64;

let factory: Factory;
beforeAll(async () => {
  factory = await startFactory();
}, 300_000);
afterAll(async () => {
  await factory[Symbol.asyncDispose]();
  removeMachines();
  removePayload();
});

const Bucket = 'ami-foundry-artifacts';
const read = async (Key: string): Promise<Buffer> => {
  const { Body } = await factory.s3.send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};
const replace = async (Key: string, Body: Buffer): Promise<void> => {
  const { cloud } = factory;
  const s3 = new S3Client({
    region: cloud.region,
    endpoint: cloud.endpoint,
    credentials: cloud.credentials,
    forcePathStyle: true,
    // The local S3 takes a large object only as it is.
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
};
const puts = (snapshotId: string): number[] =>
  factory.cloud.faults.calls
    .filter(({ action, input }) => action === 'PutSnapshotBlock' && input.SnapshotId === snapshotId)
    .map(({ input }) => Number(input.BlockIndex));

describe('a build without a volume', () => {
  let output: {
    snapshotId: string;
    report: { disk: object; blocks: { indexSha256: string; count: number } };
  };
  let pieces: ReturnType<typeof readBlockIndex>;

  it('goes on when the function that writes a piece is killed, and sends no block of another piece again', async () => {
    const { faults, lambda } = factory.cloud;
    const killed: RecordedCall[] = [];
    faults.add({
      service: 'ebs',
      action: 'PutSnapshotBlock',
      // The last block of the disk: the backup of the partition table, in the last piece.
      where: ({ input }) => input.BlockIndex === (ROOT_GIB * GIB) / BLOCK - 1,
      cut: true,
      strike: async (call) => {
        killed.push(call);
        if (call.invocation) await lambda.kill(call.invocation);
      },
    });
    const recipe = factory.recipe({ name: 'direct', rootSize: ROOT_GIB, image: { road: 'ebs-direct' } });
    const execution = await factory.end(await factory.start({ recipe }, 'direct'));
    expect(`${execution.error ?? ''}${execution.cause ?? ''}`).toBe('');
    expect(killed).toHaveLength(1);
    output = JSON.parse(execution.output ?? '{}');
    pieces = readBlockIndex(await read(pieceKey('direct', 'index')), output.report.blocks.indexSha256);
    expect(pieces.length).toBe(2);
    const sent = Map.groupBy(puts(output.snapshotId), (index) => index);
    const times = (piece: number) => pieces[piece]?.blocks.map((index) => sent.get(index)?.length ?? 0) ?? [];
    expect(new Set(times(0))).toEqual(new Set([1]));
    expect(Math.max(...times(1))).toBe(2);
    const all = pieces.flatMap(({ blocks }) => blocks);
    expect([...sent.keys()].toSorted((a, b) => a - b)).toEqual(all);
    expect(output.report.blocks.count).toBe(all.length);
  }, 400_000);

  it('made no volume but those of machines', () => {
    const calls = factory.cloud.faults.calls.filter(({ action }) =>
      ['CreateVolume', 'AttachVolume', 'CreateSnapshot'].includes(action),
    );
    expect(calls).toEqual([]);
  });

  it('has in each block what the same job writes onto a volume', async () => {
    const job = (await read(artifactKey('direct', 'job'))).toString();
    const lines = job
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('upload.'));
    const usual = await runWorker({ lines, diskSize: ROOT_GIB * GIB });
    expect(usual.report, usual.console).toMatchObject({ ok: true, disk: output.report.disk });
    const { cloud } = factory;
    const client = new EBSClient({
      region: cloud.region,
      endpoint: cloud.endpoint,
      credentials: cloud.credentials,
    });
    const listed: number[] = [];
    const page = { SnapshotId: output.snapshotId, MaxResults: 1000 };
    for await (const { Blocks = [] } of paginateListSnapshotBlocks({ client }, page)) {
      listed.push(...Blocks.map(({ BlockIndex = -1 }) => BlockIndex));
    }
    expect(listed).toEqual(pieces.flatMap(({ blocks }) => blocks));
    const snapshot = await open(snapshotPath(factory.stateDirectory, output.snapshotId));
    const volume = await open(usual.disk);
    const [mine, theirs] = [Buffer.alloc(BLOCK), Buffer.alloc(BLOCK)];
    const differing: number[] = [];
    for (const index of listed) {
      await snapshot.read(mine, 0, BLOCK, index * BLOCK);
      await volume.read(theirs, 0, BLOCK, index * BLOCK);
      if (!mine.equals(theirs)) differing.push(index);
    }
    await snapshot.close();
    await volume.close();
    expect(differing).toEqual([]);
  }, 400_000);
});

describe('a piece that is not what the worker sent', () => {
  it.each<[string, (build: string) => Promise<unknown>]>([
    [
      'PieceChecksumMismatch',
      async (build) => {
        const Body = await read(pieceKey(build, 1));
        Body.writeUInt8(Body.readUInt8(BLOCK) ^ 1, BLOCK);
        await replace(pieceKey(build, 1), Body);
      },
    ],
    [
      'PieceTruncated',
      async (build) => {
        const Body = (await read(pieceKey(build, 1))).subarray(BLOCK);
        await replace(pieceKey(build, 1), Body);
      },
    ],
  ])(
    'ends the build as %s, with nothing left',
    async (code, damage) => {
      const name = code.toLowerCase();
      const recipe = factory.recipe({ name, image: { road: 'ebs-direct' } });
      const before = await whatIsLeft(factory.ec2);
      // The worker is through, and nothing was written yet.
      factory.cloud.faults.add({
        service: 'ebs',
        action: 'StartSnapshot',
        strike: () => damage(name).then(() => {}),
      });
      const execution = await factory.end(await factory.start({ recipe }, name));
      expect(execution.error).toBe(code);
      expect(await whatIsLeft(factory.ec2)).toEqual(before);
    },
    300_000,
  );
});

it('an alias of a key is refused before anything is made', async () => {
  const image = { road: 'ebs-direct', encryption: { kmsKey: 'alias/images' } };
  const execution = await factory.end(
    await factory.start({ recipe: factory.recipe({ name: 'alias', image }) }),
  );
  expect(execution.error).toBe('InvalidRecipe');
  expect(execution.cause).toContain('ebs-direct takes no alias');
}, 120_000);
