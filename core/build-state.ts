import * as z from 'zod/mini';
import { FactoryError } from './errors.ts';

const instanceId = z.string().check(z.regex(/^i-[0-9a-f]+$/));
const volumeId = z.string().check(z.regex(/^vol-[0-9a-f]+$/));
const snapshotId = z.string().check(z.regex(/^snap-[0-9a-f]+$/));
const imageId = z.string().check(z.regex(/^ami-[0-9a-f]+$/));
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));

/** In the order in which a boot goes through them. */
export const bootPhases = ['firmware', 'kernel', 'host-keys', 'login'] as const;
export type BootPhase = (typeof bootPhases)[number];

const waiting = z.object({
  ready: z.boolean(),
  /** When this wait began, epoch milliseconds. */
  since: z.number(),
  /** Polls since the worker ended without a report. */
  goneFor: z.int(),
  /** What was seen last: a state, or the last console line. */
  seen: z.string(),
  /** When that was first seen, epoch milliseconds. */
  seenAt: z.number(),
});

/** What a look at a copy may see: nothing begun yet, no answer about it, copying, not what was asked for, or all as it should be. */
export const copySights = ['none', 'missing', 'pending', 'different', 'agreed'] as const;

/** What the state machine carries from state to state. Reading it top to bottom is reading a build. */
export const buildState = z.object({
  // Given by the caller.
  recipe: z.unknown(),
  /** Stop after Plan. */
  dryRun: z._default(z.boolean(), false),

  /** Also given: the matrix that publishes all its images together. The build ends before Publish, with everything kept. */
  matrix: z.optional(z.string()),

  // Added by Plan.
  plan: z.object({
    build: z.string(),
    recipeDigest: sha256,
    contentDigest: sha256,
    release: z.string(),
    architecture: z.enum(['amd64', 'arm64']),
    filesystem: z.enum(['ufs', 'zfs']),
    flavour: z.string(),
    rootSizeGiB: z.int(),
    /** How the disk becomes an AMI. */
    road: z.enum(['unix', 'windows', 'ebs-direct']),
    /** Null: not encrypted, unless the account encrypts everything. A null key is the account's key for EBS. */
    encryption: z.nullable(z.object({ kmsKeyId: z.nullable(z.string()) })),
    /** What the caller should know before anything is paid for. */
    warnings: z.array(z.string()),
    /** What is expected: seconds and US dollars, all of it about. Absent in builds of versions that did not tell. */
    estimate: z.optional(
      z.object({
        seconds: z.number(),
        dollars: z.number(),
        phases: z.array(z.object({ name: z.string(), seconds: z.number() })),
      }),
    ),
    worker: z.object({
      imageId,
      instanceTypes: z.array(z.string()).check(z.minLength(1)),
      secondsAllowed: z.int(),
    }),
    job: z.object({ key: z.string(), sha256 }),
    /** The Windows whose place the image takes, on that road; null on the others. */
    windows: z.nullable(
      z.object({
        imageId,
        instanceTypes: z.array(z.string()).check(z.minLength(1)),
        /** What the image will have of the Windows AMI, by the names of DescribeImages. */
        inherited: z.record(z.string(), z.string()),
      }),
    ),
    /** How the image is tried before it is delivered; null when the recipe does not want that. */
    bootTest: z.nullable(
      z.object({
        /** The machines to boot it on, all of them; each with its types, of which the first that has capacity is taken. */
        machines: z.array(z.array(z.string()).check(z.minLength(1))).check(z.minLength(1)),
        secondsAllowed: z.int(),
        /** Whether the image prints the fingerprints of its host keys, as ec2_loghostkey does. */
        hostKeys: z.boolean(),
      }),
    ),
    /** Where the image goes; null when it stays where it is made, and its owner's alone. */
    distribution: z.nullable(
      z.object({
        /** Beside the region of the execution. */
        regions: z.array(z.object({ region: z.string(), kmsKeyId: z.nullable(z.string()) })),
        share: z.object({
          accounts: z.array(z.string()),
          organizations: z.array(z.string()),
          organizationalUnits: z.array(z.string()),
          public: z.boolean(),
        }),
        /** Path of its SSM parameters, without a slash at the end. */
        parameters: z.nullable(z.string()),
        /** Days. */
        deprecateAfter: z.nullable(z.int()),
      }),
    ),
    image: z.object({
      name: z.string(),
      description: z.string(),
      architecture: z.enum(['x86_64', 'arm64']),
      bootMode: z.enum(['uefi', 'uefi-preferred', 'legacy-bios']),
      imdsV2Only: z.boolean(),
      tpm: z.boolean(),
      iops: z.optional(z.int()),
      throughput: z.optional(z.int()),
      rootDeviceName: z.string(),
      tags: z.record(z.string(), z.string()),
    }),
  }),
  /** The image, when an earlier build already made it. */
  adopted: z.nullable(z.object({ imageId, snapshotId })),

  // Added by Preflight.
  preflight: z.object({
    /** ARNs of the keys that copies are encrypted with, by region. */
    kmsKeys: z.record(z.string(), z.string()),
  }),

  // Added by Launch.
  worker: z.object({
    instanceId,
    /** Of the target; on the road without a volume there is none. */
    volumeId: z.optional(volumeId),
    zone: z.string(),
    instanceType: z.string(),
    launchedAt: z.number(),
  }),

  // Added by Attach.
  attached: z.object({ device: z.string(), at: z.number() }),

  // Added by every WaitFor… state.
  waiting,

  // Added by WaitForWorker.
  report: z.looseObject({
    seconds: z.number(),
    phases: z.array(z.object({ name: z.string(), seconds: z.number(), bytes: z.optional(z.number()) })),
    /** How the disk was sent when there is no volume. */
    blocks: z.optional(z.object({ pieces: z.int(), count: z.int(), indexSha256: sha256 })),
  }),

  // Added by Snapshot or StartSnapshot.
  snapshot: z.object({
    snapshotId,
    startedAt: z.number(),
    /** The failed build that made it, when this one goes on from there. */
    from: z.optional(z.string()),
  }),

  // Added by LaunchWindows.
  windows: z.object({
    instanceId,
    /** The disk that takes the place of its root. */
    volumeId,
    /** What that disk was made of. */
    snapshotId,
    instanceType: z.string(),
    launchedAt: z.number(),
  }),

  // Added by Register or CreateImage. What CreateImage has made takes the place of the snapshot in WaitForImage.
  image: z.object({ imageId, registeredAt: z.number() }),

  // Added by LaunchBootTest; WaitForBoot notes what it sees.
  bootTest: z.object({
    machines: z.array(
      z.object({
        instanceId,
        instanceType: z.string(),
        launchedAt: z.number(),
        /** How far the image has come, and when that was seen first, in seconds after the launch. */
        phases: z.array(z.object({ name: z.enum(bootPhases), seconds: z.number() })),
        /** Ready when the image has passed on this machine. */
        watch: waiting,
      }),
    ),
  }),

  // Added by Distribute, which looks at all copies at once.
  distribution: z.object({
    ready: z.boolean(),
    /** When it began, epoch milliseconds. */
    since: z.number(),
    /** Until the next look. */
    pauseSeconds: z.int(),
    copies: z.array(
      z.object({
        region: z.string(),
        imageId: z.nullable(imageId),
        snapshotId: z.nullable(snapshotId),
        saw: z.enum(copySights),
        /** How many looks in a row saw this. */
        looks: z.int(),
        /** What was seen, for people. */
        told: z.string(),
      }),
    ),
  }),

  // Added by Publish.
  publication: z.object({
    at: z.iso.datetime(),
    /** The image of each region, the factory's own first. */
    regions: z.array(z.object({ region: z.string(), imageId, snapshotId })),
    /** SSM parameters, the same in every region; the last is `latest`. */
    parameters: z.array(z.string()),
  }),

  // Added by RollBack.
  rolledBack: z.object({
    /** Copies that wait for the next attempt, and those that are gone. */
    kept: z.array(z.string()),
    removed: z.array(z.string()),
  }),

  // Added by Salvage.
  salvaged: z.object({
    /** Images and snapshots that wait for the next attempt. */
    kept: z.array(z.string()),
    /** Where to read more and how to go on: lines for people. */
    told: z.string(),
  }),

  // Added by CleanUp.
  cleaned: z.object({
    instances: z.array(z.string()),
    volumes: z.array(z.string()),
    snapshots: z.array(z.string()),
    images: z.array(z.string()),
  }),
});

export type BuildState = z.output<typeof buildState>;

/** What the state machine says of the execution that calls a step. */
export const executionSchema = z.object({ name: z.string(), arn: z.string(), startTime: z.iso.datetime() });
export type Execution = z.output<typeof executionSchema>;

/** The region of an ARN: the factory's own, in which images are made. */
export const regionOf = (arn: string): string => arn.split(':')[3] ?? '';

/** Parses the slice of the state that a step declares. Throws `InvalidState` that names the fields. */
export function parseSlice<T extends z.ZodMiniType>(schema: T, value: unknown, step: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new FactoryError(
    'InvalidState',
    {
      message: `${step} cannot work with this state:\n${z.prettifyError(result.error)}`,
      remedy:
        'start the state machine with {"recipe": …} only; if that was done, statemachines/ and the functions are of different versions: deploy again.',
    },
    { cause: result.error },
  );
}

/** What this state of the machine cannot do without, although other states can. */
export function required<T>(value: T | null | undefined, field: string): T {
  if (value !== undefined && value !== null) return value;
  throw new FactoryError('InvalidState', {
    message: `the state has no ${field}, which this step is about`,
    remedy: 'statemachines/ and the functions are of different versions: deploy again.',
  });
}
