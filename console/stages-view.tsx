import { useRef } from 'preact/hooks';
import type { Stage } from '../core/api/schemas.ts';
import { Panel } from './parts.tsx';
import { bytes, duration } from './words.ts';

const signs: Readonly<Record<Stage['state'], string>> = {
  waiting: '○',
  running: '●',
  done: '✓',
  failed: '✕',
  skipped: '–',
};

const percent = (part: number, whole: number): string => `${Math.min(100, (100 * part) / whole).toFixed(2)}%`;

/**
 * When this page has seen stages begin. A worker tells what a phase took when the phase is over, so there are no seconds of the one that
 * runs; one that ran before the page was opened has none here either.
 */
function useBegun(stages: readonly Stage[], at: number): ReadonlyMap<string, number> {
  const begun = useRef(new Map<string, number>());
  const before = useRef(stages);
  if (before.current !== stages) {
    for (const { name, state } of stages) {
      const earlier = before.current.find((stage) => stage.name === name);
      if (state === 'running' && earlier?.state === 'waiting') begun.current.set(name, at);
    }
    before.current = stages;
  }
  return begun.current;
}

/** Stages as bars: what each took, and the time that was expected as a frame behind it. */
export function StagesView({
  stages,
  at,
  sinceFetch,
}: {
  readonly stages: readonly Stage[];
  /** When the stages were told. */
  readonly at: number;
  /** Seconds since the stages were told: what runs has run longer. */
  readonly sinceFetch: number;
}) {
  const begun = useBegun(stages, at);
  const taken = ({ name, state, seconds }: Stage) => {
    if (state !== 'running') return seconds;
    const since = begun.get(name);
    const told = seconds ?? (since === undefined ? null : (at - since) / 1000);
    return told === null ? null : told + sinceFetch;
  };
  const longest = Math.max(
    1,
    ...stages.map((stage) => Math.max(taken(stage) ?? 0, stage.expectedSeconds ?? 0)),
  );
  return (
    <Panel title="Stages">
      {stages.length === 0 ? (
        <p class="awaited">Nothing has begun yet.</p>
      ) : (
        <table class="stages">
          <thead class="unseen">
            <tr>
              <th scope="col">Stage</th>
              <th scope="col">State</th>
              <th scope="col">Time</th>
              <th scope="col">Expected</th>
              <th scope="col">Data</th>
            </tr>
          </thead>
          <tbody>
            {stages.map((stage) => {
              const { name, state, expectedSeconds } = stage;
              const seconds = taken(stage);
              return (
                <tr key={name} class={state}>
                  <th scope="row">
                    <span class="sign" aria-hidden="true">
                      {signs[state]}
                    </span>
                    {name}
                  </th>
                  <td class="bar">
                    <span class="unseen">{state}</span>
                    <span class="track" aria-hidden="true">
                      {expectedSeconds === null ? null : (
                        <span class="expected" style={{ width: percent(expectedSeconds, longest) }} />
                      )}
                      {seconds === null ? null : (
                        <span class="actual" style={{ width: percent(seconds, longest) }} />
                      )}
                    </span>
                  </td>
                  <td class="number">{seconds === null ? '' : duration(seconds)}</td>
                  <td class="number faint">
                    {expectedSeconds === null ? '' : `~ ${duration(expectedSeconds)}`}
                  </td>
                  <td class="number faint data">{stage.bytes ? bytes(stage.bytes) : ''}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
