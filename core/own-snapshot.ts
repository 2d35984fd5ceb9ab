import { FactoryError } from './errors.ts';
import type { Snapshot } from './ports.ts';

/**
 * The snapshot among those of this build that an earlier try of this execution has begun; undefined when there is none. Names of executions come
 * free after 90 days: what is older than the worker holds another disk. Throws `AmbiguousResource`.
 */
export function ownSnapshot<T extends Snapshot>(
  found: readonly T[],
  { build, launchedAt }: { readonly build: string; readonly launchedAt: number },
): T | undefined {
  const [existing, another] = found.filter(
    ({ startedAt }) => startedAt === undefined || startedAt >= launchedAt,
  );
  if (another === undefined) return existing;
  throw new FactoryError('AmbiguousResource', {
    message: `build ${build} has two snapshots: ${existing?.snapshotId} and ${another.snapshotId}`,
    remedy: 'delete both and build again.',
  });
}
