import { constants, createHash, publicDecrypt } from 'node:crypto';
import { FactoryError } from './errors.ts';
import type { MirrorBytes, MirrorFiles, UpdateServer } from './ports.ts';

/** The server that freebsd-update(8) asks. Plain HTTP, as there: what counts is the signature. */
const FREEBSD_UPDATES = {
  url: 'http://update.FreeBSD.org',
  /** SHA-256 of its public key: `KeyPrint` of FreeBSD's /etc/freebsd-update.conf. */
  keyPrint: '800651ef4b4c71c27e60786d7b487188970f4b4169cc055784e21eb71d410cc5',
};

const untrusted = (message: string) =>
  new FactoryError('UpdatesUntrusted', {
    message,
    remedy:
      'a proxy may have answered in its place: open the URL. If it stays, do without updates: at-build.',
  });

/**
 * An update server as freebsd-update(8) has it: below <release>/<machine>/ lie `pub.ssl`, an RSA key in PEM, and `latest.ssl`, one line that is encrypted
 * with the private key of it (PKCS #1 v1.5): freebsd-update|<machine>|<release>|<patch level>|<SHA-256 of an index>|<end of life, epoch seconds>.
 */
export const updateServer = (
  files: Pick<MirrorFiles, 'bytes'>,
  { url, keyPrint } = FREEBSD_UPDATES,
): UpdateServer => ({
  async patchLevel(release, architecture) {
    const directory = `${url}/${release}/${architecture}`;
    const tag = await fetched(files, `${directory}/latest.ssl`);
    if (tag === undefined) return undefined;
    const key = await fetched(files, `${directory}/pub.ssl`);
    if (key === undefined || createHash('sha256').update(key).digest('hex') !== keyPrint) {
      throw untrusted(`${directory}/pub.ssl is not the key of FreeBSD’s update server`);
    }
    const line = opened(key, tag);
    const [, machine, name, level] =
      /^freebsd-update\|([a-z0-9]+)\|([0-9A-Z.-]+)\|(\d{1,4})\|[0-9a-f]{64}\|\d{10,}\n?$/.exec(line ?? '') ??
      [];
    if (level === undefined || machine !== architecture || name !== release) {
      throw untrusted(
        `${directory}/latest.ssl ${line === undefined ? 'is not signed with the key of FreeBSD’s update server' : `is about something else: ${JSON.stringify(line.slice(0, 80))}`}`,
      );
    }
    return Number(level);
  },
});

async function fetched(files: Pick<MirrorFiles, 'bytes'>, url: string): Promise<Uint8Array | undefined> {
  const answer: MirrorBytes = await files.bytes(url);
  if (answer.status === 'found') return answer.bytes;
  if (answer.status === 'absent') return undefined;
  throw new FactoryError('MirrorUnreachable', {
    message: `the update server did not answer:\n- ${url}: ${answer.reason}`,
    remedy: 'try again later; updates: first-boot needs no update server at build time.',
  });
}

/** What was signed; undefined when it was signed with another key, or is no signature at all. */
function opened(key: Uint8Array, signature: Uint8Array): string | undefined {
  try {
    return publicDecrypt({ key: Buffer.from(key), padding: constants.RSA_PKCS1_PADDING }, signature).toString(
      'latin1',
    );
  } catch (error) {
    // OpenSSL's refusals have a code; anything else is ours.
    if (!(error instanceof Error && 'code' in error)) throw error;
    return undefined;
  }
}
