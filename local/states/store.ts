/**
 * State machines and executions on disk. A machine is a JSON file, replaced as a whole; an execution is a journal that is
 * only appended to, so a crash leaves at most one torn last line.
 */

import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { HistoryEvent } from './history.ts';
import type { ExecutionStatus } from './interpreter.ts';
import type { MapRunRecord } from './map-runs.ts';
import type { Progress } from './visit.ts';

export interface MachineRecord {
  arn: string;
  name: string;
  /** The very text that was given: DescribeStateMachine answers with it. */
  definition: string;
  roleArn: string;
  /** Epoch milliseconds, here and below. */
  creationDate: number;
  updateDate: number;
  revisionId?: string;
  tags: Record<string, string>;
}

/** What an execution was started with; never changes. */
export interface ExecutionRecord {
  arn: string;
  name: string;
  stateMachineArn: string;
  stateMachineName: string;
  /** The machine as it was: later updates do not touch running executions. */
  definition: string;
  roleArn: string;
  revisionId?: string;
  updateDate: number;
  input: string;
  startDate: number;
  traceHeader?: string;
  /** Of a child of a Map state in distributed mode. */
  mapRunArn?: string;
}

/** What changes: a new copy is written whenever the execution starts, ends or is redriven. */
export interface ExecutionState {
  status: ExecutionStatus;
  stopDate?: number;
  output?: string;
  error?: string;
  cause?: string;
  redriveCount: number;
  redriveDate?: number;
}

type JournalLine =
  | { kind: 'record'; record: ExecutionRecord }
  | { kind: 'event'; event: HistoryEvent }
  | { kind: 'progress'; progress: Progress }
  | { kind: 'state'; state: ExecutionState };

export interface JournalContents {
  record: ExecutionRecord;
  state: ExecutionState;
  events: HistoryEvent[];
  progress: Progress | undefined;
}

export class StatesStore {
  readonly #machines: string;
  readonly #executions: string;
  readonly #mapRuns: string;

  constructor(directory: string) {
    this.#mapRuns = join(directory, 'map-runs');
    this.#machines = join(directory, 'machines');
    this.#executions = join(directory, 'executions');
    mkdirSync(this.#machines, { recursive: true });
    mkdirSync(this.#executions, { recursive: true });
    mkdirSync(this.#mapRuns, { recursive: true });
  }

  machines(): MachineRecord[] {
    return recordsIn(this.#machines);
  }

  saveMachine(machine: MachineRecord): void {
    saveRecord(this.#machines, machine.name, machine);
  }

  mapRuns(): MapRunRecord[] {
    return recordsIn(this.#mapRuns);
  }

  saveMapRun(mapRun: MapRunRecord): void {
    saveRecord(this.#mapRuns, mapRun.arn.split(':').slice(6).join(':'), mapRun);
  }

  removeMapRun(mapRun: MapRunRecord): void {
    rmSync(join(this.#mapRuns, `${fileNameOf(mapRun.arn.split(':').slice(6).join(':'))}.json`), {
      force: true,
    });
  }

  removeMachine(name: string): void {
    rmSync(join(this.#machines, `${fileNameOf(name)}.json`), { force: true });
  }

  /** The first and the last line of each journal tell what the list of executions needs. */
  executions(): { record: ExecutionRecord; state: ExecutionState; torn: boolean }[] {
    return readdirSync(this.#executions)
      .filter((name) => name.endsWith('.jsonl'))
      .flatMap((name) => {
        const text = readFileSync(join(this.#executions, name), 'utf8');
        const head = text.indexOf('\n');
        if (head < 0) return []; // crashed while the execution was being started: nobody got its ARN
        const first = JSON.parse(text.slice(0, head)) as JournalLine;
        if (first.kind !== 'record') throw new Error(`${name} does not begin with the execution's record`);
        const last = text.endsWith('\n') ? text.slice(text.lastIndexOf('\n', text.length - 2) + 1) : '';
        const end = last === '' ? undefined : (JSON.parse(last) as JournalLine);
        const ended = end?.kind === 'state' && end.state.status !== 'RUNNING';
        return [
          {
            record: first.record,
            state: ended ? end.state : { status: 'RUNNING' as const, redriveCount: 0 },
            torn: !ended,
          },
        ];
      });
  }

  journal(record: ExecutionRecord): Journal {
    return new Journal(
      join(this.#executions, `${fileNameOf(`${record.stateMachineName}:${record.name}`)}.jsonl`),
    );
  }
}

const recordsIn = <T>(directory: string): T[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as T);

function saveRecord(directory: string, name: string, record: object): void {
  const path = join(directory, `${fileNameOf(name)}.json`);
  // Written beside and renamed: a crash leaves the old file or the new one.
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** Appends while the execution runs; reads it back when somebody asks. */
export class Journal {
  readonly #path: string;
  #file: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  append(line: JournalLine): void {
    this.#file ??= openSync(this.#path, 'a');
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** After a crash the last line may be half written: it is dropped and cut off, so that appending goes on cleanly. */
  repair(): void {
    const text = readFileSync(this.#path, 'utf8');
    if (!text.endsWith('\n')) writeFileSync(this.#path, text.slice(0, text.lastIndexOf('\n') + 1));
  }

  read(): JournalContents {
    let record: ExecutionRecord | undefined;
    let state: ExecutionState = { status: 'RUNNING', redriveCount: 0 };
    let progress: Progress | undefined;
    const events: HistoryEvent[] = [];
    for (const text of readFileSync(this.#path, 'utf8').split('\n')) {
      if (text === '') continue;
      const line = JSON.parse(text) as JournalLine;
      if (line.kind === 'record') record = line.record;
      if (line.kind === 'event') events.push(line.event);
      if (line.kind === 'progress') progress = line.progress;
      if (line.kind === 'state') state = line.state;
    }
    if (record === undefined) throw new Error(`${this.#path} does not begin with the execution's record`);
    return { record, state, events, progress };
  }

  remove(): void {
    this.close();
    if (existsSync(this.#path)) rmSync(this.#path);
  }
}

/**
 * Names may have any letters, and differ in case only: a readable part for people, a hash that keeps them apart on every
 * file system.
 */
const fileNameOf = (name: string): string =>
  `${name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 80)}.${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
