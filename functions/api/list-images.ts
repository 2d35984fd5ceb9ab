import { listedImage, pageOfImages } from '../../core/api/image-list.ts';
import { wrongField } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { inRegions } from '../../core/at-once.ts';
import { tagKey } from '../../core/names.ts';
import type { ImageAccess, Images, Regional } from '../../core/ports.ts';

interface ListImagesDependencies {
  /** The region where images are made, then those that may have copies. */
  readonly places: readonly string[];
  readonly regions: Regional<{ readonly images: Images; readonly access: ImageAccess }>;
}

const USUAL_LIMIT = 20;

export const listImages =
  ({ places, regions }: ListImagesDependencies) =>
  async ({ query }: RouteRequest<'list-images'>): Promise<RouteReply<'list-images'>> => {
    const { limit = USUAL_LIMIT, nextToken: from, region, recipe } = query;
    if (region !== undefined && !places.includes(region)) {
      throw wrongField('region', 'is not one of the factory', `it has ${places.join(', ')}.`);
    }
    const asked = region === undefined ? places : [region];
    const found = await inRegions(asked, async (place) => {
      const images = await regions(place).images.findOfAnyBuild();
      return images
        .filter(({ tags }) => recipe === undefined || tags[tagKey.recipe] === recipe)
        .map((image) => ({ region: place, image }));
    });
    const { page, nextToken } = pageOfImages(found.flat(), { limit, nextToken: from });
    // A call for each image, but only of this page.
    const images = await inRegions(page, async (one) => {
      const { access } = regions(one.region);
      // EC2 has taken the permissions of what is put away.
      const shared = one.image.state === 'available' ? await permissionsOf(access, one.image.imageId) : [];
      return listedImage(one, shared);
    });
    return { status: 200, body: { images, nextToken } };
  };

/** Nobody's of what went since the list was made. */
async function permissionsOf(access: ImageAccess, imageId: string): Promise<string[]> {
  try {
    return await access.permissions(imageId);
  } catch (error) {
    // The right is one to images with tags of the factory, which what has gone does not have.
    const gone = /^(InvalidAMIID\.(NotFound|Unavailable)|UnauthorizedOperation)$/;
    if (error instanceof Error && gone.test(error.name)) return [];
    throw error;
  }
}
