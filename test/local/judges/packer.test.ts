import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DescribeImagesCommand,
  DescribeKeyPairsCommand,
  DescribeSecurityGroupsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';
import { havePacker, judge } from './judges.ts';

describe.skipIf(!havePacker())('Packer as a judge', () => {
  let stage: Stage;
  let sourceImage: string;
  beforeAll(async () => {
    stage = await openStage();
    const ssm = new SSMClient(stage.client);
    const name = '/aws/service/freebsd/amd64/base/ufs/15.1/RELEASE';
    sourceImage = (await ssm.send(new GetParameterCommand({ Name: name }))).Parameter?.Value ?? '';
  });
  afterAll(() => stage.close());

  const settings = () => ({
    custom_endpoint_ec2: stage.cloud.endpoint,
    region: stage.cloud.region,
    access_key: stage.cloud.credentials.accessKeyId,
    secret_key: stage.cloud.credentials.secretAccessKey,
    skip_region_validation: true,
    skip_credential_validation: true,
    skip_metadata_api_check: true,
    source_ami: sourceImage,
    instance_type: 'm6i.large',
    // Nothing listens for ssh in a process instance: the builder's own steps are what is judged.
    communicator: 'none',
    ena_support: true,
    user_data: '#!/bin/sh\nwhile :; do sleep 1; done\n',
    tags: { judge: 'packer' },
  });

  async function build(builder: Record<string, unknown>) {
    const template = join(stage.stateDirectory, 'template.json');
    await writeFile(template, JSON.stringify({ builders: [{ ...settings(), ...builder }] }));
    return judge(stage, 'packer', ['build', '-color=false', template], {
      PACKER_NO_COLOR: '1',
      CHECKPOINT_DISABLE: '1',
      // Packer polls every 15 s (2 s with this): AWS_POLL_DELAY_SECONDS, "Amazon builder, resource timeouts".
      AWS_POLL_DELAY_SECONDS: '1',
    });
  }

  async function leftovers() {
    const ec2 = new EC2Client(stage.client);
    const { SecurityGroups = [] } = await ec2.send(new DescribeSecurityGroupsCommand({}));
    const { KeyPairs = [] } = await ec2.send(new DescribeKeyPairsCommand({}));
    const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({}));
    return {
      groups: SecurityGroups.filter(({ GroupName }) => GroupName !== 'default').length,
      keyPairs: KeyPairs.length,
      volumes: Volumes.length,
    };
  }

  const imageNamed = async (name: string) => {
    const ec2 = new EC2Client(stage.client);
    const input = { Owners: ['self'], Filters: [{ Name: 'name', Values: [name] }] };
    return (await ec2.send(new DescribeImagesCommand(input))).Images?.[0];
  };

  test('amazon-ebssurrogate makes an image from a second volume and leaves nothing behind', async () => {
    const ended = await build({
      type: 'amazon-ebssurrogate',
      ami_name: 'packer-surrogate',
      ami_virtualization_type: 'hvm',
      launch_block_device_mappings: [
        { device_name: '/dev/sdf', volume_size: 1, volume_type: 'gp2', delete_on_termination: true },
      ],
      ami_root_device: {
        source_device_name: '/dev/sdf',
        device_name: '/dev/sda1',
        volume_size: 1,
        volume_type: 'gp2',
        delete_on_termination: true,
      },
    });
    expect(ended.output).toContain('AMIs were created');
    expect(ended.code).toBe(0);
    const image = await imageNamed('packer-surrogate');
    expect(image).toMatchObject({
      EnaSupport: true,
      VirtualizationType: 'hvm',
      Architecture: 'x86_64',
      State: 'available',
    });
    expect(image?.BlockDeviceMappings?.[0]).toMatchObject({
      DeviceName: '/dev/sda1',
      Ebs: { VolumeSize: 1 },
    });
    expect(image?.Tags).toEqual([{ Key: 'judge', Value: 'packer' }]);
    expect(await leftovers()).toEqual({ groups: 0, keyPairs: 0, volumes: 0 });
  }, 60_000);

  test('amazon-ebs captures the instance and leaves nothing behind', async () => {
    const ended = await build({ type: 'amazon-ebs', ami_name: 'packer-ebs' });
    expect(ended.output).toContain('AMIs were created');
    expect(ended.code).toBe(0);
    expect(await imageNamed('packer-ebs')).toMatchObject({ State: 'available', EnaSupport: true });
    expect(await leftovers()).toEqual({ groups: 0, keyPairs: 0, volumes: 0 });
  }, 60_000);
});
