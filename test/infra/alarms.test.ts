import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Resource, type Synthesized, synthesize } from './synthesized.ts';

const TOPIC = 'arn:aws:sns:eu-west-1:111122223333:operators';

let watched: Synthesized;
beforeAll(() => {
  watched = synthesize({ alarms: 'yes', alarmTopic: TOPIC, alarmEmail: 'ops@example.com', dashboard: 'yes' });
}, 180_000);

const alarms = (): Resource['Properties'][] =>
  Object.values(watched.ofType('AWS::CloudWatch::Alarm')).map(({ Properties }) => Properties);
const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** What a metric may be of: what the stack has. */
function known(dimensions: { Name: string; Value: string }[]): boolean {
  return dimensions.every(({ Name, Value }) => {
    const { 'AWS::StackName': _name, ...ids } = watched.resources as Record<string, unknown>;
    if (Name === 'FunctionName') return Value in watched.ofType('AWS::Lambda::Function');
    if (Name === 'StateMachineArn') return Value.includes(':stateMachine:');
    return Value in ids;
  });
}

describe('an alarm', () => {
  it('sends its reader to its entry in the runbook, which says what it means, how to see it, and what to do', () => {
    const runbook = page('runbook.md');
    for (const { AlarmName, AlarmDescription } of alarms()) {
      const anchor = /^ami-foundry-([a-z-]+)$/.exec(AlarmName)?.[1] ?? '';
      expect(AlarmDescription).toMatch(new RegExp(`\\. See docs/runbook\\.md#alarm-${anchor}$`));
      const [, entry = ''] = runbook.split(`## Alarm: ${anchor.replaceAll('-', ' ')}\n`);
      expect(entry.split('\n## ')[0], AlarmName).toMatch(
        /\*\*Description\.\*\* .+\n[\s\S]*\*\*Investigation\.\*\* .+\n[\s\S]*\*\*Resolution\.\*\* .+/,
      );
      expect(page('operating.md')).toContain(`(runbook.md#alarm-${anchor})`);
    }
    const names = alarms().map(({ AlarmName }) => AlarmName.replace('ami-foundry-', '').replaceAll('-', ' '));
    expect(new Set([...runbook.matchAll(/^## Alarm: (.+)$/gm)].map(([, name]) => name))).toEqual(
      new Set(names),
    );
  });

  it('watches one metric, of something in the stack: expressions are billed by the metric', () => {
    for (const { AlarmName, Metrics, Namespace, Dimensions = [] } of alarms()) {
      expect(Metrics, AlarmName).toBeUndefined();
      if (Namespace.startsWith('AWS/')) expect(Dimensions, AlarmName).not.toEqual([]);
      expect(known(Dimensions), AlarmName).toBe(true);
    }
  });

  it('of silence rings when nothing is counted, all others when something is', () => {
    for (const { AlarmName, ComparisonOperator, TreatMissingData, Threshold } of alarms()) {
      expect({ AlarmName, ComparisonOperator, TreatMissingData, Threshold }).toEqual({
        AlarmName,
        Threshold: 1,
        ...(AlarmName.endsWith('-silent')
          ? { ComparisonOperator: 'LessThanThreshold', TreatMissingData: 'breaching' }
          : { ComparisonOperator: 'GreaterThanOrEqualToThreshold', TreatMissingData: 'notBreaching' }),
      });
    }
  });

  it('tells the topic and the address, which only CloudWatch of this account may speak to', () => {
    const [mail = ''] = Object.keys(watched.ofType('AWS::SNS::Topic'));
    for (const { AlarmActions, OKActions } of alarms()) {
      expect(AlarmActions).toEqual([TOPIC, mail]);
      expect(OKActions).toEqual([TOPIC, mail]);
    }
    expect(watched.only('AWS::SNS::Subscription').Properties).toMatchObject({
      Protocol: 'email',
      Endpoint: 'ops@example.com',
    });
    expect(watched.only('AWS::SNS::TopicPolicy').Properties.PolicyDocument.Statement).toContainEqual(
      expect.objectContaining({
        Effect: 'Allow',
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Condition: { StringEquals: { 'aws:SourceAccount': '111122223333' } },
      }),
    );
  });

  it('of what escaped counts lines of the reaper’s log, and makes no metric while there are none', () => {
    const { FilterPattern, LogGroupName, MetricTransformations } =
      watched.only('AWS::Logs::MetricFilter').Properties;
    expect(FilterPattern).toBe('{ ($.message = "reaped") && ($.escaped IS TRUE) }');
    expect(LogGroupName).toBe(watched.function('reaper').Properties.LoggingConfig.LogGroup);
    const { MetricName, Namespace } = alarms().find(({ AlarmName }) => AlarmName.endsWith('-escaped'));
    expect(MetricTransformations).toEqual([{ MetricName, MetricNamespace: Namespace, MetricValue: '1' }]);
  });
});

describe('the dashboard', () => {
  it('shows what the stack has, in fewer metrics than are free', () => {
    const { DashboardBody } = watched.only('AWS::CloudWatch::Dashboard').Properties;
    const { widgets } = JSON.parse(DashboardBody) as {
      widgets: { properties: { metrics: unknown[][] } }[];
    };
    const metrics = widgets.flatMap(({ properties }) => properties.metrics);
    expect(metrics.length).toBeGreaterThan(10);
    expect(metrics.length).toBeLessThanOrEqual(50);
    for (const [namespace, , ...rest] of metrics) {
      const pairs = rest.filter((each): each is string => typeof each === 'string');
      if (pairs.length === 0) expect(['AWS/Lambda', 'ami-foundry']).toContain(namespace);
      else expect(known([{ Name: pairs[0] ?? '', Value: pairs[1] ?? '' }])).toBe(true);
    }
  });
});
