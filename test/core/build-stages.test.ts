import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { stagesOf, statesOf } from '../../core/build-stages.ts';
import type { HistoryEvent } from '../../core/ports.ts';

const START = Date.parse('2026-11-26T12:00:00Z');

/** Events a second apart: `+Plan` enters a state, `-Plan` leaves it, `!Plan` leaves it by a Catch; what else there is stands for itself. */
function events(...words: readonly string[]): HistoryEvent[] {
  const made: HistoryEvent[] = [];
  const add = (type: string, seconds: number, name?: string) =>
    made.push({
      id: made.length + 1,
      previous: made.length,
      at: new Date(START + seconds * 1000).toISOString(),
      type,
      ...(name === undefined ? {} : { name }),
    });
  add('ExecutionStarted', 0);
  for (const [index, word] of words.entries()) {
    const name = word.slice(1);
    if (word.startsWith('+')) add('TaskStateEntered', index, name);
    else if (word.startsWith('-')) add('TaskStateExited', index, name);
    else if (word.startsWith('!')) {
      add('TaskFailed', index);
      add('TaskStateExited', index, name);
    } else add(word, index);
  }
  return made;
}

const plan = { road: 'unix', bootTest: null, distribution: null } as const;
const facts = {
  dryRun: false,
  phases: [],
  plan: {
    ...plan,
    estimate: {
      phases: [
        { name: 'launch', seconds: 35 },
        { name: 'file system', seconds: 9 },
      ],
    },
  },
} as const;
const told = (stages: ReturnType<typeof stagesOf>, ...states: string[]) =>
  stages.filter(({ state }) => states.includes(state)).map(({ name, seconds }) => [name, seconds]);

describe('the stages of a build', () => {
  test('begin with all that is to come, and what is expected of it', () => {
    const stages = stagesOf({ ...facts, status: 'RUNNING', now: START, events: events('+Plan') });
    expect(told(stages, 'running')).toEqual([['plan', 0]]);
    expect(stages.filter(({ state }) => state === 'waiting')).toHaveLength(stages.length - 1);
    expect(stages.find(({ name }) => name === 'launch')?.expectedSeconds).toBe(35);
    expect(stages.find(({ name }) => name === 'worker: filesystem')?.expectedSeconds).toBe(9);
    expect(stages.map(({ name }) => name)).not.toContain('boot test');
    expect(stages.map(({ name }) => name)).not.toContain('copies');
  });

  test('take the time of choices and pauses to the stage that they are about', () => {
    const run = events(
      '+Plan',
      '-Plan',
      '+Distributed?',
      '-Distributed?',
      '+Launch',
      '-Launch',
      '+PauseForWorkerRunning',
    );
    const stages = stagesOf({ ...facts, status: 'RUNNING', now: START + 8000, events: run });
    expect(told(stages, 'done', 'running')).toEqual([
      ['plan', 4],
      ['launch', 4],
    ]);
  });

  test('have the phases that the worker tells of', () => {
    const run = events('+Plan', '-Plan', '+Launch', '-Launch', '+Attach', '-Attach', '+WaitForWorker');
    const phases = [
      { title: 'preflight', state: 'done', seconds: 1 },
      { title: 'fetch', state: 'running', bytes: 7 },
    ] as const;
    const stages = stagesOf({ ...facts, phases, status: 'RUNNING', now: START + 9000, events: run });
    expect(told(stages, 'running')).toEqual([['worker: fetch', null]]);
    expect(told(stages, 'done')).toContainEqual(['worker: preflight', 1]);
    const dead = events(
      '+Plan',
      '-Plan',
      '+WaitForWorker',
      '!WaitForWorker',
      '+Salvage',
      '-Salvage',
      '+CleanUpAfterFailure',
      '-CleanUpAfterFailure',
      '+BuildFailed',
      'ExecutionFailed',
    );
    const after = stagesOf({ ...facts, phases, status: 'FAILED', now: START + 99_000, events: dead });
    expect(told(after, 'failed')).toEqual([['worker: fetch', null]]);
    expect(told(after, 'done')).toContainEqual(['clean-up', 5]);
    expect(after.find(({ name }) => name === 'snapshot')?.state).toBe('skipped');
  });

  test('skip what an adopted image needs not', () => {
    const run = events('+Plan', '-Plan', '+Publish', '-Publish', '+Done', '-Done', 'ExecutionSucceeded');
    const adopted = { ...plan, distribution: {} };
    const stages = stagesOf({ ...facts, plan: adopted, status: 'SUCCEEDED', now: START, events: run });
    expect(told(stages, 'done')).toEqual([
      ['plan', 2],
      ['publish', 4],
    ]);
    expect(new Set(stages.map(({ state }) => state))).toEqual(new Set(['done', 'skipped']));
  });

  test('of a dry run are its plan', () => {
    const run = events('+Plan', '-Plan', '+PlanOnly', '-PlanOnly', 'ExecutionSucceeded');
    const stages = stagesOf({ ...facts, dryRun: true, status: 'SUCCEEDED', now: START, events: run });
    expect(stages.map(({ name, state }) => [name, state])).toEqual([['plan', 'done']]);
  });

  test('know every Task of the state machine', () => {
    const { States } = JSON.parse(
      readFileSync(new URL('../../statemachines/build-image.asl.json', import.meta.url), 'utf8'),
    ) as { States: Record<string, { Type: string }> };
    const tasks = Object.entries(States).filter(([, { Type }]) => Type === 'Task' || Type === 'Map');
    expect(tasks.length).toBeGreaterThan(20);
    for (const [name] of tasks) {
      // Entered after the plan, it is somewhere: time no longer goes to the plan.
      const stages = stagesOf({
        ...facts,
        status: 'RUNNING',
        now: START + 9000,
        events: events('+Plan', '-Plan', `+${name}`),
      });
      const planned = stages.find((stage) => stage.name === 'plan');
      const ofPlan = ['Plan', 'Preflight', 'CleanUpForPlan'].includes(name);
      expect([name, planned?.seconds]).toEqual([name, ofPlan ? 9 : 2]);
    }
  });
});

