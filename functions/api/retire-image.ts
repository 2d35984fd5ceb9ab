import * as z from 'zod/mini';
import { namedFailure, Refusal } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import { FactoryError } from '../../core/errors.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import type { Functions } from '../../core/ports.ts';

interface RetireImageDependencies {
  readonly functions: Functions;
  readonly settings: z.output<(typeof functionEnvironment)['retire-image']>;
}

/** What retention answers to {"retire": …, "explain": true}. */
const answer = z.object({
  dryRun: z.boolean(),
  byHand: z.object({
    members: z.array(z.object({ region: z.string(), imageId: z.string() })),
    users: z.array(z.string()),
    undo: z.string(),
  }),
});

/** API Gateway gives up after 30 s; an account with thousands of launch templates takes retention longer, which goes on then. */
const PATIENCE_MILLISECONDS = 25_000;

/** Has retention do it, which alone may: this function has the right to call it and no other. */
export const retireImage =
  ({ functions, settings }: RetireImageDependencies) =>
  async ({ params: { imageId } }: RouteRequest<'retire-image'>): Promise<RouteReply<'retire-image'>> => {
    const { dryRun, byHand } = answer.parse(await retired());
    const { members, users, undo } = byHand;
    const reason = users.join('; ') || (dryRun ? 'retention of this factory is a dry run' : '');
    return {
      status: 200,
      body:
        reason === ''
          ? { imageId, quarantined: members, kept: [], undo }
          : { imageId, quarantined: [], kept: members.map((one) => ({ ...one, reason })), undo: '' },
    };

    async function retired(): Promise<unknown> {
      const event = { retire: imageId, explain: true };
      try {
        return await functions.invoke(settings.RETENTION_FUNCTION, event, PATIENCE_MILLISECONDS);
      } catch (error) {
        if (error instanceof Error && error.name === 'TimeoutError') {
          throw new Refusal(
            'ApiBusy',
            {
              message: `retention takes longer than ${PATIENCE_MILLISECONDS / 1000} s, and goes on with ${imageId}`,
              remedy: 'see in some minutes whether it was put away: foundry images. Do not ask again before.',
            },
            { status: 503, cause: error },
          );
        }
        const failure = error instanceof Error ? namedFailure(error.name, error.message) : undefined;
        throw failure === undefined ? error : new FactoryError(failure.code, failure, { cause: error });
      }
    }
  };
