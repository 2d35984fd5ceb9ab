import { FactoryError } from '../errors.ts';
import type { BuildRuns } from '../ports.ts';

type FoundMatrix = NonNullable<Awaited<ReturnType<BuildRuns['find']>>>;

/** A matrix that there is. Throws `BuildNotFound`. */
export async function findMatrix(matrices: BuildRuns, id: string): Promise<FoundMatrix> {
  const found = await matrices.find(id);
  if (found !== undefined) return found;
  throw new FactoryError('BuildNotFound', {
    message: `there is no matrix ${id}`,
    remedy: 'POST /builds names it when it begins; Step Functions forgets it 90 days after its end.',
  });
}
