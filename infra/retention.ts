import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { CfnElement } from 'aws-cdk-lib/core';
import type { Construct } from 'constructs';
import { retentionEventTypes, SOURCE } from '../core/events.ts';
import type { EnvironmentOf } from '../core/function-environment.ts';
import { quarantineKey, tagKey } from '../core/names.ts';
import { factoryFunction } from './functions.ts';
import { acknowledgeSharedWildcards, allow, type Conditions, describe, everywhere, ours } from './grants.ts';
import { schedule } from './schedule.ts';
import type { FoundrySettings } from './settings.ts';

/** Images live for days: once a day is soon enough. */
const EVERY_MINUTES = 24 * 60;

/** A call for each launch template of the account and some for each image, region by region beside each other; the most that Lambda has. */
const TIMEOUT = Duration.minutes(15);

interface RetentionTargets {
  readonly artifacts: Bucket;
  readonly settings: FoundrySettings;
}

/** The tags that retention writes, and no other. */
const tagging = (...keys: string[]): Conditions => ({
  ...ours,
  'ForAllValues:StringEquals': { 'aws:TagKeys': keys },
});

/** Only what was put away first can be deleted. */
const putAway: Conditions = {
  StringLike: { ...ours.StringLike, [`aws:ResourceTag/${tagKey.quarantined}`]: '?*' },
};

/** AWS's own look at who refers to an image, with the rights of the caller, but not by the caller ("Identify your resources referencing specified AMIs", Amazon EC2 User Guide). */
const throughReferences: Conditions = {
  'ForAnyValue:StringEquals': { 'aws:CalledVia': ['ec2-images.amazonaws.com'] },
};

/** Whoever may use an image is asked; what the factory made may be put away, and then deleted. */
function grants(scope: Construct, { artifacts, settings }: RetentionTargets): PolicyStatement[] {
  const { partition, region, account } = Stack.of(scope);
  const { images, snapshots, parameters } = everywhere(scope, settings);
  // The path itself, and what is under it (Systems Manager User Guide, "Restricting access to parameters").
  const paths = parameters.map((each) => each.replace(/\/\*$/, ''));
  return [
    describe(
      'Images',
      'ImageReferences',
      'Instances',
      'LaunchTemplates',
      'LaunchTemplateVersions',
      'Snapshots',
    ),
    allow(['autoscaling:DescribeAutoScalingGroups', 'autoscaling:DescribeLaunchConfigurations'], '*'),
    allow(
      [
        'ssm:DescribeParameters',
        'ssm:GetParameters',
        'imagebuilder:ListImageRecipes',
        'imagebuilder:ListContainerRecipes',
        'imagebuilder:GetContainerRecipe',
      ],
      '*',
      throughReferences,
    ),
    allow('ssm:GetParametersByPath', paths),
    allow(['ssm:GetParameter', 'ssm:DeleteParameter'], parameters),
    allow(
      ['ec2:DescribeImageAttribute', 'ec2:DisableImage', 'ec2:EnableImage', 'ec2:ModifyImageAttribute'],
      images,
      ours,
    ),
    allow('ec2:CreateTags', [...images, ...snapshots], tagging(tagKey.quarantined, tagKey.retention)),
    allow('ec2:DeleteTags', [...images, ...snapshots], tagging(tagKey.quarantined)),
    allow('ec2:DeregisterImage', images, putAway),
    allow('ec2:DeleteSnapshot', snapshots, putAway),
    allow(['s3:GetObject', 's3:PutObject'], artifacts.arnForObjects(quarantineKey('*', '*'))),
    allow('events:PutEvents', `arn:${partition}:events:${region}:${account}:event-bus/default`, {
      'ForAllValues:StringEquals': {
        'events:source': SOURCE,
        'events:detail-type': [...retentionEventTypes],
      },
    }),
  ];
}

/** Retention: once a day, and by hand. */
export function retention(scope: Construct, targets: RetentionTargets): IFunction {
  const { artifacts, settings } = targets;
  const environment: EnvironmentOf<'retention'> = {
    ARTIFACTS_BUCKET: artifacts.bucketName,
    ...(settings.distributionRegions ? { DISTRIBUTION_REGIONS: settings.distributionRegions.join(',') } : {}),
    PARAMETER_PREFIX: settings.parameterPrefix,
    QUARANTINE_DAYS: String(settings.quarantineDays),
    DRY_RUN: settings.retentionDryRun ? 'yes' : 'no',
  };
  const { lambda, role } = factoryFunction(scope, 'retention', {
    description: 'retires images that no recipe keeps and nobody uses',
    timeout: TIMEOUT,
    environment,
    grants: grants(scope, targets),
  });
  const because = acknowledgeSharedWildcards(role, settings);
  const bucket = Stack.of(role).getLogicalId(artifacts.node.defaultChild as CfnElement);
  because(`<${bucket}.Arn>/${quarantineKey('*', '*')}`, 'Each image has a record of its own.');

  schedule(scope, 'RetentionSchedule', {
    description: 'ami-foundry: images that no recipe keeps',
    lambda,
    minutes: EVERY_MINUTES,
  });
  new CfnOutput(scope, 'RetentionFunction', {
    value: lambda.functionName,
    description:
      'Invoke with {"retire": "ami-…"} or {"restore": "ami-…"} to retire an image, or to undo that',
  });
  return lambda;
}
