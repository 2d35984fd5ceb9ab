import type { Call } from './handler-calls.ts';
import type { Statement } from './synthesized.ts';

/** One question to IAM: may this be done to that, under these circumstances. */
export interface Question {
  readonly action: string;
  readonly resource: string;
  readonly context: Readonly<Record<string, string | readonly string[]>>;
}

const here = 'eu-west-1:111122223333';

const arnOf = {
  image: (id: string) => `arn:aws:ec2:eu-west-1::image/${id}`,
  snapshot: (id: string) => `arn:aws:ec2:eu-west-1::snapshot/${id}`,
  instance: (id: string) => `arn:aws:ec2:${here}:instance/${id}`,
  volume: (id: string) => `arn:aws:ec2:${here}:volume/${id}`,
  subnet: (id: string) => `arn:aws:ec2:${here}:subnet/${id}`,
  'security-group': (id: string) => `arn:aws:ec2:${here}:security-group/${id}`,
  'network-interface': (id: string) => `arn:aws:ec2:${here}:network-interface/${id}`,
};

type ResourceType = keyof typeof arnOf;
type Target = [type: ResourceType, id: string, context?: Question['context']];

const ownTag = { 'aws:ResourceTag/ami-foundry:build': 'demo' };
// biome-ignore lint/suspicious/noExplicitAny: the input of RunInstances.
const isFor = (input: any, role: string): boolean =>
  JSON.stringify(input.TagSpecifications).includes(`"${role}"`);

/** EC2 has not chosen an id when it asks about a resource to be made. */
const NEW = '*';

/**
 * What EC2 asks IAM about an operation: the resource types of the Service Authorization Reference, "Actions defined by Amazon
 * EC2", for the inputs that our adapters send; what exists is the factory's.
 */
// biome-ignore lint/suspicious/noExplicitAny: inputs of two dozen operations.
const targets: Record<string, (input: any) => Target[]> = {
  RunInstances: (input) => [
    // A worker boots FreeBSD's image, a boot test the factory's, Windows is Amazon's.
    [
      'image',
      input.ImageId,
      isFor(input, 'boot-test') ? ownTag : isFor(input, 'windows') ? { 'ec2:Owner': 'amazon' } : undefined,
    ],
    [
      'instance',
      NEW,
      {
        'ec2:InstanceType': input.InstanceType,
        'ec2:MetadataHttpTokens': input.MetadataOptions?.HttpTokens ?? 'optional',
      },
    ],
    ['volume', NEW],
    ['network-interface', NEW, { 'ec2:Subnet': arnOf.subnet(input.SubnetId) }],
    ['subnet', input.SubnetId],
    ...input.SecurityGroupIds.map((id: string): Target => ['security-group', id]),
  ],
  TerminateInstances: (input) => input.InstanceIds.map((id: string): Target => ['instance', id, ownTag]),
  GetConsoleScreenshot: (input) => [['instance', input.InstanceId, ownTag]],
  GetConsoleOutput: (input) => [['instance', input.InstanceId, ownTag]],
  CreateVolume: (input) => [
    ['volume', NEW],
    ...(input.SnapshotId ? [['snapshot', input.SnapshotId, ownTag] satisfies Target] : []),
  ],
  StopInstances: (input) => input.InstanceIds.map((id: string): Target => ['instance', id, ownTag]),
  // The disks of a block device mapping are asked about too.
  ModifyInstanceAttribute: (input) => [
    ['instance', input.InstanceId, ownTag],
    ['volume', 'vol-0123456789abcdef0', ownTag],
  ],
  CreateImage: (input) => [
    ['instance', input.InstanceId, ownTag],
    ['image', NEW],
    ['snapshot', NEW],
  ],
  ModifyImageAttribute: (input) => [['image', input.ImageId, ownTag]],
  AttachVolume: (input) => [
    ['instance', input.InstanceId, ownTag],
    ['volume', input.VolumeId, ownTag],
  ],
  // The instance is not named in the request; EC2 knows it.
  DetachVolume: (input) => [
    ['instance', 'i-0123456789abcdef0', ownTag],
    ['volume', input.VolumeId, ownTag],
  ],
  DeleteVolume: (input) => [['volume', input.VolumeId, ownTag]],
  CreateSnapshot: (input) => [
    ['volume', input.VolumeId, ownTag],
    ['snapshot', NEW],
  ],
  DeleteSnapshot: (input) => [['snapshot', input.SnapshotId, ownTag]],
  RegisterImage: (input) => [
    ['image', NEW],
    ['snapshot', input.BlockDeviceMappings[0].Ebs.SnapshotId, ownTag],
  ],
  CreateTags: (input) => [
    [
      'image',
      input.Resources[0],
      { ...ownTag, 'aws:TagKeys': input.Tags.map(({ Key }: { Key: string }) => Key) },
    ],
  ],
  DeregisterImage: (input) => [['image', input.ImageId, ownTag]],
};

