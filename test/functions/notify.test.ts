import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, expect, it } from 'vitest';
import { httpWebhooks } from '../../adapters/web/webhooks.ts';
import type { Mail, MailRelay } from '../../core/ports.ts';
import { exampleEvents } from '../../docs/example-events.ts';
import { notify } from '../../functions/events/notify.ts';

const event = {
  version: '0',
  id: '7bf73129-1428-4cd3-a780-95db273d1602',
  source: 'ami-foundry',
  'detail-type': 'Build Failed' as const,
  detail: { ...exampleEvents['Build Failed'] },
};
const settings = { MAIL_FROM: 'factory@example.org', MAIL_TO: ['a@example.org'] };

let verified: boolean;
let refusal: Error | undefined;
let refused: string[];
let sent: { by: string; mail: Mail; relay?: MailRelay }[];
let logged: string[];
beforeEach(() => {
  verified = true;
  refusal = undefined;
  refused = [];
  sent = [];
  logged = [];
});

const tell = (more: Record<string, unknown> = {}, channel: 'email' | 'webhook' = 'email') =>
  notify({
    mailers: {
      sesVerified: async () => verified,
      ses: async (mail) => {
        if (refusal) throw refusal;
        sent.push({ by: 'ses', mail });
      },
      relay: async (relay, mail) => {
        sent.push({ by: 'relay', mail, relay });
        return refused;
      },
    },
    webhooks: httpWebhooks,
    secrets: { get: async (name) => (name === '/there' ? 'user:pass:word' : undefined) },
    log: (message, fields) => logged.push(JSON.stringify({ message, ...fields })),
    settings: { ...settings, ...more } as Parameters<typeof notify>[0]['settings'],
  })({ channel, event });

describe('a mail', () => {
  it('goes by SES when the sender is verified, and says what decided and what comes next', async () => {
    await tell();
    expect(sent).toMatchObject([{ by: 'ses', mail: { from: settings.MAIL_FROM, to: settings.MAIL_TO } }]);
    const { subject = '', text = '' } = sent[0]?.mail ?? {};
    expect(subject).toContain('BootPanicked');
    for (const word of [
      'panic: vm_fault failed',
      'foundry resume arn:',
      'docs/runbook.md#bootpanicked',
      '$0.0147',
    ]) {
      expect(text).toContain(word);
    }
  });

  it('goes by the relay when he is not, with user and password', async () => {
    verified = false;
    await tell({ RELAY_HOST: 'relay', RELAY_PORT: 465, RELAY_TLS: 'tls', RELAY_SECRET_PARAMETER: '/there' });
    expect(sent).toMatchObject([
      { by: 'relay', relay: { host: 'relay', port: 465, tls: 'tls', user: 'user', password: 'pass:word' } },
    ]);
    expect(logged.join()).not.toContain('word');
  });

  it('goes by the relay when SES refuses it, and the log says why', async () => {
    refusal = Object.assign(new Error('sandbox'), { name: 'MessageRejected' });
    await tell({ RELAY_HOST: 'relay' });
    expect(sent).toMatchObject([{ by: 'relay', relay: { port: 587, tls: 'starttls' } }]);
    expect(logged.join()).toContain('MessageRejected');
  });

  it('that SES may have sent goes by no other way: Lambda tries again', async () => {
    for (const name of ['TypeError', 'HTTP500', 'InternalFailure']) {
      refusal = Object.assign(new Error('the connection broke'), { name });
      await expect(tell({ RELAY_HOST: 'relay' })).rejects.toThrow('the connection broke');
    }
    expect(sent).toEqual([]);
  });

  it('that the relay took for some only is told, and the log names the others', async () => {
    verified = false;
    refused = ['gone@example.org'];
    expect(await tell({ RELAY_HOST: 'relay' })).toEqual({ by: 'the relay relay' });
    expect(logged.join()).toContain('"refused":["gone@example.org"]');
  });

  it('without any way is an error', async () => {
    verified = false;
    await expect(tell()).rejects.toMatchObject({ name: 'NoticeUndelivered' });
    refusal = Object.assign(new Error('sandbox'), { name: 'MessageRejected' });
    verified = true;
    await expect(tell()).rejects.toThrow('sandbox');
    await expect(tell({ RELAY_HOST: 'relay', RELAY_SECRET_PARAMETER: '/gone' })).rejects.toMatchObject({
      name: 'ConfigurationError',
    });
  });

  it('that nobody wants is none', async () => {
    expect(await tell({ MAIL_TO: undefined })).toEqual({ by: null });
    expect(sent).toEqual([]);
  });
});

describe('a webhook', () => {
  const post = (url: string) => tell({ WEBHOOK_URL: url, WEBHOOK_SECRET_PARAMETER: '/there' }, 'webhook');
  /** What a server that answers so has been asked for. */
  async function against(
    answer: { status: number; location?: string },
    path = '/',
  ): Promise<[string[], unknown]> {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      const { status, location } = answer;
      response.writeHead(status, location === undefined ? {} : { location }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
    const outcome: unknown = await post(url).catch((error: unknown) => error);
    await new Promise((resolve) => server.close(resolve));
    return [asked, outcome];
  }

  it('that answers 2xx has heard of it', async () => {
    expect(await against({ status: 204 })).toEqual([['/'], { by: 'the webhook' }]);
  });

  it.each([400, 429, 500])('that answers %d has not', async (status) => {
    const [, outcome] = await against({ status });
    expect(outcome).toMatchObject({
      name: 'NoticeUndelivered',
      message: expect.stringContaining(`${status}`),
    });
  });

  it('is not followed elsewhere', async () => {
    const [asked, outcome] = await against({ status: 307, location: '/elsewhere' });
    expect(asked).toEqual(['/']);
    expect(outcome).toMatchObject({ message: expect.stringContaining('redirections are not followed') });
  });

  it('that is not there is an error, which does not tell what the URL hides', async () => {
    const outcome = await post('http://127.0.0.1:9/token-1234').catch((error: unknown) => error);
    expect(outcome).toMatchObject({ name: 'NoticeUndelivered' });
    expect(String(outcome)).not.toContain('token-1234');
  });
});
