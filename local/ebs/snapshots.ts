import { createHash } from 'node:crypto';
import type {
  CompleteSnapshotRequest,
  CompleteSnapshotResponse,
  StartSnapshotRequest,
  StartSnapshotResponse,
} from '@aws-sdk/client-ebs';
import { GIBIBYTE } from '../ec2/disks.ts';
import { ebsKey } from '../ec2/encryption.ts';
import { once } from '../ec2/idempotency.ts';
import { newId } from '../ec2/ids.ts';
import type { SnapshotRecord } from '../ec2/model.ts';
import type { Region } from '../ec2/region.ts';
import { checkTags, tagList } from '../ec2/tag-sets.ts';
import { ServiceError } from '../front/service-error.ts';
import { BLOCK_BYTES } from './block-size.ts';
import { type BlockStore, linearChecksum, written } from './block-store.ts';
import { EbsError, invalid, snapshotNotFound } from './errors.ts';

const MINUTE = 60_000;

/** StartSnapshot: Timeout in minutes, and its default. */
const TIMEOUT = { least: 10, most: 4320, usual: 60 };
/** StartSnapshot, VolumeSize: "The maximum size is 65536 GiB". */
const LARGEST_VOLUME = 65_536;
/** "Amazon EBS endpoints and quotas": pending snapshots that the EBS direct APIs write, in an account. */
const PENDING_SNAPSHOTS = 100;
/** Shape KmsKeyArn. An alias has another resource type, so its ARN is none. */
const KEY_ARN = /^arn:aws[a-z-]*:kms:.*:[0-9]{12}:key\/.*$/;
/** Shape SnapshotId. */
const SNAPSHOT_ID = /^snap-[0-9a-f]+$/;
/** DescribeSnapshots, VolumeId: of what was not made of a volume it is an arbitrary id that means nothing. */
const NO_VOLUME = 'vol-ffffffff';

/** The snapshot with that id; ValidationException or ResourceNotFoundException. */
export function snapshotOf(region: Region, id: string): SnapshotRecord {
  if (!SNAPSHOT_ID.test(id)) throw invalid('INVALID_SNAPSHOT_ID', `'${id}' is not a snapshot ID.`);
  const found = region.snapshots.get(id);
  if (found === undefined) throw snapshotNotFound(id);
  return found;
}

export async function startSnapshot(
  region: Region,
  blocks: BlockStore,
  input: Partial<StartSnapshotRequest>,
): Promise<StartSnapshotResponse> {
  const made: Promise<void>[] = [];
  const id = idempotently(region, input, () => {
    const { snapshot, file } = create(region, blocks, input);
    made.push(file);
    return snapshot.id;
  });
  await Promise.all(made);
  return describe(snapshotOf(region, id));
}

/** Same token and parameters: the first answer. Same token, others: ConflictException (Errors of StartSnapshot). */
function idempotently(region: Region, input: Partial<StartSnapshotRequest>, make: () => string): string {
  const { ClientToken } = input;
  if (ClientToken !== undefined && !/^\S{1,255}$/.test(ClientToken)) {
    throw invalid('INVALID_PARAMETER_VALUE', 'ClientToken has 1 to 255 characters, none of them a space.');
  }
  // EC2's table takes shorter tokens.
  const token =
    ClientToken === undefined ? undefined : createHash('sha256').update(ClientToken).digest('hex');
  try {
    return once(region.tokens, 'StartSnapshot', { ...input, ClientToken: token }, region.clock.now(), make);
  } catch (error) {
    if (!(error instanceof ServiceError && error.name === 'IdempotentParameterMismatch')) throw error;
    throw new EbsError('ConflictException', 409, 'The client token was used before, with other parameters.');
  }
}

