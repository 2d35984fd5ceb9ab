/**
 * Who signed a catalogue. What is signed is never the catalogue itself but the 64 hexadecimal digits of its SHA-256:
 * RSA (PKCS #1 v1.5) and ECDSA over the SHA-256 of those digits. pkg-repository(5) and pkg-repo(8) describe the
 * members NAME.sig and NAME.pub and the fingerprint, the SHA-256 of the public key as it stands in the archive.
 */
import { constants, createHash, createPublicKey, type KeyObject, publicDecrypt, verify } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { PackageError, reason } from './errors.ts';
import type { RepositoryRequest } from './request.ts';
import { FREEBSD_KEYS } from './trust-anchors.ts';
import { members, parseUcl } from './ucl.ts';

/** What an archive says of its origin; filled while it is read. */
export interface Signatures {
  /** By name: the member's path without `.sig` or `.pub`. */
  readonly signatures: Map<string, Buffer>;
  readonly keys: Map<string, Buffer>;
  /** The member `signature` (pubkey mode). */
  plain: Buffer | undefined;
  /** SHA-256 of the catalogue member, hexadecimal, and its BLAKE2b-512 (pubkey mode with ECDSA). */
  sha256: string;
  blake2b: Buffer;
}

const MARK = '$PKGSIGN:';

/** A signature or key may name its kind in front: `$PKGSIGN:ecdsa$`. Without it, it is RSA. */
function typed(bytes: Buffer): { type: string; bytes: Buffer } {
  if (bytes.subarray(0, MARK.length).toString('latin1') !== MARK) return { type: 'rsa', bytes };
  const end = bytes.indexOf('$', MARK.length);
  if (end < 0 || end > 40) return { type: 'unknown', bytes };
  return { type: bytes.toString('latin1', MARK.length, end), bytes: bytes.subarray(end + 1) };
}

function untrusted(repository: RepositoryRequest, problem: string, remedy: string): PackageError {
  return new PackageError('RepositoryUntrusted', `repository ${repository.name}: ${problem}`, remedy);
}

const SUSPICION = 'do not use this repository until you know why; a proxy or a mirror may have changed it';

/** RSA keys are PEM, ECDSA keys DER. */
function publicKey(bytes: Buffer): KeyObject {
  return bytes.includes('-----BEGIN')
    ? createPublicKey(bytes)
    : createPublicKey({ key: bytes, format: 'der', type: 'spki' });
}

/** pkg before OpenSSL 3 signed as if the 64 digits and a NUL were a SHA-1 (DigestInfo of RFC 8017 with that identifier). */
function oldRsaSignature(digits: string, key: KeyObject, signature: Buffer): boolean {
  const body = Buffer.concat([
    Buffer.from('300906052b0e03021a0500', 'hex'),
    Buffer.from([0x04, digits.length + 1]),
    Buffer.from(`${digits}\0`, 'latin1'),
  ]);
  const expected = Buffer.concat([Buffer.from([0x30, body.length]), body]);
  try {
    return publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature).equals(expected);
  } catch {
    return false;
  }
}

function valid({ type, bytes }: { type: string; bytes: Buffer }, key: Buffer, message: Buffer): boolean {
  const loaded = publicKey(key);
  if (type === 'rsa') return loaded.asymmetricKeyType === 'rsa' && verify('sha256', message, loaded, bytes);
  return loaded.asymmetricKeyType === 'ec' && verify('sha256', message, loaded, bytes);
}

interface Fingerprints {
  readonly trusted: ReadonlySet<string>;
  readonly revoked: ReadonlySet<string>;
}

