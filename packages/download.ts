/** Files over HTTP, with the patience of the rest of the factory: four attempts, growing pauses, no resuming. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { reason } from './errors.ts';

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 500;
/** Without a byte for so long a connection is dead (the fetch phase's curl has the same limit). */
const IDLE_MS = 60_000;
/** A catalogue has some ten megabytes, the largest packages some hundreds; beyond this a server is hostile. */
const MAX_BYTES = 8 * 2 ** 30;

export class NotThere extends Error {
  override readonly name = 'NotThere';
}

/** A URL for messages: no credentials and no query. */
export function printable(url: string): string {
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  parsed.search = '';
  return parsed.href;
}

export interface Downloaded {
  readonly sha256: string;
  readonly bytes: number;
}

/** fetch refuses credentials in a URL; they go where they belong. */
function requestOf(url: string): { url: string; headers: Record<string, string> } {
  const parsed = new URL(url);
  const { username, password } = parsed;
  parsed.username = '';
  parsed.password = '';
  const headers: Record<string, string> = { 'user-agent': 'ami-foundry' };
  if (username !== '' || password !== '') {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  }
  return { url: parsed.href, headers };
}

async function once(url: string, path: string): Promise<Downloaded> {
  const control = new AbortController();
  let timer = setTimeout(() => control.abort(new Error('no answer')), IDLE_MS);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => control.abort(new Error(`no data for ${IDLE_MS / 1000} s`)), IDLE_MS);
  };
  const arriving = `${path}.arriving`;
  try {
    const request = requestOf(url);
    const response = await fetch(request.url, { signal: control.signal, headers: request.headers });
    if (response.status === 404 || response.status === 410 || response.status === 403) {
      await response.body?.cancel();
      throw new NotThere(`${printable(url)} answered ${response.status}`);
    }
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw new Error(`${printable(url)} answered ${response.status}`);
    }
    const expected = Number(response.headers.get('content-length') ?? Number.NaN);
    const hash = createHash('sha256');
    let bytes = 0;
    const measure = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        alive();
        bytes += chunk.length;
        hash.update(chunk);
        done(bytes > MAX_BYTES ? new Error(`more than ${MAX_BYTES} bytes`) : null, chunk);
      },
    });
    await mkdir(dirname(path), { recursive: true });
    await pipeline(Readable.fromWeb(response.body), measure, createWriteStream(arriving));
    if (
      response.headers.get('content-encoding') === null &&
      Number.isFinite(expected) &&
      bytes !== expected
    ) {
      throw new Error(`got ${bytes} of ${expected} bytes`);
    }
    await rename(arriving, path);
    return { sha256: hash.digest('hex'), bytes };
  } finally {
    clearTimeout(timer);
    await rm(arriving, { force: true });
  }
}

/**
 * Fetches a file to `path`, made with its directory.
 * @throws NotThere when the server says that there is no such file (403 is what object stores say), at once
 * @throws Error with the last failure after the last attempt
 */
export async function download(url: string, path: string): Promise<Downloaded> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(url, path);
    } catch (error) {
      if (error instanceof NotThere) throw error;
      if (attempt === ATTEMPTS) throw new Error(`${printable(url)}: ${reason(error)}`);
      await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
    }
  }
}

/** Runs `work` for each item, at most `limit` at once; the first failure stops the rest from starting. */
export async function atOnce<T>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const runner = async (): Promise<void> => {
    while (!failed && next < items.length) {
      const item = items[next++] as T;
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, runner));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
