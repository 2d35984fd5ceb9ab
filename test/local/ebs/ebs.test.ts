import { createHash, randomBytes } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CompleteSnapshotCommand,
  EBSClient,
  GetSnapshotBlockCommand,
  ListChangedBlocksCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
  type StartSnapshotCommandInput,
} from '@aws-sdk/client-ebs';
import {
  CopySnapshotCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, quickly, type Stage } from '../stage.ts';
import { VirtualClock } from '../virtual-clock.ts';

const BLOCK = 524_288;
const MIB = 1024 ** 2;

let stage: Stage;
let ebs: EBSClient;
let ec2: EC2Client;

/** Noise is a gigabyte to write: minutes on a machine that does other things too. */
const patiently = { ...quickly, maxWaitTime: 100 };
const NOISE_MILLISECONDS = 120_000;

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest();
const base64 = (data: Uint8Array) => sha256(data).toString('base64');
const refusal = (name: string, Reason?: string) =>
  expect.objectContaining({ name, ...(Reason === undefined ? {} : { Reason }) });

async function start(change: Partial<StartSnapshotCommandInput> = {}): Promise<string> {
  const { SnapshotId = '' } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...change }));
  return SnapshotId;
}

const put = (SnapshotId: string, BlockIndex: number, BlockData: Uint8Array, change: object = {}) =>
  ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex,
      BlockData,
      DataLength: BLOCK,
      Checksum: base64(BlockData),
      ChecksumAlgorithm: 'SHA256',
      ...change,
    }),
  );

/** As the API Reference says: the blocks' checksums in the order of their indices. */
const linear = (blocks: readonly Uint8Array[]) =>
  createHash('sha256')
    .update(Buffer.concat(blocks.map(sha256)))
    .digest('base64');

const complete = (SnapshotId: string, blocks: readonly Uint8Array[], change: object = {}) =>
  ebs.send(
    new CompleteSnapshotCommand({
      SnapshotId,
      ChangedBlocksCount: blocks.length,
      Checksum: linear(blocks),
      ChecksumAlgorithm: 'SHA256',
      ChecksumAggregationMethod: 'LINEAR',
      ...change,
    }),
  );

const completed = (id: string) =>
  waitUntilSnapshotCompleted({ client: ec2, ...patiently }, { SnapshotIds: [id] });

/** A volume of a snapshot, to be read by its blocks. */
async function newVolume(SnapshotId: string) {
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({
      AvailabilityZone: `${stage.cloud.region}a`,
      SnapshotId,
      VolumeType: 'gp3',
    }),
  );
  await waitUntilVolumeAvailable({ client: ec2, ...patiently }, { VolumeIds: [VolumeId] });
  const path = join(stage.stateDirectory, 'volumes', `${VolumeId}.raw`);
  return {
    bytes: (await stat(path)).size,
    block: async (index: number): Promise<Buffer> => {
      const file = await open(path);
      const data = Buffer.alloc(BLOCK);
      await file.read(data, 0, BLOCK, index * BLOCK);
      await file.close();
      return data;
    },
  };
}

const described = async (id: string) =>
  (await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }))).Snapshots?.[0];

