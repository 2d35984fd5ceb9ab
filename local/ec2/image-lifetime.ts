import type {
  DisableImageCommandInput,
  DisableImageDeprecationCommandInput,
  DisableImageDeprecationResult,
  DisableImageResult,
  EnableImageCommandInput,
  EnableImageDeprecationCommandInput,
  EnableImageDeprecationResult,
  EnableImageResult,
} from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { isPublic, needOwn } from './image-access.ts';
import type { ImageRecord } from './model.ts';
import type { Region } from './region.ts';

/** EnableImageDeprecation: "up to 10 years in the future"; public AMIs: "maximum value is two years from creation". */
const DEPRECATION_YEARS = 10;
const PUBLIC_YEARS = 2;
const YEAR_MILLISECONDS = 365.25 * 24 * 3600 * 1000;

const latestOfPublic = (image: ImageRecord) => image.creationDate + PUBLIC_YEARS * YEAR_MILLISECONDS;

/** "Deprecate an Amazon EC2 AMI": "By default, the deprecation date of all public AMIs is set to two years from the AMI creation date." */
export function limitLifetime(image: ImageRecord): void {
  image.deprecationTime = Math.min(image.deprecationTime ?? Number.POSITIVE_INFINITY, latestOfPublic(image));
}

export function imageLifetimeActions(region: Region): Action[] {
  return [
    action<EnableImageDeprecationCommandInput, EnableImageDeprecationResult>(
      'EnableImageDeprecation',
      ['DeprecateAt', 'ImageId'],
      (input) => {
        const image = needOwn(region, input.ImageId);
        const at = input.DeprecateAt?.getTime() ?? Number.NaN;
        const now = region.clock.now();
        const latest = isPublic(image) ? latestOfPublic(image) : now + DEPRECATION_YEARS * YEAR_MILLISECONDS;
        if (!(at > now) || at > latest) {
          throw new ServiceError(
            'InvalidParameter',
            `DeprecateAt must be in the future and before ${new Date(latest).toISOString()}`,
          );
        }
        // "If you specify a value for seconds, Amazon EC2 rounds the seconds to the nearest minute."
        image.deprecationTime = Math.round(at / 60_000) * 60_000;
        return { Return: true };
      },
    ),

    action<DisableImageDeprecationCommandInput, DisableImageDeprecationResult>(
      'DisableImageDeprecation',
      ['ImageId'],
      (input) => {
        const image = needOwn(region, input.ImageId);
        // Same page: to cancel the date of a public AMI, "you must make the AMI private".
        if (isPublic(image)) {
          throw new ServiceError(
            'OperationNotPermitted',
            `The deprecation of the public image ${image.id} cannot be cancelled.`,
          );
        }
        delete image.deprecationTime;
        return { Return: true };
      },
    ),

    // "Sets the AMI state to disabled and removes all launch permissions from the AMI."
    action<DisableImageCommandInput, DisableImageResult>('DisableImage', ['ImageId'], (input) => {
      const image = needOwn(region, input.ImageId);
      if (image.state !== 'available' && image.state !== 'disabled') {
        throw new ServiceError('InvalidAMIID.Unavailable', `The image ID '${image.id}' is ${image.state}`);
      }
      image.state = 'disabled';
      image.launchPermissions = [];
      return { Return: true };
    }),

    action<EnableImageCommandInput, EnableImageResult>('EnableImage', ['ImageId'], (input) => {
      const image = needOwn(region, input.ImageId);
      if (image.state !== 'available' && image.state !== 'disabled') {
        throw new ServiceError('InvalidAMIID.Unavailable', `The image ID '${image.id}' is ${image.state}`);
      }
      image.state = 'available';
      return { Return: true };
    }),
  ];
}
