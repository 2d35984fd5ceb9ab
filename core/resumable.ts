import { type Tags, tagKey } from './names.ts';
import type { Image, Images } from './ports.ts';

/** Until when a thing of a failed build waits for a next attempt that takes it over, epoch milliseconds; 0 when it does not. */
export const resumableUntil = (tags: Tags | undefined): number =>
  Date.parse(tags?.[tagKey.resumableUntil] ?? '') || 0;

/** TimeoutSeconds of the state machine, and an hour for clocks and the reaper's schedule. */
const ATTEMPT_MILLISECONDS = 15 * 3_600_000;

/** What an attempt that takes a thing over puts into its tag, so that it is there to the end; undefined when what is there will do. */
export function prolonged(tags: Tags | undefined, now: number): string | undefined {
  const until = now + ATTEMPT_MILLISECONDS;
  return resumableUntil(tags) >= until ? undefined : new Date(until).toISOString();
}

/** Has an image wait until then, epoch milliseconds; not for a shorter time than somebody asked for already. */
export async function reserve(
  images: Pick<Images, 'tag'>,
  { imageId, tags }: Image,
  until: number,
): Promise<void> {
  if (resumableUntil(tags) >= until) return;
  await images.tag(imageId, tagKey.resumableUntil, new Date(until).toISOString());
}
