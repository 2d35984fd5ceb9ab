import { useEffect, useState } from 'preact/hooks';
import { Dialog } from './parts.tsx';
import { go } from './router.tsx';

const KEY = 'foundry-console-shortcuts';

const listed: readonly (readonly [string, string])[] = [
  ['?', 'This list'],
  ['g b', 'Builds'],
  ['g i', 'Images'],
  ['g r', 'Releases'],
  ['g h', 'Runbook'],
  ['n', 'Start a build'],
  ['j  k', 'Next or previous row of a table'],
  ['Enter', 'Open the row’s link'],
  ['/', 'Search, where there is one'],
  ['t', 'Light, dark, or as the system has it'],
];

const places: Readonly<Record<string, string>> = { b: '/', i: '/images', r: '/releases', h: '/runbook' };

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  target.closest('input, textarea, select, [contenteditable], dialog') !== null;

/** Moves along the first links of a table's rows. */
function moveRow(step: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>('main tbody tr [data-row]')];
  const now = links.findIndex((link) => link.closest('tr')?.contains(document.activeElement));
  const next = now < 0 ? (step > 0 ? 0 : links.length - 1) : now + step;
  links[next]?.focus();
}

/** Keys of one letter; who speaks to the machine, or types with few fingers, may turn them off (WCAG 2.1.4). */
export function Shortcuts({ nextTheme }: { readonly nextTheme: () => void }) {
  const [shown, setShown] = useState(false);
  const [on, setOn] = useState(() => localStorage.getItem(KEY) !== 'off');
  useEffect(() => {
    let before = '';
    let forget: ReturnType<typeof setTimeout> | undefined;
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
      if (!on) return;
      const { key } = event;
      const after = before;
      before = '';
      clearTimeout(forget);
      if (after === 'g') {
        const place = places[key];
        if (place !== undefined) go(place);
        return;
      }
      if (key === 'g') {
        before = 'g';
        forget = setTimeout(() => {
          before = '';
        }, 1500);
      } else if (key === '?') setShown(true);
      else if (key === 'n') go('/start');
      else if (key === 't') nextTheme();
      else if (key === 'j') moveRow(1);
      else if (key === 'k') moveRow(-1);
      else if (key === '/') {
        const field = document.querySelector<HTMLInputElement>('main input[type=search]');
        if (!field) return;
        event.preventDefault();
        field.focus();
      }
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [on, nextTheme]);
  return (
    <>
      <button
        type="button"
        class="quiet"
        onClick={() => setShown(true)}
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
      >
        ?
      </button>
      {shown ? (
        <Dialog title="Keyboard shortcuts" onClose={() => setShown(false)}>
          <dl class="keys">
            {listed.map(([keys, what]) => (
              <div key={keys}>
                <dt>{keys.split(' ').map((key) => (key === '' ? ' ' : <kbd key={key}>{key}</kbd>))}</dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
          <label class="check">
            <input
              type="checkbox"
              checked={on}
              onChange={({ currentTarget: { checked } }) => {
                localStorage.setItem(KEY, checked ? 'on' : 'off');
                setOn(checked);
              }}
            />
            Keys of one letter are on
          </label>
          <div class="buttons">
            <button type="button" class="primary" onClick={() => setShown(false)}>
              Close
            </button>
          </div>
        </Dialog>
      ) : null}
    </>
  );
}
