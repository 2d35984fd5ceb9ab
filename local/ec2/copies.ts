import type {
  CopyImageCommandInput,
  CopyImageResult,
  CopySnapshotCommandInput,
  CopySnapshotResult,
} from '@aws-sdk/client-ec2';
import { encryptSnapshot } from '../ebs/encrypting.ts';
import { ServiceError } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { InaccessibleKey, keyFor, type WantedKey } from './encryption.ts';
import { once } from './idempotency.ts';
import { need, newId } from './ids.ts';
import { needVisible } from './image-access.ts';
import type { DeviceMapping, ImageRecord, SnapshotRecord, Tags } from './model.ts';
import { addImage, checkImageName } from './new-image.ts';
import { windowsIf } from './platform.ts';
import type { Region } from './region.ts';
import { mayMakeVolumes } from './snapshot-permissions.ts';
import { tagList, tagsFor } from './tag-sets.ts';

/** "Amazon EBS quotas": concurrent snapshot copies per destination Region. */
const CONCURRENT_COPIES = 20;

/** "Copy an Amazon EBS snapshot": snapshots made by a copy "have an arbitrary volume ID". */
const NO_VOLUME = 'vol-ffffffff';

/** Copies are asked for where they shall be: CopyImage, CopySnapshot. */
export function copyActions(region: Region): Action[] {
  return [
    action<CopyImageCommandInput, CopyImageResult>(
      'CopyImage',
      [
        'ClientToken',
        'CopyImageTags',
        'Description',
        'Encrypted',
        'KmsKeyId',
        'Name',
        'SourceImageId',
        'SourceRegion',
        'TagSpecifications.*',
      ],
      async (input) => {
        const source = await sourceOf(region, input.SourceRegion);
        return {
          ImageId: once(region.tokens, 'CopyImage', input, region.clock.now(), () =>
            copyImage(region, source, input),
          ),
        };
      },
    ),

    action<CopySnapshotCommandInput, CopySnapshotResult>(
      'CopySnapshot',
      [
        'Description',
        'DestinationRegion',
        'Encrypted',
        'KmsKeyId',
        'PresignedUrl', // "Deprecated": old clients presign, and nothing has to check it here.
        'SourceRegion',
        'SourceSnapshotId',
        'TagSpecifications.*',
      ],
      async (input) => {
        const source = await sourceOf(region, input.SourceRegion);
        const original = need('snapshot', source.snapshots, input.SourceSnapshotId ?? '');
        if (!mayMakeVolumes(source, original)) {
          throw new ServiceError('InvalidSnapshot.NotFound', `The snapshot '${original.id}' does not exist.`);
        }
        if (original.state !== 'completed') {
          throw new ServiceError('IncorrectState', `The snapshot '${original.id}' is ${original.state}.`);
        }
        if (input.Encrypted === false) {
          // CopySnapshot, Encrypted: "You cannot set this parameter to false."
          throw new ServiceError(
            'InvalidParameterValue',
            'Value (false) for parameter encrypted is invalid.',
          );
        }
        checkRoom(region, 1);
        const { snapshot: tags } = tagsFor(input.TagSpecifications, ['snapshot']);
        const copy = copySnapshot(region, original, {
          key: keyOfCopy(region, source, input, original),
          description: input.Description ?? '',
          tags,
        });
        return { SnapshotId: copy.id, Tags: tagList(copy.tags) };
      },
    ),
  ];
}

function sourceOf(region: Region, name: string | undefined): Promise<Region> {
  if (name === undefined || !region.neighbours.known.has(name)) {
    throw new ServiceError('InvalidParameterValue', `Invalid source region: ${name}`);
  }
  return region.neighbours.of(name);
}

function copyImage(region: Region, source: Region, input: CopyImageCommandInput): string {
  const original = needVisible(source, input.SourceImageId ?? '');
  if (original.state !== 'available') {
    throw new ServiceError(
      'InvalidAMIID.Unavailable',
      `The image id '[${original.id}]' is ${original.state}`,
    );
  }
  const name = checkImageName(region, input.Name);
  const { image: imageTags, snapshot: snapshotTags } = tagsFor(input.TagSpecifications, [
    'image',
    'snapshot',
  ]);
  // CopyImageTags: tags "attached by other Amazon Web Services accounts" are not copied.
  const copied =
    input.CopyImageTags === true && original.ownerId === region.settings.accountId ? original.tags : {};
  const snapshots = original.mappings.flatMap(({ Ebs }) => source.snapshots.get(Ebs?.SnapshotId ?? '') ?? []);
  if (!snapshots.every((one) => mayMakeVolumes(source, one))) {
    // "Copy an AMI": read access to the storage that backs the AMI is needed, not only to the AMI.
    throw new ServiceError('InvalidRequest', 'You do not have permission to access the storage of this ami');
  }
  const keys = new Map(snapshots.map((one) => [one.id, keyOfCopy(region, source, input, one)]));
  checkRoom(region, snapshots.length);
  const id = newId('ami');
  const mappings = original.mappings.map((mapping): DeviceMapping => {
    const snapshot = snapshots.find((one) => one.id === mapping.Ebs?.SnapshotId);
    if (!mapping.Ebs || !snapshot) return structuredClone(mapping);
    const { Encrypted: _, KmsKeyId: __, ...ebs } = mapping.Ebs;
    const copy = copySnapshot(region, snapshot, {
      key: keys.get(snapshot.id),
      description: descriptionOfCopy(region, id, original, snapshot),
      tags: { ...snapshotTags },
    });
    return { DeviceName: mapping.DeviceName, Ebs: { ...ebs, SnapshotId: copy.id } };
  });
  return addImage(region, {
    // Launch permissions, deprecation and the history of the original stay with it.
    ...propertiesOf(original),
    id,
    name,
    description: input.Description,
    mappings,
    sourceImageId: original.id,
    sourceImageRegion: source.settings.region,
    tags: { ...copied, ...imageTags },
  });
}