/** The questions of a call to EC2 or Step Functions, those of tagging on creation included. */
export function questions({ service, operation, input }: Call): Question[] {
  // Service Authorization Reference, "Actions defined by AWS Step Functions": one resource each.
  if (service === 'states') {
    const resource = input.executionArn ?? input.stateMachineArn;
    return [{ action: `states:${operation}`, resource, context: {} }];
  }
  if (operation.startsWith('Describe')) return [{ action: `ec2:${operation}`, resource: 'any', context: {} }];
  const ask = targets[operation];
  if (ask === undefined) throw new Error(`no authorization model of ${operation}`);
  const specifications: { ResourceType: ResourceType; Tags: { Key: string; Value: string }[] }[] =
    input.TagSpecifications ?? [];
  const requested = new Map(
    specifications.map(({ ResourceType, Tags }) => [
      ResourceType,
      {
        ...Object.fromEntries(Tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value])),
        'aws:TagKeys': Tags.map(({ Key }) => Key),
      },
    ]),
  );
  return [
    ...ask(input).map(([type, id, context]) => ({
      action: `ec2:${operation}`,
      resource: arnOf[type](id),
      context: { ...context, ...(id === NEW ? requested.get(type) : {}) },
    })),
    ...[...requested].map(([type, tags]) => ({
      action: 'ec2:CreateTags',
      resource: arnOf[type](NEW),
      context: { ...tags, 'ec2:CreateAction': operation },
    })),
  ];
}

const pattern = (text: string) =>
  new RegExp(
    `^${text
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  );

const someLike = (patterns: readonly string[], value: string) =>
  patterns.some((each) => pattern(each).test(value));

type Operator = (actual: readonly string[] | undefined, wanted: readonly string[]) => boolean;

const operators: Record<string, Operator> = {
  StringEquals: (actual, wanted) => actual?.every((value) => wanted.includes(value)) ?? false,
  ArnEquals: (actual, wanted) => actual?.every((value) => someLike(wanted, value)) ?? false,
  StringLike: (actual, wanted) => actual?.every((value) => someLike(wanted, value)) ?? false,
  'ForAllValues:StringEquals': (actual, wanted) => (actual ?? []).every((value) => wanted.includes(value)),
};

/** IAM's answer, for the operators that the grants use ("IAM User Guide, Policy evaluation logic"); any other is an error. */
export function allowed(statements: readonly Statement[], { action, resource, context }: Question): boolean {
  return statements.some(
    ({ Effect, Action, Resource, Condition }) =>
      Effect === 'Allow' &&
      Action.some((each) => pattern(each).test(action)) &&
      Resource.some((each) => pattern(each).test(resource)) &&
      Object.entries(Condition).every(([name, keys]) => {
        const holds = operators[name];
        if (holds === undefined) throw new Error(`the condition operator ${name} is not modelled`);
        return Object.entries(keys).every(([key, wanted]) => {
          const actual = context[key];
          return holds(actual === undefined ? undefined : [actual].flat(), [wanted].flat());
        });
      }),
  );
}
