import { Duration, Stack } from 'aws-cdk-lib';
import { EventField, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Construct } from 'constructs';
import { SOURCE } from '../core/events.ts';
import type { EnvironmentOf } from '../core/function-environment.ts';
import { factoryFunction } from './functions.ts';
import { allow } from './grants.ts';
import type { FoundrySettings } from './settings.ts';

/** A relay has 15 seconds for each of its answers. */
const TIMEOUT = Duration.seconds(60);

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
  const { lambda } = factoryFunction(scope, 'notify', {
    description: 'tells people of builds and images',
    timeout: TIMEOUT,
    environment,
    grants: [
      ...(identities.length > 0
        ? [
            allow(
              ['ses:GetEmailIdentity', 'ses:SendEmail'],
              identities.map((name) => `arn:${partition}:ses:${region}:${account}:identity/${name}`),
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
          event: RuleTargetInput.fromObject({ channel, event: EventField.fromPath('$') }),
        }),
      ],
    });
  }
}
