import type { Clock } from '../../../local/clock.ts';

interface Timer {
  at: number;
  resolve: () => void;
}

/**
 * A clock that jumps to the next timer as soon as nothing else can happen: promises settle before `setImmediate` fires, so
 * whatever runs without real input or output has run by then. Seven thousand seconds pass in a millisecond.
 */
export class VirtualClock implements Clock {
  /** Every sleep that was asked for, in milliseconds, in order. */
  readonly slept: number[] = [];
  #now: number;
  #timers: Timer[] = [];
  #ticking = false;

  constructor(start = Date.UTC(2026, 10, 23, 12)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const timer = { at: this.#now + ms, resolve };
      this.#timers.push(timer);
      signal?.addEventListener('abort', () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
        reject(signal.reason);
      });
      this.#tick();
    });
  }

  #tick(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    setImmediate(() => {
      this.#ticking = false;
      const [next] = this.#timers.sort((a, b) => a.at - b.at); // stable: equal times keep their order
      if (next === undefined) return;
      this.#timers.shift();
      this.#now = Math.max(this.#now, next.at);
      next.resolve();
      this.#tick();
    });
  }
}
