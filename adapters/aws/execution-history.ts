import * as z from 'zod/mini';
import { regionOf } from '../../core/build-state.ts';
import type { ExecutionHistory, HistoryEvent } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

/** The members of a HistoryEvent's details that tell what happened (GetExecutionHistory); inputs and outputs are asked for where they are needed only. */
const details = z.object({
  name: z.optional(z.string()),
  resourceType: z.optional(z.string()),
  error: z.optional(z.string()),
  cause: z.optional(z.string()),
});

const page = z.object({
  events: z.array(
    z.looseObject({ id: z.number(), previousEventId: z.number(), timestamp: z.number(), type: z.string() }),
  ),
  nextToken: z.optional(z.string()),
});

const execution = z.object({
  status: z.string(),
  startDate: z.number(),
  stopDate: z.optional(z.number()),
  input: z._default(z.string(), '{}'),
  output: z.optional(z.string()),
  error: z.optional(z.string()),
  cause: z.optional(z.string()),
});

const entered = z.object({ stateEnteredEventDetails: z.object({ input: z.string() }) });

/** Step Functions keeps at most 25,000 events of an execution and gives 1,000 at once. */
const PAGES = 25;

/**
 * With data an event may have 256 KB: some at once, of which one is nearly always a state with all that is known. Else many: 64 pieces of a
 * disk that are written side by side have eight small events each, none of them with the state of the build.
 */
const NEWEST = [
  { maxResults: 20, pages: 1 },
  { maxResults: 200, pages: 8 },
];

/** Executions of any state machine, by aws4fetch: client-sfn would take the function that asks past its 300 kB. */
export const executionHistory = (environment: NodeJS.ProcessEnv): ExecutionHistory => {
  const call = async (operation: string, executionArn: string, more: object): Promise<unknown> =>
    await jsonService(environment, regionOf(executionArn), {
      service: 'states',
      target: 'AWSStepFunctions',
      json: '1.0',
    })(operation, { executionArn, ...more });
  /** Eventually consistent: what has just begun may not be there yet. */
  const ask = async (executionArn: string, more: object): Promise<z.output<typeof page>> =>
    page.parse(
      (await unless(['ExecutionDoesNotExist'], () => call('GetExecutionHistory', executionArn, more))) ?? {
        events: [],
      },
    );
  const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
  return {
    async describe(executionArn) {
      const { startDate, stopDate, ...rest } = execution.parse(
        await call('DescribeExecution', executionArn, {}),
      );
      return { ...rest, startedAt: time(startDate), endedAt: stopDate === undefined ? null : time(stopDate) };
    },

    async events(executionArn) {
      const found: HistoryEvent[] = [];
      let nextToken: string | undefined;
      for (let pages = 0; pages < PAGES; pages++) {
        const answer = await ask(executionArn, {
          includeExecutionData: false,
          maxResults: 1000,
          ...(nextToken === undefined ? {} : { nextToken }),
        });
        for (const { id, previousEventId, timestamp, type, ...rest } of answer.events) {
          const detail = Object.entries(rest).find(([key]) => key.endsWith('EventDetails'))?.[1];
          found.push({
            id,
            previous: previousEventId,
            at: time(timestamp),
            type,
            ...details.safeParse(detail).data,
          });
        }
        ({ nextToken } = answer);
        if (nextToken === undefined) break;
      }
      return found;
    },

    async newestState(executionArn) {
      for (const { maxResults, pages } of NEWEST) {
        // A token is for the same question only (GetExecutionHistory), so the longer look begins anew.
        let nextToken: string | undefined;
        for (let looked = 0; looked < pages; looked++) {
          const answer = await ask(executionArn, {
            includeExecutionData: true,
            reverseOrder: true,
            maxResults,
            ...(nextToken === undefined ? {} : { nextToken }),
          });
          for (const event of answer.events) {
            const input = entered.safeParse(event).data?.stateEnteredEventDetails.input;
            const state: unknown = input === undefined ? undefined : JSON.parse(input);
            if (typeof state === 'object' && state !== null && 'recipe' in state) return state;
          }
          ({ nextToken } = answer);
          if (nextToken === undefined) return undefined;
        }
      }
      return undefined;
    },
  };
};
