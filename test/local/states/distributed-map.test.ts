import { expect, test } from 'vitest';
import { systemClock } from '../../../local/clock.ts';
import { call, detailsOf, only, type Script, stage, temporaryDirectory } from './stage.ts';

const processor = (states: object, start = Object.keys(states)[0]) => ({
  ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
  StartAt: start,
  States: states,
});
const distributed = (rest: object = {}, states: object = { Work: call('work') }) =>
  only('Many', { Type: 'Map', End: true, Label: 'Many', ItemProcessor: processor(states), ...rest });
const fails = { error: { errorType: 'Broken', errorMessage: 'no' } };
const results = '{% $states.result.Payload %}';

interface Described {
  status: string;
  itemCounts: Record<string, number>;
  maxConcurrency: number;
  executionArn: string;
}

/** The map run of an execution, with its children. */
async function mapRunOf({ call: ask }: ReturnType<typeof stage>, executionArn: string) {
  const { mapRuns } = await ask<{ mapRuns: { mapRunArn: string }[] }>('ListMapRuns', { executionArn });
  const [{ mapRunArn } = { mapRunArn: '' }] = mapRuns;
  const described = await ask<Described>('DescribeMapRun', { mapRunArn });
  const { executions } = await ask<{ executions: { executionArn: string; status: string; name: string }[] }>(
    'ListExecutions',
    { mapRunArn },
  );
  return { mapRunArn, described, executions };
}

test('each item is an execution of its own, with a history of its own', async () => {
  const played = stage({ work: [{}] });
  const stateMachineArn = await played.create(
    distributed({}, { Work: call('work', '{% $states.input %}', { End: true, Output: results }) }),
    'many',
  );
  const { events, ...ended } = await played.finished(await played.start(stateMachineArn, [1, 2, 3], 'one'));
  expect(ended).toMatchObject({ status: 'SUCCEEDED', output: [1, 2, 3] });
  // In moto's order, too (oracle/cases.ts), which descends from LocalStack's.
  expect(ended.types).toEqual([
    'ExecutionStarted',
    'MapStateEntered',
    'MapStateStarted',
    'MapRunStarted',
    'MapRunSucceeded',
    'MapStateSucceeded',
    'MapStateExited',
    'ExecutionSucceeded',
  ]);
  const { mapRunArn, described, executions } = await mapRunOf(played, ended.executionArn);
  expect(detailsOf(events[3])).toEqual({ mapRunArn });
  expect(mapRunArn).toMatch(/^arn:aws:states:us-east-1:123456789012:mapRun:many\/Many:[0-9a-f-]{36}$/);
  expect(described).toMatchObject({
    status: 'SUCCEEDED',
    executionArn: ended.executionArn,
    itemCounts: { total: 3, succeeded: 3, pending: 0, running: 0, failed: 0 },
  });
  expect(executions).toHaveLength(3);
  const [child] = executions;
  expect(child?.executionArn).toBe(
    `arn:aws:states:us-east-1:123456789012:execution:many/Many:${child?.name}`,
  );
  const { types } = await played.finished(child?.executionArn ?? '');
  expect(types).toEqual([
    'ExecutionStarted',
    'TaskStateEntered',
    'TaskScheduled',
    'TaskStarted',
    'TaskSucceeded',
    'TaskStateExited',
    'ExecutionSucceeded',
  ]);
  // The parent's own list has the parent only.
  expect(await played.call('ListExecutions', { stateMachineArn })).toMatchObject({
    executions: [{ name: 'one' }],
  });
});

test('no more than MaxConcurrency run at once', async () => {
  const played = stage({ work: [{ seconds: 10 }] });
  let [running, most] = [0, 0];
  played.service.subscribe(({ executionArn, status }) => {
    if (!executionArn.includes('/Many:')) return;
    running += status === 'RUNNING' ? 1 : -1;
    most = Math.max(most, running);
  });
  const { status } = await played.run(
    distributed({ MaxConcurrency: '{% $states.input.limit %}', Items: '{% [1..20] %}' }),
    { limit: 4 },
  );
  expect({ status, most, running }).toEqual({ status: 'SUCCEEDED', most: 4, running: 0 });
});

