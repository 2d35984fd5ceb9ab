import {
  DeleteParameterCommand,
  GetParameterCommand,
  GetParametersCommand,
  PutParameterCommand,
  type PutParameterCommandInput,
  paginateGetParametersByPath,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
let ssm: SSMClient;
beforeAll(async () => {
  stage = await openStage();
  ssm = new SSMClient(stage.client);
});
afterAll(() => stage.close());

const put = (change: Partial<PutParameterCommandInput>) =>
  ssm.send(new PutParameterCommand({ Name: '/factory/x', Value: 'v', Type: 'String', ...change }));

test('put, get, overwrite, delete', async () => {
  expect(await put({})).toMatchObject({ Version: 1 });
  await expect(put({})).rejects.toMatchObject({ name: 'ParameterAlreadyExists' });
  expect(await put({ Value: 'w', Overwrite: true })).toMatchObject({ Version: 2 });
  const { Parameter } = await ssm.send(new GetParameterCommand({ Name: '/factory/x' }));
  expect(Parameter).toMatchObject({
    Value: 'w',
    Version: 2,
    Type: 'String',
    LastModifiedDate: expect.any(Date),
  });
  await ssm.send(new DeleteParameterCommand({ Name: '/factory/x' }));
  await expect(ssm.send(new DeleteParameterCommand({ Name: '/factory/x' }))).rejects.toMatchObject({
    name: 'ParameterNotFound',
  });
});

test('several at once tell which are missing', async () => {
  await put({ Name: '/factory/y' });
  const answer = await ssm.send(new GetParametersCommand({ Names: ['/factory/y', '/factory/none'] }));
  expect(answer.Parameters?.map(({ Name }) => Name)).toEqual(['/factory/y']);
  expect(answer.InvalidParameters).toEqual(['/factory/none']);
});

test.each([
  ['a reserved name', { Name: '/aws/service/mine' }, 'AccessDeniedException'],
  ['a relative path', { Name: 'a/b' }, 'ValidationException'],
  ['a long value', { Value: 'x'.repeat(4097) }, 'ValidationException'],
  ['no type', { Name: '/new', Type: undefined }, 'ValidationException'],
  ['an image that is none', { DataType: 'aws:ec2:image', Value: 'freebsd' }, 'ValidationException'],
  ['a secret', { Name: '/secret', Type: 'SecureString' as const }, 'UnsupportedByLocalCloud'],
  ['a tier', { Name: '/tier', Tier: 'Advanced' as const }, 'UnsupportedByLocalCloud'],
])('%s is refused', async (_what, change, name) => {
  await expect(put(change)).rejects.toMatchObject({ name });
});

test('the worker images are found by path, ten at a time', async () => {
  const sizes: number[] = [];
  const names: string[] = [];
  const pages = paginateGetParametersByPath(
    { client: ssm },
    { Path: '/aws/service/freebsd', Recursive: true },
  );
  for await (const { Parameters = [] } of pages) {
    sizes.push(Parameters.length);
    names.push(...Parameters.map(({ Name = '' }) => Name));
  }
  expect(sizes).toEqual([10, 2]);
  expect(names).toContain('/aws/service/freebsd/arm64/small/ufs/15.1/RELEASE');
  expect(new Set(names).size).toBe(12);
});
