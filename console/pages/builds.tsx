import type { BuildSummary } from '../../core/api/schemas.ts';
import { api } from '../api.ts';
import { Awaited, buildStatuses, Freshness, Status, statusWord, When } from '../parts.tsx';
import { useNow, usePoll } from '../poll.ts';
import { go, Link } from '../router.tsx';
import { duration } from '../words.ts';

const LIVE = 2000;
const IDLE = 15_000;

/** The address of a page of the list. */
const listPath = (status: string, after = ''): string => {
  const query = new URLSearchParams(
    Object.entries({ status, after }).filter(([, value]) => value !== ''),
  ).toString();
  return query === '' ? '/' : `/?${query}`;
};

export function BuildsPage({ query }: { readonly query: URLSearchParams }) {
  const status = buildStatuses.find((one) => one === query.get('status')) ?? '';
  const after = query.get('after') ?? '';
  const polled = usePoll(
    `builds ${status} ${after}`,
    (signal) => api.builds({ status, nextToken: after, limit: '25' }, signal),
    ({ builds }) => (after !== '' ? null : builds.some((build) => build.status === 'RUNNING') ? LIVE : IDLE),
  );
  const { value, problem } = polled;
  const running = value?.builds.some((build) => build.status === 'RUNNING') ?? false;
  const now = useNow(running ? 1000 : 30_000);
  const next = value?.nextToken ?? '';
  return (
    <>
      <div class="title">
        <h1>Builds</h1>
        <Freshness polled={polled} live={running} />
        <Link to="/start" class="button primary">
          Start a build
        </Link>
      </div>
      <div class="tools">
        <label>
          Status{' '}
          <select
            value={status}
            onChange={({ currentTarget: { value: wanted } }) => go(listPath(wanted), { replace: true })}
          >
            <option value="">All</option>
            {buildStatuses.map((one) => (
              <option key={one} value={one}>
                {statusWord(one)}
              </option>
            ))}
          </select>
        </label>
      </div>
      {value === undefined ? (
        <Awaited problem={problem} what="builds" />
      ) : value.builds.length === 0 ? (
        <div class="empty">
          <p>{status === '' ? 'No build yet.' : `No build is ${statusWord(status).toLowerCase()}.`}</p>
          <p>
            {status === '' ? (
              <Link to="/start">Start the first one</Link>
            ) : (
              <Link to="/">Show all builds</Link>
            )}
          </p>
        </div>
      ) : (
        <BuildTable builds={value.builds} now={now} since={polled.at ?? now} />
      )}
      {after !== '' || next !== '' ? (
        <nav class="pages" aria-label="Pages of the list">
          {after === '' ? <span /> : <Link to={listPath(status)}>← Newest</Link>}
          {next === '' ? <span /> : <Link to={listPath(status, next)}>Older →</Link>}
        </nav>
      ) : null}
    </>
  );
}

function BuildTable({
  builds,
  now,
  since,
}: {
  readonly builds: readonly BuildSummary[];
  readonly now: number;
  /** When the list was fetched: what runs has run longer since. */
  readonly since: number;
}) {
  return (
    <div class="scroll">
      <table class="list builds">
        <thead>
          <tr>
            <th scope="col">Build</th>
            <th scope="col">Status</th>
            <th scope="col">Recipe</th>
            <th scope="col">State</th>
            <th scope="col">Started</th>
            <th scope="col" class="number">
              Time
            </th>
          </tr>
        </thead>
        <tbody>
          {builds.map((build) => (
            <tr key={build.id}>
              <th scope="row">
                <Link row to={`/builds/${encodeURIComponent(build.id)}`}>
                  <code>{build.id}</code>
                </Link>
              </th>
              <td>
                <Status status={build.status} />
              </td>
              <td>{build.recipe}</td>
              <td class="faint">{build.state ?? ''}</td>
              <td>
                <When time={build.startedAt} now={now} />
              </td>
              <td class="number">
                {duration(build.seconds + (build.status === 'RUNNING' ? Math.max(0, now - since) / 1000 : 0))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
