import { useState } from 'preact/hooks';
import type { RouteAnswer } from '../../core/api/routes.ts';
import type { ListedImage } from '../../core/api/schemas.ts';
import { announce } from '../announce.tsx';
import { api } from '../api.ts';
import { Awaited, Confirm, Copy, Dialog, Freshness, Id, When } from '../parts.tsx';
import { useNow, usePoll } from '../poll.ts';
import { go, Link } from '../router.tsx';

const EVERY = 30_000;

const listPath = (wanted: Readonly<Record<string, string>>): string => {
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== '')).toString();
  return query === '' ? '/images' : `/images?${query}`;
};

export function ImagesPage({ query }: { readonly query: URLSearchParams }) {
  const region = query.get('region') ?? '';
  const recipe = query.get('recipe') ?? '';
  const after = query.get('after') ?? '';
  const now = useNow(30_000);
  const polled = usePoll(
    `images ${region} ${recipe} ${after}`,
    (signal) => api.images({ region, recipe, nextToken: after, limit: '50' }, signal),
    () => EVERY,
  );
  const { value, problem } = polled;
  const [retiring, setRetiring] = useState<ListedImage>();
  const [retired, setRetired] = useState<RouteAnswer<'retire-image'>>();
  const regions = [...new Set((value?.images ?? []).map((image) => image.region))];
  const next = value?.nextToken ?? '';
  return (
    <>
      <div class="title">
        <h1>Images</h1>
        <Freshness polled={polled} live={false} />
      </div>
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          const fields = new FormData(event.currentTarget);
          const said = (name: string) => {
            const value = fields.get(name);
            return typeof value === 'string' ? value.trim() : '';
          };
          go(listPath({ region: said('region'), recipe: said('recipe') }), { replace: true });
        }}
      >
        <label>
          Region <input name="region" type="search" defaultValue={region} placeholder="all" size={14} />
        </label>
        <label>
          Recipe <input name="recipe" type="search" defaultValue={recipe} placeholder="all" size={18} />
        </label>
        <button type="submit">Show</button>
      </form>
      {value === undefined ? (
        <Awaited problem={problem} what="images" />
      ) : value.images.length === 0 ? (
        <p class="empty">No image{region === '' && recipe === '' ? ' yet' : ' of these'}.</p>
      ) : (
        <div class="scroll">
          <table class="list images">
            <thead>
              <tr>
                <th scope="col">Image</th>
                <th scope="col">Name</th>
                <th scope="col">Boot test</th>
                <th scope="col">Shared with</th>
                <th scope="col">Age</th>
                <th scope="col">State</th>
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            {regions.map((place) => {
              const images = value.images.filter((image) => image.region === place);
              return (
                <tbody key={place}>
                  <tr class="group">
                    <th scope="rowgroup" colSpan={7}>
                      {place} <span class="count">{images.length}</span>
                    </th>
                  </tr>
                  {images.map((image) => (
                    <ImageRow
                      key={image.imageId}
                      image={image}
                      now={now}
                      onRetire={() => setRetiring(image)}
                    />
                  ))}
                </tbody>
              );
            })}
          </table>
        </div>
      )}
      {after !== '' || next !== '' ? (
        <nav class="pages" aria-label="Pages of the list">
          {after === '' ? <span /> : <Link to={listPath({ region, recipe })}>← First</Link>}
          {next === '' ? <span /> : <Link to={listPath({ region, recipe, after: next })}>More →</Link>}
        </nav>
      ) : null}
      {retiring === undefined ? null : (
        <Confirm
          title={`Retire ${retiring.imageId}?`}
          verb="Retire"
          dangerous
          onClose={() => setRetiring(undefined)}
          act={async () => {
            const answer = await api.retire(retiring.imageId);
            setRetiring(undefined);
            setRetired(answer);
            announce(`${answer.quarantined.length} put away, ${answer.kept.length} kept`);
            polled.refresh();
          }}
        >
          <p>
            <strong>{retiring.name}</strong> and its copies in all regions are put away: nobody can launch
            them any more, and they are deleted later. What somebody uses is kept. Until they are deleted it
            can be taken back.
          </p>
        </Confirm>
      )}
      {retired === undefined ? null : <Retired answer={retired} onClose={() => setRetired(undefined)} />}
    </>
  );
}

function ImageRow({
  image,
  now,
  onRetire,
}: {
  readonly image: ListedImage;
  readonly now: number;
  readonly onRetire: () => void;
}) {
  const { imageId, name, bootTestedAt, sharedWith, createdAt, quarantinedAt, deprecatedAt, state } = image;
  return (
    <tr class={quarantinedAt === null ? '' : 'away'}>
      <th scope="row">
        <Id text={imageId} what={imageId} />
      </th>
      <td>
        {name}
        <div class="faint">
          {image.release ?? ''} {image.architecture}
          {image.build === null ? null : (
            <>
              {' · '}
              <Link row to={`/builds/${encodeURIComponent(image.build)}`}>
                {image.build}
              </Link>
            </>
          )}
        </div>
      </td>
      <td>
        {bootTestedAt === null ? (
          <span class="faint">not tested</span>
        ) : (
          <>
            <span class="good">✓ passed</span> <When time={bootTestedAt} now={now} />
          </>
        )}
      </td>
      <td>
        {sharedWith.length === 0 ? (
          <span class="faint">nobody</span>
        ) : sharedWith.includes('all') ? (
          'everybody'
        ) : (
          sharedWith.join(', ')
        )}
      </td>
      <td>{createdAt === null ? '–' : <When time={createdAt} now={now} />}</td>
      <td>
        {quarantinedAt === null ? (
          <>
            {state}
            {deprecatedAt === null ? null : (
              <div class="faint">
                deprecated{' '}
                {Date.parse(deprecatedAt) < now ? (
                  <When time={deprecatedAt} now={now} />
                ) : (
                  `from ${deprecatedAt.slice(0, 10)}`
                )}
              </div>
            )}
          </>
        ) : (
          <>
            in quarantine
            <div class="faint">
              since <When time={quarantinedAt} now={now} />
            </div>
          </>
        )}
      </td>
      <td class="actions">
        {quarantinedAt === null ? (
          <button type="button" onClick={onRetire} aria-label={`Retire ${imageId}`}>
            Retire
          </button>
        ) : null}
      </td>
    </tr>
  );
}

function Retired({
  answer,
  onClose,
}: {
  readonly answer: RouteAnswer<'retire-image'>;
  readonly onClose: () => void;
}) {
  return (
    <Dialog title={`${answer.imageId}: what was done`} onClose={onClose} wide>
      <p>{answer.quarantined.length === 0 ? 'Nothing was put away.' : 'Put away:'}</p>
      <ul>
        {answer.quarantined.map(({ region, imageId }) => (
          <li key={`${region} ${imageId}`}>
            <code>{imageId}</code> in {region}
          </li>
        ))}
      </ul>
      {answer.kept.length === 0 ? null : (
        <>
          <p>Kept:</p>
          <ul>
            {answer.kept.map(({ region, imageId, reason }) => (
              <li key={`${region} ${imageId}`}>
                <code>{imageId}</code> in {region}: {reason}
              </li>
            ))}
          </ul>
        </>
      )}
      {answer.quarantined.length === 0 ? null : (
        <>
          <p>
            To take it back, in a shell <Copy text={answer.undo} what="the line that takes it back" />
          </p>
          <pre class="code">{answer.undo}</pre>
        </>
      )}
      <div class="buttons">
        <button type="button" class="primary" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
