import * as z from 'zod/mini';
import type { BuildExecution } from './ports.ts';

/**
 * Step Functions remembers an execution for 90 days after its end (Step Functions quotas, "Execution history retention time").
 * What is older may have been delivered by one that it has forgotten.
 */
export const EXECUTION_MEMORY = 90 * 24 * 3_600_000;

export type ThingKind = 'instance' | 'volume' | 'image' | 'snapshot';

/** Something that carries a build's tag. Times in epoch milliseconds. */
export interface Thing {
  readonly kind: ThingKind;
  readonly id: string;
  /** When it was made; undefined when EC2 does not say. */
  readonly startedAt?: number | undefined;
  /** Until when a next attempt may take it over. */
  readonly resumableUntil?: number | undefined;
}

/** What is looked at, and when. */
export interface Circumstances {
  readonly execution: BuildExecution;
  readonly now: number;
  /** What is younger stays, in milliseconds. */
  readonly grace: number;
  /** Ids of what must stay: what was delivered, and the snapshots of images that stay. */
  readonly needed: ReadonlySet<string>;
}

/** `stays` says why; a doubt is for people to look at. */
export type Verdict =
  | { readonly goes: true }
  | { readonly goes: false; readonly because: string; readonly doubt: boolean };

const goes: Verdict = { goes: true };
const stays = (because: string): Verdict => ({ goes: false, because, doubt: false });
const doubtful = (because: string): Verdict => ({ goes: false, because, doubt: true });

/** What of a build may go, and nothing else: images and snapshots are for keeps, instances and volumes never are. */
export function judge(
  { kind, id, startedAt, resumableUntil = 0 }: Thing,
  { execution, now, grace, needed }: Circumstances,
): Verdict {
  if (execution.status === 'running') return stays('its execution runs');
  if (needed.has(id)) return stays('it was delivered, or an image needs it');
  if (resumableUntil > now) return stays('it waits for the next attempt');
  if (startedAt === undefined) return doubtful('EC2 does not say when it was made');
  if (now - startedAt < grace) return stays('it is younger than the grace period');
  if (kind === 'instance' || kind === 'volume') return goes;

  if (now - startedAt >= EXECUTION_MEMORY) return stays('its execution may be forgotten');
  // The name of an execution comes free again: what is older belongs to an earlier one, of which nothing is known.
  const known = execution.status === 'ended' && startedAt >= execution.startedAt ? execution : undefined;
  if (kind === 'image') {
    if (known === undefined) return stays('nobody knows whether it was delivered');
    return known.outcome === 'SUCCEEDED' ? stays('its execution succeeded') : goes;
  }
  if (known?.outcome === 'SUCCEEDED' && deliveredBy(known.output) === undefined) {
    return doubtful('its execution succeeded and does not say with what');
  }
  return goes;
}

const delivered = z.object({ imageId: z.string(), snapshotId: z.string() });
const output = z.extend(delivered, { regions: z._default(z.array(delivered), []) });

/** Images and snapshots that an execution says it delivered, made or adopted, in all regions; undefined when its output says nothing of the kind. */
export function deliveredBy(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { data } = output.safeParse(value);
  return data && [data, ...data.regions].flatMap(({ imageId, snapshotId }) => [imageId, snapshotId]);
}
