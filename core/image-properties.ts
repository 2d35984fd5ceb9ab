import type { ImageSpec } from './ports.ts';

/**
 * Properties of an AMI by the names of DescribeImages, as strings, so that what is there can be compared with what was
 * asked for one by one.
 */
export const expectedProperties = (spec: Omit<ImageSpec, 'tags'>): Record<string, string> => ({
  Name: spec.name,
  Description: spec.description,
  Architecture: spec.architecture,
  VirtualizationType: 'hvm',
  BootMode: spec.bootMode,
  EnaSupport: 'true',
  SriovNetSupport: 'simple',
  RootDeviceName: spec.rootDeviceName,
  RootDeviceType: 'ebs',
  'Ebs.SnapshotId': spec.snapshotId,
  'Ebs.VolumeSize': String(spec.rootSizeGiB),
  'Ebs.VolumeType': 'gp3',
  'Ebs.DeleteOnTermination': 'true',
  ...(spec.imdsV2Only ? { ImdsSupport: 'v2.0' } : {}),
  ...(spec.tpm ? { TpmSupport: 'v2.0' } : {}),
  ...(spec.iops === undefined ? {} : { 'Ebs.Iops': String(spec.iops) }),
  ...(spec.throughput === undefined ? {} : { 'Ebs.Throughput': String(spec.throughput) }),
});

/** What is not as it was asked for, a line each; empty when all is. */
export const differences = (
  wanted: Readonly<Record<string, string>>,
  found: Readonly<Record<string, string>>,
): string[] =>
  Object.entries(wanted)
    .filter(([key, value]) => found[key] !== value)
    .map(([key, value]) => `- ${key} is ${found[key] ?? 'absent'}, not ${value}`);
