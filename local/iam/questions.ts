/** What the other services ask IAM about a call, after the Service Authorization Reference, "Actions … for" each of them. */
import { unsupported } from '../front/service-error.ts';
import type { Records } from './ec2-questions.ts';
import type { Question } from './policy.ts';

interface Place {
  readonly region: string;
  readonly accountId: string;
}

type Body = Readonly<Record<string, unknown>>;

const one = (action: string, resource: string, context: Question['context'] = {}): Question[] => [
  { action, resource, context },
];

/** Systems Manager: parameters by name; the public ones belong to no account ("Working with public parameters"). */
export function ssmQuestions({ region, accountId }: Place, operation: string, body: Body): Question[] {
  const action = `ssm:${operation}`;
  const arn = (name: unknown) => {
    const text = typeof name === 'string' ? name : '';
    const owner = text.startsWith('/aws/service/') ? '' : accountId;
    return `arn:aws:ssm:${region}:${owner}:parameter${text.startsWith('/') ? '' : '/'}${text}`;
  };
  switch (operation) {
    case 'GetParameter':
    case 'DeleteParameter':
    case 'GetParameterHistory':
      return one(action, arn(body.Name));
    case 'GetParametersByPath':
      return one(action, arn(body.Path));
    case 'GetParameters':
    case 'DeleteParameters':
      return (body.Names as string[]).flatMap((name) => one(action, arn(name)));
    case 'PutParameter': {
      const tags = (body.Tags ?? []) as { Key: string; Value: string }[];
      const requested = {
        ...Object.fromEntries(tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value])),
        ...(tags.length > 0 ? { 'aws:TagKeys': tags.map(({ Key }) => Key) } : {}),
      };
      return [
        ...one(action, arn(body.Name), {
          ...requested,
          'ssm:Overwrite': body.Overwrite === true ? 'true' : 'false',
        }),
        // "To add tags to an existing Systems Manager parameter, use the AddTagsToResource operation": with a new one the same right.
        ...(tags.length > 0 ? one('ssm:AddTagsToResource', arn(body.Name), requested) : []),
      ];
    }
    case 'AddTagsToResource':
    case 'RemoveTagsFromResource':
    case 'ListTagsForResource':
      return one(action, arn(body.ResourceId));
    case 'DescribeParameters':
      return one(action, '*');
    default:
      throw unsupported(`the authorization of ${action}`);
  }
}

/** KMS: one key, by its ARN; what has none is refused by its name. */
export const keyQuestions = (arn: string, operation: string): Question[] => one(`kms:${operation}`, arn);

/** EventBridge: one bus, and what is said on it. */
export function eventsQuestions(
  { region, accountId }: Place,
  operation: string,
  { Entries }: Body,
): Question[] {
  const entries = (Entries ?? []) as Readonly<Record<string, string>>[];
  return entries.flatMap(({ EventBusName = 'default', Source = '', DetailType = '' }) =>
    one(`events:${operation}`, `arn:aws:events:${region}:${accountId}:event-bus/${EventBusName}`, {
      'events:source': Source,
      'events:detail-type': DetailType,
    }),
  );
}

/** Auto Scaling: what describes has no resource-level permissions. */
export function autoScalingQuestions(operation: string): Question[] {
  if (operation.startsWith('Describe')) return one(`autoscaling:${operation}`, '*');
  throw unsupported(`the authorization of autoscaling:${operation}`);
}

/** Service Quotas: one quota of a service. */
export const quotaQuestions = (
  { region, accountId }: Place,
  operation: string,
  { ServiceCode, QuotaCode }: Body,
): Question[] =>
  one(
    `servicequotas:${operation}`,
    `arn:aws:servicequotas:${region}:${accountId}:${String(ServiceCode)}/${String(QuotaCode)}`,
  );

/** Step Functions: one execution or state machine each. */
export function statesQuestions(_place: Place, operation: string, body: Body): Question[] {
  const resource = body.executionArn ?? body.stateMachineArn ?? body.resourceArn;
  if (typeof resource !== 'string') throw unsupported(`the authorization of states:${operation}`);
  return one(`states:${operation}`, resource);
}

