import type { BuildStatus } from './api/schemas.ts';
import type { Tags } from './names.ts';

/** What the steps need of the world, in our nouns. Sizes in GiB where AWS counts in GiB, else bytes; times in milliseconds. */

/** With the build that made it, as its tag says. */
export type OfBuild<T> = T & { readonly build: string };

export interface Subnet {
  readonly subnetId: string;
  readonly zone: string;
}

export interface Network {
  /** The subnets with their zones, in the order asked for. */
  subnets(subnetIds: readonly string[]): Promise<Subnet[]>;
}

export interface WorkerSpec {
  readonly clientToken: string;
  readonly imageId: string;
  readonly instanceType: string;
  readonly subnetId: string;
  readonly securityGroupId: string;
  readonly userData: string;
  readonly tags: Tags;
}

/** An instance that is told nothing. */
export type BootTestSpec = Omit<WorkerSpec, 'userData'>;

/** A disk of an instance, as the instance's own block device mapping has it. */
export interface InstanceDisk {
  readonly device: string;
  readonly volumeId: string;
  readonly state: 'attaching' | 'attached' | 'detaching' | 'detached';
  readonly deleteOnTermination: boolean;
  /** When it was attached; undefined when EC2 does not say. */
  readonly attachedAt?: number | undefined;
}

export interface Instance {
  readonly instanceId: string;
  readonly state: 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';
  /** Why the state changed last, in AWS's words; empty when there is nothing to say. */
  readonly stateReason: string;
  /** When it was launched, or started last; undefined when EC2 does not say. */
  readonly startedAt?: number | undefined;
  /** The name that its root volume must be attached under. */
  readonly rootDeviceName: string;
  readonly disks: readonly InstanceDisk[];
}

export interface Consoles {
  /** The serial console of an instance so far, at most its last 64 KB; empty when there is none yet, or no instance any more. */
  console(instanceId: string): Promise<string>;
}

export interface Instances extends Consoles {
  /**
   * Launches one worker: no key pair, no profile, IMDSv2 required, terminated when it powers off.
   * Throws errors named by their EC2 code, such as `InsufficientInstanceCapacity`.
   */
  runWorker(spec: WorkerSpec): Promise<{ instanceId: string }>;
  /** Launches an image to see whether it boots: as a worker, and without user-data. Throws as runWorker does. */
  runBootTest(spec: BootTestSpec): Promise<{ instanceId: string }>;
  /** Launches Windows, to take its place: as a boot test, but it is still there when it powers itself off. Throws as runWorker does. */
  runWindows(spec: BootTestSpec): Promise<{ instanceId: string }>;
  /** Undefined when EC2 does not know the id (yet, or any more). */
  describe(instanceId: string): Promise<Instance | undefined>;
  findByBuild(build: string): Promise<Instance[]>;
  /** What any build made. */
  findOfAnyBuild(): Promise<OfBuild<Instance>[]>;
  /** The screen as JPEG; undefined where EC2 has none to show. */
  screenshot(instanceId: string): Promise<Uint8Array | undefined>;
  /** Stops the instance without waiting for its system to shut down. */
  stop(instanceId: string): Promise<void>;
  /** Lets the disk under that name go away with its instance. */
  deleteOnTermination(instanceId: string, device: string): Promise<void>;
  /** Ends the instance without waiting for its system to shut down. No error when it is gone. */
  terminate(instanceIds: readonly string[]): Promise<void>;
}

/** With a key (id, alias/… or ARN), or with the account's own for EBS when it is null. */
export interface Encryption {
  readonly kmsKeyId: string | null;
}

export interface VolumeSpec {
  readonly clientToken: string;
  readonly zone: string;
  readonly sizeGiB: number;
  /** Null or absent: not, unless the account encrypts everything. */
  readonly encryption?: Encryption | null;
  /** What it holds from the beginning; nothing when absent. */
  readonly snapshotId?: string | undefined;
  readonly tags: Tags;
}

export interface Volume {
  readonly volumeId: string;
  readonly state: 'creating' | 'available' | 'in-use' | 'deleting' | 'deleted' | 'error';
  readonly attachments: readonly { readonly instanceId: string; readonly state: string }[];
  /** When it was made; undefined when EC2 does not say. */
  readonly startedAt?: number | undefined;
}

