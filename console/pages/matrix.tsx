import { useEffect, useState } from 'preact/hooks';
import type { RouteAnswer } from '../../core/api/routes.ts';
import { announce } from '../announce.tsx';
import { api } from '../api.ts';
import { Awaited, Confirm, Copy, Freshness, Panel, Status, statusWord, When } from '../parts.tsx';
import { useNow, usePoll } from '../poll.ts';
import { Link } from '../router.tsx';
import { duration } from '../words.ts';

const LIVE = 3000;

/** All builds of a matrix: how many have come how far, and each of them. */
export function MatrixPage({ id }: { readonly id: string }) {
  const polled = usePoll(
    `matrix ${id}`,
    (signal) => api.matrix(id, signal),
    ({ status }) => (status === 'RUNNING' ? LIVE : null),
  );
  const { value: matrix, problem } = polled;
  const running = matrix?.status === 'RUNNING';
  const now = useNow(running ? 1000 : 30_000);
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (matrix !== undefined && !running) announce(`${id}: ${statusWord(matrix.status)}`);
  }, [running]);
  return (
    <>
      <p class="crumbs">
        <Link to="/">Builds</Link>
      </p>
      <div class="title">
        <h1>
          <code>{id}</code>
        </h1>
        <Copy text={id} what="the matrix’s name" />
        {matrix === undefined ? null : <Status status={matrix.status} />}
        <Freshness polled={polled} live={running} />
        {running ? (
          <button type="button" class="danger" onClick={() => setAsking(true)}>
            Abort
          </button>
        ) : null}
      </div>
      {matrix === undefined ? (
        <Awaited problem={problem} what="the matrix" />
      ) : (
        <>
          <dl class="summary">
            <div>
              <dt>{running ? 'Running for' : 'Took'}</dt>
              <dd>
                {duration(
                  matrix.seconds + (running && polled.at ? Math.max(0, (now - polled.at) / 1000) : 0),
                )}
              </dd>
            </div>
            <div>
              <dt>Started</dt>
              <dd>
                <When time={matrix.startedAt} now={now} />
              </dd>
            </div>
            <div>
              <dt>Published</dt>
              <dd>{matrix.publishTogether ? 'all or none' : 'each for itself'}</dd>
            </div>
          </dl>
          {matrix.failure ? (
            <div class="problem">
              <p>
                <strong>{matrix.failure.code}</strong> <span class="detail">{matrix.failure.message}</span>
              </p>
            </div>
          ) : null}
          <Progress summary={matrix.summary} />
          <Builds builds={matrix.builds} />
        </>
      )}
      {asking ? (
        <Confirm
          title={`Abort ${id}?`}
          verb="Abort all builds"
          dangerous
          onClose={() => setAsking(false)}
          act={async () => {
            await api.abortMatrix(id);
            setAsking(false);
            announce(`${id} is being stopped`);
            polled.refresh();
          }}
        >
          <p>
            The matrix and all its builds stop at once, and all that they have made goes. Readers see what
            they saw before.
          </p>
        </Confirm>
      ) : null}
    </>
  );
}

type Matrix = RouteAnswer<'show-matrix'>;

function Progress({ summary }: { readonly summary: Matrix['summary'] }) {
  const { total, succeeded, failed, running, waiting } = summary;
  const parts = [
    ['succeeded', succeeded],
    ['failed', failed],
    ['running', running],
    ['waiting', waiting],
  ] as const;
  return (
    <Panel title={`${succeeded + failed} of ${total} builds have ended`}>
      <div class="share" aria-hidden="true">
        {parts.map(([name, count]) => (
          <span key={name} class={name} style={{ flexGrow: count }} />
        ))}
      </div>
      <ul class="legend">
        {parts.map(([name, count]) => (
          <li key={name} class={name}>
            <span class="swatch" aria-hidden="true" />
            {count} {name}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Builds({ builds }: { readonly builds: Matrix['builds'] }) {
  return (
    <Panel title="Builds">
      <div class="scroll">
        <table class="list compact">
          <thead>
            <tr>
              <th scope="col">Build</th>
              <th scope="col">Status</th>
            </tr>
          </thead>
          <tbody>
            {builds.map(({ build, status }) => (
              <tr key={build}>
                <th scope="row">
                  {status === 'WAITING' ? (
                    <code>{build}</code>
                  ) : (
                    <Link row to={`/builds/${encodeURIComponent(build)}`}>
                      <code>{build}</code>
                    </Link>
                  )}
                </th>
                <td>
                  {status === 'WAITING' ? <span class="badge">Waiting</span> : <Status status={status} />}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
