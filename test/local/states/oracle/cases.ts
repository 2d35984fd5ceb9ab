/** Definitions that our interpreter and moto's engine both run. Every feature is in one of them. */

import { call, only, type Script } from '../stage.ts';

export interface OracleCase {
  name: string;
  definition: object;
  input?: unknown;
  script?: Script;
  /** A machine that the definition starts: its ARN replaces `CHILD_ARN`. */
  child?: object;
}

const fault = (errorType: string, errorMessage = 'message') => ({ error: { errorType, errorMessage } });
const payload = { End: true, Output: '{% $states.result.Payload %}' };
const pass = (rest: object = {}) => ({ Type: 'Pass', End: true, ...rest });
const tokenTask = (rest: object = {}) => ({
  Type: 'Task',
  Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
  Arguments: { FunctionName: 'f', Payload: { token: '{% $states.context.Task.Token %}' } },
  TimeoutSeconds: 30,
  End: true,
  ...rest,
});
const distributed = (states: object) => ({
  ...states,
  ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
});
const caught = (task: object, names = ['States.ALL'], rest: object = {}) => ({
  StartAt: 'T',
  States: {
    T: { ...task, End: undefined, Next: 'Fine', Catch: [{ ErrorEquals: names, Next: 'Caught', ...rest }] },
    Fine: { Type: 'Succeed' },
    Caught: { Type: 'Succeed' },
  },
});
const seesStates = (name: string, expression: string) => ({
  name,
  definition: only('P', pass({ Output: `{% ${expression} %}` })),
  input: {
    a: [1, 2, 3],
    s: 'text "quoted"',
    o: { k: null },
    n: 7.5,
    list: [
      { name: 'x', price: 3 },
      { name: 'y', price: 1 },
    ],
  },
});

