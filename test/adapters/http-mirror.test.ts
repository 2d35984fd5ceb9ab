import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { httpMirror } from '../../adapters/mirror/http-mirror.ts';

let server: Server;
let answer: (...call: Parameters<RequestListener>) => unknown;
let asked: number;
let base: string;
const pauses: number[] = [];

const mirror = httpMirror(
  async (milliseconds) => {
    pauses.push(milliseconds);
  },
  { bytes: 100_000, milliseconds: 300, digestMilliseconds: 300 },
);
const read = (path = '/MANIFEST') => mirror.read(`${base}${path}`);

beforeEach(async () => {
  asked = 0;
  pauses.length = 0;
  server = createServer((request, response) => {
    asked++;
    answer(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

describe('a mirror', () => {
  test('that has the file gives its text', async () => {
    answer = (_, response) => response.end('base.txz\t…\n');
    expect(await read()).toEqual({ status: 'found', text: 'base.txz\t…\n' });
    expect(asked).toBe(1);
  });

  test('is asked for exactly the path', async () => {
    answer = (request, response) => response.end(request.url);
    expect(await read('/a%20b/~c/')).toEqual({ status: 'found', text: '/a%20b/~c/' });
  });

  test('gives pages too: what they are is for others to say', async () => {
    answer = (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
    expect(await read()).toEqual({ status: 'found', text: '<html></html>' });
  });

  test('gives what is no text byte by byte', async () => {
    answer = (_, response) => response.end(Buffer.from([0, 255, 128, 10]));
    expect(await mirror.bytes(`${base}/latest.ssl`)).toEqual({
      status: 'found',
      bytes: Buffer.from([0, 255, 128, 10]),
    });
    answer = (_, response) => response.end(Buffer.alloc(100_001));
    expect(await mirror.bytes(`${base}/latest.ssl`)).toMatchObject({ status: 'unreachable' });
  });

  test('tells of a file without sending it', async () => {
    const methods: unknown[] = [];
    answer = (request, response) => {
      methods.push(request.method);
      response.writeHead(200, { 'content-length': 7, 'content-type': 'application/x-xz' }).end();
    };
    const found = { status: 'found', bytes: 7, type: 'application/x-xz' };
    expect(await mirror.head(`${base}/base.txz`)).toEqual(found);
    answer = (_, response) => response.writeHead(404).end();
    expect(await mirror.head(`${base}/base.txz`)).toEqual({ status: 'absent' });
    expect(methods).toEqual(['HEAD']);
  });

  test.each([404, 410])('that answers %i has it not, and is not asked again', async (status) => {
    answer = (_, response) => response.writeHead(status).end('not here');
    expect(await read()).toEqual({ status: 'absent' });
    expect(asked).toBe(1);
  });

  test('that answers 500 first is asked again, after a pause', async () => {
    answer = (_, response) => (asked < 3 ? response.writeHead(500).end() : response.end('now'));
    expect(await read()).toEqual({ status: 'found', text: 'now' });
    expect(pauses).toHaveLength(2);
    expect(pauses[1]).toBeGreaterThan(pauses[0] ?? 0);
  });

  test.each([403, 500, 503])('that always answers %i is unreachable', async (status) => {
    answer = (_, response) => response.writeHead(status).end();
    expect(await read()).toEqual({ status: 'unreachable', reason: `HTTP ${status}` });
    expect(asked).toBe(3);
  });

  test('that never answers is unreachable', async () => {
    answer = () => {};
    const began = performance.now();
    expect(await read()).toMatchObject({ status: 'unreachable', reason: expect.stringMatching(/time/i) });
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(asked).toBe(3);
  });

  test('that stops in the middle is unreachable', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half');
    };
    expect(await read()).toMatchObject({ status: 'unreachable', reason: expect.stringMatching(/time/i) });
  });

  test('that hangs up in the middle is unreachable', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    };
    expect(await read()).toMatchObject({ status: 'unreachable' });
  });

  test('that sends without end is cut off at the limit', async () => {
    let sent = 0;
    answer = async (_, response) => {
      const piece = Buffer.alloc(50_000, 'x');
      while (!response.destroyed && sent < 100_000_000) {
        sent += piece.length;
        if (!response.write(piece)) await sleep(1);
      }
    };
    expect(await read()).toEqual({ status: 'unreachable', reason: 'answered more than 100000 bytes' });
    expect(sent).toBeLessThan(50_000_000);
  });

  test('takes the limit in bytes, and one less is well', async () => {
    answer = (_, response) => response.end('ü'.repeat(50_000));
    expect(await read()).toMatchObject({ status: 'found', text: 'ü'.repeat(50_000) });
    answer = (_, response) => response.end(`${'ü'.repeat(50_000)}x`);
    expect(await read()).toMatchObject({ status: 'unreachable' });
  });

  test('is followed where it sends us', async () => {
    answer = (request, response) =>
      request.url === '/here' ? response.end('found') : response.writeHead(302, { location: '/here' }).end();
    expect(await read()).toEqual({ status: 'found', text: 'found' });
  });

  test.each(['127.0.0.1', 'localhost'])(
    'at %s where nobody listens is unreachable, with the reason of the system',
    async (host) => {
      const { port } = server.address() as AddressInfo;
      await new Promise((resolve) => {
        server.close(resolve);
      });
      expect(await mirror.read(`http://${host}:${port}/`)).toMatchObject({
        status: 'unreachable',
        reason: expect.stringContaining('ECONNREFUSED'),
      });
      server.listen(0, '127.0.0.1');
    },
  );

  test.each(['http://no-such-host.invalid/', 'http://[bad/', 'ftp://127.0.0.1/'])(
    'with the URL %s is unreachable, not a crash',
    async (url) => {
      expect(await mirror.read(url)).toMatchObject({
        status: 'unreachable',
        reason: expect.stringMatching(/./),
      });
    },
  );
});

describe('the digest of a file', () => {
  const digest = () => mirror.digest(`${base}/packagesite.pkg`);

  test('is that of all its bytes, however many', async () => {
    const body = Buffer.alloc(3_000_000, 'catalogue');
    answer = (_, response) => response.end(body);
    expect(await digest()).toEqual({
      status: 'found',
      sha256: createHash('sha256').update(body).digest('hex'),
      bytes: body.length,
    });
  });

  test('that is not there is not asked for again', async () => {
    answer = (_, response) => response.writeHead(404).end();
    expect(await digest()).toEqual({ status: 'absent' });
    expect(asked).toBe(1);
  });

  test('of half a file is none: it is asked for again, and comes to an end', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half');
      response.destroy();
    };
    expect(await digest()).toMatchObject({ status: 'unreachable' });
    expect(asked).toBe(3);
  });
});
