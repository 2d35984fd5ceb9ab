import * as z from 'zod/mini';
import { regionOf } from '../../core/build-state.ts';
import type { Outcomes } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

const answer = z.object({ status: z.string() });

/** How the builds ended whose executions are of the same state machine as this one. By aws4fetch, as executionHistory. */
export function executionOutcomes(environment: NodeJS.ProcessEnv, executionArn: string): Outcomes {
  const call = jsonService(environment, regionOf(executionArn), {
    service: 'states',
    target: 'AWSStepFunctions',
    json: '1.0',
  });
  const executions = executionArn.slice(0, executionArn.lastIndexOf(':') + 1);
  async function succeeded(arn: string): Promise<boolean> {
    const found = await unless(['ExecutionDoesNotExist'], () =>
      call('DescribeExecution', { executionArn: arn }),
    );
    return found !== undefined && answer.parse(found).status === 'SUCCEEDED';
  }
  return {
    succeeded: (build) => succeeded(executions + build),
    // infra/state-machine.ts calls the two so, behind the name of the stack.
    matrixSucceeded: (matrix) => succeeded(executions.replace(/-build-image:$/, '-build-matrix:') + matrix),
  };
}
