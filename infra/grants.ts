import { type CfnElement, Stack } from 'aws-cdk-lib';
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { StepName } from '../core/function-environment.ts';
import {
  artifactKey,
  blockDigestsKey,
  bootFileKey,
  buildFiles,
  imageRecordKey,
  imageRecords,
  journalKey,
  matrixBuildKey,
  matrixBuilds,
  matrixListKey,
  openJournals,
  pieceKey,
  tagKey,
} from '../core/names.ts';
import { publicImagesQuota } from '../core/public-images.ts';
import { acknowledge } from './acknowledge.ts';
import type { WorkerPayload } from './artifacts.ts';
import type { WorkerNetwork } from './network.ts';
import type { FoundrySettings } from './settings.ts';
import { buildImageName, buildMatrixName, stateMachineArn } from './state-machine.ts';

export interface GrantTargets {
  readonly artifacts: Bucket;
  readonly payload: WorkerPayload;
  readonly network: WorkerNetwork;
  readonly settings: FoundrySettings;
  readonly workerTypes: readonly string[];
  readonly bootTestTypes: readonly string[];
  readonly windowsTypes: readonly string[];
}

export type Conditions = Record<string, Record<string, string | readonly string[]>>;

export const allow = (
  actions: string | string[],
  resources: string | readonly string[],
  conditions?: Conditions,
) =>
  new PolicyStatement({
    actions: [actions].flat(),
    resources: [resources].flat(),
    ...(conditions ? { conditions } : {}),
  });

/** What exists and carries the factory's tag, whichever build made it. */
export const ours: Conditions = { StringLike: { [`aws:ResourceTag/${tagKey.build}`]: '?*' } };

/** What is made must carry the tag from its first moment: nothing is made that the reaper would not find. */
const tagged: Conditions = { StringLike: { [`aws:RequestTag/${tagKey.build}`]: '?*' } };

/** Worker and target carry the factory's tags and no others; images and snapshots also carry the recipe's. */
const taggedOnly: Conditions = {
  ...tagged,
  'ForAllValues:StringEquals': { 'aws:TagKeys': [tagKey.name, tagKey.build, tagKey.role] },
};

/**
 * What each function may do: the calls of its handler, on the factory's own resources. Resource types and condition keys are those of
 * the Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".
 * Nobody has iam:PassRole, so no worker can be given an instance profile. What exists already is tagged by nobody, but for the
 * tags that say that an image has passed its boot test, and what its recipe wants of its retention.
 */
