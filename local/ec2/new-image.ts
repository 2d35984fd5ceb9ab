import { ServiceError } from '../front/service-error.ts';
import { newId } from './ids.ts';
import type { ImageRecord } from './model.ts';
import type { Region } from './region.ts';

/** RegisterImage, Name: "3-128 alphanumeric characters, parentheses, square brackets, spaces, periods, slashes, dashes, single quotes, at-signs, or underscores". */
const NAME = /^[A-Za-z0-9()[\] ./\-'@_]{3,128}$/;

/** What differs between the ways to an image; the rest is the same for every new one. */
type Made = Pick<
  ImageRecord,
  | 'name'
  | 'architecture'
  | 'virtualizationType'
  | 'enaSupport'
  | 'rootDeviceName'
  | 'mappings'
  | 'body'
  | 'tags'
> & {
  [Member in
    | 'id'
    | 'description'
    | 'bootMode'
    | 'sriovNetSupport'
    | 'imdsSupport'
    | 'tpmSupport'
    | 'uefiData'
    | 'windows'
    | 'sourceInstanceId'
    | 'sourceImageId'
    | 'sourceImageRegion']?: ImageRecord[Member] | undefined;
};

/** A new image of the account: `pending`, until its snapshots are there. */
export function addImage(region: Region, made: Made): string {
  const { id = newId('ami'), ...properties } = made;
  const image = {
    // Members that are undefined vanish in JSON and must not be there before either.
    ...Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined)),
    id,
    state: 'pending',
    ownerId: region.settings.accountId,
    creationDate: region.clock.now(),
    launchPermissions: [],
  } as unknown as ImageRecord;
  region.images.set(image.id, image);
  becomeAvailable(region, image);
  return image.id;
}

/** An image is available when all its snapshots are. */
function becomeAvailable(region: Region, image: ImageRecord): void {
  region.later(region.settings.delays.imagePending, () => {
    const snapshots = image.mappings.map((mapping) => region.snapshots.get(mapping.Ebs?.SnapshotId ?? ''));
    if (snapshots.some((snapshot) => snapshot?.state === 'error')) {
      image.state = 'failed';
      const Message = snapshots.find((snapshot) => snapshot?.state === 'error')?.stateMessage ?? '';
      image.stateReason = { Code: 'Client.InvalidSnapshot', Message };
    } else if (snapshots.some((snapshot) => snapshot?.state === 'pending')) becomeAvailable(region, image);
    else image.state = 'available';
  });
}

export function checkImageName(region: Region, name: string | undefined): string {
  if (name === undefined || !NAME.test(name)) {
    throw new ServiceError(
      'InvalidAMIName.Malformed',
      "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
    );
  }
  // Names are unique per owner and Region.
  const same = [...region.images.values()].find(
    (image) => image.name === name && image.ownerId === region.settings.accountId,
  );
  if (same) {
    throw new ServiceError(
      'InvalidAMIName.Duplicate',
      `AMI name ${name} is already in use by AMI ${same.id}`,
    );
  }
  return name;
}
