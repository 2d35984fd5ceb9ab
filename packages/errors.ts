/** What the installer may report; `core/errors.ts` knows each. */
export type PackageErrorCode =
  | 'RepositoryUnavailable'
  | 'RepositoryUntrusted'
  | 'PackageNotFound'
  | 'PackageConflict'
  | 'PackageChecksumMismatch'
  | 'PackageScriptsUnsupported'
  | 'PackageFailed';

/** The one error of the installer. The command line prints it as `pkg: CODE: message; remedy`. */
export class PackageError extends Error {
  readonly code: PackageErrorCode;
  readonly remedy: string;

  constructor(code: PackageErrorCode, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code;
    this.code = code;
    this.remedy = remedy;
  }
}

/** The message of anything thrown, with that of its causes (fetch hides the reason there), on one line. */
export function reason(thrown: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = thrown; at !== undefined && at !== null && parts.length < 4; ) {
    const text =
      at instanceof Error ? at.message || at.name : typeof at === 'string' ? at : JSON.stringify(at);
    if (!parts.includes(text)) parts.push(text);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(': ').replaceAll(/\s*[\r\n]\s*/g, ' ');
}
