import { Logger } from '@aws-lambda-powertools/logger';
import middy from '@middy/core';
import type * as z from 'zod/mini';
import { parseSlice } from '../../core/build-state.ts';

const logger = new Logger({ serviceName: 'ami-foundry' });

/** One structured line. */
export const log = (message: string, fields: Readonly<Record<string, unknown>>): void => {
  logger.info(message, { ...fields });
};

interface EventDeclaration<In> {
  readonly name: string;
  readonly input: In;
}

/** The middy stack of a function that no state calls: parse what it is told, run; a failure is logged and thrown on. */
export function eventHandler<In extends z.ZodMiniType, Out>(
  { name, input }: EventDeclaration<In>,
  run: (event: z.output<In>) => Promise<Out>,
) {
  return middy()
    .use({
      onError: ({ error }) => {
        logger.error('event failed', { function: name, code: error?.name, reason: error?.message });
      },
    })
    .handler((event: unknown): Promise<Out> => run(parseSlice(input, event, name)));
}
