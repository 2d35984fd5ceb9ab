import * as z from 'zod/mini';
import { releaseSchema } from './api/schemas.ts';
import { seenReleasesKey } from './names.ts';
import type { Records } from './ports.ts';

/** What the release watcher has seen, as it lies in the artifacts bucket. */
const seenReleasesSchema = z.object({
  /** When it looked last. */
  checkedAt: z.nullable(z.iso.datetime()),
  releases: z.array(releaseSchema),
});

export type SeenReleases = z.output<typeof seenReleasesSchema>;
export type SeenRelease = SeenReleases['releases'][number];

/** What was seen so far: nothing before the first run. */
export async function readSeenReleases(records: Pick<Records, 'get' | 'list'>): Promise<SeenReleases> {
  // S3 tells who may not read from what is not there only by the list.
  const keys = await records.list(seenReleasesKey);
  if (!keys.includes(seenReleasesKey)) return { checkedAt: null, releases: [] };
  return seenReleasesSchema.parse(JSON.parse(await records.get(seenReleasesKey)));
}
