import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import validate from 'asl-validator';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventFunctions, pascalCase, type StepName } from '../../core/function-environment.ts';
import {
  functionNames,
  type MachineFile,
  machineFiles,
  type Synthesized,
  stepNames,
  synthesize,
} from './synthesized.ts';

const root = new URL('../../', import.meta.url);
const textOf = (file: MachineFile) => readFileSync(new URL(`statemachines/${file}.asl.json`, root), 'utf8');

interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly Arguments: { readonly FunctionName: string };
  readonly TimeoutSeconds: number;
  readonly Retry?: Rule[];
  readonly Catch?: Rule[];
  readonly ItemProcessor?: { readonly States: Readonly<Record<string, State>> };
}
interface Rule {
  readonly ErrorEquals: string[];
  readonly JitterStrategy?: string;
  readonly Assign?: unknown;
}

const read = (file: MachineFile) => JSON.parse(textOf(file)) as { States: Record<string, State> };
/** Those of a Map stand among the others. */
const allOf = (some: Readonly<Record<string, State>>): [string, State][] =>
  Object.entries(some).flatMap(([name, state]) => [
    [name, state] as [string, State],
    ...allOf(state.ItemProcessor?.States ?? {}),
  ]);
const states = machineFiles.flatMap((file) => allOf(read(file).States));
const tasks = states.filter(([, { Type }]) => Type === 'Task');
const lambdasIn = (folder: string) =>
  readdirSync(new URL(`functions/${folder}/`, root))
    .filter((file) => file.endsWith('.lambda.ts'))
    .map((file) => file.replace('.lambda.ts', ''));
const steps = lambdasIn('steps') as StepName[];
const hole = (step: string) => `${pascalCase(step)}FunctionArn`;
/** Those that call a function; Announce puts an event. */
const calling = tasks.filter(([, { Resource }]) => Resource === 'arn:aws:states:::lambda:invoke');
const holesOf = (file: MachineFile) =>
  new Set([...textOf(file).matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => name));

let stack: Synthesized;
beforeAll(() => {
  stack = synthesize();
});

describe('state, step and substitution', () => {
  it('there is a function for each file and no other', () => {
    expect([...steps].sort()).toEqual([...stepNames].sort());
    expect(lambdasIn('events').sort()).toEqual([...eventFunctions].sort());
  });

  it.each(steps)('%s is used by a state', (step) =>
    expect(tasks.filter(([, { Arguments }]) => Arguments.FunctionName === `\${${hole(step)}}`)).not.toEqual(
      [],
    ),
  );

  it.each(calling.map(([name, state]) => ({ name, state })))(
    '$name is called like its step',
    ({ name, state }) => {
      const step = steps.find((each) => state.Arguments.FunctionName === `\${${hole(each)}}`);
      if (step === undefined) throw new Error(`${state.Arguments.FunctionName} is no step`);
      expect(name).toMatch(new RegExp(`^${pascalCase(step)}(?![a-z])`));
    },
  );

  it.each(machineFiles)('each hole of %s is filled with the function of its step', (file) => {
    const { DefinitionSubstitutions } = stack.stateMachine(file).Properties;
    const holes = holesOf(file);
    expect(Object.keys(DefinitionSubstitutions).sort()).toEqual([...holes].sort());
    for (const step of steps.filter((each) => holes.has(hole(each)))) {
      const id = Object.entries(stack.resources).find(([, each]) => each === stack.function(step))?.[0];
      expect(DefinitionSubstitutions[hole(step)]).toBe(`arn:of:${id}`);
    }
  });

  it.each(functionNames)('the %s function holds the bundle of its step', (name) => {
    const { Code, Handler } = stack.function(name).Properties;
    const deployed = readFileSync(join(stack.asset(Code.S3Key), 'index.mjs'), 'utf8');
    expect(deployed).toBe(readFileSync(new URL(`dist/functions/${name}/index.mjs`, root), 'utf8'));
    expect(readdirSync(stack.asset(Code.S3Key))).toEqual(['index.mjs']);
    expect(Handler).toBe('index.handler');
  });

  it.each(machineFiles)('the deployed definition is %s, byte for byte', (file) => {
    const { DefinitionS3Location } = stack.stateMachine(file).Properties;
    expect(readFileSync(stack.asset(DefinitionS3Location.Key), 'utf8')).toBe(textOf(file));
  });
});

