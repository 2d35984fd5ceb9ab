import { atOnce, REGIONS_AT_ONCE } from './at-once.ts';
import { FactoryError } from './errors.ts';
import { type Publisher, putParameter } from './flips.ts';
import { type Journal, type Undo, undoStages } from './publication.ts';

/** Has a parameter name again what it named before; an image that is gone meanwhile is named by nothing. */
async function restoreParameter(
  publisher: Publisher,
  change: Extract<Undo, { readonly kind: 'parameter' }>,
): Promise<void> {
  const { images, parameters } = publisher.regions(change.region);
  const isOurs = async () => (await parameters.get(change.name))?.value === change.imageId;
  if (change.before === change.imageId || !(await isOurs())) return;
  if (change.before !== null) {
    try {
      await putParameter(publisher, change, change.before);
      return;
    } catch (error) {
      // Asked only after that: an image of somebody else's may be there without being shown to us.
      const refused = error instanceof FactoryError && error.name === 'ParameterRefused';
      if (!refused || (await images.describe(change.before)) !== undefined) throw error;
      if (!(await isOurs())) return;
    }
  }
  await parameters.delete(change.name);
}

async function undo(publisher: Publisher, change: Undo): Promise<void> {
  const { access, images } = publisher.regions(change.region);
  if (change.kind === 'parameter') {
    await restoreParameter(publisher, change);
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
