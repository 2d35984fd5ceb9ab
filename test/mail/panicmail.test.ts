import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
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
import { type Panicmail, panicmailParts, panicmailSchema } from '../../core/panicmail.ts';
import { panicmailScript } from '../../core/panicmail-script.ts';
import { layFiles, relocated } from './image-files.ts';

// rc.d/foundry_panicmail of the image with dumps as savecore(8) and crashinfo(8) leave them; OpenSSL and the private key read it.

const keys = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

const info = (number: number) => `Dump header from device: /dev/gpt/swap0
  Architecture: amd64
  Dumptime: 2026-11-2${number} 10:00:00 +0000
  Hostname: web
  Panic String: page fault: SENTINEL ${number}
`;
const core = `web dumped core - see /var/crash/vmcore.0

panic: page fault: SENTINEL

#0  doadump (textdump=<optimized out>) at pcpu_aux.h:57
#1  0xffffffff80c1e000 in kern_reboot (howto=260)

------------------------------------------------------------------------
ps -axlww

root secret-process --token=STATE
`;

let directory: string;
const path = (name: string) => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foundry-panic-'));
  for (const name of ['bin', 'etc', 'var/crash', 'var/db', 'sent'])
    mkdirSync(path(name), { recursive: true });
  writeFileSync(path('etc/rc.subr'), readFileSync(fileURLToPath(new URL('rc.subr', import.meta.url))));
  writeFileSync(path('private.pem'), keys.privateKey);
  writeFileSync(path('bin/logger'), `#!/bin/sh\necho "$*" >>"${directory}/log"\n`);
  // Keeps each message with the arguments before it.
  writeFileSync(
    path('bin/sendmail'),
    `#!/bin/sh\n[ ! -e "${directory}/broken" ] || exit 75\n` +
      `n=$(ls "${directory}/sent" | wc -l)\n{ echo "$*"; cat; } >"${directory}/sent/$((n + 1))"\n`,
  );
  for (const name of ['logger', 'sendmail']) chmodSync(path(`bin/${name}`), 0o755);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function prepare(panicmail: Partial<Panicmail> = {}): void {
  const parts = panicmailParts(
    panicmailSchema.parse({ recipient: 'panics@example.org', publicKey: keys.publicKey, ...panicmail }),
  );
  layFiles(parts, directory);
  const script = path('usr/local/etc/rc.d/foundry_panicmail');
  writeFileSync(script, readFileSync(script, 'utf8').replace('PATH="/sbin', `PATH="${directory}/bin:/sbin`));
  const settings = (parts.rcConf ?? []).map(({ key, value }) => `${key}="${value}"\n`).join('');
  writeFileSync(path('rc.conf'), relocated(settings, directory));
}

function dump(number: number, text: string | undefined = core): void {
  writeFileSync(path(`var/crash/info.${number}`), info(number));
  if (text !== '') writeFileSync(path(`var/crash/core.txt.${number}`), text);
  rmSync(path('var/crash/info.last'), { force: true });
  symlinkSync(`info.${number}`, path('var/crash/info.last'));
}

