import * as z from 'zod/mini';
import { attemptAt, matrixBuildKey } from '../../core/names.ts';
import type { Executions, Records } from '../../core/ports.ts';

export const nameBuildStep = {
  name: 'name-build',
  input: z.object({
    matrix: z.string(),
    index: z.int(),
    /** Name of the first attempt. */
    build: z.string(),
    /** Attempts up to this one are taken. */
    after: z._default(z.int(), 0),
  }),
  output: z.object({ name: z.string(), attempt: z.int() }),
  options: z.object({}),
};

interface NameBuildDependencies {
  readonly executions: Pick<Executions, 'describe'>;
  readonly records: Pick<Records, 'put'>;
}

/**
 * Finds the attempt that a build of a matrix is: one that runs already, or the first whose name is free. What has ended is built once more
 * under the next name, and adopts in seconds what that one delivered. Written down before it begins: whoever asks for the matrix finds its builds.
 */
export const nameBuild =
  ({ executions, records }: NameBuildDependencies) =>
  async ({ matrix, index, build, after }: z.output<typeof nameBuildStep.input>) => {
    for (let attempt = after + 1; ; attempt++) {
      const name = attemptAt(build, attempt);
      if ((await executions.describe(name)).status === 'ended') continue;
      await records.put(matrixBuildKey(matrix, index, name), '{}');
      return { name, attempt };
    }
  };
