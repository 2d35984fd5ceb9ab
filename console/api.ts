import type { RouteAnswer } from '../core/api/routes.ts';
import type { Problem } from '../core/api/schemas.ts';

/** What the API, or the console's own server, said no to. */
export class ApiProblem extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail);
    this.name = problem.code;
    this.problem = problem;
  }
}

const KEY = 'foundry-console-key';

/** Takes the key of this start from the address that was opened, and takes it out of sight. */
export function takeKey(): boolean {
  const key = /^#key=([\w-]+)$/.exec(location.hash)?.[1];
  if (key === undefined) return false;
  localStorage.setItem(KEY, key);
  history.replaceState(null, '', location.pathname + location.search);
  return true;
}

const unreachable = (detail: string): Problem => ({
  type: 'about:blank',
  title: 'The console does not answer',
  status: 0,
  detail,
  code: 'ConsoleGone',
  remedy: 'Start foundry console again and open the address that it prints.',
  field: null,
  errors: [],
});

interface Call {
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

async function send(method: string, path: string, { query = {}, body, signal }: Call): Promise<unknown> {
  const asked = new URLSearchParams(
    Object.entries(query).flatMap(([name, value]): [string, string][] =>
      value === undefined || value === '' ? [] : [[name, value]],
    ),
  ).toString();
  let response: Response;
  try {
    response = await fetch(`/api${path}${asked === '' ? '' : `?${asked}`}`, {
      method,
      signal: signal ?? null,
      headers: {
        'x-console-key': localStorage.getItem(KEY) ?? '',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiProblem(unreachable('Nobody answers at this address any more.'));
  }
  const answer: unknown = await response.json().catch((error: unknown) => {
    if (signal?.aborted) throw error;
    return undefined;
  });
  if (response.ok) {
    if (answer === undefined) throw new ApiProblem(unreachable('The answer was cut off.'));
    return answer;
  }
  throw new ApiProblem(asProblem(answer, response.status));
}

/** API Gateway itself refuses with {"message": …}: a signature, a permission. */
function asProblem(answer: unknown, status: number): Problem {
  const given = (answer ?? {}) as Partial<Problem> & { readonly message?: string };
  const detail = given.detail ?? given.message ?? 'no reason was given';
  return {
    type: 'about:blank',
    title: given.title ?? 'The API refused',
    status,
    detail,
    code: given.code ?? `Status${status}`,
    remedy: given.remedy ?? '',
    field: given.field ?? null,
    errors: given.errors ?? [],
  };
}

const at = (id: string) => encodeURIComponent(id);
type Query = Readonly<Record<string, string | undefined>>;

/** The routes that the pages use. */
export const api = {
  builds: (query: Query, signal?: AbortSignal) =>
    send('GET', '/builds', { query, signal }) as Promise<RouteAnswer<'list-builds'>>,
  build: (id: string, signal?: AbortSignal) =>
    send('GET', `/builds/${at(id)}`, { signal }) as Promise<RouteAnswer<'show-build'>>,
  log: (id: string, source: string | undefined, signal?: AbortSignal) =>
    send('GET', `/builds/${at(id)}/log`, { query: { source }, signal }) as Promise<RouteAnswer<'build-log'>>,
  start: (body: unknown) => send('POST', '/builds', { body }) as Promise<RouteAnswer<'start-build'>>,
  resume: (id: string) =>
    send('POST', `/builds/${at(id)}/resume`, {}) as Promise<RouteAnswer<'resume-build'>>,
  abort: (id: string) => send('DELETE', `/builds/${at(id)}`, {}) as Promise<RouteAnswer<'abort-build'>>,
  matrix: (id: string, signal?: AbortSignal) =>
    send('GET', `/matrices/${at(id)}`, { signal }) as Promise<RouteAnswer<'show-matrix'>>,
  abortMatrix: (id: string) =>
    send('DELETE', `/matrices/${at(id)}`, {}) as Promise<RouteAnswer<'abort-matrix'>>,
  images: (query: Query, signal?: AbortSignal) =>
    send('GET', '/images', { query, signal }) as Promise<RouteAnswer<'list-images'>>,
  retire: (imageId: string) =>
    send('POST', `/images/${at(imageId)}/retire`, {}) as Promise<RouteAnswer<'retire-image'>>,
  releases: (signal?: AbortSignal) =>
    send('GET', '/releases', { signal }) as Promise<RouteAnswer<'list-releases'>>,
  subscriptions: async (signal?: AbortSignal) => {
    const found: RouteAnswer<'list-subscriptions'>['subscriptions'] = [];
    for (let nextToken: string | undefined; ; ) {
      const page = (await send('GET', '/subscriptions', {
        query: { limit: '100', nextToken },
        signal,
      })) as RouteAnswer<'list-subscriptions'>;
      found.push(...page.subscriptions);
      if (page.nextToken === null) return { subscriptions: found };
      nextToken = page.nextToken;
    }
  },
  unsubscribe: (name: string) =>
    send('DELETE', `/subscriptions/${at(name)}`, {}) as Promise<RouteAnswer<'unsubscribe'>>,
};

/** What the console's own server knows; it changes with a new start only. */
async function data<T>(name: string): Promise<T> {
  const response = await fetch(`/data/${name}`);
  if (!response.ok) throw new ApiProblem(unreachable(`The console has no ${name}.`));
  return (await response.json()) as T;
}

const once = <T>(load: () => Promise<T>): (() => Promise<T>) => {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
};

export const factory = once(() => data<{ readonly url: string }>('factory.json'));
export const runbook = once(() => data<Readonly<Record<string, string>>>('runbook.json'));
export const machineFile = once(() => data<unknown>('build-image.asl.json'));
