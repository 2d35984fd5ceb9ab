import { useEffect, useRef, useState } from 'preact/hooks';
import type { BuildDetails } from '../../core/api/schemas.ts';
import { announce } from '../announce.tsx';
import { api, runbook } from '../api.ts';
import { ConsoleView } from '../console-view.tsx';
import { MachineView } from '../machine-view.tsx';
import { Markdown } from '../markdown.tsx';
import {
  Awaited,
  Confirm,
  Copy,
  Elsewhere,
  Freshness,
  Id,
  Panel,
  Status,
  statusWord,
  When,
} from '../parts.tsx';
import { useLoaded, useNow, usePoll } from '../poll.ts';
import { ReceiptView } from '../receipt-view.tsx';
import { go, Link } from '../router.tsx';
import { StagesView } from '../stages-view.tsx';
import { dollars, duration } from '../words.ts';

const LIVE = 1500;

export function BuildPage({ id }: { readonly id: string }) {
  const polled = usePoll(
    `build ${id}`,
    (signal) => api.build(id, signal),
    ({ status }) => (status === 'RUNNING' ? LIVE : null),
  );
  const { value: build, problem } = polled;
  const running = build?.status === 'RUNNING';
  const now = useNow(running ? 500 : 30_000);
  const [asking, setAsking] = useState<'abort' | 'resume'>();
  const [jump, setJump] = useState(0);
  useTold(build);
  if (build === undefined) {
    return (
      <>
        <Crumbs />
        <h1>
          <code>{id}</code>
        </h1>
        <Awaited problem={problem} what="the build" />
      </>
    );
  }
  const sinceFetch = running && polled.at !== undefined ? Math.max(0, (now - polled.at) / 1000) : 0;
  const expected = build.receipt.estimate?.seconds;
  const { failure, result, image } = build;
  return (
    <>
      <Crumbs />
      <div class="title">
        <h1>
          <code>{build.id}</code>
        </h1>
        <Copy text={build.id} what="the build’s name" />
        <Status status={build.status} />
        {build.dryRun ? <span class="tag">plan only</span> : null}
        <Freshness polled={polled} live={running} />
        {running ? (
          <button type="button" class="danger" onClick={() => setAsking('abort')}>
            Abort
          </button>
        ) : build.status !== 'SUCCEEDED' && !build.dryRun && failure?.resumable !== false ? (
          <button type="button" class="primary" onClick={() => setAsking('resume')}>
            Resume
          </button>
        ) : null}
      </div>
      <dl class="summary">
        <Fact name={running ? 'Running for' : 'Took'}>
          {duration(build.seconds + sinceFetch)}
          {expected === undefined ? null : <span class="faint"> of about {duration(expected)}</span>}
        </Fact>
        <Fact name="State">{build.state ?? (running ? '–' : statusWord(build.status))}</Fact>
        <Fact name="Started">
          <When time={build.startedAt} now={now} />
        </Fact>
        <Fact name={running ? 'Price so far' : 'Price'}>{dollars(build.receipt.dollars)}</Fact>
        <Fact name="Recipe">{build.recipe}</Fact>
        {image ? (
          <Fact name="Image">
            {image.name} <span class="faint">{image.road}</span>
          </Fact>
        ) : null}
        <Fact name="Look at it in AWS">
          <Elsewhere to={build.links.execution}>Execution</Elsewhere> ·{' '}
          <Elsewhere to={build.links.artifacts}>Artifacts</Elsewhere>
        </Fact>
      </dl>
      {build.warnings.map((warning) => (
        <p key={warning} class="note warn">
          {warning}
        </p>
      ))}
      {failure ? (
        <Failure
          failure={failure}
          onShow={failure.decisive.length === 0 ? undefined : () => setJump((before) => before + 1)}
        />
      ) : null}
      {result ? <Result result={result} /> : null}
      <div class="columns">
        <MachineView states={build.states} over={!running} />
        <div class="stack">
          <StagesView key={id} stages={build.stages} at={polled.at ?? now} sinceFetch={sinceFetch} />
          <ConsoleView
            id={id}
            running={running}
            decisive={failure?.decisive ?? []}
            preferred={build.console?.source}
            booting={failure?.code.startsWith('Boot') ?? false}
            jump={jump}
          />
        </div>
      </div>
      <div class="columns even">
        <Resources resources={build.resources} />
        <ReceiptView receipt={build.receipt} />
      </div>
      {asking === 'abort' ? (
        <Confirm
          title={`Abort ${id}?`}
          verb="Abort the build"
          dangerous
          onClose={() => setAsking(undefined)}
          act={async () => {
            await api.abort(id);
            setAsking(undefined);
            announce(`${id} is being stopped`);
            polled.refresh();
          }}
        >
          <p>The build stops at once, and all that it has made goes: nothing is kept to go on with.</p>
        </Confirm>
      ) : null}
      {asking === 'resume' ? (
        <Confirm
          title={`Resume ${id}?`}
          verb="Resume the build"
          onClose={() => setAsking(undefined)}
          act={async () => {
            const next = await api.resume(id);
            announce(`${next.id} has started`);
            go(`/builds/${encodeURIComponent(next.id)}`);
          }}
        >
          <p>
            The same recipe starts once more as a build of its own
            {(failure?.kept.length ?? 0) > 0
              ? '; it takes over what this one left whole:'
              : ' and begins anew.'}
          </p>
          {failure && failure.kept.length > 0 ? (
            <ul>
              {failure.kept.map((one) => (
                <li key={one}>
                  <code>{one}</code>
                </li>
              ))}
            </ul>
          ) : null}
        </Confirm>
      ) : null}
    </>
  );
}

