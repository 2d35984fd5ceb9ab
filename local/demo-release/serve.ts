/**
 * A mirror for the demo release: a static HTTP server on node:http with the habits of nginx (ETag, Last-Modified,
 * ranges, conditional requests, an HTML index of directories), and faults that a test can put on a path.
 *
 *   node local/demo-release/serve.ts DIR [PORT]
 *
 * Every answer carries `X-Ami-Foundry: demo-release`, so that nobody takes it for the real server.
 */
import { createReadStream, type Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve, sep } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a fault does; `times` is how often (default: every time). Faults of one path are tried in order. */
export type Fault = { readonly times?: number } & (
  | {
      /**
       * The body ends after `afterBytes` of what was asked for. `reset`: the connection is reset (RST). `close`: it is closed
       * before Content-Length is reached. `short`: Content-Length states the short length, so that HTTP is content.
       */
      readonly kind: 'truncate';
      readonly afterBytes: number;
      readonly ending: 'reset' | 'close' | 'short';
    }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  /** The byte at this offset of the file is inverted, if the answer holds it. */
  | { readonly kind: 'corrupt'; readonly atByte: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** No body byte and no header until the mirror is closed or the client gives up. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'ignore-range' }
  /** An HTML page with status 200, as captive portals and careless proxies send. */
  | { readonly kind: 'html' }
);

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  /** Status that was sent; 0 if the connection ended without one. */
  status: number;
  /** Body bytes handed to the connection. */
  bytes: number;
}

export interface MirrorOptions {
  readonly directory: string;
  /** 0 (default): any free port. */
  readonly port?: number;
  readonly host?: string;
  /** By URL path, e.g. `/releases/amd64/amd64/15.1-RELEASE/base.txz`. The map may be changed while the mirror runs. */
  readonly faults?: Map<string, Fault[]>;
}

export interface Mirror {
  /** Without a slash at the end. */
  readonly url: string;
  readonly requests: RecordedRequest[];
  readonly faults: Map<string, Fault[]>;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = { txz: 'application/x-xz', html: 'text/html' };

/** nginx's form: date and size in hexadecimal. */
function entityTag(facts: Stats): string {
  return `"${Math.floor(facts.mtimeMs / 1000).toString(16)}-${facts.size.toString(16)}"`;
}

/** The range of one `Range` header (RFC 9110, 14.1.2). Undefined: serve everything; null: cannot be satisfied. */
function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | undefined | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    const length = Number(last);
    return length === 0 || size === 0 ? null : { start: Math.max(0, size - length), end: size - 1 };
  }
  if (last !== '' && Number(last) < Number(first)) return undefined;
  if (Number(first) >= size) return null;
  return { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}

/** Whether the representation that the client holds, by `If-Range`, is the present one (a strong tag or an exact date). */
function rangeStillValid(header: string | undefined, tag: string, modified: string): boolean {
  return header === undefined || header === tag || header === modified;
}

