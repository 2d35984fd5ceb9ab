import { type FunctionName, pascalCase } from '../../core/function-environment.ts';
import { type DeployedPlace, functionNameOf } from '../../local/deploy.ts';
import type { Statement } from '../../local/iam/policy.ts';
import { functionNames, type Naming, synthesize } from './synthesized.ts';

/** The policies that infra/ grants, role by role, with the names and ids of a deployment on the local cloud in them. */
export function localPolicies(
  place: DeployedPlace,
  context: Record<string, string> = {},
): Record<string, Statement[]> {
  // A network of one's own: the local cloud's.
  const stack = synthesize(
    { vpcId: 'vpc-00000000', subnetIds: place.subnetIds.join(','), ...context },
    undefined,
    namesOf(place),
  );
  // The payload lies where `cdk deploy` uploads assets, and in the artifacts bucket here.
  const { PAYLOAD_BUCKET, PAYLOAD_KEY } = stack.function('launch').Properties.Environment.Variables;
  const payload = `arn:aws:s3:::${PAYLOAD_BUCKET}/${PAYLOAD_KEY}`;
  const here = (statement: Statement): Statement => ({
    ...statement,
    Resource: statement.Resource.map((resource) =>
      resource === payload ? `arn:aws:s3:::${place.artifactsBucket}/${place.payloadKey}` : resource,
    ),
  });
  const roles: [string, Statement[]][] = functionNames.map((name) => [
    functionNameOf(name),
    stack.statements(name).map(here),
  ]);
  return Object.fromEntries([
    ...roles,
    [place.stateMachineName, stack.stateMachineStatements('build-image')],
    [place.matrixMachineName, stack.stateMachineStatements('build-matrix')],
  ]);
}

const namesOf = (place: DeployedPlace): Naming => ({
  pseudo: {
    'AWS::Partition': 'aws',
    'AWS::Region': place.region,
    'AWS::AccountId': place.accountId,
    'AWS::StackName': 'ami-foundry',
  },
  // With a network of one's own none is made.
  subnet: (id) => id,
  bucket: () => place.artifactsBucket,
  stateMachine: (id) => (id.startsWith('BuildMatrix') ? place.matrixMachineName : place.stateMachineName),
  securityGroup: () => place.securityGroupId,
  arn(id, type) {
    if (type === 'AWS::S3::Bucket') return `arn:aws:s3:::${place.artifactsBucket}`;
    if (type === 'AWS::Lambda::Function') {
      return `arn:aws:lambda:${place.region}:${place.accountId}:function:${functionNameOf(functionOf(id))}`;
    }
    return `arn:of:${id}`;
  },
});

/** `CleanUp1A2B3C4D` is clean-up. */
function functionOf(logicalId: string): FunctionName {
  const found = functionNames.find((name) => new RegExp(`^${pascalCase(name)}[0-9A-F]{8}$`).test(logicalId));
  if (found === undefined) throw new Error(`${logicalId} is no function of the factory`);
  return found;
}
