import { BLOCK_BYTES, BLOCKS_PER_PIECE } from './disk-blocks.ts';
import { WINDOWS_DISK_GIB, WINDOWS_VCPUS, WORKER_DISK_GIB } from './machines.ts';
import { HOURS_PER_MONTH, type Prices, pricesOf, transferPrice, usualRegion } from './prices.ts';
import type { ResolvedBuild } from './resolve-build.ts';

/** What an estimate needs to know of a build. */
export interface EstimatedBuild {
  readonly architecture: 'amd64' | 'arm64';
  readonly rootSizeGiB: number;
  /** Names of sets; empty for a system of base packages. */
  readonly sets: readonly string[];
  readonly pkgbase: boolean;
  /** How many packages the recipe and its flavour name; what they depend on is not known before the build. */
  readonly packages: number;
  readonly update: 'none' | 'freebsd-update' | 'pkg';
  /** How the disk becomes an AMI; over a volume when absent. */
  readonly road?: 'unix' | 'windows' | 'ebs-direct' | undefined;
  /** Whether the image is booted before it counts as built. */
  readonly bootTest: boolean;
  /** Whether the image takes the place of Windows, and is billed as such. */
  readonly windows: boolean;
  /** Null: it is not distributed. Else the regions to which it is copied, beside the factory's own. */
  readonly copies: readonly string[] | null;
  /** Of the factory; us-east-1 when it is not known. */
  readonly region?: string;
  /** The worker's instance type, if it is known; else the first that deployments use. */
  readonly instanceType?: string;
}

/** Sizes in bytes, times in seconds, prices in US dollars. All of it is "about". */
export interface Estimate {
  readonly size: {
    readonly download: number;
    readonly extracted: number;
    /** Sets whose size is not known here, and left out of the sums. */
    readonly unknown: readonly string[];
  };
  readonly phases: readonly { readonly name: string; readonly seconds: number; readonly because: string }[];
  readonly seconds: number;
  readonly transitions: number;
  readonly price: {
    readonly build: number;
    readonly monthly: number;
    readonly region: string;
    readonly asOf: string;
    /** Whether all prices are the region's own. */
    readonly exact: boolean;
    readonly lines: readonly { readonly name: string; readonly dollars: number; readonly because: string }[];
  };
}

const MB = 1_000_000;
/** EBS bills what snapshots hold, and what copies transfer, by 2^30 bytes, as core/receipt.ts counts them. */
const GIB = 1024 ** 3;

/**
 * Sizes of sets in MB: the .txz and what comes out of it. Nothing that FreeBSD publishes beside a release tells them (a MANIFEST has
 * numbers of entries only). The one published size found is that of base.txz of 12.2 (183 MB on amd64, 158 MB on arm64: FreeBSD ports,
 * devel/freebsd-sysroot/distinfo); releases since have grown. Every other number is a rough recollection and may be
 * half or twice the truth, until reports of real builds replace it.
 */
const setSizes: Readonly<Record<string, { readonly txz: number; readonly tree: number }>> = {
  base: { txz: 200, tree: 1100 },
  kernel: { txz: 50, tree: 150 },
  lib32: { txz: 60, tree: 250 },
  base_dbg: { txz: 250, tree: 1500 },
  kernel_dbg: { txz: 90, tree: 500 },
  lib32_dbg: { txz: 20, tree: 100 },
  tests: { txz: 20, tree: 200 },
  src: { txz: 220, tree: 1300 },
  ports: { txz: 50, tree: 500 },
  doc: { txz: 5, tree: 20 },
};

/** FreeBSD's own packages of base, a recollection as well: the same files, in packages that zstd packs less tightly than xz. */
const pkgbaseSize = { txz: 350, tree: 1300 };

/** A package with what it depends on: anything from a kilobyte to a gigabyte. */
const packageSize = { txz: 5, tree: 20 };

/** The first types of a deployment (infra/functions.ts; a test compares). */
export const usualInstanceType = { amd64: 'm6i.large', arm64: 'm7g.large' } as const;

/** RunInstances to sshd on FreeBSD 14-current: 29.3 s (ec2-boot-bench, August 2021), and configinit's start of the worker. */
const LAUNCH_SECONDS = 35;

/** Bytes a second from a mirror. Assumed: CDN mirrors give a nearby instance more, far ones less. */
const DOWNLOAD_SPEED = 25 * MB;

/** Bytes a second out of xz and onto the worker's own gp3: 442 MB in 6.4 s on two cores in `make image` (README). */
const EXTRACT_SPEED = 65 * MB;

