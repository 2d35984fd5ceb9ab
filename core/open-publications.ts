import { atOnce } from './at-once.ts';
import type { Clock } from './clock.ts';
import type { Publisher } from './flips.ts';
import { JOURNALS_AT_ONCE, journals } from './journals.ts';
import type { BuildExecution, Executions, Records } from './ports.ts';
import type { Journal } from './publication.ts';
import { putBack } from './put-back.ts';

interface Circumstances extends Publisher {
  readonly executions: Executions;
  /** Executions of matrices. */
  readonly matrices: Pick<Executions, 'describe'>;
  readonly records: Records;
  readonly clock: Clock;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** A publication that came to nothing, with the end of its build or of its matrix. */
interface Failed {
  readonly name: string;
  readonly journal: Journal;
  readonly execution: Extract<BuildExecution, { readonly status: 'ended' }>;
}

/** Parameter Store takes few writes in a second; as many as a matrix shows at once. */
const PUT_BACK_AT_ONCE = 4;

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
 * the grace period, and until then everything is put back at each run. A reaper that only tells what it would end does so, too:
 * as long as a journal is open, nothing else may be published there.
 */
export async function openPublications(
  { executions, matrices, records, regions, pause, clock, log }: Circumstances,
  build: string | undefined,
  { GRACE_SECONDS: grace }: { readonly GRACE_SECONDS: number },
): Promise<OpenPublications> {
  const kept = journals(records);
  const [visible, unread, doubts] = [new Set<string>(), new Set<string>(), new Map<string, string>()];
  let rolledBack = 0;
  /** Of matrices: each is asked for once, however many of its builds are published. */
  const known = new Map<string, ReturnType<Executions['describe']>>();

  async function matrixOf(name: string): ReturnType<Executions['describe']> {
    const execution = known.get(name) ?? matrices.describe(name);
    known.set(name, execution);
    return await execution;
  }

  /** What failed half way and is to be put back. */
  async function look(name: string): Promise<Failed | undefined> {
    const ended = await executions.describe(name);
    if (ended.status === 'running') return undefined;
    const journal = await kept.readOpen(name);
    if (journal === undefined) return undefined;
    // What is published together has succeeded when all of it has.
    const execution = journal.matrix === undefined ? ended : await matrixOf(journal.matrix);
    if (execution.status === 'running') return undefined;
    if (execution.status === 'unknown') {
      // At an event it is so for a moment, or for ever: the schedule sees which.
      if (build === undefined) doubts.set(`publication of ${name}`, 'nobody knows how its execution ended');
      return undefined;
    }
    if (execution.outcome !== 'SUCCEEDED') return { name, journal, execution };
    await kept.close(name);
    return undefined;
  }

  async function settle({ name, journal, execution }: Failed): Promise<void> {
    const over = clock.now() - (execution.endedAt ?? clock.now()) >= grace * 1000;
    const stuck = await putBack({ regions, pause }, journal);
    for (const { region, why } of stuck) doubts.set(`publication of ${name} in ${region}`, why);
    for (const { region, imageId } of journal.regions) {
      if (!over || stuck.some((one) => one.region === region)) visible.add(imageId);
    }
    rolledBack++;
    log('rolled back', {
      build: name,
      execution: execution.outcome,
      regions: journal.regions.map(({ region }) => region),
      stuck: stuck.map(({ region }) => region),
    });
    if (stuck.length === 0 && over) await kept.close(name);
  }

  function doubt(name: string, reason: unknown): void {
    unread.add(name);
    const why = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
    doubts.set(`publication of ${name}`, why);
  }

  const names = (await kept.open()).filter((name) => build === undefined || name === build);
  const failed: Failed[] = [];
  for (const [index, result] of (await atOnce(JOURNALS_AT_ONCE, names, look)).entries()) {
    if (result.status === 'rejected') doubt(names[index] ?? '', result.reason);
    else if (result.value !== undefined) failed.push(result.value);
  }
  for (const [index, result] of (await atOnce(PUT_BACK_AT_ONCE, failed, settle)).entries()) {
    if (result.status === 'rejected') doubt(failed[index]?.name ?? '', result.reason);
  }
  return { rolledBack, visible, unread, doubts };
}
