import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BuildDetails, Problem, Stage } from '../../core/api/schemas.ts';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text is sent as it is, anything else as JSON. */
  readonly body: unknown;
}

/** An API that says what a test wants to hear; what it was asked is kept. */
export async function fakeApi(
  answer: (asked: Asked, count: number) => Answer | Promise<Answer>,
): Promise<AsyncDisposable & { readonly url: string; readonly asked: readonly Asked[] }> {
  const asked: Asked[] = [];
  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const text = await textOf(request);
    const one = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      body: read(text),
    };
    asked.push(one);
    const { status = 200, headers = {}, body } = await answer(one, asked.length);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }
  const server = createServer((request, response) => void respond(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

export const problem = (changes: Partial<Problem>): Problem => ({
  type: 'https://example.org/runbook.md#buildnotfound',
  title: 'There is no such build, or no factory to ask.',
  status: 404,
  detail: 'there is no build web-0123456789ab',
  code: 'BuildNotFound',
  remedy: 'see its name: foundry builds.',
  field: null,
  errors: [],
  ...changes,
});

export const stage = (name: string, state: Stage['state'], changes: Partial<Stage> = {}): Stage => ({
  name,
  state,
  seconds: state === 'waiting' ? null : 1.5,
  expectedSeconds: 20,
  bytes: null,
  ...changes,
});

const STARTED = '2026-11-20T10:00:00.000Z';

/** A build as the API shows it. */
export const details = (changes: Partial<BuildDetails> = {}): BuildDetails => ({
  id: 'web-0123456789ab',
  recipe: 'web',
  status: 'SUCCEEDED',
  startedAt: STARTED,
  endedAt: '2026-11-20T10:08:20.000Z',
  seconds: 500,
  state: null,
  executionArn: 'arn:aws:states:us-east-1:000000000000:execution:ami-foundry-build-image:web-0123456789ab',
  dryRun: false,
  image: null,
  warnings: [],
  stages: [stage('plan', 'done'), stage('worker: fetch', 'done', { bytes: 141e6 })],
  states: [],
  resources: [
    { kind: 'instance', role: 'worker', id: 'i-0123456789abcdef0', region: 'us-east-1', link: null },
  ],
  result: {
    imageId: 'ami-0123456789abcdef0',
    snapshotId: 'snap-0123456789abcdef0',
    adopted: false,
    images: [
      { region: 'us-east-1', imageId: 'ami-0123456789abcdef0' },
      { region: 'eu-west-1', imageId: 'ami-0fedcba9876543210' },
    ],
  },
  held: null,
  failure: null,
  receipt: {
    build: 'web-0123456789ab',
    status: 'SUCCEEDED',
    region: 'us-east-1',
    startedAt: STARTED,
    endedAt: '2026-11-20T10:08:20.000Z',
    seconds: 500,
    dollars: 0.0312,
    monthlyDollars: 0.05,
    prices: { region: 'us-east-1', asOf: '2026-11-01', source: 'list', exact: true },
    steps: [],
    lines: [
      {
        kind: 'instance',
        name: 'worker m6i.large',
        resource: 'i-0123456789abcdef0',
        quantity: 400,
        unit: 'seconds',
        dollars: 0.0107,
        because: 'on demand',
      },
    ],
    estimate: { seconds: 600, dollars: 0.04 },
  },
  console: null,
  links: {
    execution:
      'https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/x',
    artifacts: 'https://s3.console.aws.amazon.com/s3/buckets/b?prefix=builds/x/',
  },
  ...changes,
});

/** JSON, or the text that it is. */
function read(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
