/**
 * What EC2 asks IAM about a call: the resource types and condition keys of the Service Authorization Reference, "Actions,
 * resources, and condition keys for Amazon EC2", with the values that the records of the region have.
 */
import type {
  CopyImageCommandInput,
  CreateTagsCommandInput,
  ModifyInstanceAttributeCommandInput,
  RegisterImageCommandInput,
  RunInstancesCommandInput,
  Tag,
} from '@aws-sdk/client-ec2';
import type { Tags } from '../ec2/model.ts';
import type { Region } from '../ec2/region.ts';
import { unsupported } from '../front/service-error.ts';
import type { Question } from './policy.ts';

/** The part of a region that EC2 looks at before it asks. */
export type Records = Pick<
  Region,
  'settings' | 'instances' | 'volumes' | 'snapshots' | 'images' | 'securityGroups' | 'network' | 'keys'
>;

type ResourceType =
  | 'image'
  | 'instance'
  | 'key-pair'
  | 'network-interface'
  | 'security-group'
  | 'snapshot'
  | 'subnet'
  | 'volume';

type Context = Question['context'];

interface Target {
  readonly type: ResourceType;
  /** NEW when the call makes it: EC2 has not chosen an id yet. */
  readonly id: string;
  readonly context?: Context;
  /** In the region of a copy's source. */
  readonly elsewhere?: true;
}

const NEW = '*';

/** Prefix of an id → its type, for CreateTags and DeleteTags. */
const prefixes: Readonly<Record<string, ResourceType>> = {
  ami: 'image',
  eni: 'network-interface',
  i: 'instance',
  key: 'key-pair',
  sg: 'security-group',
  snap: 'snapshot',
  subnet: 'subnet',
  vol: 'volume',
};

/** Actions without resource-level permissions. */
const WITHOUT_RESOURCE =
  /^(Describe(?!(Image|Instance|Snapshot|Volume)Attribute$)|Get\w+BlockPublicAccessState$|GetEbsEncryptionByDefault$)/;

type Ask = (input: never, records: Records) => Target[];

const only =
  (type: ResourceType, member: string): Ask =>
  (input: Record<string, string | string[] | undefined>) =>
    [input[member] ?? []].flat().map((id) => ({ type, id }));

const made = (type: ResourceType, context: Context = {}): Target => ({ type, id: NEW, context });