export function grantsOf(
  scope: Construct,
  { artifacts, payload, network, settings, workerTypes, bootTestTypes, windowsTypes }: GrantTargets,
): Readonly<Record<StepName, readonly PolicyStatement[]>> {
  const { partition } = Stack.of(scope);
  const { own, instance, volume, image, snapshot } = ec2Resources(scope);
  const all = everywhere(scope, settings);
  const others = inRegions(scope, settings, settings.distributionRegions ?? []);
  const copies = [...others.images, ...others.snapshots];
  const subnets = network.subnetIds.map((id) => own('subnet', id));

  // Only in the very call that makes the resource.
  const tagOnCreation = (resources: string | string[], ...creations: string[]) =>
    allow('ec2:CreateTags', resources, { StringEquals: { 'ec2:CreateAction': creations } });
  /** An instance without profile, in the worker's network, of certain types, from its first moment tagged like its root volume. */
  const runTagged = (types: readonly string[]) => [
    allow('ec2:RunInstances', instance, {
      ...taggedOnly,
      StringEquals: { 'ec2:MetadataHttpTokens': 'required', 'ec2:InstanceType': types },
    }),
    allow('ec2:RunInstances', volume, taggedOnly),
    allow('ec2:RunInstances', [...subnets, own('security-group', network.securityGroupId)]),
    // An interface that exists elsewhere cannot be borrowed.
    allow('ec2:RunInstances', own('network-interface'), { ArnEquals: { 'ec2:Subnet': subnets } }),
  ];
  const buildObject = (file: Parameters<typeof artifactKey>[1]) =>
    artifacts.arnForObjects(artifactKey('*', file));

  const keys = useOfKeys(scope, settings.kmsKeys);
  const blockKeys = useOfKeys(scope, settings.kmsKeys, [], 'ebs');

  return {
    plan: [
      allow('ssm:GetParameter', [
        ...imageParameters(scope, settings.workerImageParameter),
        ...imageParameters(scope, settings.windowsImageParameter),
      ]),
      describe('Images', 'Snapshots'),
      // An image that is adopted takes over what the recipe says of retention; what is adopted of a failed build must last.
      allow('ec2:CreateTags', image, {
        ...ours,
        'ForAllValues:StringEquals': { 'aws:TagKeys': [tagKey.retention, tagKey.resumableUntil] },
      }),
      tagAsResumable(snapshot),
      // The worker puts manifest and SBOM by presigned URLs, which S3 judges by their signer's role.
      allow('s3:PutObject', [
        buildObject('job'),
        buildObject('manifest.mtree.gz'),
        buildObject('sbom.cdx.json'),
        // And the pieces of a disk that has no volume.
        artifacts.arnForObjects(pieceKey('*', '*')),
        artifacts.arnForObjects(pieceKey('*', 'index')),
      ]),
      // Presigned too: files, sets and kernels that recipes name by s3://.
      ...(settings.sourceBuckets
        ? [
            allow(
              's3:GetObject',
              settings.sourceBuckets.map((name) => `arn:${partition}:s3:::${name}/*`),
            ),
          ]
        : []),
    ],
    launch: [
      describe('Subnets'),
      allow('ec2:CreateVolume', volume, taggedOnly),
      allow('ec2:DeleteVolume', volume, ours),
      ...keys,
      ...runTagged(workerTypes),
      // FreeBSD's publisher is not pinned unless the deployment says who it is: the SSM parameter decides what is launched.
      allow(
        'ec2:RunInstances',
        image,
        settings.workerImageOwner ? { StringEquals: { 'ec2:Owner': settings.workerImageOwner } } : undefined,
      ),
      tagOnCreation([instance, volume], 'CreateVolume', 'RunInstances'),
      // S3 judges a presigned URL by its signer's role. It ends with the credentials that signed it, hours after a worker has used it.
      allow('s3:GetObject', [
        buildObject('job'),
        `arn:${partition}:s3:::${payload.bucketName}/${payload.key}`,
      ]),
    ],
    attach: [describe('Volumes'), allow('ec2:AttachVolume', [instance, volume], ours), ...keys],
    wait: [describe('Instances', 'Snapshots', 'Volumes')],
    'wait-for-worker': [
      describe('Instances'),
      allow('ec2:GetConsoleOutput', instance, ours),
      allow('s3:PutObject', [buildObject('console.log'), buildObject('report.json')]),
    ],
    snapshot: [
      describe('Snapshots', 'Volumes'),
      allow('ec2:DetachVolume', [instance, volume], ours),
      // A worker that does not let its volume go.
      allow('ec2:TerminateInstances', instance, ours),
      allow('ec2:CreateSnapshot', volume, ours),
      allow('ec2:CreateSnapshot', snapshot, tagged),
      tagOnCreation(snapshot, 'CreateSnapshot'),
    ],
    'start-snapshot': [
      describe('Snapshots'),
      ...blockKeys,
      allow('ebs:StartSnapshot', snapshot, tagged),
      // The Service Authorization Reference lists it under StartSnapshot and names no ec2:CreateAction for it.
      allow('ec2:CreateTags', snapshot, {
        StringLike: { ...tagged.StringLike, [`aws:RequestTag/${tagKey.role}`]: 'snapshot' },
      }),
    ],
    'write-blocks': [
      ...blockKeys,
      allow('ebs:PutSnapshotBlock', snapshot, ours),
      allow('s3:GetObject', [
        artifacts.arnForObjects(pieceKey('*', '*')),
        artifacts.arnForObjects(pieceKey('*', 'index')),
        artifacts.arnForObjects(blockDigestsKey('*', '*', '*')),
      ]),
      allow('s3:PutObject', artifacts.arnForObjects(blockDigestsKey('*', '*', '*'))),
    ],
    'complete-snapshot': [
      ...blockKeys,
      describe('Snapshots'),
      allow('ebs:CompleteSnapshot', snapshot, ours),
      allow('s3:GetObject', [
        artifacts.arnForObjects(pieceKey('*', 'index')),
        artifacts.arnForObjects(blockDigestsKey('*', '*', '*')),
      ]),
    ],
    register: [
      describe('Images'),
      allow('ec2:RegisterImage', snapshot, ours),
      allow('ec2:RegisterImage', image, tagged),
      tagOnCreation(image, 'RegisterImage'),
    ],
    'launch-windows': [
      // For an account that encrypts everything by default.
      ...keys,
      describe('Subnets'),
      allow('ec2:CreateVolume', volume, taggedOnly),
      allow('ec2:CreateVolume', snapshot, ours),
      ...runTagged(windowsTypes),
      // The licence is Amazon's to give; an image of somebody else may be billed for more.
      allow('ec2:RunInstances', image, { StringEquals: { 'ec2:Owner': 'amazon' } }),
      tagOnCreation([instance, volume], 'CreateVolume', 'RunInstances'),
      // One in whose zone there is no room for its disk.
      allow('ec2:TerminateInstances', instance, ours),
    ],
    'swap-root': [
      ...keys,
      describe('Instances', 'Volumes'),
      allow('ec2:StopInstances', instance, ours),
      allow('ec2:ModifyInstanceAttribute', [instance, volume], ours),
      allow(['ec2:AttachVolume', 'ec2:DetachVolume'], [instance, volume], ours),
      allow('ec2:DeleteVolume', volume, ours),
    ],
    'create-image': [
      describe('Images', 'Instances'),
      allow('ec2:CreateImage', instance, ours),
      allow('ec2:CreateImage', [image, snapshot], tagged),
      tagOnCreation([image, snapshot], 'CreateImage'),
    ],
    'wait-for-image': [
      describe('Images', 'Snapshots'),
      // What CreateImage has made is told to require IMDSv2 when it is there.
      allow('ec2:ModifyImageAttribute', image, ours),
    ],
    'launch-boot-test': [
      describe('Subnets'),
      ...runTagged(bootTestTypes),
      ...keys,
      // What the factory made, and nothing else.
      allow('ec2:RunInstances', image, ours),
      tagOnCreation([instance, volume], 'RunInstances'),
      // Those that it has launched when the next cannot be.
      allow('ec2:TerminateInstances', instance, ours),
    ],
    'wait-for-boot': [
      describe('Instances'),
      allow(['ec2:GetConsoleOutput', 'ec2:GetConsoleScreenshot'], instance, ours),
      allow('ec2:CreateTags', image, {
        ...ours,
        'ForAllValues:StringEquals': { 'aws:TagKeys': [tagKey.bootTested] },
      }),
      allow('s3:PutObject', [
        artifacts.arnForObjects(bootFileKey('*', '*', 'log')),
        artifacts.arnForObjects(bootFileKey('*', '*', 'jpg')),
      ]),
    ],
    preflight: [
      describe('Images', 'Regions'),
      // Neither has a resource.
      allow(['ec2:GetEbsEncryptionByDefault', 'ec2:GetImageBlockPublicAccessState'], '*'),
      allow('servicequotas:GetServiceQuota', all.quotas),
      allow('ssm:GetParameter', all.parameters),
      ...(settings.kmsKeys ? [allow('kms:DescribeKey', settings.kmsKeys)] : []),
    ],
    distribute: [
      describe('Images', 'Snapshots'),
      ...(settings.distributionRegions
        ? [
            // What is copied is asked about in its own region, what is made in the other.
            allow('ec2:CopyImage', image, ours),
            allow('ec2:CopyImage', copies, tagged),
            tagOnCreation(copies, 'CopyImage'),
            allow('ec2:CreateTags', others.images, keeping),
            ...useOfKeys(scope, settings.kmsKeys, settings.distributionRegions),
          ]
        : []),
    ],
    publish: [
      describe('Images'),
      ...shown(all),
      allow('ec2:EnableImageDeprecation', all.images, ours),
      allow(['s3:GetObject', 's3:PutObject', 's3:DeleteObject'], artifacts.arnForObjects(journalKey('*'))),
      listsJournals(artifacts),
      // Whether what stands in the way has succeeded.
      allow('states:DescribeExecution', [executionsOf(scope), executionsOf(scope, buildMatrixName(scope))]),
    ],
    'roll-back': [
      describe('Images', 'Snapshots'),
      ...hidden(all),
      ...(settings.distributionRegions
        ? [
            allow('ec2:DeregisterImage', others.images, ours),
            allow('ec2:DeleteSnapshot', others.snapshots, ours),
            allow('ec2:CreateTags', others.images, keeping),
          ]
        : []),
      allow(['s3:GetObject', 's3:DeleteObject'], artifacts.arnForObjects(journalKey('*'))),
      listsJournals(artifacts),
    ],
    salvage: [
      describe('Images', 'Snapshots'),
      tagAsResumable([image, snapshot]),
      allow('states:GetExecutionHistory', executionsOf(scope)),
      allow('s3:PutObject', [buildObject('failure.json'), buildObject('history.json')]),
    ],
    'name-build': [
      allow('states:DescribeExecution', executionsOf(scope)),
      allow('s3:PutObject', artifacts.arnForObjects(matrixBuildKey('*', '*', '*'))),
    ],
    'recall-build': [allow('states:DescribeExecution', executionsOf(scope))],
    'report-matrix': [
      allow('states:DescribeExecution', executionsOf(scope)),
      allow('s3:GetObject', artifacts.arnForObjects(matrixListKey('*'))),
      allow('s3:ListBucket', artifacts.bucketArn, { StringLike: { 's3:prefix': matrixBuilds('*') } }),
    ],
    'clean-up': [
      ...endings(scope),
      allow('s3:GetObject', imageRecords.map(buildObject)),
      allow(
        's3:PutObject',
        imageRecords.map((file) => artifacts.arnForObjects(imageRecordKey('*', file))),
      ),
    ],
  };
}

