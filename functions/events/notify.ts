import { createHmac } from 'node:crypto';
import * as z from 'zod/mini';
import { FactoryError } from '../../core/errors.ts';
import { type BusEventType, busEventTypes } from '../../core/events.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { type Notice, noticeOf } from '../../core/notice-text.ts';
import type { Mailers, Parameters, Webhooks } from '../../core/ports.ts';

/** From the rule, which has a target for each channel: so that one that fails is tried again, and the other not told twice. */
export const notifyEvent = {
  name: 'notify',
  input: z.object({
    channel: z.enum(['email', 'webhook']),
    event: z.looseObject({
      id: z.string(),
      'detail-type': z.enum(busEventTypes as [BusEventType, ...BusEventType[]]),
      detail: z.record(z.string(), z.unknown()),
    }),
  }),
};

/**
 * SES has not sent the mail, and will not ("SendEmail, Errors", Amazon SES API Reference, version 2). Of anything else, such as an answer that
 * never came, it may have: then the relay would tell it twice.
 */
const refusals = [
  'AccessDeniedException',
  'AccountSuspendedException',
  'MailFromDomainNotVerifiedException',
  'MessageRejected',
  'SendingPausedException',
];

interface NotifyDependencies {
  readonly mailers: Mailers;
  readonly webhooks: Webhooks;
  /** With decryption. */
  readonly secrets: Parameters;
  /** Writes one structured line. */
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly settings: z.output<(typeof functionEnvironment)['notify']>;
}

/** Tells people of an event of the bus. Whatever does not arrive is an error: Lambda tries twice more. */
export const notify =
  ({ mailers, webhooks, secrets, log, settings }: NotifyDependencies) =>
  async ({ channel, event }: z.output<typeof notifyEvent.input>): Promise<{ by: string | null }> => {
    async function secret(parameter: string): Promise<string> {
      const value = await secrets.get(parameter);
      if (value !== undefined) return value;
      throw new FactoryError('ConfigurationError', {
        message: `SSM parameter ${parameter}, which has the secret of the ${channel}, does not exist in this region`,
        remedy: 'make it, as a SecureString with the default key (infra/README.md, Notices).',
      });
    }

    async function byRelay(from: string, to: readonly string[], notice: Notice): Promise<string> {
      const { RELAY_HOST: host, RELAY_PORT: port = 587, RELAY_TLS: tls = 'starttls' } = settings;
      if (host === undefined) {
        throw new FactoryError('NoticeUndelivered', {
          message: `neither ${from} nor its domain is a verified identity of SES in this region, and the deployment names no relay`,
          remedy: 'verify one of them (aws sesv2 create-email-identity), or deploy with notifyRelay.',
        });
      }
      const name = settings.RELAY_SECRET_PARAMETER;
      const [user = '', ...password] = name === undefined ? [] : (await secret(name)).split(':');
      const refused = await mailers.relay(
        { host, port, tls, ...(name === undefined ? {} : { user, password: password.join(':') }) },
        { from, to, ...notice },
      );
      // Not an error: Lambda would try again, and those who have it would get it again.
      if (refused.length > 0) log('the relay refused recipients of a notice', { host, refused });
      return `the relay ${host}`;
    }

    async function mail(): Promise<string | null> {
      const { MAIL_FROM: from, MAIL_TO: to } = settings;
      if (from === undefined || to === undefined) return null;
      const notice = noticeOf({ type: event['detail-type'], detail: event.detail });
      if (!(await mailers.sesVerified(from))) return await byRelay(from, to, notice);
      try {
        await mailers.ses({ from, to, ...notice });
        return 'SES';
      } catch (error) {
        // An account in the sandbox of SES may send to verified addresses only; one may also be suspended.
        if (settings.RELAY_HOST === undefined || !(error instanceof Error)) throw error;
        if (!refusals.includes(error.name)) throw error;
        log('SES refused a notice', { code: error.name, reason: error.message });
        return await byRelay(from, to, notice);
      }
    }

    async function post(): Promise<string | null> {
      const { WEBHOOK_URL: url, WEBHOOK_SECRET_PARAMETER: name } = settings;
      if (url === undefined || name === undefined) return null;
      const body = JSON.stringify(event);
      const signature = createHmac('sha256', await secret(name))
        .update(body)
        .digest('hex');
      await webhooks.post(url, body, {
        'content-type': 'application/json',
        'x-ami-foundry-event': event['detail-type'],
        'x-ami-foundry-delivery': event.id,
        'x-ami-foundry-signature': `sha256=${signature}`,
      });
      return 'the webhook';
    }

    const by = channel === 'email' ? await mail() : await post();
    log(by === null ? 'nobody to tell' : 'told', { channel, event: event['detail-type'], id: event.id, by });
    return { by };
  };
