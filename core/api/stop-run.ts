import { FactoryError } from '../errors.ts';
import type { BuildRun, BuildRuns } from '../ports.ts';

/** Stops an execution that runs; stopping twice is stopping once. Throws `BuildEnded` with the remedy given. */
export async function stopRun(
  runs: BuildRuns,
  { name, status }: Pick<BuildRun, 'name' | 'status'>,
  remedy: string,
): Promise<{ readonly id: string; readonly status: 'ABORTED' }> {
  if (status !== 'ABORTED' && status !== 'RUNNING') {
    throw new FactoryError('BuildEnded', { message: `${name} is over: ${status}`, remedy });
  }
  if (status === 'RUNNING') {
    await runs.stop(name, { error: 'Aborted', cause: 'stopped through the HTTP API' });
  }
  return { id: name, status: 'ABORTED' };
}
