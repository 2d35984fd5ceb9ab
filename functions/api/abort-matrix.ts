import { findMatrix } from '../../core/api/find-matrix.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { FactoryError } from '../../core/errors.ts';
import type { BuildRuns } from '../../core/ports.ts';

interface AbortMatrixDependencies {
  readonly matrices: BuildRuns;
}

/** Stops a matrix, and Step Functions its builds; what these made, and showed to readers, is the reaper's to take back. */
export const abortMatrix =
  ({ matrices }: AbortMatrixDependencies) =>
  async ({ params }: RouteRequest<'abort-matrix'>): Promise<RouteReply<'abort-matrix'>> => {
    const { name, status } = await findMatrix(matrices, params.id);
    if (status === 'ABORTED') return { status: 202, body: { id: name, status } };
    if (status !== 'RUNNING') {
      throw new FactoryError('BuildEnded', {
        message: `${name} is over: ${status}`,
        remedy: 'nothing is to be stopped.',
      });
    }
    await matrices.stop(name, { error: 'Aborted', cause: 'stopped through the HTTP API' });
    return { status: 202, body: { id: name, status: 'ABORTED' } };
  };
