// `make cloud`: the local cloud until Ctrl-C. Arguments: [--state DIR] [--port N] [--factory].
// With --factory (`foundry cloud up`) the factory is deployed in it, and the demo release is served.
import { parseArgs } from 'node:util';
import { makeBundles } from './bundles.ts';
import { type Cloud, startCloud } from './cloud.ts';
import { makeDemoRelease } from './demo-release/make.ts';
import { type Mirror, startMirror } from './demo-release/serve.ts';
import { deploy } from './deploy.ts';
import { WorkerImageUnusable } from './ec2/worker-image.ts';
import { exportsOf, tellRunning, tellStopped } from './running.ts';
import { StateDirectoryInUse } from './state-directory.ts';

/** Where examples/demo.yaml looks for it. */
const DEMO_PORT = 9014;

const { values } = parseArgs({
  options: {
    state: { type: 'string', default: new URL('../.state/cloud', import.meta.url).pathname },
    port: { type: 'string', default: '4566' },
    factory: { type: 'boolean', default: false },
  },
});
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`--port must be 0 to 65535, not ${values.port}`);
  process.exit(2);
}
const started = performance.now();
const workerImage = process.env.WORKER_IMAGE || undefined;
const starting = startCloud({ stateDirectory: values.state, port, workerImage });

// Before the first await: a signal that comes while the cloud starts must not leave its lock behind.
let stopping = false;
let mirror: Mirror | undefined;
const stop = (signal: NodeJS.Signals) => {
  if (stopping) return;
  stopping = true;
  console.log(`# ${signal}: stopping`);
  starting
    .then(async (cloud) => {
      await mirror?.close();
      await cloud.stop();
      if (values.factory) await tellStopped(values.state);
    })
    .then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
};
process.on('SIGINT', stop);
process.on('SIGTERM', stop);

const cloud = await starting.catch((error: unknown): never => {
  if (!(error instanceof StateDirectoryInUse || error instanceof WorkerImageUnusable || isTaken(error)))
    throw error;
  console.error(error.message);
  process.exit(1);
});
if (values.factory) await addFactory(cloud);
const { accessKeyId, secretAccessKey } = cloud.credentials;
const facts = { endpoint: cloud.endpoint, region: cloud.region, accessKeyId, secretAccessKey };
if (values.factory) await tellRunning(values.state, { ...facts, mirror: mirror?.url ?? null });
console.log(
  [
    `# The local cloud runs at ${cloud.endpoint} (started in ${(performance.now() - started).toFixed(0)} ms, state in ${values.state}).`,
    `# For ${values.factory ? 'foundry and ' : ''}the AWS CLI, in another terminal:`,
    ...exportsOf(facts).filter((line) => values.factory || !line.includes('FOUNDRY')),
    '# Ctrl-C stops it; what it holds is found again at the next start.',
  ].join('\n'),
);

/** The factory, and a release for it to build. */
async function addFactory(cloud: Cloud): Promise<void> {
  await makeBundles();
  await deploy(cloud);
  const directory = new URL('../.state/demo-release', import.meta.url).pathname;
  try {
    await makeDemoRelease({ directory, log: (line) => console.error(line) });
    mirror = await startMirror({ directory, port: DEMO_PORT });
  } catch (error) {
    // Without it the cloud builds what lies elsewhere.
    console.error(
      '# The demo release is not served:',
      isTaken(error) ? `port ${DEMO_PORT} is in use` : error,
    );
  }
}

function isTaken(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