const targets: Readonly<Record<string, Ask>> = {
  RunInstances: (input: RunInstancesCommandInput, records) => {
    const [face] = input.NetworkInterfaces ?? [];
    const subnet = input.SubnetId ?? face?.SubnetId ?? records.network.subnets[0]?.id ?? '';
    const groups = [...(input.SecurityGroupIds ?? []), ...(face?.Groups ?? [])];
    const devices = input.BlockDeviceMappings ?? [];
    return [
      { type: 'image', id: input.ImageId ?? '' },
      made('instance', {
        'ec2:InstanceType': input.InstanceType ?? 'm1.small',
        'ec2:MetadataHttpTokens': input.MetadataOptions?.HttpTokens ?? 'optional',
        ...(input.IamInstanceProfile?.Name
          ? {
              'ec2:InstanceProfile': `arn:aws:iam::${records.settings.accountId}:instance-profile/${input.IamInstanceProfile.Name}`,
            }
          : {}),
      }),
      made('volume'),
      made('network-interface', { 'ec2:Subnet': arnOf(records, { type: 'subnet', id: subnet }) }),
      { type: 'subnet', id: subnet },
      ...groups.map((id): Target => ({ type: 'security-group', id })),
      ...(input.KeyName ? [{ type: 'key-pair', id: input.KeyName } as const] : []),
      ...devices.flatMap(({ Ebs }): Target[] =>
        Ebs?.SnapshotId ? [{ type: 'snapshot', id: Ebs.SnapshotId }] : [],
      ),
    ];
  },
  StartInstances: only('instance', 'InstanceIds'),
  StopInstances: only('instance', 'InstanceIds'),
  RebootInstances: only('instance', 'InstanceIds'),
  TerminateInstances: only('instance', 'InstanceIds'),
  GetConsoleOutput: only('instance', 'InstanceId'),
  GetConsoleScreenshot: only('instance', 'InstanceId'),
  DescribeInstanceAttribute: only('instance', 'InstanceId'),
  ModifyInstanceAttribute: (input: ModifyInstanceAttributeCommandInput) => [
    { type: 'instance', id: input.InstanceId ?? '' },
    ...(input.BlockDeviceMappings ?? []).flatMap(({ Ebs }): Target[] =>
      Ebs?.VolumeId ? [{ type: 'volume', id: Ebs.VolumeId }] : [],
    ),
    ...(input.Groups ?? []).map((id): Target => ({ type: 'security-group', id })),
  ],
  CreateVolume: (input: { SnapshotId?: string }) => [
    made('volume'),
    ...(input.SnapshotId ? [{ type: 'snapshot', id: input.SnapshotId } as const] : []),
  ],
  AttachVolume: (input: { InstanceId?: string; VolumeId?: string }) => [
    { type: 'instance', id: input.InstanceId ?? '' },
    { type: 'volume', id: input.VolumeId ?? '' },
  ],
  // The instance need not be named in the request; EC2 knows it.
  DetachVolume: (input: { InstanceId?: string; VolumeId?: string }, records) => [
    ...[input.InstanceId ?? records.volumes.get(input.VolumeId ?? '')?.attachments[0]?.instanceId ?? []]
      .flat()
      .map((id): Target => ({ type: 'instance', id })),
    { type: 'volume', id: input.VolumeId ?? '' },
  ],
  DeleteVolume: only('volume', 'VolumeId'),
  ModifyVolume: only('volume', 'VolumeId'),
  CreateSnapshot: (input: { VolumeId?: string }) => [
    { type: 'volume', id: input.VolumeId ?? '' },
    made('snapshot'),
  ],
  DeleteSnapshot: only('snapshot', 'SnapshotId'),
  DescribeSnapshotAttribute: only('snapshot', 'SnapshotId'),
  ModifySnapshotAttribute: only('snapshot', 'SnapshotId'),
  RegisterImage: (input: RegisterImageCommandInput) => [
    made('image'),
    ...(input.BlockDeviceMappings ?? []).flatMap(({ Ebs }): Target[] =>
      Ebs?.SnapshotId ? [{ type: 'snapshot', id: Ebs.SnapshotId }] : [],
    ),
  ],
  CreateImage: (input: { InstanceId?: string }) => [
    { type: 'instance', id: input.InstanceId ?? '' },
    made('image'),
    made('snapshot'),
  ],
  // The source, and what the copy makes ("Copy an Amazon EC2 AMI", IAM permissions).
  CopyImage: (input: CopyImageCommandInput) => [
    { type: 'image', id: input.SourceImageId ?? '', elsewhere: true },
    made('image'),
    made('snapshot'),
  ],
  DeregisterImage: only('image', 'ImageId'),
  DescribeImageAttribute: only('image', 'ImageId'),
  ModifyImageAttribute: only('image', 'ImageId'),
  EnableImageDeprecation: only('image', 'ImageId'),
  DisableImageDeprecation: only('image', 'ImageId'),
  EnableImage: only('image', 'ImageId'),
  DisableImage: only('image', 'ImageId'),
  CreateTags: (input: CreateTagsCommandInput) => named(input.Resources, tagsOf(input.Tags)),
  DeleteTags: (input: CreateTagsCommandInput) =>
    named(input.Resources, { 'aws:TagKeys': (input.Tags ?? []).map(({ Key = '' }) => Key) }),
};

const named = (ids: readonly string[] = [], context: Context): Target[] =>
  ids.map((id) => {
    const type = prefixes[id.split('-')[0] ?? ''];
    if (type === undefined) throw unsupported(`the authorization of tags on ${id}`);
    return { type, id, context };
  });