/** gp3 without more throughput than it comes with: 125 MiB/s (EBS User Guide, "General Purpose SSD volumes"). */
const VOLUME_SPEED = 125 * 1024 ** 2;

/** A package in pkg: unpacking, scripts. Assumed. */
const PACKAGE_SECONDS = 3;

/** freebsd-update fetches hundreds of small patches one by one; pkg upgrade does not. Assumed. */
const UPDATE_SECONDS = { none: 0, pkg: 60, 'freebsd-update': 300 } as const;

/** No figure is published. "Under 30 s" was told of small images (CloudCaptain); 8 GiB take minutes elsewhere. */
const SNAPSHOT_SPEED = 20 * MB;

/** As the worker, and some polls of a console that lags. Updates at first boot take longer, and are not known here. */
const BOOT_TEST_SECONDS = 60;

/** Windows boots for a minute or two; stopping it and changing its disk takes as long. Assumed. */
const WINDOWS_SECONDS = 240;

/** Of these it is billed for those in which it runs. Assumed. */
const WINDOWS_RUNNING_SECONDS = 120;

/** Detaching, RegisterImage and its polls, clean-up: no published figures; one poll of each. */
const REST_SECONDS = 20;

/** Bytes a second of a copy to another region. AWS promises nothing but 500 MiB/s of copies that are paid for by time; a guess. */
const COPY_SPEED = 20 * MB;

/** Permissions, dates and parameters, and reading them back; no figure is published. */
const PUBLISH_SECONDS = 10;

/** PutSnapshotBlock from EC2: 228 MiB/s were told of 4 GiB (NixOS/amis#364, April 2026). From Lambda, through S3: assumed half of it. */
const BLOCKS_SPEED = 114 * 1024 ** 2;

/** Onto S3 from the worker, by one connection: assumed. */
const UPLOAD_SPEED = 80 * 1024 ** 2;

/** States of a build without its polls, and seconds between two polls (statemachines/build-image.asl.json; a test compares). */
export const stateMachineShape = {
  states: 23,
  tasks: 12,
  /** Those of the boot test. */
  bootTest: { states: 3, tasks: 2 },
  /** What the windows road has more than the others. */
  windows: { states: 3, tasks: 2 },
  /** What a distribution has more. */
  distribution: { states: 5, tasks: 3 },
  /** More than over a volume: without Attach and Snapshot, with StartSnapshot, WriteEveryPiece and CompleteSnapshot; then one for each piece. */
  withoutVolume: { states: 1, tasks: 0 },
  poll: { copies: 10, worker: 8, snapshot: 10, boot: 8, windows: 5 },
  statesPerPoll: 3,
} as const;

/** Seconds of Lambda for a Task, at 256 MB (infra/functions.ts): a cold start and a few calls. */
const TASK_SECONDS = 1;
const TASK_GIGABYTES = 0.25;

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

const none = { states: 0, tasks: 0 };

/** What an estimate needs to know of a resolved build. */
export const estimated = ({ recipe, sets, contents }: ResolvedBuild): EstimatedBuild => ({
  architecture: recipe.architecture,
  rootSizeGiB: recipe.rootSize,
  road: recipe.image.road,
  sets: sets.map(({ name }) => name),
  pkgbase: recipe.system === 'pkgbase',
  packages: contents.packages.filter(({ repository }) => repository === '').length,
  update: contents.update,
  bootTest: recipe.bootTest !== false,
  windows: recipe.image.road === 'windows',
  copies: recipe.distribution?.regions ?? null,
});

