import { ServiceError, unsupported } from '../front/service-error.ts';
import { need } from './ids.ts';
import type { ImageRecord } from './model.ts';
import type { Region } from './region.ts';

/** Who may see, use and change an image. */
export const isPublic = (image: ImageRecord) => image.launchPermissions.some((one) => one.Group === 'all');

export const visible = (region: Region, image: ImageRecord) =>
  image.ownerId === region.settings.accountId || isPublic(image);

export function needVisible(region: Region, id: string): ImageRecord {
  const image = need('image', region.images, id);
  if (!visible(region, image)) {
    throw new ServiceError('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
  }
  return image;
}

export function needOwn(region: Region, id: string | undefined): ImageRecord {
  const image = needVisible(region, id ?? '');
  if (image.ownerId !== region.settings.accountId) {
    throw new ServiceError('AuthFailure', `Not authorized for image:${image.id}`, 403);
  }
  return image;
}

/** The image of a launch: it must be available. */
export function imageForLaunch(region: Region, id: string): ImageRecord {
  if (id.startsWith('resolve:ssm:')) throw unsupported('resolve:ssm: in ImageId');
  const image = needVisible(region, id);
  if (image.state !== 'available') {
    throw new ServiceError('InvalidAMIID.Unavailable', `The image id '[${id}]' is no longer available`);
  }
  return image;
}
