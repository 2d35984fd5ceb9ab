import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Tells the error code of an answer when the service gives it; undefined of one that is no error. */
export function watch(response: ServerResponse, seen: (code: string | undefined) => void): void {
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  response.end = (...args: unknown[]) => {
    // Errors are short: every service here gives them in one piece.
    seen(codeOf(response.statusCode, args[0]));
    return end(...args);
  };
}

/** An answer that a service has given, and that has not left. */
export interface Withheld {
  /** Resolves when the service has said all. */
  readonly given: Promise<void>;
  /** Lets it go. Without this the response is as new. */
  release(): void;
}

/** Keeps back what a service answers. */
export function withhold(response: ServerResponse): Withheld {
  const own = {
    writeHead: response.writeHead.bind(response),
    write: response.write.bind(response),
    end: response.end.bind(response),
  };
  const { promise: given, resolve } = Promise.withResolvers<void>();
  const pieces: Buffer[] = [];
  const fresh = response.statusCode;
  let head: { status: number; headers: OutgoingHttpHeaders | undefined } | undefined;
  const keep = (args: readonly unknown[]) => {
    const [piece, encoding] = args;
    if (typeof piece === 'string') {
      pieces.push(Buffer.from(piece, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'));
    } else if (piece instanceof Uint8Array) {
      pieces.push(Buffer.from(piece));
    }
    const done = args.find((one) => typeof one === 'function') as (() => void) | undefined;
    done?.();
  };
  response.writeHead = (status: number, ...rest: unknown[]) => {
    const headers = rest.find((one) => typeof one === 'object' && one !== null);
    head = { status, headers: headers as OutgoingHttpHeaders | undefined };
    response.statusCode = status;
    return response;
  };
  response.write = (...args: unknown[]) => {
    keep(args);
    return true;
  };
  response.end = (...args: unknown[]) => {
    keep(args);
    // Fastify looks whether its answer has gone, and answers again if it has not.
    Object.defineProperty(response, 'writableEnded', { value: true, configurable: true });
    setImmediate(() => {
      Reflect.deleteProperty(response, 'writableEnded');
      Object.assign(response, own, { statusCode: fresh });
      resolve();
    });
    return response;
  };
  response.once('close', resolve);
  return {
    given,
    release: () => {
      if (head) response.writeHead(head.status, head.headers);
      response.end(Buffer.concat(pieces));
    },
  };
}

/** `Code` of EC2 and S3, `__type` or a header of the JSON services. */
function codeOf(status: number, body: unknown): string | undefined {
  if (status < 400) return undefined;
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body.toString() : '';
  const [, xml, json] = /<Code>([^<]+)<\/Code>|"__type":"([^"]+)"/.exec(text) ?? [];
  return xml ?? json ?? `HTTP${status}`;
}