export interface Volumes {
  create(spec: VolumeSpec): Promise<{ volumeId: string }>;
  describe(volumeId: string): Promise<Volume | undefined>;
  findByBuild(build: string): Promise<Volume[]>;
  /** What any build made. */
  findOfAnyBuild(): Promise<OfBuild<Volume>[]>;
  attach(volumeId: string, instanceId: string, device: string): Promise<void>;
  /** No error when it is not attached. */
  detach(volumeId: string): Promise<void>;
  /** No error when it is gone. */
  delete(volumeId: string): Promise<void>;
}

export interface Snapshot {
  readonly snapshotId: string;
  readonly state: 'pending' | 'completed' | 'error' | 'recoverable' | 'recovering';
  readonly stateMessage: string;
  /** ARN of the key that it is encrypted with. */
  readonly kmsKeyId?: string | undefined;
  /** When it was begun; undefined when EC2 does not say. */
  readonly startedAt?: number | undefined;
  readonly encrypted?: boolean | undefined;
  readonly tags?: Tags | undefined;
}

export interface Snapshots {
  create(volumeId: string, description: string, tags: Tags): Promise<{ snapshotId: string }>;
  describe(snapshotId: string): Promise<Snapshot | undefined>;
  findByBuild(build: string): Promise<Snapshot[]>;
  /** What any build made. */
  findOfAnyBuild(): Promise<OfBuild<Snapshot>[]>;
  /** Those of failed builds that wait for a next attempt at this very content. */
  findResumable(contentDigest: string): Promise<OfBuild<Snapshot>[]>;
  /** Adds a tag to a snapshot of the factory. */
  tag(snapshotId: string, key: string, value: string): Promise<void>;
  /** No error when it is gone. */
  delete(snapshotId: string): Promise<void>;
}

/** What a snapshot without a volume begins with. */
export interface BlocksSpec {
  readonly clientToken: string;
  readonly sizeGiB: number;
  readonly description: string;
  /** The key is an ARN: an id or an alias is not enough here. */
  readonly encryption: Encryption | null;
  readonly tags: Tags;
}

/** Snapshots that are written block by block, without a volume. */
export interface SnapshotBlocks {
  /** The same token gives the same snapshot. */
  start(spec: BlocksSpec): Promise<{ snapshotId: string }>;
  /** Writes a block of 512 KiB; what was there is replaced. */
  put(snapshotId: string, index: number, data: Uint8Array, sha256: Uint8Array): Promise<void>;
  /** Seals a snapshot of so many blocks; the checksum is linearChecksum's. Throws `ValidationException` when EBS finds it otherwise. */
  complete(snapshotId: string, count: number, checksum: string): Promise<void>;
}

/** What RegisterImage is asked for. */
export interface ImageSpec {
  readonly name: string;
  readonly description: string;
  readonly architecture: 'x86_64' | 'arm64';
  readonly bootMode: 'uefi' | 'uefi-preferred' | 'legacy-bios';
  readonly imdsV2Only: boolean;
  readonly tpm: boolean;
  /** Of the root volume; what every gp3 volume has when absent. */
  readonly iops?: number | undefined;
  /** MiB/s. */
  readonly throughput?: number | undefined;
  readonly rootDeviceName: string;
  readonly snapshotId: string;
  readonly rootSizeGiB: number;
  readonly tags: Tags;
}

/** What CreateImage is asked for; all the rest is as the instance has it. */
export interface InstanceImageSpec {
  readonly instanceId: string;
  readonly name: string;
  readonly description: string;
  readonly tags: Tags;
  readonly snapshotTags: Tags;
}

export interface Image {
  readonly imageId: string;
  readonly name: string;
  readonly state: string;
  readonly stateReason: string;
  readonly rootSnapshotId: string | undefined;
  /** When it was registered; undefined when EC2 does not say. */
  readonly startedAt?: number | undefined;
  /** When it was launched last, by anyone; EC2 says it a day later. Undefined when it never was, or EC2 does not say. */
  readonly launchedAt?: number | undefined;
  /** EC2 lets nobody deregister it. */
  readonly isProtected?: boolean;
  /** ISO time from which only its owner finds it; undefined when there is none. */
  readonly deprecatedAt?: string | undefined;
  /** The properties that RegisterImage was asked for, as they are now. */
  /** What DescribeImages says of it, by its names. */
  readonly properties: Readonly<Record<string, string>>;
  readonly tags: Tags;
}

