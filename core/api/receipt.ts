import * as z from 'zod/mini';

/** What a build took and cost, as far as it can be told from its execution. Times in seconds, money in US dollars. */
export const receiptSchema = z.object({
  build: z.string(),
  status: z.string(),
  region: z.string(),
  startedAt: z.iso.datetime(),
  /** Null while it runs: then everything is "so far". */
  endedAt: z.nullable(z.iso.datetime()),
  seconds: z.number(),
  /** The sum of the lines whose price is known. */
  dollars: z.number(),
  /** A month of what stays: snapshots of all regions. Null: how large they are is not known, as when an earlier attempt made them. */
  monthlyDollars: z.nullable(z.number()),
  /** Where the prices come from; `exact` is false when the region's own are not known and others stand in. */
  prices: z.object({ region: z.string(), asOf: z.string(), source: z.string(), exact: z.boolean() }),
  /** The states of the machine that did something, in the order of their beginnings; waits count for the state they wait for. */
  steps: z.array(
    z.object({ name: z.string(), seconds: z.number(), calls: z.int(), dollars: z.nullable(z.number()) }),
  ),
  /** What is paid for. */
  lines: z.array(
    z.object({
      kind: z.enum([
        'instance',
        'licence',
        'address',
        'volume',
        'snapshot',
        'blocks',
        'transfer',
        'transitions',
        'lambda',
      ]),
      /** For people, such as `worker m6i.large`. */
      name: z.string(),
      /** Id of the resource, if it is one. */
      resource: z.nullable(z.string()),
      quantity: z.number(),
      unit: z.string(),
      /** Null: its price is not known. */
      dollars: z.nullable(z.number()),
      because: z.string(),
    }),
  ),
  /** What was expected before it began; null when the build never came to its plan. */
  estimate: z.nullable(z.object({ seconds: z.number(), dollars: z.number() })),
});

export type Receipt = z.output<typeof receiptSchema>;
