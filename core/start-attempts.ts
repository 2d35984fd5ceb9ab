import { FactoryError } from './errors.ts';
import { publishedBy } from './matrix.ts';
import type { BuildRuns } from './ports.ts';

/** Attempts at one build: a name comes free after 90 days, and who tries more than five times a day should be told. */
const MOST_ATTEMPTS = 500;

/**
 * Names beyond the first free one that are looked at: old attempts are forgotten before young ones, so the names of the first may be free again
 * while a later one runs. Who starts builds each day has more, but a build runs for hours, and its number is near.
 */
const PAST_HOLES = 5;

/** An answer about an execution that began this much earlier than the question is about one that ran already. Milliseconds, for clocks. */
const EARLIER = 1000;

/**
 * Starts a build under the first of its names that is free, or finds the one of them that runs. Step Functions gives a name to one
 * execution only, so two who ask at the same moment get the same build; both may be told that they have started it. One that its matrix
 * publishes with all others is another: by itself it delivers nothing.
 */
export async function startAttempt(
  runs: Pick<BuildRuns, 'start' | 'find'>,
  {
    names,
    input,
    now,
  }: { readonly names: (attempt: number) => string; readonly input: string; readonly now: number },
): Promise<{ readonly id: string; readonly created: boolean }> {
  const isThis = (there: { readonly input: string }) => publishedBy(there.input) === publishedBy(input);
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
    const id = names(attempt);
    const there = await runs.find(id);
    if (there?.status === 'RUNNING' && isThis(there)) return { id, created: false };
    if (there !== undefined) continue;
    const later = await runningAfter(attempt);
    if (later !== undefined) return { id: later, created: false };
    const started = await runs.start(id, input);
    if (started !== 'taken') return { id, created: started.startedAt > now - EARLIER };
    // Somebody was quicker, by the same recipe in other words; what has just begun may not be seen yet (DescribeExecution).
    const taken = await runs.find(id);
    if (taken === undefined || (taken.status === 'RUNNING' && isThis(taken))) return { id, created: false };
  }
  throw new FactoryError('BuildNotFound', {
    message: `${names(1)} has been tried ${MOST_ATTEMPTS} times in 90 days`,
    remedy: 'give the recipe another name.',
  });

  async function runningAfter(free: number): Promise<string | undefined> {
    const later = Array.from({ length: PAST_HOLES }, (_, index) => names(free + 1 + index));
    const found = await Promise.all(later.map((id) => runs.find(id)));
    return later[found.findIndex((run) => run?.status === 'RUNNING' && isThis(run))];
  }
}
