import { FactoryError } from './errors.ts';
import { tagKey } from './names.ts';
import type { Image, Images } from './ports.ts';

/**
 * The image that an earlier try of this build has made; undefined when it is still to be made. Neither RegisterImage nor CreateImage has a
 * client token: the name, unique per account, stands for one. Throws `AmbiguousResource`, and `ImageNameTaken` when another build was faster.
 */
export async function findOwnImage(
  images: Pick<Images, 'findByName'>,
  { name, build }: { readonly name: string; readonly build: string },
): Promise<Image | undefined> {
  const [existing, another] = await images.findByName(name);
  if (another !== undefined) {
    throw new FactoryError('AmbiguousResource', {
      message: `two images are called ${name}: ${existing?.imageId} and ${another.imageId}`,
      remedy: 'deregister the one that is not wanted.',
    });
  }
  if (existing !== undefined && existing.tags[tagKey.build] !== build) {
    throw new FactoryError('ImageNameTaken', {
      message: `${existing.imageId} took the name ${name} while this build was running`,
      remedy:
        'if another build of the same recipe made it, use that image; else deregister it and build again.',
    });
  }
  return existing;
}
