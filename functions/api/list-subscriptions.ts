import type { RouteReply } from '../../core/api/routes.ts';
import { atOnce } from '../../core/at-once.ts';
import { subscriptions as prefix, watchedStarts } from '../../core/names.ts';
import type { Records } from '../../core/ports.ts';
import { lastStarts, parseStored, startsOf } from '../../core/subscriptions.ts';

interface ListSubscriptionsDependencies {
  readonly records: Pick<Records, 'get' | 'list'>;
}

const READS_AT_ONCE = 8;

export const listSubscriptions =
  ({ records }: ListSubscriptionsDependencies) =>
  async (): Promise<RouteReply<'list-subscriptions'>> => {
    const keys = (await records.list(prefix)).sort();
    const started = await records.list(watchedStarts);
    const found = await atOnce(READS_AT_ONCE, keys, async (key) => {
      const name = key.slice(prefix.length).replace(/\.json$/, '');
      const stored = await read(records, key);
      const starts = startsOf(started.filter((each) => each.startsWith(`${watchedStarts}${name}/`)));
      return stored === undefined ? [] : [{ name, ...stored, started: lastStarts(starts) }];
    });
    return {
      status: 200,
      body: {
        subscriptions: found.flatMap((result) => {
          if (result.status === 'rejected') throw result.reason;
          return result.value;
        }),
      },
    };
  };

/** Undefined when it has gone since the list was made. */
async function read(records: ListSubscriptionsDependencies['records'], key: string) {
  try {
    return parseStored(await records.get(key));
  } catch (error) {
    if (error instanceof Error && error.name === 'NoSuchKey') return undefined;
    throw error;
  }
}