/** Files `function: sha256` and `fingerprint: …` in trusted/ and revoked/. `locate` finds a path in the image. */
function readFingerprints(
  repository: RepositoryRequest,
  directory: string | undefined,
  given: readonly string[],
  locate: (path: string) => string,
): Fingerprints {
  const trusted = new Set(given);
  const revoked = new Set<string>();
  if (directory !== undefined && !existsSync(locate(directory))) {
    for (const known of FREEBSD_KEYS[directory.replace(/\/+$/, '')] ?? []) trusted.add(known);
  }
  for (const [name, set] of [
    ['trusted', trusted],
    ['revoked', revoked],
  ] as const) {
    if (directory === undefined) continue;
    const path = locate(`${directory}/${name}`);
    if (!existsSync(path)) continue;
    for (const file of readdirSync(path).sort()) {
      if (file.startsWith('.')) continue;
      let facts: ReturnType<typeof members>;
      try {
        facts = members(parseUcl(readFileSync(locate(`${directory}/${name}/${file}`), 'utf8')));
      } catch (error) {
        throw untrusted(
          repository,
          `${directory}/${name}/${file} cannot be read: ${reason(error)}`,
          'correct the file',
        );
      }
      const { fingerprint, function: kind } = facts;
      if (typeof kind !== 'string' || kind.toLowerCase() !== 'sha256' || typeof fingerprint !== 'string') {
        throw untrusted(
          repository,
          `${directory}/${name}/${file} is no SHA-256 fingerprint`,
          'correct the file',
        );
      }
      set.add(fingerprint.toLowerCase());
    }
  }
  return { trusted, revoked };
}

/**
 * Accepts the catalogue or throws `RepositoryUntrusted`. As pkg does it: every signature must have a key, no key may be revoked,
 * at least one must be trusted, and the signatures of all trusted ones must be right.
 */
export function checkSignature(
  repository: RepositoryRequest,
  found: Signatures,
  metaKeys: ReadonlyMap<string, Buffer>,
  locate: (path: string) => string,
): void {
  const { trust } = repository;
  if (trust.kind === 'none') return;
  const digits = Buffer.from(found.sha256, 'latin1');
  if (trust.kind === 'pubkey') {
    if (!found.plain)
      throw untrusted(repository, 'the catalogue is not signed', 'sign it, or set signature to none');
    const signature = typed(found.plain);
    let right = false;
    try {
      const key = Buffer.from(trust.key);
      right =
        signature.type === 'rsa'
          ? valid(signature, key, digits) || oldRsaSignature(found.sha256, publicKey(key), signature.bytes)
          : signature.type === 'ecdsa' && valid(signature, key, found.blake2b);
    } catch (error) {
      throw untrusted(repository, `the key cannot be used: ${reason(error)}`, 'give the public key as PEM');
    }
    if (!right) throw untrusted(repository, 'the signature is not that of the given key', SUSPICION);
    return;
  }

  if (found.signatures.size === 0) {
    throw untrusted(
      repository,
      'the catalogue has no signature',
      'name another repository, or set signature to none',
    );
  }
  const { trusted, revoked } = readFingerprints(repository, trust.directory, trust.trusted, locate);
  if (trusted.size === 0) {
    throw untrusted(
      repository,
      `there are no trusted fingerprints${trust.directory === undefined ? '' : ` in ${trust.directory}/trusted of the image`}`,
      'name the directory that the release has (/usr/share/keys/pkg), or give the fingerprints',
    );
  }
  let good = 0;
  const seen: string[] = [];
  for (const [name, raw] of [...found.signatures].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const stored = found.keys.get(name) ?? metaKeys.get(name);
    if (!stored) throw untrusted(repository, `the signature ${name} has no key`, SUSPICION);
    const key = typed(stored);
    const fingerprint = createHash('sha256').update(key.bytes).digest('hex');
    seen.push(fingerprint);
    if (revoked.has(fingerprint)) throw untrusted(repository, `the key ${fingerprint} is revoked`, SUSPICION);
    if (!trusted.has(fingerprint)) continue;
    const signature = typed(raw);
    if (signature.type !== 'rsa' && signature.type !== 'ecdsa') {
      throw untrusted(
        repository,
        `its signature is of the kind ${signature.type}`,
        'use a repository signed with RSA (as FreeBSD does) or ECDSA',
      );
    }
    let right: boolean;
    try {
      right = valid(signature, key.bytes, digits);
    } catch (error) {
      throw untrusted(repository, `the key ${fingerprint} cannot be used: ${reason(error)}`, SUSPICION);
    }
    if (!right) throw untrusted(repository, `the signature by ${fingerprint} is wrong`, SUSPICION);
    good++;
  }
  if (good === 0) {
    throw untrusted(
      repository,
      `it is signed by ${seen.join(', ')}, which is not trusted`,
      'check the fingerprint where you know the repository from, and add it if it is right',
    );
  }
}
