import { createHash, createHmac } from 'node:crypto';

/**
 * Signature Version 4 as the receiver computes it, from the bytes of a request line and its headers. Written after
 * "Signature Calculations for the Authorization Header" and "Authenticating Requests: Using Query Parameters" (Amazon S3 API
 * Reference) and nothing else; the tests hold it against the examples of those pages.
 */
export interface Received {
  readonly method: string;
  /** The target of the request line: path and query, as sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac('sha256', key).update(text, 'utf8').digest();
const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** UriEncode(): every byte but the unreserved characters of RFC 3986. */
const uriEncode = (text: string): string =>
  [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9._~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');

const byBytes = ([a]: readonly [string, string], [b]: readonly [string, string]) =>
  Buffer.compare(Buffer.from(a), Buffer.from(b));

export interface Verdict {
  readonly given: string;
  readonly computed: string;
  readonly expires: number | undefined;
  readonly signedHeaders: readonly string[];
  readonly scope: string;
}

export function judge({ method, target, headers }: Received, secret: string): Verdict {
  const [path = '', search = ''] = target.split(/\?(.*)/s);
  const pairs = search
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [string, string] => {
      const [key = '', value = ''] = pair.split(/=(.*)/s);
      return [decodeURIComponent(key), decodeURIComponent(value)];
    });
  const query = new Map(pairs);
  const presigned = query.has('X-Amz-Signature');
  const authorization = Object.fromEntries(
    (headers.authorization ?? '')
      .replace('AWS4-HMAC-SHA256 ', '')
      .split(/, ?/)
      .map((part) => part.split(/=(.*)/s).slice(0, 2)),
  ) as Record<string, string | undefined>;
  const pick = (inQuery: string, inHeader: string | undefined) =>
    (presigned ? query.get(inQuery) : inHeader) ?? '';
  const [, ...scopeParts] = pick('X-Amz-Credential', authorization.Credential).split('/');
  const scope = scopeParts.join('/');
  const signedHeaders = pick('X-Amz-SignedHeaders', authorization.SignedHeaders).split(';');
  const date = pick('X-Amz-Date', headers['x-amz-date']);
  const canonical = [
    method,
    path
      .split('/')
      .map((segment) => uriEncode(decodeURIComponent(segment)))
      .join('/'),
    pairs
      .filter(([key]) => key !== 'X-Amz-Signature')
      .map(([key, value]): [string, string] => [uriEncode(key), uriEncode(value)])
      .sort(byBytes)
      .map(([key, value]) => `${key}=${value}`)
      .join('&'),
    ...signedHeaders.map((name) => `${name}:${(headers[name] ?? '').trim().replaceAll(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    presigned ? 'UNSIGNED-PAYLOAD' : (headers['x-amz-content-sha256'] ?? ''),
  ].join('\n');
  const [day = '', region = '', service = '', terminator = ''] = scopeParts;
  const key = hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), terminator);
  return {
    given: pick('X-Amz-Signature', authorization.Signature),
    computed: hmac(key, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex'),
    expires: query.has('X-Amz-Expires') ? Number(query.get('X-Amz-Expires')) : undefined,
    signedHeaders,
    scope,
  };
}
