import { digestOf } from './canonical-json.ts';
import { FactoryError, isErrorCode, runbookAnchor } from './errors.ts';
import { GONE_POLLS, type InstanceFacts } from './waiting.ts';
import type { WorkerProgress, WorkerReport } from './worker-console.ts';

/** A worker prints progress every 30 s; GetConsoleOutput may lag by some minutes. Milliseconds. */
const SILENCE_LIMIT = 600_000;

/** What is known of a worker at one look. */
export interface WorkerFacts extends InstanceFacts {
  readonly progress: WorkerProgress;
}

/** Why to give up on a worker; undefined while there is hope, and when it has reported success. */
export function workerFailure(facts: WorkerFacts): FactoryError | undefined {
  const { progress, goneFor, silentFor, secondsTaken, secondsAllowed } = facts;
  if (progress.report?.ok) return undefined;
  if (progress.report) return reportedFailure(progress.report, progress);
  const during = progress.phase ? `during phase ${progress.phase}` : 'before its first phase';
  const last = `Last console lines:\n${progress.tail.join('\n') || '(none)'}`;
  const remedy = `read the console log kept in the artifacts bucket under ${facts.console}.`;
  if (goneFor >= GONE_POLLS) {
    const message = `the worker ended (${facts.lastWords}) ${during}, without a report\n${last}`;
    return new FactoryError('WorkerDied', { message, remedy });
  }
  if (secondsTaken > secondsAllowed) {
    const message = `the worker has not finished ${secondsAllowed} s after its launch; it is ${during}\n${last}`;
    return new FactoryError('WorkerTimedOut', { message, remedy });
  }
  if (silentFor > SILENCE_LIMIT) {
    const message = `the worker has printed nothing for ${SILENCE_LIMIT / 60_000} minutes; it was ${during}\n${last}`;
    return new FactoryError('WorkerSilent', { message, remedy });
  }
  return undefined;
}

function reportedFailure(
  report: Extract<WorkerReport, { ok: false }>,
  progress: WorkerProgress,
): FactoryError {
  const code = isErrorCode(report.code) ? report.code : 'WorkerFailed';
  const unknown = code === report.code ? '' : ` (${report.code})`;
  const tail = progress.tail.filter((line) => !line.includes('foundry-report:')).join('\n');
  return new FactoryError(code, {
    message: `phase ${report.phase}: ${report.message}${unknown}\nLast console lines:\n${tail}`,
    remedy: report.remedy || `see ${runbookAnchor(code)}.`,
  });
}

/** The last console line, with a digest of them all: a worker that prints the same line again is not silent. */
export const consoleMark = ({ tail }: WorkerProgress, console: string): string =>
  `${tail.at(-1) ?? 'nothing'} [${digestOf(console).slice(0, 8)}]`;
