import { setTimeout as pause } from 'node:timers/promises';
import { type EC2Client, GetConsoleOutputCommand } from '@aws-sdk/client-ec2';
import {
  DescribeExecutionCommand,
  type DescribeExecutionOutput,
  type HistoryEvent,
  paginateGetExecutionHistory,
  type SFNClient,
} from '@aws-sdk/client-sfn';
import { readWorkerConsole, workerPhases } from '../core/worker-console.ts';

/** One line of a build's progress. */
export interface Stage {
  readonly title: string;
  readonly state: 'waiting' | 'running' | 'done' | 'failed';
  /** Seconds it took, when it is done. */
  readonly seconds?: number;
  /** Bytes it moved, when it says so. */
  readonly bytes?: number;
}

export interface BuildView {
  readonly stages: readonly Stage[];
  readonly execution: DescribeExecutionOutput;
}

/** A stage of the state machine begins when its state is entered, and ends when the next stage's is. */
const stateStages = [
  { title: 'plan', from: 'Plan', until: 'Planned?' },
  { title: 'launch', from: 'Launch', until: 'Attach' },
  { title: 'attach', from: 'Attach', until: 'WaitForWorker' },
  { title: 'worker', from: 'WaitForWorker', until: 'Snapshot' },
  { title: 'snapshot', from: 'Snapshot', until: 'Register' },
  { title: 'register', from: 'Register', until: ['LaunchBootTest', 'CleanUp'] },
  { title: 'boot test', from: 'LaunchBootTest', until: 'CleanUp' },
  { title: 'clean-up', from: 'CleanUp', until: 'Done' },
] as const;

/** Often enough for the eye; a follower must not take the processor from the build that it follows. */
const POLL_MILLISECONDS = 250;

/** Events of some turns of a waiting loop: what is new since the last poll. */
const PAGE = 50;

/** Watches an execution until it ends, by the calls any client may make: its history, and its worker's console. */
export async function* followBuild(
  sfn: SFNClient,
  ec2: EC2Client,
  executionArn: string,
): AsyncGenerator<BuildView, void> {
  let shown = '';
  const events: HistoryEvent[] = [];
  for (;;) {
    const execution = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    events.push(...(await eventsAfter(sfn, executionArn, events.at(-1)?.id ?? 0)));
    const stages = await readStages(events, ec2, execution.name ?? '', execution.status !== 'RUNNING');
    const now = JSON.stringify([stages, execution.status]);
    if (now !== shown) yield { stages, execution };
    shown = now;
    if (execution.status !== 'RUNNING') return;
    await pause(POLL_MILLISECONDS);
  }
}

/** The events with a higher id, oldest first. */
async function eventsAfter(sfn: SFNClient, executionArn: string, last: number): Promise<HistoryEvent[]> {
  const found: HistoryEvent[] = [];
  const input = { executionArn, reverseOrder: true, maxResults: PAGE };
  for await (const { events = [] } of paginateGetExecutionHistory({ client: sfn }, input)) {
    const fresh = events.filter(({ id = 0 }) => id > last);
    found.push(...fresh);
    if (fresh.length < events.length) break;
  }
  return found.reverse();
}

async function readStages(
  events: readonly HistoryEvent[],
  ec2: EC2Client,
  build: string,
  ended: boolean,
): Promise<Stage[]> {
  const enteredAt = new Map<string, number>();
  for (const { stateEnteredEventDetails: entered, timestamp } of events) {
    if (entered?.name && timestamp && !enteredAt.has(entered.name))
      enteredAt.set(entered.name, timestamp.getTime());
  }
  const failed = enteredAt.has('CleanUpAfterFailure') || enteredAt.has('BuildFailed');
  const stages: Stage[] = [];
  for (const { title, from, until } of stateStages) {
    const begun = enteredAt.get(from);
    // Without a boot test the clean-up comes next.
    const over = [until].flat().flatMap((name) => enteredAt.get(name) ?? [])[0];
    if (title === 'worker') {
      const phases = begun === undefined ? [] : await readPhases(events, ec2, build);
      stages.push(
        ...workerPhases.map((name) => {
          const phase = phases.find((candidate) => candidate.title === `worker: ${name}`);
          return phase ?? { title: `worker: ${name}`, state: 'waiting' as const };
        }),
      );
      continue;
    }
    if (begun === undefined) stages.push({ title, state: 'waiting' });
    else if (over !== undefined) stages.push({ title, state: 'done', seconds: (over - begun) / 1000 });
    else stages.push({ title, state: ended || failed ? 'failed' : 'running' });
  }
  return stages;
}

async function readPhases(events: readonly HistoryEvent[], ec2: EC2Client, build: string): Promise<Stage[]> {
  const state = events.findLast(({ stateEnteredEventDetails: entered }) => entered?.name === 'WaitForWorker')
    ?.stateEnteredEventDetails?.input;
  const { worker } = JSON.parse(state ?? '{}') as { worker?: { instanceId?: string } };
  if (worker?.instanceId === undefined) return [];
  const { Output = '' } = await ec2.send(
    new GetConsoleOutputCommand({ InstanceId: worker.instanceId, Latest: true }),
  );
  return readWorkerConsole(Buffer.from(Output, 'base64').toString('utf8'), build).phases.map((phase) => ({
    ...phase,
    title: `worker: ${phase.title}`,
  }));
}
