/** What the EC2 server keeps: plain JSON, times in epoch milliseconds, sizes in GiB as EC2 has them. */
import type { CreateAutoScalingGroupType, CreateLaunchConfigurationType } from '@aws-sdk/client-auto-scaling';
import type {
  ArchitectureValues,
  BootModeValues,
  CreateVolumePermission,
  ImageState,
  InstanceStateName,
  LaunchPermission,
  ResponseLaunchTemplateData,
  SnapshotState,
  VolumeAttachmentState,
  VolumeState,
  VolumeType,
} from '@aws-sdk/client-ec2';
import type { TokenTable } from './idempotency.ts';

export type Tags = Record<string, string>;

export interface Reason {
  Code: string;
  Message: string;
}

export interface MetadataSettings {
  HttpTokens: 'optional' | 'required';
  HttpEndpoint: 'enabled' | 'disabled';
  HttpPutResponseHopLimit: number;
  InstanceMetadataTags: 'enabled' | 'disabled';
}

export interface InstanceRecord {
  id: string;
  reservationId: string;
  launchIndex: number;
  imageId: string;
  instanceType: string;
  state: InstanceStateName;
  stateReason?: Reason;
  stateTransitionReason: string;
  launchTime: number;
  zone: string;
  subnetId: string;
  vpcId: string;
  privateIp: string;
  macAddress: string;
  networkInterfaceId: string;
  networkInterfaceAttachmentId: string;
  securityGroupIds: string[];
  keyName?: string;
  /** Base64, as it came. */
  userData?: string;
  clientToken?: string;
  shutdownBehavior: 'stop' | 'terminate';
  disableApiTermination: boolean;
  metadata: MetadataSettings;
  architecture: ArchitectureValues;
  bootMode?: BootModeValues;
  enaSupport: boolean;
  tpmSupport?: string;
  rootDeviceName: string;
  ebsOptimized: boolean;
  monitoring: boolean;
  cpuCredits?: string;
  /** What gives the instance a life: a process that runs its user-data, or a machine in QEMU that boots its root volume. */
  body: 'process' | 'machine';
  /** Billed as Windows, by the image that it was launched from. */
  windows?: boolean;
  /** A machine that works: with a network, metadata, and disks that come and go. One that only tries an image has none of it. */
  online?: true;
  /** First boot is over: user-data does not run again (ec2_configinit is a first-boot script). */
  booted: boolean;
  /** Process group of the body, so that a restart of the cloud finds an orphan: pid and start time (proc(5)). */
  process?: { pid: number; start?: string };
  /** Length of the console text at the last state change: what GetConsoleOutput shows without Latest. */
  consolePosted?: { bytes: number; at: number };
  terminatedAt?: number;
  tags: Tags;
}

export interface AttachmentRecord {
  instanceId: string;
  device: string;
  state: VolumeAttachmentState;
  attachTime: number;
  deleteOnTermination: boolean;
}

export interface VolumeRecord {
  id: string;
  state: VolumeState;
  size: number;
  snapshotId: string;
  zone: string;
  type: VolumeType;
  iops?: number;
  throughput?: number;
  createTime: number;
  attachments: AttachmentRecord[];
  /** ARN of the key that encrypts it; absent when it is in the clear. */
  kmsKeyId?: string;
  /** Holds a Windows, by the snapshot it was made of: EC2's billing metadata. */
  windows?: boolean;
  /** Instances that ever saw the disk: while one of them lives, its file may be written to. */
  writers: string[];
  tags: Tags;
}

export interface SnapshotRecord {
  id: string;
  state: SnapshotState;
  stateMessage?: string;
  progress: string;
  volumeId: string;
  size: number;
  description: string;
  ownerId: string;
  startTime: number;
  completionTime?: number;
  /** Only zeroes, no file: the root of a seeded image. */
  blank: boolean;
  /** ARN of the key that encrypts it; absent when it is in the clear. */
  kmsKeyId?: string;
  /** Holds a Windows, by the volume it was taken of. */
  windows?: boolean;
  /** Being written by the EBS direct APIs: for so many minutes after it was last touched. */
  writing?: { minutes: number; touched: number; parent?: string };
  /** Made by CopySnapshot or CopyImage: counts as a copy while it is pending. */
  copied?: boolean;
  /** Who may make volumes of it besides its owner. */
  volumePermissions?: CreateVolumePermission[];
  tags: Tags;
}

