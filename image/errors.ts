/**
 * The one error of the image writers. `code` is stable and meant for programs, `remedy` tells the reader what
 * to change.
 */
export class ImageError extends Error {
  readonly code: string;
  readonly remedy: string;

  constructor(code: string, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code;
    this.code = code;
    this.remedy = remedy;
  }
}

/** The message of anything thrown, on one line. */
export function reason(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.replaceAll(/\s*\n\s*/g, ' ');
}

/** Runs a program of the worker: what it throws is the last line of stderr, `name: CODE: message; remedy`, and the exit status is 1. */
export function runProgram(name: string, run: (args: readonly string[]) => void): void {
  try {
    run(process.argv.slice(2));
  } catch (error) {
    const line =
      error instanceof ImageError
        ? `${error.code}: ${reason(error)}; ${error.remedy}`
        : `Internal: ${reason(error)}; report this as a defect`;
    process.stderr.write(`${name}: ${line}\n`);
    process.exitCode = 1;
  }
}