/** S3: the right to read or write an object is the same whichever way it is done ("Required permissions for Amazon S3 API operations"). */
export function s3Questions(operation: string, input: Body): Question[] {
  const { Bucket, Key, CopySource, Prefix } = input as Readonly<Record<string, string | undefined>>;
  const bucket = `arn:aws:s3:::${Bucket}`;
  const object = `${bucket}/${Key}`;
  const source = () => one('s3:GetObject', `arn:aws:s3:::${String(CopySource).replace(/^\//, '')}`);
  switch (operation) {
    case 'ListObjects':
    case 'ListObjectsV2':
      return one('s3:ListBucket', bucket, Prefix === undefined ? {} : { 's3:prefix': Prefix });
    case 'HeadBucket':
      return one('s3:ListBucket', bucket);
    case 'GetObject':
    case 'HeadObject':
      return one('s3:GetObject', object);
    case 'PutObject':
    case 'CreateMultipartUpload':
    case 'UploadPart':
    case 'CompleteMultipartUpload':
      return one('s3:PutObject', object);
    case 'CopyObject':
    case 'UploadPartCopy':
      return [...source(), ...one('s3:PutObject', object)];
    case 'DeleteObject':
      return one('s3:DeleteObject', object);
    case 'AbortMultipartUpload':
      return one('s3:AbortMultipartUpload', object);
    default:
      throw unsupported(`the authorization of s3:${operation}`);
  }
}

/**
 * The EBS direct APIs: one snapshot, by its tags. Who gives a new one tags needs ec2:CreateTags too ("Actions defined by Amazon Elastic Block
 * Store"); that the question of it has an ec2:CreateAction is said nowhere.
 */
export function ebsQuestions({ settings, snapshots }: Records, operation: string, input: Body): Question[] {
  const arn = (id: string) => `arn:aws:ec2:${settings.region}::snapshot/${id}`;
  const action = `ebs:${operation}`;
  const tagsOf = (id: string) =>
    Object.fromEntries(
      Object.entries(snapshots.get(id)?.tags ?? {}).map(([key, value]) => [`aws:ResourceTag/${key}`, value]),
    );
  switch (operation) {
    case 'StartSnapshot': {
      const tags = (input.Tags ?? []) as { Key: string; Value: string }[];
      const { ParentSnapshotId: parent } = input;
      const requested = {
        ...Object.fromEntries(tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value])),
        ...(tags.length > 0 ? { 'aws:TagKeys': tags.map(({ Key }) => Key) } : {}),
      };
      return [
        ...one(action, arn('*'), {
          ...requested,
          ...(typeof parent === 'string' ? { 'ebs:ParentSnapshot': arn(parent) } : {}),
        }),
        ...(tags.length > 0 ? one('ec2:CreateTags', arn('*'), requested) : []),
      ];
    }
    case 'PutSnapshotBlock':
    case 'CompleteSnapshot':
    case 'GetSnapshotBlock':
    case 'ListSnapshotBlocks': {
      const id = String(input.SnapshotId);
      return one(action, arn(id), tagsOf(id));
    }
    case 'ListChangedBlocks': {
      const { FirstSnapshotId, SecondSnapshotId } = input as Record<string, string | undefined>;
      return [FirstSnapshotId, SecondSnapshotId].flatMap((id) =>
        id === undefined ? [] : one(action, arn(id), tagsOf(id)),
      );
    }
    default:
      throw unsupported(`the authorization of ${action}`);
  }
}

/** API Gateway: a method and path of one stage ("Control access for invoking an API", API Gateway Developer Guide). */
export const apiQuestions = (
  { region, accountId }: Place,
  apiId: string,
  { Method, Path }: Body,
): Question[] =>
  one(
    'execute-api:Invoke',
    `arn:aws:execute-api:${region}:${accountId}:${apiId}/$default/${String(Method)}${String(Path)}`,
  );

/** Lambda: one function. */
export function lambdaQuestions(
  { region, accountId }: Place,
  operation: string,
  { FunctionName }: Body,
): Question[] {
  if (operation !== 'Invoke') throw unsupported(`the authorization of lambda:${operation}`);
  const name = String(FunctionName).split(':').at(-1);
  return one('lambda:InvokeFunction', `arn:aws:lambda:${region}:${accountId}:function:${name}`);
}
