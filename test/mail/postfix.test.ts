import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { haveVenv } from '../local/judges/judges.ts';
import { type MailStage, type Relay, startMailStage } from './mail-stage.ts';

// The configuration of the image in a Postfix that is not FreeBSD's, against relays that are not ours.

const starttls = { port: 587, wrapper: false, authority: 'system' } as const;
const relay: Relay = {
  ...starttls,
  name: 'relay',
  certified: 'relay.example.net',
  user: 'relay-user',
  // What texthash:, master.cf or a shell could trip over.
  password: `p4ss "w'ord: #\\$x\${y} {} = %, ÿ`,
};
const ses: Relay = {
  name: 'ses',
  port: 465,
  wrapper: true,
  authority: 'system',
  certified: 'email-smtp.eu-west-1.amazonaws.com',
  user: 'AKIAEXAMPLE',
  password: 'BIWrRxKX+/=',
};
const own: Relay = {
  ...starttls,
  name: 'own',
  port: 2525,
  authority: 'private',
  certified: 'own.example.net',
  user: null,
  password: null,
};
const forged: Relay = {
  ...starttls,
  name: 'forged',
  port: 2526,
  certified: 'somebody-else.example.net',
  user: 'u',
  password: 'p',
};
const unknown: Relay = {
  ...own,
  name: 'unknown',
  port: 2527,
  certified: 'unknown.example.net',
  user: 'u',
  password: 'p',
};
/** Its certificate is one that the system trusts, but the recipe names another authority for it. */
const impostor: Relay = {
  ...own,
  name: 'impostor',
  port: 2528,
  authority: 'system',
  certified: 'impostor.example.net',
};
const relays = [relay, ses, own, forged, unknown, impostor];

const file = { file: true };
const recipe = (authorities: MailStage['authorities']) => ({
  relay: { host: 'relay.example.net', credentials: file },
  routes: {
    ses: {
      ses: 'eu-west-1',
      tls: 'wrapper',
      credentials: file,
      senders: ['@shop.example.org', 'Special@Other.example.org'],
    },
    own: {
      host: 'own.example.net',
      port: 2525,
      caCertificate: authorities.private,
      credentials: { none: true },
      senders: ['@own.example.org', 'vip@shop.example.org'],
    },
    impostor: {
      host: 'impostor.example.net',
      port: 2528,
      caCertificate: authorities.private,
      credentials: { none: true },
      senders: ['@impostor.example.org'],
    },
    forged: { host: 'forged.example.net', port: 2526, credentials: file, senders: ['@forged.example.org'] },
    unknown: {
      host: 'unknown.example.net',
      port: 2527,
      credentials: file,
      senders: ['@unknown.example.org'],
    },
  },
  localSender: 'noreply@shop.example.org',
  rootAlias: 'ops@company.example.com',
});

/** Postfix starts as root only, and with a network and mounts of its own: not in a chroot, and not in every container. */
const namespaces =
  process.getuid?.() === 0 && spawnSync('unshare', ['--mount', '--net', '--uts', 'true']).status === 0;
if (!namespaces) {
  console.error(
    'SKIPPED: only root with namespaces can start Postfix, so no MTA tries the mail configuration.',
  );
}

