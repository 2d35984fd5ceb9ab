/**
 * The one error of the image writers. `code` is stable and meant for programs, `remedy` tells the reader what
 * to change. The command line prints it as `makefs: CODE: message; remedy`.
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
