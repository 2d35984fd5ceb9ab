import { describe, expect, test } from 'vitest';
import { call, detailsOf, only, stage } from './stage.ts';

describe('task', () => {
  test('adds what Lambda answered, in the shape of the optimized integration', async () => {
    const { run } = stage({ f: [{ returns: { n: 2 } }] });
    const { output, types } = await run(only('T', call('f')));
    expect(output).toMatchObject({ ExecutedVersion: '$LATEST', Payload: { n: 2 }, StatusCode: 200 });
    expect(output).toHaveProperty('SdkHttpMetadata.HttpStatusCode', 200);
    expect(types).toEqual([
      'ExecutionStarted',
      'TaskStateEntered',
      'TaskScheduled',
      'TaskStarted',
      'TaskSucceeded',
      'TaskStateExited',
      'ExecutionSucceeded',
    ]);
  });

  test('history has the members of GetExecutionHistory', async () => {
    const { run } = stage({ f: [{ returns: 1 }] });
    const { events } = await run(
      only(
        'T',
        call(
          'f',
          { a: '{% $states.input.a %}' },
          { End: true, TimeoutSeconds: 9, HeartbeatSeconds: 3, Output: 5 },
        ),
      ),
      { a: 7 },
    );
    expect(events.map(({ id, previousEventId }) => [id, previousEventId])).toEqual([
      [1, 0],
      [2, 0], // as AWS records it: the first state does not point at ExecutionStarted
      [3, 2],
      [4, 3],
      [5, 4],
      [6, 5],
      [7, 6],
    ]);
    expect(events[0]).toMatchObject({
      executionStartedEventDetails: {
        input: '{"a":7}',
        inputDetails: { truncated: false },
        roleArn: expect.stringMatching(/role/),
      },
    });
    expect(events[2]?.taskScheduledEventDetails).toEqual({
      resourceType: 'lambda',
      resource: 'invoke',
      region: 'us-east-1',
      parameters: '{"FunctionName":"f","Payload":{"a":7}}',
      timeoutInSeconds: 9,
      heartbeatInSeconds: 3,
    });
    expect(events[5]?.stateExitedEventDetails).toEqual({
      name: 'T',
      output: '5',
      outputDetails: { truncated: false },
    });
  });

  test("a function's error is its errorType, the cause its whole answer", async () => {
    const answer = { errorType: 'InsufficientCapacity', errorMessage: 'none left', trace: ['at x'] };
    const { run } = stage({ f: [{ error: answer }] });
    const { status, error, cause, events } = await run(only('T', call('f')));
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'InsufficientCapacity' });
    expect(JSON.parse(cause ?? '')).toEqual(answer);
    expect(events.at(-2)).toMatchObject({
      type: 'TaskFailed',
      taskFailedEventDetails: {
        error: 'InsufficientCapacity',
        cause,
        resource: 'invoke',
        resourceType: 'lambda',
      },
    });
  });

  test.each([{}, { errorType: '' }])('an answer without errorType is Lambda.Unknown: %j', async (type) => {
    const { run } = stage({ f: [{ error: { ...type, errorMessage: 'odd' } }] });
    const { error, cause } = await run(only('T', call('f')));
    expect(error).toBe('Lambda.Unknown');
    expect(cause).toMatch(/did not return an error type\. Returned payload: \{.*"errorMessage":"odd"\}$/);
  });

  test('a refusal of the Lambda service has its prefix', async () => {
    const { run } = stage({
      f: [{ refused: { name: 'TooManyRequestsException', message: 'Rate Exceeded.' } }],
    });
    const { error, cause } = await run(only('T', call('f')));
    expect({ error, cause }).toEqual({ error: 'Lambda.TooManyRequestsException', cause: 'Rate Exceeded.' });
  });

  test('a defect in what answers is neither retried nor caught, and is logged', async () => {
    let calls = 0;
    const { run, log } = stage(
      {},
      {
        invoke: async () => {
          calls += 1;
          throw new TypeError('no such member');
        },
      },
    );
    const { error, cause } = await run({
      StartAt: 'T',
      States: {
        T: call('f', null, {
          Next: 'Done',
          Retry: [{ ErrorEquals: ['States.ALL'] }],
          Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Done' }],
        }),
        Done: { Type: 'Succeed' },
      },
    });
    expect({ error, calls }).toEqual({ error: 'States.Runtime', calls: 1 });
    expect(cause).toContain('TypeError: no such member');
    expect(log[0]?.details?.error).toContain('TypeError: no such member');
  });

  test('7,200 s of time-out pass at once, unscaled', async () => {
    const { run, clock } = stage({ f: [{ seconds: 90_000 }] }, { timeScale: 0.001 });
    const before = performance.now();
    const started = clock.now();
    const { status, error, cause, types } = await run(
      only('T', call('f', null, { End: true, TimeoutSeconds: 7200 })),
    );
    expect({ status, error, cause }).toEqual({ status: 'FAILED', error: 'States.Timeout', cause: undefined });
    expect(types.at(-2)).toBe('TaskTimedOut');
    expect(clock.now() - started).toBe(7_200_000);
    expect(performance.now() - before).toBeLessThan(1000);
  });

  test("the machine's time-out ends it as TIMED_OUT, without error or cause", async () => {
    const { run, clock } = stage({ f: [{ seconds: 900 }] }, { timeScale: 0.001 });
    const started = clock.now();
    const finished = await run({ TimeoutSeconds: 60, ...only('T', call('f')) });
    expect(finished).toMatchObject({ status: 'TIMED_OUT' });
    expect(finished).not.toHaveProperty('error');
    expect(finished.types.at(-1)).toBe('ExecutionTimedOut');
    expect(clock.now() - started).toBe(60_000);
  });

  test('a function that does not listen to its signal does not hold the execution', async () => {
    const { run } = stage({}, { invoke: () => new Promise(() => {}) });
    expect(await run(only('T', call('f', null, { End: true, TimeoutSeconds: 1 })))).toMatchObject({
      error: 'States.Timeout',
    });
  });
});

