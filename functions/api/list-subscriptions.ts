import { wrongField } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { atOnce } from '../../core/at-once.ts';
import { subscriptions as prefix, subscriptionKey, watchedStarts } from '../../core/names.ts';
import type { Records } from '../../core/ports.ts';
import { lastStarts, parseStored, startsOf } from '../../core/subscriptions.ts';

interface ListSubscriptionsDependencies {
  readonly records: Pick<Records, 'get' | 'list'>;
}

const USUAL_LIMIT = 20;
const READS_AT_ONCE = 8;

/** A page ends before this, as recipes may be large: an answer may have 5 MB (functions/edge/http.ts). */
const MOST_BYTES = 4_000_000;

/** By their names, of which a page's token is the last. */
export const listSubscriptions =
  ({ records }: ListSubscriptionsDependencies) =>
  async ({ query }: RouteRequest<'list-subscriptions'>): Promise<RouteReply<'list-subscriptions'>> => {
    const { limit = USUAL_LIMIT, nextToken: after } = query;
    if (after !== undefined && !/^[a-z0-9-]{2,40}$/.test(after)) {
      throw wrongField('nextToken', 'is not of this list', 'begin at the first page.');
    }
    const names = (await records.list(prefix))
      .map((key) => key.slice(prefix.length).replace(/\.json$/, ''))
      .sort()
      .filter((name) => after === undefined || name > after);
    const started = await records.list(watchedStarts);
    const found = await atOnce(READS_AT_ONCE, names.slice(0, limit), async (name) => ({
      name,
      text: await textOf(records, subscriptionKey(name)),
    }));
    const subscriptions = [];
    let last: string | undefined;
    let bytes = 0;
    for (const look of found) {
      if (look.status === 'rejected') throw look.reason;
      const { name, text } = look.value;
      bytes += Buffer.byteLength(text ?? '');
      if (last !== undefined && bytes > MOST_BYTES) break;
      last = name;
      if (text === undefined) continue;
      const starts = startsOf(started.filter((each) => each.startsWith(`${watchedStarts}${name}/`)));
      subscriptions.push({ name, ...parseStored(text), started: lastStarts(starts) });
    }
    const nextToken = last === undefined || last === names.at(-1) ? null : last;
    return { status: 200, body: { subscriptions, nextToken } };
  };

/** Undefined when it has gone since the list was made: S3 says AccessDenied to who may list by a prefix only. */
async function textOf(
  records: ListSubscriptionsDependencies['records'],
  key: string,
): Promise<string | undefined> {
  try {
    return await records.get(key);
  } catch (error) {
    if (error instanceof Error && /^(NoSuchKey|AccessDenied)$/.test(error.name)) return undefined;
    throw error;
  }
}