/** The reaper ends what any build made, in every region, puts back what its publication changed, and asks about its execution. */
export function reaperGrants(
  scope: Construct,
  { stateMachine, artifacts, settings }: ReaperTargets,
): readonly PolicyStatement[] {
  const all = everywhere(scope, settings);
  const { instance, volume } = ec2Resources(scope);
  return [
    describe('Images', 'Instances', 'Snapshots', 'Volumes'),
    allow('ec2:TerminateInstances', instance, ours),
    allow('ec2:DeleteVolume', volume, ours),
    allow('ec2:DeregisterImage', all.images, ours),
    allow('ec2:DeleteSnapshot', all.snapshots, ours),
    ...hidden(all),
    allow(['s3:GetObject', 's3:DeleteObject'], artifacts.arnForObjects(journalKey('*'))),
    listsJournals(artifacts),
    allow('states:DescribeExecution', [executionsOf(scope), executionsOf(scope, buildMatrixName(scope))]),
    allow('states:ListExecutions', stateMachine.stateMachineArn),
  ];
}

/**
 * What EC2 does with a key for whoever makes, attaches or launches from an encrypted volume ("Required IAM permissions for EBS encryption",
 * Amazon EBS User Guide): only through EC2 of this region (and of those that get copies), and grants only for AWS itself. The same through the EBS
 * direct APIs: which of them their user needs, and whether they name themselves so to KMS, was not tried.
 */