describe('task tokens', () => {
  const waiting = (rest: object = {}) =>
    only('T', {
      Type: 'Task',
      Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
      Arguments: { FunctionName: 'f', Payload: { token: '{% $states.context.Task.Token %}' } },
      End: true,
      ...rest,
    });

  test('the answer is the result', async () => {
    const { run } = stage({ f: [{ token: { seconds: 30, success: { done: true } } }] });
    const { output, types, events } = await run(waiting());
    expect(output).toEqual({ done: true });
    expect(types).toContain('TaskSubmitted');
    expect(detailsOf(events.find(({ type }) => type === 'TaskSubmitted'))).toMatchObject({
      resource: 'invoke.waitForTaskToken',
    });
  });

  test('a reported failure has the given error and cause', async () => {
    const { run } = stage({ f: [{ token: { failure: { error: 'Worker', cause: 'disk full' } } }] });
    expect(await run(waiting())).toMatchObject({ status: 'FAILED', error: 'Worker', cause: 'disk full' });
  });

  test('heartbeats keep a task alive; a missed one is reported as States.Timeout', async () => {
    const beating = { beats: { every: 8, times: 5 }, success: 1 };
    const alive = stage({ f: [{ token: beating }] });
    expect(await alive.run(waiting({ HeartbeatSeconds: 10 }))).toMatchObject({
      status: 'SUCCEEDED',
      output: 1,
    });
    const late = stage({ f: [{ token: { beats: { every: 8, times: 2 }, seconds: 11, success: 1 } }] });
    const { error, types } = await late.run(waiting({ HeartbeatSeconds: 10 }));
    expect({ error, last: types.at(-2) }).toEqual({ error: 'States.Timeout', last: 'TaskTimedOut' });
    await late.troupe.settled();
    expect(late.troupe.refusedAnswers).toEqual(['TaskTimedOut']);
  });

  test('States.HeartbeatTimeout catches a missed heartbeat, and not a time-out', async () => {
    const withNext = (rest: object) => ({
      StartAt: 'T',
      States: {
        ...waiting({ ...rest, Catch: [{ ErrorEquals: ['States.HeartbeatTimeout'], Next: 'Missed' }] }).States,
        Missed: { Type: 'Pass', End: true },
      },
    });
    const silent = { f: [{}] };
    expect(await stage(silent).run(withNext({ HeartbeatSeconds: 5, TimeoutSeconds: 50 }))).toMatchObject({
      status: 'SUCCEEDED',
      output: { Error: 'States.Timeout', Cause: '' },
    });
    expect(await stage(silent).run(withNext({ TimeoutSeconds: 50 }))).toMatchObject({
      status: 'FAILED',
      error: 'States.Timeout',
    });
  });

  test('a token answers once; afterwards it has timed out, and an invented one is invalid', async () => {
    const { run, troupe, call: api } = stage({ f: [{ token: { success: 1 } }] });
    await run(waiting());
    const { token } = (troupe.calls[0] ?? expect.unreachable()).payload as { token: string };
    await expect(api('SendTaskSuccess', { taskToken: token, output: '2' })).rejects.toMatchObject({
      name: 'TaskTimedOut',
    });
    await expect(api('SendTaskHeartbeat', { taskToken: 'AAAA' })).rejects.toMatchObject({
      name: 'InvalidToken',
    });
  });
});

