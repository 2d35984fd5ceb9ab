/**
 * What certctl(8) `rehash` leaves behind: /etc/ssl/certs with a name for each trusted certificate, the hash of its subject and a number,
 * which is where OpenSSL looks for the issuer of a certificate.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { ImageTree } from './image-tree.ts';

const TRUSTED = ['/usr/share/certs/trusted', '/usr/local/share/certs', '/usr/local/etc/ssl/certs'];
const UNTRUSTED = [
  '/usr/share/certs/untrusted',
  '/usr/local/etc/ssl/untrusted',
  '/usr/local/etc/ssl/blacklisted',
];
const DIRECTORY = '/etc/ssl/certs';
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

interface Der {
  readonly tag: number;
  readonly content: Buffer;
  readonly whole: Buffer;
}

function derAt(bytes: Buffer, at: number): Der {
  let length = bytes[at + 1] ?? 0;
  let start = at + 2;
  if (length & 0x80) {
    const count = length & 0x7f;
    length = bytes.readUIntBE(start, Math.min(count, 6));
    start += count;
  }
  if (start + length > bytes.length) throw new RangeError('a certificate is cut short');
  return {
    tag: bytes[at] ?? 0,
    content: bytes.subarray(start, start + length),
    whole: bytes.subarray(at, start + length),
  };
}

function derList(bytes: Buffer): Der[] {
  const found: Der[] = [];
  for (let at = 0; at < bytes.length; ) {
    const one = derAt(bytes, at);
    found.push(one);
    at += one.whole.length;
  }
  return found;
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size: number[] = [];
  for (let rest = length; rest > 0; rest >>= 8) size.unshift(rest & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | size.length, ...size]), content]);
}

/** String types of ASN.1 and how their bytes are read. */
const STRINGS: ReadonlyMap<number, (bytes: Buffer) => string> = new Map([
  [0x0c, (bytes: Buffer) => bytes.toString('utf8')],
  [0x13, (bytes: Buffer) => bytes.toString('latin1')],
  [0x14, (bytes: Buffer) => bytes.toString('latin1')],
  [0x16, (bytes: Buffer) => bytes.toString('latin1')],
  [0x1a, (bytes: Buffer) => bytes.toString('latin1')],
  [0x1e, (bytes: Buffer) => Buffer.from(bytes).swap16().toString('utf16le')],
]);

/** OpenSSL's subject hash: SHA-1 over the canonical form (UTF-8, small ASCII letters, single blanks), its first four bytes. */
export function subjectHash(certificate: Buffer): string {
  const [body] = derList(derAt(certificate, 0).content);
  const fields = derList(body?.content ?? Buffer.alloc(0));
  // The version, tagged [0], may be missing.
  const subject = fields[fields[0]?.tag === 0xa0 ? 5 : 4];
  const sets = derList(subject?.content ?? Buffer.alloc(0)).map((set) => {
    const pairs = derList(set.content).map((pair) => {
      const [type, value] = derList(pair.content);
      if (!type || !value) throw new RangeError('a name in a certificate is damaged');
      const read = STRINGS.get(value.tag);
      if (!read) return der(0x30, Buffer.concat([type.whole, value.whole]));
      const text = read(value.content)
        .replaceAll(/[\t\n\v\f\r ]+/g, ' ')
        .replaceAll(/^ | $/g, '')
        .replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
      return der(0x30, Buffer.concat([type.whole, der(0x0c, Buffer.from(text, 'utf8'))]));
    });
    return der(0x31, Buffer.concat(pairs.sort((a, b) => Buffer.compare(a, b))));
  });
  const digest = createHash('sha1').update(Buffer.concat(sets)).digest();
  return digest.readUInt32LE(0).toString(16).padStart(8, '0');
}

interface Found {
  readonly path: string;
  readonly pem: string;
  readonly alone: boolean;
  readonly fingerprint: string;
  readonly hash: string;
}

function certificatesIn(
  tree: ImageTree,
  directories: readonly string[],
  skipped: (path: string) => void,
): Found[] {
  const found: Found[] = [];
  for (const directory of directories) {
    for (const name of tree.list(directory)) {
      if (!/\.(pem|crt|cer)$/.test(name)) continue;
      const path = `${directory}/${name}`;
      if (!tree.stat(path)?.isFile()) continue;
      const blocks = tree.readText(path).match(PEM) ?? [];
      if (blocks.length === 0) skipped(path);
      for (const pem of blocks) {
        try {
          const certificate = new X509Certificate(pem);
          found.push({
            path,
            pem: `${pem}\n`,
            alone: blocks.length === 1,
            fingerprint: certificate.fingerprint256,
            hash: subjectHash(certificate.raw),
          });
        } catch {
          skipped(path);
        }
      }
    }
  }
  return found;
}

/** Makes the names anew. Those that sets or packages have brought stay if they are the same. */
export function rehashCertificates(tree: ImageTree, note: (text: string) => void): void {
  let skipped = 0;
  const skip = () => {
    skipped++;
  };
  const untrusted = new Set(certificatesIn(tree, UNTRUSTED, skip).map(({ fingerprint }) => fingerprint));
  const seen = new Set<string>();
  const numbers = new Map<string, number>();
  for (const { path, pem, alone, fingerprint, hash } of certificatesIn(tree, TRUSTED, skip)) {
    if (untrusted.has(fingerprint) || seen.has(fingerprint)) continue;
    seen.add(fingerprint);
    let number = numbers.get(hash) ?? 0;
    // What is there already under such a name and is the same file needs no second name.
    let there = false;
    for (; tree.stat(`${DIRECTORY}/${hash}.${number}`); number++) {
      const blocks = tree.readText(`${DIRECTORY}/${hash}.${number}`).match(PEM) ?? [];
      if (blocks.some((block) => `${block}\n` === pem)) there = true;
    }
    numbers.set(hash, number);
    if (there) continue;
    const target = `${DIRECTORY}/${hash}.${number}`;
    if (alone) tree.makeLink(target, `../../..${path}`, tree.attributes(0o755));
    else tree.writeText(target, pem, tree.attributes(0o444));
    numbers.set(hash, number + 1);
  }
  if (skipped > 0) note(`${skipped} files among the certificates hold none`);
}
