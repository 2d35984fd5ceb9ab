import {
  DescribeExecutionCommand,
  type DescribeExecutionOutput,
  paginateListExecutions,
  type SFNClient,
} from '@aws-sdk/client-sfn';
import type { BuildExecution, Executions } from '../../core/ports.ts';
import { unless } from './absence.ts';

const ends = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'] as const;

function fromSfn({ status, startDate, stopDate, output }: DescribeExecutionOutput): BuildExecution {
  // RUNNING, PENDING_REDRIVE, and whatever Step Functions may add.
  const outcome = ends.find((end) => end === status);
  if (outcome === undefined || startDate === undefined) return { status: 'running' };
  return {
    status: 'ended',
    outcome,
    startedAt: startDate.getTime(),
    endedAt: stopDate?.getTime(),
    output,
  };
}

/** The executions of one state machine. */
export const sfnExecutions = (sfn: SFNClient, stateMachineArn: string): Executions => {
  const describe = (executionArn: string) =>
    unless(['ExecutionDoesNotExist'], () => sfn.send(new DescribeExecutionCommand({ executionArn })));
  return {
    async describe(build) {
      const found = await describe(`${stateMachineArn.replace(':stateMachine:', ':execution:')}:${build}`);
      return found === undefined ? { status: 'unknown' } : fromSfn(found);
    },

    async anyOutputSince(time, holds) {
      const input = { stateMachineArn, statusFilter: 'SUCCEEDED' as const };
      // All of them: the list is in the order of their beginnings, and a redriven execution began long ago.
      for await (const { executions = [] } of paginateListExecutions({ client: sfn }, input)) {
        for (const { executionArn = '', stopDate } of executions) {
          if (stopDate !== undefined && stopDate.getTime() < time) continue;
          const output = (await describe(executionArn))?.output;
          if (output !== undefined && holds(output)) return true;
        }
      }
      return false;
    },
  };
};
