import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

export const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** `20261123T231408Z` → epoch milliseconds, or undefined. */
export function basicTime(text: string): number | undefined {
  const parts = text.match(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/);
  if (!parts) return undefined;
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

/** AWS takes a signature for five minutes, and so for clocks that differ as much ("Elements of an AWS API request signature"). */
const PATIENCE_MILLISECONDS = 5 * 60_000;

/**
 * Whether a request is signed with this secret, in its Authorization header: "Create a signed AWS API request", IAM User Guide. Path and
 * query are encoded once more or taken as they stand: clients differ where the two do, and AWS's do too (S3 encodes once, others twice).
 */
export function signatureHolds(request: IncomingMessage, body: Buffer, secret: string, now: number): boolean {
  const { headers, method, url = '/' } = request;
  const [, credential = '', signedHeaders = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  const [, day = '', region = '', service = ''] = credential.split('/');
  const date = String(headers['x-amz-date'] ?? '');
  const signedAt = basicTime(date);
  if (signedAt === undefined || Math.abs(now - signedAt) > PATIENCE_MILLISECONDS) return false;
  // Whoever leaves the host out could be sent elsewhere.
  if (!date.startsWith(day) || !signedHeaders.split(';').includes('host')) return false;
  const declared = headers['x-amz-content-sha256'];
  const payload = sha256(body);
  if (declared !== undefined && declared !== payload) return false;

  const head = signedHeaders
    .split(';')
    .map((name) => `${name}:${[headers[name] ?? ''].flat().join(',').trim().replace(/ +/g, ' ')}\n`)
    .join('');
  const [path = '/', query = ''] = splitOnce(url, '?');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const key = hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), 'aws4_request');
  const given = Buffer.from(signature, 'hex');
  return pathsOf(path).some((canonicalPath) =>
    queriesOf(query).some((canonicalQuery) => {
      const canonical = [method, canonicalPath, canonicalQuery, head, signedHeaders, payload].join('\n');
      const expected = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`);
      return given.length === expected.length && timingSafeEqual(given, expected);
    }),
  );
}

function splitOnce(text: string, mark: string): string[] {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

const pathsOf = (path: string): string[] => [path.split('/').map(encode).join('/'), path];

function queriesOf(query: string): string[] {
  const pairs = query.split('&').filter((pair) => pair !== '');
  const sorted = (all: readonly (readonly string[])[]) =>
    all
      .map(([name = '', value = '']) => [name, value] as const)
      .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
      .map(([name, value]) => `${name}=${value}`)
      .join('&');
  const raw = pairs.map((pair) => splitOnce(pair, '='));
  try {
    return [
      sorted(raw),
      sorted(raw.map((pair) => pair.map((part) => encode(decodeURIComponent(part))))),
      sorted(raw.map((pair) => pair.map((part) => encode(decodeURIComponent(part.replaceAll('+', ' ')))))),
    ];
  } catch (error) {
    if (error instanceof URIError) return [sorted(raw)];
    throw error;
  }
}