/** What a build will take, roughly: nothing here was measured on AWS. */
export function estimate(build: EstimatedBuild): Estimate {
  const prices = pricesOf(build.region ?? usualRegion);
  const copied = (build.copies ?? []).filter((region) => region !== prices.region);
  const size = sizeOf(build);
  const phases = phasesOf(build, size);
  const seconds = Math.round(sum(phases.map((phase) => phase.seconds)));
  const of = (name: string) => phases.find((phase) => phase.name === name)?.seconds ?? 0;
  const snapshot = of('snapshot') + of('blocks');
  const boot = of('boot test');
  const windows = of('windows');
  const copies = of('copies');
  const worker = seconds - snapshot - of('register') - boot - windows - copies - of('publication');
  const { poll, statesPerPoll, withoutVolume } = stateMachineShape;
  const direct = build.road === 'ebs-direct';
  const blocks = direct ? Math.ceil(size.extracted / BLOCK_BYTES) : 0;
  const pieces = Math.ceil(blocks / BLOCKS_PER_PIECE);
  const unused = build.bootTest ? none : stateMachineShape.bootTest;
  const roadMore = direct ? withoutVolume : none;
  const more = build.windows ? stateMachineShape.windows : roadMore;
  const distributed = build.copies === null ? none : stateMachineShape.distribution;
  const tasks = stateMachineShape.tasks - unused.tasks + more.tasks + distributed.tasks + pieces;
  const states = stateMachineShape.states - unused.states + more.states + distributed.states + pieces;
  const polls =
    Math.ceil(worker / poll.worker) +
    Math.ceil(snapshot / poll.snapshot) +
    Math.ceil(windows / poll.windows) +
    Math.ceil(copies / poll.copies) +
    Math.ceil(boot / poll.boot);
  const transitions = states + polls * statesPerPoll;

  const instanceType = build.instanceType ?? usualInstanceType[build.architecture];
  const hours = worker / 3600;
  // The deployment's first type for boot tests is the worker's (infra/functions.ts; a test compares).
  const bootHours = boot / 3600;
  const windowsHours = build.windows ? WINDOWS_RUNNING_SECONDS / 3600 : 0;
  const transfers = copied.map((to) => transferPrice(prices, to));
  const lines = [
    {
      name: `worker ${instanceType}`,
      dollars: (prices.instanceHour[instanceType] ?? 0) * hours,
      because:
        prices.instanceHour[instanceType] === undefined
          ? 'its price is not known here'
          : `${prices.instanceHour[instanceType]} an hour`,
    },
    ...(build.bootTest
      ? [
          {
            name: `boot test ${usualInstanceType[build.architecture]}`,
            dollars: (prices.instanceHour[usualInstanceType[build.architecture]] ?? 0) * bootHours,
            because: `${prices.instanceHour[usualInstanceType[build.architecture]]} an hour`,
          },
        ]
      : []),
    ...(build.windows ? windowsLines(prices, windowsHours, bootHours, windows / 3600) : []),
    {
      name: 'public address',
      dollars: prices.publicAddressHour * (hours + bootHours + windowsHours),
      because: `${prices.publicAddressHour} an hour`,
    },
    ...(direct
      ? [
          {
            name: 'blocks',
            dollars: blocks * prices.putSnapshotBlock,
            because: `about ${blocks} of 512 KiB, ${prices.putSnapshotBlock * 1000} for a thousand`,
          },
        ]
      : []),
    {
      name: 'volumes (gp3)',
      dollars:
        ((((direct ? 0 : build.rootSizeGiB) + WORKER_DISK_GIB) * hours + build.rootSizeGiB * bootHours) *
          prices.gp3GigabyteMonth) /
        HOURS_PER_MONTH,
      because: `${direct ? '' : `${build.rootSizeGiB} GiB of the image and `}${WORKER_DISK_GIB} GiB of the worker${build.bootTest ? `, ${build.rootSizeGiB} GiB of the boot test` : ''}, ${prices.gp3GigabyteMonth} a GB-month`,
    },
    ...(copied.length > 0
      ? [
          {
            name: 'transfer of copies',
            dollars: (size.extracted / GIB) * sum(transfers),
            because: `${transfers.length} times what is in the image, ${Math.min(...transfers)} to ${Math.max(...transfers)} a GB`,
          },
        ]
      : []),
    {
      name: 'state machine',
      dollars: transitions * prices.transition,
      because: `about ${transitions} transitions, ${prices.transition * 1000} for a thousand`,
    },
    {
      name: 'Lambda',
      dollars:
        (tasks + polls) *
        (prices.lambdaRequest + TASK_SECONDS * TASK_GIGABYTES * prices.lambdaGigabyteSecond),
      because: `about ${tasks + polls} calls of ${TASK_SECONDS} s with ${TASK_GIGABYTES * 1024} MB`,
    },
  ];
  return {
    size,
    phases,
    seconds,
    transitions,
    price: {
      build: sum(lines.map(({ dollars }) => dollars)),
      monthly:
        (size.extracted / GIB) *
        sum([prices, ...copied.map(pricesOf)].map((one) => one.snapshotGigabyteMonth)),
      region: prices.region,
      asOf: prices.asOf,
      exact: prices.standIns.length === 0,
      lines,
    },
  };
}

