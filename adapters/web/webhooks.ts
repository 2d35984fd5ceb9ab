import { FactoryError } from '../../core/errors.ts';
import type { Webhooks } from '../../core/ports.ts';

const PATIENCE_MILLISECONDS = 10_000;

/** Only where the deployment says: an answer that points elsewhere, such as to a private address, is not followed. */
export const httpWebhooks: Webhooks = {
  async post(url, body, headers) {
    const { origin } = new URL(url);
    const undelivered = (what: string, cause?: unknown) =>
      new FactoryError(
        'NoticeUndelivered',
        {
          message: `the webhook at ${origin} ${what}`,
          remedy: 'see its own log: Lambda tries twice more, then the event is lost for it.',
        },
        { cause },
      );
    let response: Response;
    try {
      response = await fetch(url, {
        method: 'POST',
        body,
        headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
      });
      // The body is nobody's concern, but the connection is to come free.
      await response.body?.cancel();
    } catch (error) {
      const why =
        error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : '';
      throw undelivered(`did not answer: ${why}`, error);
    }
    if (response.ok) return;
    const redirected = response.status >= 300 && response.status < 400;
    throw undelivered(
      `answered ${response.status}${redirected ? ', and redirections are not followed' : ''}`,
    );
  },
};