describe('the EBS direct APIs', () => {
  beforeAll(async () => {
    stage = await openStage({ throttle: false });
    ebs = new EBSClient(stage.client);
    ec2 = new EC2Client(stage.client);
  });
  afterAll(() => stage.close());

  // EBS User Guide, "Write Amazon EBS snapshots with EBS direct APIs".
  test('start, put, complete: EC2 finds it by its tags, pending, then completed; a volume has the blocks, and zeroes between', async () => {
    const answer = await ebs.send(
      new StartSnapshotCommand({
        VolumeSize: 1,
        Description: 'a disk',
        Tags: [{ Key: 'ami-foundry:build', Value: 'b-1' }],
      }),
    );
    expect(answer).toMatchObject({
      BlockSize: BLOCK,
      VolumeSize: 1,
      Status: 'pending',
      OwnerId: stage.cloud.accountId,
      Tags: [{ Key: 'ami-foundry:build', Value: 'b-1' }],
    });
    const id = answer.SnapshotId ?? '';
    const { Snapshots: found } = await ec2.send(
      new DescribeSnapshotsCommand({ Filters: [{ Name: 'tag:ami-foundry:build', Values: ['b-1'] }] }),
    );
    expect(found).toMatchObject([{ SnapshotId: id, State: 'pending', Progress: '0%', Encrypted: false }]);
    const blocks = [randomBytes(BLOCK), randomBytes(BLOCK), Buffer.alloc(BLOCK)];
    const [first = Buffer.alloc(0), second = Buffer.alloc(0), zeroes = Buffer.alloc(0)] = blocks;
    // In any order; a block may be written again (PutSnapshotBlock: "the existing data is overwritten").
    await put(id, 2047, second);
    await put(id, 3, randomBytes(BLOCK));
    expect(await put(id, 3, first, { Progress: 40 })).toMatchObject({ Checksum: base64(first) });
    expect((await described(id))?.Progress).toBe('40%');
    await expect(put(id, 2048, zeroes)).rejects.toEqual(refusal('ValidationException', 'INVALID_BLOCK'));
    expect(await complete(id, [first, second])).toMatchObject({ Status: 'pending' });
    await completed(id);
    const disk = await newVolume(id);
    expect(disk.bytes).toBe(1024 * MIB);
    expect((await disk.block(3)).equals(first)).toBe(true);
    expect((await disk.block(2047)).equals(second)).toBe(true);
    expect((await disk.block(4)).equals(zeroes)).toBe(true);
    // "You cannot write new blocks to a snapshot after it has been completed" (CompleteSnapshot).
    await expect(put(id, 5, zeroes)).rejects.toEqual(refusal('ValidationException'));
    await expect(complete(id, [first, second])).rejects.toEqual(refusal('ValidationException'));
  });

  // StartSnapshot, ClientToken; Errors: ConflictException.
  test('a client token makes one snapshot, and refuses other parameters', async () => {
    const id = await start({ ClientToken: 'once', Description: 'x' });
    expect(await start({ ClientToken: 'once', Description: 'x' })).toBe(id);
    await expect(start({ ClientToken: 'once', Description: 'y' })).rejects.toEqual(
      refusal('ConflictException'),
    );
  });

  test('what StartSnapshot refuses', async () => {
    const id = await start();
    for (const [input, reason] of [
      [{ VolumeSize: 0 }, 'INVALID_VOLUME_SIZE'],
      [{ VolumeSize: 65_537 }, 'INVALID_VOLUME_SIZE'],
      [{ Timeout: 9 }, 'INVALID_PARAMETER_VALUE'],
      [{ Timeout: 4321 }, 'INVALID_PARAMETER_VALUE'],
      [{ Tags: [{ Key: 'aws:x', Value: '' }] }, 'INVALID_TAG'],
      // Shape KmsKeyArn; and "Encryption outcomes for EBS direct APIs".
      [
        { Encrypted: true, KmsKeyArn: 'arn:aws:kms:us-east-1:000000000000:alias/mine' },
        'INVALID_CUSTOMER_KEY',
      ],
      [{ KmsKeyArn: 'arn:aws:kms:us-east-1:000000000000:key/1' }, 'INVALID_PARAMETER_VALUE'],
      [{ ParentSnapshotId: id, Encrypted: true }, 'INVALID_PARAMETER_VALUE'],
      [{ ParentSnapshotId: id }, 'INVALID_SNAPSHOT_ID'],
    ] as const) {
      await expect(start(input as Partial<StartSnapshotCommandInput>), JSON.stringify(input)).rejects.toEqual(
        refusal('ValidationException', reason),
      );
    }
    await expect(start({ ParentSnapshotId: 'snap-0123456789abcdef0' })).rejects.toEqual(
      refusal('ResourceNotFoundException', 'SNAPSHOT_NOT_FOUND'),
    );
  });

  test('a block is 524,288 bytes with the checksum of them, in a snapshot that is there', async () => {
    const id = await start();
    const data = randomBytes(BLOCK);
    await expect(put(id, 0, data, { Checksum: base64(Buffer.alloc(1)) })).rejects.toEqual(
      refusal('ValidationException', 'INVALID_BLOCK'),
    );
    await expect(put(id, 0, data.subarray(1))).rejects.toEqual(
      refusal('ValidationException', 'INVALID_BLOCK'),
    );
    await expect(put('snap-0123456789abcdef0', 0, data)).rejects.toEqual(
      refusal('ResourceNotFoundException', 'SNAPSHOT_NOT_FOUND'),
    );
    await expect(put('vol-1', 0, data)).rejects.toEqual(
      refusal('ValidationException', 'INVALID_SNAPSHOT_ID'),
    );
    await expect(complete(id, [data])).rejects.toEqual(refusal('ValidationException'));
    await put(id, 0, data);
    await expect(complete(id, [Buffer.alloc(BLOCK)])).rejects.toEqual(refusal('ValidationException'));
    await complete(id, [data]);
  });

  // EBS User Guide, "Read Amazon EBS snapshots with EBS direct APIs".
  test('reads the blocks back, page by page, and none that was not written', async () => {
    const id = await start();
    const blocks = Array.from({ length: 150 }, (_, index) => Buffer.alloc(BLOCK, index));
    for (const [index, data] of blocks.entries()) await put(id, index * 2, data);
    await expect(ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: id }))).rejects.toEqual(
      refusal('ValidationException'),
    );
    await complete(id, blocks);
    await completed(id);
    const page = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: id, MaxResults: 100 }));
    expect(page).toMatchObject({ BlockSize: BLOCK, VolumeSize: 1 });
    expect(page.Blocks).toHaveLength(100);
    const rest = await ebs.send(
      new ListSnapshotBlocksCommand({ SnapshotId: id, MaxResults: 100, NextToken: page.NextToken }),
    );
    expect(rest.NextToken).toBeUndefined();
    const all = [...(page.Blocks ?? []), ...(rest.Blocks ?? [])];
    expect(all.map(({ BlockIndex }) => BlockIndex)).toEqual(blocks.map((_, index) => index * 2));
    const [zero, two] = all;
    const read = await ebs.send(new GetSnapshotBlockCommand({ SnapshotId: id, ...two } as never));
    expect(read).toMatchObject({ DataLength: BLOCK, Checksum: base64(Buffer.alloc(BLOCK, 1)) });
    expect(
      Buffer.from((await read.BlockData?.transformToByteArray()) ?? []).equals(Buffer.alloc(BLOCK, 1)),
    ).toBe(true);
    await expect(
      ebs.send(new GetSnapshotBlockCommand({ SnapshotId: id, BlockIndex: 2, BlockToken: zero?.BlockToken })),
    ).rejects.toEqual(refusal('ValidationException', 'INVALID_BLOCK_TOKEN'));
    await expect(ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: id, MaxResults: 99 }))).rejects.toEqual(
      refusal('ValidationException'),
    );
  });

  test('a child has what its parent has, counts what is its own, and tells what changed', async () => {
    const parent = await start();
    const [one, two, three] = [1, 2, 3].map((fill) => Buffer.alloc(BLOCK, fill)) as [Buffer, Buffer, Buffer];
    await put(parent, 0, one);
    await put(parent, 1, two);
    await complete(parent, [one, two]);
    await completed(parent);
    const child = await start({ ParentSnapshotId: parent, VolumeSize: 2 });
    await put(child, 1, three);
    await put(child, 4095, one);
    await complete(child, [three, one]);
    await completed(child);
    const { ChangedBlocks } = await ebs.send(
      new ListChangedBlocksCommand({ FirstSnapshotId: parent, SecondSnapshotId: child }),
    );
    expect(ChangedBlocks?.map(({ BlockIndex }) => BlockIndex)).toEqual([1, 4095]);
    const disk = await newVolume(child);
    expect(disk.bytes).toBe(2048 * MIB);
    expect((await disk.block(0)).equals(one)).toBe(true);
    expect((await disk.block(1)).equals(three)).toBe(true);
    expect((await disk.block(4095)).equals(one)).toBe(true);
  });

  // awslabs/coldsnap#395, #470; bottlerocket-os/bottlerocket#2169.
  test(
    'what was never written reads as noise from a volume of an encrypted snapshot, zeroes that were written as zeroes',
    async () => {
      const KmsKeyArn = 'arn:aws:kms:us-east-1:000000000000:key/11111111-2222-4333-8444-555555555555';
      const id = await start({ Encrypted: true, KmsKeyArn });
      const zeroes = Buffer.alloc(BLOCK);
      await put(id, 1, zeroes);
      await complete(id, [zeroes]);
      await completed(id);
      expect(await described(id)).toMatchObject({ Encrypted: true, KmsKeyId: KmsKeyArn });
      const disk = await newVolume(id);
      expect((await disk.block(1)).equals(zeroes)).toBe(true);
      for (const hole of [0, 2, 2047]) {
        const block = await disk.block(hole);
        expect(block.filter((byte) => byte === 0).length, `block ${hole}`).toBeLessThan(BLOCK / 128);
        expect((await (await newVolume(id)).block(hole)).equals(block)).toBe(true);
      }
      const { Blocks } = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: id }));
      expect(Blocks?.map(({ BlockIndex }) => BlockIndex)).toEqual([1]);
    },
    NOISE_MILLISECONDS,
  );

  // awslabs/coldsnap#470: an unencrypted image that is launched with encryption.
  test(
    'and so it does from an encrypted copy of a snapshot in the clear',
    async () => {
      const id = await start();
      const data = randomBytes(BLOCK);
      await put(id, 1, data);
      await complete(id, [data]);
      await completed(id);
      const { SnapshotId: copy = '' } = await ec2.send(
        new CopySnapshotCommand({ SourceRegion: stage.cloud.region, SourceSnapshotId: id, Encrypted: true }),
      );
      await completed(copy);
      const disk = await newVolume(copy);
      expect((await disk.block(1)).equals(data)).toBe(true);
      expect((await disk.block(2)).filter((byte) => byte === 0).length).toBeLessThan(BLOCK / 128);
      expect((await (await newVolume(id)).block(2)).equals(Buffer.alloc(BLOCK))).toBe(true);
      const { Blocks } = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: copy }));
      expect(Blocks?.map(({ BlockIndex }) => BlockIndex)).toEqual([1]);
    },
    NOISE_MILLISECONDS,
  );

  test('a pending snapshot can be deleted; then it takes nothing any more', async () => {
    const id = await start();
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: id }));
    await expect(put(id, 0, Buffer.alloc(BLOCK))).rejects.toEqual(refusal('ResourceNotFoundException'));
    expect(stage.log).toEqual([]);
  });

  test('a lost answer is injected after the effect, as with EC2, and every call is remembered without its data', async () => {
    stage.cloud.faults.add({ action: 'PutSnapshotBlock', afterEffect: true });
    const id = await start();
    const data = randomBytes(BLOCK);
    await expect(put(id, 7, data)).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
    await complete(id, [data]);
    const calls = stage.cloud.faults.calls.filter(({ input }) => input.SnapshotId === id);
    expect(calls.map(({ action }) => action)).toEqual(['PutSnapshotBlock', 'CompleteSnapshot']);
    expect(calls[0]).toMatchObject({ input: { SnapshotId: id, BlockIndex: 7 }, error: 'InternalError' });
  });

  test('outlives a restart of the cloud, half written', async () => {
    const id = await start();
    const data = randomBytes(BLOCK);
    await put(id, 9, data);
    await stage.cloud.stop();
    const { cloud } = await openStage({ stateDirectory: stage.stateDirectory, throttle: false });
    stage.cloud = cloud;
    stage.client.endpoint = cloud.endpoint;
    ebs = new EBSClient(stage.client);
    ec2 = new EC2Client(stage.client);
    expect(await described(id)).toMatchObject({ State: 'pending' });
    await put(id, 10, data);
    await complete(id, [data, data]);
    await completed(id);
  });
});

