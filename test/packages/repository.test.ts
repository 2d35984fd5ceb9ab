/** Who is trusted, and what becomes of a repository that is not as it should be. */
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, privateEncrypt, sign } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { catalogueArchive } from '../../local/demo-release/package-repository.ts';
import { FINGERPRINT, PUBLIC_KEY } from '../../local/demo-release/signing-key.ts';
import { makeStage, repositoryLines, type Stage, simple } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await makeStage();
});
beforeEach(async () => {
  stage.mirror.faults.clear();
  await stage.fresh();
  await stage.repository('ports', [simple('alpha'), simple('beta', { dependencies: ['alpha'] })]);
});
afterAll(() => stage.close());

const served = (path: string): string => join(stage.directory, 'mirror/ports', path);
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

test('openssl and bsdtar agree about the demo signature', () => {
  const directory = join(stage.directory, 'judge');
  mkdirSync(directory, { recursive: true });
  execFileSync('bsdtar', ['-xf', served('packagesite.pkg'), '-C', directory]);
  const catalogue = readFileSync(join(directory, 'packagesite.yaml'));
  writeFileSync(join(directory, 'digits'), sha256(catalogue));
  const said = execFileSync(
    'openssl',
    ['dgst', '-sha256', '-verify', 'packagesite.yaml.pub', '-signature', 'packagesite.yaml.sig', 'digits'],
    { cwd: directory, encoding: 'utf8' },
  );
  expect(said).toContain('Verified OK');
  expect(sha256(readFileSync(join(directory, 'packagesite.yaml.pub')))).toBe(FINGERPRINT);
});

test('fingerprints: in the image, given, revoked, unknown', async () => {
  expect((await stage.install(['beta'])).status).toBe(0);
  await stage.fresh(false);
  const given = ['signature=fingerprints', 'fingerprint.count=1', `fingerprint.1=${FINGERPRINT}`];
  expect((await stage.install(['beta'], repositoryLines(stage.mirror, 1, 'ports', given))).status).toBe(0);

  await stage.fresh();
  mkdirSync(join(stage.tree, 'usr/share/keys/pkg/revoked'));
  writeFileSync(
    join(stage.tree, 'usr/share/keys/pkg/revoked/bad'),
    `function: sha256\nfingerprint: ${FINGERPRINT}\n`,
  );
  expect(await stage.install(['beta'])).toMatchObject({
    status: 1,
    code: 'RepositoryUntrusted',
    message: expect.stringContaining('revoked'),
  });

  await stage.fresh();
  writeFileSync(
    join(stage.tree, 'usr/share/keys/pkg/trusted/demo'),
    `function: "sha256"\nfingerprint: "${'0'.repeat(64)}"\n`,
  );
  expect(await stage.install(['beta'])).toMatchObject({
    code: 'RepositoryUntrusted',
    message: expect.stringContaining(FINGERPRINT),
  });

  await stage.fresh(false);
  expect((await stage.install(['beta'])).code).toBe('RepositoryUntrusted');
});

test('a catalogue that was changed, or is not signed at all', async () => {
  const catalogue = Buffer.from('{"name":"evil"}\n');
  const good = readFileSync(served('packagesite.pkg'));
  const signature = sign(
    'sha256',
    Buffer.from(sha256('other')),
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  );
  writeFileSync(
    served('packagesite.pkg'),
    catalogueArchive('packagesite.yaml', catalogue, {
      sign: { signature: () => signature, publicKey: Buffer.from(PUBLIC_KEY) },
    }),
  );
  expect(await stage.install(['beta'])).toMatchObject({
    code: 'RepositoryUntrusted',
    message: expect.stringContaining('wrong'),
  });
  await stage.fresh();
  writeFileSync(served('packagesite.pkg'), catalogueArchive('packagesite.yaml', catalogue, { sign: false }));
  expect(await stage.install(['beta'])).toMatchObject({
    code: 'RepositoryUntrusted',
    message: expect.stringContaining('no signature'),
  });
  await stage.fresh();
  writeFileSync(served('packagesite.pkg'), good.subarray(0, good.length - 50));
  expect((await stage.install(['beta'])).code).toBe('RepositoryUnavailable');
});

test('pubkey: RSA as pkg signs now and as it did, ECDSA', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const curve = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const archive = readFileSync(served('packagesite.pkg'));
  const catalogue = execFileSync('bsdtar', ['-xOf', '-', 'packagesite.yaml'], { input: archive });
  const digits = Buffer.from(sha256(catalogue));
  const blake = createHash('blake2b512').update(catalogue).digest();
  // DigestInfo with the identifier of SHA-1 and 65 bytes (RFC 8017, 9.2).
  const old = Buffer.concat([Buffer.from('304c300906052b0e03021a05000441', 'hex'), digits, Buffer.from([0])]);
  old[1] = old.length - 2;
  const put = (signature: Buffer): void => {
    const directory = join(stage.directory, 'pubkey');
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    writeFileSync(join(directory, 'packagesite.yaml'), catalogue);
    writeFileSync(join(directory, 'signature'), signature);
    execFileSync('bsdtar', [
      '-cf',
      served('packagesite.pkg'),
      '--zstd',
      '-C',
      directory,
      'signature',
      'packagesite.yaml',
    ]);
  };
  const install = async (key: string) => {
    await stage.fresh();
    const lines = repositoryLines(stage.mirror, 1, 'ports', [
      'signature=pubkey',
      `key=${Buffer.from(key).toString('base64')}`,
    ]);
    return stage.install(['beta'], lines);
  };
  put(sign('sha256', digits, privateKey));
  expect((await install(pem)).status).toBe(0);
  put(privateEncrypt(privateKey, old));
  expect((await install(pem)).status).toBe(0);
  const ecPem = curve.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  put(Buffer.concat([Buffer.from('$PKGSIGN:ecdsa$'), sign('sha256', blake, curve.privateKey)]));
  expect((await install(ecPem)).status).toBe(0);
  put(sign('sha256', Buffer.from('other'), privateKey));
  expect((await install(pem)).code).toBe('RepositoryUntrusted');
});