describe('retry and catch', () => {
  const flaky = (times: number) => ({
    f: [
      ...Array.from({ length: times }, () => ({ error: { errorType: 'Flaky', errorMessage: 'again' } })),
      { returns: 'fine' },
    ],
  });

  test('backs off, then succeeds; RetryCount is seen by the arguments', async () => {
    const { run, clock, troupe } = stage(flaky(3));
    const { output, types } = await run(
      only(
        'T',
        call(
          'f',
          { retry: '{% $states.context.State.RetryCount %}' },
          {
            End: true,
            Output: '{% $states.result.Payload %}',
            Retry: [
              {
                ErrorEquals: ['Flaky'],
                IntervalSeconds: 3,
                BackoffRate: 2,
                MaxAttempts: 5,
                MaxDelaySeconds: 8,
              },
            ],
          },
        ),
      ),
    );
    expect(output).toBe('fine');
    expect(clock.slept).toEqual([3000, 6000, 8000]);
    expect(troupe.calls.map(({ payload }) => payload)).toEqual([
      { retry: 0 },
      { retry: 1 },
      { retry: 2 },
      { retry: 3 },
    ]);
    expect(types.filter((type) => type === 'TaskStateEntered')).toHaveLength(1);
  });

  test('pauses are scaled, and full jitter asks the given random source', async () => {
    const { run, clock } = stage(flaky(2), { timeScale: 0.1, random: () => 0.25 });
    await run(
      only(
        'T',
        call('f', null, {
          End: true,
          Retry: [
            { ErrorEquals: ['States.ALL'], IntervalSeconds: 10, BackoffRate: 3, JitterStrategy: 'FULL' },
          ],
        }),
      ),
    );
    expect(clock.slept).toEqual([250, 750]);
  });

  test('each retrier counts its own attempts, and a spent one hands over to Catch', async () => {
    const fault = (errorType: string) => ({ error: { errorType, errorMessage: errorType } });
    // The developer guide's own example: ErrorA, ErrorB, ErrorC, ErrorB.
    const { run, clock } = stage({ f: [fault('ErrorA'), fault('ErrorB'), fault('ErrorC'), fault('ErrorB')] });
    const { output } = await run({
      StartAt: 'X',
      States: {
        X: call('f', null, {
          Next: 'Z',
          Retry: [
            { ErrorEquals: ['ErrorA', 'ErrorB'], IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 2 },
            { ErrorEquals: ['ErrorC'], IntervalSeconds: 5 },
          ],
          Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Z', Output: '{% $states.errorOutput.Error %}' }],
        }),
        Z: { Type: 'Succeed' },
      },
    });
    expect(output).toBe('ErrorB');
    expect(clock.slept).toEqual([1000, 2000, 5000]);
  });

  test('Catch leaves with Assign and Output of its own', async () => {
    const { run } = stage({ f: [{ error: { errorType: 'Bad', errorMessage: 'why' } }] });
    const { status, error, cause, events } = await run(
      {
        StartAt: 'T',
        States: {
          T: call('f', null, {
            Next: 'Never',
            Catch: [
              {
                ErrorEquals: ['Other', 'Bad'],
                Next: 'Failed',
                Assign: { failure: '{% $states.errorOutput %}', seen: '{% $states.input.n %}' },
                Output: '{% $states.input %}',
              },
            ],
          }),
          Never: { Type: 'Succeed' },
          Failed: {
            Type: 'Fail',
            Error: '{% $failure.Error %}',
            Cause: "{% $parse($failure.Cause).errorMessage & ' with ' & $string($seen) %}",
          },
        },
      },
      { n: 4 },
    );
    expect({ status, error, cause }).toEqual({ status: 'FAILED', error: 'Bad', cause: 'why with 4' });
    const exited = events.find(({ type }) => type === 'TaskStateExited');
    expect(detailsOf(exited)).toMatchObject({
      output: '{"n":4}',
      assignedVariables: { seen: '4', failure: expect.stringContaining('"Error":"Bad"') },
      assignedVariablesDetails: { truncated: false },
    });
    expect(events.slice(-2).map(({ type }) => type)).toEqual(['FailStateEntered', 'ExecutionFailed']);
  });

  const caughtBy = async (names: string[], script: Parameters<typeof stage>[0], rest: object = {}) => {
    const { run } = stage(script);
    const { status } = await run({
      StartAt: 'T',
      States: {
        T: call('f', null, { Next: 'Caught', Catch: [{ ErrorEquals: names, Next: 'Caught' }], ...rest }),
        Caught: { Type: 'Succeed' },
      },
    });
    return status === 'SUCCEEDED';
  };

  test('the wildcards: which they take and which they leave', async () => {
    const slow = { f: [{ seconds: 60 }] };
    const large = { f: [{ returns: 'x'.repeat(262_144) }] };
    const bad = { f: [{ error: { errorType: 'Bad', errorMessage: 'x' } }] };
    const timeout = { TimeoutSeconds: 1 };
    expect(await caughtBy(['States.ALL'], slow, timeout)).toBe(true);
    expect(await caughtBy(['States.Timeout'], slow, timeout)).toBe(true);
    expect(await caughtBy(['States.TaskFailed'], slow, timeout)).toBe(false);
    expect(await caughtBy(['States.TaskFailed'], bad)).toBe(true);
    expect(await caughtBy(['Bad.'], bad)).toBe(false);
    expect(await caughtBy(['States.ALL'], large)).toBe(false);
    expect(await caughtBy(['States.DataLimitExceeded'], large)).toBe(true);
    expect(
      await caughtBy(['States.QueryEvaluationError'], bad, {
        Output: '{% $states.input.none %}',
        Arguments: '{% $states.input.none %}',
      }),
    ).toBe(true);
  });
});