function create(region: Region, blocks: BlockStore, input: Partial<StartSnapshotRequest>) {
  const { VolumeSize: size = 0, ParentSnapshotId, Timeout: minutes = TIMEOUT.usual } = input;
  if (!Number.isInteger(size) || size < 1 || size > LARGEST_VOLUME) {
    throw invalid('INVALID_VOLUME_SIZE', `VolumeSize is 1 to ${LARGEST_VOLUME}.`);
  }
  if (!Number.isInteger(minutes) || minutes < TIMEOUT.least || minutes > TIMEOUT.most) {
    throw invalid('INVALID_PARAMETER_VALUE', `Timeout is ${TIMEOUT.least} to ${TIMEOUT.most} minutes.`);
  }
  const description = input.Description ?? '';
  if (description.length > 255) throw invalid('INVALID_PARAMETER_VALUE', 'Description has 255 characters.');
  const encryption = encryptionOf(region, input, size);
  const pending = [...region.snapshots.values()].filter(({ writing }) => writing !== undefined);
  if (pending.length >= PENDING_SNAPSHOTS) {
    throw new EbsError(
      'ConcurrentLimitExceededException',
      400,
      `There are ${PENDING_SNAPSHOTS} pending snapshots.`,
    );
  }
  const now = region.clock.now();
  const snapshot: SnapshotRecord = {
    id: newId('snap'),
    state: 'pending',
    progress: '0%',
    volumeId: NO_VOLUME,
    size,
    description,
    ownerId: region.settings.accountId,
    startTime: now,
    blank: false,
    ...encryption,
    writing: {
      minutes,
      touched: now,
      ...(ParentSnapshotId === undefined ? {} : { parent: ParentSnapshotId }),
    },
    tags: tagsOf(input),
  };
  region.snapshots.set(snapshot.id, snapshot);
  expireLater(region, snapshot);
  return { snapshot, file: blocks.create(snapshot.id, size * GIBIBYTE, ParentSnapshotId) };
}

/** "Encryption outcomes for EBS direct APIs". */
function encryptionOf(
  region: Region,
  { Encrypted, KmsKeyArn, ParentSnapshotId }: Partial<StartSnapshotRequest>,
  size: number,
): Pick<SnapshotRecord, 'kmsKeyId'> {
  if (KmsKeyArn !== undefined && !KEY_ARN.test(KmsKeyArn)) {
    throw invalid('INVALID_CUSTOMER_KEY', 'KmsKeyArn is not the ARN of a key.');
  }
  if (ParentSnapshotId !== undefined) {
    if (Encrypted !== undefined) {
      throw invalid('INVALID_PARAMETER_VALUE', 'ParentSnapshotId and Encrypted exclude each other.');
    }
    const parent = snapshotOf(region, ParentSnapshotId);
    if (parent.state !== 'completed' || parent.blank) {
      throw invalid('INVALID_SNAPSHOT_ID', `The parent ${ParentSnapshotId} is not completed.`);
    }
    if (size < parent.size) {
      throw invalid('INVALID_VOLUME_SIZE', 'VolumeSize is less than that of the parent.');
    }
    if (KmsKeyArn !== undefined) {
      throw invalid('INVALID_PARAMETER_VALUE', 'A snapshot has the encryption of its parent.');
    }
    if (parent.kmsKeyId !== undefined) return { kmsKeyId: parent.kmsKeyId };
    if (region.account.encryptionByDefault) {
      throw invalid('INVALID_PARAMETER_VALUE', 'With encryption by default the parent must be encrypted.');
    }
    return {};
  }
  if (Encrypted === true) return { kmsKeyId: KmsKeyArn ?? ebsKey(region) };
  if (KmsKeyArn !== undefined) {
    throw invalid('INVALID_PARAMETER_VALUE', 'KmsKeyArn needs Encrypted.');
  }
  return region.account.encryptionByDefault ? { kmsKeyId: ebsKey(region) } : {};
}

function tagsOf({ Tags = [] }: Partial<StartSnapshotRequest>): Record<string, string> {
  try {
    checkTags(Tags);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw invalid('INVALID_TAG', error.message);
  }
  return Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value]));
}

