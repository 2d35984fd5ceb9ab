import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Synthesized, synthesize } from './synthesized.ts';

/**
 * What a type of resource costs while nothing is built, dollars a month: AWS's list prices in us-east-1. Undefined: a type that nobody
 * has thought about, which fails the test.
 */
const idle: Readonly<Record<string, number>> = {
  // By the byte that lies there.
  'AWS::S3::Bucket': 0,
  'AWS::Logs::LogGroup': 0,
  // By the call, the message, the state transition.
  'AWS::Lambda::Function': 0,
  'AWS::StepFunctions::StateMachine': 0,
  'AWS::Events::Rule': 0,
  'AWS::Scheduler::Schedule': 0,
  'AWS::SNS::Topic': 0,
  'AWS::SNS::Subscription': 0,
  'AWS::SQS::Queue': 0,
  'AWS::ApiGatewayV2::Api': 0,
  // Not at all.
  'AWS::ApiGatewayV2::Integration': 0,
  'AWS::ApiGatewayV2::Route': 0,
  'AWS::ApiGatewayV2::Stage': 0,
  'AWS::EC2::InternetGateway': 0,
  'AWS::EC2::Route': 0,
  'AWS::EC2::RouteTable': 0,
  'AWS::EC2::SecurityGroup': 0,
  'AWS::EC2::Subnet': 0,
  'AWS::EC2::SubnetRouteTableAssociation': 0,
  'AWS::EC2::VPC': 0,
  'AWS::EC2::VPCGatewayAttachment': 0,
  'AWS::IAM::Policy': 0,
  'AWS::IAM::Role': 0,
  'AWS::Lambda::EventInvokeConfig': 0,
  'AWS::Lambda::Permission': 0,
  'AWS::Logs::MetricFilter': 0,
  'AWS::S3::BucketPolicy': 0,
  'AWS::SNS::TopicPolicy': 0,
  'AWS::SQS::QueuePolicy': 0,
  'Custom::VpcRestrictDefaultSG': 0,
  // While it exists.
  'AWS::CloudWatch::Alarm': 0.1,
  'AWS::CloudWatch::Dashboard': 3,
  'AWS::KMS::Key': 1,
};

let plain: Synthesized;
let everything: Synthesized;
beforeAll(() => {
  plain = synthesize();
  everything = synthesize({
    alarms: 'yes',
    alarmEmail: 'ops@example.com',
    dashboard: 'yes',
    notifyTopic: 'yes',
  });
}, 180_000);

const bill = (stack: Synthesized) =>
  Object.entries(Object.groupBy(Object.values(stack.resources), ({ Type }) => Type)).flatMap(
    ([type, these = []]) => {
      const each = idle[type] ?? expect.fail(`${type}: what does it cost while nothing is built?`);
      return each === 0 ? [] : [{ type, dollars: Number((each * these.length).toFixed(2)) }];
    },
  );

describe('while nothing is built', () => {
  it('a factory costs its storage and nothing else', () => expect(bill(plain)).toEqual([]));

  it('it has nothing provisioned that its type does not show', () => {
    for (const { Type, Properties } of Object.values(plain.resources)) {
      // Provisioned concurrency, SnapStart's cache, and public addresses that nobody uses.
      expect(Properties?.ProvisionedConcurrencyConfig ?? Properties?.SnapStart, Type).toBeUndefined();
      expect(Properties?.VpcConfig, `${Type} in a VPC needs a way out of it`).toBeUndefined();
    }
  });

  it('what is asked for costs what docs/deploy.md says', () => {
    const page = readFileSync(new URL('../../docs/deploy.md', import.meta.url), 'utf8');
    const said = (setting: string) =>
      Number(new RegExp(`^\\| \`${setting}=yes\` .*\\| \\$([\\d.]+) `, 'm').exec(page)?.[1]);
    expect(bill(everything)).toEqual(
      expect.arrayContaining([
        { type: 'AWS::CloudWatch::Alarm', dollars: said('alarms') },
        { type: 'AWS::CloudWatch::Dashboard', dollars: said('dashboard') },
        { type: 'AWS::KMS::Key', dollars: said('notifyTopic') },
      ]),
    );
    expect(bill(everything)).toHaveLength(3);
  });
});

describe('what runs by the clock', () => {
  it('does so rarely enough to cost cents: less than ten thousand calls a month', () => {
    const monthly = Object.values(plain.ofType('AWS::Scheduler::Schedule')).map(({ Properties }) => {
      const [, count, unit = ''] =
        /^rate\((\d+) (minute|hour|day)s?\)$/.exec(Properties.ScheduleExpression) ?? [];
      const minutes = { minute: 1, hour: 60, day: 1440 }[unit] ?? expect.fail(Properties.ScheduleExpression);
      return (30 * 1440) / (Number(count) * minutes);
    });
    expect(monthly.reduce((sum, each) => sum + each, 0)).toBeLessThan(10_000);
  });
});
