import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { sets } from './synthetic-release.ts';

/** What a mirror does with one request for a set. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** An ordinary web server: ranges included. */
export const serve: Behaviour = (request, response, body) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from >= body.length && from > 0) {
    response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
    return;
  }
  const rest = body.subarray(from);
  const headers = { 'content-length': rest.length, 'content-type': 'application/octet-stream' };
  if (from > 0) {
    response.writeHead(206, {
      ...headers,
      'content-range': `bytes ${from}-${body.length - 1}/${body.length}`,
    });
  } else {
    response.writeHead(200, headers);
  }
  response.end(rest);
};

export const withoutRanges: Behaviour = (_request, response, body) => {
  response.writeHead(200, { 'content-length': body.length }).end(body);
};

export const notFound: Behaviour = (_request, response) => {
  response.writeHead(404, { 'content-type': 'text/html' }).end('<html>404</html>');
};

/** S3's answer to a presigned URL that has expired. */
export const forbidden: Behaviour = (_request, response) => {
  response
    .writeHead(403, { 'content-type': 'application/xml' })
    .end('<Error><Code>AccessDenied</Code></Error>');
};

export const unavailable: Behaviour = (_request, response) => {
  response.writeHead(503).end('busy');
};

/** A captive portal: a page, and status 200. */
export const page: Behaviour = (_request, response) => {
  response
    .writeHead(200, { 'content-type': 'text/html' })
    .end('<!doctype html><p>Sign in to the network</p>');
};

export const otherContent: Behaviour = (_request, response, body) => {
  const changed = Buffer.from(body);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  response.writeHead(200, { 'content-length': changed.length }).end(changed);
};

/** Says the whole length, sends a part of it and hangs up. */
export const cutAt =
  (bytes: number): Behaviour =>
  (request, response, body) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const headers = { 'content-length': body.length - from };
    if (from > 0)
      response.writeHead(206, {
        ...headers,
        'content-range': `bytes ${from}-${body.length - 1}/${body.length}`,
      });
    else response.writeHead(200, headers);
    response.write(body.subarray(from, from + bytes), () => setTimeout(() => response.socket?.destroy(), 50));
  };

/** As a mirror on its last legs: always the first bytes, whatever was asked for. */
export const alwaysCutAt =
  (bytes: number): Behaviour =>
  (_request, response, body) => {
    response.writeHead(200, { 'content-length': body.length });
    response.write(body.subarray(0, bytes), () => setTimeout(() => response.socket?.destroy(), 50));
  };

/** Sends a little and then nothing, without hanging up. */
export const stall: Behaviour = (_request, response, body) => {
  response.writeHead(200, { 'content-length': body.length });
  response.write(body.subarray(0, 200_000));
};

/** One behaviour for each request in turn; the last one stays. */
export const inTurn = (...behaviours: [Behaviour, ...Behaviour[]]): Behaviour => {
  let turn = 0;
  return (request, response, body) => {
    const behaviour = behaviours[Math.min(turn++, behaviours.length - 1)] ?? behaviours[0];
    behaviour(request, response, body);
  };
};

export interface Mirror {
  readonly url: string;
  /** Method, path and range of every request so far. */
  readonly requests: string[];
  close(): Promise<void>;
}

/** A mirror with the synthetic release; a set without a behaviour of its own is served. */
export async function startMirror(
  behaviours: Readonly<Record<string, Behaviour>> = {},
  files: Readonly<Record<string, Buffer>> = {},
): Promise<Mirror> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const name = new URL(request.url ?? '/', 'http://mirror').pathname.split('/').at(-1) ?? '';
    requests.push(`${request.method} ${name} ${request.headers.range ?? ''}`.trim());
    const body = files[name] ?? sets.find((set) => set.file === name)?.body;
    const behaviour = behaviours[name] ?? (body ? serve : notFound);
    behaviour(request, response, body ?? Buffer.alloc(0));
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/releases/amd64/amd64/15.1-RELEASE`,
    requests,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
