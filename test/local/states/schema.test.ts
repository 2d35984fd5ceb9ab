import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { call, only, ROLE, stage } from './stage.ts';

/** The package has no types of its own. */
const asl = createRequire(import.meta.url)('asl-validator') as (definition: unknown) => {
  errors: { Message: string }[];
};

const pass = { Type: 'Pass', End: true };
const task = {
  Type: 'Task',
  Resource: 'arn:aws:states:::lambda:invoke',
  Arguments: { FunctionName: 'f' },
  End: true,
};
const wait = { Type: 'Wait', Seconds: 1, End: true };
const map = { Type: 'Map', ItemProcessor: only('P', pass), End: true };
const withState = (state: object) => only('X', state);

async function refusal(definition: object): Promise<string> {
  const { call: api } = stage();
  const text = JSON.stringify({ QueryLanguage: 'JSONata', ...definition });
  const error = await api('CreateStateMachine', { name: 'm', roleArn: ROLE, definition: text }).catch(
    (thrown: Error) => thrown,
  );
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: 'InvalidDefinition' });
  return (error as Error).message;
}

const distributed = {
  ...map,
  ItemProcessor: {
    ...only('P', pass),
    ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
  },
};
const reader = {
  Resource: 'arn:aws:states:::s3:getObject',
  Arguments: { Bucket: 'b', Key: 'k' },
  ReaderConfig: { InputType: 'JSON' },
};

