import * as z from 'zod/mini';
import { described } from '../described.ts';
import { matrixBuildStatuses, matrixSummary } from '../matrix.ts';
import { receiptSchema } from './receipt.ts';

/** What the HTTP API takes and gives: types, validation and docs/openapi.json come from here. Times are ISO 8601, durations seconds. */

export const buildStatuses = ['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'] as const;
export type BuildStatus = (typeof buildStatuses)[number];

/**
 * The name of an execution: that of the factory's own (core/names.ts, executionName), or what somebody called one who started it by hand.
 * StartExecution takes no space, none of <>{}[]?*"#%\\^|~`$&,;:/ and no control character; beyond ASCII, CloudWatch has nothing of it.
 */
export const executionNames = /^[A-Za-z0-9!'()+.=@_-]{1,80}$/;
const aBuild = 'A build: the name of its execution, such as web-0861ae9e7de4-2.';
export const askedBuildId = described(z.string().check(z.regex(executionNames)), aBuild);
/** As Step Functions has it, whatever it is. */
export const buildId = described(z.string(), aBuild);
export const imageId = described(z.string().check(z.regex(/^ami-[0-9a-f]{8,17}$/)), 'An AMI.');
export const regionName = described(
  z.string().check(z.regex(/^[a-z]{2}(-[a-z]+){1,2}-\d{1,2}$/)),
  'An AWS Region, such as eu-west-1.',
);
const time = z.iso.datetime();
const nextToken = described(
  z.nullable(z.string()),
  'Give it as `nextToken` for the next page; null on the last one.',
);

/** RFC 9457, with what the factory knows beyond it. */
export const problemSchema = z.object({
  type: described(z.string(), 'The entry of the runbook.'),
  title: described(z.string(), 'What the code means.'),
  status: z.int(),
  detail: described(z.string(), 'What is wrong here.'),
  code: described(z.string(), 'The stable name of the error.'),
  remedy: described(z.string(), 'What to do about it.'),
  field: described(z.nullable(z.string()), 'The field that is wrong, if it is one.'),
  errors: described(
    z.array(z.object({ field: z.string(), message: z.string() })),
    'All fields that are wrong; empty when the problem is none of fields.',
  ),
});
export type Problem = z.output<typeof problemSchema>;

export const startBuildSchema = z.strictObject({
  recipe: described(
    z.optional(z.union([z.record(z.string(), z.unknown()), z.string().check(z.minLength(1))])),
    'A recipe as an object, or its YAML; with `parameters` and `matrix` if it has them, without `extends`.',
  ),
  recipeUrl: described(
    z.optional(z.string().check(z.regex(/^https:\/\/.+/))),
    'In the place of `recipe`: where its YAML lies, by https.',
  ),
  parameters: described(
    z.optional(z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))),
    'Values of the recipe’s parameters, or one value of a key of its matrix.',
  ),
  dryRun: described(
    z.optional(z.boolean()),
    'Plan only: the answer has the plan, and nothing that costs money is made.',
  ),
  matrix: described(
    z.optional(
      z.strictObject({
        concurrency: described(
          z.optional(z.int().check(z.gte(1), z.lte(100))),
          'How many builds run at once. Default: 10.',
        ),
        toleratedFailures: described(
          z.optional(z.int().check(z.gte(0), z.lte(100))),
          'Percent of the builds that may fail before the rest is stopped. Default: 0.',
        ),
        publishTogether: described(
          z.optional(z.boolean()),
          'Publish all images or none. Default: each for itself.',
        ),
      }),
    ),
    'How the builds of a matrix are run.',
  ),
});

export const startedBuildSchema = z.object({
  id: described(z.string(), 'Of the build, or of the matrix of builds.'),
  kind: z.enum(['build', 'matrix']),
  status: z.enum(buildStatuses),
  created: described(z.boolean(), 'False: a build of this very recipe runs already, and this is it.'),
  /** Of a dry run. */
  plan: z.nullable(z.record(z.string(), z.unknown())),
});

export const buildSummarySchema = z.object({
  id: buildId,
  recipe: described(z.string(), 'Name of the recipe.'),
  status: z.enum(buildStatuses),
  startedAt: time,
  endedAt: z.nullable(time),
  /** Seconds so far, or in all. */
  seconds: z.number(),
  state: described(z.nullable(z.string()), 'The state in which a running build is.'),
});
export type BuildSummary = z.output<typeof buildSummarySchema>;

export const stageStates = ['waiting', 'running', 'done', 'failed', 'skipped'] as const;

/** A build as a list of stages (plan, launch, worker: fetch, …), for people who follow it. */
export const stageSchema = z.object({
  name: z.string(),
  state: z.enum(stageStates),
  seconds: z.nullable(z.number()),
  /** What the estimate of the plan says. */
  expectedSeconds: z.nullable(z.number()),
  bytes: z.nullable(z.number()),
});
export type Stage = z.output<typeof stageSchema>;

