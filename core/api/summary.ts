import type { BuildRun } from '../ports.ts';
import type { BuildSummary } from './schemas.ts';

/** A build as lists show it. */
export const summaryOf = (run: BuildRun, state: string | null, now: number): BuildSummary => ({
  id: run.name,
  recipe: recipeNameOf(run.name),
  status: run.status,
  startedAt: run.startedAt,
  endedAt: run.endedAt,
  seconds: Math.max(
    0,
    ((run.endedAt === null ? now : Date.parse(run.endedAt)) - Date.parse(run.startedAt)) / 1000,
  ),
  state,
});

/** `web-0861ae9e7de4-2` is of web; who starts executions by hand may call them anything. */
const recipeNameOf = (build: string): string => /^(.+)-[0-9a-f]{12}(?:-.*)?$/.exec(build)?.[1] ?? build;
