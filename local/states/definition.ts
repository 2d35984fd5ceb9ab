/**
 * The subset of the Amazon States Language that the local cloud runs, as types.
 *
 * Source: https://states-language.net/spec.html (JSONata query language) and the developer guide's pages
 * "Discovering workflow states" and "Transforming data with JSONata". `schema.ts` refuses everything else by name, so a
 * value of these types has been validated.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface Retrier {
  ErrorEquals: string[];
  IntervalSeconds?: number;
  MaxAttempts?: number;
  BackoffRate?: number;
  MaxDelaySeconds?: number;
  JitterStrategy?: 'FULL' | 'NONE';
  Comment?: string;
}

/** What a state may do on its way out; a choice rule and a catcher carry their own. */
export interface Leaving {
  Assign?: JsonObject;
  Output?: Json;
}

export interface Catcher extends Leaving {
  ErrorEquals: string[];
  Next: string;
  Comment?: string;
}

export interface ChoiceRule extends Leaving {
  Condition: string;
  Next: string;
  Comment?: string;
}

interface Common {
  Comment?: string;
  QueryLanguage?: 'JSONata';
}

interface Onward {
  Next?: string;
  End?: boolean;
}

interface Guarded {
  Retry?: Retrier[];
  Catch?: Catcher[];
}

export interface TaskState extends Common, Onward, Guarded, Leaving {
  Type: 'Task';
  Resource: string;
  Arguments?: Json;
  TimeoutSeconds?: number | string;
  HeartbeatSeconds?: number | string;
}

export interface PassState extends Common, Onward, Leaving {
  Type: 'Pass';
}

export interface WaitState extends Common, Onward, Leaving {
  Type: 'Wait';
  Seconds?: number | string;
  Timestamp?: string;
}

export interface ChoiceState extends Common, Leaving {
  Type: 'Choice';
  Choices: ChoiceRule[];
  Default?: string;
}

export interface SucceedState extends Common {
  Type: 'Succeed';
  Output?: Json;
}

export interface FailState extends Common {
  Type: 'Fail';
  Error?: string;
  Cause?: string;
}

export interface ParallelState extends Common, Onward, Guarded, Leaving {
  Type: 'Parallel';
  Branches: StateContainer[];
  Arguments?: Json;
}

export interface MapState extends Common, Onward, Guarded, Leaving {
  Type: 'Map';
  ItemProcessor: StateContainer & {
    ProcessorConfig?: { Mode?: 'INLINE' | 'DISTRIBUTED'; ExecutionType?: 'STANDARD' };
  };
  Items?: Json;
  ItemSelector?: Json;
  MaxConcurrency?: number | string;
  // Of distributed mode only.
  ItemReader?: {
    Resource: string;
    Arguments?: JsonObject;
    ReaderConfig?: { InputType: 'JSON'; ItemsPointer?: string };
  };
  ToleratedFailureCount?: number | string;
  ToleratedFailurePercentage?: number | string;
  Label?: string;
}

export type State =
  | TaskState
  | PassState
  | WaitState
  | ChoiceState
  | SucceedState
  | FailState
  | ParallelState
  | MapState;

export type StateType = State['Type'];

export interface StateContainer {
  Comment?: string;
  StartAt: string;
  States: Record<string, State>;
}

export interface Definition extends StateContainer {
  QueryLanguage: 'JSONata';
  TimeoutSeconds?: number;
  Version?: string;
}
