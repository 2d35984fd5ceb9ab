import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { EC2Client } from '@aws-sdk/client-ec2';
import type { HandlerExecutionContext } from '@smithy/types';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ec2ImageUses } from '../../adapters/aws/image-uses.ts';
import { eventNotices } from '../../adapters/aws/notices.ts';
import { parameterUses } from '../../adapters/aws/parameter-uses.ts';

const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
const environment = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };

/** What each operation answers, page by page; an error is thrown. */
let pages: Record<string, (object | Error)[]>;
let asked: { operation: string; input: Record<string, unknown> }[];

function next(operation: string, input: object): object {
  asked.push({ operation, input: input as Record<string, unknown> });
  const answer = pages[operation]?.shift() ?? { Parameters: [] };
  if (answer instanceof Error) throw answer;
  return answer;
}

beforeEach(() => {
  pages = {};
  asked = [];
  vi.stubGlobal('fetch', async (request: Request) => {
    const operation = request.headers.get('x-amz-target')?.split('.')[1] ?? '';
    try {
      return new Response(JSON.stringify(next(operation, JSON.parse(await request.text()))));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return new Response(JSON.stringify({ __type: error.name, message: error.message }), { status: 400 });
    }
  });
});
afterEach(() => vi.unstubAllGlobals());

const failing = (name: string) => Object.assign(new Error(name), { name });

function uses(prefix = '/images/') {
  const answering =
    () =>
    (_next: unknown, { commandName }: HandlerExecutionContext) =>
    async ({ input }: { input: object }) => ({
      output: { $metadata: {}, ...next(String(commandName).replace(/Command$/, ''), input) } as never,
      response: {},
    });
  const ec2 = new EC2Client({ region: 'eu-west-1', credentials });
  ec2.middlewareStack.add(answering(), { step: 'initialize', priority: 'high' });
  const autoScaling = new AutoScalingClient({ region: 'eu-west-1', credentials });
  autoScaling.middlewareStack.add(answering(), { step: 'initialize', priority: 'high' });
  return ec2ImageUses(ec2, { autoScaling, parameters: parameterUses(environment, 'eu-west-1', prefix) });
}

test('every kind of user is found, on its last page', async () => {
  pages = {
    DescribeInstances: [
      { Reservations: [], NextToken: 'more' },
      {
        Reservations: [{ Instances: [{ InstanceId: 'i-1', ImageId: 'ami-1', State: { Name: 'stopped' } }] }],
      },
    ],
    DescribeLaunchTemplates: [
      { LaunchTemplates: [], NextToken: 'more' },
      { LaunchTemplates: [{ LaunchTemplateId: 'lt-1', LaunchTemplateName: 'web' }] },
    ],
    DescribeLaunchTemplateVersions: [
      {
        LaunchTemplateVersions: [{ VersionNumber: 2, LaunchTemplateData: { ImageId: 'ami-9' } }],
        NextToken: 'more',
      },
      { LaunchTemplateVersions: [{ VersionNumber: 1, LaunchTemplateData: { ImageId: 'ami-1' } }] },
    ],
    DescribeLaunchConfigurations: [
      { LaunchConfigurations: [], NextToken: 'more' },
      { LaunchConfigurations: [{ LaunchConfigurationName: 'old', ImageId: 'ami-1' }] },
    ],
    DescribeAutoScalingGroups: [
      { AutoScalingGroups: [{}], NextToken: 'more' },
      {
        AutoScalingGroups: [
          {
            AutoScalingGroupName: 'fleet',
            MixedInstancesPolicy: { LaunchTemplate: { Overrides: [{ ImageId: 'ami-1' }] } },
          },
        ],
      },
    ],
    GetParametersByPath: [
      { Parameters: [], NextToken: 'more' },
      {
        Parameters: [
          { Name: '/images/web/latest', Value: 'ami-1' },
          { Name: '/images/list', Value: 'ami-9, ami-1' },
          { Name: '/images/other', Value: 'ami-9' },
        ],
      },
    ],
    DescribeImageReferences: [
      { ImageReferences: [], NextToken: 'more' },
      {
        ImageReferences: [
          { ImageId: 'ami-1', Arn: 'arn:aws:ssm:eu-west-1:111122223333:parameter/theirs' },
          { ImageId: 'ami-1', Arn: 'arn:aws:imagebuilder:eu-west-1:111122223333:image-recipe/web/1.0.0' },
        ],
      },
    ],
  };
  const found = await uses().of(['ami-1', 'ami-2']);
  expect(found.map(({ by, parameter }) => [by, parameter])).toEqual([
    ['instance i-1 (stopped)', undefined],
    ['launch template web version 1', undefined],
    ['launch configuration old', undefined],
    ['Auto Scaling group fleet', undefined],
    ['parameter /images/web/latest', '/images/web/latest'],
    ['parameter /images/list', '/images/list'],
    ['arn:aws:ssm:eu-west-1:111122223333:parameter/theirs', '/theirs'],
    ['arn:aws:imagebuilder:eu-west-1:111122223333:image-recipe/web/1.0.0', undefined],
  ]);
  expect(new Set(found.map(({ imageId }) => imageId))).toEqual(new Set(['ami-1']));
});

