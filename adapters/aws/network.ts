import { DescribeSubnetsCommand, type EC2Client } from '@aws-sdk/client-ec2';
import type { Network } from '../../core/ports.ts';

export const ec2Network = (ec2: EC2Client): Network => ({
  async subnets(subnetIds) {
    // One page holds up to 1,000 subnets when they are asked for by id (DescribeSubnets).
    const { Subnets = [] } = await ec2.send(new DescribeSubnetsCommand({ SubnetIds: [...subnetIds] }));
    return Subnets.map(({ SubnetId = '', AvailabilityZone = '' }) => ({
      subnetId: SubnetId,
      zone: AvailabilityZone,
    })).sort((a, b) => subnetIds.indexOf(a.subnetId) - subnetIds.indexOf(b.subnetId));
  },
});
