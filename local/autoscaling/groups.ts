import { randomUUID } from 'node:crypto';
import type {
  AutoScalingGroup,
  AutoScalingGroupNamesType,
  AutoScalingGroupsType,
  CreateAutoScalingGroupType,
  CreateLaunchConfigurationType,
  DeleteAutoScalingGroupType,
  LaunchConfiguration,
  LaunchConfigurationNamesType,
  LaunchConfigurationNameType,
  LaunchConfigurationsType,
  LaunchTemplateSpecification,
} from '@aws-sdk/client-auto-scaling';
import { type Action, action } from '../ec2/action.ts';
import type { ScalingGroupRecord } from '../ec2/model.ts';
import type { Region } from '../ec2/region.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';

const invalid = (message: string) => new ServiceError('ValidationError', message);

/**
 * Auto Scaling as far as it refers to images: groups of no instances, launch configurations, and what they say. EC2's own
 * DescribeImageReferences looks at neither.
 */
export function autoScalingActions(region: Region): Action[] {
  const { groups, configurations } = region.autoScaling;
  const { accountId, region: name } = region.settings;
  const arn = (kind: string, id: string) =>
    `arn:aws:autoscaling:${name}:${accountId}:${kind}:${randomUUID()}:${kind}Name/${id}`;
  return [
    action<CreateLaunchConfigurationType, undefined>(
      'CreateLaunchConfiguration',
      ['ImageId', 'InstanceType', 'KeyName', 'LaunchConfigurationName', 'SecurityGroups', 'UserData'],
      (input) => {
        const id = input.LaunchConfigurationName ?? '';
        if (configurations.has(id)) {
          throw new ServiceError(
            'AlreadyExists',
            `Launch Configuration by this name already exists - A launch configuration already exists with the name ${id}`,
          );
        }
        // "You must specify … an image and an instance type", unless they come from an instance.
        if (!input.ImageId || !input.InstanceType) {
          throw invalid('Valid requests must contain the ImageId and the InstanceType.');
        }
        configurations.set(id, {
          ...input,
          LaunchConfigurationARN: arn('launchConfiguration', id),
          created: region.clock.now(),
        });
        return undefined;
      },
    ),

    action<LaunchConfigurationNamesType, LaunchConfigurationsType>(
      'DescribeLaunchConfigurations',
      ['LaunchConfigurationNames', 'MaxRecords', 'NextToken'],
      (input) => {
        const { items, ...more } = pageOf(named(configurations, input.LaunchConfigurationNames), input);
        return {
          LaunchConfigurations: items.map(
            ({ created, ...one }): LaunchConfiguration =>
              ({ ...one, CreatedTime: new Date(created) }) as LaunchConfiguration,
          ),
          ...more,
        };
      },
    ),

    action<LaunchConfigurationNameType, undefined>(
      'DeleteLaunchConfiguration',
      ['LaunchConfigurationName'],
      (input) => {
        const id = input.LaunchConfigurationName ?? '';
        if (!configurations.has(id)) throw invalid('Launch configuration name not found');
        if ([...groups.values()].some((one) => one.LaunchConfigurationName === id)) {
          throw new ServiceError(
            'ResourceInUse',
            `Cannot delete launch configuration ${id} because it is attached to AutoScalingGroup`,
          );
        }
        configurations.delete(id);
        return undefined;
      },
    ),

    action<CreateAutoScalingGroupType, undefined>(
      'CreateAutoScalingGroup',
      [
        'AutoScalingGroupName',
        'AvailabilityZones',
        'DesiredCapacity',
        'LaunchConfigurationName',
        'LaunchTemplate.*',
        'MaxSize',
        'MinSize',
        'MixedInstancesPolicy.*',
        'Tags.*',
        'VPCZoneIdentifier',
      ],
      (input) => {
        createGroup(region, input, arn('autoScalingGroup', input.AutoScalingGroupName ?? ''));
        return undefined;
      },
    ),

    action<AutoScalingGroupNamesType, AutoScalingGroupsType>(
      'DescribeAutoScalingGroups',
      ['AutoScalingGroupNames', 'MaxRecords', 'NextToken'],
      (input) => {
        const { items, ...more } = pageOf(named(groups, input.AutoScalingGroupNames), input);
        return { AutoScalingGroups: items.map(describeGroup), ...more };
      },
    ),

    action<DeleteAutoScalingGroupType, undefined>(
      'DeleteAutoScalingGroup',
      ['AutoScalingGroupName', 'ForceDelete'],
      (input) => {
        if (!groups.delete(input.AutoScalingGroupName ?? '')) {
          throw invalid('AutoScalingGroup name not found - null');
        }
        return undefined;
      },
    ),
  ];
}

