import { type Environment, localState } from './find-api.ts';
import { projectDirectory, runProgram } from './run-program.ts';

interface CloudOptions {
  readonly state?: string;
  readonly port?: string;
  readonly foreground?: boolean;
  readonly json?: boolean;
}

/** The local cloud with the factory in it: local/background.ts does it, as a program of its own. */
export async function cloud(
  action: 'up' | 'down' | 'status',
  { state = localState, port, foreground = false, json = false }: CloudOptions,
  environment: Environment,
): Promise<number> {
  const run = (program: string, args: readonly string[]) =>
    runProgram(process.execPath, [`${projectDirectory}${program}`, ...args], {
      environment,
      output: 'stdout',
    });
  const place = ['--state', state, ...(port === undefined ? [] : ['--port', port])];
  if (!foreground) return await run('local/background.ts', [action, ...(json ? ['--json'] : []), ...place]);
  return await run('local/main.ts', ['--factory', ...place]);
}