const run = (command: string, shell: readonly string[] = ['dash']): string => {
  const [program = '', ...first] = shell;
  return execFileSync(program, [...first, path('usr/local/etc/rc.d/foundry_panicmail'), command], {
    env: { RC_CONF: path('rc.conf') },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
};
const sent = () => readdirSync(path('sent')).map((name) => readFileSync(path(`sent/${name}`), 'utf8'));
/** What docs/recipe.md tells the recipient to do. */
const decrypted = (message: string) => {
  writeFileSync(path('message'), message.replace(/^.*\n/, ''));
  return execFileSync(
    'openssl',
    ['cms', '-decrypt', '-text', '-in', path('message'), '-inkey', path('private.pem')],
    { encoding: 'utf8' },
  ).replaceAll('\r', '');
};

test('shellcheck has nothing to say about the script', () => {
  expect(
    execFileSync('shellcheck', ['-s', 'sh', '-S', 'style', '-'], {
      input: panicmailScript,
      encoding: 'utf8',
    }),
  ).toBe('');
});

describe.each(['dash', 'busybox ash'])('under %s', (shell) => {
  const start = () => run('start', shell.split(' '));

  test('a new dump is reported once, and only the owner of the key can read it', () => {
    prepare();
    dump(0);
    expect(start()).toBe('foundry_panicmail: a report of dump 0 is on its way to panics@example.org\n');
    const [message = '', ...more] = sent();
    expect(more).toEqual([]);
    expect(message).toMatch(
      /^-oi -- panics@example\.org\nAuto-Submitted: auto-generated\nTo: panics@example\.org\nFrom: root\n/,
    );
    expect(message).toContain('smime-type=enveloped-data');
    expect(message).not.toContain('SENTINEL');
    expect(Buffer.from(message.split('\n\n')[1] ?? '', 'base64').toString('latin1')).not.toContain(
      'SENTINEL',
    );
    expect(decrypted(message)).toBe(`${info(0)}\n${core.slice(0, core.indexOf('-----'))}`);
    expect(start()).toBe('');
    expect(sent()).toHaveLength(1);
    // Nothing in the clear is left behind but what savecore itself has written.
    expect(readdirSync(path('var/db/foundry-panicmail'))).toEqual(['reported']);
    expect(statSync(path('var/db/foundry-panicmail')).mode & 0o777).toBe(0o700);
  });

  test('a dump that reuses a number is a new one, and several are each reported', () => {
    prepare();
    dump(0);
    start();
    writeFileSync(path('var/crash/info.0'), info(7));
    dump(1);
    start();
    expect(sent().map((message) => /SENTINEL (\d)/.exec(decrypted(message))?.[1])).toEqual(['0', '7', '1']);
  });
});

test('crashinfo: the whole of it', () => {
  prepare({ report: 'crashinfo' });
  dump(0);
  run('start');
  expect(decrypted(sent()[0] ?? '')).toBe(`${info(0)}\n${core}`);
});

test('without a debugger the header goes, and says why there is no more', () => {
  prepare();
  dump(0, '');
  run('start');
  expect(decrypted(sent()[0] ?? '')).toMatch(/SENTINEL 0\n\nThere is no .*core\.txt\.0: .*package gdb/);
});

test('no dump, no mail', () => {
  prepare();
  expect(run('start')).toBe('');
  expect(sent()).toEqual([]);
});

test('what cannot be encrypted is not sent, and tried again', () => {
  prepare();
  dump(0);
  writeFileSync(path('usr/local/etc/foundry/panicmail.pem'), 'nonsense\n');
  expect(run('start')).toBe(
    'foundry_panicmail: the report of dump 0 could not be encrypted; it is not sent\n',
  );
  expect(sent()).toEqual([]);
  prepare();
  run('start');
  expect(sent()).toHaveLength(1);
});

test('what sendmail does not take is tried again at the next boot', () => {
  prepare();
  dump(0);
  writeFileSync(path('broken'), '');
  expect(run('start')).toContain('the next boot tries again');
  rmSync(path('broken'));
  run('start');
  expect(sent()).toHaveLength(1);
});

test('without autosubmit root is told once, and sends it', () => {
  prepare({ autosubmit: false });
  dump(0);
  run('start');
  run('start');
  expect(sent()).toHaveLength(1);
  expect(sent()[0]).toMatch(/^-oi -- root\nTo: root\n/);
  expect(sent()[0]).not.toContain('SENTINEL');
  expect(statSync(path('var/crash/report.0.txt')).mode & 0o777).toBe(0o600);
  run('submit');
  expect(decrypted(sent()[1] ?? '')).toContain('SENTINEL 0');
  run('start');
  run('submit');
  expect(sent()).toHaveLength(2);
});

test('with a key given as a certificate, OpenSSL reads the report all the same', () => {
  const certificate = path('certificate.pem');
  execFileSync('openssl', [
    'req',
    '-x509',
    '-new',
    '-key',
    path('private.pem'),
    '-subj',
    '/CN=panics',
    '-days',
    '2',
    '-out',
    certificate,
  ]);
  prepare({ publicKey: readFileSync(certificate, 'utf8') });
  dump(0);
  run('start');
  expect(decrypted(sent()[0] ?? '')).toContain('SENTINEL 0');
  expect(existsSync(path('log'))).toBe(true);
});
