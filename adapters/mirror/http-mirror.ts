import { createHash } from 'node:crypto';
import type {
  Mirror,
  MirrorAnswer,
  MirrorBytes,
  MirrorDigest,
  MirrorFiles,
  MirrorHead,
} from '../../core/ports.ts';

/** A MANIFEST has some 1.5 KB and a directory index some 50 KB: what is larger is neither. */
const usualLimits = {
  bytes: 1024 * 1024,
  milliseconds: 15_000,
  /** A catalogue of all ports has some 10 MB; the function has 60 s. */
  digestMilliseconds: 40_000,
};
const TRIES = 3;

/** Reads small files of a release mirror over HTTP or HTTPS, with retries. */
export const httpMirror = (
  pause: (milliseconds: number) => Promise<void>,
  limits = usualLimits,
): Mirror & MirrorFiles => {
  /** One request; `take` makes of an answer what is wanted, or says why it cannot. */
  const ask = async <Answer extends { readonly status: 'found' }>(
    url: string,
    milliseconds: number,
    take: (response: Response) => Promise<Answer | Unreachable>,
    method: 'GET' | 'HEAD' = 'GET',
  ): Promise<Answer | Absent | Unreachable> => {
    const response = await fetch(url, { method, signal: AbortSignal.timeout(milliseconds) });
    if (response.ok) return await take(response);
    await response.body?.cancel();
    return response.status === 404 || response.status === 410
      ? { status: 'absent' }
      : { status: 'unreachable', reason: `HTTP ${response.status}` };
  };

  const withRetries = async <Answer extends { readonly status: string }>(
    once: () => Promise<Answer | Unreachable>,
  ): Promise<Answer | Unreachable> => {
    let answer: Answer | Unreachable = { status: 'unreachable', reason: 'not tried' };
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      try {
        answer = await once();
      } catch (error) {
        // fetch throws TypeError for every network failure, with the system's error as its cause, and DOMException on time-out.
        if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
        answer = { status: 'unreachable', reason: reasonOf(error), silent: true };
      }
      if (answer.status !== 'unreachable') return answer;
      if (attempt < TRIES) await pause(250 * 4 ** (attempt - 1));
    }
    return answer;
  };

  return {
    read: async (url) =>
      await withRetries(async () =>
        ask<Found<MirrorAnswer>>(url, limits.milliseconds, async (response) => {
          const bytes = await bytesUpTo(limits.bytes, response);
          return bytes === undefined
            ? { status: 'unreachable', reason: `answered more than ${limits.bytes} bytes` }
            : { status: 'found', text: new TextDecoder().decode(bytes) };
        }),
      ),
    bytes: async (url) =>
      await withRetries(async () =>
        ask<Found<MirrorBytes>>(url, limits.milliseconds, async (response) => {
          const bytes = await bytesUpTo(limits.bytes, response);
          return bytes === undefined
            ? { status: 'unreachable', reason: `answered more than ${limits.bytes} bytes` }
            : { status: 'found', bytes };
        }),
      ),
    head: async (url) =>
      await withRetries(async () =>
        ask<Found<MirrorHead>>(
          url,
          limits.milliseconds,
          async ({ headers }) => ({
            status: 'found',
            bytes: headers.has('content-length') ? Number(headers.get('content-length')) : undefined,
            type: headers.get('content-type') ?? '',
          }),
          'HEAD',
        ),
      ),
    digest: async (url) =>
      await withRetries(async () =>
        ask<Found<MirrorDigest>>(url, limits.digestMilliseconds, async (response) => {
          const hash = createHash('sha256');
          let bytes = 0;
          for await (const chunk of response.body ?? []) {
            hash.update(chunk);
            bytes += chunk.byteLength;
          }
          return { status: 'found', sha256: hash.digest('hex'), bytes };
        }),
      ),
  };
};

type Found<Answer> = Extract<Answer, { readonly status: 'found' }>;
type Absent = Extract<MirrorAnswer, { readonly status: 'absent' }>;
type Unreachable = Extract<MirrorAnswer, { readonly status: 'unreachable' }>;

/** The body of an answer; undefined when it is longer, without reading the rest. */
async function bytesUpTo(most: number, response: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of response.body ?? []) {
    read += chunk.byteLength;
    if (read > most) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A host with several addresses fails with an AggregateError, which has no message but the code of its members. */
function reasonOf(error: Error): string {
  const cause: Error & { readonly code?: unknown } = error.cause instanceof Error ? error.cause : error;
  return cause.message || (typeof cause.code === 'string' ? cause.code : cause.name);
}
