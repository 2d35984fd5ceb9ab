import { type ListExecutionsCommandInput, SFNClient } from '@aws-sdk/client-sfn';
import type { HandlerExecutionContext } from '@smithy/types';
import { expect, test } from 'vitest';
import { sfnExecutions } from '../../adapters/aws/executions.ts';

const MACHINE = 'arn:aws:states:eu-west-1:111122223333:stateMachine:build-image';
const execution = (name: string) => `arn:aws:states:eu-west-1:111122223333:execution:build-image:${name}`;
const began = new Date('2026-11-23T12:00:00Z');

/** A client whose answers a function gives; what it was asked, in order. */
function answering(answer: (command: string, input: never) => object) {
  const asked: [string, unknown][] = [];
  const sfn = new SFNClient({ region: 'eu-west-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
  sfn.middlewareStack.add(
    (_next, { commandName }: HandlerExecutionContext) =>
      async ({ input }) => {
        asked.push([String(commandName), input]);
        const output = answer(String(commandName), input as never);
        return { output: { $metadata: {}, ...output } as never, response: {} };
      },
    { step: 'initialize', priority: 'high' },
  );
  return { asked, executions: sfnExecutions(sfn, MACHINE) };
}

test('a build is the execution of its name', async () => {
  const { asked, executions } = answering(() => ({ status: 'ABORTED', startDate: began }));
  expect(await executions.describe('demo')).toEqual({
    status: 'ended',
    outcome: 'ABORTED',
    startedAt: began.getTime(),
    output: undefined,
  });
  expect(asked).toEqual([['DescribeExecutionCommand', { executionArn: execution('demo') }]]);
});

test.each(['RUNNING', 'PENDING_REDRIVE', 'SOMETHING_NEW', undefined])(
  '%s is as good as running',
  async (status) => {
    const { executions } = answering(() => ({ status, startDate: began }));
    expect(await executions.describe('demo')).toEqual({ status: 'running' });
  },
);

test('only an execution that does not exist is unknown; any other refusal goes on', async () => {
  const refusing = (name: string) =>
    answering(() => {
      throw Object.assign(new Error('no'), { name });
    }).executions.describe('demo');
  expect(await refusing('ExecutionDoesNotExist')).toEqual({ status: 'unknown' });
  for (const name of ['ThrottlingException', 'AccessDeniedException', 'InvalidArn']) {
    await expect(refusing(name)).rejects.toMatchObject({ name });
  }
});

test('successes are those of all pages, redriven ones included', async () => {
  const at = (hours: number) => new Date(began.getTime() + hours * 3_600_000);
  const pages: Record<string, object> = {
    first: {
      executions: [
        { executionArn: execution('late'), startDate: at(2), stopDate: at(3) },
        { executionArn: execution('early'), startDate: at(-2), stopDate: at(-1) },
      ],
      nextToken: 'more',
    },
    more: { executions: [{ executionArn: execution('redriven'), startDate: at(-9), stopDate: at(0) }] },
  };
  const { asked, executions } = answering((command, input: ListExecutionsCommandInput) =>
    command === 'ListExecutionsCommand'
      ? (pages[input.nextToken ?? 'first'] ?? {})
      : { status: 'SUCCEEDED', startDate: began, output: JSON.stringify(input) },
  );
  expect(await executions.successes()).toEqual([
    { id: execution('late'), endedAt: at(3).getTime() },
    { id: execution('early'), endedAt: at(-1).getTime() },
    { id: execution('redriven'), endedAt: at(0).getTime() },
  ]);
  expect(await executions.output(execution('late'))).toBe(
    JSON.stringify({ executionArn: execution('late') }),
  );
  expect(asked[0]).toEqual([
    'ListExecutionsCommand',
    expect.objectContaining({ stateMachineArn: MACHINE, statusFilter: 'SUCCEEDED' }),
  ]);
});
