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

/** Parameter Store looks at an image after it has answered; no figure is published. Nearly thirteen seconds, each pause twice as long as the last. */
const READ_BACK_PAUSES = 7;
const FIRST_PAUSE_MILLISECONDS = 100;

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
  for (let pauses = 0; !(await taken()); pauses++) {
    if (pauses === READ_BACK_PAUSES) throw parameterRefused(region, name, value);
    await pause(FIRST_PAUSE_MILLISECONDS * 2 ** pauses);
  }
}

const parameterRefused = (region: string, name: string, value: string): FactoryError =>
  new FactoryError('ParameterRefused', {
    message: `Parameter Store of ${region} took ${name} = ${value}, but does not show it: it refuses images that are not available to this account`,
    remedy: 'see whether the image is there, and whether somebody else writes this parameter.',
  });

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
