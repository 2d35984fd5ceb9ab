import {
  DescribeExecutionCommand,
  type DescribeExecutionOutput,
  paginateListExecutions,
  type SFNClient,
} from '@aws-sdk/client-sfn';
import type { BuildExecution, Executions } from '../../core/ports.ts';
import { unless } from './absence.ts';

const ends = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'] as const;

function fromSfn({ status, startDate, stopDate, output, error }: DescribeExecutionOutput): BuildExecution {
  // RUNNING, PENDING_REDRIVE, and whatever Step Functions may add.
  const outcome = ends.find((end) => end === status);
  if (outcome === undefined || startDate === undefined) return { status: 'running' };
  return {
    status: 'ended',
    outcome,
    startedAt: startDate.getTime(),
    endedAt: stopDate?.getTime(),
    output,
    error,
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

    async successes() {
      const input = { stateMachineArn, statusFilter: 'SUCCEEDED' as const };
      const found: { id: string; endedAt: number | undefined }[] = [];
      // All of them: the list is in the order of their beginnings, and a redriven execution began long ago.
      for await (const { executions = [] } of paginateListExecutions({ client: sfn }, input)) {
        for (const { executionArn = '', stopDate } of executions) {
          found.push({ id: executionArn, endedAt: stopDate?.getTime() });
        }
      }
      return found;
    },

    async output(id) {
      return (await describe(id))?.output;
    },
  };
};
