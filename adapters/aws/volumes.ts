import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  type EC2Client,
  type Volume as Ec2Volume,
  type Filter,
  paginateDescribeVolumes,
} from '@aws-sdk/client-ec2';
import type { OfBuild, Volume, Volumes } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { buildOf, ofAnyBuild, ofBuild, toTagSpecification } from './tags.ts';

const fromEc2 = (volume: Ec2Volume): Volume => ({
  volumeId: volume.VolumeId ?? '',
  state: volume.State ?? 'creating',
  attachments: (volume.Attachments ?? []).map(({ InstanceId = '', State = '' }) => ({
    instanceId: InstanceId,
    state: State,
  })),
  startedAt: volume.CreateTime?.getTime(),
});

async function find(ec2: EC2Client, Filters: Filter[]): Promise<OfBuild<Volume>[]> {
  const found: OfBuild<Volume>[] = [];
  for await (const page of paginateDescribeVolumes({ client: ec2 }, { Filters })) {
    found.push(...(page.Volumes ?? []).map((one) => ({ ...fromEc2(one), build: buildOf(one.Tags) })));
  }
  return found;
}

export const ec2Volumes = (ec2: EC2Client): Volumes => ({
  async create(spec) {
    const { VolumeId } = await ec2.send(
      new CreateVolumeCommand({
        ClientToken: spec.clientToken,
        AvailabilityZone: spec.zone,
        Size: spec.sizeGiB,
        ...(spec.snapshotId === undefined ? {} : { SnapshotId: spec.snapshotId }),
        VolumeType: 'gp3',
        ...(spec.encryption ? { Encrypted: true } : {}),
        ...(spec.encryption?.kmsKeyId ? { KmsKeyId: spec.encryption.kmsKeyId } : {}),
        TagSpecifications: [toTagSpecification('volume', spec.tags)],
      }),
    );
    if (!VolumeId) throw new Error('CreateVolume returned no volume id');
    return { volumeId: VolumeId };
  },

  describe: (volumeId) =>
    unless(['InvalidVolume.NotFound'], async () => {
      const { Volumes: found = [] } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeId] }));
      return found[0];
    }).then((volume) => volume && fromEc2(volume)),

  findByBuild: (build) => find(ec2, ofBuild(build)),
  findOfAnyBuild: () => find(ec2, ofAnyBuild),

  async attach(volumeId, instanceId, device) {
    await ec2.send(new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: instanceId, Device: device }));
  },

  async detach(volumeId) {
    // IncorrectState: the volume is available already, or on its way there.
    await unless(['InvalidVolume.NotFound', 'IncorrectState', 'InvalidAttachment.NotFound'], () =>
      ec2.send(new DetachVolumeCommand({ VolumeId: volumeId })),
    );
  },

  async delete(volumeId) {
    await unless(['InvalidVolume.NotFound'], () => ec2.send(new DeleteVolumeCommand({ VolumeId: volumeId })));
  },
});
