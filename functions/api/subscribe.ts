import { wrongField } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import type { Clock } from '../../core/clock.ts';
import { subscriptionKey, watchedStarts } from '../../core/names.ts';
import type { Records } from '../../core/ports.ts';
import { lastStarts, readSubscription, startsOf } from '../../core/subscriptions.ts';

interface SubscribeDependencies {
  readonly records: Pick<Records, 'list' | 'put'>;
  readonly clock: Clock;
}

/** Keeps the recipe as it was put, once it is known that it can be built for each architecture that it is for. */
export const subscribe =
  ({ records, clock }: SubscribeDependencies) =>
  async ({ params: { name }, body }: RouteRequest<'subscribe'>): Promise<RouteReply<'subscribe'>> => {
    const { recipe } = readSubscription(body.recipe);
    if (recipe.name !== name) {
      throw wrongField(
        'recipe.name',
        `is ${recipe.name}, and the path says ${name}`,
        'a subscription is called like its recipe: let both be the same.',
      );
    }
    const key = subscriptionKey(name);
    const known = (await records.list(key)).includes(key);
    const stored = { recipe: body.recipe, updatedAt: new Date(clock.now()).toISOString() };
    await records.put(key, JSON.stringify(stored));
    const started = lastStarts(startsOf(await records.list(`${watchedStarts}${name}/`)));
    return { status: known ? 200 : 201, body: { name, ...stored, started } };
  };