const list = { Resource: 'arn:aws:states:::s3:getObject', ReaderConfig: { InputType: 'JSON' } };
const read = (rest: object = {}) =>
  distributed(
    { ItemReader: { ...list, Arguments: { Bucket: 'lists', Key: '{% $states.input.key %}' }, ...rest } },
    { Same: { Type: 'Pass', End: true } },
  );
const objects = {
  'lists/a.json': '[{"n":1},{"n":2}]',
  'lists/b.json': '{"x":{"of/it":[7]}}',
  'lists/c': '{',
};

test('a list in S3: the whole, or what a pointer names', async () => {
  const whole = await stage({}, {}, objects).run(read(), { key: 'a.json' });
  expect(whole).toMatchObject({ status: 'SUCCEEDED', output: [{ n: 1 }, { n: 2 }] });
  expect(detailsOf(whole.events[2])).toEqual({ length: 0 });
  const pointer = { ReaderConfig: { InputType: 'JSON', ItemsPointer: '/x/of~1it' } };
  expect(await stage({}, {}, objects).run(read(pointer), { key: 'b.json' })).toMatchObject({ output: [7] });
});

test.for([
  ['nothing', 'The specified key does not exist.'],
  ['b.json', 'Attempting to map over non-iterable node.'],
  ['c', expect.stringContaining('JSON')],
])('a list that cannot be read: %s', async ([key, cause]) => {
  const { status, error, types, events, ...rest } = await stage({}, {}, objects).run(read(), { key });
  expect({ status, error, cause: rest.cause }).toEqual({
    status: 'FAILED',
    error: 'States.ItemReaderFailed',
    cause,
  });
  expect(types.slice(3)).toEqual(['MapRunStarted', 'MapRunFailed', 'MapStateFailed', 'ExecutionFailed']);
  expect(detailsOf(events[4])).toEqual({ error, cause });
});

/** The n-th call fails. */
const failing = (...which: number[]): Script => ({
  work: Array.from({ length: 10 }, (_, index) => (which.includes(index) ? fails : {})),
});
const ten = { Items: '{% [1..10] %}', MaxConcurrency: 1 };
const answer = { Work: call('work', '{% $states.input %}', { End: true, Output: results }) };

test('what fails within the tolerance is left out of the output', async () => {
  const played = stage(failing(2, 5));
  const ended = await played.run(distributed({ ...ten, ToleratedFailurePercentage: 20 }, answer));
  expect(ended).toMatchObject({ status: 'SUCCEEDED', output: [1, 2, 4, 5, 7, 8, 9, 10] });
  const { described } = await mapRunOf(played, ended.executionArn);
  expect(described).toMatchObject({
    toleratedFailurePercentage: 20,
    itemCounts: { succeeded: 8, failed: 2, total: 10 },
  });
});

test.for([
  ['none is tolerated', {}, failing(3), 4],
  ['a count', { ToleratedFailureCount: 1 }, failing(1, 4), 5],
  ['a percentage', { ToleratedFailurePercentage: '{% 10 %}' }, failing(1, 4), 5],
  ['either of both', { ToleratedFailureCount: 5, ToleratedFailurePercentage: 10 }, failing(0, 1), 2],
] as const)('beyond the tolerance the rest is not begun: %s', async ([_name, tolerance, script, begun]) => {
  const played = stage(script);
  const ended = await played.run(distributed({ ...ten, ...tolerance }));
  expect(ended).toMatchObject({
    status: 'FAILED',
    error: 'States.ExceedToleratedFailureThreshold',
    cause: 'The specified tolerated failure threshold was exceeded',
  });
  const { described, executions } = await mapRunOf(played, ended.executionArn);
  expect(executions).toHaveLength(begun);
  expect(described).toMatchObject({ status: 'FAILED', itemCounts: { pending: 10 - begun } });
});

