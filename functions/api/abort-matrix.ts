import { findMatrix } from '../../core/api/find-matrix.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { stopRun } from '../../core/api/stop-run.ts';
import type { BuildRuns } from '../../core/ports.ts';

interface AbortMatrixDependencies {
  readonly matrices: BuildRuns;
}

/** Stops a matrix, and Step Functions its builds; what these made, and showed to readers, is the reaper's to take back. */
export const abortMatrix =
  ({ matrices }: AbortMatrixDependencies) =>
  async ({ params }: RouteRequest<'abort-matrix'>): Promise<RouteReply<'abort-matrix'>> => {
    const found = await findMatrix(matrices, params.id);
    return { status: 202, body: await stopRun(matrices, found, 'nothing is to be stopped.') };
  };