export interface DeviceMapping {
  DeviceName: string;
  NoDevice?: string;
  VirtualName?: string;
  Ebs?: {
    SnapshotId?: string;
    VolumeSize: number;
    VolumeType: VolumeType;
    DeleteOnTermination: boolean;
    /** As it was asked for; absent is what the snapshot and the account's default make of it. */
    Encrypted?: boolean;
    KmsKeyId?: string;
    Iops?: number;
    Throughput?: number;
  };
}

export interface ImageRecord {
  id: string;
  name: string;
  description?: string;
  state: ImageState;
  ownerId: string;
  ownerAlias?: string;
  architecture: ArchitectureValues;
  virtualizationType: 'hvm' | 'paravirtual';
  bootMode?: BootModeValues;
  enaSupport: boolean;
  sriovNetSupport?: string;
  imdsSupport?: string;
  tpmSupport?: string;
  uefiData?: string;
  rootDeviceName: string;
  mappings: DeviceMapping[];
  creationDate: number;
  deprecationTime?: number;
  sourceInstanceId?: string;
  sourceImageId?: string;
  sourceImageRegion?: string;
  stateReason?: Reason;
  lastLaunched?: number;
  launchPermissions: LaunchPermission[];
  /** Its instances are billed as Windows. */
  windows?: boolean;
  /** What its instances are (see InstanceRecord.body and .online). */
  body: 'process' | 'machine';
  online?: true;
  tags: Tags;
}

export interface IngressRule {
  protocol: string;
  from?: number;
  to?: number;
  cidrs: string[];
  ipv6Cidrs: string[];
  description?: string;
}

export interface SecurityGroupRecord {
  id: string;
  name: string;
  description: string;
  vpcId: string;
  ingress: IngressRule[];
  tags: Tags;
}

export interface KeyPairRecord {
  id: string;
  name: string;
  fingerprint: string;
  createTime: number;
  tags: Tags;
}

export interface LaunchTemplateVersionRecord {
  number: number;
  description?: string;
  created: number;
  data: ResponseLaunchTemplateData;
}

export interface LaunchTemplateRecord {
  id: string;
  name: string;
  created: number;
  defaultVersion: number;
  /** By number, rising. */
  versions: LaunchTemplateVersionRecord[];
  tags: Tags;
}

/** CreateAutoScalingGroup's input as it came, and what is added. */
export type ScalingGroupRecord = Omit<CreateAutoScalingGroupType, 'Tags'> & {
  AutoScalingGroupARN: string;
  created: number;
  tags: Tags;
};

/** CreateLaunchConfiguration's input as it came, and what is added. */
export type LaunchConfigurationRecord = CreateLaunchConfigurationType & {
  LaunchConfigurationARN: string;
  created: number;
};

export interface NetworkRecord {
  vpcId: string;
  cidr: string;
  subnets: { id: string; zone: string; zoneId: string; cidr: string }[];
  vpcTags: Tags;
  subnetTags: Record<string, Tags>;
  /** Next host number per subnet, for private addresses. */
  nextAddress: Record<string, number>;
}

/** What the account has set for the region. */
export interface AccountRecord {
  encryptionByDefault: boolean;
  /** Block public access for AMIs. */
  blockPublicImages: boolean;
}

/** The file `ec2.json`. */
export interface PersistedState {
  version: 1;
  instances: InstanceRecord[];
  volumes: VolumeRecord[];
  snapshots: SnapshotRecord[];
  images: ImageRecord[];
  securityGroups: SecurityGroupRecord[];
  keyPairs: KeyPairRecord[];
  network: NetworkRecord;
  account?: AccountRecord;
  launchTemplates?: LaunchTemplateRecord[];
  scalingGroups?: ScalingGroupRecord[];
  launchConfigurations?: LaunchConfigurationRecord[];
  tokens: TokenTable;
}

/** EC2 API Reference, "InstanceState": the low byte of the code. */
export const STATE_CODES: Record<InstanceStateName, number> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};
