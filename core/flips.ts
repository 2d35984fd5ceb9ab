import { FactoryError } from './errors.ts';
import type { ImageAccess, ImageParameters, Images, Regional } from './ports.ts';
import type { Flip } from './publication.ts';

/** What a publication changes in one region. */
export interface PublicationPorts {
  readonly images: Pick<Images, 'describe'>;
  readonly access: ImageAccess;
  readonly parameters: ImageParameters;
}

export interface Publisher {
  readonly regions: Regional<PublicationPorts>;
  readonly pause: (milliseconds: number) => Promise<unknown>;
}

/** Parameter Store looks at an image after it has answered; no figure is published. Twelve seconds, while other regions go on. */
const READ_BACK_LOOKS = 8;
const READ_BACK_PAUSE_MILLISECONDS = 1_500;

/** Writes a parameter and reads it back; nothing is written when it is so already. */
export async function putParameter(
  { regions, pause }: Publisher,
  { region, name }: { readonly region: string; readonly name: string },
  value: string,
): Promise<void> {
  const { parameters } = regions(region);
  const taken = async () => (await parameters.get(name))?.value === value;
  if (await taken()) return;
  await parameters.put(name, value);
  for (let looks = 0; looks < READ_BACK_LOOKS; looks++) {
    if (await taken()) return;
    await pause(READ_BACK_PAUSE_MILLISECONDS);
  }
  throw new FactoryError('ParameterRefused', {
    message: `Parameter Store of ${region} took ${name} = ${value}, but does not show it: it refuses images that are not available to this account`,
    remedy: 'see whether the image is there, and whether somebody else writes this parameter.',
  });
}

/** Makes one change; once more does no harm. */
export async function flip(publisher: Publisher, change: Flip): Promise<void> {
  const { access } = publisher.regions(change.region);
  switch (change.kind) {
    case 'share': {
      const there = await access.permissions(change.imageId);
      const missing = change.add.filter((one) => !there.includes(one));
      if (missing.length > 0) await access.allow(change.imageId, missing);
      return;
    }
    case 'deprecate':
      await access.deprecate(change.imageId, change.at);
      return;
    case 'parameter':
      await putParameter(publisher, change, change.imageId);
  }
}
