import {
  type _InstanceType,
  DescribeInstancesCommand,
  type EC2Client,
  type Instance as Ec2Instance,
  type Filter,
  GetConsoleScreenshotCommand,
  ModifyInstanceAttributeCommand,
  paginateDescribeInstances,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { BootTestSpec, Instance, Instances, OfBuild } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { ec2Consoles } from './consoles.ts';
import { buildOf, ofAnyBuild, ofBuild, toTagSpecification } from './tags.ts';

const fromEc2 = (instance: Ec2Instance): Instance => ({
  instanceId: instance.InstanceId ?? '',
  state: instance.State?.Name ?? 'pending',
  stateReason: instance.StateReason?.Message ?? instance.StateTransitionReason ?? '',
  startedAt: instance.LaunchTime?.getTime(),
  rootDeviceName: instance.RootDeviceName ?? '',
  disks: (instance.BlockDeviceMappings ?? []).flatMap(({ DeviceName = '', Ebs }) =>
    Ebs === undefined
      ? []
      : {
          device: DeviceName,
          volumeId: Ebs.VolumeId ?? '',
          state: Ebs.Status ?? 'attaching',
          deleteOnTermination: Ebs.DeleteOnTermination ?? false,
          attachedAt: Ebs.AttachTime?.getTime(),
        },
  ),
});

async function find(ec2: EC2Client, Filters: Filter[]): Promise<OfBuild<Instance>[]> {
  const found: OfBuild<Instance>[] = [];
  for await (const page of paginateDescribeInstances({ client: ec2 }, { Filters })) {
    for (const { Instances = [] } of page.Reservations ?? []) {
      found.push(...Instances.map((one) => ({ ...fromEc2(one), build: buildOf(one.Tags) })));
    }
  }
  return found;
}

async function run(
  ec2: EC2Client,
  spec: BootTestSpec,
  more: Pick<RunInstancesCommandInput, 'UserData' | 'InstanceInitiatedShutdownBehavior'>,
): Promise<{ instanceId: string }> {
  const { Instances: [instance] = [] } = await ec2.send(
    new RunInstancesCommand({
      ClientToken: spec.clientToken,
      MinCount: 1,
      MaxCount: 1,
      ImageId: spec.imageId,
      InstanceType: spec.instanceType as _InstanceType,
      SubnetId: spec.subnetId,
      SecurityGroupIds: [spec.securityGroupId],
      // What powers itself off is gone: it cannot be left behind stopped, with its root volume billed.
      InstanceInitiatedShutdownBehavior: 'terminate',
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, HttpEndpoint: 'enabled' },
      TagSpecifications: [toTagSpecification('instance', spec.tags), toTagSpecification('volume', spec.tags)],
      ...more,
    }),
  );
  if (!instance?.InstanceId) throw new Error('RunInstances returned no instance');
  return { instanceId: instance.InstanceId };
}

export const ec2Instances = (ec2: EC2Client): Instances => ({
  runWorker: ({ userData, ...spec }) =>
    run(ec2, spec, { UserData: Buffer.from(userData).toString('base64') }),

  runBootTest: (spec) => run(ec2, spec, {}),

  // Windows restarts, and may power itself off, in its first minutes; that it is stopped is what is wanted of it.
  runWindows: (spec) => run(ec2, spec, { InstanceInitiatedShutdownBehavior: 'stop' }),

  describe: (instanceId) =>
    unless(['InvalidInstanceID.NotFound'], async () => {
      const { Reservations = [] } = await ec2.send(
        new DescribeInstancesCommand({ InstanceIds: [instanceId] }),
      );
      return Reservations[0]?.Instances?.[0];
    }).then((instance) => instance && fromEc2(instance)),

  findByBuild: (build) => find(ec2, ofBuild(build)),
  findOfAnyBuild: () => find(ec2, ofAnyBuild),

  ...ec2Consoles(ec2),

  async screenshot(instanceId) {
    // EC2 has none of Graviton, bare metal and some GPU instances, nor of one that does not run ("Instance console screenshot").
    const data = await unless(
      ['InvalidInstanceID.NotFound', 'UnsupportedOperation', 'IncorrectInstanceState', 'IncorrectState'],
      async () => (await ec2.send(new GetConsoleScreenshotCommand({ InstanceId: instanceId }))).ImageData,
    );
    return data === undefined ? undefined : Buffer.from(data, 'base64');
  },

  async stop(instanceId) {
    // SkipOsShutdown: what Windows has on its disk is thrown away.
    await ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId], SkipOsShutdown: true }));
  },

  async deleteOnTermination(instanceId, device) {
    await ec2.send(
      new ModifyInstanceAttributeCommand({
        InstanceId: instanceId,
        BlockDeviceMappings: [{ DeviceName: device, Ebs: { DeleteOnTermination: true } }],
      }),
    );
  },

  async terminate(instanceIds) {
    for (const instanceId of instanceIds) {
      // SkipOsShutdown: nothing on a worker is worth saving, and FreeBSD on Graviton may be slow to hear the power button.
      await unless(['InvalidInstanceID.NotFound'], () =>
        ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId], SkipOsShutdown: true })),
      );
    }
  },
});
