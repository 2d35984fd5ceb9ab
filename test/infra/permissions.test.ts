import { beforeAll, describe, expect, it } from 'vitest';
import { allowed, type Question, type Statement } from '../../local/iam/policy.ts';
import { functionNames, type Synthesized, synthesize } from './synthesized.ts';

/** What the functions need, and what they may not do, is proven by builds: test/end-to-end/security.test.ts. */

/** Actions that take no resource: Service Authorization Reference, the tables of EC2, CloudWatch Logs and X-Ray. */
const withoutResource = [
  /^ec2:Describe(Images|Instances|Regions|Snapshots|Subnets|Volumes)$/,
  /^ec2:Describe(ImageReferences|LaunchTemplates|LaunchTemplateVersions)$/,
  /^autoscaling:Describe(AutoScalingGroups|LaunchConfigurations)$/,
  // Amazon EC2 User Guide, "Identify your resources referencing specified AMIs": only as DescribeImageReferences calls them (aws:CalledVia).
  /^ssm:(DescribeParameters|GetParameters)$/,
  /^imagebuilder:(ListImageRecipes|ListContainerRecipes|GetContainerRecipe)$/,
  /^ec2:Get(EbsEncryptionByDefault|ImageBlockPublicAccessState)$/,
  // Step Functions Developer Guide, "Using CloudWatch Logs to log execution history".
  /^logs:(Create|Get|Update|Delete|List)LogDeliver(y|ies)$/,
  /^logs:(PutResourcePolicy|DescribeResourcePolicies|DescribeLogGroups)$/,
  // Step Functions Developer Guide, "Trace Step Functions request data in AWS X-Ray".
  /^xray:(PutTraceSegments|PutTelemetryRecords|GetSamplingRules|GetSamplingTargets)$/,
];

let stack: Synthesized;
beforeAll(() => {
  stack = synthesize({ sourceBuckets: 'company,company-kernels' });
});

const actionsOf = (statements: readonly Statement[]) => new Set(statements.flatMap(({ Action }) => Action));

describe.each(functionNames)('the %s function', (name) => {
  it('writes to its own log group and no other', () => {
    const statements = stack
      .statements(name)
      .filter(({ Action }) => Action.some((action) => action.startsWith('logs:')));
    const group = stack.function(name).Properties.LoggingConfig.LogGroup;
    expect(statements).toEqual([
      {
        Effect: 'Allow',
        Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        Resource: [`arn:of:${group}`],
        Condition: {},
      },
    ]);
  });
});

describe('an image', () => {
  it('that lends its place is Amazon’s', () => {
    const question = (context: Question['context']): Question => ({
      action: 'ec2:RunInstances',
      resource: 'arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0',
      context,
    });
    const statements = stack.statements('launch-windows');
    expect(allowed(statements, question({ 'ec2:Owner': 'amazon' }))).toBe(true);
    expect(allowed(statements, question({ 'ec2:Owner': 'aws-marketplace' }))).toBe(false);
    expect(allowed(statements, question({ 'aws:ResourceTag/ami-foundry:build': 'demo' }))).toBe(false);
  });

  it('to launch a worker from is pinned to an owner if the deployment names one', () => {
    const pinned = synthesize({ workerImageOwner: '123456789012' });
    const question = (owner: string): Question => ({
      action: 'ec2:RunInstances',
      resource: 'arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0',
      context: { 'ec2:Owner': owner },
    });
    expect(allowed(pinned.statements('launch'), question('123456789012'))).toBe(true);
    expect(allowed(pinned.statements('launch'), question('999999999999'))).toBe(false);
  });
});

it('a wildcard stands alone only where the action takes no resource', () => {
  const wide = stack
    .allStatements()
    .filter(({ Resource }) => Resource.includes('*'))
    .flatMap(({ Action, within }) => Action.map((action) => ({ action, within })))
    .filter(({ action }) => !withoutResource.some((known) => known.test(action)));
  expect(wide).toEqual([]);
});

it('no action is a wildcard, and nobody may pass a role', () => {
  const actions = [...actionsOf(stack.allStatements())];
  expect(actions.filter((action) => action.includes('*') || action.startsWith('iam:'))).toEqual([]);
});

describe('SSM', () => {
  const parameters = (context: Record<string, string>) =>
    synthesize(context)
      .statements('plan')
      .filter(({ Action }) => Action.includes('ssm:GetParameter'))
      .flatMap(({ Resource }) => Resource);

  it('is asked for the public parameters of workers and of Windows, which belong to no account', () =>
    expect(parameters({})).toEqual([
      'arn:aws:ssm:eu-west-1::parameter/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE',
      'arn:aws:ssm:eu-west-1::parameter/aws/service/freebsd/arm64/small/ufs/15.1/RELEASE',
      'arn:aws:ssm:eu-west-1::parameter/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-Base',
    ]));
  it('is asked for the deployment’s own parameter in its own account', () =>
    expect(parameters({ workerImageParameter: '/images/worker' })).toEqual([
      'arn:aws:ssm:eu-west-1:111122223333:parameter/images/worker',
      'arn:aws:ssm:eu-west-1::parameter/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-Base',
    ]));
});

it('without buckets in the settings no object of anybody else can be read', () => {
  const statements = synthesize().statements('plan');
  expect(actionsOf(statements)).not.toContain('s3:GetObject');
});
