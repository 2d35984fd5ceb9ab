import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { relayMail } from '../../adapters/smtp/relay-mail.ts';
import type { MailRelay } from '../../core/ports.ts';
import { program } from '../local/judges/judges.ts';

/** SMTP servers that are not ours (aiosmtpd), with STARTTLS and with TLS from the first byte; both want a password. */

let directory: string;
let servers: ReturnType<typeof spawn>;
const ports = { starttls: 0, tls: 0 };
const mail = {
  from: 'factory@example.org',
  to: ['a@example.org', 'b@example.org'],
  subject: 'Hello ✓',
  text: 'x\n.\ny\n',
};

const path = (name: string) => join(directory, name);
const events = (): {
  event: string;
  tls?: boolean;
  user?: string;
  recipients?: string[];
  content?: string;
}[] =>
  readFileSync(path('log'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
const messages = () => events().filter(({ event }) => event === 'message');

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'foundry-relay-'));
  const made = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '1'];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...made, '-keyout', path('key'), '-out', path('pem')],
    { stdio: 'ignore' },
  );
  for (const kind of ['starttls', 'tls'] as const) ports[kind] = await freePort();
  const common = { certificate: path('pem'), key: path('key'), user: 'user', password: 'pass:word' };
  writeFileSync(
    path('relays.json'),
    JSON.stringify([
      { ...common, name: 'starttls', port: ports.starttls, wrapper: false },
      { ...common, name: 'tls', port: ports.tls, wrapper: true },
    ]),
  );
  writeFileSync(path('log'), '');
  const relays = new URL('../mail/relays.py', import.meta.url).pathname;
  servers = spawn(program('python3'), [relays, path('relays.json'), path('log')], { stdio: 'ignore' });
  while (!events().some(({ event }) => event === 'ready')) await pause(50);
}, 30_000);

afterAll(() => {
  servers.kill();
  rmSync(directory, { recursive: true });
});

const relayOf = (tls: 'starttls' | 'tls', more: Partial<MailRelay> = {}): MailRelay => ({
  host: 'localhost',
  port: ports[tls],
  tls,
  user: 'user',
  password: 'pass:word',
  ...more,
});

/** In a process that trusts the server's certificate: NODE_EXTRA_CA_CERTS is read at its start only. */
function trusting(relay: MailRelay) {
  const module = new URL('../../adapters/smtp/relay-mail.ts', import.meta.url).href;
  const code = `import { relayMail } from ${JSON.stringify(module)}; await relayMail(${JSON.stringify(relay)}, ${JSON.stringify(mail)});`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: path('pem') },
    encoding: 'utf8',
  });
}

it.each(['starttls', 'tls'] as const)('by %s and with a password a mail arrives as it was', (tls) => {
  const before = messages().length;
  const ended = trusting(relayOf(tls));
  expect(ended.stderr).toBe('');
  const [message, ...others] = messages().slice(before);
  expect(others).toEqual([]);
  expect(message).toMatchObject({ tls: true, user: 'user', recipients: mail.to });
  expect(message?.content).toContain('Subject: =?UTF-8?Q?Hello_=E2=9C=93?=');
  expect(message?.content).toMatch(/\r\n\r\nx\r\n\.\r\ny\r\n/);
});

it.each(['starttls', 'tls'] as const)(
  'by %s a certificate that nobody trusts is refused, before any password',
  async (tls) => {
    const before = events().filter(({ event }) => ['auth', 'message'].includes(event)).length;
    await expect(relayMail(relayOf(tls), mail)).rejects.toThrow(/self-signed certificate/);
    expect(events().filter(({ event }) => ['auth', 'message'].includes(event))).toHaveLength(before);
  },
);

it('a wrong password is an error, which does not tell it', () => {
  const { status, stderr } = trusting(relayOf('tls', { password: 'wrong-1234' }));
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/Invalid login|EAUTH/);
  expect(
    stderr.split('\n').filter((line) => line.includes('wrong-1234') && !line.includes('relayMail(')),
  ).toEqual([]);
});

it('without TLS there is no password for a server that wants it', async () => {
  await expect(relayMail(relayOf('starttls', { tls: 'none' }), mail)).rejects.toThrow();
  expect(events().some(({ event, tls }) => event === 'auth' && tls === false)).toBe(false);
});
