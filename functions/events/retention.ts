import * as z from 'zod/mini';
import { atOnce, REGIONS_AT_ONCE } from '../../core/at-once.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { quarantineKey, tagKey } from '../../core/names.ts';
import type {
  ImageAccess,
  ImageParameters,
  Images,
  ImageUses,
  Notices,
  Records,
  Regional,
  Shelf,
  Snapshots,
} from '../../core/ports.ts';
import { resumableUntil } from '../../core/resumable.ts';
import {
  begunTag,
  type HeldImage,
  type Inventory,
  inventory,
  readShelvedTag,
  shelvedTag,
  told,
} from '../../core/retained-images.ts';
import { DAY, type Edition, editionsOf, launchedLately, unwanted } from '../../core/retention.ts';
import { recipeOf, retentionTag } from '../../core/retention-tag.ts';

const imageId = z.string().check(z.regex(/^ami-[0-9a-f]+$/));

/** From the schedule: nothing. By hand: an image to put away, or to take out again, with its copies. */
export const retentionEvent = {
  name: 'retention',
  input: z.object({
    retire: z.optional(imageId),
    restore: z.optional(imageId),
    /** Who uses an image that should be put away is an answer then, and no error. */
    explain: z.optional(z.boolean()),
  }),
};

/** One region. */
export interface RetentionPorts {
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly access: ImageAccess;
  readonly parameters: ImageParameters;
  readonly uses: ImageUses;
  readonly shelf: Shelf;
}

interface RetentionDependencies {
  /** The region where images are made, then those that may have copies. */
  readonly places: readonly string[];
  readonly regions: Regional<RetentionPorts>;
  readonly records: Records;
  readonly notices: Notices;
  readonly clock: Clock;
  /** Writes one structured line. */
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** The command that takes an image and its copies out again. */
  readonly undo: (imageId: string) => string;
  readonly settings: {
    readonly DRY_RUN: boolean;
    readonly QUARANTINE_DAYS: number;
    readonly PARAMETER_PREFIX: string;
  };
}

export interface RetentionSummary {
  readonly dryRun: boolean;
  /** Images of all regions that were put away, or would be. */
  readonly quarantined: readonly string[];
  /** Those that were deleted, or would be. */
  readonly retired: readonly string[];
  readonly restored: readonly string[];
  /** Images that would go, but for those who use them. */
  readonly inUse: number;
  /** Images whose time in quarantine is not over. */
  readonly waiting: number;
  /** What stays because nobody could tell, or AWS refused. */
  readonly uncertain: number;
  /** Of an image that somebody asked to put away, and its copies. */
  readonly byHand?: {
    readonly members: readonly { readonly region: string; readonly imageId: string }[];
    /** Who needs one of them, so that all of them stay. */
    readonly users: readonly string[];
    readonly undo: string;
  };
}

type Held = Edition<HeldImage>;

/** What an image was before it was put away. */
const record = z.object({ permissions: z.array(z.string()) });

/** Who uses the images of some editions. */
interface Answers {
  /** For people, by image. */
  readonly users: ReadonlyMap<string, readonly string[]>;
  /** Names of the factory's own parameters of this very image, by image. */
  readonly named: ReadonlyMap<string, readonly string[]>;
  /** Regions that did not say all of it. */
  readonly silent: ReadonlyMap<string, string>;
}

/**
 * Retires images that no recipe's wish keeps (core/retention.ts) and nobody uses: first they are put away, in all regions, which whoever
 * used them unseen will notice while one command undoes it; some days later they are deleted, with their snapshots. An image
 * and its copies go together or not at all. What is not certain stays, and is told by `RetentionIncomplete`.
 */