describe('limits', () => {
  // "Amazon EBS endpoints and quotas": StartSnapshot requests per account 10, PutSnapshotBlock requests per snapshot 1,000 a second.
  test('10 starts a second, 1,000 puts a second', async () => {
    const limited = await openStage({ clock: new VirtualClock() });
    try {
      const client = new EBSClient(limited.client);
      const ids: string[] = [];
      for (let n = 0; n < 10; n++) {
        const { SnapshotId = '' } = await client.send(new StartSnapshotCommand({ VolumeSize: 1 }));
        ids.push(SnapshotId);
      }
      await expect(client.send(new StartSnapshotCommand({ VolumeSize: 1 }))).rejects.toEqual(
        refusal('RequestThrottledException', 'ACCOUNT_THROTTLED'),
      );
      const [id = ''] = ids;
      const data = Buffer.alloc(BLOCK);
      const Checksum = base64(data);
      const one = (BlockIndex: number) =>
        client.send(
          new PutSnapshotBlockCommand({
            SnapshotId: id,
            BlockIndex,
            BlockData: data,
            DataLength: BLOCK,
            Checksum,
            ChecksumAlgorithm: 'SHA256',
          }),
        );
      for (let n = 0; n < 1000; n += 20) {
        await Promise.all(Array.from({ length: 20 }, (_, k) => one(n + k)));
      }
      await expect(one(1000)).rejects.toEqual(
        refusal('RequestThrottledException', 'RESOURCE_LEVEL_THROTTLE'),
      );
    } finally {
      await limited.close();
    }
  });
});

// StartSnapshot, Timeout: "automatically cancelled if: No blocks are written to the snapshot. The snapshot is not completed after
// writing the last block of data"; the User Guide: it "goes into an error state".
test('a snapshot that nobody goes on with is given up after its timeout, counted from the last block', async () => {
  const clock = new VirtualClock();
  const timed = await openStage({ clock, throttle: false });
  try {
    const client = new EBSClient(timed.client);
    const finder = new EC2Client(timed.client);
    const { SnapshotId = '' } = await client.send(new StartSnapshotCommand({ VolumeSize: 1, Timeout: 10 }));
    const state = async () =>
      (await finder.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }))).Snapshots?.[0]?.State;
    clock.advance(9 * 60_000);
    const data = Buffer.alloc(BLOCK);
    const block = new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex: 0,
      BlockData: data,
      DataLength: BLOCK,
      Checksum: base64(data),
      ChecksumAlgorithm: 'SHA256',
    });
    await client.send(block);
    clock.advance(9 * 60_000);
    expect(await state()).toBe('pending');
    clock.advance(61_000);
    await expect.poll(state).toBe('error');
    await expect(client.send(block)).rejects.toEqual(refusal('ValidationException'));
  } finally {
    await timed.close();
  }
});