function useOfKeys(
  scope: Construct,
  keys: readonly string[] = [],
  others: readonly string[] = [],
  service = 'ec2',
): readonly PolicyStatement[] {
  if (keys.length === 0) return [];
  const { region } = Stack.of(scope);
  // KMS's documentation knows EBS as ec2 only; the direct APIs may say ebs.
  const names = service === 'ebs' ? ['ec2', 'ebs'] : [service];
  const services = [region, ...others].flatMap((one) => names.map((name) => `${name}.${one}.amazonaws.com`));
  const through = { 'kms:ViaService': services };
  return [
    allow(
      [
        'kms:Decrypt',
        'kms:DescribeKey',
        'kms:GenerateDataKeyWithoutPlaintext',
        'kms:ReEncryptFrom',
        'kms:ReEncryptTo',
        // "IAM permissions for EBS direct APIs": the service encrypts the blocks itself.
        ...(service === 'ebs' ? ['kms:Encrypt', 'kms:GenerateDataKey'] : []),
      ],
      keys,
      { StringEquals: through },
    ),
    allow('kms:CreateGrant', keys, {
      StringEquals: through,
      Bool: { 'kms:GrantIsForAWSResource': 'true' },
    }),
  ];
}

interface ReaperTargets {
  readonly stateMachine: StateMachine;
  readonly artifacts: Bucket;
  readonly settings: FoundrySettings;
}