test('what runs when the tolerance is exceeded is stopped, and what it started with it', async () => {
  const played = stage({ slow: [{ seconds: 1e6 }], quick: [{ ...fails, seconds: 60 }] });
  const child = await played.create(only('Slow', call('slow')), 'nested');
  const ended = await played.run(
    distributed(
      { Items: '{% ["slow", "quick"] %}' },
      {
        Which: {
          Type: 'Choice',
          Choices: [{ Condition: "{% $states.input = 'slow' %}", Next: 'Nested' }],
          Default: 'Quick',
        },
        Nested: {
          Type: 'Task',
          Resource: 'arn:aws:states:::states:startExecution.sync:2',
          Arguments: { StateMachineArn: child, Name: 'inner' },
          End: true,
        },
        Quick: call('quick'),
      },
    ),
  );
  expect(ended.status).toBe('FAILED');
  const { executions } = await mapRunOf(played, ended.executionArn);
  expect(executions.map(({ status }) => status).sort()).toEqual(['ABORTED', 'FAILED']);
  const inner = child.replace(':stateMachine:', ':execution:');
  expect(await played.finished(`${inner}:inner`)).toMatchObject({ status: 'ABORTED' });
});

test('the failure can be caught, and the state tried again makes another run', async () => {
  const played = stage(failing(0));
  const ended = await played.run({
    StartAt: 'Many',
    States: {
      Many: {
        ...distributed({ Items: '{% [1, 2] %}', MaxConcurrency: 1 }, answer).States.Many,
        Retry: [{ ErrorEquals: ['States.ExceedToleratedFailureThreshold'], MaxAttempts: 1 }],
      },
    },
  });
  expect(ended).toMatchObject({ status: 'SUCCEEDED', output: [1, 2] });
  const { mapRuns } = await played.call<{ mapRuns: unknown[] }>('ListMapRuns', {
    executionArn: ended.executionArn,
  });
  expect(mapRuns).toHaveLength(2);
});

test('StopExecution of the parent ends its children', async () => {
  const played = stage({}, { clock: systemClock });
  const wait = { Wait: { Type: 'Wait', Seconds: 1e6, End: true } };
  const executionArn = await played.start(await played.create(distributed({}, wait)), [1, 2]);
  await expect.poll(async () => (await mapRunOf(played, executionArn)).executions.length).toBe(2);
  await played.call('StopExecution', { executionArn });
  await expect
    .poll(async () => (await mapRunOf(played, executionArn)).executions.map(({ status }) => status))
    .toEqual(['ABORTED', 'ABORTED']);
  expect((await mapRunOf(played, executionArn)).described.status).toBe('ABORTED');
});

test('a restart finds runs and children; what ran is aborted', async () => {
  const stateDirectory = temporaryDirectory();
  const before = stage({}, { stateDirectory, clock: systemClock });
  const wait = { Wait: { Type: 'Wait', Seconds: 1e6, End: true } };
  const executionArn = await before.start(await before.create(distributed({}, wait)), [1]);
  await expect.poll(async () => (await mapRunOf(before, executionArn)).executions.length).toBe(1);
  const after = stage({}, { stateDirectory });
  const { described, executions } = await mapRunOf(after, executionArn);
  expect(described.status).toBe('ABORTED');
  expect(executions).toMatchObject([{ status: 'ABORTED' }]);
  await expect(
    after.call('RedriveExecution', { executionArn: executions[0]?.executionArn }),
  ).rejects.toMatchObject({ name: 'ExecutionNotRedrivable' });
  await before.service.close();
});

test('a child sees no variable and no item of the parent', async () => {
  const played = stage();
  const ended = await played.run({
    StartAt: 'Set',
    States: {
      Set: { Type: 'Pass', Assign: { outer: 1 }, Output: '{% [5] %}', Next: 'Many' },
      Many: {
        ...distributed(
          {
            ItemSelector: {
              index: '{% $states.context.Map.Item.Index %}',
              value: '{% $states.context.Map.Item.Value + $outer %}',
            },
          },
          {
            See: {
              Type: 'Pass',
              End: true,
              Output: {
                input: '{% $states.input %}',
                sees: '{% [$exists($outer), $exists($states.context.Map)] %}',
                same: '{% $states.context.Execution.Input = $states.input %}',
              },
            },
          },
        ).States.Many,
      },
    },
  });
  expect(ended.output).toEqual([{ input: { index: 0, value: 6 }, sees: [false, false], same: true }]);
});
