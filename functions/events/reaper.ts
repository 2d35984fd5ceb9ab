import * as z from 'zod/mini';
import { atOnce, REGIONS_AT_ONCE } from '../../core/at-once.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { PublicationPorts } from '../../core/flips.ts';
import { deliveredBy, EXECUTION_MEMORY, judge, type ThingKind } from '../../core/leftovers.ts';
import { heldFor } from '../../core/matrix.ts';
import { openPublications } from '../../core/open-publications.ts';
import type {
  BuildExecution,
  Executions,
  Images,
  Instances,
  Records,
  Regional,
  Snapshots,
  Volumes,
} from '../../core/ports.ts';
import { resumableUntil } from '../../core/resumable.ts';
import {
  type Elsewhere,
  endThing,
  type TaggedThing,
  taggedCopies,
  taggedThings,
} from '../../core/tagged-things.ts';

/** From the schedule: nothing, and all builds are looked at. From the end of an execution: its name, which has no wildcards, and its status. */
export const reaperEvent = {
  name: 'reaper',
  input: z.object({
    build: z.optional(z.string().check(z.regex(/^[^*?]{1,80}$/))),
    status: z.optional(z.string()),
  }),
};

interface ReaperDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly images: Images;
  readonly executions: Executions;
  /** Executions of matrices, for which builds may be held. */
  readonly matrices: Pick<Executions, 'describe'>;
  /** Where copies may be, beside the factory's own region. */
  readonly elsewhere: readonly Elsewhere[];
  /** Any region, to put back what a publication changed there. */
  readonly regions: Regional<PublicationPorts>;
  readonly records: Records;
  readonly clock: Clock;
  readonly pause: (milliseconds: number) => Promise<unknown>;
  /** Writes one structured line. */
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly settings: {
    readonly GRACE_SECONDS: number;
    readonly DRY_RUN: boolean;
    readonly RESUMABLE_HOURS: number;
  };
}

export interface ReaperSummary {
  readonly dryRun: boolean;
  /** Publications of which readers do not see anything any more, in a dry run, too. */
  readonly rolledBack: number;
  /** What was ended, or would be. */
  readonly reaped: Readonly<Record<ThingKind, number>>;
  /** What stays: it was delivered, is in use or too young, or its execution runs. */
  readonly kept: number;
  /** What was still on its way out at the end. */
  readonly ending: number;
  /** What stays because nobody could tell, or AWS refused. */
  readonly uncertain: number;
}

/** Instances end within a minute or two; what takes longer is the next run's. */
const PATIENCE_MILLISECONDS = 150_000;
const PAUSE_MILLISECONDS = 3_000;

/** A refusal may be EC2's word for what has just changed; at the third look it is meant. */
const REFUSED_LOOKS = 3;

/** What an execution says that it delivered, and the matrix that it was held for. */
interface Delivery {
  readonly ids: readonly string[];
  readonly matrix: string | undefined;
}

/** What one look at the account came to. */
interface Look {
  kept: number;
  /** Ids of what is on its way out. */
  readonly ending: Set<string>;
  /** Errors by the id of what they are about. */
  readonly refused: Map<string, unknown>;
  /** Reasons by id or build. */
  readonly doubts: Map<string, string>;
}

/**
 * Ends what builds left behind: everything that carries a build's tag and whose execution does not run any more, but for what
 * was delivered. The pipeline's CleanUp does it for a build that gets as far as that, this for all others; so the two share
 * nothing but the tag. What is not certain stays, and is told by `LeftoversRemain`.
 */
