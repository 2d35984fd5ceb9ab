import { setTimeout as pause } from 'node:timers/promises';
import type { BuildDetails } from '../core/api/schemas.ts';
import { type Api, ApiProblem, ApiUnreachable, isLoopback } from './api.ts';

/** A look at a build on AWS is a function and a handful of calls; a local cloud's stages last parts of a second. */
const pollMilliseconds = (url: string): number => (isLoopback(url) ? 250 : 3000);

/** How long a build is followed though nobody answers: a laptop that changes its network. */
const PATIENCE_MILLISECONDS = 120_000;

interface Following {
  /** Ends the following, not the build. */
  readonly signal: AbortSignal;
  /** The build was started a moment ago: Step Functions may not show it yet (DescribeExecution, "eventually consistent"). */
  readonly fresh?: boolean;
  /** Hears once of each time that looks begin to fail. */
  readonly trouble?: (error: Error) => void;
}

/** What passes: the network, throttling, a function that failed once. */
const passes = (error: unknown): error is Error =>
  error instanceof ApiUnreachable ||
  (error instanceof ApiProblem && (error.problem.status === 429 || error.problem.status >= 500));

/** Waits; at once at the end when the signal comes. */
export const rest = async (api: Api, signal: AbortSignal): Promise<void> => {
  await pause(pollMilliseconds(api.url), undefined, { signal }).catch((error: Error) => {
    if (error.name !== 'AbortError') throw error;
  });
};

/** The answer; undefined when the signal comes first, for a request that hangs must not hold whoever leaves. */
async function unlessLeft<Answer>(asking: Promise<Answer>, signal: AbortSignal): Promise<Answer | undefined> {
  if (signal.aborted) return undefined;
  const left = Promise.withResolvers<undefined>();
  const leave = () => left.resolve(undefined);
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await Promise.race([asking, left.promise]);
  } finally {
    signal.removeEventListener('abort', leave);
    // What it comes to concerns nobody any more.
    asking.catch(() => {});
  }
}

/** Asks until there is an answer; what does not pass, or does not pass for long, is thrown. Undefined: the signal came first. */
export async function patiently<Answer>(
  api: Api,
  ask: () => Promise<Answer>,
  { signal, trouble = () => {} }: Following,
): Promise<Answer | undefined> {
  const begun = Date.now();
  let told = false;
  while (!signal.aborted) {
    try {
      return await unlessLeft(ask(), signal);
    } catch (error) {
      if (!passes(error) || Date.now() - begun > PATIENCE_MILLISECONDS) throw error;
      if (!told) trouble(error);
      told = true;
      await rest(api, signal);
    }
  }
  return undefined;
}

/** Long enough for an execution that was just started to be seen. */
const FRESH_MILLISECONDS = 15_000;

/** Looks at a build until it has ended, or the signal comes. */
export async function* followBuild(
  api: Api,
  id: string,
  following: Following,
): AsyncGenerator<BuildDetails, void> {
  const look = () => api.call('show-build', { params: { id } });
  const begun = Date.now();
  let seen = false;
  while (!following.signal.aborted) {
    // Who has never got an answer has the wrong address, and should hear it at once.
    const looking = seen ? patiently(api, look, following) : unlessLeft(look(), following.signal);
    const build = await looking.catch((error: unknown) => {
      const notYet = error instanceof ApiProblem && error.problem.code === 'BuildNotFound';
      if (!(notYet && following.fresh && Date.now() - begun < FRESH_MILLISECONDS)) throw error;
      return undefined;
    });
    if (build !== undefined) {
      seen = true;
      yield build;
      if (build.status !== 'RUNNING') return;
    }
    await rest(api, following.signal);
  }
}
