import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cloud, type CloudOptions, startCloud } from '../../local/cloud.ts';

/** A cloud in a directory of its own, and what takes both away. */
export interface Stage {
  cloud: Cloud;
  stateDirectory: string;
  client: { region: string; endpoint: string; credentials: Cloud['credentials']; maxAttempts: number };
  /** Lines that the cloud logged: a test that expects none may say so. */
  log: string[];
  close(): Promise<void>;
}

export async function openStage(options: Partial<CloudOptions> = {}): Promise<Stage> {
  const stateDirectory = options.stateDirectory ?? (await mkdtemp(join(tmpdir(), 'local-cloud-')));
  const log: string[] = [];
  const cloud = await startCloud({ log: (line) => log.push(line), ...options, stateDirectory });
  return {
    cloud,
    stateDirectory,
    client: {
      region: cloud.region,
      endpoint: cloud.endpoint,
      credentials: cloud.credentials,
      maxAttempts: 1,
    },
    log,
    close: async () => {
      await cloud.stop();
      await rm(stateDirectory, { recursive: true, force: true });
    },
  };
}

/** Delays of the SDK's waiters: whole seconds by type, fractions in fact. */
export const quickly = { maxWaitTime: 20, minDelay: 0.02, maxDelay: 0.05 };
