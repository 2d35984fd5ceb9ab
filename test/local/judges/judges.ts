import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Stage } from '../stage.ts';

const venv = fileURLToPath(new URL('../../../.state/venv', import.meta.url));

/** Makes the judges' Python environment if need be. Tells, loudly, when it cannot be had. */
export function haveVenv(): boolean {
  const setup = spawnSync(fileURLToPath(new URL('setup-venv.sh', import.meta.url)), { encoding: 'utf8' });
  if (setup.status === 0) return true;
  console.error(
    `SKIPPED: the Python judges cannot be had, so no client but ours tries the local cloud.\n${setup.stderr}`,
  );
  return false;
}

export function havePacker(): boolean {
  if (spawnSync('packer', ['version']).status === 0) return true;
  console.error(
    'SKIPPED: there is no packer (Debian: apt-get install packer), so it does not judge the local cloud.',
  );
  return false;
}

export const program = (name: string): string => `${venv}/bin/${name}`;

export interface Ended {
  code: number | null;
  output: string;
}

/** Runs a judge against the stage's cloud, with nothing of this process's environment but PATH. */
export async function judge(
  stage: Pick<Stage, 'cloud' | 'stateDirectory'>,
  command: string,
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<Ended> {
  const child = spawn(command, args, {
    cwd: stage.stateDirectory,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: stage.stateDirectory,
      AWS_ENDPOINT_URL: stage.cloud.endpoint,
      AWS_DEFAULT_REGION: stage.cloud.region,
      AWS_ACCESS_KEY_ID: stage.cloud.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: stage.cloud.credentials.secretAccessKey,
      ...environment,
    },
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += String(text);
  });
  child.stderr.on('data', (text) => {
    output += String(text);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
