import * as z from 'zod/mini';
import { regionOf } from '../../core/build-state.ts';
import type { ExecutionHistory } from '../../core/ports.ts';
import { jsonService } from './json-service.ts';

/** The members of a HistoryEvent's details that tell what happened (GetExecutionHistory); inputs and outputs are not asked for. */
const details = z.object({
  name: z.optional(z.string()),
  error: z.optional(z.string()),
  cause: z.optional(z.string()),
});

const page = z.object({
  events: z.array(z.looseObject({ id: z.number(), timestamp: z.number(), type: z.string() })),
  nextToken: z.optional(z.string()),
});

/** Step Functions keeps at most 25,000 events of an execution and gives 1,000 at once. */
const PAGES = 25;

/** By aws4fetch: client-sfn would take the function that asks past its 300 kB. */
export const executionHistory = (environment: NodeJS.ProcessEnv): ExecutionHistory => ({
  async events(executionArn) {
    const call = jsonService(environment, regionOf(executionArn), {
      service: 'states',
      target: 'AWSStepFunctions',
      json: '1.0',
    });
    const found: Awaited<ReturnType<ExecutionHistory['events']>> = [];
    let nextToken: string | undefined;
    for (let pages = 0; pages < PAGES; pages++) {
      const answer = page.parse(
        await call('GetExecutionHistory', {
          executionArn,
          includeExecutionData: false,
          maxResults: 1000,
          ...(nextToken === undefined ? {} : { nextToken }),
        }),
      );
      for (const { id, timestamp, type, ...rest } of answer.events) {
        const detail = Object.entries(rest).find(([key]) => key.endsWith('EventDetails'))?.[1];
        found.push({
          id,
          at: new Date(timestamp * 1000).toISOString(),
          type,
          ...details.safeParse(detail).data,
        });
      }
      ({ nextToken } = answer);
      if (nextToken === undefined) break;
    }
    return found;
  },
});