const madeSchema = z.object({
  imageId,
  snapshotId: z.string(),
  adopted: z.boolean(),
  images: z.array(z.object({ region: regionName, imageId })),
});

export const buildDetailsSchema = z.extend(buildSummarySchema, {
  executionArn: z.string(),
  dryRun: z.boolean(),
  /** From the plan; null before it. */
  image: z.nullable(
    z.object({
      name: z.string(),
      release: z.string(),
      architecture: z.string(),
      filesystem: z.string(),
      flavour: z.string(),
      road: z.string(),
      contentDigest: z.string(),
    }),
  ),
  warnings: z.array(z.string()),
  stages: z.array(stageSchema),
  /** The states of the state machine that were entered, in the order in which they were entered first. */
  states: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['running', 'succeeded', 'failed']),
      /** How often it was entered. */
      entered: z.int(),
      firstEnteredAt: time,
      lastExitedAt: z.nullable(time),
      seconds: z.number(),
    }),
  ),
  resources: z.array(
    z.object({
      kind: z.enum(['instance', 'volume', 'snapshot', 'image', 'object']),
      /** Such as worker, target, boot test m6i.large. */
      role: z.string(),
      id: z.string(),
      region: regionName,
      link: described(z.nullable(z.string()), 'Its page in the AWS console.'),
    }),
  ),
  result: described(z.nullable(madeSchema), 'What was delivered.'),
  held: described(
    z.nullable(z.extend(madeSchema, { matrix: z.string() })),
    'What was made for a matrix that publishes all its images together: whether it has, GET /matrices/{id} tells.',
  ),
  failure: z.nullable(
    z.object({
      code: z.string(),
      message: z.string(),
      decisive: described(z.array(z.string()), 'The lines of a console that decided, if it was one.'),
      runbook: z.string(),
      /** Keys in the artifacts bucket. */
      evidence: z.array(z.string()),
      kept: described(z.array(z.string()), 'What waits for the next attempt.'),
      resumable: z.boolean(),
    }),
  ),
  receipt: receiptSchema,
  console: described(
    z.nullable(z.object({ source: z.string(), tail: z.array(z.string()) })),
    'The last lines of the machine that runs, or ran last.',
  ),
  links: z.object({
    execution: described(z.string(), 'The execution view of Step Functions.'),
    artifacts: described(z.string(), 'The build’s objects in S3.'),
  }),
});
export type BuildDetails = z.output<typeof buildDetailsSchema>;

export const matrixDetailsSchema = z.object({
  id: described(buildId, 'A matrix: the name of its execution, such as matrix-web-0861ae9e7de4.'),
  status: z.enum(buildStatuses),
  startedAt: time,
  endedAt: z.nullable(time),
  /** Seconds so far, or in all. */
  seconds: z.number(),
  publishTogether: z.boolean(),
  summary: matrixSummary,
  builds: z.array(
    z.object({
      build: described(z.string(), 'For GET /builds/{id}, once it has begun.'),
      status: z.enum(matrixBuildStatuses),
    }),
  ),
  failure: z.nullable(z.object({ code: z.string(), message: z.string() })),
});

export const buildLogSchema = z.object({
  id: buildId,
  source: described(z.string(), 'worker, or boot-<instance type>.'),
  sources: z.array(z.string()),
  text: described(z.string(), 'The console as it is now; of a running machine at most its last 64 KB.'),
  complete: described(z.boolean(), 'Nothing will be added.'),
});

export const imageSchema = z.object({
  imageId,
  region: regionName,
  name: z.string(),
  state: z.string(),
  recipe: z.nullable(z.string()),
  release: z.nullable(z.string()),
  architecture: z.string(),
  build: z.nullable(z.string()),
  createdAt: z.nullable(time),
  bootTestedAt: z.nullable(time),
  /** `all`, accounts, ARNs of organizations and units. */
  sharedWith: z.array(z.string()),
  deprecatedAt: z.nullable(time),
  quarantinedAt: z.nullable(time),
});
export type ListedImage = z.output<typeof imageSchema>;

export const releaseSchema = z.object({
  release: z.string(),
  architecture: z.enum(['amd64', 'arm64']),
  /** As in BUILDDATE, YYYY-MM-DD. */
  builtOn: z.nullable(z.string()),
  revision: z.nullable(z.string()),
  patchLevel: z.nullable(z.int()),
  firstSeenAt: time,
});

export const subscriptionSchema = z.object({
  name: z.string(),
  /** As it was put, with its `subscribe`. */
  recipe: z.record(z.string(), z.unknown()),
  updatedAt: time,
  /** Builds that the watcher has started for it last, newest first. */
  started: z.array(z.object({ build: z.string(), release: z.string(), architecture: z.string(), at: time })),
});

export const pages = { nextToken };
