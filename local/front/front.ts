import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type HttpApi, refuse } from '../api/http-api.ts';
import type { Clock } from '../clock.ts';
import { escapeXml } from '../ec2/codec.ts';
import type { Faults } from '../faults.ts';
import type { Authorize } from '../iam/guard.ts';
import { awsJsonError } from './aws-json.ts';
import { checkPresigned } from './presigned.ts';
import { type Scope, scopeOf } from './request.ts';
import { ServiceError, unsupported } from './service-error.ts';

export type Service = (
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  scope: Scope,
) => Promise<void>;

/** The keys of the account's owner. */
export const LOCAL_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local' } as const;

/** What a request with some access key must be signed with; undefined for a key that this cloud did not hand out. */
type KeysOf = (
  accessKey: string,
) => { readonly secretAccessKey: string; readonly sessionToken?: string } | undefined;

/** One HTTP port in front of all services. */
export class Front {
  readonly #server: Server;
  readonly #services: Readonly<Record<string, Service>>;
  readonly #faults: Faults;
  readonly #keys: KeysOf;
  readonly #authorize: Authorize;
  readonly #api: HttpApi;
  readonly #clock: Clock;
  readonly #log: (line: string) => void;

  constructor(parts: {
    services: Readonly<Record<string, Service>>;
    faults: Faults;
    /** Those of roles; the owner's are known. */
    keys: KeysOf;
    authorize: Authorize;
    /** Whose requests need no word of theirs to be known when nobody has signed them. */
    api: HttpApi;
    clock: Clock;
    log: (line: string) => void;
  }) {
    this.#services = parts.services;
    this.#faults = parts.faults;
    this.#keys = (key) => (key === LOCAL_CREDENTIALS.accessKeyId ? LOCAL_CREDENTIALS : parts.keys(key));
    this.#authorize = parts.authorize;
    this.#api = parts.api;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.#log(`front: ${error instanceof Error ? error.stack : String(error)}`);
        response.destroy();
      });
    });
    // Node's own answers have no body. Who asks this way is not known yet; an HTTP API has something to say, other services close.
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (!socket.writable) return;
      const tooLong = error.code === 'HPE_HEADER_OVERFLOW';
      const status = tooLong ? '431 Request Header Fields Too Large' : '400 Bad Request';
      const body = JSON.stringify({ message: status.slice(4) });
      socket.end(
        `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
      );
    });
    // Presigned downloads and consoles are polled by curl and SDKs with keep-alive; 5 s of Node's default is too short
    // for a client that pauses between polls and then meets a closing socket.
    this.#server.keepAliveTimeout = 60_000;
    this.#server.requestTimeout = 0;
  }

  /** Listens on the loopback interface only: there are no secrets here to keep anybody out. */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = urlOf(request);
    let scope: Scope | undefined;
    try {
      scope = scopeOf(request, url);
      const keys = this.#keys(scope.accessKey);
      if (scope.presigned) checkPresigned(request, url, this.#clock.now(), keys?.secretAccessKey);
      checkToken(scope, keys?.sessionToken);
      const service = Object.hasOwn(this.#services, scope.service)
        ? this.#services[scope.service]
        : undefined;
      if (!service) throw unsupported(`the service ${scope.service}`);
      const { accessKey } = scope;
      const known = scope;
      await this.#faults.around({ request, response, url, scope }, async (asked) => {
        await this.#authorize(asked, accessKey);
        await service(request, response, url, known);
      });
    } catch (error) {
      if (response.headersSent) throw error;
      request.resume();
      const ofApi = scope?.service === 'execute-api' || (!scope && this.#api.has(request.method ?? '', url));
      if (ofApi) refuseAsApi(response, error, this.#log);
      else answerError(request, response, url, error, this.#log);
    }
  }
}

/** An HTTP API with IAM authorization says Forbidden and no more, whatever is wrong with a signature, or missing. */
function refuseAsApi(response: ServerResponse, error: unknown, log: (line: string) => void): void {
  const known = error instanceof ServiceError && error.statusCode < 500;
  if (!known) log(`api: ${error instanceof Error ? error.stack : String(error)}`);
  refuse(response, known ? 403 : 500, known ? 'Forbidden' : 'Internal Server Error');
}

/** A request line may have anything in the place of a path, such as two slashes at its beginning. */
function urlOf({ url = '/' }: IncomingMessage): URL {
  return new URL(url.startsWith('/') ? `http://local${url}` : url, 'http://local');
}

/**
 * Keys of a role hold with a session token only (IAM User Guide, "Use temporary credentials with AWS resources"). Each environment
 * of a function has one of its own, which begins with the role's.
 */
function checkToken({ service, sessionToken = '' }: Scope, wanted: string | undefined): void {
  if (wanted === undefined || sessionToken.startsWith(wanted)) return;
  if (service === 's3') {
    throw new ServiceError('InvalidToken', 'The provided token is malformed or otherwise invalid.');
  }
  throw new ServiceError(
    'InvalidClientTokenId',
    'The security token included in the request is invalid.',
    403,
  );
}

/** An error before any service was reached, in the shape that the caller's service has. */
function answerError(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  error: unknown,
  log: (line: string) => void,
): void {
  const { status, answer } = awsJsonError(error, log, `${request.method} ${url.pathname}`);
  const code = error instanceof ServiceError ? error.name : answer.__type;
  const json =
    request.headers['x-amz-target'] !== undefined || /^\/(?:2015-03-31|snapshots)(?:\/|$)/.test(url.pathname);
  if (json) {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': code });
    response.end(JSON.stringify(answer));
    return;
  }
  const requestId = randomUUID();
  const inner = `<Code>${escapeXml(code)}</Code><Message>${escapeXml(answer.message)}</Message>`;
  const form = String(request.headers['content-type'] ?? '').includes('x-www-form-urlencoded');
  // EC2's own query protocol, and that of SNS, STS and Auto Scaling.
  const ec2 = /\/ec2\/aws4_request/.test(request.headers.authorization ?? '');
  const wrapped = ec2
    ? `<Response><Errors><Error>${inner}</Error></Errors><RequestID>${requestId}</RequestID></Response>`
    : `<ErrorResponse><Error>${inner}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
  const xml = form ? wrapped : `<Error>${inner}<RequestId>${requestId}</RequestId></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml', 'x-amz-request-id': requestId });
  response.end(request.method === 'HEAD' ? undefined : `<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
}
