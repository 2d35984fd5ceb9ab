import * as z from 'zod/mini';
import { consoleLines, consoleTail } from './console-text.ts';

/** What a worker does, in order (docs/architecture.md, "Contract: worker"). */
export const workerPhases = [
  'preflight',
  'fetch',
  'extract',
  'packages',
  'configure',
  'customise',
  'seal',
  'inventory',
  'filesystem',
  'write',
  'verify',
] as const;

const phaseTime = z.object({ name: z.string(), seconds: z.number(), bytes: z.optional(z.number()) });

/** The worker's last word: docs/architecture.md, "Contract: worker". Unknown members are kept for the record. */
export const workerReportSchema = z.discriminatedUnion('ok', [
  z.looseObject({
    ok: z.literal(true),
    build: z.string(),
    seconds: z.number(),
    phases: z.array(phaseTime),
    disk: z.looseObject({ bytes: z.number(), written: z.number(), sha256: z.string() }),
  }),
  z.looseObject({
    ok: z.literal(false),
    build: z.string(),
    phase: z.string(),
    code: z.string(),
    message: z.string(),
    remedy: z.string(),
    phases: z.array(phaseTime),
  }),
]);

export type WorkerReport = z.output<typeof workerReportSchema>;

export interface WorkerPhase {
  readonly title: string;
  readonly state: 'running' | 'done' | 'failed';
  readonly seconds?: number;
  readonly bytes?: number;
}

/** What a console says about a worker so far. */
export interface WorkerProgress {
  /** The phase the worker was last seen in; undefined before the first. */
  readonly phase: string | undefined;
  /** Every phase seen so far, in order. */
  readonly phases: readonly WorkerPhase[];
  readonly report: WorkerReport | undefined;
  /** The last lines, without colour codes, for a reader of a failure. */
  readonly tail: readonly string[];
}

/**
 * Reads a serial console: possibly cut at the front (GetConsoleOutput keeps 64 KB), with CRLF, colour codes and kernel
 * messages between and inside the worker's lines. A report line that does not parse is noise; the last good one counts.
 */
export function readWorkerConsole(text: string, build: string): WorkerProgress {
  const lines = consoleLines(text);
  const phases = new Map<string, WorkerPhase>();
  let phase: string | undefined;
  let report: WorkerReport | undefined;
  for (const line of lines) {
    const marker = readMarker(line);
    if (marker) phases.set(marker.title, marker);
    phase = marker?.title ?? phase;
    const json = /foundry-report: (\{.*\})/.exec(line)?.[1];
    const parsed = json === undefined ? undefined : parseReport(json);
    if (parsed?.build === build) report = parsed;
  }
  return {
    phase: report?.ok === false ? report.phase : phase,
    phases: [...phases.values()],
    report,
    tail: consoleTail(lines),
  };
}

function readMarker(line: string): WorkerPhase | undefined {
  const [, title, state, rest = ''] =
    /foundry: phase=([a-z]+) state=(start|progress|done|failed)\b(.*)/.exec(line) ?? [];
  if (title === undefined) return undefined;
  const number = (key: string) => {
    const text = new RegExp(` ${key}=(\\d+(?:\\.\\d+)?)`).exec(rest)?.[1];
    return text === undefined ? {} : { [key]: Number(text) };
  };
  return {
    title,
    state: state === 'done' || state === 'failed' ? state : 'running',
    ...number('seconds'),
    ...number('bytes'),
  };
}

function parseReport(json: string): WorkerReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const result = workerReportSchema.safeParse(value);
  return result.success ? result.data : undefined;
}