/** Only the tags that say how long a copy is kept. */
const keeping: Conditions = {
  ...ours,
  'ForAllValues:StringEquals': { 'aws:TagKeys': [tagKey.resumableUntil, tagKey.retention] },
};

interface Everywhere {
  readonly images: string[];
  readonly snapshots: string[];
  readonly parameters: string[];
  /** Of public images. */
  readonly quotas: string[];
}

/** Images, snapshots and parameters of the stack's own region and of those that it distributes to. */
export const everywhere = (scope: Construct, settings: FoundrySettings): Everywhere =>
  inRegions(scope, settings, [Stack.of(scope).region, ...(settings.distributionRegions ?? [])]);

function inRegions(
  scope: Construct,
  { parameterPrefix }: FoundrySettings,
  regions: readonly string[],
): Everywhere {
  const { partition, account } = Stack.of(scope);
  return {
    images: regions.map((one) => `arn:${partition}:ec2:${one}::image/*`),
    snapshots: regions.map((one) => `arn:${partition}:ec2:${one}::snapshot/*`),
    quotas: regions.map(
      (one) =>
        `arn:${partition}:servicequotas:${one}:${account}:${publicImagesQuota.service}/${publicImagesQuota.code}`,
    ),
    parameters: regions.map((one) => `arn:${partition}:ssm:${one}:${account}:parameter${parameterPrefix}*`),
  };
}

/** Showing images to readers. Parameter Store asks DescribeImages with the caller's rights ("Native parameter support for AMI IDs"). */
const shown = ({ images, parameters }: Everywhere) => [
  allow(['ec2:DescribeImageAttribute', 'ec2:ModifyImageAttribute'], images, ours),
  allow(['ssm:GetParameter', 'ssm:PutParameter'], parameters),
];

/** The way back. */
const hidden = (all: Everywhere) => [
  ...shown(all),
  allow(['ec2:DisableImageDeprecation', 'ec2:EnableImageDeprecation'], all.images, ours),
  allow('ssm:DeleteParameter', all.parameters),
];

/** S3 says AccessDenied of a missing object to whoever may not list. */
const listsJournals = (artifacts: Bucket) =>
  allow('s3:ListBucket', artifacts.bucketArn, { StringLike: { 's3:prefix': `${openJournals}*` } });

/** What is whole of a failed build may be marked for the next attempt, and in no other way. */
const tagAsResumable = (resources: string | readonly string[]) =>
  allow('ec2:CreateTags', resources, {
    ...ours,
    'ForAllValues:StringEquals': { 'aws:TagKeys': [tagKey.resumableUntil] },
  });

/** Finding what builds made, and ending it. */
function endings(scope: Construct): readonly PolicyStatement[] {
  const { instance, volume, image, snapshot } = ec2Resources(scope);
  return [
    describe('Images', 'Instances', 'Snapshots', 'Volumes'),
    allow('ec2:TerminateInstances', instance, ours),
    allow('ec2:DeleteVolume', volume, ours),
    allow('ec2:DeregisterImage', image, ours),
    allow('ec2:DeleteSnapshot', snapshot, ours),
  ];
}

/** Describe calls of EC2 have no resource-level permissions. */
export const describe = (...nouns: string[]) =>
  allow(
    nouns.map((noun) => `ec2:Describe${noun}`),
    '*',
  );

/** ARNs of what EC2 gives ids to. */
function ec2Resources(scope: Construct) {
  const { partition, region, account } = Stack.of(scope);
  const own = (type: string, id = '*') => `arn:${partition}:ec2:${region}:${account}:${type}/${id}`;
  return {
    own,
    instance: own('instance'),
    volume: own('volume'),
    // Images and snapshots have no account in their ARNs: their owner may be another.
    image: `arn:${partition}:ec2:${region}::image/*`,
    snapshot: `arn:${partition}:ec2:${region}::snapshot/*`,
  };
}

export const executionsOf = (scope: Construct, name = buildImageName(scope)): string =>
  `${stateMachineArn(scope, name).replace(':stateMachine:', ':execution:')}:*`;

/** One ARN per architecture. Public parameters belong to no account (Systems Manager User Guide, "Working with public parameters"). */
function imageParameters(scope: Construct, name: string): string[] {
  const { partition, region, account } = Stack.of(scope);
  const owner = name.startsWith('/aws/service/') ? '' : account;
  const names = ['amd64', 'arm64'].map((architecture) => name.replaceAll('{architecture}', architecture));
  return [...new Set(names)].map((each) => `arn:${partition}:ssm:${region}:${owner}:parameter${each}`);
}

