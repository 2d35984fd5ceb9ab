import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../clock.ts';

/** What the metadata service tells; read at each request, so that changes show. */
export interface Metadata {
  enabled: boolean;
  tokenRequired: boolean;
  userData: Buffer | undefined;
  /** Leaves below `latest/meta-data/`. */
  leaves: Record<string, string>;
  identity: Record<string, unknown>;
}

/** "Use IMDSv2": a token lives 1 to 21,600 seconds. */
const MAX_TOKEN_SECONDS = 21_600;
const TOKEN_HEADER = 'x-aws-ec2-metadata-token';
const TTL_HEADER = 'x-aws-ec2-metadata-token-ttl-seconds';

/** Path that the instance's power-off program calls. Not part of IMDS; no real one answers it. */
export const POWER_OFF_PATH = '/local-cloud/power-off';

/**
 * The instance metadata service of one instance. EC2 User Guide, "Use the Instance Metadata Service to access instance
 * metadata": PUT for a token (refused when it carries X-Forwarded-For), 401 without one, 403 when disabled. The hop
 * limit means nothing on one machine and is ignored.
 */
export async function startImds(
  clock: Clock,
  read: () => Metadata,
  onPowerOff: () => void,
): Promise<{ endpoint: string; close(): Promise<void> }> {
  const tokens: { token: Buffer; until: number; seconds: number }[] = [];
  const server = createServer((request, response) => {
    request.resume();
    answer(request, response);
  });

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/').replace(/\/{2,}/g, '/');
    const end = (status: number, body: string | Buffer = '', headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'text/plain', server: 'EC2ws', ...headers });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (path === POWER_OFF_PATH && request.method === 'PUT') {
      end(200);
      onPowerOff();
      return;
    }
    const metadata = read();
    if (!metadata.enabled) {
      end(403);
      return;
    }
    if (path === '/latest/api/token') {
      const seconds = Number(request.headers[TTL_HEADER]);
      if (request.method !== 'PUT') end(405);
      else if (request.headers['x-forwarded-for'] !== undefined) end(403);
      else if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_TOKEN_SECONDS) end(400);
      else {
        const token = Buffer.from(randomBytes(42).toString('base64url'));
        tokens.push({ token, until: clock.now() + seconds * 1000, seconds });
        end(200, token, { [TTL_HEADER]: String(seconds) });
      }
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      end(405);
      return;
    }
    const given = request.headers[TOKEN_HEADER];
    const headers: Record<string, string> = {};
    if (given !== undefined || metadata.tokenRequired) {
      const known = tokens.find(
        ({ token, until }) =>
          until > clock.now() &&
          typeof given === 'string' &&
          given.length === token.length &&
          timingSafeEqual(Buffer.from(given), token),
      );
      if (!known) {
        end(401);
        return;
      }
      headers[TTL_HEADER] = String(Math.ceil((known.until - clock.now()) / 1000));
    }
    const found = lookUp(path, metadata);
    if (found === undefined) end(404);
    else end(200, found, headers);
  };

  await listen(server);
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const listen = (server: Server) =>
  new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });

function lookUp(path: string, metadata: Metadata): string | Buffer | undefined {
  // Real versions are dated (`2021-07-15`) or `latest`; all show the same here.
  const match = path.match(/^\/(?:latest|\d{4}-\d\d-\d\d)(?:\/(.*))?$/);
  if (!match) return path === '/' ? 'latest' : undefined;
  const rest = (match[1] ?? '').replace(/\/$/, '');
  if (rest === '') return 'dynamic\nmeta-data\nuser-data';
  if (rest === 'user-data') return metadata.userData;
  if (rest === 'dynamic') return 'instance-identity/';
  if (rest === 'dynamic/instance-identity') return 'document';
  if (rest === 'dynamic/instance-identity/document') return JSON.stringify(metadata.identity, undefined, 2);
  if (rest === 'meta-data') return listing(metadata.leaves, '');
  if (!rest.startsWith('meta-data/')) return undefined;
  const leaf = rest.slice('meta-data/'.length);
  if (Object.hasOwn(metadata.leaves, leaf)) return metadata.leaves[leaf];
  const below = listing(metadata.leaves, `${leaf}/`);
  return below === '' ? undefined : below;
}

/** Names right below `prefix`; those with something below them end in a slash. */
function listing(leaves: Record<string, string>, prefix: string): string {
  const names = new Set<string>();
  for (const leaf of Object.keys(leaves)) {
    if (!leaf.startsWith(prefix)) continue;
    const [first = '', ...more] = leaf.slice(prefix.length).split('/');
    names.add(more.length > 0 ? `${first}/` : first);
  }
  return [...names].sort().join('\n');
}
