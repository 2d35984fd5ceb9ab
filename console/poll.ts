import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiProblem } from './api.ts';

const FIRST_BACKOFF = 2000;
/** Whoever has no network for an hour asks sixty times, not thousands. */
const LONGEST_BACKOFF = 60_000;

/** Step Functions may not show for a moment what was just started (DescribeExecution, "eventually consistent"). */
const FRESH = 15_000;
const FRESH_INTERVAL = 1000;

/** A build or a matrix; a route that is not there will not come. */
const isNotYet = ({ problem: { code } }: ApiProblem): boolean => code === 'BuildNotFound';

/** What asking again does not help against. */
export const isFinal = ({ problem: { status } }: ApiProblem): boolean => status >= 400 && status < 429;

export interface Polled<T> {
  readonly value: T | undefined;
  readonly problem: ApiProblem | undefined;
  /** When the value came. */
  readonly at: number | undefined;
  /** Asks now. */
  readonly refresh: () => void;
}

/**
 * Asks again and again: `interval` says after how many milliseconds, or null for never. Waits while the tab is hidden and longer after each
 * failure; an answer to a question of before is dropped. The last value stays while nobody answers. What was never seen is asked for
 * some seconds before it counts as not there: whoever starts a build is on its page before others can see it.
 */
export function usePoll<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  interval: (value: T) => number | null,
): Polled<T> {
  const [state, setState] = useState<{
    readonly key: string;
    readonly value?: T;
    readonly problem?: ApiProblem | undefined;
    readonly at?: number;
  }>({ key });
  const latest = useRef({ ask, interval });
  latest.current = { ask, interval };
  const now = useRef(() => {});

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking = false;
    let again = false;
    let failures = 0;
    let seen = false;
    const begun = Date.now();
    let due: number | null = 0;

    const schedule = (milliseconds: number | null) => {
      clearTimeout(timer);
      due = milliseconds === null ? null : Date.now() + milliseconds;
      if (milliseconds !== null && !document.hidden) timer = setTimeout(() => void run(), milliseconds);
    };
    const run = async () => {
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      clearTimeout(timer);
      try {
        const value = await latest.current.ask(stop.signal);
        if (stop.signal.aborted) return;
        failures = 0;
        seen = true;
        setState({ key, value, at: Date.now() });
        schedule(latest.current.interval(value));
      } catch (error) {
        if (stop.signal.aborted) return;
        if (!(error instanceof ApiProblem)) throw error;
        if (!seen && isNotYet(error) && Date.now() - begun < FRESH) {
          schedule(FRESH_INTERVAL);
          return;
        }
        setState((before) => ({ ...before, key, problem: error }));
        schedule(isFinal(error) ? null : Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** failures++));
      } finally {
        asking = false;
        if (again && !stop.signal.aborted) {
          again = false;
          void run();
        }
      }
    };
    const shown = () => {
      if (document.hidden) clearTimeout(timer);
      else if (due !== null) schedule(Math.max(0, due - Date.now()));
    };
    now.current = () => void run();
    document.addEventListener('visibilitychange', shown);
    void run();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [key]);

  const refresh = useCallback(() => now.current(), []);
  // Of another key: not to be shown for this one.
  const { value, problem, at } =
    state.key === key ? state : { value: undefined, problem: undefined, at: undefined };
  return { value, problem, at, refresh };
}

/** What is loaded once. */
export function useLoaded<T>(load: () => Promise<T>): T | undefined {
  const [value, setValue] = useState<T>();
  useEffect(() => {
    let wanted = true;
    load().then(
      (loaded) => {
        if (wanted) setValue(() => loaded);
      },
      () => {},
    );
    return () => {
      wanted = false;
    };
  }, [load]);
  return value;
}

/** The time, as often as it is shown. */
export function useNow(milliseconds: number | null): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (milliseconds === null) return;
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
  return now;
}
