/**
 * EventBridge and its Scheduler as far as this factory uses them: rules for "Step Functions Execution Status Change", rules
 * by event pattern for what is put on the bus, and schedules by rate. They invoke a function asynchronously, or publish to
 * a topic: nobody waits for the answer.
 */
import type { Clock } from './clock.ts';
import type { BusEvent, EventBus } from './event-bus.ts';
import { type EventPattern, matches } from './event-pattern.ts';
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

interface PatternRule {
  readonly pattern: EventPattern;
  /** A function's name or ARN, or the ARN of an SNS topic. */
  readonly target: string;
  /** The target's input transformer; without one the event goes as it is. */
  readonly input?: (event: BusEvent) => unknown;
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
  readonly bus: EventBus;
  /** Publishes to an SNS topic; rejects when it cannot. */
  readonly publish: (topicArn: string, message: string) => Promise<void>;
  readonly log: (line: string) => void;
}

export class Events {
  readonly #parts: Parts;
  readonly #rules = new Map<string, Rule>();
  readonly #patterns = new Map<string, PatternRule>();
  readonly #schedules = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(parts: Parts) {
    this.#parts = parts;
    const ofStates = parts.states.subscribe((change) => {
      for (const { stateMachineArn, statuses, target, input } of this.#rules.values()) {
        if (change.stateMachineArn !== stateMachineArn || !statuses.includes(change.status)) continue;
        this.#keep(this.#send(target, input(change)));
      }
    });
    const ofBus = parts.bus.subscribe((event) => {
      for (const { pattern, target, input } of this.#patterns.values()) {
        if (!matches(pattern, { ...event })) continue;
        this.#keep(this.#send(target, input ? input(event) : event));
      }
    });
    this.#unsubscribe = [ofStates, ofBus];
  }

  /** Makes or replaces a rule. */
  rule(name: string, rule: Rule): void {
    this.#rules.set(name, rule);
  }

  /** Makes or replaces a rule for events of the bus. */
  patternRule(name: string, rule: PatternRule): void {
    this.#patterns.set(name, rule);
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
      this.#keep(this.#send(target, input));
      if (!(await this.#slept(everySeconds, signal))) return;
    }
  }

  async #send(target: string, input: unknown): Promise<void> {
    for (const seconds of [...RETRY_SECONDS, undefined]) {
      const failure = await this.#attempt(target, input);
      if (failure === undefined) return;
      this.#parts.log(`events: ${target} failed: ${failure}`);
      if (seconds === undefined || !(await this.#slept(seconds, this.#closing.signal))) return;
    }
  }

  /** What went wrong, if anything did. */
  async #attempt(target: string, input: unknown): Promise<string | undefined> {
    const { invoke, publish } = this.#parts;
    if (target.startsWith('arn:aws:sns:')) {
      return publish(target, JSON.stringify(input)).then(() => undefined, String);
    }
    const { functionError, payload } = await invoke(target, input);
    return functionError === undefined ? undefined : JSON.stringify(payload);
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
    for (const end of this.#unsubscribe) end();
    this.#closing.abort();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
