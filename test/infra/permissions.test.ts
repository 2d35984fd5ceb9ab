import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FunctionName } from '../../core/function-environment.ts';
import { tagKey } from '../../core/names.ts';
import { windowsInstanceTypes, workerInstanceTypes } from '../../infra/functions.ts';
import { allowed, type Question, questions } from './authorization.ts';
import { type Call, callsOfFunction, type Setting } from './handler-calls.ts';
import { functionNames, type Statement, type Synthesized, synthesize } from './synthesized.ts';

/** Actions that take no resource: Service Authorization Reference, the tables of EC2, CloudWatch Logs and X-Ray. */
const withoutResource = [
  /^ec2:Describe(Images|Instances|Snapshots|Subnets|Volumes)$/,
  // Step Functions Developer Guide, "Using CloudWatch Logs to log execution history".
  /^logs:(Create|Get|Update|Delete|List)LogDeliver(y|ies)$/,
  /^logs:(PutResourcePolicy|DescribeResourcePolicies|DescribeLogGroups)$/,
  // Step Functions Developer Guide, "Trace Step Functions request data in AWS X-Ray".
  /^xray:(PutTraceSegments|PutTelemetryRecords|GetSamplingRules|GetSamplingTargets)$/,
];

const LAUNCH: FunctionName = 'launch';
let stack: Synthesized;
let setting: Setting;
const granted = new Map<FunctionName, Statement[]>();
const called = new Map<FunctionName, Call[]>();

beforeAll(async () => {
  stack = synthesize({ sourceBuckets: 'company,company-kernels' });
  const { Variables } = stack.function('launch').Properties.Environment;
  setting = {
    subnetId: Variables.SUBNET_IDS.split(',')[0],
    securityGroupId: Variables.SECURITY_GROUP_ID,
    instanceType: workerInstanceTypes.arm64[0],
    windowsInstanceType: windowsInstanceTypes[0],
    parameter: stack
      .function('plan')
      .Properties.Environment.Variables.WORKER_IMAGE_PARAMETER.replaceAll('{architecture}', 'arm64'),
    stateMachineArn: stack.function('reaper').Properties.Environment.Variables.STATE_MACHINE_ARN,
  };
  for (const name of functionNames) {
    granted.set(
      name,
      stack.statements(name).filter(({ Action }) => !Action.every((action) => action.startsWith('logs:'))),
    );
    called.set(name, await callsOfFunction(name, setting));
  }
});

const grantsOf = (name: FunctionName) => granted.get(name) ?? [];
const callsOf = (name: FunctionName) => called.get(name) ?? [];
const ec2CallsOf = (name: FunctionName) => callsOf(name).filter(({ service }) => service === 'ec2');
const actionsOf = (statements: readonly Statement[]) => new Set(statements.flatMap(({ Action }) => Action));

