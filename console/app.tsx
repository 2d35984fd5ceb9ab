import { useEffect, useRef } from 'preact/hooks';
import { Announcer } from './announce.tsx';
import { factory } from './api.ts';
import { Boundary } from './boundary.tsx';
import { Icon } from './icons.tsx';
import { BuildPage } from './pages/build.tsx';
import { BuildsPage } from './pages/builds.tsx';
import { ImagesPage } from './pages/images.tsx';
import { MatrixPage } from './pages/matrix.tsx';
import { ReleasesPage } from './pages/releases.tsx';
import { RunbookPage } from './pages/runbook.tsx';
import { StartPage } from './pages/start.tsx';
import { useLoaded } from './poll.ts';
import { Link, type Place, usePlace } from './router.tsx';
import { Shortcuts } from './shortcuts.tsx';
import { useTheme } from './theme.ts';

interface Page {
  readonly title: string;
  readonly tab: string;
  readonly view: preact.ComponentChildren;
}

function pageOf({ path, query }: Place): Page {
  const [, first = '', second] = path.split('/').map(decodeURIComponent);
  if (path === '/') return { title: 'Builds', tab: '/', view: <BuildsPage query={query} /> };
  if (path === '/start') return { title: 'Start a build', tab: '/', view: <StartPage /> };
  if (path === '/images') return { title: 'Images', tab: '/images', view: <ImagesPage query={query} /> };
  if (path === '/releases') return { title: 'Releases', tab: '/releases', view: <ReleasesPage /> };
  if (first === 'builds' && second !== undefined)
    return { title: second, tab: '/', view: <BuildPage key={second} id={second} /> };
  if (first === 'matrices' && second !== undefined)
    return { title: second, tab: '/', view: <MatrixPage key={second} id={second} /> };
  if (first === 'runbook')
    return { title: second ?? 'Runbook', tab: '/runbook', view: <RunbookPage code={second} /> };
  return {
    title: 'Not found',
    tab: '',
    view: (
      <p>
        The console has no such page. <Link to="/">All builds</Link>
      </p>
    ),
  };
}

const tabs = [
  ['/', 'Builds'],
  ['/images', 'Images'],
  ['/releases', 'Releases'],
  ['/runbook', 'Runbook'],
] as const;

export function App() {
  const place = usePlace();
  const { theme, next } = useTheme();
  const where = useLoaded(factory);
  const { title, tab, view } = pageOf(place);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);

  // A new page begins where reading begins, as a loaded document does; the browser's own first page needs no help.
  useEffect(() => {
    document.title = `${title} · ami-foundry`;
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [place.path, title]);

  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the page
      </button>
      <header class="top">
        <Link to="/" class="brand">
          <Anvil />
          <span>ami-foundry</span>
        </Link>
        <nav aria-label="Pages">
          {tabs.map(([to, name]) => (
            <Link key={to} to={to} aria-current={to === tab ? 'page' : undefined}>
              {name}
            </Link>
          ))}
        </nav>
        <span class="where" title={where?.url}>
          {where === undefined ? '' : new URL(where.url).host}
        </span>
        <button
          type="button"
          class="quiet"
          onClick={next}
          aria-label={`Colours: ${theme}`}
          title={`Colours: ${theme} (t)`}
        >
          <Icon name={theme} />
        </button>
        <Shortcuts nextTheme={next} />
      </header>
      <main ref={main} id="main" tabIndex={-1} aria-label={title}>
        <Boundary key={place.path}>{view}</Boundary>
      </main>
      <Announcer />
    </>
  );
}

function Anvil() {
  return (
    <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <rect width="32" height="32" rx="7" class="mark" />
      <path
        d="M6 11h14.500v3.500q4.500 0 5.500-3.500 0 7.500-7 8.500l2 4.500H9l2-4.500q-4.500-1-5-8.500z"
        fill="#fff"
      />
    </svg>
  );
}
