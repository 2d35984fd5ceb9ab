import type { Encryption, ImageSpec } from './ports.ts';

/**
 * Properties of an AMI by the names of DescribeImages, as strings, so that what is there can be compared with what was
 * asked for one by one.
 */
export const expectedProperties = (
  spec: Omit<ImageSpec, 'tags'>,
  encryption: Encryption | null = null,
): Record<string, string> => ({
  Name: spec.name,
  Description: spec.description,
  Architecture: spec.architecture,
  VirtualizationType: 'hvm',
  BootMode: spec.bootMode,
  EnaSupport: 'true',
  SriovNetSupport: 'simple',
  RootDeviceName: spec.rootDeviceName,
  RootDeviceType: 'ebs',
  // Billed as what it is: EC2 User Guide, "AMI billing information fields".
  UsageOperation: 'RunInstances',
  PlatformDetails: 'Linux/UNIX',
  Platform: '',
  'Ebs.SnapshotId': spec.snapshotId,
  'Ebs.VolumeSize': String(spec.rootSizeGiB),
  'Ebs.VolumeType': 'gp3',
  'Ebs.DeleteOnTermination': 'true',
  // What is not asked for may still be so: an account can encrypt everything.
  ...(encryption ? { 'Ebs.Encrypted': 'true' } : {}),
  ...(spec.imdsV2Only ? { ImdsSupport: 'v2.0' } : {}),
  ...(spec.tpm ? { TpmSupport: 'v2.0' } : {}),
  ...(spec.iops === undefined ? {} : { 'Ebs.Iops': String(spec.iops) }),
  ...(spec.throughput === undefined ? {} : { 'Ebs.Throughput': String(spec.throughput) }),
});

/** What is not as it was asked for, a line each; empty when all is. What is wanted as '' must be absent. */
export const differences = (
  wanted: Readonly<Record<string, string>>,
  found: Readonly<Record<string, string>>,
): string[] =>
  Object.entries(wanted)
    .filter(([key, value]) => (found[key] ?? '') !== value)
    .map(([key, value]) => `- ${key} is ${found[key] ?? 'absent'}, not ${value || 'absent'}`);

/** Whether a snapshot has the key that was asked for. What an alias stands for, and the account's own key, EC2 does not tell. */
export const hasKey = ({ kmsKeyId }: Encryption, found: string | undefined): boolean =>
  kmsKeyId === null ||
  /(^|:)alias\//.test(kmsKeyId) ||
  found?.split('/').at(-1) === kmsKeyId.split('/').at(-1);
