import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod/mini';
import { bodyOf } from '../front/request.ts';

/** SendEmail: a message of 40 MB at most. */
const BODY_LIMIT_BYTES = 40 * 1024 ** 2;

/** A mail that SES has taken. */
export interface SentMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
}

const content = z.strictObject({ Data: z.string(), Charset: z.optional(z.string()) });

/** SendEmail's request, as far as it is taken (Amazon SES API v2 Reference, SendEmail). */
const request = z.strictObject({
  FromEmailAddress: z.string(),
  Destination: z.strictObject({ ToAddresses: z.array(z.string()).check(z.minLength(1), z.maxLength(50)) }),
  Content: z.strictObject({
    Simple: z.strictObject({ Subject: content, Body: z.strictObject({ Text: content }) }),
  }),
});

/**
 * Amazon SES, API version 2: GetEmailIdentity and SendEmail. Identities are verified here by naming them, on AWS by a mail or DNS; the account is
 * out of the sandbox.
 */
export class Ses {
  readonly sent: SentMail[] = [];
  readonly #verified = new Set<string>();

  /** An address or a domain that may send from now on. */
  verify(identity: string): void {
    this.#verified.add(identity.toLowerCase());
  }

  async answer(incoming: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, , , kind = '', name = ''] = url.pathname.split('/');
    if (incoming.method === 'GET' && kind === 'identities' && name !== '') {
      return this.#identity(response, decodeURIComponent(name));
    }
    if (incoming.method === 'POST' && kind === 'outbound-emails') {
      return this.#send(response, (await bodyOf(incoming, BODY_LIMIT_BYTES)).toString('utf8'));
    }
    refuse(
      response,
      400,
      'BadRequestException',
      `the local SES does not emulate ${incoming.method} ${url.pathname}`,
    );
  }

  /** GetEmailIdentity: NotFoundException is HTTP 404. */
  #identity(response: ServerResponse, name: string): void {
    if (!this.#verified.has(name.toLowerCase())) {
      refuse(response, 404, 'NotFoundException', `Email identity <${name}> does not exist.`);
      return;
    }
    say(response, 200, {
      IdentityType: name.includes('@') ? 'EMAIL_ADDRESS' : 'DOMAIN',
      FeedbackForwardingStatus: true,
      VerifiedForSendingStatus: true,
      VerificationStatus: 'SUCCESS',
    });
  }

  #send(response: ServerResponse, body: string): void {
    const asked = request.safeParse(JSON.parse(body));
    if (!asked.success) {
      refuse(response, 400, 'BadRequestException', z.prettifyError(asked.error));
      return;
    }
    const { FromEmailAddress: from, Destination, Content } = asked.data;
    const domain = from.slice(from.indexOf('@') + 1);
    if (![from, domain].some((name) => this.#verified.has(name.toLowerCase()))) {
      // SendEmail, "MessageRejected": the message can't be sent because it contains invalid content, or its sender is not verified.
      refuse(
        response,
        400,
        'MessageRejected',
        `Email address is not verified. The following identities failed the check in region: ${from}`,
      );
      return;
    }
    this.sent.push({
      from,
      to: Destination.ToAddresses,
      subject: Content.Simple.Subject.Data,
      text: Content.Simple.Body.Text.Data,
    });
    say(response, 200, { MessageId: `local-${this.sent.length}` });
  }
}

function say(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(bytes);
}

/** "AWS REST JSON protocol" of Smithy: the name of an error is in this header. */
const refuse = (response: ServerResponse, status: number, name: string, message: string): void =>
  say(response, status, { message }, { 'x-amzn-errortype': name });
