import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from './clock.ts';
import { watch, withhold } from './front/answer.ts';
import { type Asked, askedBy } from './front/call.ts';
import type { Scope } from './front/request.ts';
import { ServiceError } from './front/service-error.ts';
import type { Invocation } from './lambda/runtime.ts';

export interface RecordedCall extends Asked {
  /** Epoch milliseconds. */
  readonly at: number;
  /** Lambda function or program that called, as its token or its user agent tells. */
  readonly caller: string;
  /** Of a function that called. */
  readonly invocation?: Invocation;
  /** Error code, absent on success. */
  error?: string;
}

/** One deliberate disturbance of calls to the cloud. What says nothing of the call hits every one. */
export interface Fault {
  service?: string;
  action?: string;
  /** Only there; everywhere when absent. */
  region?: string;
  /** Whatever else must hold of a call. */
  where?: (call: RecordedCall) => boolean;
  /** How many calls it hits; default 1. */
  times?: number;
  delayMilliseconds?: number;
  error?: { code: string; message?: string; status?: number };
  /** The call takes effect and only its answer is lost: what a broken connection does. */
  afterEffect?: boolean;
  /** What happens at that moment: the caller is killed, its execution is stopped. */
  strike?: (call: RecordedCall) => void | Promise<void>;
  /** The connection is cut instead of an answer. */
  cut?: boolean;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly scope: Scope;
}

/** Calls kept; a build makes about a hundred. */
const KEEP_CALLS = 10_000;

/** Breaks calls of any service on purpose, and remembers all of them. */
export class Faults {
  readonly calls: RecordedCall[] = [];
  readonly #pending = new Set<Fault & { left: number }>();
  readonly #clock: Clock;
  readonly #invocationOf: (sessionToken: string) => Invocation | undefined;

  constructor(clock: Clock, invocationOf: (sessionToken: string) => Invocation | undefined) {
    this.#clock = clock;
    this.#invocationOf = invocationOf;
  }

  /** Gives what takes the fault back. */
  add(fault: Fault): () => void {
    const pending = { ...fault, left: fault.times ?? 1 };
    this.#pending.add(pending);
    return () => this.#pending.delete(pending);
  }

  clear(): void {
    this.#pending.clear();
  }

  /** Lets a service answer, but for what was added. Throws errors as a service does. */
  async around(
    { request, response, url, scope }: Exchange,
    serve: (asked: Asked) => Promise<void>,
  ): Promise<void> {
    const call: RecordedCall = {
      ...(await askedBy(request, url, scope)),
      at: this.#clock.now(),
      ...this.#caller(request),
    };
    watch(response, (code) => this.#record(call, code));
    const fault = this.#next(call);
    if (fault === undefined) return await serve(call);
    if (fault.delayMilliseconds) await this.#clock.sleep(fault.delayMilliseconds);
    const answer = fault.afterEffect ? withhold(response) : undefined;
    if (answer) {
      await serve(call);
      await answer.given;
    }
    await fault.strike?.(call);
    if (fault.cut) {
      this.#record(call, 'ECONNRESET');
      response.destroy();
      return;
    }
    const error = fault.error ?? (fault.afterEffect && !fault.strike ? LOST : undefined);
    if (error) {
      const { code, message = `Injected fault ${code}`, status = 400 } = error;
      throw new ServiceError(code, message, status);
    }
    if (answer) answer.release();
    else await serve(call);
  }

  /** The fault that hits this call, used up by one. */
  #next(call: RecordedCall): Fault | undefined {
    for (const fault of this.#pending) {
      const { service, action, region, where } = fault;
      const hit =
        (service ?? call.service) === call.service &&
        (action ?? call.action) === call.action &&
        (region ?? call.region) === call.region &&
        (where?.(call) ?? true);
      if (!hit) continue;
      fault.left -= 1;
      if (fault.left <= 0) this.#pending.delete(fault);
      return fault;
    }
    return undefined;
  }

  /** Functions are known by their session token; the SDK also names them, and programs name themselves. */
  #caller({ headers }: IncomingMessage): Pick<RecordedCall, 'caller' | 'invocation'> {
    const invocation = this.#invocationOf(String(headers['x-amz-security-token'] ?? ''));
    if (invocation) return { caller: invocation.functionName, invocation };
    const agent =
      `${String(headers['user-agent'] ?? '')} ${String(headers['x-amz-user-agent'] ?? '')}`.trim();
    return { caller: /\bapp\/(\S+)/.exec(agent)?.[1] ?? agent.split(' ')[0] ?? '' };
  }

  #record(call: RecordedCall, code: string | undefined): void {
    if (code !== undefined) call.error = code;
    this.calls.push(call);
    if (this.calls.length > KEEP_CALLS) this.calls.shift();
  }
}

const LOST = { code: 'InternalError', message: 'The answer was lost on purpose.', status: 500 };
