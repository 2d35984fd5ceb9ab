import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const program = new URL('../../cli/main.ts', import.meta.url).pathname;

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Surroundings {
  readonly cwd?: string;
  /** Beside PATH and HOME: nothing of this machine's AWS. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a program finds around it: no credentials, and nobody who gives any. */
const surroundings = ({ cwd = '/', environment = {} }: Surroundings) => ({
  cwd,
  env: {
    PATH: process.env.PATH ?? '',
    HOME: '/nonexistent',
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...environment,
  },
});

/** Starts `foundry`, and leaves it to the caller. */
export const startFoundry = (args: readonly string[], where: Surroundings = {}): ChildProcess =>
  spawn(process.execPath, [program, ...args], { ...surroundings(where), stdio: ['ignore', 'pipe', 'pipe'] });

/** A line for the shell, in which `foundry` is a program. */
export async function shell(line: string, where: Surroundings = {}): Promise<Outcome> {
  await using bin = await directoryOf({
    foundry: `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`,
  });
  await chmod(join(bin.path, 'foundry'), 0o755);
  const { env, cwd } = surroundings(where);
  return await run('/bin/bash', ['-c', line], { cwd, env: { ...env, PATH: `${bin.path}:${env.PATH}` } });
}

/** Runs `foundry` as a person's shell would, without a terminal. */
export const foundry = (args: readonly string[], cwd = '/', environment = {}): Promise<Outcome> =>
  run(process.execPath, [program, ...args], surroundings({ cwd, environment }));

const run = (
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Record<string, string> },
): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    execFile(file, args, { ...options, timeout: 240_000 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });

/** A directory with these files; gone at the end of the scope. */
export async function directoryOf(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'foundry-cli-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

/** A mirror and package repository with these files; everything else is absent. */
export async function webServer(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { readonly url: string; readonly asked: readonly string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const text = Object.hasOwn(files, path) ? files[path] : undefined;
    response.statusCode = text === undefined ? 404 : 200;
    response.end(text ?? 'not here');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
