import {
  AddTagsToResourceCommand,
  DeleteParameterCommand,
  DeleteParametersCommand,
  DescribeParametersCommand,
  GetParameterCommand,
  GetParameterHistoryCommand,
  GetParametersCommand,
  LabelParameterVersionCommand,
  ListTagsForResourceCommand,
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
  ['a tier', { Name: '/tier', Tier: 'Advanced' as const }, 'UnsupportedByLocalCloud'],
])('%s is refused', async (_what, change, name) => {
  await expect(put(change)).rejects.toMatchObject({ name });
});

// "A SecureString parameter", Systems Manager User Guide; GetParameter, WithDecryption.
test('a secret is read by who asks for decryption', async () => {
  await put({ Name: '/secret', Type: 'SecureString', Value: 'hunter2' });
  const read = async (more: object) =>
    (await ssm.send(new GetParameterCommand({ Name: '/secret', ...more }))).Parameter;
  expect(await read({ WithDecryption: true })).toMatchObject({ Type: 'SecureString', Value: 'hunter2' });
  expect((await read({}))?.Value).not.toContain('hunter2');
});

// "Working with parameter versions" and "Working with parameter labels".
test('earlier versions are there by number and by label', async () => {
  const name = '/factory/versions';
  await put({ Name: name, Value: 'one', Description: 'first' });
  await put({ Name: name, Value: 'two', Overwrite: true });
  await ssm.send(
    new LabelParameterVersionCommand({ Name: name, ParameterVersion: 1, Labels: ['old', '1st'] }),
  );
  const value = async (Name: string) => (await ssm.send(new GetParameterCommand({ Name }))).Parameter;
  expect(await value(name)).toMatchObject({ Value: 'two', Version: 2 });
  expect(await value(`${name}:1`)).toMatchObject({ Value: 'one', Version: 1, Selector: ':1' });
  expect(await value(`${name}:old`)).toMatchObject({ Value: 'one', Selector: ':old' });
  await expect(value(`${name}:3`)).rejects.toMatchObject({ name: 'ParameterVersionNotFound' });
  const { Parameters } = await ssm.send(new GetParameterHistoryCommand({ Name: name }));
  expect(Parameters).toMatchObject([
    { Version: 1, Value: 'one', Labels: ['old'], Description: 'first' },
    { Version: 2, Value: 'two', Labels: [] },
  ]);
});

test('are described by name, path, data type and tag', async () => {
  await put({ Name: '/tree/a', Tags: [{ Key: 'owner', Value: 'factory' }] });
  await put({ Name: '/tree/b/c' });
  await expect(
    put({ Name: '/tree/a', Overwrite: true, Tags: [{ Key: 'owner', Value: 'other' }] }),
  ).rejects.toMatchObject({ name: 'ValidationException' });
  const resource = { ResourceType: 'Parameter' as const, ResourceId: '/tree/a' };
  await ssm.send(new AddTagsToResourceCommand({ ...resource, Tags: [{ Key: 'more', Value: '' }] }));
  expect((await ssm.send(new ListTagsForResourceCommand(resource))).TagList).toEqual([
    { Key: 'owner', Value: 'factory' },
    { Key: 'more', Value: '' },
  ]);
  const found = async (Key: string, Option: string | undefined, ...Values: string[]) =>
    (
      await ssm.send(new DescribeParametersCommand({ ParameterFilters: [{ Key, Option, Values }] }))
    ).Parameters?.map(({ Name }) => Name);
  expect(await found('Path', 'OneLevel', '/tree')).toEqual(['/tree/a']);
  expect(await found('Path', 'Recursive', '/tree')).toEqual(['/tree/a', '/tree/b/c']);
  expect(await found('Name', 'BeginsWith', '/tree/b')).toEqual(['/tree/b/c']);
  expect(await found('Name', undefined, '/tree/a')).toEqual(['/tree/a']);
  expect(await found('tag:owner', undefined, 'factory')).toEqual(['/tree/a']);
  expect(await found('DataType', 'Equals', 'aws:ec2:image')).toEqual([]);
  const deleted = await ssm.send(
    new DeleteParametersCommand({ Names: ['/tree/a', '/tree/none', '/tree/b/c'] }),
  );
  expect(deleted).toMatchObject({
    DeletedParameters: ['/tree/a', '/tree/b/c'],
    InvalidParameters: ['/tree/none'],
  });
});

// "Native parameter support for Amazon Machine Image IDs": the image is validated after the answer.
test('a parameter for an image is there when the image has been looked up, and never for one that is none', async () => {
  const { Parameter } = await ssm.send(
    new GetParameterCommand({ Name: '/aws/service/freebsd/arm64/small/ufs/15.1/RELEASE' }),
  );
  const image = { Type: 'String', DataType: 'aws:ec2:image' } as const;
  expect(await put({ Name: '/image', Value: 'ami-0123456789abcdef0', ...image })).toMatchObject({
    Version: 1,
  });
  expect(await put({ Name: '/image', Value: Parameter?.Value, ...image })).toMatchObject({ Version: 2 });
  const read = () =>
    ssm.send(new GetParameterCommand({ Name: '/image' })).catch((error: Error) => error.name);
  let seen = await read();
  for (; seen === 'ParameterNotFound'; seen = await read());
  expect(seen).toMatchObject({
    Parameter: { Value: Parameter?.Value, Version: 2, DataType: 'aws:ec2:image' },
  });
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
