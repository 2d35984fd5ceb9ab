import { beforeAll, describe, expect, it } from 'vitest';
import { readEnvironment } from '../../core/function-environment.ts';
import { one, type Synthesized, synthesize } from './synthesized.ts';

let stack: Synthesized;
let reaperArn: string;
beforeAll(() => {
  stack = synthesize();
  const id = Object.entries(stack.resources).find(([, each]) => each === stack.function('reaper'))?.[0];
  reaperArn = `arn:of:${id}`;
});

describe('the rule', () => {
  const rule = () => one(stack.ofType('AWS::Events::Rule'), (id) => id.startsWith('ReaperRule'));
  const matrixRule = () => one(stack.ofType('AWS::Events::Rule'), (id) => id.startsWith('MatrixReaperRule'));

  it('hears of builds of this state machine that ended, and of nothing else', () => {
    const { STATE_MACHINE_ARN } = stack.function('reaper').Properties.Environment.Variables;
    expect(rule().Properties).toMatchObject({
      State: 'ENABLED',
      EventPattern: {
        source: ['aws.states'],
        'detail-type': ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: [STATE_MACHINE_ARN],
          status: ['ABORTED', 'FAILED', 'SUCCEEDED', 'TIMED_OUT'],
        },
      },
    });
  });

  it('hands name and status of the execution on, and no recipe', () =>
    expect(rule().Properties.Targets).toEqual([
      {
        Id: 'Target0',
        Arn: reaperArn,
        InputTransformer: {
          InputPathsMap: { 'detail-name': '$.detail.name', 'detail-status': '$.detail.status' },
          InputTemplate: '{"build":<detail-name>,"status":<detail-status>}',
        },
      },
    ]));

  it('has another beside it for matrices, which says how they ended and not which', () => {
    const { MATRIX_STATE_MACHINE_ARN } = stack.function('reaper').Properties.Environment.Variables;
    expect(matrixRule().Properties).toMatchObject({
      EventPattern: { detail: { stateMachineArn: [MATRIX_STATE_MACHINE_ARN] } },
      Targets: [{ Arn: reaperArn, InputTransformer: { InputTemplate: '{"status":<detail-status>}' } }],
    });
  });

  it('and that other alone may invoke the function from EventBridge', () => {
    const ids = [rule(), matrixRule()].map(
      (wanted) => Object.entries(stack.resources).find(([, each]) => each === wanted)?.[0],
    );
    const permissions = Object.values(stack.ofType('AWS::Lambda::Permission'))
      .map(({ Properties }) => Properties)
      .filter(({ FunctionName }) => FunctionName === reaperArn);
    expect(permissions.map(({ Principal, SourceArn }) => `${Principal} ${SourceArn}`).toSorted()).toEqual(
      ids.map((id) => `events.amazonaws.com arn:of:${id}`).toSorted(),
    );
  });
});

describe('the schedule', () => {
  it('runs every quarter of an hour, by a role that may invoke this function and nothing else', () => {
    const { ScheduleExpression, State, Target } = one(
      stack.ofType('AWS::Scheduler::Schedule'),
      (_id, each) => each.Properties.Target.Arn === reaperArn,
    ).Properties;
    expect({ ScheduleExpression, State: State ?? 'ENABLED' }).toEqual({
      ScheduleExpression: 'rate(15 minutes)',
      State: 'ENABLED',
    });
    expect(Target).toMatchObject({ Arn: reaperArn, Input: '{}' });
    const { Properties } = one(stack.resources, (id) => `arn:of:${id}` === Target.RoleArn);
    expect(Properties.AssumeRolePolicyDocument.Statement).toMatchObject([
      { Action: 'sts:AssumeRole', Principal: { Service: 'scheduler.amazonaws.com' } },
    ]);
    expect(Properties.Policies).toMatchObject([
      { PolicyDocument: { Statement: [{ Action: 'lambda:InvokeFunction', Resource: reaperArn }] } },
    ]);
    expect(Properties.ManagedPolicyArns).toBeUndefined();
  });
});

it('kills unless the deployment wants to be told only', () => {
  const dryRun = (of: Synthesized) =>
    readEnvironment('reaper', of.function('reaper').Properties.Environment.Variables).DRY_RUN;
  expect(dryRun(stack)).toBe(false);
  expect(dryRun(synthesize({ reaperDryRun: 'yes' }))).toBe(true);
});
