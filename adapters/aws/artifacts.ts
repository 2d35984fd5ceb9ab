import type { Artifacts, Sources } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { endpointSuffix, signingClient } from './signing-client.ts';

/**
 * A bucket, by aws4fetch instead of client-s3, whose endpoint rules, checksums and event streams would take
 * every bundle that touches S3 past its 300 kB: plain requests need none of them.
 * Credentials and endpoint come from the environment that Lambda sets, like the SDK's; AWS_ENDPOINT_URL as in "AWS SDKs and
 * Tools Reference Guide, Service-specific endpoints".
 */
export function s3Bucket(environment: NodeJS.ProcessEnv, bucket: string) {
  const {
    AWS_REGION: region = 'us-east-1',
    AWS_ENDPOINT_URL: anyEndpoint,
    AWS_ENDPOINT_URL_S3: s3Endpoint,
  } = environment;
  // Retries: 50 ms doubled five times: S3 asks for a pause of a second or two at most (SlowDown).
  const client = signingClient(environment, { service: 's3', region, retries: 5 });
  // The endpoint of the service goes before that of all.
  const endpoint = (s3Endpoint || anyEndpoint)?.replace(/\/+$/, '');
  const base = endpoint
    ? `${endpoint}/${bucket}`
    : `https://${bucket}.s3.${region}.${endpointSuffix(region)}`;
  const encoded = (key: string) => key.split('/').map(encodeURIComponent).join('/');
  const urlOf = (key: string) => new URL(`${base}/${encoded(key)}`);

  /** The bytes of an answer; throws by the name that S3 gives an error. */
  const requestBytes = async (
    operation: string,
    key: string,
    url: URL,
    init: RequestInit,
  ): Promise<Buffer> => {
    const failed = (name: string, reason: string, cause?: unknown) =>
      Object.assign(new Error(`${operation} of ${key} in ${bucket}: ${reason}`, { cause }), { name });
    let response: Response;
    let bytes: Buffer;
    try {
      response = await client.fetch(url, init);
      bytes = Buffer.from(await response.arrayBuffer());
    } catch (error) {
      // fetch throws TypeError for every network failure; the state machine retries by name.
      if (!(error instanceof TypeError)) throw error;
      const reason = error.cause instanceof Error ? error.cause.message : '';
      throw failed('ServiceUnavailable', reason || error.message, error);
    }
    // CopyObject may answer 200 and say in the body that it failed (S3 API Reference, CopyObject).
    const mayFail = !response.ok || operation === 'CopyObject';
    const text = mayFail ? bytes.toString('utf8') : '';
    const code = mayFail ? /<Code>([^<]+)<\/Code>/.exec(text)?.[1] : undefined;
    if (response.ok && code === undefined) return bytes;
    // A proxy or load balancer answers without S3's XML.
    const unnamed = response.status >= 500 ? 'ServiceUnavailable' : `HTTP${response.status}`;
    const message =
      /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? `HTTP ${response.status} ${response.statusText}`;
    throw failed(code ?? unnamed, message);
  };
  const request = async (...what: Parameters<typeof requestBytes>): Promise<string> =>
    (await requestBytes(...what)).toString('utf8');
  return { client, encoded, urlOf, request, requestBytes };
}

/** The artifacts bucket, as builds fill it. */
export function s3Artifacts(environment: NodeJS.ProcessEnv, bucket: string): Artifacts {
  const { client, encoded, urlOf, request, requestBytes } = s3Bucket(environment, bucket);

  const presigned = async (method: string, key: string, seconds: number): Promise<string> => {
    const url = urlOf(key);
    url.searchParams.set('X-Amz-Expires', String(seconds));
    const signed = await client.sign(url, { method, aws: { signQuery: true } });
    return signed.url;
  };

  return {
    put: async (key, body, contentType) =>
      void (await request('PutObject', key, urlOf(key), {
        method: 'PUT',
        body,
        headers: { 'content-type': contentType },
      })),
    // Who may not list the bucket is not told what is not in it (S3 API Reference, GetObject, "Permissions").
    get: async (key) =>
      await unless(['NoSuchKey', 'AccessDenied'], () =>
        requestBytes('GetObject', key, urlOf(key), { method: 'GET' }),
      ),
    copy: async (from, to) =>
      void (await request('CopyObject', to, urlOf(to), {
        method: 'PUT',
        headers: { 'x-amz-copy-source': `/${bucket}/${encoded(from)}` },
      })),
    presign: async (key, seconds) => await presigned('GET', key, seconds),
    presignPut: async (key, seconds) => await presigned('PUT', key, seconds),
  };
}

/** Objects of the recipe's author, in buckets of the same region that the function's role may read. */
export const s3Sources = (environment: NodeJS.ProcessEnv): Sources => ({
  async presign(uri, seconds) {
    // The recipe's schema lets nothing else through.
    const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/(.+)$/.exec(uri) ?? [];
    return await s3Artifacts(environment, bucket).presign(key, seconds);
  },
});
