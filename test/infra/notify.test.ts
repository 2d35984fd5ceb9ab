import { beforeAll, describe, expect, it } from 'vitest';
import { busEventTypes } from '../../core/events.ts';
import { one, type Synthesized, synthesize } from './synthesized.ts';

const email = { notifyEmail: 'a@example.org,b@example.org', notifySender: 'factory@example.org' };
const webhook = { notifyWebhook: 'https://hooks.example.org/images', notifyWebhookSecret: '/company/hook' };

let none: Synthesized;
let all: Synthesized;
beforeAll(() => {
  none = synthesize();
  all = synthesize({
    ...email,
    ...webhook,
    notifyRelay: 'relay.example.org:465',
    notifyRelaySecret: '/company/relay',
    notifyTopic: 'yes',
    notifyOn: 'build-failed,image-published',
  });
}, 60_000);

const rulesOf = (stack: Synthesized, name: 'notify' | 'record-build') =>
  Object.values(stack.ofType('AWS::Events::Rule')).filter(({ Properties }) =>
    Properties.Targets.some(
      ({ Arn }: { Arn: string }) =>
        Arn ===
        `arn:of:${Object.entries(stack.resources).find(([, each]) => each === stack.function(name))?.[0]}`,
    ),
  );

describe('notices', () => {
  it('by nobody’s wish: no rule, no grant, no topic', () => {
    expect(rulesOf(none, 'notify')).toEqual([]);
    expect(none.ofType('AWS::SNS::Topic')).toEqual({});
    const actions = none.statements('notify').flatMap(({ Action }) => Action);
    expect(actions.filter((action) => !action.startsWith('logs:'))).toEqual([]);
  });

  it('each channel has a rule of its own, of the events that the deployment names, and gets the whole event', () => {
    const rules = rulesOf(all, 'notify').map(({ Properties }) => Properties);
    expect(rules).toHaveLength(2);
    for (const { EventPattern, Targets } of rules) {
      expect(EventPattern).toEqual({
        source: ['ami-foundry'],
        'detail-type': ['Build Failed', 'Image Published'],
      });
      // A predefined variable needs no path; not in quotes: the event is an object.
      expect(Targets[0].InputTransformer).toEqual({
        InputTemplate: expect.stringMatching(
          /^\{"channel":"(email|webhook)","event":<aws\.events\.event\.json>\}$/,
        ),
      });
    }
    const topicRule = one(all.ofType('AWS::Events::Rule'), (id) => id.startsWith('PublishedRule'));
    expect(topicRule.Properties.EventPattern['detail-type']).toEqual(['Build Failed', 'Image Published']);
  });

  it('may mail from the sender’s address only, and read the two secrets, and nothing else', () => {
    const granted = all
      .statements('notify')
      .filter(({ Action }) => !Action.some((action) => action.startsWith('logs:')))
      .map(({ Action, Resource, Condition }) => ({ Action, Resource, Condition }));
    const ses = 'arn:aws:ses:eu-west-1:111122223333';
    const parameter = 'arn:aws:ssm:eu-west-1:111122223333:parameter';
    expect(granted).toEqual([
      {
        Action: ['ses:GetEmailIdentity'],
        Resource: [`${ses}:identity/factory@example.org`, `${ses}:identity/example.org`],
        Condition: {},
      },
      {
        Action: ['ses:SendEmail'],
        Resource: [`${ses}:identity/*`, `${ses}:configuration-set/*`],
        Condition: { StringEquals: { 'ses:FromAddress': 'factory@example.org' } },
      },
      {
        Action: ['ssm:GetParameter'],
        Resource: [`${parameter}/company/relay`, `${parameter}/company/hook`],
        Condition: {},
      },
    ]);
  });

  it('knows its channels by its environment', () =>
    expect(all.function('notify').Properties.Environment.Variables).toEqual({
      MAIL_TO: email.notifyEmail,
      MAIL_FROM: email.notifySender,
      RELAY_HOST: 'relay.example.org',
      RELAY_PORT: '465',
      RELAY_TLS: 'tls',
      RELAY_SECRET_PARAMETER: '/company/relay',
      WEBHOOK_URL: webhook.notifyWebhook,
      WEBHOOK_SECRET_PARAMETER: '/company/hook',
    }));
});

describe('receipts', () => {
  it('are written at each change of a build’s status', () => {
    const [{ Properties } = { Properties: undefined }, ...others] = rulesOf(none, 'record-build');
    expect(others).toEqual([]);
    const { stateMachineArn, ...more } = Properties.EventPattern.detail;
    expect(stateMachineArn).toHaveLength(1);
    expect(more).toEqual({});
    const { InputPathsMap } = Properties.Targets[0].InputTransformer;
    expect(new Set(Object.values(InputPathsMap))).toEqual(
      new Set(['$.detail.executionArn', '$.detail.status']),
    );
  });

  it('are told as events of builds, and no others', () => {
    const put = none.statements('record-build').find(({ Action }) => Action.includes('events:PutEvents'));
    expect(put?.Condition).toEqual({
      'ForAllValues:StringEquals': {
        'events:source': 'ami-foundry',
        'events:detail-type': busEventTypes.filter((type) => type.startsWith('Build ')),
      },
    });
  });
});
