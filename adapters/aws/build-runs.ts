import * as z from 'zod/mini';
import { type BuildStatus, buildStatuses } from '../../core/api/schemas.ts';
import { regionOf } from '../../core/build-state.ts';
import type { BuildRun, BuildRuns } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

const execution = z.object({
  executionArn: z.string(),
  name: z.string(),
  status: z.string(),
  startDate: z.number(),
  stopDate: z.optional(z.number()),
});
const described = z.extend(execution, {
  input: z._default(z.string(), '{}'),
  output: z.optional(z.string()),
  error: z.optional(z.string()),
  cause: z.optional(z.string()),
});
const listed = z.object({ executions: z.array(execution), nextToken: z.optional(z.string()) });
const started = z.object({ startDate: z.number() });

const time = (seconds: number): string => new Date(seconds * 1000).toISOString();

const newest = z.object({
  events: z.array(z.object({ stateEnteredEventDetails: z.optional(z.object({ name: z.string() })) })),
});

/** A Task has five events when it is not retried. */
const NEWEST = 20;

function fromSfn({ executionArn, name, status, startDate, stopDate }: z.output<typeof execution>): BuildRun {
  return {
    name,
    arn: executionArn,
    // PENDING_REDRIVE, and whatever Step Functions may add, is not over.
    status: (buildStatuses as readonly string[]).includes(status) ? (status as BuildStatus) : 'RUNNING',
    startedAt: time(startDate),
    endedAt: stopDate === undefined ? null : time(stopDate),
  };
}

/** The executions of one state machine. */
export function sfnBuildRuns(environment: NodeJS.ProcessEnv, stateMachineArn: string): BuildRuns {
  // By aws4fetch: client-sfn would take the functions that ask past their 300 kB.
  const call = jsonService(environment, regionOf(stateMachineArn), {
    service: 'states',
    target: 'AWSStepFunctions',
    json: '1.0',
  });
  const arnOf = (name: string) => `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
  return {
    async start(name, input) {
      const answer = await unless(['ExecutionAlreadyExists'], () =>
        call('StartExecution', { stateMachineArn, name, input }),
      );
      return answer === undefined ? 'taken' : { startedAt: started.parse(answer).startDate * 1000 };
    },

    async find(name) {
      // InvalidArn: no execution can have this name.
      const answer = await unless(['ExecutionDoesNotExist', 'InvalidArn'], () =>
        call('DescribeExecution', { executionArn: arnOf(name) }),
      );
      if (answer === undefined) return undefined;
      const { input, output, error, cause, ...run } = described.parse(answer);
      return { ...fromSfn(run), input, output, error, cause };
    },

    async list({ status, limit, nextToken }) {
      const answer = listed.parse(
        await call('ListExecutions', {
          stateMachineArn,
          maxResults: limit,
          ...(status === undefined ? {} : { statusFilter: status }),
          ...(nextToken === undefined ? {} : { nextToken }),
        }),
      );
      return { runs: answer.executions.map(fromSfn), nextToken: answer.nextToken ?? null };
    },

    async stop(name, { error, cause }) {
      await call('StopExecution', { executionArn: arnOf(name), error, cause });
    },

    async currentState(name) {
      // Eventually consistent: what has just begun may not be there yet.
      const answer = await unless(['ExecutionDoesNotExist'], () =>
        call('GetExecutionHistory', {
          executionArn: arnOf(name),
          includeExecutionData: false,
          reverseOrder: true,
          maxResults: NEWEST,
        }),
      );
      if (answer === undefined) return null;
      const { events } = newest.parse(answer);
      const entered = events.find(({ stateEnteredEventDetails }) => stateEnteredEventDetails !== undefined);
      return entered?.stateEnteredEventDetails?.name ?? null;
    },
  };
}
