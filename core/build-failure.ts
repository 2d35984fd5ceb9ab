import { isOurs, runbookAnchor } from './errors.ts';

/** Why a build ended badly, for people: read from what its execution ended with. */
export interface BuildFailure {
  /** The name of an error: one of the factory's, or AWS's. */
  readonly code: string;
  /** What happened, without remedy and evidence. */
  readonly message: string;
  /** The line that decided; the first of the message. */
  readonly decisive: string;
  readonly remedy: string | null;
  /** Where the runbook explains it. */
  readonly runbook: string;
  /** Objects that tell more. */
  readonly evidence: string[];
  /** What waits for the next attempt. */
  readonly kept: string[];
  /** The command that goes on from there; null when the recipe has to be changed first. */
  readonly resume: string | null;
}

/** An event has room for 256 KB, and a person for a screen. */
const LINE_LIMIT = 500;

/** The error and the cause of an execution, as FactoryError and Salvage write them. */
export function readFailure(error: string | undefined, cause: string | undefined): BuildFailure {
  const code = error ?? 'Unknown';
  const text = (cause ?? '').trim() || 'no cause was given';
  // Evidence, what is kept and the command stand behind an empty line, each in a line of its own.
  const [, message = text, told = ''] =
    /^([\s\S]*?)(?:\n\n((?:Evidence: |Kept until |Resume: )[\s\S]*))?$/.exec(text) ?? [];
  const [what = ''] = message.split(/\nRemedy: |\nMore: /);
  const line = (pattern: RegExp) => pattern.exec(told)?.[1];
  const [first = ''] = what.split('\n');
  return {
    code,
    message: what,
    decisive: first.length > LINE_LIMIT ? `${first.slice(0, LINE_LIMIT - 1)}…` : first,
    remedy: /\nRemedy: ([\s\S]*?)(?:\nMore: |$)/.exec(message)?.[1]?.trim() ?? null,
    runbook: isOurs(code, text) ? runbookAnchor(code) : 'docs/runbook.md',
    evidence: line(/^Evidence: (.+)$/m)?.split(', ') ?? [],
    kept: line(/^Kept until [^:]+:\S* for the next attempt: (.+)$/m)?.split(', ') ?? [],
    resume: line(/^Resume: (.+)$/m) ?? null,
  };
}
