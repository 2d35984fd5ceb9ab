import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  DescribeStateMachineForExecutionCommand,
  GetExecutionHistoryCommand,
  ListTagsForResourceCommand,
  paginateGetExecutionHistory,
  paginateListExecutions,
  paginateListStateMachines,
  RedriveExecutionCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateStateMachineCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../local/clock.ts';
import type { StatusChange } from '../../../local/states/service.ts';
import { call, only, ROLE, type Stage, stage } from './stage.ts';

/** The least front that the SDK's client can talk to. */
function front(states: Stage['service']): Server {
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
      const answer = (status: number, body: unknown) =>
        response
          .writeHead(status, { 'content-type': 'application/x-amz-json-1.0' })
          .end(JSON.stringify(body));
      states.handle(operation, JSON.parse(Buffer.concat(chunks).toString() || '{}')).then(
        (body) => answer(200, body),
        (error: Error) =>
          answer(400, Object.assign({}, error, { __type: error.name, message: error.message })),
      );
    });
  });
}

const pass = only('P', { Type: 'Pass', End: true });
const waiting = only('W', { Type: 'Wait', Seconds: 3600, End: true });

describe('with the real SDK client', () => {
  let on: Stage;
  let server: Server;
  let sfn: SFNClient;
  const changes: StatusChange[] = [];

  beforeAll(async () => {
    on = stage(
      {
        f: [{ returns: { ok: true } }],
        asks: [{ token: {} }],
        fails: [{ error: { errorType: 'Once', errorMessage: 'no' } }, { returns: 'second' }],
      },
      { clock: systemClock, timeScale: 1 },
    );
    on.service.subscribe((change) => changes.push(change));
    server = front(on.service).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    sfn = new SFNClient({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      maxAttempts: 1,
      disableHostPrefix: true,
    });
  });
  afterAll(async () => {
    sfn.destroy();
    await on.service.close();
    await new Promise((resolve) => server.close(resolve));
  });

  const create = async (name: string, definition: object) => {
    const { stateMachineArn } = await sfn.send(
      new CreateStateMachineCommand({
        name,
        roleArn: ROLE,
        definition: JSON.stringify({ QueryLanguage: 'JSONata', ...definition }),
      }),
    );
    return stateMachineArn ?? expect.unreachable();
  };

  test('create, start, describe, history', async () => {
    const stateMachineArn = await create(
      'whole',
      only(
        'T',
        call('f', '{% $states.input %}', {
          End: true,
          Output: '{% $states.result.Payload %}',
          Assign: { seen: true },
        }),
      ),
    );
    const before = Date.now();
    const { executionArn, startDate } = await sfn.send(
      new StartExecutionCommand({ stateMachineArn, name: 'one', input: '{"a":1}' }),
    );
    expect(executionArn).toBe('arn:aws:states:us-east-1:123456789012:execution:whole:one');
    expect(Math.abs((startDate?.getTime() ?? 0) - before)).toBeLessThan(5000);
    await on.finished(executionArn ?? '');
    const described = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    expect(described).toMatchObject({
      status: 'SUCCEEDED',
      input: '{"a":1}',
      output: '{"ok":true}',
      redriveStatus: 'NOT_REDRIVABLE',
      redriveCount: 0,
    });
    expect(described.stopDate?.getTime()).toBeGreaterThanOrEqual(
      described.startDate?.getTime() ?? Number.NaN,
    );

    const { events = [] } = await sfn.send(new GetExecutionHistoryCommand({ executionArn }));
    expect(events.map(({ type }) => type)).toEqual([
      'ExecutionStarted',
      'TaskStateEntered',
      'TaskScheduled',
      'TaskStarted',
      'TaskSucceeded',
      'TaskStateExited',
      'ExecutionSucceeded',
    ]);
    expect(events[0]?.timestamp).toBeInstanceOf(Date);
    expect(events[5]?.stateExitedEventDetails).toMatchObject({
      assignedVariables: { seen: 'true' },
      assignedVariablesDetails: { truncated: false },
    });

    const pages: number[][] = [];
    for await (const page of paginateGetExecutionHistory(
      { client: sfn, pageSize: 3 },
      { executionArn, reverseOrder: true },
    )) {
      pages.push((page.events ?? []).map(({ id = 0 }) => id));
    }
    expect(pages).toEqual([[7, 6, 5], [4, 3, 2], [1]]);

    const bare = await sfn.send(
      new GetExecutionHistoryCommand({ executionArn, includeExecutionData: false }),
    );
    expect(JSON.stringify(bare.events)).not.toContain('{\\"'); // no JSON text in any member
    expect(bare.events?.[2]?.taskScheduledEventDetails).toMatchObject({
      resource: 'invoke',
      region: 'us-east-1',
    });
    expect(
      changes.filter((change) => change.executionArn === executionArn).map(({ status }) => status),
    ).toEqual(['RUNNING', 'SUCCEEDED']);
  });

  test('names make a start idempotent while it runs with the same input', async () => {
    const stateMachineArn = await create('names', waiting);
    const start = (input: string) =>
      sfn.send(new StartExecutionCommand({ stateMachineArn, name: 'n', input }));
    const first = await start('{}');
    expect(await start('{}')).toMatchObject({ executionArn: first.executionArn, startDate: first.startDate });
    await expect(start('{"other":1}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
    await sfn.send(
      new StopExecutionCommand({ executionArn: first.executionArn, error: 'Stop', cause: 'asked' }),
    );
    await expect(start('{}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
    expect(await sfn.send(new DescribeExecutionCommand({ executionArn: first.executionArn }))).toMatchObject({
      status: 'ABORTED',
      error: 'Stop',
      cause: 'asked',
    });
    const { events = [] } = await sfn.send(
      new GetExecutionHistoryCommand({ executionArn: first.executionArn }),
    );
    expect(events.at(-1)).toMatchObject({
      type: 'ExecutionAborted',
      executionAbortedEventDetails: { error: 'Stop', cause: 'asked' },
    });
    // Stopping again changes nothing.
    const { stopDate } = await sfn.send(
      new StopExecutionCommand({ executionArn: first.executionArn, error: 'Again' }),
    );
    expect(await sfn.send(new DescribeExecutionCommand({ executionArn: first.executionArn }))).toMatchObject({
      error: 'Stop',
      stopDate,
    });
  });

  test('a machine is created once, updated, described as it was for an execution, and deleted', async () => {
    const stateMachineArn = await create('versions', pass);
    expect(await create('versions', pass)).toBe(stateMachineArn);
    await expect(create('versions', waiting)).rejects.toMatchObject({ name: 'StateMachineAlreadyExists' });
    const { executionArn = '' } = await sfn.send(new StartExecutionCommand({ stateMachineArn }));
    await on.finished(executionArn);
    const definition = JSON.stringify({ QueryLanguage: 'JSONata', ...waiting });
    const { revisionId } = await sfn.send(new UpdateStateMachineCommand({ stateMachineArn, definition }));
    expect(await sfn.send(new DescribeStateMachineCommand({ stateMachineArn }))).toMatchObject({
      name: 'versions',
      status: 'ACTIVE',
      type: 'STANDARD',
      definition,
      revisionId,
    });
    expect(
      (await sfn.send(new DescribeStateMachineForExecutionCommand({ executionArn }))).definition,
    ).toContain('"Pass"');
    await on.call('DeleteStateMachine', { stateMachineArn });
    await expect(sfn.send(new DescribeStateMachineCommand({ stateMachineArn }))).rejects.toMatchObject({
      name: 'StateMachineDoesNotExist',
    });
    await expect(sfn.send(new DescribeExecutionCommand({ executionArn }))).rejects.toMatchObject({
      name: 'ExecutionDoesNotExist',
    });
  });

  test('lists are paged, newest first, and filtered by status', async () => {
    const stateMachineArn = await create('lists', waiting);
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) {
      await sfn.send(new StartExecutionCommand({ stateMachineArn, name }));
      await systemClock.sleep(2); // start dates are in milliseconds
    }
    await sfn.send(
      new StopExecutionCommand({ executionArn: `${stateMachineArn.replace('stateMachine', 'execution')}:c` }),
    );
    const listed = async (statusFilter?: 'RUNNING') => {
      const found: string[][] = [];
      const paged = paginateListExecutions(
        { client: sfn, pageSize: 2 },
        { stateMachineArn, ...(statusFilter ? { statusFilter } : {}) },
      );
      for await (const page of paged) found.push((page.executions ?? []).map(({ name = '' }) => name));
      return found;
    };
    expect(await listed()).toEqual([['e', 'd'], ['c', 'b'], ['a']]);
    expect(await listed('RUNNING')).toEqual([
      ['e', 'd'],
      ['b', 'a'],
    ]);
    const machines: string[] = [];
    for await (const page of paginateListStateMachines({ client: sfn, pageSize: 1 }, {})) {
      machines.push(...(page.stateMachines ?? []).map(({ name = '' }) => name));
    }
    expect(machines).toContain('lists');
    expect(machines).toEqual([...machines].sort());
  });

  test('a task token answered through the API', async () => {
    const stateMachineArn = await create(
      'tokens',
      only('T', {
        Type: 'Task',
        Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
        Arguments: { FunctionName: 'asks', Payload: { token: '{% $states.context.Task.Token %}' } },
        End: true,
      }),
    );
    const { executionArn = '' } = await sfn.send(new StartExecutionCommand({ stateMachineArn }));
    await expect.poll(() => on.troupe.calls.some(({ name }) => name === 'asks')).toBe(true);
    const { payload } = on.troupe.calls.find(({ name }) => name === 'asks') ?? expect.unreachable();
    const { token } = payload as { token: string };
    await expect(
      sfn.send(new SendTaskSuccessCommand({ taskToken: token, output: '{' })),
    ).rejects.toMatchObject({ name: 'InvalidOutput' });
    await sfn.send(new SendTaskSuccessCommand({ taskToken: token, output: '{"yes":1}' }));
    expect(await on.finished(executionArn)).toMatchObject({ status: 'SUCCEEDED', output: { yes: 1 } });
    await expect(
      sfn.send(new SendTaskSuccessCommand({ taskToken: token, output: '1' })),
    ).rejects.toMatchObject({ name: 'TaskTimedOut' });
  });

  test('a redrive goes on at the failed state, with its input and variables', async () => {
    const stateMachineArn = await create('redrive', {
      StartAt: 'First',
      States: {
        First: { Type: 'Pass', Assign: { kept: 'variable' }, Output: { from: 'first' }, Next: 'T' },
        T: call('fails', '{% $states.input %}', {
          Next: 'S',
          Output: '{% [$states.input.from, $kept, $states.result.Payload] %}',
        }),
        S: { Type: 'Succeed' },
      },
    });
    const { executionArn = '' } = await sfn.send(new StartExecutionCommand({ stateMachineArn }));
    expect(await on.finished(executionArn)).toMatchObject({ status: 'FAILED', error: 'Once' });
    const { redriveDate } = await sfn.send(new RedriveExecutionCommand({ executionArn, clientToken: 'one' }));
    const finished = await on.finished(executionArn);
    expect(finished).toMatchObject({ status: 'SUCCEEDED', output: ['first', 'variable', 'second'] });
    expect(finished.types.slice(finished.types.indexOf('ExecutionFailed'))).toEqual([
      'ExecutionFailed',
      'ExecutionRedriven',
      'TaskScheduled',
      'TaskStarted',
      'TaskSucceeded',
      'TaskStateExited',
      'SucceedStateEntered',
      'SucceedStateExited',
      'ExecutionSucceeded',
    ]);
    expect(finished.events.map(({ id }) => id)).toEqual(finished.events.map((_, i) => i + 1));
    // The same request again is the same redrive.
    expect(await sfn.send(new RedriveExecutionCommand({ executionArn, clientToken: 'one' }))).toMatchObject({
      redriveDate,
    });
    expect(await sfn.send(new DescribeExecutionCommand({ executionArn }))).toMatchObject({ redriveCount: 1 });
    await expect(sfn.send(new RedriveExecutionCommand({ executionArn }))).rejects.toMatchObject({
      name: 'ExecutionNotRedrivable',
    });
  });

  test('tags', async () => {
    const resourceArn = await create('tags', pass);
    await sfn.send(
      new TagResourceCommand({
        resourceArn,
        tags: [
          { key: 'a', value: '1' },
          { key: 'b', value: '2' },
        ],
      }),
    );
    await sfn.send(new UntagResourceCommand({ resourceArn, tagKeys: ['a'] }));
    expect((await sfn.send(new ListTagsForResourceCommand({ resourceArn }))).tags).toEqual([
      { key: 'b', value: '2' },
    ]);
  });
});

describe('refusals', () => {
  const arn = 'arn:aws:states:us-east-1:123456789012:stateMachine:m';
  const execution = 'arn:aws:states:us-east-1:123456789012:execution:m:e';

  test.each([
    ['StartSyncExecution', {}, 'UnknownOperationException', 'does not emulate StartSyncExecution'],
    ['toString', {}, 'UnknownOperationException', 'toString'],
    [
      'StartExecution',
      { stateMachineArn: arn, nmae: 'x' },
      'ValidationException',
      'StartExecution.nmae is not emulated',
    ],
    ['StartExecution', {}, 'ValidationException', 'StartExecution.stateMachineArn'],
    ['StartExecution', { stateMachineArn: arn }, 'StateMachineDoesNotExist', arn],
    ['StartExecution', { stateMachineArn: execution }, 'InvalidArn', execution],
    [
      'CreateStateMachine',
      { name: 'm', definition: '{}', roleArn: ROLE, publish: true },
      'ValidationException',
      'CreateStateMachine.publish is not emulated',
    ],
    [
      'CreateStateMachine',
      { name: 'm', definition: '{}', roleArn: ROLE, type: 'EXPRESS' },
      'ValidationException',
      'CreateStateMachine.type',
    ],
    [
      'CreateStateMachine',
      { name: 'm', definition: '{}', roleArn: ROLE, loggingConfiguration: { level: 'ALL' } },
      'ValidationException',
      'loggingConfiguration.level',
    ],
    ['CreateStateMachine', { name: 'm m', definition: '{}', roleArn: ROLE }, 'InvalidName', 'm m'],
    ['CreateStateMachine', { name: 'm', definition: '{}', roleArn: 'role' }, 'InvalidArn', 'role'],
    ['UpdateStateMachine', { stateMachineArn: arn, roleArn: ROLE }, 'StateMachineDoesNotExist', arn],
    ['DescribeExecution', { executionArn: execution }, 'ExecutionDoesNotExist', execution],
    [
      'DescribeExecution',
      { executionArn: execution, includedData: 'METADATA_ONLY' },
      'ValidationException',
      'includedData',
    ],
    ['StopExecution', { executionArn: 'nonsense' }, 'InvalidArn', 'nonsense'],
    ['ListExecutions', { stateMachineArn: arn, maxResults: 1001 }, 'ValidationException', 'maxResults'],
    ['ListExecutions', { mapRunArn: arn }, 'ResourceNotFound', arn],
    ['ListExecutions', {}, 'ValidationException', 'either a mapRunArn or a stateMachineArn'],
    ['ListStateMachines', { nextToken: 'bogus' }, 'InvalidToken', 'bogus'],
    [
      'SendTaskFailure',
      { taskToken: 'x', error: 'e'.repeat(257) },
      'ValidationException',
      'SendTaskFailure.error',
    ],
    ['ListTagsForResource', { resourceArn: arn }, 'ResourceNotFound', arn],
  ])('%s %j: %s', async (operation, body, name, text) => {
    await expect(stage().call(operation, body)).rejects.toMatchObject({
      name,
      message: expect.stringContaining(text),
    });
  });

  test.each(['', 'x'.repeat(81), 'a b', 'a*', 'a/b', 'a:b', 'a\u0007', 'a<b', 'a"b', 'a&b'])(
    'execution name %j',
    async (name) => {
      const { create, start } = stage();
      await expect(start(await create(pass), {}, name)).rejects.toMatchObject({ name: 'InvalidName' });
    },
  );

  test.each(['x'.repeat(80), 'Größe-1_2.3', 'a'])('execution name %j is fine', async (name) => {
    const { create, start } = stage();
    expect(await start(await create(pass), {}, name)).toMatch(new RegExp(`:${name}$`));
  });

  test('input that is no JSON, or larger than the quota in bytes', async () => {
    const { create, call: api } = stage();
    const stateMachineArn = await create(pass);
    const start = (input: string) => api('StartExecution', { stateMachineArn, input });
    await expect(start('{')).rejects.toMatchObject({ name: 'InvalidExecutionInput' });
    await expect(start('')).rejects.toMatchObject({ name: 'InvalidExecutionInput' });
    await expect(start(`"${'ä'.repeat(131_072)}"`)).rejects.toMatchObject({ name: 'InvalidExecutionInput' });
    await expect(start(`"${'ä'.repeat(131_071)}"`)).resolves.toHaveProperty('executionArn');
  });

  test('a page token belongs to the call that gave it', async () => {
    const { create, start, call: api } = stage();
    const stateMachineArn = await create(pass);
    await start(stateMachineArn);
    await start(stateMachineArn);
    const { nextToken } = await api<{ nextToken: string }>('ListExecutions', {
      stateMachineArn,
      maxResults: 1,
    });
    await expect(api('ListStateMachines', { nextToken })).rejects.toMatchObject({ name: 'InvalidToken' });
  });

  test('a redrive that cannot be done as AWS does it', async () => {
    const { run, create, start, call: api } = stage();
    const parallel = await run(
      only('P', { Type: 'Parallel', Branches: [only('F', { Type: 'Fail', Error: 'E' })], End: true }),
    );
    await expect(api('RedriveExecution', { executionArn: parallel.executionArn })).rejects.toMatchObject({
      name: 'ExecutionNotRedrivable',
      message: expect.stringContaining('Parallel state (P)'),
    });
    const executionArn = await start(await create(waiting));
    await expect(api('RedriveExecution', { executionArn })).rejects.toMatchObject({
      name: 'ExecutionNotRedrivable',
    });
  });

  test('nothing is answered after close', async () => {
    const { service, call: api } = stage();
    await service.close();
    await expect(api('ListStateMachines', {})).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });
});