/** What an image is, apart from its name and where it came from. */
const propertiesOf = (image: ImageRecord) => ({
  architecture: image.architecture,
  virtualizationType: image.virtualizationType,
  bootMode: image.bootMode,
  enaSupport: image.enaSupport,
  sriovNetSupport: image.sriovNetSupport,
  imdsSupport: image.imdsSupport,
  tpmSupport: image.tpmSupport,
  uefiData: image.uefiData,
  rootDeviceName: image.rootDeviceName,
  windows: image.windows,
  body: image.body,
});

/** As EC2 writes it into the snapshots of a copied image. */
const descriptionOfCopy = (region: Region, id: string, original: ImageRecord, snapshot: SnapshotRecord) =>
  `Copied for DestinationAmi ${id} from SourceAmi ${original.id} for SourceSnapshot ${snapshot.id}. Task created on ${region.clock.now().toLocaleString('en-US')}.`;

/** CopyImage and CopySnapshot, KmsKeyId: a key of the destination; the source's own only counts where it lives. */
function keyOfCopy(
  region: Region,
  source: Region,
  input: Pick<CopyImageCommandInput, 'Encrypted' | 'KmsKeyId'>,
  original: SnapshotRecord,
): WantedKey | undefined {
  if (original.kmsKeyId !== undefined && source !== region) {
    // "you cannot create an unencrypted copy of an encrypted snapshot"
    if (input.Encrypted === false) return keyFor(region, input, original.kmsKeyId);
    return keyFor(region, { Encrypted: true, KmsKeyId: input.KmsKeyId }, undefined);
  }
  return keyFor(region, input, original.kmsKeyId);
}

function checkRoom(region: Region, wanted: number): void {
  const pending = [...region.snapshots.values()].filter((one) => one.copied && one.state === 'pending');
  if (pending.length + wanted > CONCURRENT_COPIES) {
    // "Error codes": ResourceLimitExceeded, "for example, … too many snapshot copies in progress".
    throw new ServiceError(
      'ResourceLimitExceeded',
      `Too many snapshot copies in progress. The limit is ${CONCURRENT_COPIES} for this destination region.`,
    );
  }
}

const copyFile = ({ disks }: Region, original: SnapshotRecord, copy: SnapshotRecord): Promise<void> =>
  copy.kmsKeyId !== undefined && original.kmsKeyId === undefined
    ? encryptSnapshot(disks.snapshot(original.id), disks.snapshot(copy.id))
    : disks.copySnapshot(original.id, copy.id);

function copySnapshot(
  region: Region,
  original: SnapshotRecord,
  { key, description, tags }: { key: WantedKey | undefined; description: string; tags: Tags },
): SnapshotRecord {
  const copy: SnapshotRecord = {
    id: newId('snap'),
    state: 'pending',
    progress: '0%',
    volumeId: NO_VOLUME,
    size: original.size,
    description,
    ownerId: region.settings.accountId,
    startTime: region.clock.now(),
    blank: original.blank,
    copied: true,
    ...(key === undefined ? {} : { kmsKeyId: key.arn ?? key.name }),
    ...windowsIf(original.windows),
    tags,
  };
  region.snapshots.set(copy.id, copy);
  const failed = (message: string) => {
    copy.state = 'error';
    copy.stateMessage = message;
  };
  // At once: the original may be deleted while its copy is made.
  const file =
    copy.blank || (key && key.arn === undefined)
      ? Promise.resolve()
      : copyFile(region, original, copy).catch((error: unknown) => {
          failed(`local cloud: ${String(error)}`);
          region.log(`ec2: ${copy.id}: ${String(error)}`);
        });
  region.later(region.settings.delays.snapshotCopying, async () => {
    await file;
    if (!region.snapshots.has(copy.id)) await region.disks.deleteSnapshot(copy.id);
    if (copy.state !== 'pending') return;
    if (key && key.arn === undefined) {
      failed(new InaccessibleKey().message);
      return;
    }
    copy.state = 'completed';
    copy.progress = '100%';
    copy.completionTime = region.clock.now();
  });
  return copy;
}
