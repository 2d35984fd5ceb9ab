import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { s3Artifacts, s3Sources } from '../../adapters/aws/artifacts.ts';
import { judge, type Received } from './signature-v4.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const credentials = {
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: SECRET,
  AWS_REGION: 'eu-central-1',
};

describe('the judge of signatures', () => {
  // Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
  const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  const header = (signed: string, signature: string) =>
    `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signed},Signature=${signature}`;
  const common = { host: 'examplebucket.s3.amazonaws.com', 'x-amz-date': '20130524T000000Z' };

  test.each<[string, Received]>([
    [
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
      {
        method: 'GET',
        target: '/test.txt',
        headers: {
          ...common,
          range: 'bytes=0-9',
          'x-amz-content-sha256': EMPTY,
          authorization: header('host;range;x-amz-content-sha256;x-amz-date', 'given'),
        },
      },
    ],
    [
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
      {
        method: 'PUT',
        target: '/test$file.text',
        headers: {
          ...common,
          date: 'Fri, 24 May 2013 00:00:00 GMT',
          'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
          'x-amz-storage-class': 'REDUCED_REDUNDANCY',
          authorization: header('date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class', 'given'),
        },
      },
    ],
    [
      'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
      {
        method: 'GET',
        target:
          '/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=given',
        headers: { host: 'examplebucket.s3.amazonaws.com' },
      },
    ],
  ])('computes %s, as the AWS documentation does', (signature, received) => {
    expect(judge(received, SECRET)).toMatchObject({ computed: signature, given: 'given' });
  });
});

interface Call extends Received {
  readonly body: string;
}

let server: Server;
let endpoint: string;
let calls: Call[];
let answers: { status: number; body?: string }[];

const receive = async (request: IncomingMessage): Promise<Call> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    headers: request.headers as Record<string, string>,
    body: Buffer.concat(chunks).toString('utf8'),
  };
};

