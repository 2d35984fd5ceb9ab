import { describe, expect, test } from 'vitest';
import { expectedProperties } from '../../core/image-properties.ts';

const spec = {
  name: 'demo 15.1-RELEASE-arm64 UFS 0123456789ab',
  description: 'FreeBSD',
  architecture: 'arm64',
  bootMode: 'uefi',
  imdsV2Only: true,
  tpm: false,
  rootDeviceName: '/dev/sda1',
  snapshotId: 'snap-1',
  rootSizeGiB: 12,
} as const;

describe('the properties that an image must have', () => {
  test('are everything that RegisterImage was asked for, as text', () => {
    expect(expectedProperties(spec)).toEqual({
      Name: 'demo 15.1-RELEASE-arm64 UFS 0123456789ab',
      Description: 'FreeBSD',
      Architecture: 'arm64',
      VirtualizationType: 'hvm',
      BootMode: 'uefi',
      EnaSupport: 'true',
      SriovNetSupport: 'simple',
      ImdsSupport: 'v2.0',
      RootDeviceName: '/dev/sda1',
      RootDeviceType: 'ebs',
      UsageOperation: 'RunInstances',
      PlatformDetails: 'Linux/UNIX',
      Platform: '',
      'Ebs.SnapshotId': 'snap-1',
      'Ebs.VolumeSize': '12',
      'Ebs.VolumeType': 'gp3',
      'Ebs.DeleteOnTermination': 'true',
    });
  });

  test('do not speak of IMDS when the recipe leaves it open', () => {
    expect(expectedProperties({ ...spec, imdsV2Only: false })).not.toHaveProperty('ImdsSupport');
    expect(expectedProperties(spec)).not.toHaveProperty('TpmSupport');
    expect(expectedProperties({ ...spec, tpm: true, iops: 6000, throughput: 500 })).toMatchObject({
      TpmSupport: 'v2.0',
      'Ebs.Iops': '6000',
      'Ebs.Throughput': '500',
    });
  });
});
