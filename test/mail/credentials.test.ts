import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mailParts, mailSchema } from '../../core/mail.ts';
import { mailScript } from '../../core/mail-script.ts';
import { type AwsStage, parameter, refusal, secret, startAws } from './aws-stage.ts';
import { layFiles } from './image-files.ts';

// rc.d/foundry_mail of the image, against AWS as an instance sees it; the signatures are judged by test/adapters/signature-v4.ts.

let directory: string;
let aws: AwsStage;
const path = (name: string) => join(directory, name);
const logged = () => (existsSync(path('log')) ? readFileSync(path('log'), 'utf8') : '');
const map = (route: string) => path(`var/run/foundry-mail/${route}`);

const host = 'relay.example.net';
const routes = {
  secret: { host, credentials: { secret: 'mail/ses' }, senders: ['@a.example.org'] },
  far: {
    host,
    tls: 'wrapper',
    credentials: { secret: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:mail-AbCdEf' },
    senders: ['@b.example.org'],
  },
  open: { host: 'open.example.net', credentials: { none: true }, senders: ['@c.example.org'] },
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'foundry-credentials-'));
  aws = await startAws();
  mkdirSync(path('bin'));
  for (const name of ['logger', 'newaliases', 'postfix', 'postqueue', 'certctl']) {
    writeFileSync(path(`bin/${name}`), `#!/bin/sh\necho "${name} $*" >>"${directory}/log"\n`);
    chmodSync(path(`bin/${name}`), 0o755);
  }
  mkdirSync(path('etc'));
  writeFileSync(path('etc/rc.subr'), readFileSync(fileURLToPath(new URL('rc.subr', import.meta.url))));
  mkdirSync(path('var/run'), { recursive: true });
});
afterEach(() => {
  aws.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Lays the image's files for these routes, with our programs first in the script's PATH. */
function prepare(more: object = {}, relay: object = { ssm: '/mail/relay' }): void {
  const parts = mailParts(
    mailSchema.parse({ relay: { host, credentials: relay }, routes: more, localSender: 'a@example.org' }),
  );
  layFiles(parts, directory);
  const script = path('usr/local/etc/rc.d/foundry_mail');
  writeFileSync(script, readFileSync(script, 'utf8').replace('PATH="/sbin', `PATH="${directory}/bin:/sbin`));
  writeFileSync(
    path('rc.conf'),
    [
      'foundry_mail_enable="YES"',
      'foundry_mail_tries=2',
      `foundry_mail_imds="${aws.url}"`,
      `foundry_mail_ssm_endpoint="${aws.url}"`,
      `foundry_mail_secretsmanager_endpoint="${aws.url}"`,
    ].join('\n'),
  );
}

const run = (command: string, shell: readonly string[] = ['dash']): Promise<string> =>
  new Promise((resolve, reject) => {
    const [program = '', ...first] = shell;
    execFile(
      program,
      [...first, path('usr/local/etc/rc.d/foundry_mail'), command],
      { env: { RC_CONF: path('rc.conf') }, timeout: 25_000 },
      (error, stdout, stderr) => (error ? reject(error) : resolve(stdout + stderr)),
    );
  });

const relayAnswer = (value: string) =>
  aws.answers.set('AmazonSSM.GetParameter /mail/relay', parameter(value));
const secretAnswer = (name: string, text: string) =>
  aws.answers.set(`secretsmanager.GetSecretValue ${name}`, secret(text));

test('shellcheck has nothing to say about the script', () => {
  expect(
    execFileSync('shellcheck', ['-s', 'sh', '-S', 'style', '-'], { input: mailScript, encoding: 'utf8' }),
  ).toBe('');
});

const shells = [
  ['dash', 'mawk'],
  ['busybox ash', 'busybox'],
  ['dash', 'original-awk'],
  ['dash', 'gawk'],
] as const;

describe.each(shells)('under %s with %s as awk', (shell, awk) => {
  test('each route gets its line, byte for byte, in a file for root alone', async () => {
    prepare(routes);
    const found = execFileSync('sh', ['-c', 'command -v "$1"', 'sh', awk], { encoding: 'utf8' }).trim();
    symlinkSync(found, path('bin/awk'));
    const password = `a"b\\c/d'e $HOME \`id\` %s #é\u2028:{}`;
    relayAnswer(`user@example.org:${password}`);
    secretAnswer('mail/ses', 'AKIA:BIW+/=\n');
    secretAnswer(
      routes.far.credentials.secret,
      JSON.stringify({ host, password: 'p:\u007e"\\', username: 'far' }),
    );
    const printed = await run('start', shell.split(' '));
    expect(readFileSync(map('relay'), 'utf8')).toBe(`[${host}]:587 user@example.org:${password}\n`);
    expect(readFileSync(map('secret'), 'utf8')).toBe(`[${host}]:587 AKIA:BIW+/=\n`);
    expect(readFileSync(map('far'), 'utf8')).toBe(`[${host}]:465 far:p:~"\\\n`);
    expect(existsSync(map('open'))).toBe(false);
    expect(statSync(map('relay')).mode & 0o777).toBe(0o600);
    expect(statSync(path('var/run/foundry-mail')).mode & 0o777).toBe(0o700);
    expect(aws.calls.map(({ name, verdict }) => [name, verdict.scope.split('/').slice(1).join('/')])).toEqual(
      [
        ['/mail/relay', 'eu-west-1/ssm/aws4_request'],
        [routes.far.credentials.secret, 'us-east-1/secretsmanager/aws4_request'],
        ['mail/ses', 'eu-west-1/secretsmanager/aws4_request'],
      ],
    );
    // The session token is part of what is signed, as IAM asks.
    for (const { verdict } of aws.calls) expect(verdict.signedHeaders).toContain('x-amz-security-token');
    const public_ = printed + logged() + [...aws.commandLines].join('\n');
    expect([...aws.commandLines].some((line) => line.includes('curl'))).toBe(true);
    for (const word of [
      password,
      'BIW+',
      aws.role.secretAccessKey,
      aws.role.token,
      'imds-token',
      aws.role.accessKeyId,
    ]) {
      expect(public_).not.toContain(word);
    }
  });
});

test('tries again when the role is not there yet', async () => {
  prepare();
  relayAnswer('u:p');
  aws.sleepy = 1;
  expect(await run('start')).toBe(
    'foundry_mail: the instance metadata service does not answer\nfoundry_mail: credentials for relay are in place\n',
  );
});

test("gives up at boot without stopping it, and says why in AWS's words", async () => {
  prepare();
  aws.answers.set(
    'AmazonSSM.GetParameter /mail/relay',
    refusal(
      'AccessDeniedException',
      'User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ssm:GetParameter',
    ),
  );
  const printed = await run('start');
  expect(printed).toContain(
    'ssm refuses /mail/relay: AccessDeniedException User: arn:aws:sts::1:assumed-role/x is not',
  );
  expect(printed).toContain('no credentials for relay: its mail waits, and cron tries again');
  expect(existsSync(map('relay'))).toBe(false);
});

test.each([
  ['no colon', 'justatoken'],
  ['two lines', 'user:pass\n[evil.example.org]:587 x:y'],
  ['a carriage return', 'user:pa\rss'],
  ['a blank at the end, which Postfix would cut', 'user:pass '],
  ['a blank at the beginning, which would continue the line before', ' user:pass'],
  ['no user', ':pass'],
  ['no password', 'user:'],
  ['JSON without a password', '{"username":"SENTINEL"}'],
  ['a colon in the user name', '{"username":"SENT:INEL","password":"x"}'],
])('refuses credentials with %s, without showing them', async (_, value) => {
  prepare();
  writeFileSync(path('rc.conf'), '\nfoundry_mail_tries=1\n', { flag: 'a' });
  relayAnswer(value);
  const printed = await run('start');
  expect(existsSync(map('relay'))).toBe(false);
  expect(printed).toMatch(/credentials for relay|JSON for relay|user name for relay/);
  for (const word of ['justatoken', 'pass ', 'evil', 'SENTINEL', 'INEL'])
    expect(printed + logged()).not.toContain(word);
});

describe('refresh', () => {
  test('is silent, and tells Postfix only what is new', async () => {
    prepare();
    relayAnswer('u:one');
    await run('start');
    writeFileSync(path('log'), '');
    expect(await run('refresh')).toBe('');
    expect(logged()).toBe('');
    relayAnswer('u:two');
    expect(await run('refresh')).toBe('');
    expect(readFileSync(map('relay'), 'utf8')).toContain('u:two');
    expect(logged()).toMatch(/^logger .*in place\npostfix status\npostfix reload\npostqueue -f\n$/);
  });

  test('keeps what worked when AWS does not answer', async () => {
    prepare();
    relayAnswer('u:one');
    await run('start');
    aws.answers.clear();
    await run('refresh');
    expect(readFileSync(map('relay'), 'utf8')).toContain('u:one');
    expect(logged()).toContain('ParameterNotFound');
  });
});

test('a file of user-data is taken without any call, and closed to others', async () => {
  prepare({}, { file: true });
  const placed = path('usr/local/etc/foundry/mail-credentials/relay');
  writeFileSync(placed, 'user:from user-data\n', { mode: 0o644 });
  await run('start');
  expect(readFileSync(map('relay'), 'utf8')).toBe(`[${host}]:587 user:from user-data\n`);
  expect(statSync(placed).mode & 0o777).toBe(0o600);
  expect(aws.commandLines.size).toBe(0);
});
