/** The hash of a certificate's subject, by which OpenSSL finds it, against OpenSSL itself. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rehashCertificates, subjectHash } from '../../packages/certificates.ts';
import { ImageTree } from '../../packages/image-tree.ts';

let directory: string;
const trusted = () => join(directory, 'tree/usr/share/certs/trusted');

const SUBJECTS = [
  '/C=DE/O=Some  Company/CN=Root CA',
  '/CN=simple',
  '/C=HU/L=Budapest/O=NetLock Kft./CN=NetLock Arany (Class Gold) F\u0151tan\u00fas\u00edtv\u00e1ny',
  '/O=MiXeD CaSe/OU=a+OU=b/CN=x/emailAddress=ca@example.org',
];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ami-foundry-certs-'));
  mkdirSync(trusted(), { recursive: true });
  for (const [n, subject] of SUBJECTS.entries()) {
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-utf8',
        '-multivalue-rdn',
        '-days',
        '9',
        '-subj',
        subject,
        '-keyout',
        join(directory, 'key'),
        '-out',
        join(trusted(), `${n}.pem`),
      ],
      { stdio: 'ignore' },
    );
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const opensslHash = (path: string): string =>
  execFileSync('openssl', ['x509', '-noout', '-subject_hash', '-in', path], { encoding: 'utf8' }).trim();

test.each(SUBJECTS.map((subject, n) => [subject, n] as const))('%s', (_, n) => {
  const path = join(trusted(), `${n}.pem`);
  expect(subjectHash(new X509Certificate(readFileSync(path)).raw)).toBe(opensslHash(path));
});

test("all authorities that Node knows, where this machine's openssl has them too", () => {
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  if (!existsSync(bundle)) return;
  const blocks =
    readFileSync(bundle, 'utf8').match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  for (const pem of blocks.slice(0, 25)) {
    const path = join(directory, 'one.pem');
    writeFileSync(path, pem);
    expect(subjectHash(new X509Certificate(pem).raw)).toBe(opensslHash(path));
  }
});

test('names for each certificate, that openssl verifies by', () => {
  const tree = new ImageTree(join(directory, 'tree'), join(directory, 'spec'), 1);
  writeFileSync(join(trusted(), 'broken.pem'), 'no certificate\n');
  const both = ['0.pem', '1.pem'].map((name) => readFileSync(join(trusted(), name), 'utf8')).join('');
  tree.writeText('/usr/local/share/certs/bundle.crt', both, tree.attributes(0o644));
  tree.writeText(
    '/usr/share/certs/untrusted/3.pem',
    readFileSync(join(trusted(), '3.pem')),
    tree.attributes(0o644),
  );
  const notes: string[] = [];
  rehashCertificates(tree, (note) => notes.push(note));
  rehashCertificates(tree, (note) => notes.push(note));
  expect(notes).toEqual(Array.from({ length: 2 }, () => '1 files among the certificates hold none'));
  const names = readdirSync(join(directory, 'tree/etc/ssl/certs'));
  expect(names).toHaveLength(3);
  for (const name of names)
    expect(readlinkSync(join(directory, 'tree/etc/ssl/certs', name))).toMatch(
      /^\.\.\/\.\.\/\.\.\/usr\/share\/certs\/trusted\/\d\.pem$/,
    );
  const said = execFileSync(
    'openssl',
    ['verify', '-no-CAfile', '-CApath', join(directory, 'tree/etc/ssl/certs'), join(trusted(), '2.pem')],
    { encoding: 'utf8' },
  );
  expect(said).toContain('OK');
});