function createGroup(region: Region, input: CreateAutoScalingGroupType, AutoScalingGroupARN: string): void {
  const { groups, configurations } = region.autoScaling;
  const { AutoScalingGroupName: id = '', Tags = [], ...rest } = input;
  if (groups.has(id)) {
    throw new ServiceError(
      'AlreadyExists',
      `AutoScalingGroup by this name already exists - A group with the name ${id} already exists`,
    );
  }
  if ((input.DesiredCapacity ?? input.MinSize ?? 0) > 0)
    throw unsupported('Auto Scaling groups with instances');
  const { LaunchConfigurationName: configuration, LaunchTemplate: own, MixedInstancesPolicy: mixed } = input;
  if ([configuration, own, mixed].filter((one) => one !== undefined).length !== 1) {
    throw invalid(
      'Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.',
    );
  }
  if (configuration !== undefined && !configurations.has(configuration)) {
    throw invalid('Launch configuration name not found - null');
  }
  const filled = (one: LaunchTemplateSpecification | undefined) => one && withBothNames(region, one);
  groups.set(id, {
    ...rest,
    AutoScalingGroupName: id,
    ...(own === undefined ? {} : { LaunchTemplate: filled(own) }),
    ...(mixed === undefined
      ? {}
      : {
          MixedInstancesPolicy: {
            ...mixed,
            LaunchTemplate: {
              ...mixed.LaunchTemplate,
              LaunchTemplateSpecification: filled(mixed.LaunchTemplate?.LaunchTemplateSpecification),
            },
          },
        }),
    AutoScalingGroupARN,
    created: region.clock.now(),
    tags: Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value])),
  });
}

/** Groups tell id and name of their template, whichever was given. */
function withBothNames(region: Region, given: LaunchTemplateSpecification): LaunchTemplateSpecification {
  const template = [...region.launchTemplates.values()].find(
    ({ id, name }) => id === given.LaunchTemplateId || name === given.LaunchTemplateName,
  );
  if (!template) throw invalid('You must use a valid fully-formed launch template.');
  return { ...given, LaunchTemplateId: template.id, LaunchTemplateName: template.name };
}

function describeGroup({ created, tags, ...one }: ScalingGroupRecord): AutoScalingGroup {
  return {
    ...one,
    AvailabilityZones: one.AvailabilityZones ?? [],
    CreatedTime: new Date(created),
    DefaultCooldown: 300,
    DesiredCapacity: one.DesiredCapacity ?? one.MinSize,
    HealthCheckType: 'EC2',
    Instances: [],
    Tags: Object.entries(tags).map(([Key, Value]) => ({
      Key,
      PropagateAtLaunch: true,
      ResourceId: one.AutoScalingGroupName,
      ResourceType: 'auto-scaling-group',
      Value,
    })),
  } as AutoScalingGroup;
}

/** "If you omit this property, all … are described"; names that do not exist are left out. */
const named = <T>(records: ReadonlyMap<string, T>, names: readonly string[] | undefined): T[] =>
  names?.length ? names.flatMap((name) => records.get(name) ?? []) : [...records.values()];

/** MaxRecords: "The default value is 50 and the maximum value is 100." */
function pageOf<T>(
  items: readonly T[],
  {
    MaxRecords: size = 50,
    NextToken: token = '0',
  }: { MaxRecords?: number | undefined; NextToken?: string | undefined },
): { items: T[]; NextToken?: string } {
  if (size < 1 || size > 100) throw invalid('MaxRecords must be 1 to 100');
  const start = Number(token);
  if (!Number.isInteger(start))
    throw new ServiceError('InvalidNextToken', 'The NextToken value is not valid.');
  const end = start + size;
  return { items: items.slice(start, end), ...(end < items.length ? { NextToken: String(end) } : {}) };
}
