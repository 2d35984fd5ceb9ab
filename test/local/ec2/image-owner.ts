import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeImagesCommand,
  EC2Client,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  waitUntilImageAvailable,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { quickly, type Stage } from '../stage.ts';

/** A region of a stage, as an owner of images uses it. */
export class ImageOwner {
  readonly ec2: EC2Client;
  readonly region: string;
  #names = 0;

  constructor(stage: Stage, region = stage.cloud.region) {
    this.region = region;
    this.ec2 = new EC2Client({ ...stage.client, region });
  }

  async volume(settings: { Encrypted?: boolean; KmsKeyId?: string; SnapshotId?: string } = {}) {
    const { VolumeId = '' } = await this.ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: `${this.region}a`,
        VolumeType: 'gp3',
        ...(settings.SnapshotId === undefined ? { Size: 1 } : {}),
        ...settings,
      }),
    );
    await waitUntilVolumeAvailable({ client: this.ec2, ...quickly }, { VolumeIds: [VolumeId] });
    return VolumeId;
  }

  async snapshot(VolumeId?: string) {
    const { SnapshotId = '' } = await this.ec2.send(
      new CreateSnapshotCommand({ VolumeId: VolumeId ?? (await this.volume()) }),
    );
    await waitUntilSnapshotCompleted({ client: this.ec2, ...quickly }, { SnapshotIds: [SnapshotId] });
    return SnapshotId;
  }

  async image(change: Partial<RegisterImageCommandInput> & { snapshotId?: string } = {}) {
    const { snapshotId = await this.snapshot(), ...properties } = change;
    const { ImageId = '' } = await this.ec2.send(
      new RegisterImageCommand({
        Name: `${this.region} image ${++this.#names}`,
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        EnaSupport: true,
        RootDeviceName: '/dev/sda1',
        BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: snapshotId } }],
        ...properties,
      }),
    );
    await this.available(ImageId);
    return ImageId;
  }

  async available(id: string) {
    await waitUntilImageAvailable({ client: this.ec2, ...quickly }, { ImageIds: [id] });
  }

  async described(id: string) {
    const { Images } = await this.ec2.send(new DescribeImagesCommand({ ImageIds: [id] }));
    return Images?.[0];
  }
}
