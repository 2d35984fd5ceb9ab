import * as z from 'zod/mini';
import { described } from './described.ts';

/** A first boot that updates the system takes minutes; half an hour keeps the history of an execution within its limit. */
const TIMEOUT = { least: 10, most: 1800, usual: 900 } as const;

/** How an image is tried before it is delivered: `false` is not at all. */
export const bootTestSchema = z.union(
  [
    z.literal(false),
    z.strictObject({
      instanceTypes: described(
        z.optional(
          z
            .array(
              z.string().check(
                z.regex(/^[a-z0-9-]+\.[a-z0-9-]+$/, {
                  error: 'must be an instance type such as m6i.large',
                }),
              ),
            )
            .check(
              z.minLength(1, { error: 'must name at least one instance type, or be left out' }),
              z.maxLength(8, { error: 'must name at most 8 instance types' }),
              z.refine((types) => new Set(types).size === types.length, {
                error: 'must not name a type twice',
              }),
            ),
        ),
        'Types to boot it on: all of them. Default: the first of the deployment’s types that has capacity.',
      ),
      timeout: described(
        z._default(
          z
            .int()
            .check(
              z.minimum(TIMEOUT.least, { error: `must be at least ${TIMEOUT.least} seconds` }),
              z.maximum(TIMEOUT.most, { error: `must be at most ${TIMEOUT.most} seconds` }),
            ),
          TIMEOUT.usual,
        ),
        'Seconds from the launch to the login prompt.',
      ),
    }),
  ],
  {
    error: `must be false, or a map of instanceTypes (such as [m6i.large]) and timeout (${TIMEOUT.least} to ${TIMEOUT.most} seconds)`,
  },
);

export const usualBootTimeout: number = TIMEOUT.usual;