describe('expressions', () => {
  test('a failed query has an event of its own and says where it was', async () => {
    const { run } = stage();
    const { error, cause, events } = await run(
      only('E', { Type: 'Pass', Output: { a: ['{% $states.input.missing %}'] }, End: true }),
    );
    expect(error).toBe('States.QueryEvaluationError');
    expect(cause).toBe(
      "An error occurred while executing the state 'E' (entered at the event id #2). The JSONata expression '$states.input.missing' specified for the field 'Output/a[0]' returned nothing (undefined).",
    );
    expect(detailsOf(events.find(({ type }) => type === 'EvaluationFailed'))).toEqual({
      error,
      cause,
      location: 'Output/a[0]',
      state: 'E',
    });
  });

  test('what JSONata itself throws keeps its code', async () => {
    const { run } = stage();
    const { cause } = await run(only('Sum', { Type: 'Pass', Output: { v: "{% $sum(['a']) %}" }, End: true }));
    // AWS answers with this very sentence; after the code its wording is that of JSONata 2.0.6.
    expect(cause).toContain(
      "(entered at the event id #2). The JSONata expression '$sum(['a'])' specified for the field 'Output/v' threw an error during evaluation. T0412: Argument ",
    );
  });

  test('Assign and Output are evaluated on the values before', async () => {
    const { run } = stage();
    const { output } = await run({
      StartAt: 'One',
      States: {
        One: { Type: 'Pass', Assign: { x: 1, y: 10 }, Next: 'Two' },
        Two: {
          Type: 'Pass',
          Assign: { x: '{% $y %}', y: '{% $x %}' },
          Output: '{% [$x, $y] %}',
          Next: 'Three',
        },
        Three: { Type: 'Succeed', Output: '{% {"before": $states.input, "after": [$x, $y]} %}' },
      },
    });
    expect(output).toEqual({ before: [1, 10], after: [10, 1] });
  });

  test('the context object', async () => {
    const { run, clock } = stage();
    const started = new Date(clock.now()).toISOString();
    const { output, executionArn } = await run(
      only('C', { Type: 'Pass', Output: '{% $states.context %}', End: true }),
      { q: 1 },
    );
    expect(output).toEqual({
      Execution: {
        Id: executionArn,
        Input: { q: 1 },
        Name: executionArn.split(':').at(-1),
        RoleArn: expect.stringMatching(/^arn:aws:iam/),
        StartTime: started,
      },
      State: { EnteredTime: started, Name: 'C', RetryCount: 0 },
      StateMachine: { Id: expect.stringMatching(/stateMachine/), Name: expect.any(String) },
    });
  });

  test.each([
    ['$partition([1,2,3,4,5], 2)', [[1, 2], [3, 4], [5]]],
    ['$range(0, 10, 5)', [0, 5, 10]],
    ['$range(2, 0, -1)', [2, 1, 0]],
    ["$hash('a', 'SHA-256')", 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb'],
    ["$hash('a', 'MD5')", '0cc175b9c0f1b6a831c399e269772661'],
    ['$random()', 0.5],
    ['$random(7) = $random(7)', true],
    ['$length($uuid())', 36],
    ['$parse(\'{"a":[1]}\').a[0]', 1],
    ['$millis() > 0', true],
    ['$substring($now(), 0, 10)', '2026-11-23'],
    ["$now('[Y0001]')", '2026'],
  ])('the functions of the service: %s', async (source, expected) => {
    const { run } = stage();
    expect((await run(only('F', { Type: 'Pass', Output: `{% ${source} %}`, End: true }))).output).toEqual(
      expected,
    );
  });

  test.each([
    ["$hash('a', 'CRC')", 'T0410'],
    ['$range(0, 4)', 'T0410'],
    ['$partition([1], 0)', 'T0410'],
    ["$parse('{')", 'JSON'],
    ['$range(3, 1, 1)', 'returned nothing'],
    ['function($x){$x}', 'unsupported result type'],
    ['1 / 0', 'unsupported result type'],
    ["1 + 'a'", 'T2002'],
  ])('what they refuse: %s', async (source, text) => {
    const { run } = stage();
    const { error, cause } = await run(only('F', { Type: 'Pass', Output: `{% ${source} %}`, End: true }));
    expect(error).toBe('States.QueryEvaluationError');
    expect(cause).toContain(text);
  });

  test('data larger than 262,144 bytes of UTF-8 fails the state, to the byte', async () => {
    const sized = (letters: number) =>
      stage().run(only('P', { Type: 'Pass', Output: `{% $pad('', ${letters}, 'ä') %}`, End: true }));
    // Two quotes and two bytes a letter.
    expect((await sized(131_071)).status).toBe('SUCCEEDED');
    expect(await sized(131_072)).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' });
  });
});

describe('choice, wait, pass, succeed, fail', () => {
  const choosing = (rest: object = {}) => ({
    StartAt: 'C',
    States: {
      C: {
        Type: 'Choice',
        Choices: [
          { Condition: '{% $states.input.n > 10 %}', Next: 'Big', Output: 'big', Assign: { size: 1 } },
          { Condition: '{% $states.input.n = 10 %}', Next: 'Big' },
        ],
        ...rest,
      },
      Big: { Type: 'Pass', End: true },
    },
  });

  test('the first rule that holds, with its own Output; the state has its own for the default', async () => {
    const { run } = stage();
    const withDefault = choosing({ Default: 'Big', Output: 'default', Assign: { size: 0 } });
    expect((await run(withDefault, { n: 11 })).output).toBe('big');
    expect((await run(withDefault, { n: 10 })).output).toEqual({ n: 10 });
    expect((await run(withDefault, { n: 9 })).output).toBe('default');
  });

  test('no rule and no default', async () => {
    const { error, cause } = await stage().run(choosing(), { n: 1 });
    expect(error).toBe('States.NoChoiceMatched');
    expect(cause).toContain("the state 'C' (entered at the event id #2)");
  });

  test('a condition must be a boolean', async () => {
    const { error, cause } = await stage().run({
      StartAt: 'C',
      States: {
        C: { Type: 'Choice', Choices: [{ Condition: '{% 1 %}', Next: 'E' }] },
        E: { Type: 'Succeed' },
      },
    });
    expect(error).toBe('States.QueryEvaluationError');
    expect(cause).toContain(
      "'Choices[0]/Condition' returned an unexpected result type. Expected 'boolean', but was 'number' for value: 1",
    );
  });

  test('waits scaled seconds, or until a moment; the history has real times', async () => {
    const { run, clock } = stage({}, { timeScale: 0.02 });
    const { events } = await run(
      {
        StartAt: 'W',
        States: {
          W: { Type: 'Wait', Seconds: '{% $states.input.s %}', Next: 'Until' },
          Until: { Type: 'Wait', Timestamp: '2026-11-23T13:00:00Z', Next: 'Past' },
          Past: { Type: 'Wait', Timestamp: '2020-01-01T00:00:00Z', End: true },
        },
      },
      { s: 100 },
    );
    expect(clock.slept).toEqual([2000, (3_600_000 - 2000) * 0.02]);
    const at = (type: string) => events.find((event) => event.type === type)?.timestamp ?? 0;
    expect(at('WaitStateExited') - at('WaitStateEntered')).toBeCloseTo(2, 6);
  });

  test.each([
    ['Seconds', '{% -1 %}'],
    ['Seconds', "{% '5' %}"],
    ['Seconds', '{% 1.5 %}'],
    ['Timestamp', "{% 'tomorrow' %}"],
    ['Timestamp', '{% 7 %}'],
  ])('a wait that is none: %s %s', async (field, value) => {
    const { error, cause } = await stage().run(only('W', { Type: 'Wait', [field]: value, End: true }));
    expect(error).toBe('States.QueryEvaluationError');
    expect(cause).toContain(`field '${field}' returned an unexpected result type`);
  });

  test('fail without a name or a cause', async () => {
    const finished = await stage().run(only('F', { Type: 'Fail' }));
    expect(finished.status).toBe('FAILED');
    expect(finished).not.toHaveProperty('error');
    expect(finished.events.at(-1)?.executionFailedEventDetails).toEqual({});
  });
});

describe('parallel and map', () => {
  test('outputs in the order of the branches; inner variables stay inside, outer ones are seen', async () => {
    const { run } = stage();
    const branch = (name: string, seconds: number) => ({
      StartAt: `${name}Wait`,
      States: {
        [`${name}Wait`]: {
          Type: 'Wait',
          Seconds: seconds,
          Assign: { [`of${name}`]: '{% $outer + 1 %}' },
          Next: name,
        },
        [name]: { Type: 'Pass', Output: `{% [$states.input.a, $of${name}] %}`, End: true },
      },
    });
    const { output, events } = await run({
      StartAt: 'Before',
      States: {
        Before: { Type: 'Pass', Assign: { outer: 1 }, Next: 'P' },
        P: {
          Type: 'Parallel',
          Arguments: { a: 'arg' },
          Branches: [branch('A', 5), branch('B', 1)],
          Next: 'After',
        },
        After: {
          Type: 'Pass',
          Output: '{% {"outputs": $states.input, "leaked": $exists($ofA)} %}',
          End: true,
        },
      },
    });
    expect(output).toEqual({
      outputs: [
        ['arg', 2],
        ['arg', 2],
      ],
      leaked: false,
    });
    const started = events.find(({ type }) => type === 'ParallelStateStarted')?.id;
    expect(
      events.filter(
        ({ type, previousEventId }) => type === 'WaitStateEntered' && previousEventId === started,
      ),
    ).toHaveLength(2);
  });

  test('a failing branch ends the others, and its error is what Retry and Catch see', async () => {
    const { run } = stage({ f: [{ error: { errorType: 'Bad', errorMessage: 'x' } }] });
    const { output, events, types } = await run({
      StartAt: 'P',
      States: {
        P: {
          Type: 'Parallel',
          Branches: [only('F', call('f')), only('W', { Type: 'Wait', Seconds: 100, End: true })],
          Catch: [{ ErrorEquals: ['Bad'], Next: 'Caught', Output: '{% $states.errorOutput.Error %}' }],
          Next: 'Caught',
        },
        Caught: { Type: 'Succeed' },
      },
    });
    expect(output).toBe('Bad');
    expect(types).toEqual([
      'ExecutionStarted',
      'ParallelStateEntered',
      'ParallelStateStarted',
      'TaskStateEntered',
      'WaitStateEntered',
      'TaskScheduled',
      'TaskStarted',
      'TaskFailed',
      'TaskStateAborted',
      'WaitStateAborted',
      'ParallelStateFailed',
      'ParallelStateExited',
      'SucceedStateEntered',
      'SucceedStateExited',
      'ExecutionSucceeded',
    ]);
    const failed = events.find(({ type }) => type === 'TaskFailed')?.id;
    for (const type of ['TaskStateAborted', 'WaitStateAborted', 'ParallelStateFailed']) {
      expect(events.find((event) => event.type === type)?.previousEventId).toBe(failed);
    }
  });

  test('a parallel state that is retried starts its branches again, and fails once its retries are spent', async () => {
    const { events, types } = await stage().run(
      only('P', {
        Type: 'Parallel',
        Branches: [only('Boom', { Type: 'Fail', Error: 'MyError', Cause: 'my cause' })],
        Retry: [{ ErrorEquals: ['States.ALL'], MaxAttempts: 1 }],
        End: true,
      }),
    );
    expect(types).toEqual([
      'ExecutionStarted',
      'ParallelStateEntered',
      'ParallelStateStarted',
      'FailStateEntered',
      'ParallelStateStarted',
      'FailStateEntered',
      'ParallelStateFailed',
      'ExecutionFailed',
    ]);
    expect(events.map(({ previousEventId }) => previousEventId)).toEqual([0, 0, 2, 3, 4, 5, 6, 7]);
  });

  test('the exited event points past the succeeded one, at the line that ended last', async () => {
    const { events } = await stage().run(
      only('M', { Type: 'Map', Items: [], ItemProcessor: only('I', { Type: 'Pass', End: true }), End: true }),
    );
    expect(events.map(({ type, previousEventId }) => [type, previousEventId])).toEqual([
      ['ExecutionStarted', 0],
      ['MapStateEntered', 0],
      ['MapStateStarted', 2],
      ['MapStateSucceeded', 3],
      ['MapStateExited', 3],
      ['ExecutionSucceeded', 5],
    ]);
  });

  test('a runtime error in a branch ends the execution and leaves no failed events', async () => {
    const { types, error } = await stage({}, { invoke: () => Promise.reject(new TypeError('defect')) }).run(
      only('P', { Type: 'Parallel', Branches: [only('T', call('f'))], End: true }),
    );
    expect(error).toBe('States.Runtime');
    expect(types.slice(-2)).toEqual(['TaskStarted', 'ExecutionFailed']);
  });

  test('items by selector, at most so many at a time', async () => {
    let running = 0;
    let most = 0;
    const on = stage(
      {},
      {
        invoke: async (_name, payload) => {
          running += 1;
          most = Math.max(most, running);
          await on.clock.sleep(1000);
          running -= 1;
          return { payload };
        },
      },
    );
    const { output, types } = await on.run(
      only('M', {
        Type: 'Map',
        Items: '{% $states.input.items %}',
        ItemSelector: {
          i: '{% $states.context.Map.Item.Index %}',
          v: '{% $states.context.Map.Item.Value %}',
          n: '{% $states.input.n %}',
        },
        MaxConcurrency: 2,
        ItemProcessor: only(
          'T',
          call('f', '{% $states.input %}', { End: true, Output: '{% $states.result.Payload %}' }),
        ),
        End: true,
      }),
      { items: ['a', 'b', 'c', 'd', 'e'], n: 9 },
    );
    expect(output).toEqual(['a', 'b', 'c', 'd', 'e'].map((v, i) => ({ i, v, n: 9 })));
    expect(most).toBe(2);
    expect(types.filter((type) => type === 'MapIterationSucceeded')).toHaveLength(5);
  });

  test.each([{}, { MaxConcurrency: 0 }, { MaxConcurrency: 45 }])(
    'inline mode runs 40 at most: %j',
    async (rest) => {
      let running = 0;
      let most = 0;
      const on = stage(
        {},
        {
          invoke: async () => {
            running += 1;
            most = Math.max(most, running);
            await on.clock.sleep(1000);
            running -= 1;
            return { payload: 0 };
          },
        },
      );
      await on.run(
        only('M', {
          Type: 'Map',
          Items: '{% [1..50] %}',
          ...rest,
          ItemProcessor: only('T', call('f')),
          End: true,
        }),
      );
      expect(most).toBe(40);
    },
  );

  test('a failing iteration: failed, aborted, and the state failed', async () => {
    const { run } = stage({
      f: [{ seconds: 5 }, { seconds: 1, error: { errorType: 'Bad', errorMessage: 'x' } }, { seconds: 5 }],
    });
    const { error, events, types } = await run(
      only('M', { Type: 'Map', Items: [0, 1, 2], ItemProcessor: only('T', call('f')), End: true }),
    );
    expect(error).toBe('Bad');
    // The order is that of a history recorded on AWS (LocalStack's snapshot of a map whose tasks time out).
    expect(types.slice(-9)).toEqual([
      'TaskFailed',
      'MapIterationFailed',
      'TaskStateAborted',
      'MapIterationAborted',
      'TaskStateAborted',
      'MapIterationAborted',
      'TaskStateAborted',
      'MapStateFailed',
      'ExecutionFailed',
    ]);
    const failed = events.find(({ type }) => type === 'TaskFailed')?.id;
    expect(
      events
        .filter(({ type }) => /Aborted$|^MapIterationFailed$|^MapStateFailed$/.test(type))
        .map((event) => event.previousEventId),
    ).toEqual(Array.from({ length: 7 }, () => failed));
    expect(detailsOf(events.find(({ type }) => type === 'MapIterationFailed'))).toEqual({
      name: 'M',
      index: 1,
    });
  });

  test('what is mapped must be an array, and an empty one is fine', async () => {
    const mapping = only('M', {
      Type: 'Map',
      ItemProcessor: only('P', { Type: 'Pass', End: true }),
      End: true,
    });
    expect(await stage().run(mapping, { no: 'array' })).toMatchObject({
      error: 'States.QueryEvaluationError',
    });
    expect(await stage().run(mapping, [])).toMatchObject({ status: 'SUCCEEDED', output: [] });
  });
});

describe('limits', () => {
  test('an execution ends when its history is full', async () => {
    const { run } = stage();
    const { status, error, cause, events } = await run(
      {
        StartAt: 'A',
        States: {
          A: {
            Type: 'Choice',
            Choices: [{ Condition: '{% $states.input.stop %}', Next: 'End' }],
            Default: 'A',
          },
          End: { Type: 'Succeed' },
        },
      },
      { stop: false },
    );
    expect({ status, error, count: events.length, last: events.at(-1)?.id }).toEqual({
      status: 'FAILED',
      error: 'States.Runtime',
      count: 25_000,
      last: 25_000,
    });
    expect(cause).toContain('maximum number of history events (25000)');
  });
});

describe('nested executions', () => {
  const parent = (child: string, rest: object = { End: true }) =>
    only('Run', {
      Type: 'Task',
      Resource: 'arn:aws:states:::states:startExecution.sync:2',
      Arguments: { StateMachineArn: child, Input: { n: 3 } },
      ...rest,
    });

  test('wait for the child and give its output as JSON', async () => {
    const { run, create } = stage();
    const child = await create(only('C', { Type: 'Pass', Output: '{% $states.input.n * 2 %}', End: true }));
    const { output, types } = await run(parent(child));
    expect(output).toMatchObject({
      Status: 'SUCCEEDED',
      Output: 6,
      Input: { n: 3 },
      StateMachineArn: child,
      StartDate: expect.any(Number),
      InputDetails: { Included: true },
    });
    expect(types).toContain('TaskSubmitted');
  });

  test('a failed child is States.TaskFailed, its description the cause', async () => {
    const { run, create } = stage();
    const child = await create(only('C', { Type: 'Fail', Error: 'Inner', Cause: 'deep' }));
    const { error, cause } = await run(parent(child));
    expect(error).toBe('States.TaskFailed');
    expect(JSON.parse(cause ?? '')).toMatchObject({ Status: 'FAILED', Error: 'Inner', Cause: 'deep' });
  });

  test('a parent that gives up stops its child', async () => {
    const { run, create, call: api, clock } = stage();
    const child = await create(only('C', { Type: 'Wait', Seconds: 1000, End: true }));
    const started = clock.now();
    expect(await run(parent(child, { End: true, TimeoutSeconds: 5 }))).toMatchObject({
      error: 'States.Timeout',
    });
    expect(clock.now() - started).toBe(5000);
    const { executions } = await api<{ executions: { status: string }[] }>('ListExecutions', {
      stateMachineArn: child,
    });
    expect(executions.map(({ status }) => status)).toEqual(['ABORTED']);
  });

  test('a child that cannot be started', async () => {
    const { run } = stage();
    const missing = 'arn:aws:states:us-east-1:123456789012:stateMachine:none';
    expect(await run(parent(missing))).toMatchObject({
      error: 'StepFunctions.StateMachineDoesNotExistException',
    });
  });
});
