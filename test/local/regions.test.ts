import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  DescribeAutoScalingGroupsCommand,
} from '@aws-sdk/client-auto-scaling';
import {
  CreateLaunchTemplateCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DescribeAvailabilityZonesCommand,
  DescribeImagesCommand,
  DescribeLaunchTemplateVersionsCommand,
  DescribeRegionsCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  EC2Client,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStage, type Stage } from './stage.ts';
import { VirtualClock } from './virtual-clock.ts';

let stateDirectory: string;
let stage: Stage;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'local-cloud-'));
  stage = await openStage({ stateDirectory, optInRegions: ['eu-south-1'] });
});
afterEach(async () => {
  await stage.cloud.stop();
  await rm(stateDirectory, { recursive: true, force: true });
});

const ec2 = (region: string) => new EC2Client({ ...stage.client, region });
const ssm = (region: string) => new SSMClient({ ...stage.client, region });
const scaling = () => new AutoScalingClient({ ...stage.client, region: 'eu-west-1' });
const newVolume = async (region: string) =>
  (await ec2(region).send(new CreateVolumeCommand({ AvailabilityZone: `${region}b`, Size: 1 }))).VolumeId ??
  '';
const volumesOf = async (region: string) =>
  (await ec2(region).send(new DescribeVolumesCommand({}))).Volumes?.map(({ VolumeId }) => VolumeId);
const WORKER = '/aws/service/freebsd/arm64/base/ufs/15.1/RELEASE';
const workerOf = async (region: string) =>
  (await ssm(region).send(new GetParameterCommand({ Name: WORKER }))).Parameter;

describe('a region', () => {
  // EC2 User Guide, "Regions and Zones": "Each Region is designed to be isolated from the other Regions."
  test('has volumes, networks, images and parameters of its own', async () => {
    const [home, away] = [await newVolume('us-east-1'), await newVolume('ap-northeast-2')];
    expect(await volumesOf('us-east-1')).toEqual([home]);
    expect(await volumesOf('ap-northeast-2')).toEqual([away]);
    await expect(
      ec2('ap-northeast-2').send(
        new CreateTagsCommand({ Resources: [home], Tags: [{ Key: 'a', Value: 'b' }] }),
      ),
    ).rejects.toMatchObject({ name: 'InvalidVolume.NotFound' });

    const zones = await ec2('ap-northeast-2').send(new DescribeAvailabilityZonesCommand({}));
    expect(zones.AvailabilityZones).toMatchObject([
      { ZoneName: 'ap-northeast-2a', ZoneId: 'apne2-az1', RegionName: 'ap-northeast-2' },
      { ZoneName: 'ap-northeast-2b', ZoneId: 'apne2-az2' },
      { ZoneName: 'ap-northeast-2c', ZoneId: 'apne2-az3' },
    ]);
    const subnetsOf = async (region: string) =>
      (await ec2(region).send(new DescribeSubnetsCommand({}))).Subnets?.map(({ SubnetId }) => SubnetId);
    expect(await subnetsOf('us-east-1')).not.toEqual(await subnetsOf('ap-northeast-2'));

    const [here, there] = [await workerOf('us-east-1'), await workerOf('ap-northeast-2')];
    expect(there?.ARN).toBe(`arn:aws:ssm:ap-northeast-2::parameter${WORKER}`);
    expect(there?.Value).not.toBe(here?.Value);
    const image = new DescribeImagesCommand({ ImageIds: [there?.Value ?? ''] });
    expect((await ec2('ap-northeast-2').send(image)).Images).toHaveLength(1);
    await expect(ec2('us-east-1').send(image)).rejects.toMatchObject({ name: 'InvalidAMIID.NotFound' });

    await ssm('ap-northeast-2').send(new PutParameterCommand({ Name: '/mine', Value: 'v', Type: 'String' }));
    await expect(ssm('us-east-1').send(new GetParameterCommand({ Name: '/mine' }))).rejects.toMatchObject({
      name: 'ParameterNotFound',
    });
  });

  test('is made when it is first asked for, and found again after a restart', async () => {
    await expect(readdir(join(stateDirectory, 'regions'))).rejects.toMatchObject({ code: 'ENOENT' });
    const away = await newVolume('eu-west-1');
    const worker = await workerOf('eu-west-1');
    const key = async () => (await ec2('eu-west-1').send(new GetEbsDefaultKmsKeyIdCommand({}))).KmsKeyId;
    const defaultKey = await key();
    await ec2('eu-west-1').send(new EnableEbsEncryptionByDefaultCommand({}));
    const template = { LaunchTemplateName: 'kept', LaunchTemplateData: { ImageId: worker?.Value } };
    await ec2('eu-west-1').send(new CreateLaunchTemplateCommand(template));
    await scaling().send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName: 'kept',
        MinSize: 0,
        MaxSize: 1,
        AvailabilityZones: ['eu-west-1a'],
        LaunchTemplate: { LaunchTemplateName: 'kept' },
      }),
    );
    expect(await readdir(join(stateDirectory, 'regions'))).toEqual(['eu-west-1']);
    await stage.cloud.stop();
    stage = await openStage({ stateDirectory });
    expect(await volumesOf('eu-west-1')).toEqual([away]);
    expect((await workerOf('eu-west-1'))?.Value).toBe(worker?.Value);
    expect(await key()).toBe(defaultKey);
    const { EbsEncryptionByDefault } = await ec2('eu-west-1').send(new GetEbsEncryptionByDefaultCommand({}));
    expect(EbsEncryptionByDefault).toBe(true);
    const { LaunchTemplateVersions } = await ec2('eu-west-1').send(
      new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateName: 'kept' }),
    );
    expect(LaunchTemplateVersions?.[0]?.LaunchTemplateData).toEqual({ ImageId: worker?.Value });
    const { AutoScalingGroups } = await scaling().send(new DescribeAutoScalingGroupsCommand({}));
    expect(AutoScalingGroups).toMatchObject([{ AutoScalingGroupName: 'kept' }]);
  });

  // EC2 Developer Guide, "Request throttling": "on a per-account basis, per-Region".
  test('has token buckets of its own', async () => {
    const still = await openStage({ clock: new VirtualClock() }); // In which no bucket fills again.
    const describeIn = (region: string) =>
      new EC2Client({ ...still.client, region }).send(new DescribeVolumesCommand({}));
    try {
      for (let call = 1; call <= 50; call++) await describeIn('us-east-1');
      await expect(describeIn('us-east-1')).rejects.toMatchObject({ name: 'RequestLimitExceeded' });
      await describeIn('eu-west-1');
    } finally {
      await still.close();
    }
  });

  test('has faults of its own, and its name stands beside each call', async () => {
    const faults = stage.cloud.faults;
    faults.add({ action: 'DescribeVolumes', region: 'eu-west-1', error: { code: 'InternalError' } });
    await volumesOf('us-east-1');
    await expect(volumesOf('eu-west-1')).rejects.toMatchObject({ name: 'InternalError' });
    expect(faults.calls.slice(-2)).toMatchObject([
      { action: 'DescribeVolumes', region: 'us-east-1' },
      { action: 'DescribeVolumes', region: 'eu-west-1', error: 'InternalError' },
    ]);
  });
});

