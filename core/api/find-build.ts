import { FactoryError } from '../errors.ts';
import type { BuildRuns } from '../ports.ts';

type FoundBuild = NonNullable<Awaited<ReturnType<BuildRuns['find']>>>;

/** A build that there is. Throws `BuildNotFound`. */
export async function findBuild(runs: BuildRuns, id: string): Promise<FoundBuild> {
  const found = await runs.find(id);
  if (found !== undefined) return found;
  throw new FactoryError('BuildNotFound', {
    message: `there is no build ${id}`,
    remedy: 'see GET /builds, or foundry builds; Step Functions forgets builds after 90 days.',
  });
}
