import { runSimulation } from '@cloud-copilot/iam-simulate';
import type { Question, Statement } from '../../../local/iam/policy.ts';

/**
 * A policy evaluator that is not ours, with its copy of the Service Authorization Reference: it refuses to judge a question whose
 * action, resource type or condition keys AWS does not have. AGPL-3.0, so it stays a judge in the tests: nothing that the project
 * ships or runs for its users imports it.
 */
export async function judged(statements: readonly Statement[], question: Question): Promise<boolean> {
  const { action, context } = question;
  const account = '000000000000';
  // The reference knows parameters with an account only; the public ones have none ("Working with public parameters").
  const owned = (arn: string) => arn.replace(/^(arn:aws:ssm:[^:]+:):/, `$1${account}:`);
  const resource = owned(question.resource);
  const answer = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${account}:role/judged`,
        action,
        // A simulation wants one resource: any id will do for what EC2 has not made yet.
        resource: { resource: resource.replace(/\/\*$/, '/new'), accountId: account },
        contextVariables: Object.fromEntries(
          Object.entries(context).map(([key, value]) => [
            key,
            typeof value === 'string' ? value : [...value],
          ]),
        ),
      },
      identityPolicies: [
        {
          name: 'grants',
          policy: {
            Version: '2012-10-17',
            Statement: statements.map(({ Effect, Action, Resource, Condition }) => ({
              Effect,
              Action,
              Resource: Resource.map(owned),
              ...(Object.keys(Condition).length > 0 ? { Condition } : {}),
            })),
          },
        },
      ],
      // A key is nobody's whose own policy says nothing; that of a new one leaves it to the account ("Default key policy").
      ...(action.startsWith('kms:') ? { resourcePolicy: keyPolicy(account) } : {}),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (answer.resultType !== 'single') {
    throw new Error(`iam-simulate does not judge ${action} on ${resource}: ${JSON.stringify(answer)}`);
  }
  const { ignoredContextKeys = [] } = answer.result;
  if (ignoredContextKeys.length > 0) {
    throw new Error(`${action} on ${resource} has no condition keys ${ignoredContextKeys.join(', ')}`);
  }
  return answer.overallResult === 'Allowed';
}

const keyPolicy = (account: string) => ({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' },
  ],
});
