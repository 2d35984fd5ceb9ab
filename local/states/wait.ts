import type { WaitState } from './definition.ts';
import { StatesError } from './errors.ts';
import { LONGEST_SECONDS } from './limits.ts';
import { fieldOf, isCount, isString, leave, type Transition, unexpectedType, type Visit } from './visit.ts';

/** "must conform to the RFC3339 profile of ISO 8601, with the further restrictions that an uppercase T … and Z" */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

export const isTimestamp = (text: string): boolean => TIMESTAMP.test(text) && !Number.isNaN(Date.parse(text));

/** @see https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html */
export async function wait(visit: Visit<WaitState>): Promise<Transition> {
  const { run, signal } = visit.line;
  const ms = await remaining(visit);
  if (ms > 0) await run.clock.sleep(ms * run.timeScale, signal);
  return leave(visit, { by: visit.state, at: '', extra: {}, otherwise: visit.input, next: visit.state.Next });
}

async function remaining(visit: Visit<WaitState>): Promise<number> {
  const { Seconds: seconds, Timestamp: timestamp } = visit.state;
  if (seconds !== undefined) {
    const value = await fieldOf(visit, 'Seconds', seconds, 'number', isCount);
    if (value > LONGEST_SECONDS)
      throw unexpectedType('Seconds', seconds, `number up to ${LONGEST_SECONDS}`, value);
    return value * 1000;
  }
  if (timestamp === undefined) throw new StatesError('States.Runtime', 'The Wait state has no length.');
  const value = await fieldOf(visit, 'Timestamp', timestamp, 'string', isString);
  if (!isTimestamp(value)) throw unexpectedType('Timestamp', timestamp, 'timestamp', value);
  return Date.parse(value) - visit.line.run.clock.now();
}