export const retention = (world: RetentionDependencies) => {
  const { places, regions, records, notices, clock, log, undo, settings } = world;
  const { DRY_RUN: dryRun, PARAMETER_PREFIX: prefix } = settings;
  const quarantine = settings.QUARANTINE_DAYS * DAY;

  const toldOf = ({ members, line }: Held) => ({
    name: members[0]?.name,
    line,
    regions: Object.fromEntries(members.map((one) => [one.region, one.imageId])),
  });
  const idsOf = ({ members }: Held) => members.map((one) => one.imageId);
  const withSnapshot = ({ imageId: id, snapshotId }: HeldImage) =>
    snapshotId === undefined ? [id] : [id, snapshotId];
  const undoOf = ({ members }: Held) => undo(members[0]?.imageId ?? '');

  /** The parameter that stands for this image and no other: it goes with it, and uses nothing. */
  const isOwnName = (name: string, content: string): boolean =>
    name.startsWith(prefix) && name.split('/').at(-1) === content.slice(0, 12);

  async function ask(editions: readonly Held[]): Promise<Answers> {
    const users = new Map<string, string[]>();
    const named = new Map<string, string[]>();
    const silent = new Map<string, string>();
    const add = (to: Map<string, string[]>, key: string, value: string) =>
      void to.set(key, [...(to.get(key) ?? []), value]);
    const members = editions.flatMap((edition) => edition.members);
    const contents = new Map(members.map((one) => [one.imageId, one.content]));
    const asked = [...Map.groupBy(members, ({ region }) => region)];
    const results = await atOnce(REGIONS_AT_ONCE, asked, async ([region, there]) => {
      const { uses } = regions(region);
      return await uses.of(there.map((one) => one.imageId));
    });
    for (const [index, [region, there]] of asked.entries()) {
      const result = results[index];
      if (result?.status !== 'fulfilled') {
        silent.set(region, `who uses its images is not certain: ${told(result?.reason)}`);
        continue;
      }
      for (const { imageId: id, by, parameter } of result.value) {
        if (parameter !== undefined && isOwnName(parameter, contents.get(id) ?? ''))
          add(named, id, parameter);
        else add(users, id, by);
      }
      for (const one of there) {
        if (one.isProtected) add(users, one.imageId, 'its deregistration protection');
        const { launchedAt } = one;
        if (launchedAt !== undefined && launchedLately(launchedAt, one.madeAt, clock.now())) {
          add(users, one.imageId, `a launch on ${new Date(launchedAt).toISOString()}`);
        }
      }
    }
    return { users, named, silent };
  }

  /** Who uses it, in the words of the answers; with the region. */
  const usersOf = ({ members }: Held, { users }: Answers): string[] =>
    members.flatMap((one) => (users.get(one.imageId) ?? []).map((by) => `${one.region}: ${by}`));

  /**
   * Every order of two of these steps has a crash between them, so the tag says when it is about to happen and when it has happened; what
   * an image was is written down before the first.
   */
  async function putAway(edition: Held): Promise<void> {
    for (const one of edition.members) {
      const { region, imageId: id, snapshotId } = one;
      if (typeof one.shelved === 'object') continue;
      const { access, shelf } = regions(region);
      if (one.shelved === 'no') {
        const before = { imageId: id, region, name: one.name, snapshotId, tag: one.tagText };
        const permissions = await access.permissions(id);
        const at = new Date(clock.now()).toISOString();
        await records.put(quarantineKey(region, id), JSON.stringify({ ...before, permissions, at }, null, 2));
        await shelf.mark([id], tagKey.quarantined, begunTag(clock.now()));
      }
      if (one.state === 'available') await shelf.disable(id);
      await shelf.mark(withSnapshot(one), tagKey.quarantined, shelvedTag(clock.now()));
    }
    const deletedAfter = new Date(clock.now() + quarantine).toISOString();
    const detail = { ...toldOf(edition), deletedAfter, undo: undoOf(edition) };
    log('quarantined', detail);
    await notices.tell('Image Quarantined', detail);
  }

  /** Whether it is gone now. */
  async function deleteSnapshot(region: string, snapshotId: string): Promise<boolean> {
    const { snapshots } = regions(region);
    try {
      await snapshots.delete(snapshotId);
      return true;
    } catch (error) {
      // Somebody registered an image of their own from it: it is theirs.
      if (error instanceof Error && error.name === 'InvalidSnapshot.InUse') return false;
      throw error;
    }
  }

  /** The original last: its tag decides, as long as anything is left. */
  async function retire(edition: Held, { named }: Answers): Promise<void> {
    for (const one of edition.members.toReversed()) {
      const { images, parameters } = regions(one.region);
      for (const name of named.get(one.imageId) ?? []) await parameters.delete(name);
      await images.deregister(one.imageId);
      if (one.snapshotId !== undefined) await deleteSnapshot(one.region, one.snapshotId);
    }
    log('retired', toldOf(edition));
    await notices.tell('Image Retired', toldOf(edition));
  }

  /** Snapshots in quarantine whose image is gone: a run that ended between the two has left them. */
  async function sweep({ roots }: Inventory): Promise<void> {
    for (const [region, needed] of roots) {
      const { snapshots } = regions(region);
      for (const { snapshotId, tags } of await snapshots.findOfAnyBuild()) {
        const shelved = readShelvedTag(tags?.[tagKey.quarantined]);
        const over = typeof shelved === 'object' && clock.now() - shelved.since >= quarantine;
        if (!over || needed.has(snapshotId)) continue;
        if (dryRun) log('would delete', { region, snapshotId });
        else if (await deleteSnapshot(region, snapshotId)) log('deleted', { region, snapshotId });
      }
    }
  }

  /** Brings back what an image was, and pins it: who wants it out of quarantine wants it tomorrow, too. */
  async function takeOut(edition: Held): Promise<string[]> {
    const taken = edition.members.filter(({ shelved }) => shelved !== 'no');
    for (const one of taken) {
      const { region, imageId: id } = one;
      const { access, shelf } = regions(region);
      const { permissions } = record.parse(JSON.parse(await records.get(quarantineKey(region, id))));
      if (one.state === 'disabled') await shelf.enable(id);
      if (permissions.length > 0) await access.allow(id, permissions);
      await shelf.mark([id], tagKey.retention, retentionTag({ ...one.tag, never: true, gone: false }));
      await shelf.unmark(withSnapshot(one), tagKey.quarantined);
    }
    log('restored', toldOf(edition));
    if (taken.length > 0) await notices.tell('Image Restored', toldOf(edition));
    return taken.map((one) => one.imageId);
  }

  const nothing: RetentionSummary = {
    dryRun,
    quarantined: [],
    retired: [],
    restored: [],
    inUse: 0,
    waiting: 0,
    uncertain: 0,
  };

  /** All that could not be told, in one error. */
  function tellDoubts(doubts: ReadonlyMap<string, string>): void {
    if (doubts.size === 0) return;
    const lines = [...doubts].map(([what, why]) => `- ${what}: ${why}`);
    throw new FactoryError('RetentionIncomplete', {
      message: `what might go stays, because it is not certain or AWS refused:\n${lines.join('\n')}`,
      remedy: 'nothing, if the next run succeeds; else see to the permissions, or to what is named.',
    });
  }

  function editionOf(seen: Inventory, id: string): Held {
    const edition = editionsOf(seen.held).find((one) => idsOf(one).includes(id));
    if (edition !== undefined) return edition;
    const problems = [...seen.doubts].map(([what, why]) => `\n- ${what}: ${why}`);
    throw new FactoryError('ImageUnknown', {
      message: `there is no ${id} of this factory in ${places.join(', ')}${problems.join('')}`,
      remedy: 'look at the id and the regions of the deployment; when AWS did not answer, try again.',
    });
  }

  /** By hand: the image and its copies, as far as they can be seen. */
  async function restoreOne(seen: Inventory, id: string): Promise<RetentionSummary> {
    const edition = editionOf(seen, id);
    const restored = dryRun ? [] : await takeOut(edition);
    tellDoubts(new Map([...seen.doubts].filter(([what]) => seen.unseen.includes(what))));
    return { ...nothing, restored };
  }

  /** By hand: the image and its copies, whatever their recipe says, unless somebody uses them. */
  async function retireOne(seen: Inventory, id: string, explain = false): Promise<RetentionSummary> {
    const edition = editionOf(seen, id);
    const answers = await ask([edition]);
    const users = [...[...seen.doubts].filter(([what]) => seen.unseen.includes(what)), ...answers.silent].map(
      ([region, why]) => `${region}: ${why}`,
    );
    users.push(...usersOf(edition, answers));
    const byHand = {
      members: edition.members.map(({ region, imageId: one }) => ({ region, imageId: one })),
      undo: undoOf(edition),
    };
    if (users.length > 0 && explain) return { ...nothing, byHand: { ...byHand, users } };
    if (users.length > 0) {
      throw new FactoryError('ImageInUse', {
        message: `${toldOf(edition).name} stays:\n${users.map((by) => `- ${by}`).join('\n')}`,
        remedy: 'let these use another image, then ask again.',
      });
    }
    if (!dryRun) {
      for (const one of edition.members) {
        const { shelf } = regions(one.region);
        const gone = { ...one.tag, gone: true, never: false };
        await shelf.mark([one.imageId], tagKey.retention, retentionTag(gone));
      }
      await putAway(edition);
    }
    return { ...nothing, quarantined: idsOf(edition), byHand: { ...byHand, users: [] } };
  }

  return async (event: z.output<typeof retentionEvent.input>): Promise<RetentionSummary> => {
    const now = clock.now();
    const seen = await inventory(places, places[0] ?? '', regions);
    if (event.restore !== undefined) return await restoreOne(seen, event.restore);
    if (event.retire !== undefined) return await retireOne(seen, event.retire, event.explain);

    const doubts = new Map(seen.doubts);
    // In a region that does not answer, anything may be in use.
    const clear =
      seen.unseen.length > 0 ? [] : seen.held.filter(({ tag }) => !seen.unclear.has(recipeOf(tag)));
    const doomed = unwanted(clear, now);
    const answers = await ask(doomed);
    for (const [region, why] of answers.silent) doubts.set(region, why);
    const summary = { ...nothing, quarantined: [] as string[], retired: [] as string[] };

    async function judge(edition: Held): Promise<void> {
      const { members } = edition;
      const odd = members.find(({ state }) => !['available', 'disabled'].includes(state));
      if (odd) throw new Error(`${odd.imageId} in ${odd.region} is ${odd.state}`);
      const enabled = members.find((one) => typeof one.shelved === 'object' && one.state === 'available');
      if (enabled) {
        throw new Error(
          `${enabled.imageId} in ${enabled.region} is in quarantine and enabled: ${undoOf(edition)}`,
        );
      }
      // Somebody else has put it away, for reasons of their own.
      if (members.some(({ shelved, state }) => shelved === 'no' && state === 'disabled')) return;
      const users = usersOf(edition, answers);
      if (users.length > 0) {
        summary.inUse += members.length;
        log('in use', { ...toldOf(edition), users });
        if (members.every(({ shelved }) => shelved === 'no')) return;
        throw new Error(`in use by ${users.join(', ')} although in quarantine: ${undoOf(edition)}`);
      }
      const since = members.map(({ shelved }) => (typeof shelved === 'object' ? shelved.since : now));
      if (members.every(({ shelved }) => typeof shelved === 'object')) {
        if (now - Math.max(...since) < quarantine) {
          summary.waiting += members.length;
          return;
        }
        if (dryRun) log('would retire', toldOf(edition));
        else await retire(edition, answers);
        summary.retired.push(...idsOf(edition));
        return;
      }
      for (const { region, imageId } of members) {
        // The inventory is minutes old, and a build may have adopted the image since.
        const image = await regions(region).images.describe(imageId);
        if (resumableUntil(image?.tags) > now) throw new Error(`${imageId} in ${region} was just adopted`);
      }
      if (dryRun) log('would quarantine', toldOf(edition));
      else await putAway(edition);
      summary.quarantined.push(...idsOf(edition));
    }

    for (const edition of doomed) {
      if (edition.members.some(({ region }) => answers.silent.has(region))) continue;
      await judge(edition).catch((error: unknown) => {
        doubts.set(toldOf(edition).name ?? '', told(error));
      });
    }
    // Put away, or nearly, and wanted again since: its recipe changed, or newer ones have gone.
    const going = new Set(doomed.flatMap(idsOf));
    for (const edition of editionsOf(clear)) {
      const away = edition.members.some(({ shelved }) => shelved !== 'no');
      if (!away || idsOf(edition).some((id) => going.has(id))) continue;
      doubts.set(
        toldOf(edition).name ?? '',
        `in quarantine, and its recipe keeps it now: ${undoOf(edition)}`,
      );
    }
    await sweep(seen).catch((error: unknown) => {
      doubts.set('snapshots', told(error));
    });

    summary.uncertain = doubts.size;
    log('retention done', { ...summary });
    tellDoubts(doubts);
    return summary;
  };
};
