import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Bootstrap, renderUserData } from '../../core/user-data.ts';

const bootstrap = readFileSync(new URL('../../worker/bootstrap.sh', import.meta.url), 'utf8');

const fields: (keyof Bootstrap)[] = ['payloadUrl', 'payloadSha256', 'jobUrl', 'jobSha256', 'volume', 'build'];

/** Prints the six variables, each followed by a NUL, with nothing but what a POSIX sh has. */
const template = `#!/bin/sh
a=@PAYLOAD_URL@
b=@PAYLOAD_SHA256@
c=@JOB_URL@
d=@JOB_SHA256@
e=@VOLUME@
f=@BUILD@
printf '%s\\000' "$a" "$b" "$c" "$d" "$e" "$f"
`;

const shell = (command: string, args: readonly string[], script: string): Buffer => {
  const { stdout, status, stderr } = spawnSync(command, [...args, '-c', script], { env: { LC_ALL: 'C' } });
  if (status !== 0) throw new Error(`sh ended with ${status}: ${stderr.toString()}`);
  return stdout;
};

const valuesSeenBy = (command: string, args: readonly string[], values: Bootstrap): string[] =>
  shell(command, args, renderUserData(template, values)).toString('utf8').split('\0').slice(0, -1);

const hostile = fc.oneof(
  // No NUL: neither a URL nor a shell variable can hold one.
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll('\0', '')),
  fc.constantFrom(
    "it's",
    "'",
    "''",
    '$(touch /tmp/pwned)',
    '`id`',
    '$' + '{HOME}',
    '\\',
    '"',
    '\n',
    "'\n'",
    '; exit 1',
    '-n',
    '*',
    '~',
    '!!',
    '$&',
    "$'",
    '$`',
    '@VOLUME@',
    '@JOB_URL@',
    'https://b.s3.amazonaws.com/k?X-Amz-Signature=a&X-Amz-Expires=1800#%20',
  ),
);
const values: fc.Arbitrary<Bootstrap> = fc.record({
  payloadUrl: hostile,
  payloadSha256: hostile,
  jobUrl: hostile,
  jobSha256: hostile,
  volume: hostile,
  build: hostile,
});

describe('user data', () => {
  test.each([
    ['dash', 'dash', []],
    ['busybox ash', 'busybox', ['ash']],
  ])('gives %s every value byte for byte', (_, command, args) => {
    fc.assert(
      fc.property(values, (given) => {
        const bootstrapValues = Object.fromEntries(
          fields.map((field) => [field, given[field].toWellFormed()]),
        ) as unknown as Bootstrap;
        expect(valuesSeenBy(command, args, bootstrapValues)).toEqual(
          fields.map((field) => bootstrapValues[field]),
        );
      }),
      { numRuns: 150 },
    );
  });

  const real: Bootstrap = {
    payloadUrl: `https://bucket.s3.eu-central-1.amazonaws.com/payload.tar.gz?X-Amz-Security-Token=${'A'.repeat(1500)}`,
    payloadSha256: 'a'.repeat(64),
    jobUrl: `https://bucket.s3.eu-central-1.amazonaws.com/builds/demo/job?X-Amz-Security-Token=${'B'.repeat(1500)}`,
    jobSha256: 'b'.repeat(64),
    volume: 'vol-0123456789abcdef0',
    build: 'demo-0123456789ab',
  };

  test('of the shipped bootstrap is a script with every value filled in, under 16 KB with long session tokens', () => {
    const text = renderUserData(bootstrap, real);
    expect(text.startsWith('#!/bin/sh\n')).toBe(true);
    expect(text).not.toMatch(/@[A-Z0-9_]+@/);
    for (const field of fields) expect(text).toContain(`'${real[field]}'`);
    expect(spawnSync('dash', ['-n'], { input: text }).status).toBe(0);
  });

  test('over 16 KB is refused, exactly', () => {
    const size = Buffer.byteLength(renderUserData(bootstrap, { ...real, build: '' }));
    const fill = (length: number) => renderUserData(bootstrap, { ...real, build: 'x'.repeat(length) });
    expect(Buffer.byteLength(fill(16_384 - size))).toBe(16_384);
    expect(() => fill(16_385 - size)).toThrow(/16385 bytes, over the limit of 16384/);
  });

  test('counts bytes, not characters', () => {
    expect(() => renderUserData(bootstrap, { ...real, build: 'ü'.repeat(6_000) })).toThrow(RangeError);
  });

  test.each([
    ['lacks a placeholder', template.replace('@JOB_URL@', 'x'), /0 of @JOB_URL@/],
    ['has one twice', `${template}# @BUILD@\n`, /2 of @BUILD@/],
  ])('of a bootstrap that %s is refused', (_, wrong, says) => {
    expect(() => renderUserData(wrong, real)).toThrow(says);
  });
});