/** StartSnapshot, Timeout: cancelled when nothing is written for so long, or it is not completed for so long after the last block. */
export function expireLater(region: Region, snapshot: SnapshotRecord): void {
  const { writing } = snapshot;
  if (writing === undefined) return;
  const left = writing.touched + writing.minutes * MINUTE - region.clock.now();
  region.later(Math.max(0, left), () => {
    const now = snapshot.writing;
    if (now === undefined || region.snapshots.get(snapshot.id) !== snapshot) return;
    if (now.touched + now.minutes * MINUTE > region.clock.now()) {
      expireLater(region, snapshot);
      return;
    }
    delete snapshot.writing;
    snapshot.state = 'error';
    snapshot.stateMessage = `Nothing was written and it was not completed for ${now.minutes} minutes.`;
  });
}

/** Fails unless blocks may be written: PutSnapshotBlock, "The target snapshot must be in the pending state." */
export function writable(
  region: Region,
  id: string,
): SnapshotRecord & Required<Pick<SnapshotRecord, 'writing'>> {
  const snapshot = snapshotOf(region, id);
  const { writing } = snapshot;
  if (writing === undefined) {
    throw invalid('INVALID_SNAPSHOT_ID', `The snapshot '${id}' is ${snapshot.state} and takes no blocks.`);
  }
  return snapshot as SnapshotRecord & Required<Pick<SnapshotRecord, 'writing'>>;
}

export async function completeSnapshot(
  region: Region,
  blocks: BlockStore,
  input: CompleteSnapshotRequest,
): Promise<CompleteSnapshotResponse> {
  const snapshot = writable(region, input.SnapshotId ?? '');
  const list = await blocks.list(snapshot.id);
  const count = written(list).length;
  if (input.ChangedBlocksCount !== count) {
    throw invalid(
      'INVALID_PARAMETER_VALUE',
      `ChangedBlocksCount is ${input.ChangedBlocksCount}, but ${count} blocks were written.`,
    );
  }
  if (input.Checksum !== undefined) {
    if (input.ChecksumAlgorithm !== 'SHA256' || input.ChecksumAggregationMethod !== 'LINEAR') {
      throw invalid('INVALID_PARAMETER_VALUE', 'Checksums are SHA256 and LINEAR.');
    }
    if (input.Checksum !== linearChecksum(list)) {
      throw invalid('INVALID_PARAMETER_VALUE', 'The checksum is not that of the blocks written.');
    }
  }
  delete (snapshot as SnapshotRecord).writing;
  snapshot.progress = '99%';
  // "starts an asynchronous workflow that seals the snapshot" ("Write Amazon EBS snapshots with EBS direct APIs").
  region.later(region.settings.delays.snapshotPending, async () => {
    if (region.snapshots.get(snapshot.id) !== snapshot) return;
    await blocks.seal(snapshot.id, snapshot.kmsKeyId !== undefined);
    snapshot.state = 'completed';
    snapshot.progress = '100%';
    snapshot.completionTime = region.clock.now();
  });
  return { Status: 'pending' };
}

const describe = (snapshot: SnapshotRecord): StartSnapshotResponse => ({
  Description: snapshot.description,
  SnapshotId: snapshot.id,
  OwnerId: snapshot.ownerId,
  Status: snapshot.state === 'completed' || snapshot.state === 'error' ? snapshot.state : 'pending',
  StartTime: new Date(snapshot.startTime),
  VolumeSize: snapshot.size,
  BlockSize: BLOCK_BYTES,
  Tags: tagList(snapshot.tags),
  ...(snapshot.writing?.parent === undefined ? {} : { ParentSnapshotId: snapshot.writing.parent }),
  ...(snapshot.kmsKeyId !== undefined ? { KmsKeyArn: snapshot.kmsKeyId } : {}),
});
