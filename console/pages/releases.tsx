import { useState } from 'preact/hooks';
import { announce } from '../announce.tsx';
import { api } from '../api.ts';
import { Awaited, Confirm, Freshness, Panel, When } from '../parts.tsx';
import { useNow, usePoll } from '../poll.ts';
import { Link } from '../router.tsx';

const EVERY = 60_000;

export function ReleasesPage() {
  const now = useNow(30_000);
  const releases = usePoll('releases', api.releases, () => EVERY);
  const subscriptions = usePoll('subscriptions', api.subscriptions, () => EVERY);
  const [leaving, setLeaving] = useState<string>();
  const checkedAt = releases.value?.checkedAt ?? null;
  return (
    <>
      <div class="title">
        <h1>Releases</h1>
        <Freshness polled={releases} live={false} />
      </div>
      <Panel
        title="Seen on the mirror"
        aside={
          releases.value === undefined ? null : checkedAt === null ? (
            'the watcher has not looked yet'
          ) : (
            <>
              looked <When time={checkedAt} now={now} />
            </>
          )
        }
      >
        {releases.value === undefined ? (
          <Awaited problem={releases.problem} what="releases" />
        ) : releases.value.releases.length === 0 ? (
          <p class="empty">The watcher has seen no release yet.</p>
        ) : (
          <div class="scroll">
            <table class="list">
              <thead>
                <tr>
                  <th scope="col">Release</th>
                  <th scope="col">Architecture</th>
                  <th scope="col">Built on</th>
                  <th scope="col">Revision</th>
                  <th scope="col" class="number">
                    Patch level
                  </th>
                  <th scope="col">First seen</th>
                </tr>
              </thead>
              <tbody>
                {releases.value.releases.map((one) => (
                  <tr key={`${one.release} ${one.architecture}`}>
                    <th scope="row">{one.release}</th>
                    <td>{one.architecture}</td>
                    <td>{one.builtOn ?? '–'}</td>
                    <td>
                      <code>{one.revision ?? '–'}</code>
                    </td>
                    <td class="number">{one.patchLevel ?? '–'}</td>
                    <td>
                      <When time={one.firstSeenAt} now={now} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      <Panel title="Subscriptions">
        {subscriptions.value === undefined ? (
          <Awaited problem={subscriptions.problem} what="subscriptions" />
        ) : subscriptions.value.subscriptions.length === 0 ? (
          <p class="empty">No recipe is built on its own when a release appears.</p>
        ) : (
          <div class="scroll">
            <table class="list">
              <thead>
                <tr>
                  <th scope="col">Recipe</th>
                  <th scope="col">Asks for</th>
                  <th scope="col">Started last</th>
                  <th scope="col">Changed</th>
                  <th scope="col">
                    <span class="unseen">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {subscriptions.value.subscriptions.map((one) => (
                  <tr key={one.name}>
                    <th scope="row">{one.name}</th>
                    <td>
                      <code>{JSON.stringify(one.recipe.subscribe ?? {})}</code>
                    </td>
                    <td>
                      {one.started.length === 0
                        ? '–'
                        : one.started.slice(0, 3).map(({ build, release, architecture, at }) => (
                            <div key={build}>
                              <Link to={`/builds/${encodeURIComponent(build)}`}>{build}</Link>{' '}
                              <span class="faint">
                                {release} {architecture}, <When time={at} now={now} />
                              </span>
                            </div>
                          ))}
                    </td>
                    <td>
                      <When time={one.updatedAt} now={now} />
                    </td>
                    <td class="actions">
                      <button
                        type="button"
                        onClick={() => setLeaving(one.name)}
                        aria-label={`Unsubscribe ${one.name}`}
                      >
                        Unsubscribe
                      </button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {leaving === undefined ? null : (
        <Confirm
          title={`Build ${leaving} no more on its own?`}
          verb="Unsubscribe"
          dangerous
          onClose={() => setLeaving(undefined)}
          act={async () => {
            await api.unsubscribe(leaving);
            announce(`${leaving} is built no more on its own`);
            setLeaving(undefined);
            subscriptions.refresh();
          }}
        >
          <p>Images and builds that are there stay. `foundry` or the API can subscribe the recipe again.</p>
        </Confirm>
      )}
    </>
  );
}
