import {
  DescribeExecutionCommand,
  paginateListStateMachines,
  type SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import type { Builds } from '../../core/ports.ts';
import { unless } from './absence.ts';

/** The builds of a factory, as its users see and start them. */
export const sfnBuilds = (sfn: SFNClient): Builds => ({
  async factories() {
    const found: string[] = [];
    for await (const { stateMachines = [] } of paginateListStateMachines({ client: sfn }, {})) {
      for (const { name = '', stateMachineArn = '' } of stateMachines) {
        // infra/state-machine.ts calls it so, behind the name of the stack.
        if (name.endsWith('-build-image')) found.push(stateMachineArn);
      }
    }
    return found;
  },

  async describe(arn) {
    const found = await unless(['ExecutionDoesNotExist', 'InvalidArn'], () =>
      sfn.send(new DescribeExecutionCommand({ executionArn: arn })),
    );
    return (
      found && {
        status: found.status ?? 'RUNNING',
        input: found.input ?? '{}',
        stateMachineArn: found.stateMachineArn ?? '',
      }
    );
  },

  async start(stateMachineArn, name, input) {
    const started = await unless(['ExecutionAlreadyExists'], () =>
      sfn.send(new StartExecutionCommand({ stateMachineArn, name, input })),
    );
    return started?.executionArn;
  },
});