beforeEach(async () => {
  calls = [];
  answers = [];
  server = createServer((request, response) => {
    void receive(request).then((call) => {
      calls.push(call);
      const { status, body = '' } = answers.shift() ?? { status: 200 };
      response.writeHead(status).end(body);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

const artifacts = (more: Record<string, string> = {}) =>
  s3Artifacts({ ...credentials, AWS_ENDPOINT_URL: endpoint, ...more }, 'my-bucket');

const keys = [
  'builds/demo-0123456789ab/job',
  'builds/demo/console.log',
  'a b/c+d',
  "quote'(and)*!~",
  'ümlaut/日本',
  'per%cent%20/a=b&c?d#e',
  '$file;v=1,2:3@x',
];

describe('putting an artifact', () => {
  test.each(keys)('%j is a request whose signature S3 accepts, for exactly that key', async (key) => {
    await artifacts().put(key, 'inhalt: ä\n', 'text/plain; charset=utf-8');
    const [call] = calls;
    if (!call) throw new Error('no request came');
    expect(call).toMatchObject({ method: 'PUT', body: 'inhalt: ä\n' });
    expect(call.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(decodeURIComponent(call.target)).toBe(`/my-bucket/${key}`);
    const verdict = judge(call, SECRET);
    expect(verdict.given).toBe(verdict.computed);
    expect(verdict.signedHeaders).toEqual(
      expect.arrayContaining(['host', 'x-amz-content-sha256', 'x-amz-date']),
    );
    expect(verdict.scope).toMatch(/^\d{8}\/eu-central-1\/s3\/aws4_request$/);
  });

  test('sends and signs the session token of a role', async () => {
    await artifacts({ AWS_SESSION_TOKEN: 'token+with/odd==' }).put('k', 'x', 'text/plain');
    const verdict = judge(calls[0] as Call, SECRET);
    expect(verdict.given).toBe(verdict.computed);
    expect(verdict.signedHeaders).toContain('x-amz-security-token');
    expect(calls[0]?.headers['x-amz-security-token']).toBe('token+with/odd==');
  });

  test('is the judge awake? A changed secret does not verify', async () => {
    await artifacts({ AWS_SECRET_ACCESS_KEY: 'other' }).put('k', 'x', 'text/plain');
    const verdict = judge(calls[0] as Call, SECRET);
    expect(verdict.given).not.toBe(verdict.computed);
  });

  test('is tried again when S3 asks for it', async () => {
    answers = [
      { status: 503, body: '<Error><Code>SlowDown</Code></Error>' },
      { status: 500 },
      { status: 200 },
    ];
    await artifacts().put('k', 'the body', 'text/plain');
    expect(calls.map(({ body }) => body)).toEqual(['the body', 'the body', 'the body']);
  });

  test.each([
    [
      'AccessDenied',
      403,
      '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>',
      'Access Denied',
    ],
    [
      'NoSuchBucket',
      404,
      '<Error><Code>NoSuchBucket</Code><Message>No such bucket</Message></Error>',
      'No such bucket',
    ],
    ['HTTP400', 400, '', 'HTTP 400'],
    ['HTTP403', 403, '<html>proxy</html>', 'HTTP 403'],
  ])('fails as %s when S3 says so, without a second try', async (name, status, body, message) => {
    answers = Array(9).fill({ status, body });
    const error = await artifacts()
      .put('builds/x/job', 'secret body', 'text/plain')
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name, message: expect.stringContaining(message) });
    expect((error as Error).message).toContain('builds/x/job in my-bucket');
    expect((error as Error).message).not.toContain('secret body');
    expect(calls).toHaveLength(1);
  });

  test.each([
    ['SlowDown', '<Error><Code>SlowDown</Code></Error>'],
    ['InternalError', '<Error><Code>InternalError</Code></Error>'],
    ['ServiceUnavailable', ''],
  ])('fails as %s, which the state machine retries, when S3 never recovers', async (name, body) => {
    answers = Array(9).fill({ status: 503, body });
    await expect(artifacts().put('k', 'x', 'text/plain')).rejects.toMatchObject({ name });
    expect(calls).toHaveLength(6);
  });

  test('fails as ServiceUnavailable when nobody listens', async () => {
    await new Promise((resolve) => {
      server.close(resolve);
    });
    await expect(artifacts().put('k', 'x', 'text/plain')).rejects.toMatchObject({
      name: 'ServiceUnavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    server.listen(0, '127.0.0.1');
  });
});

describe('a copy', () => {
  test('is asked for by the key of its source, and is signed', async () => {
    answers = [{ status: 200, body: '<CopyObjectResult/>' }];
    await artifacts().copy('builds/a b/sbom', 'images/a b/sbom');
    const [call] = calls;
    if (!call) throw new Error('no request came');
    expect(call.headers['x-amz-copy-source']).toBe('/my-bucket/builds/a%20b/sbom');
    expect(judge(call, SECRET).given).toBe(judge(call, SECRET).computed);
  });

  // S3 API Reference, CopyObject: an error may come after the 200 was sent.
  test('that fails after its status was sent is an error by its name', async () => {
    answers = [{ status: 200, body: '<Error><Code>InternalError</Code><Message>again</Message></Error>' }];
    await expect(artifacts().copy('from', 'to')).rejects.toMatchObject({ name: 'InternalError' });
  });
});

describe('a presigned URL', () => {
  test.each(keys)('of %j lets anybody fetch exactly that key', async (key) => {
    answers = [{ status: 200, body: 'the object' }];
    const url = await artifacts({ AWS_SESSION_TOKEN: 'token+with/odd==' }).presign(key, 1800);
    const response = await fetch(url);
    expect(await response.text()).toBe('the object');
    const [call] = calls;
    if (!call) throw new Error('no request came');
    expect(decodeURIComponent(call.target.split('?')[0] ?? '')).toBe(`/my-bucket/${key}`);
    const verdict = judge(call, SECRET);
    expect(verdict.given).toMatch(/^[0-9a-f]{64}$/);
    expect(verdict.given).toBe(verdict.computed);
    expect(verdict.expires).toBe(1800);
    expect(verdict.signedHeaders).toEqual(['host']);
    expect(new URL(url).searchParams.get('X-Amz-Security-Token')).toBe('token+with/odd==');
  });

  test.each(keys)('for PUT of %j lets anybody put exactly that key, and not fetch it', async (key) => {
    answers = [{ status: 200, body: '' }];
    const url = await artifacts().presignPut(key, 1800);
    await fetch(url, { method: 'PUT', body: 'the object' });
    const [call] = calls;
    if (!call) throw new Error('no request came');
    const verdict = judge(call, SECRET);
    expect(verdict.given).toBe(verdict.computed);
    const fetched = judge({ ...call, method: 'GET' }, SECRET);
    expect(fetched.given).not.toBe(fetched.computed);
  });

  test('of an s3:// address is of that bucket and key', async () => {
    const url = new URL(await s3Sources(credentials).presign('s3://company-releases/a b/kernel.txz', 60));
    expect(`${url.host}${url.pathname}`).toBe(
      'company-releases.s3.eu-central-1.amazonaws.com/a%20b/kernel.txz',
    );
  });

  test('can be put into a line of a shell script: printable ASCII without blanks and quotes', async () => {
    for (const key of keys) expect(await artifacts().presign(key, 60)).toMatch(/^[!-~]+$/);
  });

  test('does not ask the network', async () => {
    await artifacts().presign('k', 60);
    expect(calls).toEqual([]);
  });
});

describe('the endpoint', () => {
  const hostOf = async (environment: Record<string, string>) => {
    const url = new URL(await s3Artifacts({ ...credentials, ...environment }, 'my-bucket').presign('k', 60));
    return `${url.protocol}//${url.host}${url.pathname}`;
  };

  test.each<[string, Record<string, string>, string]>([
    ['is that of the region', {}, 'https://my-bucket.s3.eu-central-1.amazonaws.com/k'],
    ['of us-east-1 too', { AWS_REGION: 'us-east-1' }, 'https://my-bucket.s3.us-east-1.amazonaws.com/k'],
    [
      'of China has its own suffix',
      { AWS_REGION: 'cn-north-1' },
      'https://my-bucket.s3.cn-north-1.amazonaws.com.cn/k',
    ],
    ['may be set for all services', { AWS_ENDPOINT_URL: 'http://all:1' }, 'http://all:1/my-bucket/k'],
    ['may be set for S3', { AWS_ENDPOINT_URL_S3: 'http://s3:2' }, 'http://s3:2/my-bucket/k'],
    [
      'of S3 goes before that of all ("Service-specific endpoints", precedence)',
      { AWS_ENDPOINT_URL: 'http://all:1', AWS_ENDPOINT_URL_S3: 'http://s3:2' },
      'http://s3:2/my-bucket/k',
    ],
    ['may end in a slash', { AWS_ENDPOINT_URL: 'http://all:1/' }, 'http://all:1/my-bucket/k'],
    [
      'set to nothing is not set',
      { AWS_ENDPOINT_URL: '' },
      'https://my-bucket.s3.eu-central-1.amazonaws.com/k',
    ],
  ])('%s', async (_, environment, expected) => {
    expect(await hostOf(environment)).toBe(expected);
  });
});

// A second judge, of other hands: the signer of the AWS CLI (test/local/judges/setup-venv.sh makes the environment).
const python = fileURLToPath(new URL('../../.state/venv/bin/python', import.meta.url));
const BOTOCORE = `
import datetime, json, sys
import botocore.auth, botocore.awsrequest, botocore.credentials
asked = json.load(sys.stdin)
moment = datetime.datetime.strptime(asked['date'], '%Y%m%dT%H%M%SZ')
botocore.auth.get_current_datetime = lambda *a, **k: moment
credentials = botocore.credentials.Credentials('AKIAIOSFODNN7EXAMPLE', asked['secret'], asked.get('token'))
request = botocore.awsrequest.AWSRequest(method=asked['method'], url=asked['url'], headers={})
auth = botocore.auth.S3SigV4QueryAuth(credentials, 's3', asked['region'], expires=asked['expires'])
auth.add_auth(request)
print(request.url)
`;

test.skipIf(!existsSync(python))('a presigned URL has the signature that botocore gives', async () => {
  for (const key of keys) {
    const url = new URL(await artifacts({ AWS_SESSION_TOKEN: 'token' }).presign(key, 900));
    const bare = `${url.origin}${url.pathname}`;
    const given = url.searchParams;
    const input = JSON.stringify({
      date: given.get('X-Amz-Date'),
      secret: SECRET,
      token: 'token',
      method: 'GET',
      // botocore signs a path as it stands: in the encoding of S3.
      url: bare.replaceAll(/[!'()*$;,:@&=+](?!\/)/g, (character, at: number) =>
        at < url.origin.length ? character : encoded(character),
      ),
      region: 'eu-central-1',
      expires: 900,
    });
    const theirs = new URL(execFileSync(python, ['-c', BOTOCORE], { input, encoding: 'utf8' }).trim());
    expect(theirs.searchParams.get('X-Amz-Date'), key).toBe(given.get('X-Amz-Date'));
    expect(theirs.searchParams.get('X-Amz-Signature'), key).toBe(given.get('X-Amz-Signature'));
  }
});

const encoded = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
