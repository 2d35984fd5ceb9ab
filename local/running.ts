import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processLives, processStart } from './state-directory.ts';

/** What a local cloud with the factory in it says of itself, in `running.json` of its state; `foundry --local` reads the endpoint. */
export interface Running {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of the demo release; null when it is not served. */
  readonly mirror: string | null;
  readonly pid: number;
  readonly start: string | undefined;
  readonly startedAt: string;
}

const fileOf = (state: string) => join(state, 'running.json');

/** Says that this process is the cloud. Whole or not at all: who waits for the file reads it at once. */
export async function tellRunning(
  state: string,
  facts: Omit<Running, 'pid' | 'start' | 'startedAt'>,
): Promise<void> {
  const running: Running = {
    ...facts,
    pid: process.pid,
    start: await processStart(process.pid),
    startedAt: new Date().toISOString(),
  };
  await writeFile(`${fileOf(state)}.new`, JSON.stringify(running));
  await rename(`${fileOf(state)}.new`, fileOf(state));
}

export const tellStopped = (state: string): Promise<void> => rm(fileOf(state), { force: true });

/** The cloud that runs, or the one that ended without a word. */
export async function readRunning(
  state: string,
): Promise<{ readonly running: Running; readonly lives: boolean } | undefined> {
  const text = await readFile(fileOf(state), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (text === undefined) return undefined;
  const running = JSON.parse(text) as Running;
  return { running, lives: await processLives(running.pid, running.start) };
}

/** For a shell. */
export const exportsOf = ({
  endpoint,
  region,
  accessKeyId,
  secretAccessKey,
}: Pick<Running, 'endpoint' | 'region' | 'accessKeyId' | 'secretAccessKey'>): string[] => [
  `export FOUNDRY_API_URL=${endpoint}`,
  `export AWS_ENDPOINT_URL=${endpoint}`,
  `export AWS_DEFAULT_REGION=${region}`,
  `export AWS_ACCESS_KEY_ID=${accessKeyId}`,
  `export AWS_SECRET_ACCESS_KEY=${secretAccessKey}`,
];
