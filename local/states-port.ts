import type { Clock } from './clock.ts';
import type { InvokeResult } from './lambda/runtime.ts';

/** What the cloud asks of the Step Functions service. */
export interface States {
  /** Answers one operation (`StartExecution`, …); throws errors whose `name` is the AWS error code. */
  handle(operation: string, body: unknown): Promise<unknown>;
  close(): Promise<void> | void;
}

/** What it gives to it. */
export interface StatesParts {
  stateDirectory: string;
  clock: Clock;
  invoke(functionNameOrArn: string, payload: unknown, signal?: AbortSignal): Promise<InvokeResult>;
  region: string;
  accountId: string;
  /** Real length of a second of waiting: 0.02 makes a Wait of 10 s last 200 ms. */
  timeScale: number;
  log(message: string, details?: Record<string, unknown>): void;
}
