import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  type CreateAutoScalingGroupCommandInput,
  CreateLaunchConfigurationCommand,
  DeleteAutoScalingGroupCommand,
  DeleteLaunchConfigurationCommand,
  DescribeAutoScalingGroupsCommand,
  DescribeLaunchConfigurationsCommand,
  DescribePoliciesCommand,
  paginateDescribeAutoScalingGroups,
} from '@aws-sdk/client-auto-scaling';
import { CreateLaunchTemplateCommand, EC2Client } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
let scaling: AutoScalingClient;
let template: { LaunchTemplateId: string; LaunchTemplateName: string };
beforeAll(async () => {
  stage = await openStage();
  scaling = new AutoScalingClient(stage.client);
  const { LaunchTemplate } = await new EC2Client(stage.client).send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'fleet',
      LaunchTemplateData: { ImageId: 'ami-00000000000000001' },
    }),
  );
  template = { LaunchTemplateId: LaunchTemplate?.LaunchTemplateId ?? '', LaunchTemplateName: 'fleet' };
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

const group = (AutoScalingGroupName: string, change: Partial<CreateAutoScalingGroupCommandInput>) =>
  scaling.send(
    new CreateAutoScalingGroupCommand({
      AutoScalingGroupName,
      MinSize: 0,
      MaxSize: 3,
      AvailabilityZones: ['us-east-1a', 'us-east-1b'],
      ...change,
    }),
  );
const described = async (...AutoScalingGroupNames: string[]) =>
  (await scaling.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames }))).AutoScalingGroups;

test('groups tell which launch template they use, by id and by name, also among several types', async () => {
  await group('by-name', {
    LaunchTemplate: { LaunchTemplateName: 'fleet', Version: '$Latest' },
    Tags: [{ Key: 'a', Value: 'b', PropagateAtLaunch: true }],
  });
  expect(await described('by-name', 'nobody')).toMatchObject([
    {
      AutoScalingGroupName: 'by-name',
      AutoScalingGroupARN: expect.stringMatching(/^arn:aws:autoscaling:us-east-1:000000000000:/),
      AvailabilityZones: ['us-east-1a', 'us-east-1b'],
      MaxSize: 3,
      DesiredCapacity: 0,
      Instances: [],
      LaunchTemplate: { ...template, Version: '$Latest' },
      CreatedTime: expect.any(Date),
      Tags: [{ Key: 'a', Value: 'b', ResourceId: 'by-name' }],
    },
  ]);
  await group('mixed', {
    MixedInstancesPolicy: {
      LaunchTemplate: {
        LaunchTemplateSpecification: { LaunchTemplateId: template.LaunchTemplateId },
        Overrides: [{ InstanceType: 'm6i.large' }, { InstanceType: 'm7i.large' }],
      },
    },
  });
  expect((await described('mixed'))?.[0]?.MixedInstancesPolicy?.LaunchTemplate).toEqual({
    LaunchTemplateSpecification: template,
    Overrides: [{ InstanceType: 'm6i.large' }, { InstanceType: 'm7i.large' }],
  });
});

test('launch configurations name an image, and are kept while a group uses them', async () => {
  const configuration = {
    LaunchConfigurationName: 'old',
    ImageId: 'ami-00000000000000002',
    InstanceType: 'm5.large',
  };
  await scaling.send(new CreateLaunchConfigurationCommand(configuration));
  await expect(scaling.send(new CreateLaunchConfigurationCommand(configuration))).rejects.toMatchObject({
    name: 'AlreadyExistsFault',
  });
  await group('old', { LaunchConfigurationName: 'old' });
  const { LaunchConfigurations } = await scaling.send(new DescribeLaunchConfigurationsCommand({}));
  expect(LaunchConfigurations).toMatchObject([{ ...configuration, CreatedTime: expect.any(Date) }]);
  const remove = () => scaling.send(new DeleteLaunchConfigurationCommand({ LaunchConfigurationName: 'old' }));
  await expect(remove()).rejects.toMatchObject({ name: 'ResourceInUseFault' });
  await scaling.send(new DeleteAutoScalingGroupCommand({ AutoScalingGroupName: 'old' }));
  await remove();
});

test('groups come in pages, and belong to their region', async () => {
  for (const name of ['p1', 'p2', 'p3']) await group(name, { LaunchTemplate: template });
  const sizes: number[] = [];
  for await (const page of paginateDescribeAutoScalingGroups({ client: scaling, pageSize: 2 }, {})) {
    sizes.push(page.AutoScalingGroups?.length ?? 0);
  }
  expect(sizes).toEqual([2, 2, 1]);
  const elsewhere = new AutoScalingClient({ ...stage.client, region: 'eu-west-1' });
  expect((await elsewhere.send(new DescribeAutoScalingGroupsCommand({}))).AutoScalingGroups).toEqual([]);
});

test.each([
  ['without anything to launch', {}, 'ValidationError'],
  [
    'with two things to launch',
    { LaunchTemplate: { LaunchTemplateName: 'fleet' }, LaunchConfigurationName: 'x' },
    'ValidationError',
  ],
  ['with an unknown template', { LaunchTemplate: { LaunchTemplateName: 'nobody' } }, 'ValidationError'],
  [
    'with instances',
    { MinSize: 1, LaunchTemplate: { LaunchTemplateName: 'fleet' } },
    'UnsupportedByLocalCloud',
  ],
])('a group %s is refused', async (_what, change, name) => {
  await expect(group('refused', change)).rejects.toMatchObject({ name });
});

test('a fault comes in the shape of this service', async () => {
  stage.cloud.faults.add({
    service: 'autoscaling',
    action: 'DescribeAutoScalingGroups',
    error: { code: 'Throttling' },
  });
  await expect(
    new AutoScalingClient(stage.client).send(new DescribeAutoScalingGroupsCommand({})),
  ).rejects.toMatchObject({ name: 'Throttling' });
});

test('what is not emulated is refused', async () => {
  await expect(scaling.send(new DescribePoliciesCommand({}))).rejects.toMatchObject({
    name: 'UnsupportedByLocalCloud',
  });
});
