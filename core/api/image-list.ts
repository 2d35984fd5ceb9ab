import { tagKey } from '../names.ts';
import type { Image, OfBuild } from '../ports.ts';
import { readShelvedTag } from '../retained-images.ts';
import { wrongField } from './problems.ts';
import type { ListedImage } from './schemas.ts';

/** An image of the factory where it was found. */
export interface PlacedImage {
  readonly region: string;
  readonly image: OfBuild<Image>;
}

/** The newest first; what was made in the same second by its id. The same order whenever it is asked, so that a page has a place to go on from. */
const placeOf = ({ region, image }: PlacedImage): string =>
  `${new Date(image.startedAt ?? 0).toISOString()} ${image.imageId} ${region}`;

const TOKEN = /^\d{4}-[\d:.TZ-]+ ami-[0-9a-f]+ [a-z0-9-]+$/;

/** A page of images, and the token of the next; a token is the place of the last one. */
export function pageOfImages(
  images: readonly PlacedImage[],
  { limit, nextToken }: { readonly limit: number; readonly nextToken: string | undefined },
): { readonly page: readonly PlacedImage[]; readonly nextToken: string | null } {
  const after = nextToken === undefined ? undefined : Buffer.from(nextToken, 'base64url').toString('utf8');
  if (after !== undefined && !TOKEN.test(after)) {
    throw wrongField('nextToken', 'is not of this list', 'begin at the first page.');
  }
  const ordered = images
    .map((one) => ({ one, place: placeOf(one) }))
    .sort((a, b) => (a.place < b.place ? 1 : -1))
    .filter(({ place }) => after === undefined || place < after);
  const page = ordered.slice(0, limit);
  const last = page.at(-1);
  return {
    page: page.map(({ one }) => one),
    nextToken:
      last === undefined || ordered.length <= limit ? null : Buffer.from(last.place).toString('base64url'),
  };
}

export const listedImage = ({ region, image }: PlacedImage, sharedWith: readonly string[]): ListedImage => ({
  imageId: image.imageId,
  region,
  name: image.name,
  state: image.state,
  recipe: image.tags[tagKey.recipe] ?? null,
  release: image.tags[tagKey.release] ?? null,
  architecture: image.properties.Architecture === 'x86_64' ? 'amd64' : 'arm64',
  build: image.build === '' ? null : image.build,
  createdAt: image.startedAt === undefined ? null : new Date(image.startedAt).toISOString(),
  bootTestedAt: timeIn(image.tags[tagKey.bootTested]),
  sharedWith: [...sharedWith],
  deprecatedAt: timeIn(image.deprecatedAt),
  quarantinedAt: quarantinedAt(image.tags[tagKey.quarantined]),
});

/** Tags are anybody's to write: what is no time is none. */
const timeIn = (text: string | undefined): string | null => {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? null : new Date(time).toISOString();
};

function quarantinedAt(text: string | undefined): string | null {
  const shelved = readShelvedTag(text);
  return typeof shelved === 'object' ? new Date(shelved.since).toISOString() : null;
}
