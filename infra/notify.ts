import { Duration, Stack } from 'aws-cdk-lib';
import { type IRule, Rule, RuleTargetInput, type RuleTargetInputProperties } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Construct } from 'constructs';
import { SOURCE } from '../core/events.ts';
import type { EnvironmentOf } from '../core/function-environment.ts';
import { acknowledge } from './acknowledge.ts';
import { factoryFunction } from './functions.ts';
import { allow } from './grants.ts';
import type { FoundrySettings } from './settings.ts';

/** A relay has 15 seconds for each of its answers. */
const TIMEOUT = Duration.seconds(60);

/** Of this account. */
const anyOfSes = ['identity/*', 'configuration-set/*'];

/** "aws.events.event.json: the full original event payload as JSON", not in quotes ("Input transformation", EventBridge User Guide). */
class WholeEvent extends RuleTargetInput {
  readonly #channel: string;

  constructor(channel: string) {
    super();
    this.#channel = channel;
  }

  bind(_rule: IRule): RuleTargetInputProperties {
    return { inputTemplate: `{"channel":"${this.#channel}","event":<aws.events.event.json>}` };
  }
}

/** Mail and webhook, for deployments that want them; the function alone costs nothing. */
export function notify(scope: Construct, { settings }: { readonly settings: FoundrySettings }): void {
  const { email, webhook, on } = settings.notify;
  const { partition, region, account } = Stack.of(scope);
  const relay = email?.relay;
  const environment: EnvironmentOf<'notify'> = {
    ...(email ? { MAIL_TO: email.to.join(','), MAIL_FROM: email.from } : {}),
    ...(relay ? { RELAY_HOST: relay.host, RELAY_PORT: String(relay.port), RELAY_TLS: relay.tls } : {}),
    ...(relay?.secretParameter ? { RELAY_SECRET_PARAMETER: relay.secretParameter } : {}),
    ...(webhook ? { WEBHOOK_URL: webhook.url, WEBHOOK_SECRET_PARAMETER: webhook.secretParameter } : {}),
  };
  const secrets = [relay?.secretParameter, webhook?.secretParameter].filter((name) => name !== undefined);
  const identities = email ? [email.from, email.from.slice(email.from.indexOf('@') + 1)] : [];
  const ses = `arn:${partition}:ses:${region}:${account}`;
  const { lambda, role } = factoryFunction(scope, 'notify', {
    description: 'tells people of builds and images',
    timeout: TIMEOUT,
    environment,
    grants: [
      ...(email
        ? [
            allow(
              'ses:GetEmailIdentity',
              identities.map((name) => `${ses}:identity/${name}`),
            ),
            // SES also asks for the configuration set that the identity has by default, and in its sandbox, by recollection, for the recipients.
            allow(
              'ses:SendEmail',
              anyOfSes.map((type) => `${ses}:${type}`),
              {
                StringEquals: { 'ses:FromAddress': email.from },
              },
            ),
          ]
        : []),
      // The default key of SecureString parameters is open to whoever may read them in the account ("AWS managed keys", Systems Manager User Guide).
      ...(secrets.length > 0
        ? [
            allow(
              'ssm:GetParameter',
              secrets.map((name) => `arn:${partition}:ssm:${region}:${account}:parameter${name}`),
            ),
          ]
        : []),
    ],
  });
  if (email) {
    for (const type of anyOfSes) {
      acknowledge(
        role,
        `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ses:<AWS::Region>:<AWS::AccountId>:${type}]`,
        'SES asks for the sender, for its default configuration set and perhaps for recipients; the sender’s address is a condition.',
      );
    }
  }
  for (const [channel, wanted] of [
    ['email', email],
    ['webhook', webhook],
  ] as const) {
    if (!wanted) continue;
    // A rule each: one that fails is tried again, and the other does not tell twice.
    new Rule(scope, `Notify-${channel}`, {
      description: `ami-foundry: people hear of it by ${channel}`,
      eventPattern: { source: [SOURCE], detailType: [...on] },
      targets: [
        new LambdaFunction(lambda, {
          event: new WholeEvent(channel),
        }),
      ],
    });
  }
}