describe('fields that are not implemented are refused by name', () => {
  test.each([
    [
      'state machine, field QueryLanguage (JSONPath by default)',
      { QueryLanguage: undefined, ...withState(pass) },
    ],
    ['state machine, field QueryLanguage ("JSONPath")', { QueryLanguage: 'JSONPath', ...withState(pass) }],
    ['state machine, field Version "2.0"', { Version: '2.0', ...withState(pass) }],
    ['state machine, field Processor', { Processor: 1, ...withState(pass) }],
    ['state X, field InputPath', withState({ ...pass, InputPath: '$' })],
    ['state X, field Result', withState({ ...pass, Result: 1 })],
    ['state X, field Parameters', withState({ ...task, Parameters: {} })],
    ['state X, field ResultSelector', withState({ ...task, ResultSelector: {} })],
    ['state X, field TimeoutSecondsPath', withState({ ...task, TimeoutSecondsPath: '$.t' })],
    ['state X, field Credentials', withState({ ...task, Credentials: {} })],
    ['state X, field SecondsPath', withState({ ...wait, SecondsPath: '$.s' })],
    ['state X, field TimeoutSeconds', withState({ ...map, TimeoutSeconds: 5 })],
    ['state X, field Retry', withState({ ...pass, Retry: [] })],
    ['state X, field Catch', withState({ ...wait, Catch: [] })],
    ['state X, field Assign', withState({ Type: 'Succeed', Assign: {} })],
    ['state X, field ErrorPath', withState({ Type: 'Fail', ErrorPath: '$.e' })],
    ['state X, field ItemReader in inline mode', withState({ ...map, ItemReader: {} })],
    [
      'state X, field ItemReader/Resource "arn:aws:states:::s3:listObjectsV2"',
      withState({
        ...distributed,
        ItemReader: { ...reader, Resource: 'arn:aws:states:::s3:listObjectsV2' },
      }),
    ],
    [
      'state X, field ItemReader/ReaderConfig/InputType "CSV"',
      withState({ ...distributed, ItemReader: { ...reader, ReaderConfig: { InputType: 'CSV' } } }),
    ],
    [
      'state X, field MaxItems',
      withState({
        ...distributed,
        ItemReader: { ...reader, ReaderConfig: { InputType: 'JSON', MaxItems: 1 } },
      }),
    ],
    [
      'state X, field VersionId',
      withState({
        ...distributed,
        ItemReader: { ...reader, Arguments: { ...reader.Arguments, VersionId: 'v' } },
      }),
    ],
    ['state X, field Items beside ItemReader', withState({ ...distributed, Items: [], ItemReader: reader })],
    [
      'state X, field ToleratedFailurePercentagePath',
      withState({ ...distributed, ToleratedFailurePercentagePath: '$' }),
    ],
    ['state X, field ItemBatcher', withState({ ...map, ItemBatcher: {} })],
    ['state X, field ResultWriter', withState({ ...map, ResultWriter: {} })],
    ['state X, field ToleratedFailureCount in inline mode', withState({ ...map, ToleratedFailureCount: 1 })],
    ['state X, field Iterator', withState({ ...map, Iterator: {} })],
    [
      'state X, field ItemProcessor/ProcessorConfig/ExecutionType "EXPRESS"',
      withState({
        ...map,
        ItemProcessor: {
          ...only('P', pass),
          ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'EXPRESS' },
        },
      }),
    ],
    [
      'state X, field ItemProcessor/ProcessorConfig/ExecutionType "STANDARD"',
      withState({
        ...map,
        ItemProcessor: { ...only('P', pass), ProcessorConfig: { ExecutionType: 'STANDARD' } },
      }),
    ],
    ['state X, field Type Quantum', withState({ Type: 'Quantum', End: true })],
    ['state X, field QueryLanguage ("JSONPath")', withState({ ...pass, QueryLanguage: 'JSONPath' })],
    [
      'state X, field Variable',
      {
        StartAt: 'X',
        States: {
          X: { Type: 'Choice', Choices: [{ Variable: '$.a', BooleanEquals: true, Next: 'Y' }] },
          Y: pass,
        },
      },
    ],
    [
      'state X, field ResultPath',
      withState({ ...task, Catch: [{ ErrorEquals: ['A'], Next: 'X', ResultPath: '$' }] }),
    ],
    ['state X, field Backoff', withState({ ...task, Retry: [{ ErrorEquals: ['A'], Backoff: 2 }] })],
    [
      'state X, field Resource arn:aws:states:::aws-sdk:ec2:describeImages',
      withState({ ...task, Resource: 'arn:aws:states:::aws-sdk:ec2:describeImages' }),
    ],
    [
      'state X, field Resource arn:aws:states:::sns:publish',
      withState({ ...task, Resource: 'arn:aws:states:::sns:publish' }),
    ],
    [
      'state X, field Resource arn:aws:states:::states:startExecution.sync',
      withState({ ...task, Resource: 'arn:aws:states:::states:startExecution.sync' }),
    ],
    [
      'state X, field Resource arn:aws:lambda:us-east-1:123456789012:function:f',
      withState({ ...task, Resource: 'arn:aws:lambda:us-east-1:123456789012:function:f' }),
    ],
    [
      'state X, field Arguments/InvocationType',
      withState({ ...task, Arguments: { FunctionName: 'f', InvocationType: 'Event' } }),
    ],
  ])('%s', async (what, definition) => {
    expect(await refusal(definition)).toContain(`UnsupportedAsl: ${what} at /`);
  });
});

