import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { FactoryError } from '../../core/errors.ts';
import { subscriptionKey } from '../../core/names.ts';
import type { Records } from '../../core/ports.ts';

interface UnsubscribeDependencies {
  readonly records: Pick<Records, 'delete' | 'list'>;
}

/** What was built stays, and so do the builds that run. */
export const unsubscribe =
  ({ records }: UnsubscribeDependencies) =>
  async ({ params: { name } }: RouteRequest<'unsubscribe'>): Promise<RouteReply<'unsubscribe'>> => {
    const key = subscriptionKey(name);
    if (!(await records.list(key)).includes(key)) {
      throw new FactoryError('SubscriptionNotFound', {
        message: `no recipe called ${name} is subscribed`,
        remedy: 'GET /subscriptions lists those that are.',
      });
    }
    await records.delete(key);
    return { status: 200, body: { name } };
  };
