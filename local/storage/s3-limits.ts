import type { IncomingMessage } from 'node:http';
import { unsupported } from '../front/service-error.ts';

/** fauxqs reads a request's body whole and at most 11 MiB of it (its `bodyLimit`). */
const BODY_BYTES = 11 * 1024 * 1024;

/** A plain PUT of more goes past its routes (fauxqs.ts): pieces of disks have 128 MiB, and a body stands in memory here. */
const PLAIN_BODY_BYTES = 512 * 1024 * 1024;

/** What a plain PUT has not: the routes that it goes past would keep these, or decode the body. */
const NOT_PLAIN =
  /^(?:x-amz-(?:meta-.*|checksum-.*|copy-source|decoded-content-length|trailer)|content-encoding)$/;

/** Whether a request is a PUT of an object that fauxqs's routes are too narrow for. */
export const isLargePut = (request: IncomingMessage, url: URL): boolean =>
  request.method === 'PUT' &&
  Number(request.headers['content-length'] ?? 0) > BODY_BYTES &&
  Number(request.headers['content-length']) <= PLAIN_BODY_BYTES &&
  !url.searchParams.has('uploadId') &&
  !Object.keys(request.headers).some((name) => NOT_PLAIN.test(name));

/**
 * Query parameters that fauxqs 2.4.1 reads (dist/s3, read for this list), and two that change nothing here. It does not
 * look at others: `PUT /bucket?versioning` would make a bucket, and say that all is well.
 */
const PARAMETERS = new Set([
  'attributes',
  'continuation-token',
  'delete',
  'delimiter',
  'encoding-type',
  'fetch-owner',
  'lifecycle',
  'list-type',
  'marker',
  'max-keys',
  'partNumber',
  'prefix',
  'renameObject',
  'start-after',
  'uploadId',
  'uploads',
  'x-id', // The SDK names the operation with it.
]);

/** Request headers likewise; SigV4's own are beside the point. */
const HEADERS =
  /^x-amz-(?:meta-.*|checksum-.*|sdk-checksum-algorithm|copy-source(?:-range)?|metadata-directive|mp-object-size|object-attributes|max-parts|part-number-marker|rename-source.*|content-sha256|date|security-token|user-agent|decoded-content-length|trailer)$/;

/** Conditions on writes, which it ignores: a lost race would look like a won one. */
const WRITE_CONDITIONS = ['if-none-match', 'if-match'];

/** Refuses what the object store would quietly not do. */
export function checkS3Request(request: IncomingMessage, url: URL): void {
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.has(name) && !/^x-amz-/i.test(name)) throw unsupported(`S3's ?${name}`);
  }
  for (const name of Object.keys(request.headers)) {
    if (name.startsWith('x-amz-') && !HEADERS.test(name)) throw unsupported(`S3's header ${name}`);
  }
  if (request.method !== 'PUT' && request.method !== 'POST') return;
  const condition = WRITE_CONDITIONS.find((name) => request.headers[name] !== undefined);
  if (condition !== undefined) throw unsupported(`conditional writes (${condition})`);
  if (isLargePut(request, url)) return;
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES) {
    throw unsupported(`S3 requests of more than ${BODY_BYTES} bytes: use a multipart upload`);
  }
}