describe('DescribeRegions', () => {
  // DescribeRegions: "Describes the Regions that are enabled for your account, or all Regions."
  test('lists what the account has enabled, or all', async () => {
    const names = async (AllRegions?: boolean) =>
      (await ec2('eu-west-1').send(new DescribeRegionsCommand({ AllRegions }))).Regions?.map(
        ({ RegionName }) => RegionName,
      );
    expect(await names()).toEqual(expect.arrayContaining(['us-east-1', 'eu-west-1', 'eu-south-1']));
    expect(await names()).not.toContain('af-south-1');
    expect(await names(true)).toContain('af-south-1');
    const filtered = await ec2('us-east-1').send(
      new DescribeRegionsCommand({ Filters: [{ Name: 'opt-in-status', Values: ['opted-in'] }] }),
    );
    expect(filtered.Regions).toEqual([
      { RegionName: 'eu-south-1', OptInStatus: 'opted-in', Endpoint: 'ec2.eu-south-1.amazonaws.com' },
    ]);
    await expect(
      ec2('us-east-1').send(new DescribeRegionsCommand({ RegionNames: ['eu-west-9'] })),
    ).rejects.toMatchObject({ name: 'InvalidParameterValue' });
  });

  test('regions that are not enabled or do not exist answer nothing else', async () => {
    await expect(volumesOf('af-south-1')).rejects.toMatchObject({
      name: 'AuthFailure',
      $metadata: { httpStatusCode: 401 },
    });
    await expect(volumesOf('eu-west-9')).rejects.toMatchObject({ name: 'UnsupportedByLocalCloud' });
    await newVolume('eu-south-1');
  });
});
