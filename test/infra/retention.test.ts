import { beforeAll, describe, expect, it } from 'vitest';
import { readEnvironment } from '../../core/function-environment.ts';
import { one, type Synthesized, synthesize } from './synthesized.ts';

let stack: Synthesized;
beforeAll(() => {
  stack = synthesize({ distributionRegions: 'us-west-2,eu-central-1', parameterPrefix: '/company/images/' });
});

const arn = () =>
  `arn:of:${Object.entries(stack.resources).find(([, each]) => each === stack.function('retention'))?.[0]}`;
const settings = (of: Synthesized) =>
  readEnvironment('retention', of.function('retention').Properties.Environment.Variables);

describe('retention', () => {
  it('runs once a day, with an empty event', () => {
    const { Properties } = one(
      stack.ofType('AWS::Scheduler::Schedule'),
      (_id, each) => each.Properties.Target.Arn === arn(),
    );
    expect(Properties).toMatchObject({ ScheduleExpression: 'rate(1440 minutes)', Target: { Input: '{}' } });
  });

  it('knows the regions and the parameters of the deployment', () =>
    expect(settings(stack)).toMatchObject({
      DISTRIBUTION_REGIONS: ['us-west-2', 'eu-central-1'],
      PARAMETER_PREFIX: '/company/images/',
    }));

  it('deletes after a fortnight in quarantine, unless the deployment wants another time, or to be told only', () => {
    expect(settings(stack)).toMatchObject({ QUARANTINE_DAYS: 14, DRY_RUN: false });
    expect(settings(synthesize({ quarantineDays: '30', retentionDryRun: 'yes' }))).toMatchObject({
      QUARANTINE_DAYS: 30,
      DRY_RUN: true,
    });
  });
});

describe('what retention may do', () => {
  const statements = (action: string) =>
    stack.statements('retention').filter(({ Action }) => Action.includes(action));
  const ours = { 'aws:ResourceTag/ami-foundry:build': '?*' };
  const everywhere = (type: string) =>
    ['eu-west-1', 'us-west-2', 'eu-central-1'].map((region) => `arn:aws:ec2:${region}::${type}/*`);

  it.each([
    ['ec2:DeregisterImage', 'image'],
    ['ec2:DeleteSnapshot', 'snapshot'],
  ])('%s: only of what the factory made and retention has put away', (action, type) =>
    expect(statements(action)).toMatchObject([
      {
        Resource: everywhere(type),
        Condition: { StringLike: { ...ours, 'aws:ResourceTag/ami-foundry:quarantined': '?*' } },
      },
    ]),
  );

  it.each(['ec2:DisableImage', 'ec2:EnableImage', 'ec2:ModifyImageAttribute', 'ec2:DescribeImageAttribute'])(
    '%s: only of the factory’s images',
    (action) =>
      expect(statements(action)).toMatchObject([
        { Resource: everywhere('image'), Condition: { StringLike: ours } },
      ]),
  );

  it('tags with its own tags only', () => {
    const keys = (action: string) => statements(action)[0]?.Condition['ForAllValues:StringEquals'];
    expect(keys('ec2:CreateTags')).toEqual({
      'aws:TagKeys': ['ami-foundry:quarantined', 'ami-foundry:retention'],
    });
    expect(keys('ec2:DeleteTags')).toEqual({ 'aws:TagKeys': ['ami-foundry:quarantined'] });
  });

  it('reads parameters of the deployment’s prefix; others only AWS itself does, for DescribeImageReferences', () => {
    const paths = ['eu-west-1', 'us-west-2', 'eu-central-1'].map(
      (region) => `arn:aws:ssm:${region}:111122223333:parameter/company/images`,
    );
    expect(statements('ssm:GetParametersByPath')).toMatchObject([{ Resource: paths, Condition: {} }]);
    expect(statements('ssm:GetParameter')).toMatchObject([
      { Resource: paths.map((path) => `${path}/*`), Condition: {} },
    ]);
    expect(statements('ssm:GetParameters')).toMatchObject([
      {
        Resource: ['*'],
        Condition: { 'ForAnyValue:StringEquals': { 'aws:CalledVia': ['ec2-images.amazonaws.com'] } },
      },
    ]);
  });

  it('says what it does, and nothing else, on the account’s event bus', () =>
    expect(statements('events:PutEvents')).toMatchObject([
      {
        Resource: ['arn:aws:events:eu-west-1:111122223333:event-bus/default'],
        Condition: {
          'ForAllValues:StringEquals': {
            'events:source': 'ami-foundry',
            'events:detail-type': ['Image Quarantined', 'Image Restored', 'Image Retired'],
          },
        },
      },
    ]));
});
