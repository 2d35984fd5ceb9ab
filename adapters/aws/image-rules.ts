import {
  DescribeRegionsCommand,
  type EC2Client,
  GetEbsEncryptionByDefaultCommand,
  GetImageBlockPublicAccessStateCommand,
  paginateDescribeImages,
} from '@aws-sdk/client-ec2';
import type { ImageRules } from '../../core/ports.ts';

export const ec2ImageRules = (ec2: EC2Client): ImageRules => ({
  async regions() {
    const { Regions = [] } = await ec2.send(new DescribeRegionsCommand({ AllRegions: true }));
    return new Map(
      Regions.map(({ RegionName = '', OptInStatus }) => [RegionName, OptInStatus !== 'not-opted-in']),
    );
  },

  async publicBlocked() {
    const { ImageBlockPublicAccessState } = await ec2.send(new GetImageBlockPublicAccessStateCommand({}));
    return ImageBlockPublicAccessState !== 'unblocked';
  },

  async publicImages() {
    const found: { imageId: string; name: string }[] = [];
    const query = { Owners: ['self'], Filters: [{ Name: 'is-public', Values: ['true'] }] };
    for await (const { Images = [] } of paginateDescribeImages({ client: ec2 }, query)) {
      found.push(...Images.map(({ ImageId = '', Name = '' }) => ({ imageId: ImageId, name: Name })));
    }
    return found;
  },

  async encryptsByDefault() {
    const { EbsEncryptionByDefault } = await ec2.send(new GetEbsEncryptionByDefaultCommand({}));
    return EbsEncryptionByDefault === true;
  },
});