describe('the states of a build', () => {
  test('are told once each, with how often they were entered', () => {
    const run = events(
      '+Plan',
      '-Plan',
      '+WaitForWorker',
      '-WaitForWorker',
      '+PauseForWorker',
      '-PauseForWorker',
      '+WaitForWorker',
    );
    expect(statesOf({ status: 'RUNNING', now: START + 9000, events: run })).toMatchObject([
      { name: 'Plan', status: 'succeeded', entered: 1, seconds: 1 },
      { name: 'WaitForWorker', status: 'running', entered: 2, seconds: 1 + 3 },
      { name: 'PauseForWorker', status: 'succeeded', entered: 1 },
    ]);
  });

  test('have failed when a Catch took what they threw, and where the build was stopped', () => {
    const run = events('+Plan', '!Plan', '+Salvage', 'ExecutionAborted');
    expect(statesOf({ status: 'ABORTED', now: START + 99_000, events: run })).toMatchObject([
      { name: 'Plan', status: 'failed' },
      { name: 'Salvage', status: 'failed', seconds: 1 },
    ]);
  });

  test('of the longest history there may be are read in a moment', () => {
    const turns = Array.from({ length: 5000 }, () => [
      '+WaitForWorker',
      '-WaitForWorker',
      '+PauseForWorker',
      '-PauseForWorker',
      'LambdaFunctionScheduled',
    ]).flat();
    const run = events('+Plan', '-Plan', ...turns.slice(0, 24_990));
    const begun = performance.now();
    const all = { ...facts, status: 'RUNNING', now: START, events: run } as const;
    expect(statesOf(all)).toHaveLength(3);
    expect(stagesOf(all).length).toBeGreaterThan(10);
    // A quarter of a second on an idle core would be too much already.
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});