/** The wildcards of the steps' grants, each with its reason; any other is an error of synthesis (AwsSolutions-IAM5). */
export function acknowledgeWildcards(role: Role, artifacts: Bucket, settings: FoundrySettings): void {
  const because = acknowledgeSharedWildcards(role, settings);
  const { sourceBuckets = [] } = settings;
  because(
    'arn:<AWS::Partition>:ec2:<AWS::Region>:<AWS::AccountId>:network-interface/*',
    'Made by the launch, in the worker subnets only.',
  );
  const bucket = Stack.of(role).getLogicalId(artifacts.node.defaultChild as CfnElement);
  for (const file of buildFiles) {
    because(`<${bucket}.Arn>/${artifactKey('*', file)}`, 'Each build has a prefix of its own.');
  }
  because(
    `<${bucket}.Arn>/${bootFileKey('*', '*', 'log')}`,
    'Each build has a prefix of its own, each machine a file.',
  );
  because(
    `<${bucket}.Arn>/${bootFileKey('*', '*', 'jpg')}`,
    'Each build has a prefix of its own, each machine a file.',
  );
  because(`<${bucket}.Arn>/${journalKey('*')}`, 'Each build has a journal of its own.');
  for (const key of [matrixListKey('*'), matrixBuildKey('*', '*', '*')]) {
    because(`<${bucket}.Arn>/${key}`, 'Each matrix has a list of its own, each of its builds an object.');
  }
  for (const key of [pieceKey('*', '*'), pieceKey('*', 'index'), blockDigestsKey('*', '*', '*')]) {
    because(`<${bucket}.Arn>/${key}`, 'Each build has a prefix of its own.');
  }
  for (const file of imageRecords) {
    because(`<${bucket}.Arn>/${imageRecordKey('*', file)}`, 'Each image has a prefix of its own.');
  }
  for (const name of sourceBuckets) {
    because(`arn:<AWS::Partition>:s3:::${name}/*`, 'The deployment says that recipes may name this bucket.');
  }
}

/** The same for the reaper's. */
export function acknowledgeReaperWildcards(role: Role, { artifacts, settings }: ReaperTargets): void {
  const because = acknowledgeSharedWildcards(role, settings);
  const bucket = Stack.of(role).getLogicalId(artifacts.node.defaultChild as CfnElement);
  because(`<${bucket}.Arn>/${journalKey('*')}`, 'Each build has a journal of its own.');
}

export function acknowledgeSharedWildcards(
  role: Role,
  { distributionRegions = [], parameterPrefix }: FoundrySettings,
) {
  const because = (resource: string, reason: string) =>
    acknowledge(role, `AwsSolutions-IAM5[Resource::${resource}]`, reason);
  because('*', 'Describe calls of EC2 have no resource-level permissions.');
  for (const name of [buildImageName(role), buildMatrixName(role)]) {
    because(
      `arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${name}:*`,
      'Callers choose the names of executions; they are those of one state machine.',
    );
  }
  const ec2 = 'arn:<AWS::Partition>:ec2:<AWS::Region>';
  for (const type of ['instance', 'volume']) {
    because(`${ec2}:<AWS::AccountId>:${type}/*`, 'EC2 chooses the ids; the factory’s tag is a condition.');
  }
  for (const region of distributionRegions) {
    for (const type of ['image', 'snapshot']) {
      because(
        `arn:<AWS::Partition>:ec2:${region}::${type}/*`,
        'EC2 chooses the ids; the factory’s tag is a condition.',
      );
    }
  }
  for (const region of ['<AWS::Region>', ...distributionRegions]) {
    because(
      `arn:<AWS::Partition>:ssm:${region}:<AWS::AccountId>:parameter${parameterPrefix}*`,
      'Recipes name the parameters; the deployment names the prefix, under which nobody else should write.',
    );
  }
  because(`${ec2}::snapshot/*`, 'EC2 chooses the ids; the factory’s tag is a condition.');
  because(`${ec2}::image/*`, 'EC2 chooses the ids; but for the launch, the factory’s tag is a condition.');
  return because;
}
