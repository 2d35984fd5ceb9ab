import { spawn } from 'node:child_process';

/** The directory of the project: its programs are run where they lie. */
export const projectDirectory = new URL('..', import.meta.url).pathname;

interface RunOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where its standard output goes: ours, or to standard error, which people read. */
  readonly output: 'stdout' | 'stderr';
}

/** Runs a program of the project with our terminal, and returns its exit code. Ctrl-C is the program's own to answer. */
export function runProgram(
  program: string,
  args: readonly string[],
  { environment, output }: RunOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: projectDirectory,
      env: environment,
      stdio: ['inherit', output === 'stdout' ? 'inherit' : process.stderr, 'inherit'],
    });
    const wait = () => {};
    const terminate = () => child.kill('SIGTERM');
    process.on('SIGINT', wait);
    process.on('SIGTERM', terminate);
    const done = () => {
      process.off('SIGINT', wait);
      process.off('SIGTERM', terminate);
    };
    child.once('error', (error) => {
      done();
      reject(error);
    });
    child.once('close', (code) => {
      done();
      resolve(code ?? 1);
    });
  });
}