export const CASES: OracleCase[] = [
  { name: 'pass hands on its input', definition: only('P', pass()), input: { a: [1, null, 'x'] } },
  {
    name: 'pass with literals at any depth',
    definition: only(
      'P',
      pass({ Output: { a: [1, '{% $states.input.b %}', { c: '{% $states.input.b & "!" %}' }] } }),
    ),
    input: { b: 'é"\\n' },
  },
  { name: 'output that is null', definition: only('P', pass({ Output: '{% null %}' })) },
  { name: 'output that is false', definition: only('P', pass({ Output: '{% false %}' })) },
  seesStates('filter, map and order', "$states.input.list^(price).{'n': name, 'p': price * 2}"),
  seesStates('a singleton is no array', "$states.input.list[name = 'x'].price"),
  seesStates(
    'merge, keys and lookup',
    "$merge([$states.input.o, {'keys': $keys($states.input), 'n': $lookup($states.input, 'n')}])",
  ),
  seesStates('lambda and reduce', '$reduce($states.input.a, function($sum, $v) { $sum + $v }, 0)'),
  seesStates(
    'strings and regular expressions',
    "$replace($states.input.s, /[aeiou]/, '*') & $uppercase($states.input.s)",
  ),
  seesStates(
    'conditions',
    "$exists($states.input.none) ? 'there' : $states.input.o.k = null ? 'null' : 'other'",
  ),
  seesStates('$partition', '$partition($states.input.a, 2)'),
  seesStates('$range', '$range(0, 10, 5)'),
  seesStates('$parse', '$parse(\'{"a":[1,2]}\').a[1]'),
  seesStates('a query that returns nothing', '$states.input.none.deeper'),
  seesStates('a query that throws', "1 + 'a'"),
  seesStates('$hash', "$hash('a', 'SHA-256')"),
  seesStates('$uuid', '$length($uuid())'),
  {
    name: 'assign and output see the values before',
    definition: {
      StartAt: 'One',
      States: {
        One: { Type: 'Pass', Assign: { x: 1, y: { deep: ['two', 2] } }, Next: 'Two' },
        Two: {
          Type: 'Pass',
          Assign: { x: '{% $y %}', y: '{% $x %}' },
          Output: '{% [$x, $y] %}',
          Next: 'Three',
        },
        Three: { Type: 'Succeed', Output: { before: '{% $states.input %}', x: '{% $x %}', y: '{% $y %}' } },
      },
    },
  },
  {
    name: 'context object',
    definition: only(
      'C',
      pass({
        Output: "{% {'name': $states.context.State.Name, 'input': $states.context.Execution.Input} %}",
      }),
    ),
    input: { q: 1 },
  },
  {
    name: 'wait for seconds',
    definition: {
      StartAt: 'W',
      States: {
        W: { Type: 'Wait', Seconds: '{% $states.input.s %}', Output: 'waited', Assign: { w: 1 }, Next: 'P' },
        P: pass({ Output: '{% [$states.input, $w] %}' }),
      },
    },
    input: { s: 30 },
  },
  {
    name: 'wait until what is past',
    definition: only('W', { Type: 'Wait', Timestamp: '2020-01-01T00:00:00Z', End: true }),
  },
  ...[11, 10, 9].map((n) => ({
    name: `choice of ${n}`,
    definition: {
      StartAt: 'C',
      States: {
        C: {
          Type: 'Choice',
          Choices: [
            { Condition: '{% $states.input.n > 10 %}', Next: 'End', Output: 'big', Assign: { size: 'big' } },
            { Condition: '{% $states.input.n = 10 %}', Next: 'End', Assign: { size: 'ten' } },
          ],
          Default: 'Other',
          Output: 'default',
          Assign: { size: 'small' },
        },
        End: pass({ Output: '{% [$states.input, $size] %}' }),
        Other: pass({ Output: '{% [$states.input, $size, "other"] %}' }),
      },
    },
    input: { n },
  })),
  {
    name: 'choice that matches nothing',
    definition: {
      StartAt: 'C',
      States: {
        C: { Type: 'Choice', Choices: [{ Condition: '{% $states.input.n = 1 %}', Next: 'E' }] },
        E: pass(),
      },
    },
    input: { n: 2 },
  },
  {
    name: 'fail with expressions',
    definition: only('F', {
      Type: 'Fail',
      Error: "{% 'E' & $states.input.n %}",
      Cause: "{% 'because ' & $states.input.n %}",
    }),
    input: { n: '1' },
  },
  { name: 'fail with nothing to say', definition: only('F', { Type: 'Fail' }) },
  {
    name: 'succeed with output',
    definition: only('S', { Type: 'Succeed', Output: { n: '{% $states.input.n + 1 %}' } }),
    input: { n: 1 },
  },

  {
    name: 'task with its whole result',
    definition: only('T', call('f')),
    script: { f: [{ returns: { n: 1 } }] },
    input: { x: 1 },
  },
  {
    name: 'task with assign and output',
    definition: {
      StartAt: 'T',
      States: {
        T: call(
          'f',
          { doubled: '{% $states.input.n * 2 %}' },
          { Assign: { got: '{% $states.result.Payload %}' }, Output: '{% $states.input %}', Next: 'P' },
        ),
        P: pass({ Output: '{% [$states.input, $got] %}' }),
      },
    },
    script: { f: [{}] },
    input: { n: 4 },
  },
  {
    name: 'task that fails',
    definition: only('T', call('f')),
    script: { f: [fault('Bad', 'with "quotes"')] },
  },
  { name: 'task whose function does not exist', definition: only('T', call('none')) },
  {
    name: 'retried with back-off, then fine',
    definition: only(
      'T',
      call(
        'f',
        { n: '{% $states.context.State.RetryCount %}' },
        {
          ...payload,
          Retry: [
            {
              ErrorEquals: ['Flaky'],
              IntervalSeconds: 1,
              BackoffRate: 1.5,
              MaxAttempts: 4,
              MaxDelaySeconds: 2,
              JitterStrategy: 'FULL',
            },
          ],
        },
      ),
    ),
    script: { f: [fault('Flaky'), fault('Flaky'), { returns: 'third' }] },
  },
  {
    name: 'retries used up',
    definition: only(
      'T',
      call('f', null, {
        ...payload,
        Retry: [{ ErrorEquals: ['States.ALL'], MaxAttempts: 2, IntervalSeconds: 1 }],
      }),
    ),
    script: { f: [fault('Always')] },
  },
  {
    name: 'retries used up, then caught',
    definition: caught(
      call('f', null, { Retry: [{ ErrorEquals: ['A', 'B'], MaxAttempts: 1, IntervalSeconds: 1 }] }),
      ['B'],
      { Output: '{% $states.errorOutput.Error %}' },
    ),
    script: { f: [fault('A'), fault('B')] },
  },
  {
    name: 'no retry at all',
    definition: only('T', call('f', null, { ...payload, Retry: [{ ErrorEquals: ['A'], MaxAttempts: 0 }] })),
    script: { f: [fault('A')] },
  },
  { name: 'caught with the error output', definition: caught(call('f')), script: { f: [fault('Bad')] } },
  {
    name: 'caught with assign and output, then failed with the first error',
    definition: {
      StartAt: 'T',
      States: {
        T: call('f', null, {
          Next: 'Never',
          Catch: [
            { ErrorEquals: ['Other'], Next: 'Never' },
            {
              ErrorEquals: ['States.ALL'],
              Next: 'Clean',
              Assign: { failure: '{% $states.errorOutput %}' },
              Output: '{% $states.input %}',
            },
          ],
        }),
        Never: { Type: 'Succeed' },
        Clean: call('ok', '{% $states.input %}', { Output: '{% $states.result.Payload %}', Next: 'Failed' }),
        Failed: {
          Type: 'Fail',
          Error: '{% $failure.Error %}',
          Cause: '{% $parse($failure.Cause).errorMessage & " for " & $states.input.who %}',
        },
      },
    },
    script: { f: [fault('Bad', 'why')], ok: [{}] },
    input: { who: 'me' },
  },
  {
    name: 'States.TaskFailed catches a function error',
    definition: caught(call('f'), ['States.TaskFailed'], { Output: '{% $states.errorOutput.Error %}' }),
    script: { f: [fault('Bad')] },
  },
  {
    name: 'a failed query in the arguments',
    definition: only('T', call('f', '{% $states.input.none %}')),
    script: { f: [{}] },
  },
  {
    name: 'a failed query in the output, caught',
    definition: caught(
      call('f', null, { Output: '{% $states.result.none %}' }),
      ['States.QueryEvaluationError'],
      { Output: '{% $states.errorOutput.Error %}' },
    ),
    script: { f: [{ returns: 1 }] },
  },
  {
    name: 'task time-out',
    definition: only('T', call('f', null, { End: true, TimeoutSeconds: 1 })),
    script: { f: [{ seconds: 3 }] },
  },
  {
    name: 'task time-out, caught',
    definition: caught(call('f', null, { TimeoutSeconds: '{% 1 %}' }), ['States.Timeout']),
    script: { f: [{ seconds: 3 }] },
  },
  {
    name: "the machine's time-out",
    definition: { TimeoutSeconds: 1, ...only('T', call('f')) },
    script: { f: [{ seconds: 4 }] },
  },
  {
    name: 'more data than a state may give',
    definition: only('P', pass({ Output: "{% $pad('', 262143, 'x') %}" })),
  },

  {
    name: 'token answered',
    definition: only('T', tokenTask()),
    script: { f: [{ token: { success: { ok: [1] } } }] },
  },
  {
    name: 'token failed, caught',
    definition: caught(tokenTask(), ['Worker']),
    script: { f: [{ token: { failure: { error: 'Worker', cause: 'disk full' } } }] },
  },
  {
    name: 'heartbeats keep it alive',
    definition: only('T', tokenTask({ HeartbeatSeconds: 2 })),
    script: { f: [{ token: { beats: { every: 1, times: 3 }, success: 'alive' } }] },
  },
  {
    name: 'heartbeat missed',
    definition: only('T', tokenTask({ HeartbeatSeconds: 1 })),
    script: { f: [{}] },
  },
  {
    name: 'heartbeat missed, caught by its name',
    definition: caught(tokenTask({ HeartbeatSeconds: 1 }), ['States.HeartbeatTimeout']),
    script: { f: [{}] },
  },
  {
    name: 'token never answered',
    definition: only('T', tokenTask({ TimeoutSeconds: 1 })),
    script: { f: [{}] },
  },

  {
    name: 'parallel with arguments and variables around it',
    definition: {
      StartAt: 'V',
      States: {
        V: { Type: 'Pass', Assign: { outer: 5 }, Next: 'P' },
        P: {
          Type: 'Parallel',
          Arguments: { a: '{% $outer + 1 %}' },
          Branches: [
            {
              StartAt: 'A',
              States: {
                A: { Type: 'Pass', Assign: { inner: '{% $states.input.a %}' }, Next: 'A2' },
                A2: pass({ Output: '{% [$inner, $outer] %}' }),
              },
            },
            only('B', call('f', '{% $states.input %}', payload)),
          ],
          Assign: { all: '{% $states.result %}' },
          Output: '{% $count($states.result) %}',
          Next: 'E',
        },
        E: pass({ Output: '{% {"count": $states.input, "all": $all, "outer": $outer} %}' }),
      },
    },
    script: { f: [{}] },
  },
  {
    name: 'parallel with a failing branch, caught',
    definition: caught({ Type: 'Parallel', Branches: [only('A', call('f')), only('B', pass())] }, ['Bad'], {
      Output: '{% $states.errorOutput.Error %}',
    }),
    script: { f: [{ seconds: 0.5, ...fault('Bad') }] },
  },
  {
    name: 'parallel with a failing branch while another waits',
    definition: only('P', {
      Type: 'Parallel',
      Branches: [only('A', call('f')), only('B', { Type: 'Wait', Seconds: 4000, End: true })],
      End: true,
    }),
    script: { f: [{ seconds: 0.5, ...fault('Bad') }] },
  },
  {
    name: 'parallel retried',
    definition: only('P', {
      Type: 'Parallel',
      Branches: [only('A', call('f', null, payload))],
      Retry: [{ ErrorEquals: ['Bad'], IntervalSeconds: 1 }],
      End: true,
    }),
    script: { f: [fault('Bad'), { returns: 'second' }] },
  },
  {
    name: 'parallel in parallel, failing inside',
    definition: only('P', {
      Type: 'Parallel',
      Branches: [
        only('Q', {
          Type: 'Parallel',
          Branches: [only('F', { Type: 'Fail', Error: 'Deep', Cause: 'down' })],
          End: true,
        }),
      ],
      End: true,
    }),
  },
  {
    name: 'map with selector',
    definition: only('M', {
      Type: 'Map',
      Items: '{% $states.input.items %}',
      ItemSelector: {
        i: '{% $states.context.Map.Item.Index %}',
        v: '{% $states.context.Map.Item.Value %}',
        n: '{% $states.input.n %}',
      },
      MaxConcurrency: 1,
      ItemProcessor: only(
        'I',
        pass({ Output: '{% $states.input.v & $string($states.input.i + $states.input.n) %}' }),
      ),
      End: true,
    }),
    input: { items: ['a', 'b', 'c'], n: 10 },
  },
  {
    name: 'map of its input, with variables',
    definition: {
      StartAt: 'V',
      States: {
        V: { Type: 'Pass', Assign: { factor: 3 }, Next: 'M' },
        M: {
          Type: 'Map',
          MaxConcurrency: 1,
          ItemProcessor: {
            ProcessorConfig: { Mode: 'INLINE' },
            StartAt: 'I',
            States: {
              I: { Type: 'Pass', Assign: { mine: '{% $states.input * $factor %}' }, Next: 'J' },
              J: pass({ Output: '{% $mine %}' }),
            },
          },
          Output: '{% $sum($states.result) %}',
          End: true,
        },
      },
    },
    input: [1, 2, 3],
  },
  {
    name: 'map of nothing',
    definition: only('M', { Type: 'Map', Items: [], ItemProcessor: only('I', pass()), End: true }),
  },
  {
    name: 'map of what is no array',
    definition: only('M', { Type: 'Map', Items: '{% 5 %}', ItemProcessor: only('I', pass()), End: true }),
  },
  {
    name: 'map with a failing iteration, one at a time',
    definition: only('M', {
      Type: 'Map',
      Items: [1, 2, 3],
      MaxConcurrency: 1,
      ItemProcessor: only('I', call('f', null, payload)),
      End: true,
    }),
    script: { f: [{ returns: 1 }, fault('Bad')] },
  },
  {
    name: 'map with a failing iteration, caught',
    definition: caught(
      { Type: 'Map', Items: [1, 2], MaxConcurrency: 1, ItemProcessor: only('I', call('f', null, payload)) },
      ['States.ALL'],
      { Output: '{% $states.errorOutput.Error %}' },
    ),
    script: { f: [fault('Bad')] },
  },
  {
    name: 'map in parallel in map',
    definition: only('M', {
      Type: 'Map',
      Items: [[1, 2], [3]],
      MaxConcurrency: 1,
      ItemProcessor: only('P', {
        Type: 'Parallel',
        Branches: [
          only('N', {
            Type: 'Map',
            MaxConcurrency: 1,
            ItemProcessor: only('I', pass({ Output: '{% $states.input + 1 %}' })),
            End: true,
          }),
        ],
        End: true,
      }),
      End: true,
    }),
  },
  {
    name: 'distributed map with selector',
    definition: only('M', {
      Type: 'Map',
      Items: '{% $states.input.items %}',
      ItemSelector: { v: '{% $states.context.Map.Item.Value %}', n: '{% $states.input.n %}' },
      MaxConcurrency: 1,
      Label: 'Many',
      ItemProcessor: distributed(only('I', pass({ Output: '{% $states.input.v + $states.input.n %}' }))),
      End: true,
    }),
    input: { items: [1, 2, 3], n: 10 },
  },
  {
    name: 'distributed map of nothing',
    definition: only('M', {
      Type: 'Map',
      ItemProcessor: distributed(only('I', pass())),
      End: true,
    }),
    input: [],
  },
  {
    name: 'distributed map with a failing child, caught',
    definition: caught({
      Type: 'Map',
      MaxConcurrency: 1,
      ItemProcessor: distributed(only('I', call('f'))),
    }),
    input: [1, 2, 3],
    script: { f: [fault('Broken')] },
  },

  {
    name: 'child execution',
    definition: only('R', {
      Type: 'Task',
      Resource: 'arn:aws:states:::states:startExecution.sync:2',
      Arguments: { StateMachineArn: 'CHILD_ARN', Input: { n: '{% $states.input.n %}' } },
      Output: '{% [$states.result.Status, $states.result.Output, $states.result.Input] %}',
      End: true,
    }),
    child: only('C', pass({ Output: '{% $states.input.n * 2 %}' })),
    input: { n: 21 },
  },
  {
    name: 'child execution that fails, caught',
    definition: caught(
      {
        Type: 'Task',
        Resource: 'arn:aws:states:::states:startExecution.sync:2',
        Arguments: { StateMachineArn: 'CHILD_ARN' },
      },
      ['States.TaskFailed'],
      { Output: '{% [$states.errorOutput.Error, $parse($states.errorOutput.Cause).Error] %}' },
    ),
    child: only('C', { Type: 'Fail', Error: 'Inner', Cause: 'deep' }),
  },
];
