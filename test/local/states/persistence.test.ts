import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../local/clock.ts';
import { call, only, stage, temporaryDirectory } from './stage.ts';

const journal = (root: string): string => {
  const [name] = readdirSync(join(root, 'states', 'executions'));
  return join(root, 'states', 'executions', name ?? expect.unreachable());
};

test('a restart finds machines, executions and their histories', async () => {
  const stateDirectory = temporaryDirectory();
  const before = stage({ f: [{ returns: 1 }] }, { stateDirectory });
  const stateMachineArn = await before.create(only('T', call('f')), 'kept');
  const finished = await before.finished(await before.start(stateMachineArn, { a: 1 }, 'one'));
  await before.service.close();

  const after = stage({}, { stateDirectory });
  expect(await after.finished(finished.executionArn)).toEqual(finished);
  expect(await after.call('DescribeStateMachine', { stateMachineArn })).toMatchObject({ name: 'kept' });
  await expect(after.start(stateMachineArn, { a: 1 }, 'one')).rejects.toMatchObject({
    name: 'ExecutionAlreadyExists',
  });
});

test('what ran at a crash ends as ABORTED, and says why', async () => {
  const stateDirectory = temporaryDirectory();
  // Never closed: as after a kill.
  const before = stage({}, { stateDirectory, clock: systemClock });
  const executionArn = await before.start(
    await before.create(only('W', { Type: 'Wait', Seconds: 1e6, End: true })),
  );
  await expect
    .poll(
      async () =>
        (await before.call<{ events: unknown[] }>('GetExecutionHistory', { executionArn })).events.length,
    )
    .toBe(2);

  const after = stage({}, { stateDirectory });
  const finished = await after.finished(executionArn);
  expect(finished).toMatchObject({ status: 'ABORTED', cause: 'local cloud was restarted' });
  expect(finished.types).toEqual(['ExecutionStarted', 'WaitStateEntered', 'ExecutionAborted']);
  expect(finished.events.at(-1)).toMatchObject({ id: 3, previousEventId: 2 });
  // The end is on disk too: a second restart finds the same.
  expect(await stage({}, { stateDirectory }).finished(executionArn)).toEqual(finished);
  await before.service.close();
});

test('a torn last line is dropped, and nothing before it', async () => {
  const stateDirectory = temporaryDirectory();
  const before = stage({}, { stateDirectory, clock: systemClock });
  const executionArn = await before.start(
    await before.create(only('W', { Type: 'Wait', Seconds: 1e6, End: true })),
  );
  await expect
    .poll(
      async () =>
        (await before.call<{ events: unknown[] }>('GetExecutionHistory', { executionArn })).events.length,
    )
    .toBe(2);
  appendFileSync(journal(stateDirectory), '{"kind":"event","event":{"id":3,"ty');

  const { types } = await stage({}, { stateDirectory }).finished(executionArn);
  expect(types).toEqual(['ExecutionStarted', 'WaitStateEntered', 'ExecutionAborted']);
  await before.service.close();
});

test('close ends what runs', async () => {
  const stateDirectory = temporaryDirectory();
  const before = stage({}, { stateDirectory, clock: systemClock });
  const executionArn = await before.start(
    await before.create(only('W', { Type: 'Wait', Seconds: 1e6, End: true })),
  );
  await before.service.close();
  expect(await stage({}, { stateDirectory }).finished(executionArn)).toMatchObject({
    status: 'ABORTED',
    cause: 'local cloud was stopped',
  });
});

test('names that differ only in case, or that a file system would not take, are kept apart', async () => {
  const stateDirectory = temporaryDirectory();
  const before = stage({}, { stateDirectory });
  const stateMachineArn = await before.create(only('P', { Type: 'Pass', End: true }));
  const names = ['a', 'A', '..', 'Ä', 'ä', 'x'.repeat(80)];
  const arns = await Promise.all(names.map((name) => before.start(stateMachineArn, { name }, name)));
  await Promise.all(arns.map((arn) => before.finished(arn)));
  const after = stage({}, { stateDirectory });
  for (const [i, arn] of arns.entries())
    expect((await after.finished(arn)).output).toEqual({ name: names[i] });
});

test('a stored definition that is not runnable any more is refused when it runs', async () => {
  const stateDirectory = temporaryDirectory();
  const before = stage({}, { stateDirectory });
  const stateMachineArn = await before.create(only('P', { Type: 'Pass', End: true }));
  const [name = ''] = readdirSync(join(stateDirectory, 'states', 'machines'));
  const path = join(stateDirectory, 'states', 'machines', name);
  writeFileSync(path, readFileSync(path, 'utf8').replace('\\"Pass\\"', '\\"Pass\\",\\"Result\\":1'));

  const after = stage({}, { stateDirectory });
  expect(await after.finished(await after.start(stateMachineArn))).toMatchObject({
    status: 'FAILED',
    error: 'States.Runtime',
    cause: 'UnsupportedAsl: state P, field Result at /States/P',
  });
});
