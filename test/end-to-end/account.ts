import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  type EC2Client,
} from '@aws-sdk/client-ec2';

/** Ids of everything in the account that costs money or is in the way. Terminated instances are gone. */
export async function whatIsLeft(ec2: EC2Client): Promise<string[]> {
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({}));
  const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({}));
  const { Snapshots = [] } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
  const instances = Reservations.flatMap(({ Instances = [] }) => Instances);
  return [
    ...instances
      .filter(({ State }) => State?.Name !== 'terminated')
      .map(({ InstanceId }) => InstanceId ?? ''),
    ...Volumes.map(({ VolumeId }) => VolumeId ?? ''),
    ...Snapshots.map(({ SnapshotId }) => SnapshotId ?? ''),
    ...Images.map(({ ImageId }) => ImageId ?? ''),
  ];
}