describe('what cannot be right', () => {
  test.each([
    // The service's own sentences, where they are known.
    [
      'MISSING_TRANSITION_TARGET: Missing \'Next\' target: pass3 at /States/pass1/Next, MISSING_TRANSITION_TARGET: State "pass2" is not reachable. at /States/pass2',
      { StartAt: 'pass1', States: { pass1: { Type: 'Pass', Next: 'pass3' }, pass2: pass } },
    ],
    [
      "MISSING_TRANSITION_TARGET: Missing 'Next' target: no at /StartAt",
      { StartAt: 'no', States: { X: pass } },
    ],
    [
      "Missing 'Next' target: no at /States/X/Default",
      {
        StartAt: 'X',
        States: {
          X: { Type: 'Choice', Choices: [{ Condition: '{% true %}', Next: 'Y' }], Default: 'no' },
          Y: pass,
        },
      },
    ],
    [
      "Missing 'Next' target: no at /States/X/Choices[0]/Next",
      {
        StartAt: 'X',
        States: {
          X: { Type: 'Choice', Choices: [{ Condition: '{% true %}', Next: 'no' }], Default: 'Y' },
          Y: pass,
        },
      },
    ],
    [
      "Missing 'Next' target: no at /States/X/Catch[0]/Next",
      withState({ ...task, Catch: [{ ErrorEquals: ['A'], Next: 'no' }] }),
    ],
    [
      "Missing 'Next' target: Outer at /States/X/ItemProcessor/States/P/Next",
      {
        StartAt: 'X',
        States: {
          X: {
            ...map,
            End: undefined,
            Next: 'Outer',
            ItemProcessor: { StartAt: 'P', States: { P: { Type: 'Pass', Next: 'Outer' }, Q: pass } },
          },
          Outer: pass,
        },
      },
    ],
    [
      'MISSING_END_STATE: Workflow has no terminal state at null',
      { StartAt: 'A', States: { A: { Type: 'Pass', Next: 'B' }, B: { Type: 'Pass', Next: 'A' } } },
    ],
    ['SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /', { StartAt: 'A' }],
    ['These fields are required: [Resource]', withState({ Type: 'Task', End: true })],
    [
      'These fields are required: [Next] at /States/X/Choices[0]',
      {
        StartAt: 'X',
        States: { X: { Type: 'Choice', Choices: [{ Condition: '{% true %}' }], Default: 'Y' }, Y: pass },
      },
    ],
    ["exactly one of 'Next' and 'End'", withState({ Type: 'Pass' })],
    ["exactly one of 'Seconds' and 'Timestamp'", withState({ ...wait, Timestamp: '2026-01-01T00:00:00Z' })],
    [
      'must be a timestamp at /States/X/Timestamp',
      withState({ Type: 'Wait', Timestamp: 'tomorrow', End: true }),
    ],
    [
      'must be an integer from 1 to 99999999 or a JSONata expression at /States/X/TimeoutSeconds',
      withState({ ...task, TimeoutSeconds: 0 }),
    ],
    ['at /States/X/TimeoutSeconds', withState({ ...task, TimeoutSeconds: '60' })],
    [
      "'HeartbeatSeconds' must be smaller than 'TimeoutSeconds'",
      withState({ ...task, TimeoutSeconds: 5, HeartbeatSeconds: 5 }),
    ],
    ['must be a positive integer at /TimeoutSeconds', { TimeoutSeconds: '1', ...withState(pass) }],
    [
      'must be a JSONata expression at /States/X/Choices[0]/Condition',
      {
        StartAt: 'X',
        States: { X: { Type: 'Choice', Choices: [{ Condition: 'true', Next: 'Y' }] }, Y: pass },
      },
    ],
    [
      'must be a non-empty array at /States/X/Choices',
      { StartAt: 'X', States: { X: { Type: 'Choice', Choices: [], Default: 'Y' }, Y: pass } },
    ],
    [
      "'States.ALL' must appear alone and in the last position at /States/X/Retry[0]/ErrorEquals",
      withState({ ...task, Retry: [{ ErrorEquals: ['States.ALL'] }, { ErrorEquals: ['A'] }] }),
    ],
    ["'States.ALL' must appear alone", withState({ ...task, Retry: [{ ErrorEquals: ['A', 'States.ALL'] }] })],
    [
      'non-empty array of strings at /States/X/Retry[0]/ErrorEquals',
      withState({ ...task, Retry: [{ ErrorEquals: [] }] }),
    ],
    [
      'a number of at least 1.0 at /States/X/Retry[0]/BackoffRate',
      withState({ ...task, Retry: [{ ErrorEquals: ['A'], BackoffRate: 0.5 }] }),
    ],
    [
      'an integer from 1 to 31622399 at /States/X/Retry[0]/MaxDelaySeconds',
      withState({ ...task, Retry: [{ ErrorEquals: ['A'], MaxDelaySeconds: 31_622_400 }] }),
    ],
    [
      'a positive integer at /States/X/Retry[0]/IntervalSeconds',
      withState({ ...task, Retry: [{ ErrorEquals: ['A'], IntervalSeconds: '{% 1 %}' }] }),
    ],
    [
      'a non-negative integer at /States/X/Retry[0]/MaxAttempts',
      withState({ ...task, Retry: [{ ErrorEquals: ['A'], MaxAttempts: -1 }] }),
    ],
    [
      'FULL or NONE at /States/X/Retry[0]/JitterStrategy',
      withState({ ...task, Retry: [{ ErrorEquals: ['A'], JitterStrategy: 'HALF' }] }),
    ],
    ["'states' is not a valid variable name", withState({ ...pass, Assign: { states: 1 } })],
    ["'a.b' is not a valid variable name", withState({ ...pass, Assign: { 'a.b': 1 } })],
    [
      "Variable 'x' is already assigned in an outer scope",
      {
        StartAt: 'A',
        States: {
          A: { Type: 'Pass', Assign: { x: 1 }, Next: 'M' },
          M: { ...map, ItemProcessor: only('P', { ...pass, Assign: { x: 2 } }) },
        },
      },
    ],
    [
      'DUPLICATE_STATE_NAME: State names must be unique: X',
      withState({ ...map, ItemProcessor: only('X', pass) }),
    ],
    [
      "UNSUPPORTED_JSONATA_EXPRESSION: Reference to 'phone' at the top level is not supported. at /States/X/Output/v",
      withState({ ...pass, Output: { v: '{% phone %}' } }),
    ],
    ["Reference to '$$' at the top level", withState({ ...pass, Output: '{% $$ %}' })],
    ["Reference to '$' at the top level", withState({ ...pass, Output: '{% $.a %}' })],
    ["Function '$eval' is not supported", withState({ ...pass, Output: "{% $eval('1') %}" })],
    [
      "Reference to '$states.errorOutput' is not supported here",
      withState({ ...task, Output: '{% $states.errorOutput %}' }),
    ],
    [
      "Reference to '$states.result' is not supported here",
      withState({ ...task, Arguments: '{% $states.result %}' }),
    ],
    ['INVALID_JSONATA_EXPRESSION: ', withState({ ...pass, Output: '{% 1 + %}' })],
    ['must start with {% and end with %}', withState({ ...pass, Output: ' {% 1 %}' })],
  ])('%s', async (text, definition) => {
    expect(await refusal(definition)).toContain(text);
  });

  test('a definition that is no JSON', async () => {
    const { call: api } = stage();
    await expect(
      api('CreateStateMachine', { name: 'm', roleArn: ROLE, definition: '{' }),
    ).rejects.toMatchObject({
      name: 'InvalidDefinition',
      message: expect.stringContaining('INVALID_JSON_DESCRIPTION'),
    });
  });
});

