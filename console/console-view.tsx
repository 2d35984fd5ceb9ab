import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api } from './api.ts';
import { consoleLines, decisiveLines } from './console-text.ts';
import { Awaited, Copy, Panel } from './parts.tsx';
import { usePoll } from './poll.ts';

const LIVE = 2000;
/** Lines of a block that the browser lays out when it comes into sight. */
const BLOCK = 100;
/** As the style sheet has it. */
const LINE_HEIGHT = 18;

const sourceWord = (source: string): string =>
  source === 'worker' ? 'Worker' : `Boot test, ${source.replace(/^boot-/, '')}`;

/** The console of the worker or of a machine of the boot test, as it grows. */
export function ConsoleView({
  id,
  running,
  decisive,
  preferred,
  booting,
  jump,
}: {
  readonly id: string;
  readonly running: boolean;
  readonly decisive: readonly string[];
  /** The source that is shown until somebody picks another. */
  readonly preferred: string | undefined;
  /** Whether a machine of the boot test is the one to look at first. */
  readonly booting: boolean;
  /** Changes when the decisive lines shall be shown. */
  readonly jump: number;
}) {
  const [picked, setPicked] = useState<string>();
  const wanted = picked ?? preferred;
  const polled = usePoll(
    `log ${id} ${wanted ?? ''} ${running}`,
    (signal) => api.log(id, wanted, signal),
    ({ complete }) => (complete || !running ? null : LIVE),
  );
  const kept = useRef<typeof polled.value>(undefined);
  if (polled.value) kept.current = polled.value;
  const log = polled.value ?? (kept.current?.source === wanted ? kept.current : undefined);
  const firstBoot = log?.sources.find((source) => source.startsWith('boot-'));
  useEffect(() => {
    if (booting && picked === undefined && firstBoot !== undefined) setPicked(firstBoot);
  }, [booting, picked, firstBoot]);
  const [follow, setFollow] = useState(true);
  const [search, setSearch] = useState('');
  const [only, setOnly] = useState(false);
  const [at, setAt] = useState(0);
  const frame = useRef<HTMLDivElement>(null);

  const lines = useMemo(() => consoleLines(log?.text ?? ''), [log?.text]);
  const marked = useMemo(() => decisiveLines(lines, decisive), [lines, decisive.join('\n')]);
  const needle = search.toLowerCase();
  const hits = useMemo(
    () =>
      needle === ''
        ? []
        : lines.flatMap((line, index) => (line.toLowerCase().includes(needle) ? [index] : [])),
    [lines, needle],
  );
  const current = hits.length === 0 ? undefined : hits[Math.min(at, hits.length - 1)];
  const shown = useMemo(
    () => (only && needle !== '' ? hits : lines.map((_, index) => index)),
    [lines, hits, only, needle],
  );

  const show = (line: number | undefined) => {
    const box = frame.current;
    const row = line === undefined ? null : box?.querySelector<HTMLElement>(`[data-line="${line}"]`);
    if (!box || !row) return;
    setFollow(false);
    // Blocks out of sight have a guessed height: the second look is exact.
    for (let look = 0; look < 2; look++) {
      const by = row.getBoundingClientRect().top - box.getBoundingClientRect().top;
      box.scrollTop += by - box.clientHeight / 3;
    }
  };
  useEffect(() => {
    const box = frame.current;
    if (!follow || !box) return;
    const toEnd = () => {
      box.scrollTop = box.scrollHeight;
    };
    toEnd();
    // Blocks have a guessed height until they are in sight.
    const watch = new ResizeObserver(toEnd);
    for (const block of box.children) watch.observe(block);
    return () => watch.disconnect();
  }, [lines, follow, only]);
  useEffect(() => show(current), [current]);
  useEffect(() => {
    if (jump > 0) {
      show(Math.min(...marked));
      frame.current?.focus();
    }
  }, [jump]);
  // A failure is read where it was decided, not at the end.
  useEffect(() => {
    if (!running && marked.size > 0) show(Math.max(...marked));
  }, [marked, running]);

  const step = (by: number) =>
    setAt((before) => (hits.length === 0 ? 0 : (before + by + hits.length) % hits.length));
  const sources = log?.sources ?? [];
  return (
    <Panel
      title="Console"
      class="console"
      aside={
        <>
          <label>
            <span class="unseen">Machine</span>
            <select
              value={log?.source ?? wanted ?? ''}
              disabled={sources.length < 2}
              onChange={({ currentTarget: { value } }) => {
                setPicked(value);
                setFollow(true);
              }}
            >
              {sources.length === 0 ? (
                <option value={wanted ?? ''}>{wanted ? sourceWord(wanted) : '–'}</option>
              ) : null}
              {sources.map((source) => (
                <option key={source} value={source}>
                  {sourceWord(source)}
                </option>
              ))}
            </select>
          </label>
          <Copy text={lines.join('\n')} what="the console’s text" />
        </>
      }
    >
      <search class="tools">
        <input
          type="search"
          aria-label="Search the console"
          placeholder="Search"
          value={search}
          onInput={({ currentTarget: { value } }) => {
            setSearch(value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === 'Enter') step(event.shiftKey ? -1 : 1);
            if (event.key === 'Escape') setSearch('');
          }}
        />
        <span class="hits" aria-live="polite">
          {needle === ''
            ? ''
            : hits.length === 0
              ? 'none'
              : `${Math.min(at, hits.length - 1) + 1} of ${hits.length}`}
        </span>
        <button
          type="button"
          class="quiet"
          aria-label="Previous hit"
          disabled={hits.length === 0}
          onClick={() => step(-1)}
        >
          ↑
        </button>
        <button
          type="button"
          class="quiet"
          aria-label="Next hit"
          disabled={hits.length === 0}
          onClick={() => step(1)}
        >
          ↓
        </button>
        <label class="check">
          <input
            type="checkbox"
            checked={only}
            onChange={({ currentTarget: { checked } }) => setOnly(checked)}
          />
          Only lines found
        </label>
        {running ? (
          <label class="check end">
            <input
              type="checkbox"
              checked={follow}
              onChange={({ currentTarget: { checked } }) => setFollow(checked)}
            />
            Follow
          </label>
        ) : null}
        {marked.size > 0 ? (
          <button type="button" onClick={() => show(Math.min(...marked))}>
            Decisive line
          </button>
        ) : null}
      </search>
      <div
        class="terminal"
        ref={frame}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label="Text of the console"
        onScroll={({ currentTarget: box }) => {
          // Who scrolls up wants to read; who comes back to the end wants the rest.
          const end = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
          if (end !== follow && (end || !follow || running)) setFollow(end);
        }}
      >
        {log === undefined ? (
          polled.problem && polled.problem.problem.status !== 404 ? (
            <Awaited problem={polled.problem} what="the console" />
          ) : (
            <p class="awaited">{polled.problem ? 'No console yet.' : 'Loading the console…'}</p>
          )
        ) : lines.length === 0 ? (
          <p class="awaited">{running ? 'Nothing has been said yet.' : 'Nothing was said.'}</p>
        ) : (
          blocks(shown).map((block) => (
            <div
              class="block"
              key={block[0]}
              style={{ containIntrinsicSize: `auto ${LINE_HEIGHT * block.length}px` }}
            >
              {block.map((line) => (
                <div
                  key={line}
                  data-line={line}
                  class={`line ${marked.has(line) ? 'decisive' : ''} ${line === current ? 'current' : ''} ${(lines[line] ?? '').startsWith('foundry: ') ? 'marker' : ''}`}
                >
                  <span class="at" aria-hidden="true">
                    {line + 1}
                  </span>
                  <span class="said">
                    {marked.has(line) ? <span class="unseen">Decisive: </span> : null}
                    {found(lines[line] ?? '', needle)}
                  </span>
                </div>
              ))}
            </div>
          ))
        )}
      </div>
    </Panel>
  );
}

function blocks(shown: readonly number[]): number[][] {
  const all: number[][] = [];
  for (let from = 0; from < shown.length; from += BLOCK) all.push(shown.slice(from, from + BLOCK));
  return all;
}

/** A line with what was searched for marked in it. */
function found(line: string, needle: string): ComponentChildren {
  if (needle === '') return line;
  const lower = line.toLowerCase();
  const parts: ComponentChildren[] = [];
  let done = 0;
  for (let hit = lower.indexOf(needle); hit >= 0; hit = lower.indexOf(needle, done)) {
    parts.push(line.slice(done, hit), <mark>{line.slice(hit, hit + needle.length)}</mark>);
    done = hit + needle.length;
  }
  parts.push(line.slice(done));
  return parts;
}
