import type { Clock } from '../clock.ts';
import { ServiceError } from '../front/service-error.ts';
import type { ActionName } from './throttle.ts';

/** One deliberate disturbance of an emulated EC2 call. */
export interface Fault {
  action: ActionName;
  /** Only there; everywhere when absent. */
  region?: string;
  /** How many calls it hits; default 1. */
  times?: number;
  delayMilliseconds?: number;
  error?: { code: string; message?: string; status?: number };
  /** The call takes effect and only its answer is lost: what a broken connection does. */
  afterEffect?: boolean;
}

export interface RecordedCall {
  action: ActionName;
  region: string;
  input: Record<string, unknown>;
  /** Epoch milliseconds. */
  at: number;
  /** Lambda function or program that called, as its user agent tells. */
  caller: string;
  /** Error code, absent on success. */
  error?: string;
}

/** Calls kept; a build makes about a hundred. */
const KEEP_CALLS = 10_000;

/** Breaks calls on purpose and remembers all of them. */
export class Faults {
  readonly calls: RecordedCall[] = [];
  readonly #pending: (Fault & { left: number })[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(fault: Fault): void {
    this.#pending.push({ ...fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#pending.length = 0;
  }

  /** The fault that hits this call, used up by one. */
  next(action: ActionName, region: string): Fault | undefined {
    const fault = this.#pending.find(
      (one) => one.action === action && (one.region ?? region) === region && one.left > 0,
    );
    if (fault) fault.left -= 1;
    return fault;
  }

  record(call: RecordedCall): void {
    this.calls.push(call);
    if (this.calls.length > KEEP_CALLS) this.calls.shift();
  }

  async before(fault: Fault | undefined): Promise<void> {
    if (fault?.delayMilliseconds) await this.#clock.sleep(fault.delayMilliseconds);
    if (fault?.error && !fault.afterEffect) throw faultError(fault.error);
  }

  after(fault: Fault | undefined): void {
    if (fault?.afterEffect) {
      throw faultError(
        fault.error ?? { code: 'InternalError', message: 'The answer was lost on purpose.', status: 500 },
      );
    }
  }
}

const faultError = ({ code, message, status }: NonNullable<Fault['error']>) =>
  new ServiceError(code, message ?? `Injected fault ${code}`, status ?? 400);