describe('what is right', () => {
  const everything = {
    Comment: 'all that is implemented',
    Version: '1.0',
    TimeoutSeconds: 60,
    StartAt: 'T',
    States: {
      T: call(
        'f',
        { a: '{% $states.input.list[price > 3 and $ != null].{"n": name} %}' },
        {
          Comment: 'c',
          TimeoutSeconds: '{% $states.input.timeout %}',
          HeartbeatSeconds: 5,
          Retry: [
            {
              ErrorEquals: ['A', 'States.Timeout'],
              IntervalSeconds: 1,
              MaxAttempts: 0,
              BackoffRate: 1.5,
              MaxDelaySeconds: 3,
              JitterStrategy: 'FULL',
            },
            { ErrorEquals: ['States.ALL'] },
          ],
          Catch: [
            {
              ErrorEquals: ['States.ALL'],
              Next: 'F',
              Assign: { e: '{% $states.errorOutput %}' },
              Output: '{% $states.errorOutput.Error %}',
            },
          ],
          Assign: {
            x: '{% $states.result.Payload %}',
            sorted: '{% $sort($states.input.list, function($l, $r) { $l.price > $r.price }) %}',
          },
          Output: '{% $map($states.input.list, function($v, $i) { $v.price * $i }) %}',
          Next: 'C',
        },
      ),
      C: {
        Type: 'Choice',
        Choices: [
          { Condition: '{% $exists($x) %}', Next: 'W', Assign: { y: 1 }, Output: 1 },
          { Condition: '{% true %}', Next: 'M' },
        ],
        Default: 'P',
        Output: { fallback: true },
      },
      W: { Type: 'Wait', Timestamp: '{% $now() %}', Next: 'M' },
      M: {
        Type: 'Map',
        Items: [1, 2],
        ItemSelector: { v: '{% $states.context.Map.Item.Value %}' },
        MaxConcurrency: 0,
        ItemProcessor: {
          ProcessorConfig: { Mode: 'INLINE' },
          ...only('MP', { ...pass, Assign: { inner: 1 } }),
        },
        Next: 'P',
      },
      P: {
        Type: 'Parallel',
        Branches: [only('B', { ...pass, Assign: { inner: 1 } }), only('B2', { Type: 'Succeed' })],
        Next: 'S',
      },
      S: { Type: 'Succeed', Output: { three: 3 } },
      F: { Type: 'Fail', Error: '{% $e.Error %}', Cause: 'literal' },
    },
  };

  test('all that is implemented is accepted, by us and by asl-validator', async () => {
    const definition = { QueryLanguage: 'JSONata', ...everything };
    const { call: api, create } = stage();
    expect(await api('ValidateStateMachineDefinition', { definition: JSON.stringify(definition) })).toEqual({
      result: 'OK',
      diagnostics: [],
      truncated: false,
    });
    await create(everything);
    const validated = asl(definition);
    expect(validated.errors.map(({ Message: message }) => message)).toEqual([]);
  });

  test('a handler for the SDK integrations lifts their refusal, and is asked', async () => {
    const asked: unknown[] = [];
    const { run } = stage(
      {},
      {
        callSdk: async (...args) => {
          asked.push(args.slice(0, 3));
          return { Images: [] };
        },
      },
    );
    const { output, events } = await run(
      withState({
        Type: 'Task',
        Resource: 'arn:aws:states:::aws-sdk:ec2:describeImages',
        Arguments: { Owners: ['self'] },
        End: true,
      }),
    );
    expect(output).toEqual({ Images: [] });
    expect(asked).toEqual([['ec2', 'describeImages', { Owners: ['self'] }]]);
    expect(events.find(({ type }) => type === 'TaskScheduled')).toMatchObject({
      taskScheduledEventDetails: { resourceType: 'aws-sdk:ec2', resource: 'describeImages' },
    });
  });

  test('diagnostics are cut at maxResults, and say so', async () => {
    const definition = JSON.stringify({
      QueryLanguage: 'JSONata',
      ...withState({ ...pass, A: 1, B: 2, C: 3 }),
    });
    expect(await stage().call('ValidateStateMachineDefinition', { definition, maxResults: 2 })).toMatchObject(
      {
        result: 'FAIL',
        truncated: true,
        diagnostics: [
          {
            severity: 'ERROR',
            code: 'UNSUPPORTED_ASL',
            message: 'UnsupportedAsl: state X, field A',
            location: '/States/X',
          },
          { severity: 'ERROR', message: 'UnsupportedAsl: state X, field B' },
        ],
      },
    );
  });

  test('arguments that only an expression reveals are refused when it runs', async () => {
    const { error, cause } = await stage({ f: [{}] }).run(
      withState({ ...task, Arguments: '{% {"FunctionName": "f", "Qualifier": "7"} %}' }),
    );
    expect(error).toBe('States.Runtime');
    expect(cause).toContain('UnsupportedAsl: state X, field Arguments/Qualifier');
  });
});