test('instances of all states but terminated, and all versions of templates, are asked for', async () => {
  await uses().of(['ami-1']);
  const inputOf = (name: string) => asked.find(({ operation }) => operation === name)?.input;
  expect(inputOf('DescribeInstances')).toMatchObject({
    Filters: [
      { Name: 'image-id', Values: ['ami-1'] },
      { Name: 'instance-state-name', Values: ['pending', 'running', 'shutting-down', 'stopping', 'stopped'] },
    ],
  });
  expect(inputOf('DescribeImageReferences')).toMatchObject({
    ImageIds: ['ami-1'],
    IncludeAllResourceTypes: true,
    ResourceTypes: [
      { ResourceType: 'ec2:Instance' },
      {
        ResourceType: 'ec2:LaunchTemplate',
        ResourceTypeOptions: [{ OptionName: 'version-depth', OptionValues: ['10000'] }],
      },
    ],
  });
  expect(inputOf('GetParametersByPath')).toMatchObject({ Path: '/images', Recursive: true });
});

test('more images than a call takes are asked for in several', async () => {
  const ids = Array.from({ length: 201 }, (_, index) => `ami-${index}`);
  await uses().of(ids);
  const portions = (name: string, of: (input: Record<string, unknown>) => unknown) =>
    asked.filter(({ operation }) => operation === name).map(({ input }) => of(input));
  const references = portions('DescribeImageReferences', ({ ImageIds }) => ImageIds) as string[][];
  expect(references).toHaveLength(21);
  expect(references.flat()).toEqual(ids);
  expect(portions('DescribeInstances', ({ Filters }) => Filters)).toHaveLength(2);
});

test('what a template resolves by a parameter is a use of the image that it resolves to today', async () => {
  const template = (ImageId: string) => ({ LaunchTemplateData: { ImageId } });
  pages = {
    DescribeLaunchTemplates: [{ LaunchTemplates: [{ LaunchTemplateName: 'web' }] }],
    DescribeLaunchTemplateVersions: [
      {
        LaunchTemplateVersions: [
          template('resolve:ssm:/images/web/latest:3'),
          template('resolve:ssm:arn:aws:ssm:eu-west-1:111122223333:parameter/images/shared'),
          template('resolve:ssm:/images/gone:7'),
          template('resolve:ssm:/aws/service/freebsd/amd64'),
        ],
      },
    ],
    GetParameter: [
      { Parameter: { Value: 'ami-1' } },
      { Parameter: { Value: 'ami-2' } },
      failing('ParameterVersionNotFound'),
    ],
  };
  const found = await uses().of(['ami-1', 'ami-2']);
  expect(found.map(({ imageId }) => imageId)).toEqual(['ami-1', 'ami-2']);
  const names = asked.filter(({ operation }) => operation === 'GetParameter').map(({ input }) => input.Name);
  expect(names).toEqual(['/images/web/latest:3', '/images/shared', '/images/gone:7']);
});

test.each([
  'DescribeInstances',
  'DescribeLaunchTemplates',
  'DescribeLaunchTemplateVersions',
  'DescribeLaunchConfigurations',
  'DescribeAutoScalingGroups',
  'GetParametersByPath',
  'DescribeImageReferences',
])('when %s is refused, nobody says that the image is not used', async (operation) => {
  pages = { DescribeLaunchTemplates: [{ LaunchTemplates: [{ LaunchTemplateName: 'web' }] }] };
  pages[operation] = [failing('AccessDeniedException')];
  await expect(uses().of(['ami-1'])).rejects.toMatchObject({ name: 'AccessDeniedException' });
});

test('a notice that the bus does not take is an error by its name', async () => {
  const notices = eventNotices(environment, 'eu-west-1');
  pages = { PutEvents: [{ FailedEntryCount: 0, Entries: [{ EventId: '1' }] }] };
  await notices.tell('Image Retired', { name: 'web' });
  expect(asked).toEqual([
    {
      operation: 'PutEvents',
      input: {
        Entries: [{ Source: 'ami-foundry', DetailType: 'Image Retired', Detail: '{"name":"web"}' }],
      },
    },
  ]);
  pages = { PutEvents: [{ FailedEntryCount: 1, Entries: [{ ErrorCode: 'ThrottlingException' }] }] };
  await expect(notices.tell('Image Retired', {})).rejects.toMatchObject({ name: 'ThrottlingException' });
});
