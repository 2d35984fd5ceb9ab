import * as z from 'zod/mini';
import type { Mail } from '../../core/ports.ts';
import { endpointSuffix, signingClient } from './signing-client.ts';

const identity = z.object({ VerifiedForSendingStatus: z._default(z.boolean(), false) });
const problem = z.object({ message: z.optional(z.string()) });

/** Amazon SES, API version 2, by aws4fetch: two plain requests. */
export function sesMail(environment: NodeJS.ProcessEnv, region: string) {
  const client = signingClient(environment, { service: 'ses', region, retries: 3 });
  const base = environment.AWS_ENDPOINT_URL || `https://email.${region}.${endpointSuffix(region)}`;

  async function request(operation: string, path: string, init: RequestInit): Promise<unknown> {
    const response = await client.fetch(`${base.replace(/\/+$/, '')}/v2/email/${path}`, init);
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    // `x-amzn-ErrorType: NotFoundException:http://…` ("AWS REST JSON protocol" of Smithy, "Operation error serialization").
    const name = (response.headers.get('x-amzn-errortype') ?? '').split(':')[0] || `HTTP${response.status}`;
    const told = text.startsWith('{') ? problem.safeParse(JSON.parse(text)).data?.message : undefined;
    throw Object.assign(new Error(`${operation} in ${region}: ${told ?? `HTTP ${response.status}`}`), {
      name,
    });
  }

  const isVerified = async (name: string): Promise<boolean> => {
    try {
      const answer = await request('GetEmailIdentity', `identities/${encodeURIComponent(name)}`, {});
      return identity.parse(answer).VerifiedForSendingStatus;
    } catch (error) {
      if (error instanceof Error && error.name === 'NotFoundException') return false;
      throw error;
    }
  };

  return {
    /** Whether the address itself, or its domain, may send ("Verified identities", Amazon SES Developer Guide). */
    verified: async (address: string): Promise<boolean> =>
      (await isVerified(address)) || (await isVerified(address.slice(address.indexOf('@') + 1))),

    send: async ({ from, to, subject, text }: Mail): Promise<void> => {
      const content = (data: string) => ({ Data: data, Charset: 'UTF-8' });
      await request('SendEmail', 'outbound-emails', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          FromEmailAddress: from,
          Destination: { ToAddresses: to },
          Content: { Simple: { Subject: content(subject), Body: { Text: content(text) } } },
        }),
      });
    },
  };
}
