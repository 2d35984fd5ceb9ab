import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mailParts, mailProblem, mailSchema } from '../../core/mail.ts';

const credentials = { ssm: '/mail/relay' };
const least = { relay: { host: 'smtp.example.net', credentials }, localSender: 'noreply@example.org' };
const full = {
  relay: { host: 'smtp.example.net', credentials },
  routes: {
    ses: {
      ses: 'eu-west-1',
      tls: 'wrapper',
      credentials: { secret: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:ses-AbCdEf' },
      senders: ['@shop.example.org', 'news@example.org'],
    },
    inside: {
      host: 'mail.corp.example.org',
      port: 2525,
      credentials: { none: true },
      senders: ['@corp.example.org'],
    },
    agency: { host: 'mx.agency.example', credentials: { file: true }, senders: ['press@example.org'] },
  },
  localSender: 'noreply@shop.example.org',
  rootAlias: 'ops@example.com',
  messageSize: 10,
};

const parts = (recipe: object) => mailParts(mailSchema.parse(recipe));
const contents = (recipe: object) =>
  new Map(
    (parts(recipe).files ?? []).map(({ path, source }) => [path, 'content' in source ? source.content : '']),
  );
const problems = (recipe: object) =>
  mailSchema.safeParse(recipe).error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`) ?? [];
const relay = (change: object) => problems({ ...least, relay: { ...least.relay, ...change } });

describe('the files of a recipe with four relays', () => {
  const golden = {
    '/usr/local/etc/postfix/main.cf': 'main.cf',
    '/usr/local/etc/postfix/master.cf': 'master.cf',
    '/usr/local/etc/postfix/foundry-senders': 'foundry-senders',
    '/usr/local/etc/foundry/mail-routes': 'mail-routes',
    '/usr/local/etc/mail/mailer.conf': 'mailer.conf',
    '/etc/cron.d/foundry-mail': 'cron',
  };
  test.each(Object.entries(golden))('%s', async (path, name) => {
    await expect(contents(full).get(path)).toMatchFileSnapshot(`fixtures/mail/${name}`);
  });

  test('belong to root, and none can be written by others', () => {
    for (const { owner, group, mode } of parts(full).files ?? []) {
      expect([owner, group]).toEqual(['root', 'wheel']);
      expect(mode).toMatch(/^0(644|755)$/);
    }
  });
});

test('turns sendmail off and Postfix on', () => {
  expect(Object.fromEntries((parts(least).rcConf ?? []).map(({ key, value }) => [key, value]))).toEqual({
    postfix_enable: 'YES',
    foundry_mail_enable: 'YES',
    sendmail_enable: 'NO',
    sendmail_submit_enable: 'NO',
    sendmail_outbound_enable: 'NO',
    sendmail_msp_queue_enable: 'NO',
  });
  expect(parts(least).packages).toEqual(['postfix-sasl', 'curl']);
});

test("sends root's mail to the alias, and leaves aliases alone without one", () => {
  const aliases = (recipe: object) => parts(recipe).edits?.find(({ path }) => path === '/etc/mail/aliases');
  expect(aliases(full)).toMatchObject({ comment: 'root:', last: 'root: ops@example.com\n' });
  expect(aliases(least)).toBeUndefined();
});

describe('refuses, and says why', () => {
  test.each([
    ['port 25', relay({ port: 25 }), /relay\.port must not be 25: EC2 blocks it/],
    [
      'an SES port that is not one',
      relay({ host: undefined, ses: 'eu-west-1', port: 2525 }),
      /as SES has it/,
    ],
    [
      'an SES port of the other kind',
      relay({ host: undefined, ses: 'eu-west-1', tls: 'wrapper', port: 587 }),
      /465 or 2465/,
    ],
    ['two hosts', relay({ ses: 'eu-west-1' }), /exactly one of host, ses/],
    ['no host', relay({ host: undefined }), /exactly one of host, ses/],
    [
      'an address as host: no certificate is for it',
      relay({ host: '10.0.0.5' }),
      /relay\.host must be the host name/,
    ],
    [
      'a password in the recipe',
      relay({ credentials: { user: 'x', password: 'y' } }),
      /Unrecognized|exactly one/i,
    ],
    ['credentials from nowhere', relay({ credentials: {} }), /exactly one of ssm, secret, file, none/],
    ['credentials from two places', relay({ credentials: { ssm: '/a', file: true } }), /exactly one/],
    [
      'a region without AWS',
      relay({ credentials: { file: true, region: 'eu-west-1' } }),
      /only with ssm or secret/,
    ],
    ['a certificate that is none', relay({ caCertificate: 'nonsense' }), /certificate of an authority/],
    ['no sender for the instance', problems({ relay: least.relay }), /localSender/],
    [
      'a sender twice',
      problems({
        ...least,
        routes: {
          a: { ...least.relay, senders: ['@X.example.org'] },
          b: { ...least.relay, senders: ['@x.example.org'] },
        },
      }),
      /must not have a sender twice/,
    ],
    [
      'a route called relay',
      problems({ ...least, routes: { relay: { ...least.relay, senders: ['@x.example.org'] } } }),
      /everything else/,
    ],
    [
      'a route with an odd name',
      problems({ ...least, routes: { 'a b': { ...least.relay, senders: ['@x.example.org'] } } }),
      /small letters and digits/,
    ],
  ])('%s', (_, found, why) => {
    expect(found.join('\n')).toMatch(why);
  });

  test('addresses at the instance itself, where the mail would stay', () => {
    const mail = mailSchema.parse({ ...least, rootAlias: 'ops@Example.com' });
    expect(mailProblem({ mail, hostname: 'example.COM' })).toMatchObject({ path: ['mail', 'rootAlias'] });
    expect(mailProblem({ mail, hostname: 'example.org' })).toMatchObject({ path: ['mail', 'localSender'] });
    expect(mailProblem({ mail, hostname: 'web' })).toBeUndefined();
    expect(mailProblem({ hostname: 'web' })).toBeUndefined();
  });
});

describe('no value can say more than itself', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc
      .array(
        fc.constantFrom(
          'a',
          'B',
          '1',
          '.',
          '@',
          '-',
          '+',
          '_',
          '=',
          '\n',
          '\r',
          ' ',
          '\t',
          '#',
          '$',
          '{',
          '}',
          '%',
          '!',
          '"',
          '\\',
          ':',
          ',',
        ),
        { maxLength: 30 },
      )
      .map((characters) => characters.join('')),
    fc.stringMatching(/^[\w.+=-]{1,20}@[a-z0-9-]{1,10}\.example$/),
    fc.stringMatching(/^@?[a-z0-9-]{1,10}\.example$/),
  );
  /** Every file and edit, without what a recipe may say freely. */
  const shape = (recipe: object) => {
    const { files = [], edits = [] } = parts(recipe);
    return [
      ...files.map(
        ({ path, source }) => `${path} ${'content' in source ? source.content.split('\n').length : 0}`,
      ),
      ...edits.map(({ path, last }) => `${path} ${last.split('\n').length}`),
    ];
  };

  test.each([
    [
      'sender',
      (value: string) => ({
        ...full,
        routes: { ...full.routes, agency: { ...full.routes.agency, senders: [value] } },
      }),
      '/usr/local/etc/postfix/foundry-senders',
      (value: string) => `${value} route_agency:[mx.agency.example]:587`,
    ],
    [
      'localSender',
      (value: string) => ({ ...full, localSender: value }),
      '/usr/local/etc/postfix/main.cf',
      (value: string) =>
        `sender_canonical_maps = inline:{ { @$myhostname = ${value} }, { @localhost.$mydomain = ${value} }, { @localhost = ${value} } }`,
    ],
    [
      'host',
      (value: string) => ({ ...full, relay: { ...full.relay, host: value } }),
      '/usr/local/etc/postfix/main.cf',
      (value: string) => `default_transport = route_relay:[${value}]:587`,
    ],
    [
      'parameter',
      (value: string) => ({ ...full, relay: { ...full.relay, credentials: { ssm: value } } }),
      '/usr/local/etc/foundry/mail-routes',
      (value: string) => `relay [smtp.example.net]:587 ssm ${value} -`,
    ],
    [
      'secret',
      (value: string) => ({ ...full, relay: { ...full.relay, credentials: { secret: value } } }),
      '/usr/local/etc/foundry/mail-routes',
      (value: string) => `relay [smtp.example.net]:587 secret ${value} -`,
    ],
  ])('%s: refused, or byte for byte on one line of its own', (_, recipe, path, line) => {
    let taken = 0;
    fc.assert(
      fc.property(nasty, (value) => {
        if (!mailSchema.safeParse(recipe(value)).success) return;
        taken += 1;
        expect(value).toMatch(/^[!-~]+$/);
        expect(contents(recipe(value)).get(path)?.split('\n')).toContain(line(value));
        expect(shape(recipe(value))).toEqual(shape(full));
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(0);
  });

  test('rootAlias: refused, or one line of aliases', () => {
    fc.assert(
      fc.property(nasty, (rootAlias) => {
        if (!mailSchema.safeParse({ ...full, rootAlias }).success) return;
        const edit = parts({ ...full, rootAlias }).edits?.find(({ path }) => path === '/etc/mail/aliases');
        expect(edit?.last).toBe(`root: ${rootAlias}\n`);
        expect(rootAlias).toMatch(/^[A-Za-z0-9_+=.@-]+$/);
      }),
      { numRuns: 2000 },
    );
  });
});

test('a private authority goes into the image as it is, and is the only one for its relay', () => {
  const directory = mkdtempSync(join(tmpdir(), 'foundry-authority-'));
  try {
    const file = join(directory, 'ca.pem');
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        join(directory, 'key'),
        '-subj',
        '/CN=a',
        '-out',
        file,
      ],
      { stdio: 'ignore' },
    );
    const caCertificate = readFileSync(file, 'utf8');
    const found = contents({ ...least, relay: { ...least.relay, caCertificate } });
    expect(found.get('/usr/local/etc/postfix/foundry-ca-relay.pem')).toBe(caCertificate);
    expect(found.get('/usr/local/etc/postfix/master.cf')).toContain(
      '  -o smtp_tls_CAfile=/usr/local/etc/postfix/foundry-ca-relay.pem\n  -o smtp_tls_CApath=\n',
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