describe('the state machine', () => {
  it.each(machineFiles)('%s may invoke exactly the functions of its states', (file) => {
    const { DefinitionSubstitutions } = stack.stateMachine(file).Properties;
    const invokable = stack
      .stateMachineStatements(file)
      .filter(({ Action }) => Action.includes('lambda:InvokeFunction'))
      .flatMap(({ Resource }) => Resource);
    const functions = Object.entries(DefinitionSubstitutions).filter(([name]) =>
      name.endsWith('FunctionArn'),
    );
    expect(new Set(invokable)).toEqual(new Set(functions.map(([, arn]) => arn)));
  });

  it('builds by the other machine, waits for what it started, and is its own child', () => {
    const arn = (rest: string) => `arn:aws:states:eu-west-1:111122223333:${rest}`;
    const own = stack
      .stateMachineStatements('build-matrix')
      .filter(({ Action }) => Action.some((one) => one.startsWith('states:')))
      .map(({ Action, Resource }) => [Action, Resource]);
    expect(own).toEqual([
      [
        ['states:StartExecution'],
        [arn('stateMachine:ami-foundry-build-image'), arn('stateMachine:ami-foundry-build-matrix')],
      ],
      [
        ['states:DescribeExecution', 'states:StopExecution'],
        [arn('execution:ami-foundry-build-image:*'), arn('execution:ami-foundry-build-matrix:*')],
      ],
      [['states:RedriveExecution'], [arn('execution:ami-foundry-build-matrix/Build:*')]],
    ]);
  });

  it.each(machineFiles)('%s logs failures without inputs, in a group that ends', (file) => {
    const { LoggingConfiguration, StateMachineType } = stack.stateMachine(file).Properties;
    expect(StateMachineType).toBe('STANDARD');
    expect(LoggingConfiguration).toMatchObject({ Level: 'ERROR', IncludeExecutionData: false });
    const arn: string = LoggingConfiguration.Destinations[0].CloudWatchLogsLogGroup.LogGroupArn;
    expect(stack.resources[arn.replace('arn:of:', '')]?.Properties).toEqual({
      LogGroupName: `/aws/vendedlogs/states/ami-foundry-${file}`,
      RetentionInDays: 30,
    });
  });

  it('waits longer for a function than the function may run', () => {
    const timeouts = stepNames.map((name) => stack.function(name).Properties.Timeout);
    for (const [name, { TimeoutSeconds }] of calling) {
      expect(TimeoutSeconds, name).toBeGreaterThan(Math.max(...timeouts));
    }
  });
});

describe('the definition', () => {
  const verdict = (
    change: (definition: ReturnType<typeof read>) => void = () => {},
    file: MachineFile = 'build-image',
  ) => {
    const definition = read(file);
    change(definition);
    const { isValid, errorsText } = validate(definition);
    return isValid ? 'valid' : errorsText();
  };

  it.each(machineFiles)('%s is valid to asl-validator, JSONata syntax included', (file) =>
    expect(verdict(undefined, file)).toBe('valid'),
  );

  it.each<[string, string, object]>([
    ['a field of JSONPath', 'Plan', { InputPath: '$.recipe' }],
    ['an unknown field', 'Plan', { Timeout: 120 }],
    ['an unknown next state', 'Plan', { Next: 'Lunch' }],
    [
      'a condition that is no JSONata',
      'Planned?',
      { Choices: [{ Condition: '{% $states.( %}', Next: 'Launch' }] },
    ],
    ['a wait with two times', 'PauseForWorker', { Timestamp: '2026-11-23T00:00:00Z' }],
  ])('asl-validator would see %s', (_what, state, change) =>
    expect(verdict((definition) => Object.assign(definition.States[state] ?? {}, change))).not.toBe('valid'),
  );

  // What asl-validator 4.0.0 lets pass in JSONata definitions.
  it('has States.ALL alone and last in its rule lists', () => {
    for (const [name, { Retry = [], Catch = [] }] of states) {
      for (const rules of [Retry, Catch]) {
        const all = rules.findIndex(({ ErrorEquals }) => ErrorEquals.includes('States.ALL'));
        if (all < 0) continue;
        expect(rules[all]?.ErrorEquals, name).toEqual(['States.ALL']);
        expect(all, name).toBe(rules.length - 1);
      }
    }
  });

  it('knows two jitter strategies', () => {
    const strategies = states.flatMap(([, { Retry = [] }]) =>
      Retry.map(({ JitterStrategy }) => JitterStrategy),
    );
    expect(strategies.length).toBeGreaterThan(0);
    expect(strategies.filter((each) => !['FULL', 'NONE', undefined].includes(each))).toEqual([]);
  });

  it.each(machineFiles)('%s reads only variables that it assigns', (file) => {
    const text = textOf(file);
    const expressions = [...text.matchAll(/\{%(.*?)%\}/g)].map(([, expression = '']) => expression);
    const used = expressions.flatMap((expression) =>
      [...expression.matchAll(/\$([A-Za-z]\w*)\b(?!\s*\()/g)].map(([, name = '']) => name),
    );
    const assigned = new Set<string>();
    JSON.parse(text, (key, value) => {
      if (key === 'Assign') for (const name of Object.keys(value)) assigned.add(name);
      return value;
    });
    expect(assigned.size).toBeGreaterThan(0);
    // Names that an expression gives itself.
    for (const [, name = ''] of text.matchAll(/function\(\$(\w+)/g)) assigned.add(name);
    const functions = new Set([...text.matchAll(/\$(\w+)(?= :=)/g)].map(([, name = '']) => name));
    expect(new Set(used.filter((name) => !functions.has(name)))).toEqual(new Set([...assigned, 'states']));
  });
});