export interface Images {
  register(spec: ImageSpec): Promise<{ imageId: string }>;
  /** Makes an image, and the snapshot of its root, of an instance that is stopped. */
  createFromInstance(spec: InstanceImageSpec): Promise<{ imageId: string }>;
  /** Launches of the image will require IMDSv2; this cannot be taken back. */
  requireImdsV2(imageId: string): Promise<void>;
  describe(imageId: string): Promise<Image | undefined>;
  /** Own images of that exact name. */
  findByName(name: string): Promise<Image[]>;
  findByBuild(build: string): Promise<Image[]>;
  /** What any build made. */
  findOfAnyBuild(): Promise<OfBuild<Image>[]>;
  /** Whether there is such an image, its own or another's, and this account may launch it. */
  launchable(imageId: string): Promise<boolean>;
  /** Adds a tag to an image of the factory. */
  tag(imageId: string, key: string, value: string): Promise<void>;
  /** No error when it is gone. */
  deregister(imageId: string): Promise<void>;
}

/** A port of each region. */
export type Regional<Ports> = (region: string) => Ports;

/** What CopyImage is asked for, in the region that gets the copy. */
export interface CopySpec {
  readonly clientToken: string;
  readonly name: string;
  readonly description: string;
  readonly source: { readonly region: string; readonly imageId: string };
  /** Null: as the source is. A null key is the account's key for EBS in that region. */
  readonly encryption: Encryption | null;
  /** Of the image and of its snapshot. */
  readonly tags: Tags;
}

export interface ImageCopies {
  /** Begins a copy. Throws errors named by their EC2 code, such as `ResourceLimitExceeded`. */
  copy(spec: CopySpec): Promise<{ imageId: string }>;
  /** How many images of this account are still being made or copied to the region. */
  pending(): Promise<number>;
}

/** Who may launch an image, and how long others find it. */
export interface ImageAccess {
  /** `all`, accounts, and ARNs of organizations and organizational units, in that order. */
  permissions(imageId: string): Promise<string[]>;
  /** Adds some; what is there stays. */
  allow(imageId: string, permissions: readonly string[]): Promise<void>;
  withdraw(imageId: string, permissions: readonly string[]): Promise<void>;
  /** At an ISO time. */
  deprecate(imageId: string, at: string): Promise<void>;
  undeprecate(imageId: string): Promise<void>;
}

/** What a region lets this account do with images. */
export interface ImageRules {
  /** Every region there is, and whether this account can use it. */
  regions(): Promise<ReadonlyMap<string, boolean>>;
  /** Whether the account refuses to make images public there. */
  publicBlocked(): Promise<boolean>;
  /** Own public images. */
  publicImages(): Promise<{ readonly imageId: string; readonly name: string }[]>;
  /** Whether everything on EBS is encrypted there, asked for or not. */
  encryptsByDefault(): Promise<boolean>;
}

/** Undefined when there is no such key. */
export interface Keys {
  describe(keyId: string): Promise<
    | {
        readonly arn: string;
        readonly state: string;
        /** It can encrypt a disk now. */
        readonly usable: boolean;
        /** AWS made it for its own service: what it encrypts cannot be shared. */
        readonly ofAws: boolean;
      }
    | undefined
  >;
}

export interface Quotas {
  /** The value of a quota; undefined when the account has none of its own, or may not know. */
  value(service: string, code: string): Promise<number | undefined>;
}

/** A parameter as readers find it. */
export interface PublishedParameter {
  readonly value: string;
  readonly version: number;
  readonly type: string;
  readonly dataType: string;
}

/** SSM parameters of which each names an image. */
export interface ImageParameters {
  get(name: string): Promise<PublishedParameter | undefined>;
  /** Makes or changes it. Parameter Store looks at the image after it has answered, so what was put must be read back. */
  put(name: string, imageId: string): Promise<void>;
  /** No error when it is gone. */
  delete(name: string): Promise<void>;
}

/** Somebody who needs an image. */
export interface ImageUse {
  readonly imageId: string;
  /** For people, such as `instance i-0123456789abcdef0 (stopped)`. */
  readonly by: string;
  /** The name, if it is an SSM parameter. */
  readonly parameter?: string;
}

