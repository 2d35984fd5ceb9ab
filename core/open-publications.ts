import type { Clock } from './clock.ts';
import type { Publisher } from './flips.ts';
import { journals } from './journals.ts';
import type { Executions, Records } from './ports.ts';
import { putBack } from './put-back.ts';

interface Circumstances extends Publisher {
  readonly executions: Executions;
  /** Executions of matrices. */
  readonly matrices: Pick<Executions, 'describe'>;
  readonly records: Records;
  readonly clock: Clock;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** What was found of publications whose builds have ended. */
export interface OpenPublications {
  readonly rolledBack: number;
  /** Ids of images that readers may still find. */
  readonly visible: ReadonlySet<string>;
  /** Builds of which nobody knows what readers see. */
  readonly unread: ReadonlySet<string>;
  /** Reasons by build and region. */
  readonly doubts: ReadonlyMap<string, string>;
}

/**
 * Sees to the journals of publications that their own build has not closed: of one that succeeded the journal goes, and of one that was
 * aborted, timed out or failed in the midst of it readers are given back what they saw. A step goes on for up to a minute when its
 * execution is stopped, and may change something after that: so the journal goes when the execution has been over for longer than
 * the grace period, and until then everything is put back at each run.
 */
export async function openPublications(
  { executions, matrices, records, regions, pause, clock, log }: Circumstances,
  build: string | undefined,
  { GRACE_SECONDS: grace, DRY_RUN: dryRun }: { readonly GRACE_SECONDS: number; readonly DRY_RUN: boolean },
): Promise<OpenPublications> {
  const kept = journals(records);
  const [visible, unread, doubts] = [new Set<string>(), new Set<string>(), new Map<string, string>()];
  let rolledBack = 0;

  async function settle(name: string): Promise<void> {
    const ended = await executions.describe(name);
    if (ended.status === 'running') return;
    const journal = await kept.read(name);
    if (journal === undefined) return;
    // What is published together has succeeded when all of it has.
    const execution = journal.matrix === undefined ? ended : await matrices.describe(journal.matrix);
    if (execution.status === 'running') return;
    if (execution.status === 'unknown') {
      // At an event it is so for a moment, or for ever: the schedule sees which.
      if (build === undefined) doubts.set(`publication of ${name}`, 'nobody knows how its execution ended');
      return;
    }
    const over = clock.now() - (execution.endedAt ?? clock.now()) >= grace * 1000;
    if (execution.outcome === 'SUCCEEDED') {
      if (!dryRun) await kept.close(name);
      return;
    }
    const stuck = dryRun ? [] : await putBack({ regions, pause }, journal);
    for (const { region, why } of stuck) doubts.set(`publication of ${name} in ${region}`, why);
    for (const { region, imageId } of journal.regions) {
      if (dryRun || !over || stuck.some((one) => one.region === region)) visible.add(imageId);
    }
    rolledBack++;
    log(dryRun ? 'would roll back' : 'rolled back', {
      build: name,
      execution: execution.outcome,
      regions: journal.regions.map(({ region }) => region),
      stuck: stuck.map(({ region }) => region),
    });
    if (!dryRun && stuck.length === 0 && over) await kept.close(name);
  }

  for (const name of await kept.open()) {
    if (build !== undefined && name !== build) continue;
    try {
      await settle(name);
    } catch (error) {
      unread.add(name);
      doubts.set(
        `publication of ${name}`,
        error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      );
    }
  }
  return { rolledBack, visible, unread, doubts };
}
