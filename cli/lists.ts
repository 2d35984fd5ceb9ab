import type { BuildSummary, ListedImage } from '../core/api/schemas.ts';
import { ago, seconds } from './amounts.ts';
import type { Api } from './api.ts';
import { allPages } from './pages.ts';
import { isWatched, print, printJson } from './terminal.ts';
import { columns } from './text.ts';

interface ListOptions {
  readonly json?: boolean;
  /** A table also where nobody watches. */
  readonly table?: boolean;
}

/** Tables for people, ids alone for pipelines, the API's own items with `--json`. */
function show(
  items: readonly object[],
  { json = false, table = false }: ListOptions,
  what: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  if (json) printJson({ [what]: items });
  else if (table || isWatched()) {
    if (rows.length > 0) for (const line of columns([heads, ...rows], '')) print(line);
    else print(`no ${what}`);
  } else for (const [id = ''] of rows) print(id);
}

export async function listBuilds(
  api: Api,
  options: ListOptions & { readonly status?: BuildSummary['status']; readonly limit?: number },
): Promise<void> {
  const { status, limit } = options;
  const builds = await allPages(
    (page) => api.call('list-builds', { query: { ...page, status } }),
    (answer) => answer.builds,
    limit,
  );
  const now = Date.now();
  show(
    builds,
    options,
    'builds',
    ['BUILD', 'STATUS', 'STARTED', 'TOOK', 'STATE'],
    builds.map((build) => [
      build.id,
      build.status,
      ago(build.startedAt, now),
      seconds(build.seconds),
      build.state ?? '',
    ]),
  );
}

/** All accounts and groups would not fit a column. */
const sharing = ({ sharedWith }: ListedImage): string =>
  sharedWith.includes('all') ? 'public' : sharedWith.length === 0 ? '–' : `${sharedWith.length}`;

export async function listImages(
  api: Api,
  options: ListOptions & { readonly region?: string; readonly recipe?: string; readonly limit?: number },
): Promise<void> {
  const { region, recipe, limit } = options;
  const images = await allPages(
    (page) => api.call('list-images', { query: { ...page, region, recipe } }),
    (answer) => answer.images,
    limit,
  );
  const now = Date.now();
  show(
    images,
    options,
    'images',
    ['AMI', 'REGION', 'AGE', 'BOOTED', 'SHARED', 'STATE', 'NAME'],
    images.map((image) => [
      image.imageId,
      image.region,
      image.createdAt === null ? '' : ago(image.createdAt, now),
      image.bootTestedAt === null ? 'no' : 'yes',
      sharing(image),
      image.quarantinedAt !== null
        ? 'quarantined'
        : image.deprecatedAt !== null && Date.parse(image.deprecatedAt) < now
          ? 'deprecated'
          : image.state,
      image.name,
    ]),
  );
}

export async function listReleases(api: Api, options: ListOptions): Promise<void> {
  const { checkedAt, releases } = await api.call('list-releases', {});
  if (options.json) return printJson({ checkedAt, releases });
  show(
    releases,
    options,
    'releases',
    ['RELEASE', 'ARCHITECTURE', 'BUILT', 'PATCH', 'FIRST SEEN'],
    releases.map((one) => [
      one.release,
      one.architecture,
      one.builtOn ?? '',
      one.patchLevel === null ? '' : `p${one.patchLevel}`,
      one.firstSeenAt,
    ]),
  );
  return undefined;
}

export async function listSubscriptions(api: Api, options: ListOptions): Promise<void> {
  const subscriptions = await allPages(
    (page) => api.call('list-subscriptions', { query: page }),
    (answer) => answer.subscriptions,
  );
  show(
    subscriptions,
    options,
    'subscriptions',
    ['NAME', 'CHANGED', 'LAST BUILD', 'OF'],
    subscriptions.map(({ name, updatedAt, started: [last] }) => [
      name,
      updatedAt,
      last?.build ?? '',
      last === undefined ? '' : `${last.release} ${last.architecture}`,
    ]),
  );
}
