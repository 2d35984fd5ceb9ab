import { atOnce, REGIONS_AT_ONCE } from './at-once.ts';
import { type Publisher, putParameter } from './flips.ts';
import { type Journal, type Undo, undoStages } from './publication.ts';

async function undo(publisher: Publisher, change: Undo): Promise<void> {
  const { access, images, parameters } = publisher.regions(change.region);
  if (change.kind === 'parameter') {
    const there = await parameters.get(change.name);
    if (there?.value !== change.imageId || change.before === change.imageId) return;
    if (change.before === null) await parameters.delete(change.name);
    else await putParameter(publisher, change, change.before);
    return;
  }
  // With an image that is gone, all that was changed of it is gone, too.
  const image = await images.describe(change.imageId);
  if (image === undefined) return;
  if (change.kind === 'deprecate') {
    const ours = image.deprecatedAt !== undefined && Date.parse(image.deprecatedAt) === Date.parse(change.at);
    if (!ours) return;
    if (change.before === null) await access.undeprecate(change.imageId);
    else await access.deprecate(change.imageId, change.before);
    return;
  }
  const there = await access.permissions(change.imageId);
  const ours = change.remove.filter((one) => there.includes(one));
  if (ours.length > 0) await access.withdraw(change.imageId, ours);
}

/** Where readers could not be given back what they saw. */
export interface Stuck {
  readonly region: string;
  readonly why: string;
}

/**
 * Puts everything back, the last change first. A region in which something fails is left as it is from there on: whoever resolves a
 * parameter that still names the new image can still launch it. All others go on.
 */
export async function putBack(publisher: Publisher, journal: Journal): Promise<Stuck[]> {
  if (!journal.begun) return [];
  const stuck: Stuck[] = [];
  for (const stage of undoStages(journal)) {
    const going = stage.filter(({ region }) => !stuck.some((one) => one.region === region));
    const results = await atOnce(REGIONS_AT_ONCE, going, (change) => undo(publisher, change));
    for (const [index, result] of results.entries()) {
      const change = going[index];
      if (result.status === 'fulfilled' || change === undefined) continue;
      const { name, message } =
        result.reason instanceof Error ? result.reason : new Error(String(result.reason));
      const what = change.kind === 'parameter' ? change.name : `${change.kind} of ${change.imageId}`;
      stuck.push({ region: change.region, why: `${what}: ${name}: ${message}` });
    }
  }
  return stuck;
}
