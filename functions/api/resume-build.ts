import { findBuild } from '../../core/api/find-build.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { publishedBy } from '../../core/matrix.ts';
import { nextAttempt } from '../../core/names.ts';
import type { BuildRuns } from '../../core/ports.ts';
import { startAttempt } from '../../core/start-attempts.ts';

interface ResumeBuildDependencies {
  readonly runs: BuildRuns;
  readonly clock: Clock;
}

/**
 * Starts a build that failed, was aborted or timed out once more, with the same input under the next name: it takes over whatever that one
 * left whole. Of one that has succeeded there is nothing to resume: it is the answer. Throws `BuildNotFound`, `BuildRunning` and, when only
 * its matrix could publish what is built, `BuildOfMatrix`.
 */
export const resumeBuild =
  ({ runs, clock }: ResumeBuildDependencies) =>
  async ({ params }: RouteRequest<'resume-build'>): Promise<RouteReply<'resume-build'>> => {
    const { name, status, input } = await findBuild(runs, params.id);
    const matrix = publishedBy(input);
    const answer = { kind: 'build' as const, plan: null };
    if (status === 'RUNNING') {
      throw new FactoryError('BuildRunning', {
        message: `${name} is still running`,
        remedy: 'wait for its end, or stop it: foundry abort.',
      });
    }
    if (matrix !== undefined) {
      throw new FactoryError('BuildOfMatrix', {
        message: `${name} is of ${matrix}, whose images are published together: nobody would publish what it makes by itself`,
        remedy: 'start the matrix again: it takes over what is there.',
      });
    }
    if (status === 'SUCCEEDED') return { status: 200, body: { ...answer, id: name, status, created: false } };
    const names = (attempt: number): string =>
      attempt === 1 ? nextAttempt(name) : nextAttempt(names(attempt - 1));
    const { id, created } = await startAttempt(runs, { names, input, now: clock.now() });
    return { status: created ? 202 : 200, body: { ...answer, id, status: 'RUNNING', created } };
  };
