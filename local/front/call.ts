import type { IncomingMessage } from 'node:http';
import { operationNamed, parseInput } from '../ec2/codec.ts';
import type { Scope } from './request.ts';
import { ServiceError } from './service-error.ts';

/** What one request asks for. */
export interface Asked {
  /** As the credential scope has it: `ec2`, `s3`, `ssm`, `states`. */
  readonly service: string;
  /** Name of the operation, as the service's API reference has it. */
  readonly action: string;
  readonly region: string;
  /** The operation's members; of S3 only the bucket, the key and the source of a copy. */
  readonly input: Readonly<Record<string, unknown>>;
}

/** Tells what a request asks for without answering it; a body that makes no sense is for the service to refuse. */
export async function askedBy(request: IncomingMessage, url: URL, scope: Scope): Promise<Asked> {
  const { service, region } = scope;
  if (service === 'execute-api') {
    return { service, region, action: 'Invoke', input: { Method: request.method, Path: url.pathname } };
  }
  const target = request.headers['x-amz-target'];
  if (target !== undefined) {
    const text = await bodyAhead(request);
    return { service, region, action: String(target).split('.').at(-1) ?? '', input: json(text) };
  }
  if (service === 's3') return { service, region, ...s3Operation(request, url) };
  if (service === 'ebs') {
    const asked = ebsOperation(request, url);
    const starts = asked.action === 'StartSnapshot';
    return { service, region, ...asked, ...(starts ? { input: json(await bodyAhead(request)) } : {}) };
  }
  if (service === 'lambda') {
    const name = /^\/2015-03-31\/functions\/([^/]+)/.exec(url.pathname)?.[1];
    const action =
      request.method === 'POST' ? 'Invoke' : name === undefined ? 'ListFunctions' : 'GetFunction';
    return { service, region, action, input: name === undefined ? {} : { FunctionName: name } };
  }
  if (service === 'ses') {
    const action = request.method === 'GET' ? 'GetEmailIdentity' : 'SendEmail';
    return { service, region, action, input: json(await bodyAhead(request)) };
  }
  const form = request.method === 'GET' ? url.search : await bodyAhead(request);
  const parameters = new URLSearchParams(form);
  const action = parameters.get('Action') ?? '';
  return { service, region, action, input: service === 'ec2' ? ec2Input(action, parameters) : {} };
}

/** The body, which stays where it is for the service to read; empty when nothing says how long it is. */
async function bodyAhead(request: IncomingMessage): Promise<string> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (!(length > 0)) return '';
  return await new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    const gone = () => reject(new ServiceError('IncompleteBody', 'The client went away within its request.'));
    const take = () => {
      for (let piece = request.read(); piece !== null; piece = request.read()) {
        pieces.push(piece);
        size += piece.length;
      }
      if (size < length) return;
      request.off('readable', take);
      request.off('close', gone);
      const body = Buffer.concat(pieces);
      // In the same turn as the last read: the stream has not come to its end yet.
      request.unshift(body);
      resolve(body.toString('utf8'));
    };
    request.on('readable', take);
    request.once('close', gone);
  });
}

function json(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text || '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // Refused by the service.
  }
}

function ec2Input(action: string, parameters: URLSearchParams): Record<string, unknown> {
  const operation = operationNamed(action);
  try {
    return operation === undefined ? {} : parseInput(operation, parameters);
  } catch {
    return {}; // Refused by the service.
  }
}

/** The operations of S3 that differ by more than their method (Amazon S3 API Reference, "Actions"). */
function s3Operation(request: IncomingMessage, url: URL): Pick<Asked, 'action' | 'input'> {
  const { method = 'GET', headers } = request;
  const [bucket = '', ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent);
  const key = rest.join('/');
  const source = headers['x-amz-copy-source'];
  const input = {
    ...(bucket === '' ? {} : { Bucket: bucket }),
    ...(key === '' ? {} : { Key: key }),
    ...(key === '' && url.searchParams.has('prefix') ? { Prefix: url.searchParams.get('prefix') } : {}),
    ...(source === undefined ? {} : { CopySource: decodeURIComponent(String(source)) }),
  };
  const has = (name: string) => url.searchParams.has(name);
  const what = method.charAt(0) + method.slice(1).toLowerCase();
  if (bucket === '') return { action: 'ListBuckets', input };
  if (key === '') {
    if (method === 'GET') return { action: has('list-type') ? 'ListObjectsV2' : 'ListObjects', input };
    if (method === 'POST') return { action: 'DeleteObjects', input };
    return { action: method === 'PUT' ? 'CreateBucket' : `${what}Bucket`, input };
  }
  if (has('uploadId')) {
    const part = source === undefined ? 'UploadPart' : 'UploadPartCopy';
    const actions: Record<string, string> = {
      PUT: part,
      POST: 'CompleteMultipartUpload',
      DELETE: 'AbortMultipartUpload',
    };
    return { action: actions[method] ?? 'ListParts', input };
  }
  if (method === 'POST') return { action: 'CreateMultipartUpload', input };
  return { action: method === 'PUT' && source !== undefined ? 'CopyObject' : `${what}Object`, input };
}

/** "Amazon EBS direct APIs", API reference: the operation is in the path. */
function ebsOperation({ method }: IncomingMessage, url: URL): Pick<Asked, 'action' | 'input'> {
  const [, , first, second, third] = url.pathname.split('/').map(decodeURIComponent);
  if (first === undefined) return { action: 'StartSnapshot', input: {} };
  if (first === 'completion') return { action: 'CompleteSnapshot', input: { SnapshotId: second } };
  if (second === 'changedblocks') return { action: 'ListChangedBlocks', input: { SecondSnapshotId: first } };
  if (third === undefined) return { action: 'ListSnapshotBlocks', input: { SnapshotId: first } };
  const action = method === 'PUT' ? 'PutSnapshotBlock' : 'GetSnapshotBlock';
  return { action, input: { SnapshotId: first, BlockIndex: Number(third) } };
}
