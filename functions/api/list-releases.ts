import type { RouteReply } from '../../core/api/routes.ts';
import type { Records } from '../../core/ports.ts';
import { readSeenReleases } from '../../core/seen-releases.ts';

interface ListReleasesDependencies {
  readonly records: Pick<Records, 'get' | 'list'>;
}

/** What the release watcher saw last: no mirror is asked. The newest version first. */
export const listReleases =
  ({ records }: ListReleasesDependencies) =>
  async (): Promise<RouteReply<'list-releases'>> => {
    const { checkedAt, releases } = await readSeenReleases(records);
    const byVersion = new Intl.Collator('en', { numeric: true });
    return {
      status: 200,
      body: {
        checkedAt,
        releases: releases.toSorted(
          (a, b) =>
            byVersion.compare(b.release, a.release) || byVersion.compare(a.architecture, b.architecture),
        ),
      },
    };
  };
