/** Pages of the AWS console, by partition: "AWS service endpoints" and the addresses that its own pages have. */
const hosts: Readonly<Record<string, string>> = {
  aws: 'console.aws.amazon.com',
  'aws-cn': 'console.amazonaws.cn',
  'aws-us-gov': 'console.amazonaws-us-gov.com',
};

const hostOf = (partition: string, region: string): string => {
  const host = hosts[partition] ?? hosts.aws;
  // China and GovCloud have one console each.
  return partition === 'aws' ? `${region}.${host}` : `${host}`;
};

const ec2Pages = {
  instance: 'InstanceDetails:instanceId',
  volume: 'VolumeDetails:volumeId',
  snapshot: 'SnapshotDetails:snapshotId',
  image: 'ImageDetails:imageId',
} as const;

export type Ec2Thing = keyof typeof ec2Pages;

export const ec2Link = (partition: string, region: string, kind: Ec2Thing, id: string): string =>
  `https://${hostOf(partition, region)}/ec2/home?region=${region}#${ec2Pages[kind]}=${id}`;

export const executionLink = (arn: string): string => {
  const [, partition = '', , region = ''] = arn.split(':');
  return `https://${hostOf(partition, region)}/states/home?region=${region}#/v2/executions/details/${arn}`;
};

export const prefixLink = (partition: string, region: string, bucket: string, prefix: string): string =>
  `https://${hostOf(partition, region)}/s3/buckets/${bucket}?region=${region}&prefix=${encodeURIComponent(prefix)}`;