test('fingerprints of an ECDSA key, and a kind that is not known', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const lines = repositoryLines(stage.mirror, 1, 'ports', [
    'signature=fingerprints',
    `fingerprint.1=${sha256(der)}`,
  ]);
  const framed = (kind: string) => ({
    signature: (catalogue: Buffer) =>
      Buffer.concat([
        Buffer.from(`$PKGSIGN:${kind}$`),
        sign('sha256', Buffer.from(sha256(catalogue)), privateKey),
      ]),
    publicKey: Buffer.concat([Buffer.from(`$PKGSIGN:${kind}$`), der]),
  });
  await stage.repository('ports', [simple('alpha')], { sign: framed('ecdsa') });
  expect((await stage.install(['alpha'], lines)).status).toBe(0);
  await stage.fresh();
  await stage.repository('ports', [simple('alpha')], { sign: framed('eddsa') });
  expect(await stage.install(['alpha'], lines)).toMatchObject({
    code: 'RepositoryUntrusted',
    message: expect.stringContaining('eddsa'),
  });
});

test('other layouts: txz, data.pkg, no meta.conf', async () => {
  const none = repositoryLines(stage.mirror, 1, 'ports', ['signature=none']);
  execFileSync('bsdtar', ['-cf', 'packagesite.txz', '--xz', '@packagesite.pkg'], { cwd: served('') });
  rmSync(served('packagesite.pkg'));
  rmSync(served('meta.conf'));
  rmSync(served('data.pkg'));
  expect((await stage.install(['beta'])).status).toBe(0);
  await stage.fresh();
  await stage.repository('ports', [
    simple('alpha', { comment: 'a "quoted" {brace} [list] \\ back' }),
    simple('beta'),
  ]);
  rmSync(served('packagesite.pkg'));
  expect((await stage.install(['alpha', 'beta'], none)).status).toBe(0);
  await stage.fresh();
  rmSync(served('data.pkg'));
  expect(await stage.install(['alpha'])).toMatchObject({
    code: 'RepositoryUnavailable',
    message: expect.stringContaining('neither'),
  });
});

test('a mirror with bad days', async () => {
  const path = '/ports/packagesite.pkg';
  stage.mirror.faults.set(path, [
    { kind: 'status', status: 503, times: 2 },
    { kind: 'truncate', afterBytes: 40, ending: 'reset', times: 1 },
  ]);
  expect((await stage.install(['beta'])).status).toBe(0);
  await stage.fresh();
  stage.mirror.faults.set(path, [{ kind: 'status', status: 500 }]);
  expect(await stage.install(['beta'])).toMatchObject({
    code: 'RepositoryUnavailable',
    message: expect.stringContaining('500'),
  });
});

test('a package that is not the one of the catalogue', async () => {
  const lines = execFileSync('bsdtar', ['-xOf', served('packagesite.pkg'), 'packagesite.yaml'], {
    encoding: 'utf8',
  });
  const { path } = JSON.parse(lines.split('\n')[0] ?? '{}') as { path: string };
  const url = `/ports/${path.split('/').map(encodeURIComponent).join('/')}`;
  stage.mirror.faults.set(url, [{ kind: 'corrupt', atByte: 100, times: 1 }]);
  expect((await stage.install(['beta'])).status).toBe(0);
  await stage.fresh();
  stage.mirror.faults.set(url, [{ kind: 'corrupt', atByte: 100 }]);
  expect(await stage.install(['beta'])).toMatchObject({
    code: 'PackageChecksumMismatch',
    message: expect.stringContaining('alpha-1.0'),
  });
  await stage.fresh();
  stage.mirror.faults.clear();
  renameSync(served(path), served(`${path}.away`));
  expect(await stage.install(['beta'])).toMatchObject({
    code: 'RepositoryUnavailable',
    message: expect.stringContaining('404'),
  });
});

test('secrets of a URL are not printed', async () => {
  const lines = repositoryLines(stage.mirror, 1, 'ports', ['signature=none']).map((line) =>
    line.replace('http://', 'http://user:hunter2@').replace('/ports', '/nowhere'),
  );
  const result = await stage.install(['beta'], lines);
  expect(result.code).toBe('RepositoryUnavailable');
  expect(result.stderr + result.stdout).not.toContain('hunter2');
  await stage.fresh();
  const right = lines.map((line) => line.replace('/nowhere', '/ports'));
  expect((await stage.install(['beta'], right)).status).toBe(0);
});
