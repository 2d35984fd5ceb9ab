import { CfnOutput, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { type BusEventType, SOURCE } from '../core/events.ts';
import type { FoundrySettings } from './settings.ts';

/** What the state machine itself says (Announce). */
const DETAIL_TYPE = 'Image Published' satisfies BusEventType;

/**
 * What is said of builds and images goes to the account's event bus; from there to a topic for whoever subscribes, if the
 * deployment wants one: its key is the only thing of the stack that costs something while nothing is built.
 */
export function announcements(
  scope: Construct,
  {
    stateMachines,
    settings,
  }: { readonly stateMachines: readonly StateMachine[]; readonly settings: FoundrySettings },
): void {
  const { partition, region, account } = Stack.of(scope);
  for (const stateMachine of stateMachines) {
    stateMachine.addToRolePolicy(
      new PolicyStatement({
        actions: ['events:PutEvents'],
        resources: [`arn:${partition}:events:${region}:${account}:event-bus/default`],
        conditions: {
          'ForAllValues:StringEquals': { 'events:source': SOURCE, 'events:detail-type': DETAIL_TYPE },
        },
      }),
    );
  }
  if (!settings.notify.topic) return;

  // Not alias/aws/sns, which EventBridge may not use (EventBridge User Guide, "Amazon SNS permissions").
  const key = new Key(scope, 'PublishedKey', {
    description: 'ami-foundry: notices of builds and images',
    enableKeyRotation: true,
    // What it encrypted are messages on their way.
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const topic = new Topic(scope, 'Published', {
    displayName: 'ami-foundry: builds and images',
    masterKey: key,
    enforceSSL: true,
  });
  const rule = new Rule(scope, 'PublishedRule', {
    description: 'ami-foundry: what the topic hears of',
    eventPattern: { source: [SOURCE], detailType: [...settings.notify.on] },
  });
  // Adds the topic's policy; the key's is for us to say.
  rule.addTarget(new SnsTopic(topic));
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal('events.amazonaws.com')],
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: { StringEquals: { 'aws:SourceAccount': account } },
    }),
  );
  new CfnOutput(scope, 'PublishedTopic', {
    value: topic.topicArn,
    description: 'Subscribe to hear of builds and images',
  });
}
