import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, ApiUnreachable } from '../../cli/api.ts';
import { type ConsoleServer, serveConsole } from '../../cli/console-server.ts';

/** The console's own server: who may ask, and for what. The API behind it is a notebook. */

const passed: { readonly method: string; readonly path: string; readonly body: string | undefined }[] = [];
let answer = (): Response => Response.json({ builds: [], nextToken: null });
const api: Api = {
  url: 'https://api.example',
  send: async (method, path, body) => {
    passed.push({ method, path, body });
    return answer();
  },
  call: () => Promise.reject(new Error('the console passes requests on as they are')),
};

let server: ConsoleServer;
let port: number;
let key: string;
beforeAll(async () => {
  server = await serveConsole({ api, port: 0 });
  const address = new URL(server.address);
  port = Number(address.port);
  key = address.hash.slice('#key='.length);
});
afterAll(() => server.close());

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Not fetch: it would not send a wrong Host, nor a path with dots in it. */
const ask = (
  path: string,
  { headers = {}, method = 'GET', body = '' }: { headers?: object; method?: string; body?: string } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port, path, method, headers: { host: `127.0.0.1:${port}`, ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
const withKey = (more: object = {}) => ({ headers: { 'x-console-key': key, ...more } });

describe('the console listens', () => {
  it('to this machine only', async () => {
    const others = Object.values(networkInterfaces())
      .flat()
      .filter((one) => one?.family === 'IPv4' && !one.internal);
    for (const other of others) {
      const reached = await new Promise<boolean>((resolve) => {
        const socket = connect({ host: other?.address ?? '', port, timeout: 2000 }, () => resolve(true));
        socket.on('error', () => resolve(false));
        socket.on('timeout', () => resolve(false));
        socket.on('close', () => socket.destroy());
      });
      expect(reached, other?.address).toBe(false);
    }
  });

  it.each(['/', '/console.js', '/data/runbook.json', '/api/builds'])(
    'to its own name only, whatever resolves to this machine: %s',
    async (path) => {
      for (const host of [
        'attacker.example',
        `attacker.example:${port}`,
        `127.0.0.1:${port + 1}`,
        'localhost',
      ]) {
        const { status, text } = await ask(path, withKey({ host }));
        expect({ host, status, code: (JSON.parse(text) as { code: string }).code }).toEqual({
          host,
          status: 421,
          code: 'HostUnknown',
        });
      }
      expect((await ask(path, withKey({ host: `localhost:${port}` }))).status).toBe(200);
    },
  );

  it.each([
    ['another site’s script', { origin: 'https://attacker.example' }],
    ['a page from nowhere', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a name of its own under another name', { origin: 'http://localhost:1' }],
    ['another site’s link', { 'sec-fetch-site': 'cross-site' }],
    ['another port’s page', { 'sec-fetch-site': 'same-site' }],
  ])('not to %s', async (_who, headers) => {
    passed.length = 0;
    for (const path of ['/', '/api/builds']) {
      expect((await ask(path, withKey(headers))).status).toBe(403);
    }
    expect((await ask('/api/builds/web', { method: 'DELETE', ...withKey(headers) })).status).toBe(403);
    expect(passed).toEqual([]);
  });

  it('for the API to who has the key of this start', async () => {
    passed.length = 0;
    for (const headers of [{}, { 'x-console-key': '' }, { 'x-console-key': `${key}x` }]) {
      const { status, text } = await ask('/api/builds', { headers });
      expect(status).toBe(401);
      expect(text).toContain('open the address that foundry console printed');
    }
    expect(passed).toEqual([]);
    expect((await ask('/api/builds', withKey())).status).toBe(200);
  });
});

describe('the console serves', () => {
  it.each(['/', '/start', '/builds/web-0861ae9e7de4-2', '/images', '/releases', '/runbook/InvalidRecipe'])(
    'its page at %s',
    async (path) => {
      const { status, headers, text } = await ask(path);
      expect(status).toBe(200);
      expect(headers['content-type']).toBe('text/html; charset=utf-8');
      expect(text).toContain('<script src="/console.js" type="module">');
      expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'");
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers['cache-control']).toBe('no-store');
    },
  );

  it.each([
    '/../package.json',
    '/%2e%2e/package.json',
    '/..%2fpackage.json',
    '/data/../../package.json',
    '//etc/passwd',
    '/builds/../console.ts',
    '/builds/a/b',
    '/console.ts',
    '/constructor',
    '/__proto__',
  ])('no file but its own: %s', async (path) => {
    expect((await ask(path)).status).toBe(404);
  });

  it.each(['/builds/web-15.1-test', '/builds/a%40b%3D1', '/builds/a@b=1', '/matrices/matrix-web-1'])(
    'a page for whatever a build may be called: %s',
    async (path) => {
      expect((await ask(path)).status).toBe(200);
    },
  );

  it('its pages to GET and HEAD only', async () => {
    expect((await ask('/', { method: 'POST' })).status).toBe(405);
    expect(await ask('/', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  it('the state machine’s file as it is deployed, and an entry for each code of the runbook', async () => {
    const machine = JSON.parse((await ask('/data/build-image.asl.json')).text) as { StartAt: string };
    expect(machine.StartAt).toBe('Begin');
    const entries = JSON.parse((await ask('/data/runbook.json')).text) as Record<string, string>;
    expect(entries.InvalidRecipe).toMatch(/^\*\*Description\.\*\*/);
  });

  it('nothing from elsewhere: no address of another host is in what it loads', async () => {
    for (const path of ['/', '/console.css']) expect((await ask(path)).text).not.toMatch(/https?:/);
    // Namespaces of XML are names, and are not fetched.
    const { text } = await ask('/console.js');
    const addresses = [...text.matchAll(/https?:\/\/[\w.-]+/g)].map(([address]) => address);
    expect(addresses.filter((address) => address !== 'http://www.w3.org')).toEqual([]);
  });
});

describe('the console passes on', () => {
  it('what the API has, as it was asked', async () => {
    passed.length = 0;
    await ask('/api/builds?limit=5&nextToken=a%2Fb%3D', withKey());
    await ask('/api/builds', {
      method: 'POST',
      body: '{"recipe":"name: web"}',
      ...withKey({ 'content-type': 'application/json', origin: `http://127.0.0.1:${port}` }),
    });
    await ask('/api/builds/web-1', { method: 'DELETE', ...withKey({ 'sec-fetch-site': 'same-origin' }) });
    await ask('/api/builds/web-15.1%40test/log', withKey());
    expect(passed).toEqual([
      { method: 'GET', path: '/builds?limit=5&nextToken=a%2Fb%3D', body: undefined },
      { method: 'POST', path: '/builds', body: '{"recipe":"name: web"}' },
      { method: 'DELETE', path: '/builds/web-1', body: undefined },
      { method: 'GET', path: '/builds/web-15.1%40test/log', body: undefined },
    ]);
  });

  it.each([
    ['GET', '/api/'],
    ['GET', '/api/builds/../images'],
    ['GET', '/api/builds/%2e%2e'],
    ['GET', '/api/builds/..'],
    ['GET', '/api/builds/.'],
    ['POST', '/api/builds/../resume'],
    ['GET', '/api/builds/a%2Fb'],
    ['GET', '/api/builds/a%5C..'],
    ['GET', '/api//builds'],
    ['PATCH', '/api/builds/web'],
    ['DELETE', '/api/images/ami-0123456789abcdef0'],
    ['GET', '/api/@attacker.example/'],
  ])('nothing else: %s %s', async (method, path) => {
    passed.length = 0;
    expect((await ask(path, { method, ...withKey() })).status).toBe(404);
    expect(passed).toEqual([]);
  });

  it('no form of another page: a body is JSON', async () => {
    passed.length = 0;
    const { status } = await ask('/api/builds', {
      method: 'POST',
      body: '{"recipe":"name: web"}',
      ...withKey({ 'content-type': 'text/plain' }),
    });
    expect(status).toBe(415);
    expect(passed).toEqual([]);
  });

  it('no body without end', async () => {
    const { status } = await ask('/api/builds', {
      method: 'POST',
      body: 'x'.repeat((1 << 20) + 1),
      ...withKey({ 'content-type': 'application/json' }),
    });
    expect(status).toBe(413);
  });

  it('answers that are JSON, with their status, and never a page of somebody’s', async () => {
    const before = answer;
    try {
      answer = () =>
        new Response('{"code":"BuildNotFound"}', {
          status: 404,
          headers: { 'content-type': 'application/problem+json' },
        });
      expect(await ask('/api/builds/web', withKey())).toMatchObject({
        status: 404,
        text: '{"code":"BuildNotFound"}',
      });
      answer = () => new Response('<script>alert(1)</script>', { headers: { 'content-type': 'text/html' } });
      const { status, headers, text } = await ask('/api/builds/web', withKey());
      expect(status).toBe(502);
      expect(headers['content-type']).toBe('application/problem+json');
      expect(text).not.toContain('<script>');
    } finally {
      answer = before;
    }
  });

  it('when the API wants to be asked again, and why nobody answers, with what to do about it', async () => {
    const before = answer;
    try {
      answer = () =>
        Response.json({ code: 'ApiBusy' }, { status: 503, headers: { 'retry-after': '2', 'x-theirs': '1' } });
      const busy = await ask('/api/builds', withKey());
      expect(busy).toMatchObject({ status: 503, headers: { 'retry-after': '2' } });
      expect(busy.headers).not.toHaveProperty('x-theirs');
      answer = () => {
        throw new ApiUnreachable('https://api.example does not answer', 'check the network.');
      };
      const { status, headers, text } = await ask('/api/builds', withKey());
      expect({ status, problem: JSON.parse(text) as unknown }).toMatchObject({
        status: 502,
        problem: {
          code: 'ApiUnreachable',
          detail: 'https://api.example does not answer',
          remedy: 'check the network.',
        },
      });
      expect(headers).not.toHaveProperty('retry-after');
    } finally {
      answer = before;
    }
  });
});
