import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** The address is the state: path and query. */
export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });
const listeners = new Set<() => void>();
const changed = () => {
  for (const listener of listeners) listener();
};
addEventListener('popstate', changed);

/** Goes to another page of the console; `replace` for what is no step of its own, such as a filter. */
export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  changed();
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const listener = () => setPlace(here());
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, []);
  return place;
}

/** A link that the browser may also open elsewhere. */
export function Link({
  to,
  children,
  row = false,
  ...rest
}: {
  readonly to: string;
  readonly children: ComponentChildren;
  /** The link by which a row of a table is reached. */
  readonly row?: boolean;
  readonly class?: string;
  readonly 'aria-current'?: 'page' | undefined;
}) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={follow} data-row={row ? '' : undefined} {...rest}>
      {children}
    </a>
  );
}
