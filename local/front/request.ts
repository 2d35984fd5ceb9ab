import type { IncomingMessage } from 'node:http';
import { ServiceError } from './service-error.ts';

/** Who asks and for what, read off the SigV4 credential scope (`key/date/region/service/aws4_request`). */
export interface Scope {
  accessKey: string;
  region: string;
  service: string;
  presigned: boolean;
  sessionToken: string | undefined;
}

/**
 * AWS tells services apart by host name; here all share one, so the credential scope of the signature does it:
 * in the Authorization header, or in X-Amz-Credential of a presigned URL (IAM User Guide, "AWS Signature Version 4
 * for API requests").
 */
export function scopeOf(request: IncomingMessage, url: URL): Scope {
  const header = request.headers.authorization;
  const signedHeader = header?.match(/^AWS4-HMAC-SHA256 .*Credential=([^,\s]+)/)?.[1];
  const presigned = url.searchParams.get('X-Amz-Credential') ?? undefined;
  const credential = signedHeader ?? presigned;
  if (credential === undefined && (url.searchParams.has('AWSAccessKeyId') || header?.startsWith('AWS '))) {
    // Signature Version 2, which AWS CLI 1 still presigns with unless told `s3.signature_version s3v4`.
    throw new ServiceError(
      'InvalidRequest',
      'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    );
  }
  if (credential === undefined) {
    throw new ServiceError('MissingAuthenticationToken', 'Missing Authentication Token', 403);
  }
  const [accessKey, , region, service, end] = credential.split('/');
  if (!accessKey || !region || !service || end !== 'aws4_request') {
    throw new ServiceError('IncompleteSignature', `Credential must have five parts: '${credential}'.`, 400);
  }
  if (signedHeader !== undefined && !/Signature=[0-9a-f]{64}/.test(header ?? '')) {
    throw new ServiceError('IncompleteSignature', 'Authorization header requires Signature.', 400);
  }
  const token =
    signedHeader === undefined
      ? url.searchParams.get('X-Amz-Security-Token')
      : request.headers['x-amz-security-token'];
  return {
    accessKey,
    region,
    service,
    presigned: signedHeader === undefined,
    sessionToken: token ? String(token) : undefined,
  };
}

/** Reads a request body of at most `limit` bytes. */
export async function bodyOf(request: IncomingMessage, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > limit) {
      throw new ServiceError('RequestEntityTooLarge', `The request body exceeds ${limit} bytes.`, 413);
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}
