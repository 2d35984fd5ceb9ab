import {
  type AutoScalingClient,
  paginateDescribeAutoScalingGroups,
  paginateDescribeLaunchConfigurations,
} from '@aws-sdk/client-auto-scaling';
import type { ImageUse } from '../../core/ports.ts';

/**
 * What Auto Scaling may launch. Groups with a launch template are seen by its versions, instances of a group as instances; groups name
 * images themselves only where they override a template's.
 */
export async function autoScalingUses(client: AutoScalingClient): Promise<ImageUse[]> {
  const found: ImageUse[] = [];
  for await (const page of paginateDescribeLaunchConfigurations({ client }, {})) {
    for (const { ImageId, LaunchConfigurationName } of page.LaunchConfigurations ?? []) {
      found.push({ imageId: ImageId ?? '', by: `launch configuration ${LaunchConfigurationName}` });
    }
  }
  for await (const page of paginateDescribeAutoScalingGroups({ client }, {})) {
    for (const { AutoScalingGroupName, MixedInstancesPolicy } of page.AutoScalingGroups ?? []) {
      for (const { ImageId } of MixedInstancesPolicy?.LaunchTemplate?.Overrides ?? []) {
        if (ImageId) found.push({ imageId: ImageId, by: `Auto Scaling group ${AutoScalingGroupName}` });
      }
    }
  }
  return found;
}
