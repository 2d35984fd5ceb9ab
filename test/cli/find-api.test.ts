import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fakeApi } from './fake-api.ts';
import { foundry } from './run.ts';

const keys = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'example' };

const xml = (text: string, status = 200) => ({ status, headers: { 'content-type': 'text/xml' }, body: text });

/** As the AWS CloudFormation API Reference has them: DescribeStacks, Common Errors. */
const stacks = (outputs: string) =>
  xml(`<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
    <StackName>ami-foundry</StackName><CreationTime>2026-11-20T10:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>
    <Outputs>${outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`);
const refusal = (code: string, message: string, status = 400) =>
  xml(
    `<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`,
    status,
  );

describe('the factory is found by its stack', () => {
  let api: Awaited<ReturnType<typeof fakeApi>>;
  let answer: ReturnType<typeof xml>;
  const asked: string[] = [];
  let cloudFormation: Awaited<ReturnType<typeof fakeApi>>;
  beforeAll(async () => {
    api = await fakeApi(() => ({ body: { builds: [], nextToken: null } }));
    cloudFormation = await fakeApi(({ body }) => {
      asked.push(String(body));
      return answer;
    });
  });
  afterAll(async () => {
    await api[Symbol.asyncDispose]();
    await cloudFormation[Symbol.asyncDispose]();
  });
  const builds = (args: readonly string[] = [], environment = {}) =>
    foundry(['builds', '--json', ...args], '/', {
      ...keys,
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_CLOUDFORMATION: cloudFormation.url,
      ...environment,
    });

  test('whose output is the address of the API', async () => {
    answer = stacks(`<member><OutputKey>ApiUrl</OutputKey><OutputValue>${api.url}/</OutputValue></member>`);
    expect(await builds(['--stack', 'mine'])).toMatchObject({ code: 0, stderr: '' });
    expect(asked.at(-1)).toContain('StackName=mine');
    expect(api.asked.at(-1)?.path).toBe('/builds');
  });

  test.each([
    [
      'it was never deployed',
      () => refusal('ValidationError', 'Stack with id ami-foundry does not exist'),
      /no stack ami-foundry in eu-west-1/,
    ],
    ['it has no API', () => stacks(''), /no output ApiUrl/],
    [
      'credentials have expired',
      () => refusal('ExpiredToken', 'The security token included in the request is expired', 403),
      /ExpiredToken[\s\S]*aws sso login/,
    ],
    [
      'the clock is wrong',
      () =>
        refusal('SignatureDoesNotMatch', 'Signature expired: 20261120T100000Z is now earlier than …', 403),
      /Signature expired[\s\S]*check the clock/,
    ],
    [
      'the caller may not look',
      () => refusal('AccessDenied', 'User is not authorized', 403),
      /AccessDenied[\s\S]*cloudformation:DescribeStacks/,
    ],
  ])('%s', async (_, answers, says) => {
    answer = answers();
    const told = await builds();
    expect(told).toMatchObject({ code: 3, stdout: '' });
    expect(told.stderr).toMatch(says);
  });

  test('deploy hears what infra/deploy.ts says of a setting', async () => {
    const told = await foundry(['deploy', '--setting', 'quarantineDay=3'], '/', keys);
    expect(told).toMatchObject({ code: 2, stdout: '' });
    expect(told.stderr).toContain('Did you mean quarantineDays?');
  });
});
