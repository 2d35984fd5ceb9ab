import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { apiRoutes } from '../core/api/routes.ts';
import { type Api, ApiUnreachable } from './api.ts';
import { type ConsoleFile, consoleFiles } from './console-files.ts';

export interface ConsoleServer {
  /** To be opened: it carries the key in its fragment, which no browser sends and no log keeps. */
  readonly address: string;
  close(): Promise<void>;
}

/** More than a recipe ever is; the API itself has its own limit. */
const MOST_BYTES = 1 << 20;

/** A name in a path, of which the API takes these characters. Never one of dots alone, with which a URL goes up; no other character comes escaped. */
const SEGMENT = "(?!\\.{1,2}(?:/|$))(?:[\\w!'()+.=@-]|%40|%2B|%3D)+";

/** Pages of the console: the browser's history has them, so their addresses are asked for when one is opened or loaded again. */
const pagePath = new RegExp(`^/(start|images|releases|runbook(/[\\w-]+)?|(builds|matrices)/${SEGMENT})$`);

/** What is passed on: the routes of the API and nothing else. */
const apiPaths = Object.values(apiRoutes).map(({ method, path }) => ({
  method: method as string,
  pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, SEGMENT)}$`),
}));

/** No script, style or connection but its own, and no text that becomes a script. */
const headers = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

/** Says no; the name is what the page shows. */
class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly remedy: string;
  constructor(status: number, code: string, message: string, remedy = '') {
    super(message);
    this.status = status;
    this.code = code;
    this.remedy = remedy;
  }
}

const refusalOf = (error: unknown): Refused => {
  if (error instanceof Refused) return error;
  if (error instanceof ApiUnreachable) return new Refused(502, error.name, error.detail, error.remedy);
  return new Refused(502, 'ApiUnreachable', error instanceof Error ? error.message : String(error));
};

/**
 * Serves the console to this machine and passes its requests on to the API, signed by `api`. Whoever reaches it acts with the user's
 * AWS credentials. So it listens on the loopback only; answers to its own name only, as another that resolves to 127.0.0.1 is an attack
 * (DNS rebinding); serves no other site (CSRF); and wants the key of this start for the API, as other users of the machine have a browser too.
 */
export async function serveConsole(settings: {
  readonly api: Api;
  /** 0: any that is free. */
  readonly port: number;
}): Promise<ConsoleServer> {
  const files = await consoleFiles();
  const key = randomBytes(32).toString('base64url');
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      const refused = refusalOf(error);
      send(response, refused.status, 'application/problem+json', JSON.stringify(problem(refused)));
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    refuseStrangers(request, (server.address() as AddressInfo).port);
    // Taken as it came, not as URL makes it: dots and escapes in it match nothing below.
    const [path = '', query] = url.split('?', 2);
    if (path.startsWith('/api/')) {
      if (!sameKey(request.headers['x-console-key'], key)) {
        throw new Refused(
          401,
          'ConsoleKeyWrong',
          'this page was opened for another start of the console: open the address that foundry console printed',
        );
      }
      await pass(settings.api, request, response, path.slice('/api'.length), query);
      return;
    }
    if (method !== 'GET' && method !== 'HEAD')
      throw new Refused(405, 'MethodNotAllowed', `${method} ${path}`);
    const file: ConsoleFile | undefined =
      path === '/data/factory.json'
        ? { type: 'application/json; charset=utf-8', body: JSON.stringify({ url: settings.api.url }) }
        : files.get(pagePath.test(path) ? '/' : path);
    if (file === undefined) throw new Refused(404, 'NotFound', `the console has no ${path}`);
    send(response, 200, file.type, method === 'HEAD' ? '' : file.body);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.port, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/#key=${key}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Host and Origin are set by browsers, and no page can set them. */
function refuseStrangers({ headers: sent }: IncomingMessage, port: number): void {
  const names = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (!names.includes(sent.host ?? '')) {
    throw new Refused(421, 'HostUnknown', `the console answers to ${names.join(' and ')} only`);
  }
  const origin = sent.origin;
  const site = sent['sec-fetch-site'];
  if (
    (origin !== undefined && origin !== `http://${sent.host}`) ||
    (site !== undefined && site !== 'same-origin' && site !== 'none')
  ) {
    throw new Refused(403, 'OriginRefused', 'another site asked for it');
  }
}

/** Compares digests: of equal length, and in the same time whatever is in them. */
function sameKey(given: string | string[] | undefined, key: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(key));
}

async function pass(
  api: Api,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  query: string | undefined,
): Promise<void> {
  const { method = '' } = request;
  if (!apiPaths.some((route) => route.method === method && route.pattern.test(path))) {
    throw new Refused(404, 'RouteNotFound', `the API has no ${method} ${path}`);
  }
  const body = await bodyOf(request);
  if (body !== '' && !/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
    throw new Refused(415, 'BodyNotJson', 'a body must be application/json');
  }
  // Written anew, so that what is signed is what is sent.
  const asked = new URLSearchParams(query ?? '').toString();
  const answered = await api.send(
    method,
    asked === '' ? path : `${path}?${asked}`,
    body === '' ? undefined : body,
  );
  const text = await answered.text();
  const type = answered.headers.get('content-type') ?? '';
  if (!/^application\/(problem\+)?json\b/.test(type)) {
    throw new Refused(502, 'ApiUnreachable', `the API answered ${answered.status} with ${type || 'no type'}`);
  }
  const patience = answered.headers.get('retry-after');
  send(response, answered.status, type, text, patience === null ? {} : { 'retry-after': patience });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Refused(413, 'BodyTooLarge', `a body may have ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Uint8Array,
  more: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...headers, 'content-type': type, ...more }).end(body);
}

/** As the API's own (RFC 9457). */
const problem = ({ status, code, message: detail, remedy }: Refused) => ({
  type: 'about:blank',
  title: code,
  status,
  detail,
  code,
  remedy,
  field: null,
  errors: [],
});
