import { wrongField } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { summaryOf } from '../../core/api/summary.ts';
import { atOnce } from '../../core/at-once.ts';
import type { Clock } from '../../core/clock.ts';
import type { BuildRuns } from '../../core/ports.ts';

interface ListBuildsDependencies {
  readonly runs: BuildRuns;
  readonly clock: Clock;
}

const USUAL_LIMIT = 20;

/** Questions about states of running builds at once: Step Functions answers some hundred a moment. */
const AT_ONCE = 8;

export const listBuilds =
  ({ runs, clock }: ListBuildsDependencies) =>
  async ({ query }: RouteRequest<'list-builds'>): Promise<RouteReply<'list-builds'>> => {
    const { limit = USUAL_LIMIT, status, nextToken: from } = query;
    const page = await runs.list({ status, limit, nextToken: from }).catch((error: unknown) => {
      // A token is all of the question that a caller could get wrong.
      const wrong = error instanceof Error && /^(InvalidToken|ValidationException)$/.test(error.name);
      if (from === undefined || !wrong) throw error;
      throw wrongField('nextToken', 'is not of this list, or too old', 'begin at the first page.');
    });
    const states = await atOnce(AT_ONCE, page.runs, async (run) =>
      run.status === 'RUNNING' ? await runs.currentState(run.name) : null,
    );
    const builds = page.runs.map((run, index) => {
      const state = states[index];
      // What throttling hides is not worth the whole list.
      return summaryOf(run, state?.status === 'fulfilled' ? state.value : null, clock.now());
    });
    return { status: 200, body: { builds, nextToken: page.nextToken } };
  };