function notModified(request: IncomingMessage, tag: string, facts: Stats): boolean {
  const wanted = request.headers['if-none-match'];
  if (wanted !== undefined) return wanted === '*' || wanted.split(/\s*,\s*/).includes(tag);
  const since = Date.parse(request.headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Math.floor(facts.mtimeMs / 1000) * 1000 <= since;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}

/** The directory index in the layout of nginx's autoindex: directories first, padded names, dates, sizes or `-`. */
async function directoryIndex(directory: string, path: string): Promise<string> {
  const rows: { name: string; date: string; size: string; directory: boolean }[] = [];
  for (const name of await readdir(directory)) {
    if (name.startsWith('.')) continue;
    const facts = await stat(join(directory, name)).catch(() => undefined);
    if (!facts) continue;
    const [, day, month, year, time] = /, (\d+) (\w+) (\d+) (\d+:\d+)/.exec(facts.mtime.toUTCString()) ?? [];
    rows.push({
      name: facts.isDirectory() ? `${name}/` : name,
      date: `${day}-${month}-${year} ${time}`,
      size: facts.isDirectory() ? '-' : String(facts.size),
      directory: facts.isDirectory(),
    });
  }
  rows.sort((a, b) => Number(b.directory) - Number(a.directory) || (a.name < b.name ? -1 : 1));
  const lines = rows.map(({ name, date, size }) => {
    const gap = ' '.repeat(Math.max(1, 51 - name.length));
    const link = name.split('/').map(encodeURIComponent).join('/');
    return `<a href="${link}">${escapeHtml(name)}</a>${gap}${date} ${size.padStart(19)}`;
  });
  const title = `Index of ${escapeHtml(path)}`;
  return (
    `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<h1>${title}</h1><hr><pre><a href="../">../</a>\r\n` +
    `${lines.map((line) => `${line}\r\n`).join('')}</pre><hr><p>ami-foundry demo release: not FreeBSD.</p></body>\r\n</html>\r\n`
  );
}

/** Takes the first fault that still has a turn; a counted one is used up. */
class FaultBook {
  readonly #used = new WeakMap<Fault, number>();
  readonly #faults: Map<string, Fault[]>;

  constructor(faults: Map<string, Fault[]>) {
    this.#faults = faults;
  }

  take(path: string): Fault | undefined {
    for (const fault of this.#faults.get(path) ?? []) {
      const used = this.#used.get(fault) ?? 0;
      if (used >= (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      this.#used.set(fault, used + 1);
      return fault;
    }
    return undefined;
  }
}

interface Body {
  readonly file: string;
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

async function sendBody(
  response: ServerResponse,
  body: Body,
  fault: Fault | undefined,
  recorded: RecordedRequest,
): Promise<void> {
  const cut = fault?.kind === 'truncate' ? fault : undefined;
  const length = cut ? Math.min(cut.afterBytes, body.length) : body.length;
  if (length > 0) {
    let at = body.start;
    const pass = new Transform({
      async transform(chunk: Buffer, _encoding, done) {
        let bytes = chunk;
        if (fault?.kind === 'corrupt' && fault.atByte >= at && fault.atByte < at + chunk.length) {
          bytes = Buffer.from(chunk);
          bytes[fault.atByte - at] = ~(bytes[fault.atByte - at] ?? 0) & 0xff;
        }
        at += chunk.length;
        if (fault?.kind === 'slow') await sleep((chunk.length / fault.bytesPerSecond) * 1000);
        recorded.bytes += bytes.length;
        done(null, bytes);
      },
    });
    // Slow answers go out in tenths of a second, not in one late piece.
    const piece = fault?.kind === 'slow' ? Math.max(1, Math.floor(fault.bytesPerSecond / 10)) : 1 << 16;
    const source = createReadStream(body.file, {
      start: body.start,
      end: body.start + length - 1,
      highWaterMark: Math.min(piece, 1 << 16),
    });
    await pipeline(source, pass, response, { end: false });
  }
  if (cut && cut.ending !== 'short' && length < body.length) {
    const { socket } = response;
    if (cut.ending === 'reset') {
      // What was written should arrive first: a reset throws away what the kernel still holds.
      while (socket && !socket.destroyed && socket.writableLength > 0) await sleep(5);
      await sleep(50);
      socket?.resetAndDestroy();
    } else {
      socket?.end();
    }
    return;
  }
  response.end();
}

export async function startMirror(options: MirrorOptions): Promise<Mirror> {
  const { port = 0, host = '127.0.0.1', faults = new Map<string, Fault[]>() } = options;
  const root = await realpath(resolve(options.directory));
  const book = new FaultBook(faults);
  const requests: RecordedRequest[] = [];

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    recorded: RecordedRequest,
  ): Promise<void> {
    const page = (status: number, html: string, headers: Record<string, string> = {}) => {
      recorded.status = status;
      const bytes = Buffer.from(html);
      response.writeHead(status, { 'content-type': 'text/html', 'content-length': bytes.length, ...headers });
      if (request.method === 'HEAD') response.end();
      else {
        recorded.bytes += bytes.length;
        response.end(bytes);
      }
    };
    const failure = (status: number, headers: Record<string, string> = {}) =>
      page(
        status,
        `<html><body><h1>${status}</h1><p>ami-foundry demo release</p></body></html>\r\n`,
        headers,
      );

    if (request.method !== 'GET' && request.method !== 'HEAD') return failure(405, { allow: 'GET, HEAD' });
    const fault = book.take(recorded.path);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'status') {
      const wait = fault.retryAfterSeconds;
      return failure(fault.status, wait === undefined ? {} : { 'retry-after': String(wait) });
    }
    if (fault?.kind === 'html') return page(200, '<html><body><h1>Please sign in</h1></body></html>\r\n');

    let decoded: string;
    try {
      decoded = decodeURIComponent(recorded.path);
    } catch {
      return failure(400);
    }
    // Dot files are the maker's own; a NUL would throw in fs.
    if (decoded.includes('\0') || decoded.split('/').some((part) => part.startsWith('.')))
      return failure(404);
    const file = await realpath(join(root, decoded)).catch(() => undefined);
    if (!file || (file !== root && !file.startsWith(root + sep))) return failure(404);
    const facts = await stat(file);
    if (facts.isDirectory()) {
      if (!recorded.path.endsWith('/')) return failure(301, { location: `${recorded.path}/` });
      return page(200, await directoryIndex(file, decoded));
    }
    if (recorded.path.endsWith('/')) return failure(404);

    const tag = entityTag(facts);
    const modified = facts.mtime.toUTCString();
    const headers: Record<string, string | number> = {
      'accept-ranges': 'bytes',
      etag: tag,
      'last-modified': modified,
      'content-type': TYPES[file.slice(file.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
    };
    if (notModified(request, tag, facts)) {
      recorded.status = 304;
      response.writeHead(304, headers).end();
      return;
    }
    // Node's types allow a list, its parser keeps the first.
    const ifRange = [request.headers['if-range']].flat()[0];
    const wanted =
      fault?.kind === 'ignore-range' || !rangeStillValid(ifRange, tag, modified)
        ? undefined
        : parseRange(request.headers.range, facts.size);
    if (wanted === null) return failure(416, { 'content-range': `bytes */${facts.size}` });
    const body = wanted
      ? { file, start: wanted.start, length: wanted.end - wanted.start + 1 }
      : { file, start: 0, length: facts.size };
    if (wanted) headers['content-range'] = `bytes ${wanted.start}-${wanted.end}/${facts.size}`;
    const short = fault?.kind === 'truncate' && fault.ending === 'short';
    headers['content-length'] = short ? Math.min(fault.afterBytes, body.length) : body.length;
    recorded.status = wanted ? 206 : 200;
    response.writeHead(recorded.status, headers);
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    await sendBody(response, body, fault, recorded);
  }

  const server = createServer((request, response) => {
    response.setHeader('x-ami-foundry', 'demo-release');
    const path = (request.url ?? '/').replace(/[?#].*$/s, '');
    const recorded: RecordedRequest = {
      method: request.method ?? '',
      path,
      range: request.headers.range,
      status: 0,
      bytes: 0,
    };
    requests.push(recorded);
    answer(request, response, recorded).catch((error: Error) => {
      // A client that goes away in the middle is no fault of the mirror; anything else must be seen.
      if (!response.headersSent) {
        recorded.status = 500;
        response
          .writeHead(500, { 'content-type': 'text/plain' })
          .end(`demo release mirror: ${error.message}\n`);
      } else response.destroy();
    });
  });
  await new Promise<void>((listening, fail) => {
    server.once('error', fail);
    server.listen(port, host, listening);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    requests,
    faults,
    close: () =>
      new Promise((closed, fail) => {
        server.close((error) => (error ? fail(error) : closed()));
        server.closeAllConnections();
      }),
  };
}

if (import.meta.main) {
  const [directory, port = '8015'] = process.argv.slice(2);
  if (!directory || !/^\d+$/.test(port)) {
    console.error('usage: node local/demo-release/serve.ts DIR [PORT]');
    process.exit(64);
  }
  const mirror = await startMirror({ directory, port: Number(port) });
  console.log(`demo release mirror: ${mirror.url}/releases/ (not FreeBSD; ends with Ctrl-C)`);
  const end = () => void mirror.close().then(() => process.exit(0));
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
}
