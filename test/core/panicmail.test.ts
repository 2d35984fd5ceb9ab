import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { panicmailNeeds, panicmailParts, panicmailSchema } from '../../core/panicmail.ts';

const spki = { type: 'spki', format: 'pem' } as const;
const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
const rsa = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: spki,
  privateKeyEncoding: pkcs8,
});
const recipient = 'panics@example.org';
const problems = (value: object) =>
  panicmailSchema
    .safeParse({ recipient, publicKey: rsa.publicKey, ...value })
    .error?.issues.map(({ message }) => message);

describe('the key', () => {
  test('is an RSA public key, in one form in the image', () => {
    const messy = `my key\n${rsa.publicKey.replaceAll('\n', '\r\n')}\ntrailing`;
    expect(panicmailSchema.parse({ recipient, publicKey: messy }).publicKey).toBe(rsa.publicKey);
    const pkcs1 = generateKeyPairSync('rsa', {
      modulusLength: 3072,
      publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
      privateKeyEncoding: pkcs8,
    });
    expect(panicmailSchema.parse({ recipient, publicKey: pkcs1.publicKey }).publicKey).toMatch(
      /^-----BEGIN PUBLIC KEY-----\n/,
    );
  });

  test('is refused when it is private, short, of another kind or none', () => {
    const short = generateKeyPairSync('rsa', {
      modulusLength: 1024,
      publicKeyEncoding: spki,
      privateKeyEncoding: pkcs8,
    });
    const curve = generateKeyPairSync('ed25519', { publicKeyEncoding: spki, privateKeyEncoding: pkcs8 });
    expect(problems({ publicKey: rsa.privateKey })).toEqual([
      'must be the public key: this is a private one, which others may know now',
    ]);
    expect(problems({ publicKey: short.publicKey })).toEqual(['must be a key of 2048 to 16384 bits']);
    const kind = ['must be an RSA public key, or a certificate with one, in PEM'];
    expect(problems({ publicKey: curve.publicKey })).toEqual(kind);
    expect(problems({ publicKey: 'ssh-rsa AAAA' })).toEqual(kind);
    expect(problems({ publicKey: rsa.publicKey.replace('MII', 'MIX') })).toEqual(kind);
    expect(problems({ publicKey: '' })).toEqual(kind);
  });
});

test('the recipient is an address that needs no quotes', () => {
  for (const wrong of [
    'root',
    '-oX@example.org',
    'a b@example.org',
    '"$(id)"@example.org',
    'a@b.example.org\n',
  ]) {
    expect(problems({ recipient: wrong })).toHaveLength(1);
  }
});

test('adds a dump device, savecore, crashinfo and the report', () => {
  const parts = panicmailParts(panicmailSchema.parse({ recipient, publicKey: rsa.publicKey }));
  expect(parts.packages).toEqual(['gdb']);
  expect(Object.fromEntries((parts.rcConf ?? []).map(({ key, value }) => [key, value]))).toEqual({
    dumpdev: 'AUTO',
    savecore_enable: 'YES',
    savecore_flags: '-m 2',
    crashinfo_enable: 'YES',
    foundry_panicmail_enable: 'YES',
    foundry_panicmail_to: recipient,
    foundry_panicmail_autosubmit: 'YES',
    foundry_panicmail_report: 'backtrace',
  });
  expect(parts.files?.map(({ path, mode, owner, group }) => [path, mode, owner, group])).toEqual([
    ['/usr/local/etc/foundry/panicmail.pem', '0644', 'root', 'wheel'],
    ['/usr/local/etc/rc.d/foundry_panicmail', '0755', 'root', 'wheel'],
  ]);
});

test('needs mail, and swap that is certain to be there', () => {
  const mail = {};
  expect(panicmailNeeds({ swap: 'auto' })).toBeUndefined();
  expect(panicmailNeeds({ panicmail: {}, swap: 4 })?.message).toContain('must have mail beside it');
  expect(panicmailNeeds({ panicmail: {}, mail, swap: 'auto' })?.message).toContain('swap: 4GiB');
  expect(panicmailNeeds({ panicmail: {}, mail, swap: 4 })).toBeUndefined();
  expect(panicmailNeeds({ panicmail: {}, mail, swap: 'none', ec2: { ephemeralSwap: true } })).toBeUndefined();
});