describe.runIf(namespaces && haveVenv())('Postfix with the configuration of the image', () => {
  let stage: MailStage;
  const delivered = (subject: string) =>
    stage
      .events()
      .filter(({ event, content }) => event === 'message' && content?.includes(`Subject: ${subject}`));
  const arrival = (subject: string) =>
    vi.waitFor(
      () => {
        const found = delivered(subject);
        if (found.length === 0)
          throw new Error(
            `${subject} is nowhere; the last of the queue: ${JSON.stringify(stage.queue().at(-1))}`,
          );
        return found;
      },
      { timeout: 10_000, interval: 200 },
    );
  const waiting = (sender: string) =>
    vi.waitFor(
      () => {
        const found = stage
          .queue()
          .find((mail) => mail.sender === sender && mail.recipients[0]?.delay_reason);
        if (!found)
          throw new Error(`nothing of ${sender} waits, but ${JSON.stringify(stage.queue().at(-1))}`);
        return found.recipients[0]?.delay_reason ?? '';
      },
      { timeout: 10_000, interval: 200 },
    );
  const letter = (subject: string, from: string, to = 'someone@example.com') =>
    stage.send(`From: ${from}\nTo: ${to}\nSubject: ${subject}\n\nbody\n`, '-f', from, to);

  beforeAll(async () => {
    stage = await startMailStage(
      recipe,
      relays,
      relays.map(({ name }) =>
        name === 'ses' ? 'email-smtp.eu-west-1.amazonaws.com' : `${name}.example.net`,
      ),
    );
  });
  afterAll(() => stage?.close());

  test('is accepted without a warning, before there are credentials', () => {
    const said = stage.script('start');
    expect(said).not.toContain('newaliases');
    expect(said).toContain('no credentials for relay forged ses unknown: its mail waits');
    expect(stage.run('sh', '-c', 'postfix check 2>&1')).not.toMatch(/warning|fatal|error/);
    expect(stage.run('sh', '-c', 'postconf -n 2>&1 >/dev/null; postconf -M 2>&1 >/dev/null')).toBe('');
    stage.run('postfix', 'start');
  });

  test('listens on loopback only', () => {
    const listening = stage
      .run('sh', '-c', "ss -Hltn 'sport = 25' | awk '{ print $4 }'")
      .trim()
      .split('\n')
      .sort();
    expect(listening).toEqual(['127.0.0.1:25', '[::1]:25']);
  });

  test('keeps mail while there are no credentials, and speaks to no relay', async () => {
    letter('too early', 'someone@else.example.org');
    letter('as early for ses', 'billing@shop.example.org');
    expect(await waiting('someone@else.example.org')).toMatch(/lookup|unavailable|error/);
    await waiting('billing@shop.example.org');
    expect(stage.events().filter(({ event }) => event === 'mail' || event === 'auth')).toEqual([]);
  });

  test('sends what has waited as soon as credentials are there, over TLS and with them', async () => {
    stage.placeCredentials('relay', `${relay.user}:${relay.password}\n`);
    stage.placeCredentials('ses', `{"username":"AKIAEXAMPLE","password":"BIWrRxKX+\\/="}`);
    stage.placeCredentials('forged', 'u:p');
    stage.placeCredentials('unknown', 'u:p');
    expect(stage.script('refresh')).toBe('');
    expect(await arrival('too early')).toMatchObject([
      { relay: 'relay', user: 'relay-user', tls: true, sender: 'someone@else.example.org' },
    ]);
    expect(await arrival('as early for ses')).toMatchObject([{ relay: 'ses', user: 'AKIAEXAMPLE' }]);
    const mode = (path: string) => statSync(join(stage.directory, path)).mode & 0o7777;
    expect(mode('var/run/foundry-mail')).toBe(0o700);
    expect(mode('var/run/foundry-mail/relay')).toBe(0o600);
    expect(mode('usr/local/etc/foundry/mail-credentials/relay')).toBe(0o600);
  });

  test.each([
    ['a domain', 'anyone@shop.example.org', 'ses', 'AKIAEXAMPLE'],
    ['a domain in capitals', 'Anyone@SHOP.example.org', 'ses', 'AKIAEXAMPLE'],
    ['an address', 'special@other.example.org', 'ses', 'AKIAEXAMPLE'],
    ['another address of its domain', 'plain@other.example.org', 'relay', 'relay-user'],
    ['a subdomain that is not listed', 'a@sub.shop.example.org', 'relay', 'relay-user'],
    ['nobody listed', 'x@company.example.com', 'relay', 'relay-user'],
    ['an address before its domain, without a password', 'vip@shop.example.org', 'own', null],
  ])('chooses the relay by the sender: %s', async (what, from, name, user) => {
    letter(what.replaceAll(' ', '-'), from);
    expect(await arrival(what.replaceAll(' ', '-'))).toMatchObject([
      { relay: name, user, tls: true, sender: from },
    ]);
  });

  test('trusts a private authority for its relay', async () => {
    letter('private authority', 'a@own.example.org');
    expect(await arrival('private authority')).toMatchObject([{ relay: 'own', user: null, tls: true }]);
  });

  test.each([
    ['forged', /not verified|certificate/i],
    ['unknown', /not verified|certificate/i],
    ['impostor', /not verified|certificate/i],
  ])('gives neither mail nor password to a relay with a wrong certificate: %s', async (name, why) => {
    letter(`to ${name}`, `a@${name}.example.org`);
    expect(await waiting(`a@${name}.example.org`)).toMatch(why);
    expect(stage.events().filter((event) => event.relay === name && event.event !== 'ehlo')).toEqual([]);
  });

  test("rewrites the sender of root's mail in envelope and header, and sends it to the alias", async () => {
    // As cron(8) and panicmail do.
    stage.send('From: root (Cron Daemon)\nTo: root\nSubject: cron\n\nbody\n', '-t');
    stage.send(
      'From: Cron Daemon <root@freebsd>\nTo: root@localhost\nSubject: named\n\nbody\n',
      '-t',
      '-f',
      'root@freebsd',
    );
    for (const subject of ['cron', 'named']) {
      const [mail, ...more] = await arrival(subject);
      expect(more).toEqual([]);
      expect(mail).toMatchObject({
        relay: 'ses',
        sender: 'noreply@shop.example.org',
        recipients: ['ops@company.example.com'],
      });
      expect(mail?.content).toMatch(/^From: .*noreply@shop\.example\.org/m);
      expect(mail?.content).not.toMatch(/^(From|Sender|Return-Path):.*root@/m);
    }
  });

  test('keeps mail when the relay refuses the password, and takes a new one without a restart', async () => {
    stage.placeCredentials('relay', 'relay-user:yesterday');
    stage.script('refresh');
    letter('rotated', 'x@company.example.com');
    expect(await waiting('x@company.example.com')).toMatch(/authentication failed/i);
    stage.placeCredentials('relay', `${relay.user}:${relay.password}`);
    stage.script('refresh');
    expect(await arrival('rotated')).toMatchObject([{ relay: 'relay', user: 'relay-user' }]);
  });

  test('keeps its queue over a restart', async () => {
    stage.run('postfix', 'stop');
    stage.run('postfix', 'start');
    expect(
      stage
        .queue()
        .map(({ sender }) => sender)
        .sort(),
    ).toEqual(['a@forged.example.org', 'a@impostor.example.org', 'a@unknown.example.org']);
  });

  test('said nothing in the clear but EHLO', () => {
    expect(stage.events().filter(({ event, tls }) => event !== 'ehlo' && event !== 'ready' && !tls)).toEqual(
      [],
    );
  });
});
