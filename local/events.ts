/**
 * EventBridge and its Scheduler as far as this factory uses them: rules for "Step Functions Execution Status Change", and
 * schedules by rate. Both invoke a function asynchronously: nobody waits for its answer.
 */
import type { Clock } from './clock.ts';
import type { InvokeResult } from './lambda/runtime.ts';
import type { States, StatusChange } from './states/service.ts';

interface Rule {
  readonly stateMachineArn: string;
  readonly statuses: readonly StatusChange['status'][];
  /** A function's name or ARN. */
  readonly target: string;
  /** The target's input transformer. */
  readonly input: (change: StatusChange) => unknown;
}

interface Schedule {
  /** Shortened by the cloud's timeScale. */
  readonly everySeconds: number;
  readonly target: string;
  readonly input: unknown;
}

/** "How Lambda handles errors and retries with asynchronous invocation": two more attempts, after one minute and after two. */
const RETRY_SECONDS = [60, 120] as const;

interface Parts {
  readonly states: States;
  readonly clock: Clock;
  readonly timeScale: number;
  readonly invoke: (target: string, input: unknown) => Promise<InvokeResult>;
  readonly log: (line: string) => void;
}

export class Events {
  readonly #parts: Parts;
  readonly #rules = new Map<string, Rule>();
  readonly #schedules = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #unsubscribe: () => void;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#unsubscribe = parts.states.subscribe((change) => {
      for (const { stateMachineArn, statuses, target, input } of this.#rules.values()) {
        if (change.stateMachineArn !== stateMachineArn || !statuses.includes(change.status)) continue;
        this.#keep(this.#invoke(target, input(change)));
      }
    });
  }

  /** Makes or replaces a rule. */
  rule(name: string, rule: Rule): void {
    this.#rules.set(name, rule);
  }

  /** Makes or replaces a schedule; it begins now. */
  schedule(name: string, schedule: Schedule): void {
    this.#schedules.get(name)?.abort();
    const ended = new AbortController();
    this.#schedules.set(name, ended);
    this.#keep(this.#run(schedule, AbortSignal.any([ended.signal, this.#closing.signal])));
  }

  async #run({ everySeconds, target, input }: Schedule, signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#keep(this.#invoke(target, input));
      if (!(await this.#slept(everySeconds, signal))) return;
    }
  }

  async #invoke(target: string, input: unknown): Promise<void> {
    const { invoke, log } = this.#parts;
    for (const seconds of [...RETRY_SECONDS, undefined]) {
      const { functionError, payload } = await invoke(target, input);
      if (functionError === undefined) return;
      log(`events: ${target} failed: ${JSON.stringify(payload)}`);
      if (seconds === undefined || !(await this.#slept(seconds, this.#closing.signal))) return;
    }
  }

  /** Whether the time went by; false when the signal came first. */
  #slept(seconds: number, signal: AbortSignal): Promise<boolean> {
    const { clock, timeScale } = this.#parts;
    return clock.sleep(seconds * 1000 * timeScale, signal).then(
      () => true,
      () => false,
    );
  }

  #keep(work: Promise<void>): void {
    const kept = work
      .catch((error: unknown) => this.#parts.log(`events: ${String(error)}`))
      .finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** Begins nothing more, and waits for the functions that run. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#closing.abort();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