const tagsOf = (tags: readonly Tag[] = []): Context => ({
  ...Object.fromEntries(tags.map(({ Key, Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
  'aws:TagKeys': tags.map(({ Key = '' }) => Key),
});

/** What DescribeImageReferences reads with the rights of its caller ("Identify your resources referencing specified AMIs", required permissions). */
function readByReferences({ settings: { region, accountId } }: Records): Question[] {
  const context = { 'aws:CalledVia': ['ec2-images.amazonaws.com'] };
  const any = [
    'ec2:DescribeInstances',
    'ec2:DescribeLaunchTemplates',
    'ec2:DescribeLaunchTemplateVersions',
    'ssm:DescribeParameters',
    'imagebuilder:ListImageRecipes',
    'imagebuilder:ListContainerRecipes',
  ].map((action) => ({ action, resource: '*', context }));
  // Each parameter and each recipe, whatever it is called.
  const each = (action: string, resource: string) => ({
    action,
    resource: `arn:aws:${action.split(':')[0]}:${region}:${accountId}:${resource}`,
    context,
  });
  return [
    ...any,
    each('ssm:GetParameters', 'parameter/of-the-account'),
    each('imagebuilder:GetContainerRecipe', 'container-recipe/of-the-account/1.0.0'),
  ];
}

/** The questions of one call, those of tagging in a call that creates included. `source` is the region that a copy is made of. */
export function ec2Questions(
  records: Records,
  operation: string,
  input: Record<string, unknown>,
  source: Records = records,
): Question[] {
  const action = `ec2:${operation}`;
  if (operation === 'DescribeImageReferences') {
    return [{ action, resource: '*', context: {} }, ...readByReferences(records)];
  }
  if (WITHOUT_RESOURCE.test(operation)) return [{ action, resource: '*', context: {} }];
  const ask = targets[operation];
  if (ask === undefined) throw unsupported(`the authorization of ${action}`);
  const specifications = (input.TagSpecifications ?? []) as { ResourceType: ResourceType; Tags?: Tag[] }[];
  const requested = new Map(specifications.map(({ ResourceType, Tags }) => [ResourceType, tagsOf(Tags)]));
  return [
    ...ask(input as never, records).map((target): Question => {
      const there = target.elsewhere ? source : records;
      return {
        action,
        resource: arnOf(there, target),
        context: {
          ...(target.id === NEW ? requested.get(target.type) : existing(there, target)),
          ...target.context,
        },
      };
    }),
    ...[...requested].map(
      ([type, tags]): Question => ({
        action: 'ec2:CreateTags',
        resource: arnOf(records, { type, id: NEW }),
        context: { ...tags, 'ec2:CreateAction': operation },
      }),
    ),
    ...keyQuestions(records, operation, input),
  ];
}

/** "Required IAM permissions for EBS encryption", Amazon EBS User Guide. EC2 is not said to need less for one call than for another. */
const KEY_ACTIONS = [
  'kms:CreateGrant',
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];

/** What KMS asks when EC2 uses a key in the name of whoever calls. The key of EBS itself is for everybody in the account who may use EBS. */
function keyQuestions(records: Records, operation: string, input: Record<string, unknown>): Question[] {
  const { region } = records.settings;
  const arns = keysOf(records, operation, input).flatMap((key) => records.keys.arnOf(key) ?? []);
  return [...new Set(arns)]
    .filter((arn) => !records.keys.awsManaged(arn))
    .flatMap((resource) =>
      KEY_ACTIONS.map((action) => ({
        action,
        resource,
        context: {
          'kms:ViaService': `ec2.${region}.amazonaws.com`,
          ...(action === 'kms:CreateGrant' ? { 'kms:GrantIsForAWSResource': 'true' } : {}),
        },
      })),
    );
}

/** Keys of the disks that a call makes, attaches or launches from. */
function keysOf(records: Records, operation: string, input: Record<string, unknown>): string[] {
  const ofSnapshot = (id: unknown) => records.snapshots.get(String(id))?.kmsKeyId ?? [];
  switch (operation) {
    case 'CreateVolume':
      return [input.KmsKeyId ?? ofSnapshot(input.SnapshotId)].flat().map(String);
    case 'AttachVolume':
      return [records.volumes.get(String(input.VolumeId))?.kmsKeyId ?? []].flat();
    case 'RunInstances': {
      const { ImageId, BlockDeviceMappings = [] } = input as Partial<RunInstancesCommandInput>;
      const image = records.images.get(ImageId ?? '');
      return [
        ...BlockDeviceMappings.map(({ Ebs }) => Ebs?.KmsKeyId ?? ofSnapshot(Ebs?.SnapshotId)),
        ...(image?.mappings ?? []).map(({ Ebs }) => ofSnapshot(Ebs?.SnapshotId)),
      ].flat();
    }
    case 'CopyImage':
      return [input.KmsKeyId ?? []].flat().map(String);
    default:
      return [];
  }
}

function arnOf({ settings: { region, accountId } }: Records, { type, id }: Target): string {
  // Images and snapshots have no account in their ARNs: their owner may be another.
  const account = type === 'image' || type === 'snapshot' ? '' : accountId;
  return `arn:aws:ec2:${region}:${account}:${type}/${id}`;
}

/** What is known of a resource that exists. What is not there has no tags, and with them goes the right to touch it. */
function existing(records: Records, { type, id }: Target): Context {
  const tagged = (tags: Tags): Context =>
    Object.fromEntries(
      Object.entries(tags).flatMap(([key, value]) => [
        [`aws:ResourceTag/${key}`, value],
        [`ec2:ResourceTag/${key}`, value],
      ]),
    );
  switch (type) {
    case 'instance': {
      const found = records.instances.get(id);
      if (found === undefined) return {};
      return {
        ...tagged(found.tags),
        'ec2:InstanceType': found.instanceType,
        'ec2:MetadataHttpTokens': found.metadata.HttpTokens,
      };
    }
    case 'volume': {
      const found = records.volumes.get(id);
      return found === undefined ? {} : tagged(found.tags);
    }
    case 'snapshot': {
      const found = records.snapshots.get(id);
      return found === undefined ? {} : { ...tagged(found.tags), 'ec2:Owner': found.ownerId };
    }
    case 'image': {
      const found = records.images.get(id);
      if (found === undefined) return {};
      const open = found.launchPermissions.some(({ Group }) => Group === 'all');
      return {
        ...tagged(found.tags),
        'ec2:Owner': found.ownerAlias ?? found.ownerId,
        'ec2:Public': String(open),
      };
    }
    case 'security-group': {
      const found = records.securityGroups.get(id);
      return found === undefined ? {} : tagged(found.tags);
    }
    case 'subnet':
      return tagged(records.network.subnetTags[id] ?? {});
    case 'key-pair':
    case 'network-interface':
      return {};
  }
}
