// A matrix of 100 builds on the local cloud, workers stubs: all finish, nothing that AWS puts off fails a build, memory stays flat. The cloud, all functions
// (threads) and this program are one process: its memory is theirs together.
// Limits: 100 succeeded; not more than 150 MB more at the end than after the first quarter.
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
      edition: Array.from({ length: 50 }, (_, index) => index + 1),
    },
  };
  const started = performance.now();
  const { id } = await api.call('start-build', { body: { recipe, matrix: { concurrency: CONCURRENCY } } });
  const memory: { done: number; megabytes: number }[] = [];
  for (;;) {
    const { status, summary, failure } = await api.call('show-matrix', { params: { id } });
    memory.push({ done: summary.succeeded, megabytes: process.memoryUsage().rss / 1e6 });
    if (status !== 'RUNNING') {
      const seconds = (performance.now() - started) / 1000;
      const putOff = cloud.faults.calls.filter(({ error }) => /Limit|Throttl/.test(error ?? ''));
      const at = (share: number) =>
        Math.round(memory.find(({ done }) => done >= summary.total * share)?.megabytes ?? 0);
      const quarters = [0, 0.25, 0.5, 0.75, 1].map(at);
      console.log(
        `${summary.succeeded} of ${summary.total} builds, ${CONCURRENCY} at once: ${seconds.toFixed(1)} s`,
      );
      console.log(
        `put off by AWS's limits: ${putOff.length} calls (${[...new Set(putOff.map(({ action, error }) => `${action} ${error}`))].join(', ')}), none of which failed a build`,
      );
      console.log(
        `memory at 0, 25, 50, 75, 100 %: ${quarters.join(', ')} MB; at most ${Math.round(Math.max(...memory.map(({ megabytes }) => megabytes)))} MB`,
      );
      const grown = (quarters[4] ?? 0) - (quarters[1] ?? 0);
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