/** What the windows road costs more. The licence is paid for the boot test too: its image is billed as Windows. */
function windowsLines(
  prices: Prices,
  running: number,
  boot: number,
  hours: number,
): Estimate['price']['lines'] {
  const type = usualInstanceType.amd64;
  const hour = prices.instanceHour[type] ?? 0;
  return [
    { name: `Windows ${type}`, dollars: hour * running, because: `${hour} an hour without its licence` },
    {
      name: 'Windows licence',
      dollars: prices.windowsCoreHour * WINDOWS_VCPUS * (running + boot),
      because: `${prices.windowsCoreHour} a vCPU-hour, ${WINDOWS_VCPUS} vCPUs, also while the image is tested`,
    },
    {
      name: 'Windows disk',
      dollars: (WINDOWS_DISK_GIB * prices.gp3GigabyteMonth * hours) / HOURS_PER_MONTH,
      because: `${WINDOWS_DISK_GIB} GiB, ${prices.gp3GigabyteMonth} a GB-month`,
    },
  ];
}

function sizeOf({ sets, pkgbase, packages }: EstimatedBuild): Estimate['size'] {
  const known = sets.flatMap((name) => setSizes[name] ?? []);
  const parts = [...known, ...(pkgbase ? [pkgbaseSize] : [])];
  return {
    download: (sum(parts.map(({ txz }) => txz)) + packages * packageSize.txz) * MB,
    extracted: (sum(parts.map(({ tree }) => tree)) + packages * packageSize.tree) * MB,
    unknown: sets.filter((name) => setSizes[name] === undefined),
  };
}

function phasesOf(
  { packages, update, bootTest, windows, copies, road }: EstimatedBuild,
  size: Estimate['size'],
): Estimate['phases'] {
  const { download, extracted } = size;
  return [
    {
      name: 'launch',
      seconds: LAUNCH_SECONDS,
      because: 'FreeBSD boots in about half a minute (ec2-boot-bench, 2021)',
    },
    {
      name: 'fetch',
      seconds: download / DOWNLOAD_SPEED,
      because: `${DOWNLOAD_SPEED / MB} MB/s from a mirror, assumed`,
    },
    {
      name: 'extract',
      seconds: extracted / EXTRACT_SPEED,
      because: `${EXTRACT_SPEED / MB} MB/s, as measured on two cores`,
    },
    {
      name: 'packages',
      seconds: packages * PACKAGE_SECONDS,
      because: `${PACKAGE_SECONDS} s a package, assumed`,
    },
    ...(update === 'none'
      ? []
      : [{ name: 'update', seconds: UPDATE_SECONDS[update], because: `${update}, assumed` }]),
    {
      name: 'file system',
      seconds: extracted / VOLUME_SPEED,
      because: 'made on the worker’s disk, 125 MiB/s',
    },
    ...(road === 'ebs-direct'
      ? [
          { name: 'write', seconds: extracted / UPLOAD_SPEED, because: 'pieces to S3, assumed' },
          {
            name: 'blocks',
            seconds: extracted / BLOCKS_SPEED,
            because: 'from S3 into the snapshot, assumed',
          },
        ]
      : [{ name: 'write', seconds: extracted / VOLUME_SPEED, because: 'onto the volume, 125 MiB/s' }]),
    { name: 'verify', seconds: extracted / VOLUME_SPEED, because: 'read back, 125 MiB/s' },
    {
      name: 'snapshot',
      seconds: Math.max(30, extracted / SNAPSHOT_SPEED),
      because: 'no figure is published; a guess',
    },
    ...(windows
      ? [
          {
            name: 'windows',
            seconds: WINDOWS_SECONDS,
            because:
              'Windows is launched, stopped and replaced, and the disk’s second snapshot holds nothing new; assumed',
          },
        ]
      : []),
    ...(bootTest
      ? [{ name: 'boot test', seconds: BOOT_TEST_SECONDS, because: 'a boot and some polls, assumed' }]
      : []),
    ...(copies?.length
      ? [
          {
            name: 'copies',
            seconds: Math.max(60, extracted / COPY_SPEED),
            because: 'to all regions at once; no figure is published, a guess',
          },
        ]
      : []),
    ...(copies === null
      ? []
      : [{ name: 'publication', seconds: PUBLISH_SECONDS, because: 'no figure is published' }]),
    { name: 'register', seconds: REST_SECONDS, because: 'register and clean up; no figure is published' },
  ].map((phase) => ({ ...phase, seconds: Math.round(phase.seconds) }));
}
