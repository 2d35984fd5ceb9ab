// A matrix of 100 builds on the local cloud, workers stubs: all finish, nothing that AWS puts off fails a build, memory stays flat. The cloud, all functions
// (threads) and this program are one process: its memory is theirs together. A function has a warm thread for each call that was made at once, and keeps it: so
// the process grows until every function has met its peak. The heap of the cloud itself is what must stay flat.
// On two busy cores (load 25), 26 November 2026: 100 of 100 builds, 10 at once, in 337 s; 105 RunInstances put off by the published bucket (RequestLimitExceeded),
// none of which failed a build; the process 1.1 GB with nothing built, 2.9 after 25 and after 50 builds, 3.5 after 75, 3.6 GB after 100. The heap was
// measured with BUILDS=40 (74 s, 92 put off): 81, 138, 105, 96, 74 MB at each quarter.
// Limits: 100 succeeded; not more than 150 MB more in the cloud's heap at the end than after the first quarter.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { factoryApi } from '../cli/api.ts';
import { startCloud } from '../local/cloud.ts';
import { makeDemoRelease } from '../local/demo-release/make.ts';
import { startMirror } from '../local/demo-release/serve.ts';
import { FINGERPRINT } from '../local/demo-release/signing-key.ts';
import { deploy } from '../local/deploy.ts';

const GROWTH_LIMIT_MEGABYTES = 150;
const CONCURRENCY = Number(process.env.CONCURRENCY ?? 10);
const EDITIONS = Number(process.env.BUILDS ?? 100) / 2;
const LOOK_MILLISECONDS = 500;

const root = new URL('../', import.meta.url).pathname;
const directory = join(root, '.state/demo-release-small');
await makeDemoRelease({ directory, scale: 0.02 });
const stateDirectory = await mkdtemp(join(root, '.state/bench-matrix-'));
const cloud = await startCloud({ stateDirectory, log: () => {}, stub: {} });
const mirror = await startMirror({ directory });
try {
  await deploy(cloud);
  const api = factoryApi({
    url: cloud.endpoint,
    region: cloud.region,
    credentials: async () => cloud.credentials,
  });
  const recipe = {
    name: 'bench',
    release: '15.1-RELEASE',
    architecture: 'amd64',
    rootSize: 1,
    bootTest: {},
    mirrors: [mirror.url],
    repositories: [
      {
        name: 'FreeBSD-ports',
        url: `${mirror.url}/packages/{abi}/quarterly`,
        inImage: false,
        fingerprints: [FINGERPRINT],
      },
    ],
    parameters: { edition: { type: 'integer', default: 1 } },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the recipe's own parameter.
    image: { description: 'edition ${edition}' },
    matrix: {
      flavour: ['base', 'small'],
      edition: Array.from({ length: EDITIONS }, (_, index) => index + 1),
    },
  };
  const started = performance.now();
  const { id } = await api.call('start-build', { body: { recipe, matrix: { concurrency: CONCURRENCY } } });
  const memory: { done: number; megabytes: number; heap: number }[] = [];
  for (;;) {
    const { status, summary, failure } = await api.call('show-matrix', { params: { id } });
    const { rss, heapUsed } = process.memoryUsage();
    memory.push({ done: summary.succeeded, megabytes: rss / 1e6, heap: heapUsed / 1e6 });
    if (status !== 'RUNNING') {
      const seconds = (performance.now() - started) / 1000;
      const putOff = cloud.faults.calls.filter(({ error }) => /Limit|Throttl/.test(error ?? ''));
      const at = (what: 'megabytes' | 'heap') =>
        [0, 0.25, 0.5, 0.75, 1].map((share) =>
          Math.round(memory.find(({ done }) => done >= summary.total * share)?.[what] ?? 0),
        );
      const heaps = at('heap');
      console.log(
        `${summary.succeeded} of ${summary.total} builds, ${CONCURRENCY} at once: ${seconds.toFixed(1)} s`,
      );
      console.log(
        `put off by AWS's limits: ${putOff.length} calls (${[...new Set(putOff.map(({ action, error }) => `${action} ${error}`))].join(', ')}), none of which failed a build`,
      );
      console.log(
        `process at 0, 25, 50, 75, 100 %: ${at('megabytes').join(', ')} MB; heap of the cloud ${heaps.join(', ')} MB; process at most ${Math.round(Math.max(...memory.map(({ megabytes }) => megabytes)))} MB`,
      );
      const grown = (heaps[4] ?? 0) - (heaps[1] ?? 0);
      if (failure !== null) console.error(failure.message);
      if (summary.succeeded !== summary.total || grown > GROWTH_LIMIT_MEGABYTES) process.exitCode = 1;
      break;
    }
    await pause(LOOK_MILLISECONDS);
  }
} finally {
  await cloud.stop();
  await mirror.close();
  await rm(stateDirectory, { recursive: true, force: true });
}
