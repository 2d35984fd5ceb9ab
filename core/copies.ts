import { differences } from './image-properties.ts';
import { type Tags, tagKey } from './names.ts';
import type { Encryption, Image, Snapshot } from './ports.ts';

/** What a copy in another region should be. */
export interface CopyWish {
  readonly build: string;
  readonly contentDigest: string;
  /** The image at home. */
  readonly source: Image;
  readonly sourceRegion: string;
  /** Null: as the source is. */
  readonly encryption: Encryption | null;
  /** ARN of the key, when the recipe names one. */
  readonly keyArn: string | undefined;
}

/** What the life of the image at home is about, and not the image. */
const ownLife: readonly string[] = [tagKey.build, tagKey.role, tagKey.resumableUntil, tagKey.quarantined];

/** What may change while an image lives. */
const changing: readonly string[] = [tagKey.retention];

/** Tags of a copy and of its snapshot: those of the image, as this build's copy. `aws:` belongs to AWS. */
export const copyTags = (source: Tags, build: string): Tags => ({
  ...Object.fromEntries(
    Object.entries(source).filter(([key]) => !key.startsWith('aws:') && !ownLife.includes(key)),
  ),
  [tagKey.build]: build,
  [tagKey.role]: 'copy',
});

/** What is not as it should be, a line each. */
export function wrongWithCopy(image: Image, snapshot: Snapshot | undefined, wish: CopyWish): string[] {
  if (snapshot === undefined) return [`- its snapshot ${image.rootSnapshotId ?? ''} cannot be seen`];
  if (snapshot.state !== 'completed') return [`- its snapshot ${snapshot.snapshotId} is ${snapshot.state}`];
  const { source, build, encryption, keyArn } = wish;
  const wrong = [
    ...differences(comparable(source.properties), comparable(image.properties)),
    ...unexpected(source.properties, image.properties),
  ];
  // What another build copied carries its own tags, and those that the image had at the time.
  const tags =
    image.tags[tagKey.build] === build
      ? lasting(copyTags(source.tags, build))
      : { [tagKey.contentDigest]: wish.contentDigest };
  wrong.push(...differences(prefixed(tags), prefixed(image.tags)));
  if (image.tags[tagKey.build] === build) {
    wrong.push(...differences(prefixed(tags, 'snapshot tag'), prefixed(snapshot.tags ?? {}, 'snapshot tag')));
  }
  if (encryption !== null && snapshot.encrypted !== true) wrong.push('- it is not encrypted');
  if (keyArn !== undefined && snapshot.kmsKeyId !== keyArn) {
    wrong.push(`- its key is ${snapshot.kmsKeyId ?? 'absent'}, not ${keyArn}`);
  }
  return wrong;
}

/** Each region has a snapshot of its own, and its own ways with encryption, which the snapshot shows. */
const ofRegion: readonly string[] = ['Ebs.SnapshotId', 'Ebs.Encrypted'];
const comparable = (properties: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(properties).filter(([key]) => !ofRegion.includes(key)));

const unexpected = (
  wanted: Readonly<Record<string, string>>,
  found: Readonly<Record<string, string>>,
): string[] =>
  Object.keys(comparable(found))
    .filter((key) => wanted[key] === undefined)
    .map((key) => `- ${key} is ${found[key]}, where the image has none`);

const lasting = (tags: Tags): Tags =>
  Object.fromEntries(Object.entries(tags).filter(([key]) => !changing.includes(key)));

const prefixed = (tags: Tags, what = 'tag'): Record<string, string> =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [`${what} ${key}`, value]));