describe.each(functionNames)('the %s function', (name) => {
  it('may do exactly what its handler calls', () => {
    const needed = callsOf(name).map(({ service, operation }) => `${service}:${operation}`);
    if (callsOf(name).some(({ input }) => input.TagSpecifications?.length > 0)) needed.push('ec2:CreateTags');
    expect([...actionsOf(grantsOf(name))].sort()).toEqual([...new Set(needed)].sort());
  });

  it('ships those calls in its bundle', () => {
    const bundle = readFileSync(new URL(`../../dist/functions/${name}/index.mjs`, import.meta.url), 'utf8');
    const missing = callsOf(name)
      .filter(({ service }) => service !== 's3')
      .map(({ operation }) => operation)
      .filter((operation) => !bundle.includes(`"${operation}"`));
    expect(missing).toEqual([]);
  });

  it('is allowed every question that EC2 and Step Functions ask about those calls', () => {
    const refused = callsOf(name)
      .filter(({ service }) => ['ec2', 'states'].includes(service))
      .flatMap(questions)
      .filter((question) => !allowed(grantsOf(name), question));
    expect(refused).toEqual([]);
  });

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

describe.each<FunctionName>([
  'plan',
  'launch',
  'attach',
  'wait-for-worker',
  'snapshot',
  'register',
  'launch-windows',
  'swap-root',
  'create-image',
  'wait-for-image',
  'launch-boot-test',
  'wait-for-boot',
  'clean-up',
  'reaper',
])('the %s function', (name) => {
  it('may not touch what the factory did not make', () => {
    const owned = ec2CallsOf(name)
      .flatMap(questions)
      .filter(({ context }) => 'aws:ResourceTag/ami-foundry:build' in context);
    expect(owned).not.toEqual([]);
    const strange = owned.flatMap((question): Question[] => [
      { ...question, context: {} },
      { ...question, context: { 'aws:ResourceTag/ami-foundry:build': '' } },
      { ...question, context: { 'aws:ResourceTag/team': 'payments' } },
    ]);
    expect(strange.filter((question) => allowed(grantsOf(name), question))).toEqual([]);
  });
});

describe.each<FunctionName>([
  'launch',
  'snapshot',
  'register',
  'launch-windows',
  'create-image',
  'launch-boot-test',
])('the %s function', (name) => {
  const creations = () => ec2CallsOf(name).filter(({ input }) => input.TagSpecifications);

  it('may not make anything without the factory’s tag', () => {
    const untagged = creations().flatMap((call) => {
      const made = call.input.TagSpecifications.map((each: { ResourceType: string }) => each.ResourceType);
      return questions({ ...call, input: { ...call.input, TagSpecifications: [] } }).filter(({ resource }) =>
        made.some((type: string) => resource.endsWith(`:${type}/*`)),
      );
    });
    expect(untagged).not.toEqual([]);
    expect(untagged.filter((question) => allowed(grantsOf(name), question))).toEqual([]);
  });

  it('may not tag what exists', () => {
    const later = creations()
      .flatMap(questions)
      .filter(({ action }) => action === 'ec2:CreateTags')
      .map(({ context: { 'ec2:CreateAction': _creation, ...context }, ...question }) => ({
        ...question,
        context,
      }));
    expect(later).not.toEqual([]);
    expect(later.filter((question) => allowed(grantsOf(name), question))).toEqual([]);
  });
});

it('the worker and the target carry no tags but the factory’s', () => {
  const strange = ec2CallsOf(LAUNCH)
    .filter(({ input }) => input.TagSpecifications)
    .flatMap(questions)
    .filter(({ action, context }) => action !== 'ec2:CreateTags' && 'aws:TagKeys' in context)
    .map((question) => ({
      ...question,
      context: { ...question.context, 'aws:TagKeys': ['ami-foundry:build', 'access'] },
    }));
  expect(strange).toHaveLength(3);
  expect(strange.filter((question) => allowed(grantsOf(LAUNCH), question))).toEqual([]);
});

it('the calls that change something were found at all', () => {
  const changes = functionNames
    .flatMap((name) => ec2CallsOf(name))
    .map(({ operation }) => operation)
    .filter((operation) => !operation.startsWith('Describe'));
  expect([...new Set(changes)].sort()).toEqual([
    'AttachVolume',
    'CreateImage',
    'CreateSnapshot',
    'CreateTags',
    'CreateVolume',
    'DeleteSnapshot',
    'DeleteVolume',
    'DeregisterImage',
    'DetachVolume',
    'GetConsoleOutput',
    'GetConsoleScreenshot',
    'ModifyImageAttribute',
    'ModifyInstanceAttribute',
    'RegisterImage',
    'RunInstances',
    'StopInstances',
    'TerminateInstances',
  ]);
});

describe.each<FunctionName>([LAUNCH, 'launch-windows', 'launch-boot-test'])('a launch by %s', (name) => {
  const launchable = (change: Record<string, unknown>): boolean => {
    const call = callsOf(name).find(({ operation }) => operation === 'RunInstances');
    if (call === undefined) throw new Error(`${name} does not call RunInstances`);
    return questions({ ...call, input: { ...call.input, ...change } }).every((question) =>
      allowed(grantsOf(name), question),
    );
  };

  it('is allowed as the adapter asks for it', () => expect(launchable({})).toBe(true));
  it.each([
    ['instance metadata without a token', { MetadataOptions: { HttpTokens: 'optional' } }],
    ['instance metadata by the account’s default', { MetadataOptions: undefined }],
    ['another instance type', { InstanceType: 'p5.48xlarge' }],
    ['another subnet', { SubnetId: 'subnet-0fedcba9876543210' }],
    ['another security group', { SecurityGroupIds: ['sg-0fedcba9876543210'] }],
    ['one more security group', { SecurityGroupIds: ['sg-WorkerSecurityGroup', 'sg-0fedcba9876543210'] }],
  ])('is refused with %s', (_what, change) => expect(launchable(change)).toBe(false));
});

describe('an image', () => {
  it('may be tagged as tested, if the factory made it, and in no other way', () => {
    const question = (context: Question['context']): Question => ({
      action: 'ec2:CreateTags',
      resource: 'arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0',
      context,
    });
    const ownTag = { 'aws:ResourceTag/ami-foundry:build': 'demo' };
    const statements = grantsOf('wait-for-boot');
    expect(allowed(statements, question({ ...ownTag, 'aws:TagKeys': [tagKey.bootTested] }))).toBe(true);
    expect(allowed(statements, question({ ...ownTag, 'aws:TagKeys': [tagKey.build] }))).toBe(false);
    expect(allowed(statements, question({ 'aws:TagKeys': [tagKey.bootTested] }))).toBe(false);
  });

  it('that is adopted may be told its retention, if the factory made it, and nothing else', () => {
    const question = (context: Question['context']): Question => ({
      action: 'ec2:CreateTags',
      resource: 'arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0',
      context,
    });
    const ownTag = { 'aws:ResourceTag/ami-foundry:build': 'demo' };
    const statements = grantsOf('plan');
    expect(allowed(statements, question({ ...ownTag, 'aws:TagKeys': [tagKey.retention] }))).toBe(true);
    expect(allowed(statements, question({ ...ownTag, 'aws:TagKeys': [tagKey.bootTested] }))).toBe(false);
    expect(allowed(statements, question({ 'aws:TagKeys': [tagKey.retention] }))).toBe(false);
  });

  it('of another maker is not what a boot test may launch', () => {
    const question = (context: Question['context']): Question => ({
      action: 'ec2:RunInstances',
      resource: 'arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0',
      context,
    });
    const statements = grantsOf('launch-boot-test');
    expect(allowed(statements, question({ 'aws:ResourceTag/ami-foundry:build': 'demo' }))).toBe(true);
    expect(allowed(statements, question({ 'ec2:Owner': 'amazon' }))).toBe(false);
  });

  it('that lends its place is Amazon’s', () => {
    const question = (context: Question['context']): Question => ({
      action: 'ec2:RunInstances',
      resource: 'arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0',
      context,
    });
    const statements = grantsOf('launch-windows');
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

it('objects are reached by the names that the steps give them', () => {
  const objects = Object.fromEntries(
    functionNames.map((name) => [
      name,
      grantsOf(name)
        .filter(({ Action }) => Action.some((action) => action.startsWith('s3:')))
        .flatMap(({ Action, Resource }) =>
          Resource.map(
            (resource) => `${Action.join()} ${resource.replace(/^arn:of:Artifacts[0-9A-F]{8}/, 'artifacts')}`,
          ),
        ),
    ]),
  );
  const { PAYLOAD_BUCKET, PAYLOAD_KEY } = stack.function('launch').Properties.Environment.Variables;
  expect(objects).toEqual({
    plan: [
      's3:PutObject artifacts/builds/*/job',
      's3:PutObject artifacts/builds/*/manifest.mtree.gz',
      's3:PutObject artifacts/builds/*/sbom.cdx.json',
      's3:GetObject arn:aws:s3:::company/*',
      's3:GetObject arn:aws:s3:::company-kernels/*',
    ],
    launch: [
      's3:GetObject artifacts/builds/*/job',
      `s3:GetObject arn:aws:s3:::${PAYLOAD_BUCKET}/${PAYLOAD_KEY}`,
    ],
    attach: [],
    wait: [],
    'wait-for-worker': [
      's3:PutObject artifacts/builds/*/console.log',
      's3:PutObject artifacts/builds/*/report.json',
    ],
    snapshot: [],
    register: [],
    'launch-windows': [],
    'swap-root': [],
    'create-image': [],
    'wait-for-image': [],
    'launch-boot-test': [],
    'wait-for-boot': [
      's3:PutObject artifacts/builds/*/boot/*.log',
      's3:PutObject artifacts/builds/*/boot/*.jpg',
    ],
    'clean-up': [
      's3:GetObject artifacts/builds/*/manifest.mtree.gz',
      's3:GetObject artifacts/builds/*/sbom.cdx.json',
      's3:PutObject artifacts/images/*/manifest.mtree.gz',
      's3:PutObject artifacts/images/*/sbom.cdx.json',
    ],
    reaper: [],
  });
});

it('the reaper may ask about the executions of its own state machine only', () => {
  const asked = callsOf('reaper').filter(({ service }) => service === 'states');
  expect(new Set(asked.map(({ operation }) => operation))).toEqual(
    new Set(['DescribeExecution', 'ListExecutions']),
  );
  const others = asked.flatMap(questions).map((question) => ({
    ...question,
    resource: question.resource.replace(/BuildImage\w+\.Name/, 'other'),
  }));
  expect(others.filter((question) => allowed(grantsOf('reaper'), question))).toEqual([]);
});
