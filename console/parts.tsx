import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { BuildStatus, Problem } from '../core/api/schemas.ts';
import { announce } from './announce.tsx';
import { type ApiProblem, runbook } from './api.ts';
import { Icon } from './icons.tsx';
import { isFinal, type Polled, useLoaded, useNow } from './poll.ts';
import { Link } from './router.tsx';
import { ago, exactTime } from './words.ts';

const statusWords: Readonly<Record<BuildStatus, { readonly word: string; readonly sign: string }>> = {
  RUNNING: { word: 'Running', sign: '●' },
  SUCCEEDED: { word: 'Succeeded', sign: '✓' },
  FAILED: { word: 'Failed', sign: '✕' },
  TIMED_OUT: { word: 'Timed out', sign: '!' },
  ABORTED: { word: 'Aborted', sign: '■' },
};
export const buildStatuses = Object.keys(statusWords) as readonly BuildStatus[];
export const statusWord = (status: BuildStatus): string => statusWords[status].word;

export function Status({ status }: { readonly status: BuildStatus }) {
  const { word, sign } = statusWords[status];
  return (
    <span class={`badge ${status.toLowerCase()}`}>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      {word}
    </span>
  );
}

/** A time as people say it; the exact one is a title, and in the machine's own attribute. */
export function When({ time, now }: { readonly time: string; readonly now: number }) {
  return (
    <time dateTime={time} title={exactTime(time)}>
      {ago(time, now)}
    </time>
  );
}

export function Copy({ text, what }: { readonly text: string; readonly what: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      announce(`${what} copied`);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      announce(`${what} could not be copied: the browser does not let the page`);
    }
  };
  return (
    <button
      type="button"
      class="copy"
      onClick={() => void copy()}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
    >
      <Icon name={copied ? 'copied' : 'copy'} />
    </button>
  );
}

/** An id with a button that copies it. */
export function Id({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <span class="id">
      <code>{text}</code>
      <Copy text={text} what={what} />
    </span>
  );
}

/** A link to elsewhere. Only what is one: text of the API is not trusted to be. */
export function Elsewhere({
  to,
  children,
}: {
  readonly to: string | null;
  readonly children: ComponentChildren;
}) {
  if (to === null || !/^https?:\/\//.test(to)) return <>{children}</>;
  return (
    <a href={to} target="_blank" rel="noreferrer noopener">
      {children}
      <span aria-hidden="true"> ↗</span>
      <span class="unseen"> (opens in a new tab)</span>
    </a>
  );
}

export function Panel({
  title,
  children,
  aside,
  class: name = '',
}: {
  readonly title: string;
  readonly children: ComponentChildren;
  /** At the right of the title. */
  readonly aside?: ComponentChildren;
  readonly class?: string;
}) {
  const id = useId();
  return (
    <section class={`panel ${name}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside === undefined ? null : <div class="aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

export function ProblemView({ problem }: { readonly problem: Problem }) {
  const { code, detail, remedy, errors } = problem;
  const entries = useLoaded(runbook);
  return (
    <div class="problem" role="alert">
      <p>
        <strong>{code}</strong> <span class="detail">{detail}</span>
      </p>
      {errors.length > 0 ? (
        <ul>
          {errors.map(({ field, message }) => (
            <li key={`${field} ${message}`}>
              <code>{field}</code> {message}
            </li>
          ))}
        </ul>
      ) : null}
      {remedy === '' ? null : <p class="remedy">{remedy}</p>}
      {entries !== undefined && Object.hasOwn(entries, code) ? (
        <p>
          <Link to={`/runbook/${code}`}>Runbook: {code}</Link>
        </p>
      ) : null}
    </div>
  );
}

/** How fresh a page is, and how to have it fresher. Its place is kept whatever it says. */
export function Freshness({ polled, live }: { readonly polled: Polled<unknown>; readonly live: boolean }) {
  const now = useNow(5000);
  const seconds = polled.at === undefined ? undefined : Math.max(0, Math.round((now - polled.at) / 1000));
  return (
    <span class="freshness" title={polled.problem?.message}>
      <span class={`dot ${polled.problem ? 'bad' : live ? 'live' : ''}`} aria-hidden="true" />
      {polled.problem
        ? isFinal(polled.problem)
          ? 'Refused'
          : 'No answer; trying again'
        : seconds === undefined
          ? 'Loading'
          : seconds < 10
            ? live
              ? 'Live'
              : 'Up to date'
            : `${seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`} old`}
      <button type="button" class="quiet" onClick={polled.refresh} aria-label="Refresh" title="Refresh">
        <Icon name="refresh" />
      </button>
    </span>
  );
}

/** What stands in the place of a value that is on its way, or does not come. */
export function Awaited({
  problem,
  what,
}: {
  readonly problem: ApiProblem | undefined;
  readonly what: string;
}) {
  if (problem) return <ProblemView problem={problem.problem} />;
  return <p class="awaited">Loading {what}…</p>;
}

export function Dialog({
  title,
  children,
  onClose,
  wide = false,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
  readonly wide?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? 'wide' : ''}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <div class="dialog">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before something is done that nothing takes back; shows what was refused. */
export function Confirm({
  title,
  children,
  verb,
  dangerous = false,
  act,
  onClose,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly verb: string;
  readonly dangerous?: boolean;
  readonly act: () => Promise<void>;
  readonly onClose: () => void;
}) {
  const { busy, problem, run } = useAction();
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      {problem ? <ProblemView problem={problem.problem} /> : null}
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          class={dangerous ? 'danger' : 'primary'}
          aria-disabled={busy}
          onClick={() => void run(act)}
        >
          {busy ? 'One moment…' : verb}
        </button>
      </div>
    </Dialog>
  );
}

/** Runs one action at a time, and keeps what the API said no to. */
export function useAction(): {
  readonly busy: boolean;
  readonly problem: ApiProblem | undefined;
  readonly run: (act: () => Promise<void>) => Promise<void>;
} {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiProblem>();
  const run = async (act: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Error && 'problem' in error)) throw error;
      setProblem(error as ApiProblem);
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, run };
}