const Crumbs = () => (
  <p class="crumbs">
    <Link to="/">Builds</Link>
  </p>
);

function Fact({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Says to a screen reader what changes on the page: stages as they begin, and the end. */
function useTold(build: BuildDetails | undefined): void {
  const before = useRef<{ readonly status: string; readonly stage: string }>(undefined);
  const stage = build?.stages.find(({ state }) => state === 'running')?.name ?? '';
  const status = build?.status;
  useEffect(() => {
    if (build === undefined || status === undefined) return;
    const told = before.current;
    before.current = { status, stage };
    if (told === undefined) return;
    if (told.status !== status) announce(`${build.id}: ${statusWord(status)}`);
    else if (told.stage !== stage && stage !== '') announce(`Stage: ${stage}`);
  }, [status, stage]);
}

/** What failed, and beside it what to do about it. */
function Failure({
  failure,
  onShow,
}: {
  readonly failure: NonNullable<BuildDetails['failure']>;
  readonly onShow: (() => void) | undefined;
}) {
  const entries = useLoaded(runbook);
  const { code, message, decisive, evidence, kept } = failure;
  // AWS has errors that are called as some of ours: the API tells by the anchor whose it is.
  const ours = failure.runbook.includes('#');
  const entry = ours && entries !== undefined && Object.hasOwn(entries, code) ? entries[code] : undefined;
  return (
    <div class="columns even failure">
      <Panel title={`Failed: ${code}`} class="bad">
        <p class="message">{message}</p>
        {decisive.length === 0 ? null : (
          <figure>
            <figcaption>
              What decided{' '}
              {onShow === undefined ? null : (
                <button type="button" class="link" onClick={onShow}>
                  show it in the console
                </button>
              )}
            </figcaption>
            <pre class="code decisive">{decisive.join('\n')}</pre>
          </figure>
        )}
        {kept.length === 0 ? null : (
          <p>
            Waits for the next attempt:{' '}
            {kept.map((one) => (
              <code key={one}>{one} </code>
            ))}
          </p>
        )}
        {evidence.length === 0 ? null : (
          <details>
            <summary>Evidence in the artifacts bucket ({evidence.length})</summary>
            <ul class="plain">
              {evidence.map((key) => (
                <li key={key}>
                  <Id text={key} what={key} />
                </li>
              ))}
            </ul>
          </details>
        )}
      </Panel>
      <Panel title={`Runbook: ${code}`} class="text">
        {entry === undefined ? (
          <p>
            {ours && entries === undefined
              ? 'Loading…'
              : 'The runbook has no such code: it is AWS’s own. The message says what AWS refused.'}
          </p>
        ) : (
          <Markdown text={entry} />
        )}
      </Panel>
    </div>
  );
}

function Result({ result }: { readonly result: NonNullable<BuildDetails['result']> }) {
  const { imageId, snapshotId, adopted, images } = result;
  return (
    <Panel
      title="Result"
      class="good"
      aside={adopted ? 'an image of this content was there, and is taken over' : null}
    >
      <dl class="facts wide">
        {(images.length === 0 ? [{ region: 'AMI', imageId }] : images).map((image) => (
          <div key={`${image.region} ${image.imageId}`}>
            <dt>{image.region}</dt>
            <dd>
              <Id text={image.imageId} what={`the AMI of ${image.region}`} />
            </dd>
          </div>
        ))}
        <div>
          <dt>Snapshot</dt>
          <dd>
            <Id text={snapshotId} what="the snapshot" />
          </dd>
        </div>
      </dl>
    </Panel>
  );
}

function Resources({ resources }: { readonly resources: BuildDetails['resources'] }) {
  return (
    <Panel title="Resources">
      {resources.length === 0 ? (
        <p class="empty">Nothing has been made.</p>
      ) : (
        <div class="scroll">
          <table class="list compact">
            <thead>
              <tr>
                <th scope="col">Kind</th>
                <th scope="col">For</th>
                <th scope="col">Id</th>
                <th scope="col">Region</th>
              </tr>
            </thead>
            <tbody>
              {resources.map(({ kind, role, id, region, link }) => (
                <tr key={`${kind} ${region} ${id}`}>
                  <th scope="row">{kind}</th>
                  <td>{role}</td>
                  <td>
                    <span class="id">
                      <Elsewhere to={link}>
                        <code>{id}</code>
                      </Elsewhere>
                      <Copy text={id} what={id} />
                    </span>
                  </td>
                  <td>{region}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
