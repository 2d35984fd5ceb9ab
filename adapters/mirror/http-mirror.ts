import { createHash } from 'node:crypto';
import type { Mirror, MirrorAnswer, MirrorDigest } from '../../core/ports.ts';

/** A MANIFEST has some 1.5 KB and a directory index some 50 KB: what is larger is neither. */
const usualLimits = {
  bytes: 1024 * 1024,
  milliseconds: 15_000,
  /** A catalogue of all ports has some 10 MB; the function has 60 s. */
  digestMilliseconds: 40_000,
};
const TRIES = 3;

/** Reads small files of a release mirror over HTTP or HTTPS, with retries. */
export const httpMirror = (pause: (milliseconds: number) => Promise<void>, limits = usualLimits): Mirror => {
  /** One request; `take` makes of an answer what is wanted, or says why it cannot. */
  const ask = async <Answer extends { readonly status: 'found' }>(
    url: string,
    milliseconds: number,
    take: (response: Response) => Promise<Answer | Unreachable>,
  ): Promise<Answer | Absent | Unreachable> => {
    const response = await fetch(url, { signal: AbortSignal.timeout(milliseconds) });
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
        answer = { status: 'unreachable', reason: reasonOf(error) };
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
          const text = await textUpTo(limits.bytes, response);
          return text === undefined
            ? { status: 'unreachable', reason: `answered more than ${limits.bytes} bytes` }
            : { status: 'found', text };
        }),
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

/** The text of an answer; undefined when it is longer, without reading the rest. */
async function textUpTo(bytes: number, response: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let [text, read] = ['', 0];
  for await (const chunk of response.body ?? []) {
    read += chunk.byteLength;
    if (read > bytes) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** A host with several addresses fails with an AggregateError, which has no message but the code of its members. */
function reasonOf(error: Error): string {
  const cause: Error & { readonly code?: unknown } = error.cause instanceof Error ? error.cause : error;
  return cause.message || (typeof cause.code === 'string' ? cause.code : cause.name);
}
