import type { Mirror, MirrorAnswer } from '../../core/ports.ts';

/** A MANIFEST has some 1.5 KB and a directory index some 50 KB: what is larger is neither. */
const LIMIT_BYTES = 1024 * 1024;
const TIMEOUT_MILLISECONDS = 15_000;
const TRIES = 3;

/** Reads small files of a release mirror over HTTP or HTTPS, with retries. */
export const httpMirror = (pause: (milliseconds: number) => Promise<void>): Mirror => {
  const readOnce = async (url: string): Promise<MirrorAnswer> => {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS) });
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel();
      return { status: 'absent' };
    }
    if (!response.ok) {
      await response.body?.cancel();
      return { status: 'unreachable', reason: `HTTP ${response.status}` };
    }
    const text = await response.text();
    if (text.length > LIMIT_BYTES)
      return { status: 'unreachable', reason: `answered ${text.length} characters` };
    return { status: 'found', text };
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
          const cause = error.cause instanceof Error ? error.cause : error;
          answer = { status: 'unreachable', reason: cause.message || cause.name };
        }
        if (answer.status !== 'unreachable') return answer;
        if (attempt < TRIES) await pause(250 * 4 ** (attempt - 1));
      }
      return answer;
    },
  };
};
