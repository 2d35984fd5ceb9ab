import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ServiceError } from './service-error.ts';
import { basicTime, encode } from './signed.ts';

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/**
 * Checks a presigned URL: expiry always, the signature when the secret of its access key is known.
 * "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", Amazon S3 API Reference: expiry is
 * X-Amz-Date plus X-Amz-Expires seconds (1 to 604800), the payload hash is UNSIGNED-PAYLOAD, paths are encoded once.
 */
export function checkPresigned(
  request: IncomingMessage,
  url: URL,
  now: number,
  secret: string | undefined,
): void {
  const query = url.searchParams;
  const incomplete = (message: string) => new ServiceError('AuthorizationQueryParametersError', message, 400);
  for (const name of [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ]) {
    if (!query.has(name)) throw incomplete(`Query-string authentication requires ${name}.`);
  }
  const date = query.get('X-Amz-Date') ?? '';
  const signedAt = basicTime(date);
  if (signedAt === undefined) throw incomplete('X-Amz-Date must be in the ISO8601 basic format.');
  const expires = Number(query.get('X-Amz-Expires'));
  if (!Number.isInteger(expires) || expires < 1 || expires > 604_800) {
    throw incomplete('X-Amz-Expires must be between 1 and 604800 seconds.');
  }
  if (now > signedAt + expires * 1000) throw new ServiceError('AccessDenied', 'Request has expired', 403);

  const credential = query.get('X-Amz-Credential') ?? '';
  const [, day = '', region = '', service = ''] = credential.split('/');
  if (secret === undefined) return;

  // The raw query, not URLSearchParams: a '+' must stay what the signer saw.
  const pairs = url.search
    .slice(1)
    .split('&')
    .filter((pair) => !pair.startsWith('X-Amz-Signature='))
    .map((pair) => {
      const at = pair.indexOf('=');
      const name = at < 0 ? pair : pair.slice(0, at);
      const value = at < 0 ? '' : pair.slice(at + 1);
      return [encode(decodeURIComponent(name)), encode(decodeURIComponent(value))] as const;
    })
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
  const signedHeaders = query.get('X-Amz-SignedHeaders') ?? '';
  const headers = signedHeaders
    .split(';')
    .map(
      (name) =>
        `${name}:${String(request.headers[name] ?? '')
          .trim()
          .replace(/ +/g, ' ')}\n`,
    )
    .join('');
  const payload = query.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD';
  const canonical = [
    request.method,
    (request.url ?? '/').split('?')[0],
    pairs.map(([name, value]) => `${name}=${value}`).join('&'),
    headers,
    signedHeaders,
    payload,
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const key = hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), 'aws4_request');
  const expected = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`);
  const given = Buffer.from(query.get('X-Amz-Signature') ?? '', 'hex');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new ServiceError(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided.',
      403,
    );
  }
}
