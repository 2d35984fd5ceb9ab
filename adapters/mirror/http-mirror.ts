import type { Mirror, MirrorAnswer } from '../../core/ports.ts';

/** A MANIFEST has some 1.5 KB and a directory index some 50 KB: what is larger is neither. */
const usualLimits = { bytes: 1024 * 1024, milliseconds: 15_000 };
const TRIES = 3;

/** Reads small files of a release mirror over HTTP or HTTPS, with retries. */
export const httpMirror = (pause: (milliseconds: number) => Promise<void>, limits = usualLimits): Mirror => {
  const readOnce = async (url: string): Promise<MirrorAnswer> => {
    const response = await fetch(url, { signal: AbortSignal.timeout(limits.milliseconds) });
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel();
      return { status: 'absent' };
    }
    if (!response.ok) {
      await response.body?.cancel();
      return { status: 'unreachable', reason: `HTTP ${response.status}` };
    }
    const text = await textUpTo(limits.bytes, response);
    return text === undefined
      ? { status: 'unreachable', reason: `answered more than ${limits.bytes} bytes` }
      : { status: 'found', text };
  };

  return {
    async read(url) {
      let answer: MirrorAnswer = { status: 'unreachable', reason: 'not tried' };
      for (let attempt = 1; attempt <= TRIES; attempt++) {
        try {
          answer = await readOnce(url);
        } catch (error) {
          // fetch throws TypeError for every network failure, with the system's error as its cause, and DOMException on time-out.
          if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
          answer = { status: 'unreachable', reason: reasonOf(error) };
        }
        if (answer.status !== 'unreachable') return answer;
        if (attempt < TRIES) await pause(250 * 4 ** (attempt - 1));
      }
      return answer;
    },
  };
};

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
