import {
  DescribeImageAttributeCommand,
  DisableImageDeprecationCommand,
  type EC2Client,
  EnableImageDeprecationCommand,
  type LaunchPermission,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { ImageAccess } from '../../core/ports.ts';

const toEc2 = (permission: string): LaunchPermission => {
  if (permission === 'all') return { Group: 'all' };
  if (/:ou\//.test(permission)) return { OrganizationalUnitArn: permission };
  return permission.startsWith('arn:') ? { OrganizationArn: permission } : { UserId: permission };
};

const fromEc2 = ({ Group, UserId, OrganizationArn, OrganizationalUnitArn }: LaunchPermission): string =>
  Group ?? UserId ?? OrganizationArn ?? OrganizationalUnitArn ?? '';

const rank = (permission: string): number =>
  ['all', 'account', 'organization', 'unit'].indexOf(
    permission === 'all'
      ? 'all'
      : !permission.startsWith('arn:')
        ? 'account'
        : permission.includes(':ou/')
          ? 'unit'
          : 'organization',
  );

export const ec2ImageAccess = (ec2: EC2Client): ImageAccess => ({
  async permissions(imageId) {
    const { LaunchPermissions = [] } = await ec2.send(
      new DescribeImageAttributeCommand({ ImageId: imageId, Attribute: 'launchPermission' }),
    );
    return LaunchPermissions.map(fromEc2).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  },

  async allow(imageId, permissions) {
    await ec2.send(
      new ModifyImageAttributeCommand({
        ImageId: imageId,
        LaunchPermission: { Add: permissions.map(toEc2) },
      }),
    );
  },

  async withdraw(imageId, permissions) {
    await ec2.send(
      new ModifyImageAttributeCommand({
        ImageId: imageId,
        LaunchPermission: { Remove: permissions.map(toEc2) },
      }),
    );
  },

  async deprecate(imageId, at) {
    await ec2.send(new EnableImageDeprecationCommand({ ImageId: imageId, DeprecateAt: new Date(at) }));
  },

  async undeprecate(imageId) {
    await ec2.send(new DisableImageDeprecationCommand({ ImageId: imageId }));
  },
});
