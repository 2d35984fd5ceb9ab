// `make cloud`: the local cloud until Ctrl-C. Arguments: [--state DIR] [--port N].
import { parseArgs } from 'node:util';
import { startCloud } from './cloud.ts';
import { WorkerImageUnusable } from './ec2/worker-image.ts';
import { StateDirectoryInUse } from './state-directory.ts';

const { values } = parseArgs({
  options: {
    state: { type: 'string', default: new URL('../.state/cloud', import.meta.url).pathname },
    port: { type: 'string', default: '4566' },
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
const stop = (signal: NodeJS.Signals) => {
  if (stopping) return;
  stopping = true;
  console.log(`# ${signal}: stopping`);
  starting
    .then((cloud) => cloud.stop())
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
  if (!(error instanceof StateDirectoryInUse || error instanceof WorkerImageUnusable)) throw error;
  console.error(error.message);
  process.exit(1);
});
console.log(
  [
    `# The local cloud runs at ${cloud.endpoint} (started in ${(performance.now() - started).toFixed(0)} ms, state in ${values.state}).`,
    '# For the AWS CLI, in another terminal:',
    `export AWS_ENDPOINT_URL=${cloud.endpoint}`,
    `export AWS_DEFAULT_REGION=${cloud.region}`,
    `export AWS_ACCESS_KEY_ID=${cloud.credentials.accessKeyId}`,
    `export AWS_SECRET_ACCESS_KEY=${cloud.credentials.secretAccessKey}`,
    '# Ctrl-C stops it; what it holds is found again at the next start.',
  ].join('\n'),
);
