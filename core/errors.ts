/** Who has to act on an error. `caller` is the recipe's author; `factory` is us; `aws` the account or the service. */
export type ErrorOwner = 'caller' | 'factory' | 'aws' | 'worker';

interface ErrorEntry {
  readonly owner: ErrorOwner;
  /** Whether the same call may succeed later; the state machine retries exactly these. */
  readonly retryable: boolean;
  /** What the code means, in one line; heads the code's entry in docs/runbook.md. */
  readonly meaning: string;
}

/**
 * Every error code of the factory. The code is the error's `name`, so a state machine matches it in `ErrorEquals`,
 * and it is the anchor of its entry in docs/runbook.md (a test keeps the two lists equal).
 */
export const errorCatalogue = {
  InvalidRecipe: { owner: 'caller', retryable: false, meaning: 'The recipe does not fit its schema.' },
  InvalidState: {
    owner: 'factory',
    retryable: false,
    meaning: 'A step was handed a state that lacks what it needs.',
  },
  ConfigurationError: {
    owner: 'factory',
    retryable: false,
    meaning: 'A function lacks a setting it needs in its environment.',
  },
  ReleaseNotFound: {
    owner: 'caller',
    retryable: false,
    meaning: 'No mirror has the release for this architecture.',
  },
  ManifestMissing: {
    owner: 'caller',
    retryable: false,
    meaning: 'The release directory exists, but has no MANIFEST.',
  },
  ManifestInvalid: {
    owner: 'caller',
    retryable: false,
    meaning: 'The MANIFEST is not in the format of FreeBSD releases.',
  },
  ManifestMismatch: {
    owner: 'caller',
    retryable: false,
    meaning: 'Two mirrors disagree about the MANIFEST of one release.',
  },
  SetUnknown: {
    owner: 'caller',
    retryable: false,
    meaning: 'The recipe asks for a set that the MANIFEST does not list.',
  },
  MirrorUnreachable: { owner: 'aws', retryable: true, meaning: 'No mirror answered.' },
  UpdatesUntrusted: {
    owner: 'caller',
    retryable: false,
    meaning: 'What the update server says is not signed with FreeBSD’s key.',
  },
  WatchIncomplete: {
    owner: 'factory',
    // No state machine runs the watcher; its schedule does.
    retryable: false,
    meaning: 'The release watcher could not look at everything, or not start what is due.',
  },
  SubscriptionNotFound: {
    owner: 'caller',
    retryable: false,
    meaning: 'There is no subscription of that name.',
  },
  WorkerImageNotFound: {
    owner: 'factory',
    retryable: false,
    meaning: 'The AMI that the worker should boot cannot be found.',
  },
  AmbiguousResource: {
    owner: 'factory',
    retryable: false,
    meaning: 'Two resources carry the name that only one may carry.',
  },
  BuildNotFound: {
    owner: 'caller',
    retryable: false,
    meaning: 'There is no such build, or no factory to ask.',
  },
  BuildRunning: { owner: 'caller', retryable: false, meaning: 'The build runs, so it cannot be resumed.' },
  ImageNameTaken: {
    owner: 'caller',
    retryable: false,
    meaning: 'An AMI of the wanted name exists and is not the one to be made.',
  },
  ImageMismatch: {
    owner: 'aws',
    retryable: false,
    meaning: 'The registered AMI differs from what was asked for.',
  },
  WindowsImageUnusable: {
    owner: 'factory',
    retryable: false,
    meaning: 'The Windows AMI cannot be found, or cannot lend its place to FreeBSD.',
  },
  WindowsDied: {
    owner: 'aws',
    retryable: false,
    meaning: 'The Windows instance ended before its root was replaced.',
  },
  RootSwapDisturbed: {
    owner: 'caller',
    retryable: false,
    meaning: 'Somebody else started the Windows instance, or changed its disks, while its root was replaced.',
  },
  ImageNotWindows: {
    owner: 'aws',
    retryable: false,
    meaning: 'The AMI made on the windows road is not billed as Windows.',
  },
  ImageFailed: { owner: 'aws', retryable: false, meaning: 'The AMI went to a failed state.' },
  InsufficientCapacity: {
    owner: 'aws',
    retryable: true,
    meaning: 'No zone has room for any of the worker instance types.',
  },
  VolumeBusy: { owner: 'aws', retryable: true, meaning: 'The target volume is still attached.' },
  VolumeFailed: { owner: 'aws', retryable: false, meaning: 'The target volume went to an error state.' },
  SnapshotFailed: { owner: 'aws', retryable: false, meaning: 'The snapshot went to an error state.' },
  StillTerminating: {
    owner: 'aws',
    retryable: true,
    meaning: 'Resources of the build are going away, but not gone yet.',
  },
  LeftoversRemain: {
    owner: 'factory',
    // No state machine runs the reaper; its schedule does.
    retryable: false,
    meaning: 'The reaper could not end something, or could not tell whether it may.',
  },
  WaitTimedOut: {
    owner: 'aws',
    retryable: false,
    meaning: 'A resource did not reach its state in the time allowed.',
  },
  WorkerDied: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker instance ended without a report.',
  },
  WorkerSilent: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker has printed nothing for too long.',
  },
  WorkerTimedOut: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker did not finish in the time allowed.',
  },
  PayloadUnavailable: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker could not fetch its program or its job.',
  },
  PayloadChecksumMismatch: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker fetched a program or job that is not the one it was told of.',
  },
  UsageError: { owner: 'worker', retryable: false, meaning: 'The worker was started with wrong options.' },
  BadJob: { owner: 'worker', retryable: false, meaning: 'The worker does not understand its job.' },
  TargetDiskMissing: {
    owner: 'worker',
    retryable: false,
    meaning: 'The target volume did not appear in the worker.',
  },
  VolumeTooSmall: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image does not fit on the root volume.',
  },
  ToolMissing: { owner: 'worker', retryable: false, meaning: 'The worker lacks a program it needs.' },
  SetNotFound: { owner: 'caller', retryable: false, meaning: 'A set is in the MANIFEST, but on no mirror.' },
  SetTruncated: {
    owner: 'caller',
    retryable: false,
    meaning: 'The download of a set ended early every time.',
  },
  SetChecksumMismatch: {
    owner: 'caller',
    retryable: false,
    meaning: 'A set is not the one its MANIFEST describes.',
  },
  ExtractFailed: { owner: 'worker', retryable: false, meaning: 'A verified set could not be extracted.' },
  LoaderMissing: { owner: 'caller', retryable: false, meaning: 'The release has no boot loader.' },
  FilesystemFailed: { owner: 'worker', retryable: false, meaning: 'The file system could not be made.' },
  WriteFailed: { owner: 'worker', retryable: false, meaning: 'The target volume could not be written.' },
  VerifyFailed: {
    owner: 'worker',
    retryable: false,
    meaning: 'What was read back from the target volume is not what was written.',
  },
  DeadlineExceeded: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker stopped itself at its deadline.',
  },
  UnsupportedOnPlatform: {
    owner: 'caller',
    retryable: false,
    meaning: 'The recipe asks for something that this kind of worker cannot do.',
  },
  SourceUnavailable: {
    owner: 'caller',
    retryable: false,
    meaning: 'A file or set that the recipe names by url or s3 could not be fetched as it was pinned.',
  },
  RepositoryUnavailable: {
    owner: 'caller',
    retryable: true,
    meaning: 'A package repository does not answer or has no catalogue.',
  },
  RepositoryUntrusted: {
    owner: 'caller',
    retryable: false,
    meaning: 'The catalogue of a package repository is not signed by a key that is trusted.',
  },
  PackageNotFound: {
    owner: 'caller',
    retryable: false,
    meaning: 'A package is in none of the repositories.',
  },
  PackageConflict: {
    owner: 'caller',
    retryable: false,
    meaning: 'Two packages cannot be installed together.',
  },
  PackageChecksumMismatch: {
    owner: 'caller',
    retryable: false,
    meaning: 'A package is not the one that its repository lists.',
  },
  PackageScriptsUnsupported: {
    owner: 'caller',
    retryable: false,
    meaning: 'A package has scripts that only FreeBSD can run, and this worker is Linux.',
  },
  PackageFailed: { owner: 'worker', retryable: false, meaning: 'Packages could not be installed.' },
  UpdateFailed: {
    owner: 'worker',
    retryable: false,
    meaning: 'Security updates could not be installed into the image.',
  },
  ScriptFailed: { owner: 'caller', retryable: false, meaning: 'A script of the recipe ended with an error.' },
  AccountInvalid: {
    owner: 'caller',
    retryable: false,
    meaning: 'A user or group of the recipe does not fit those that are there.',
  },
  UploadFailed: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker could not store the manifest or the SBOM.',
  },
  PieceMissing: {
    owner: 'factory',
    retryable: false,
    meaning: 'A piece of the disk, or what was left of its writing, is not in the artifacts bucket.',
  },
  PieceTruncated: {
    owner: 'factory',
    retryable: false,
    meaning: 'A piece of the disk is not as long as the worker sent it.',
  },
  PieceChecksumMismatch: {
    owner: 'factory',
    retryable: false,
    meaning: 'A piece of the disk, or their index, is not what the worker sent.',
  },
  SnapshotRefused: {
    owner: 'aws',
    retryable: false,
    meaning: 'EBS has other blocks in the snapshot than were written.',
  },
  ImageTooLarge: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image has more data than the road without a volume takes.',
  },
  WorkerInterrupted: { owner: 'worker', retryable: false, meaning: 'The worker was told to stop.' },
  WorkerFailed: {
    owner: 'worker',
    retryable: false,
    meaning: 'The worker failed in a way it has no code for.',
  },
  ImageUntested: {
    owner: 'factory',
    retryable: true,
    meaning: 'The wanted AMI exists, but has not passed its boot test.',
  },
  ImageQuarantined: {
    owner: 'factory',
    retryable: false,
    meaning: 'The wanted AMI exists, but it has been put away.',
  },
  ImageInUse: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image that should be retired is in use.',
  },
  ImageUnknown: {
    owner: 'caller',
    retryable: false,
    meaning: 'Retention was asked about an image that the factory did not make.',
  },
  RetentionIncomplete: {
    owner: 'factory',
    // No state machine runs retention; its schedule does.
    retryable: false,
    meaning: 'Retention could not tell whether an image may go, or AWS refused: the image stays.',
  },
  BootPanicked: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image’s kernel panicked while it booted.',
  },
  BootStuckAtMountroot: {
    owner: 'factory',
    retryable: false,
    meaning: 'The image’s kernel found no root file system.',
  },
  BootFsckFailed: {
    owner: 'factory',
    retryable: false,
    meaning: 'A file system of the image needs repair at its first boot.',
  },
  BootSingleUser: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image stopped in single-user mode while it booted.',
  },
  BootLoaderNotFound: {
    owner: 'factory',
    retryable: false,
    meaning: 'The firmware found nothing to boot on the image.',
  },
  BootLoaderFailed: {
    owner: 'factory',
    retryable: false,
    meaning: 'The image’s boot loader found no system to load.',
  },
  BootServiceFailed: {
    owner: 'caller',
    retryable: false,
    meaning: 'A service or rc script of the image failed while it booted.',
  },
  BootNoHostKeys: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image booted to its login prompt, but printed no SSH host keys.',
  },
  BootSilent: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image printed nothing at all while it was given to boot.',
  },
  BootTimedOut: {
    owner: 'caller',
    retryable: false,
    meaning: 'The image did not come to its login prompt in the time allowed.',
  },
  BootDied: {
    owner: 'aws',
    retryable: false,
    meaning: 'The instance that tested the image ended while it booted.',
  },
  PreflightFailed: {
    owner: 'caller',
    retryable: false,
    meaning: 'A region would refuse the image that the recipe distributes.',
  },
  CopyFailed: { owner: 'aws', retryable: false, meaning: 'The copy of an image in another region failed.' },
  CopyMismatch: {
    owner: 'aws',
    retryable: false,
    meaning: 'The copy of an image in another region differs from the image.',
  },
  DistributionTimedOut: {
    owner: 'aws',
    retryable: false,
    meaning: 'The copies in other regions were not there in the time allowed.',
  },
  PublicAccessBlocked: {
    owner: 'caller',
    retryable: false,
    meaning: 'The account does not let images be public in a region.',
  },
  PublicationPending: {
    owner: 'caller',
    retryable: true,
    meaning: 'Another publication of the same image, or to the same parameters, is not at an end.',
  },
  ParameterRefused: {
    owner: 'aws',
    retryable: true,
    meaning: 'Parameter Store does not take the id of an image.',
  },
  InvalidRequest: { owner: 'caller', retryable: false, meaning: 'A request does not fit the HTTP API.' },
  RecipeUnavailable: {
    owner: 'caller',
    retryable: false,
    meaning: 'The recipe cannot be fetched from its URL.',
  },
  BuildOfMatrix: {
    owner: 'caller',
    retryable: false,
    meaning:
      'The build is of a matrix that publishes all its images together, so it cannot be resumed by itself.',
  },
  BuildEnded: { owner: 'caller', retryable: false, meaning: 'The build is over, so it cannot be stopped.' },
  ApiBusy: {
    owner: 'aws',
    retryable: false,
    meaning: 'AWS puts the HTTP API off, or it ran out of time.',
  },
  ApiFailed: { owner: 'factory', retryable: false, meaning: 'The HTTP API failed at a good request.' },
  MatrixFailed: {
    owner: 'caller',
    retryable: false,
    meaning:
      'More builds of a matrix failed than it tolerates, or its images could not be published together.',
  },
  RollBackIncomplete: {
    owner: 'factory',
    retryable: true,
    meaning: 'A region could not be given back what its readers saw before a publication.',
  },
  ExecutionNotSettled: {
    owner: 'aws',
    retryable: false,
    meaning: 'Step Functions says something else of an execution than its event did.',
  },
  NoticeUndelivered: {
    owner: 'factory',
    retryable: false,
    meaning: 'People could not be told of an event by mail or webhook.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorCatalogue, code);

/** The place in docs/runbook.md that explains a code. */
export const runbookAnchor = (code: ErrorCode): string => `docs/runbook.md#${code.toLowerCase()}`;

/** Whether an error is the factory's: AWS has codes of the same name, such as EC2's InvalidRequest, whose cause does not name our runbook. */
export const isOurs = (code: string, cause: string): code is ErrorCode =>
  isErrorCode(code) && cause.includes(runbookAnchor(code));

export interface ErrorText {
  /** What happened, with the names and numbers that matter. */
  readonly message: string;
  /** What the reader can do about it. */
  readonly remedy: string;
}

/**
 * Step Functions keeps 32,768 characters of a cause, and Lambda writes the message twice into it (errorMessage and trace),
 * as JSON, where a quote takes two: a quarter of it, less the remedy and the stack. A cut cause is no JSON any more.
 */
const MESSAGE_LIMIT = 6_000;
const REMEDY_LIMIT = 1_000;

const shortened = (text: string, limit: number): string =>
  text.length > limit ? `${text.slice(0, limit - 1)}…` : text;

/** An error with a stable code. `name` is the code; `message` is what the execution view shows as the cause. */
export class FactoryError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;

  constructor(code: ErrorCode, { message, remedy }: ErrorText, options?: ErrorOptions) {
    const short = shortened(remedy, REMEDY_LIMIT);
    super(`${shortened(message, MESSAGE_LIMIT)}\nRemedy: ${short}\nMore: ${runbookAnchor(code)}`, options);
    this.name = code;
    this.code = code;
    this.remedy = short;
  }
}