export interface ImageUses {
  /** Who needs these images, in one region of this account. Throws when AWS does not say all of it. */
  of(imageIds: readonly string[]): Promise<ImageUse[]>;
}

/** Images that are there and out of use. */
export interface Shelf {
  /** From now on nobody can launch it, and nobody else sees it: its launch permissions are gone. */
  disable(imageId: string): Promise<void>;
  /** The way back, but for the permissions. */
  enable(imageId: string): Promise<void>;
  /** Tags of images and snapshots. */
  mark(ids: readonly string[], key: string, value: string): Promise<void>;
  unmark(ids: readonly string[], key: string): Promise<void>;
}

/** One plain text mail. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
}

export interface MailRelay {
  readonly host: string;
  readonly port: number;
  /** From the first byte, or asked for and insisted on, or not at all. */
  readonly tls: 'tls' | 'starttls' | 'none';
  readonly user?: string;
  readonly password?: string;
}

export interface Mailers {
  /** Whether SES may send in the name of this address. */
  sesVerified(address: string): Promise<boolean>;
  ses(mail: Mail): Promise<void>;
  /** The recipients that the relay refused; throws when it took the mail for none. */
  relay(relay: MailRelay, mail: Mail): Promise<readonly string[]>;
}

export interface Webhooks {
  /** Throws `NoticeUndelivered` for whatever is no 2xx. */
  post(url: string, body: string, headers: Readonly<Record<string, string>>): Promise<void>;
}

/** What the account's event bus is told. */
export interface Notices {
  tell(what: string, detail: Readonly<Record<string, unknown>>): Promise<void>;
}

/** What Step Functions says of the execution that a build is. `unknown`: there is no such execution, or none any more. */
export type BuildExecution =
  | { readonly status: 'running' }
  | { readonly status: 'unknown' }
  | {
      readonly status: 'ended';
      readonly outcome: 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';
      readonly startedAt: number;
      /** When it ended; undefined when Step Functions does not say. */
      readonly endedAt?: number | undefined;
      /** The JSON that it ended with; undefined when there is none. */
      readonly output: string | undefined;
      /** The code that it failed with. */
      readonly error?: string | undefined;
    };

export interface Executions {
  /** The execution of a build. Whatever is not surely ended runs. */
  describe(build: string): Promise<BuildExecution>;
  /** All that succeeded and that Step Functions remembers; `id` is for `output`. */
  successes(): Promise<readonly { readonly id: string; readonly endedAt: number | undefined }[]>;
  /** JSON; undefined when Step Functions does not remember it. */
  output(id: string): Promise<string | undefined>;
}

/** How builds of the same factory ended. */
export interface Outcomes {
  /** False also of what nobody knows any more. */
  succeeded(build: string): Promise<boolean>;
  /** The same of a matrix of builds. */
  matrixSucceeded(matrix: string): Promise<boolean>;
}

/** Something that happened in an execution; the data that passed between its states is left out. */
export interface HistoryEvent {
  readonly id: number;
  /** The event before it in its line: what happens side by side has lines of its own. 0: it is the first. */
  readonly previous: number;
  /** ISO time. */
  readonly at: string;
  readonly type: string;
  /** Of the state. */
  readonly name?: string | undefined;
  /** What a Task called, such as `lambda`. */
  readonly resourceType?: string | undefined;
  readonly error?: string | undefined;
  readonly cause?: string | undefined;
}

export interface ExecutionHistory {
  /** What happened, in order. */
  events(executionArn: string): Promise<HistoryEvent[]>;
  /** The execution itself, as it is now. */
  describe(executionArn: string): Promise<{
    readonly status: string;
    /** ISO times. */
    readonly startedAt: string;
    readonly endedAt: string | null;
    /** JSON. */
    readonly input: string;
    readonly output?: string | undefined;
    readonly error?: string | undefined;
    readonly cause?: string | undefined;
  }>;
  /** What the newest state was given that was given the state of a build; undefined before the first. */
  newestState(executionArn: string): Promise<unknown>;
}

/** One execution of the factory's state machine. */
export interface BuildRun {
  readonly name: string;
  readonly arn: string;
  readonly status: BuildStatus;
  /** ISO times. */
  readonly startedAt: string;
  readonly endedAt: string | null;
}