export const reaper = (account: ReaperDependencies) => {
  const { executions, matrices, clock, pause, log, settings } = account;
  const { DRY_RUN: dryRun } = settings;
  const end = endThing(account, account.elsewhere);

  /**
   * Tells what another build has taken over of one that ended badly, and delivered. What has succeeded is listed once for all that is looked at
   * together, and each output is read once in a run: it does not change any more. What was held for a matrix that came to nothing was not delivered.
   */
  function deliveries(outputs: Map<string, Delivery>) {
    let listed: ReturnType<Executions['successes']> | undefined;
    const deliveredIn = async (id: string): Promise<Delivery> => {
      const output = await executions.output(id);
      return { ids: deliveredBy(output) ?? [], matrix: heldFor(output) };
    };
    return async ({ kind, id, startedAt = 0 }: TaggedThing): Promise<boolean> => {
      if (kind !== 'image' && kind !== 'snapshot') return false;
      listed ??= executions.successes();
      for (const { id: execution, endedAt } of await listed) {
        if (endedAt !== undefined && endedAt < startedAt) continue;
        const known = outputs.get(execution) ?? (await deliveredIn(execution));
        outputs.set(execution, known);
        if (!known.ids.includes(id)) continue;
        if (known.matrix === undefined || !(await cameToNothing(known.matrix))) return true;
      }
      return false;
    };
  }

  async function cameToNothing(matrix: string): Promise<boolean> {
    const its = await matrices.describe(matrix);
    return its.status === 'ended' && its.outcome !== 'SUCCEEDED';
  }

  /**
   * A build that is held for a matrix delivers when the matrix does. Of one that failed or ran out of time everything waits for the next
   * attempt; of one that was stopped nothing does.
   */
  async function delivery(execution: BuildExecution): Promise<BuildExecution> {
    if (execution.status !== 'ended' || execution.outcome !== 'SUCCEEDED') return execution;
    const matrix = heldFor(execution.output);
    if (matrix === undefined) return execution;
    const its = await matrices.describe(matrix);
    if (its.status !== 'ended') return its;
    const { outcome, endedAt = clock.now() } = its;
    if (outcome === 'SUCCEEDED') return execution;
    const waits = outcome !== 'ABORTED' && clock.now() < endedAt + settings.RESUMABLE_HOURS * 3_600_000;
    return waits ? { status: 'running' } : { ...execution, outcome };
  }

  /** A build may have taken an image over since it was looked at: Plan says so in its tag, and looks again. */
  async function reserved({ kind, id, region }: TaggedThing): Promise<boolean> {
    if (kind !== 'image') return false;
    const place = region === undefined ? account : account.elsewhere.find((one) => one.region === region);
    return resumableUntil((await place?.images.describe(id))?.tags) > clock.now();
  }

  /** What of a build may go. */
  async function leftovers(
    things: readonly TaggedThing[],
    execution: BuildExecution,
    grace: number,
    look: Look,
    {
      visible,
      adopted,
    }: {
      readonly visible: ReadonlySet<string>;
      readonly adopted: (thing: TaggedThing) => Promise<boolean>;
    },
  ): Promise<TaggedThing[]> {
    const now = clock.now();
    const last = await delivery(execution);
    const succeeded = last.status === 'ended' && last.outcome === 'SUCCEEDED';
    const needed = new Set([...visible, ...((succeeded && deliveredBy(last.output)) || [])]);
    const found: TaggedThing[] = [];
    for (const thing of things) {
      const ofKeeps = thing.kind === 'image' || thing.kind === 'snapshot';
      const verdict = judge(thing, { execution: ofKeeps ? last : execution, now, grace, needed });
      if (verdict.goes && !(await adopted(thing))) {
        found.push(thing);
        continue;
      }
      look.kept++;
      if (thing.rootSnapshotId !== undefined) needed.add(thing.rootSnapshotId);
      if (!verdict.goes && verdict.doubt) look.doubts.set(thing.id, verdict.because);
    }
    return found;
  }

  /** Ends one leftover if its time has come; `reaped` has those that were ended before, which EC2 may show for a while. */
  async function reap(
    thing: TaggedThing,
    execution: BuildExecution,
    look: Look,
    reaped: Map<string, ThingKind>,
  ): Promise<void> {
    const { kind, id, state, startedAt = 0, build, holders } = thing;
    const held = state === 'in-use';
    if (held && !holders.some((holder) => look.ending.has(holder) || reaped.has(holder))) {
      // Somebody attached it to a machine of theirs.
      look.kept++;
      return;
    }
    if (kind === 'instance' || held || state === 'creating') look.ending.add(id);
    const later = state === 'shutting-down' || state === 'creating' || (held && !dryRun);
    if (later || reaped.has(id)) return;
    if (!dryRun) {
      try {
        if (await reserved(thing)) {
          look.ending.delete(id);
          look.kept++;
          return;
        }
        await end(thing);
      } catch (error) {
        look.ending.delete(id);
        look.refused.set(id, error);
        return;
      }
    }
    reaped.set(id, kind);
    log(dryRun ? 'would reap' : 'reaped', {
      build,
      execution: execution.status === 'ended' ? execution.outcome : execution.status,
      kind,
      id,
      region: thing.region,
      escaped: escaped(thing, execution),
      madeAt: new Date(startedAt).toISOString(),
    });
  }

  return async ({ build, status }: z.output<typeof reaperEvent.input>): Promise<ReaperSummary> => {
    const started = clock.now();
    // After its end nothing of an execution is young; the schedule does not know how long ago that was.
    const grace = build === undefined ? settings.GRACE_SECONDS * 1000 : 0;
    const reaped = new Map<string, ThingKind>();
    const outputs = new Map<string, Delivery>();
    // First of all: nothing goes that readers may still find.
    const publications = await openPublications(account, build, settings);

    async function lookAround(): Promise<Look> {
      const doubts = new Map(publications.doubts);
      const look: Look = { kept: 0, ending: new Set(), refused: new Map(), doubts };
      // It went through its CleanUp; what that may have missed is the schedule's.
      if (status === 'SUCCEEDED') return look;
      const around = { visible: publications.visible, adopted: deliveries(outputs) };
      const all = await taggedThings(account, build);
      const places = await atOnce(REGIONS_AT_ONCE, account.elsewhere, (place) => taggedCopies(place, build));
      for (const [index, result] of places.entries()) {
        if (result.status === 'fulfilled') all.push(...result.value);
        else doubts.set(`region ${account.elsewhere[index]?.region}`, told(result.reason));
      }
      for (const [name, things] of Map.groupBy(all, (thing) => thing.build)) {
        if (publications.unread.has(name)) {
          look.kept += things.length;
          continue;
        }
        try {
          const asked = things.some((thing) => mayEverGo(thing, clock.now()));
          const execution = asked ? await executions.describe(name) : undefined;
          // What is unknown at an event is so for a moment, or for ever: the schedule sees which.
          if (execution === undefined || (execution.status === 'unknown' && build !== undefined)) {
            look.kept += things.length;
            continue;
          }
          for (const thing of await leftovers(things, execution, grace, look, around)) {
            await reap(thing, execution, look, reaped);
          }
        } catch (error) {
          look.doubts.set(name, told(error));
        }
      }
      return look;
    }

    let look = await lookAround();
    for (let refusals = 1; !dryRun && clock.now() - started < PATIENCE_MILLISECONDS; ) {
      if (look.ending.size === 0 && (look.refused.size === 0 || refusals >= REFUSED_LOOKS)) break;
      await pause(PAUSE_MILLISECONDS);
      look = await lookAround();
      if (look.refused.size > 0) refusals++;
    }

    // A snapshot from which somebody registered an image of their own is theirs.
    const refused = [...look.refused].filter(([, error]) => nameOf(error) !== 'InvalidSnapshot.InUse');
    const remaining = [...look.doubts, ...refused.map(([id, error]) => [id, told(error)] as const)];
    const count = (kind: ThingKind) => [...reaped.values()].filter((each) => each === kind).length;
    const summary: ReaperSummary = {
      dryRun,
      rolledBack: publications.rolledBack,
      reaped: {
        instance: count('instance'),
        volume: count('volume'),
        image: count('image'),
        snapshot: count('snapshot'),
      },
      kept: look.kept + look.refused.size - refused.length,
      ending: dryRun ? 0 : look.ending.size,
      uncertain: remaining.length,
    };
    log('reaper done', { build, ...summary });
    if (remaining.length === 0) return summary;
    const lines = remaining.map(([what, why]) => `- ${what}: ${why}`);
    throw new FactoryError('LeftoversRemain', {
      message: `what may be left over stays, because it is not certain or AWS refused:\n${lines.join('\n')}`,
      remedy: 'nothing, if the next run succeeds; else see to the permissions, or end by hand what is named.',
    });
  };
};

/**
 * Whether a CleanUp should have ended it; infra/alarms.ts counts these. An execution that was stopped, or whose time was up, has none,
 * and what waited for a next attempt that never came is the reaper's to end.
 */
const escaped = ({ resumableUntil = 0 }: TaggedThing, execution: BuildExecution): boolean =>
  resumableUntil === 0 &&
  !(execution.status === 'ended' && ['ABORTED', 'TIMED_OUT'].includes(execution.outcome));

/** Whether Step Functions is worth asking: what it may have forgotten stays in any case. */
const mayEverGo = ({ kind, startedAt = 0 }: TaggedThing, now: number): boolean =>
  kind === 'instance' || kind === 'volume' || now - startedAt < EXECUTION_MEMORY;

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'Error');
const told = (error: unknown): string =>
  `${nameOf(error)}: ${error instanceof Error ? error.message : String(error)}`;
