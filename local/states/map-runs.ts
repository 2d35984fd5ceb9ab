/**
 * Map Runs: what a Map state in distributed mode makes. Its children are executions of their own, with histories of their own.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html
 */

import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Json, JsonObject } from './definition.ts';
import type { Outcome } from './interpreter.ts';

/** Kept on disk: a new copy whenever the run begins or ends. Dates in epoch milliseconds. */
export interface MapRunRecord {
  arn: string;
  /** The execution whose Map state it is. */
  executionArn: string;
  /** Of the children: the parent's, a slash, the label. */
  stateMachineArn: string;
  label: string;
  maxConcurrency: number;
  toleratedFailureCount: number;
  toleratedFailurePercentage: number;
  total: number;
  status: 'RUNNING' | Outcome['status'];
  startDate: number;
  stopDate?: number;
}

/** What a Map state says of its run. */
export type MapRunSettings = Pick<
  MapRunRecord,
  'maxConcurrency' | 'toleratedFailureCount' | 'toleratedFailurePercentage'
> & {
  /** Without one the service makes a label up ("Map state in Distributed mode", Label). */
  label: string | undefined;
  /** The states of a child, as a definition of its own. */
  definition: JsonObject;
};

/** A run that goes on, as its Map state sees it. */
export interface MapRun {
  readonly arn: string;
  /** Called once, when it is known how many items there are. */
  expect(total: number): void;
  /** Starts the next child and tells how it ended. */
  child(input: Json): Promise<Outcome>;
  /** Ends the children that still run. */
  stop(cause: string): void;
  end(status: Outcome['status']): void;
}

/** One child as the counts need it. */
export interface MapRunChild {
  readonly status: 'RUNNING' | Outcome['status'];
}

export interface MapRunParts {
  readonly clock: Clock;
  readonly save: (record: MapRunRecord) => void;
  readonly start: (
    record: MapRunRecord,
    definition: string,
    input: Json,
  ) => { outcome: Promise<Outcome>; stop: (cause: string) => void };
}

/** Makes the run of one Map state known; `parent` is the ARN of its execution. */
export function startMapRun(
  parts: MapRunParts,
  parent: { readonly executionArn: string; readonly stateMachineArn: string },
  { label = randomUUID(), definition, ...limits }: MapRunSettings,
): MapRun {
  const record: MapRunRecord = {
    arn: `${parent.stateMachineArn.replace(':stateMachine:', ':mapRun:')}/${label}:${randomUUID()}`,
    executionArn: parent.executionArn,
    stateMachineArn: `${parent.stateMachineArn}/${label}`,
    label,
    ...limits,
    total: 0,
    status: 'RUNNING',
    startDate: parts.clock.now(),
  };
  parts.save(record);
  // One text for all children: thousands of them would each hold it.
  const text = JSON.stringify({ QueryLanguage: 'JSONata', ...definition });
  const stops = new Set<(cause: string) => void>();
  return {
    arn: record.arn,
    expect(total) {
      record.total = total;
      parts.save(record);
    },
    async child(input) {
      const { outcome, stop } = parts.start(record, text, input);
      stops.add(stop);
      try {
        return await outcome;
      } finally {
        stops.delete(stop);
      }
    },
    stop(cause) {
      for (const stop of stops) stop(cause);
    },
    end(status) {
      record.status = status;
      record.stopDate = parts.clock.now();
      parts.save(record);
    },
  };
}

/** DescribeMapRun's answer; every child works on one item, since there is no ItemBatcher here. */
export function describeMapRun(record: MapRunRecord, children: readonly MapRunChild[]): JsonObject {
  const of = (status: MapRunChild['status']) => children.filter((child) => child.status === status).length;
  const counts = {
    pending: record.total - children.length,
    running: of('RUNNING'),
    succeeded: of('SUCCEEDED'),
    failed: of('FAILED'),
    timedOut: of('TIMED_OUT'),
    aborted: of('ABORTED'),
    total: record.total,
    resultsWritten: 0,
    failuresNotRedrivable: 0,
    pendingRedrive: 0,
  };
  return {
    mapRunArn: record.arn,
    executionArn: record.executionArn,
    // MapRunStatus has no TIMED_OUT: a run that its execution's time-out ends is aborted.
    status: statusOf(record),
    startDate: record.startDate / 1000,
    ...(record.stopDate === undefined ? {} : { stopDate: record.stopDate / 1000 }),
    maxConcurrency: record.maxConcurrency,
    toleratedFailurePercentage: record.toleratedFailurePercentage,
    toleratedFailureCount: record.toleratedFailureCount,
    itemCounts: counts,
    executionCounts: counts,
    redriveCount: 0,
  };
}

const statusOf = ({ status }: MapRunRecord): string => (status === 'TIMED_OUT' ? 'ABORTED' : status);

/** A line of ListMapRuns. */
export const listedMapRun = (record: MapRunRecord): JsonObject => ({
  executionArn: record.executionArn,
  mapRunArn: record.arn,
  stateMachineArn: record.stateMachineArn,
  startDate: record.startDate / 1000,
  ...(record.stopDate === undefined ? {} : { stopDate: record.stopDate / 1000 }),
});