/** The executions of one factory, as its users see, start and stop them; by the name of the build. */
export interface BuildRuns {
  /**
   * Starts an execution, or finds the one that runs with this name and input, and tells since when. `taken`: the name is that of an
   * execution that is over, or has another input.
   */
  start(name: string, input: string): Promise<{ readonly startedAt: number } | 'taken'>;
  find(name: string): Promise<
    | (BuildRun & {
        /** The JSON that it was started with, and the JSON that it ended with. */
        readonly input: string;
        readonly output: string | undefined;
        readonly error: string | undefined;
        readonly cause: string | undefined;
      })
    | undefined
  >;
  /** The newest first. Throws `InvalidToken` for a token that is not of such a list, or too old. */
  list(asked: {
    readonly status?: BuildStatus | undefined;
    readonly limit: number;
    readonly nextToken?: string | undefined;
  }): Promise<{ readonly runs: readonly BuildRun[]; readonly nextToken: string | null }>;
  stop(name: string, why: { readonly error: string; readonly cause: string }): Promise<void>;
  /** The state in which it is; null when it has not come to any. */
  currentState(name: string): Promise<string | null>;
}

/** Another function of the factory. */
export interface Functions {
  /** Its answer. Throws errors by the name that it gave them, and `TimeoutError` when it takes longer; it goes on then. */
  invoke(name: string, payload: object, milliseconds: number): Promise<unknown>;
}

export interface Artifacts {
  put(key: string, body: string | Uint8Array, contentType: string): Promise<void>;
  /** Undefined when there is no such object, or none that this function may read. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Within the bucket; what is there already is replaced. */
  copy(from: string, to: string): Promise<void>;
  /** A URL that fetches the object without credentials; a secret while it is valid. */
  presign(key: string, seconds: number): Promise<string>;
  /** A URL to which the object can be put without credentials; a secret while it is valid. */
  presignPut(key: string, seconds: number): Promise<string>;
}

/** Objects of the artifacts bucket that the factory reads again. */
export interface Records {
  put(key: string, text: string): Promise<void>;
  /** Throws `NoSuchKey` when there is none. */
  get(key: string): Promise<string>;
  /** All keys that begin so. */
  list(prefix: string): Promise<string[]>;
  /** No error when it is gone. */
  delete(key: string): Promise<void>;
}

/** Objects of the recipe's author: s3://bucket/key. */
export interface Sources {
  /** A URL that fetches the object without credentials; a secret while it is valid. */
  presign(uri: string, seconds: number): Promise<string>;
}

export interface Parameters {
  /** The value of a parameter; undefined when there is none. */
  get(name: string): Promise<string | undefined>;
}

export type MirrorAnswer =
  | { readonly status: 'found'; readonly text: string }
  | { readonly status: 'absent' }
  | {
      readonly status: 'unreachable';
      readonly reason: string;
      /** It said nothing at all: the network failed, or the time was over. The next question would take as long. */
      readonly silent?: true;
    };

export type MirrorDigest =
  | { readonly status: 'found'; readonly sha256: string; readonly bytes: number }
  | Exclude<MirrorAnswer, { readonly status: 'found' }>;

/** A file of which only the head was asked for. */
export type MirrorHead =
  | {
      readonly status: 'found';
      /** Undefined when the server does not say. */
      readonly bytes: number | undefined;
      readonly type: string;
    }
  | Exclude<MirrorAnswer, { readonly status: 'found' }>;

export type MirrorBytes =
  | { readonly status: 'found'; readonly bytes: Uint8Array }
  | Exclude<MirrorAnswer, { readonly status: 'found' }>;

/** More of what a server of files may tell. Never throws for what a server may do. */
export interface MirrorFiles {
  head(url: string): Promise<MirrorHead>;
  /** Reads a small file that is no text. */
  bytes(url: string): Promise<MirrorBytes>;
}

/** Where the patches of releases are published. */
export interface UpdateServer {
  /** The patch level of a release today; undefined when the server has none of it. Throws `MirrorUnreachable` and `UpdatesUntrusted`. */
  patchLevel(release: string, architecture: 'amd64' | 'arm64'): Promise<number | undefined>;
}

export interface Mirror {
  /** Reads a small text file. Never throws for what a mirror may do. */
  read(url: string): Promise<MirrorAnswer>;
  /** SHA-256 and length of a file of any size. Never throws for what a mirror may do. */
  digest(url: string): Promise<MirrorDigest>;
}
