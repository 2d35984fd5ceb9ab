import * as z from 'zod/mini';
import type { RouteName } from './api/routes.ts';
import { FactoryError } from './errors.ts';
import { workerPlatforms } from './platform-limits.ts';

/** A comma-separated list without empty members. */
const list = z.pipe(
  z.pipe(
    z.string(),
    z.transform((text: string) => text.split(',').map((item) => item.trim())),
  ),
  z.array(z.string().check(z.minLength(1))).check(z.minLength(1)),
);

const bucket = z.string().check(z.minLength(3));

const stateMachine = z.string().check(z.regex(/^arn:[^:]+:states:[^:]+:[^:]+:stateMachine:[^:]+$/));

/** One `@` with something that has no space on both sides; what else an address must be, mail servers know better. */
const mailAddress = z.string().check(z.regex(/^[^\s@,]+@[^\s@,]+$/));

const port = z.pipe(
  z.pipe(z.string().check(z.regex(/^\d{1,5}$/)), z.transform(Number)),
  z.int().check(z.gte(1), z.lte(65_535)),
);

const hours = z.pipe(z.pipe(z.string().check(z.regex(/^\d+$/)), z.transform(Number)), z.int());

/** The environment variables of each function; infra/ and local/ set exactly these. */
export const functionEnvironment = {
  plan: z.object({
    ARTIFACTS_BUCKET: bucket,
    /** SSM parameter with the worker's AMI; {architecture} stands for amd64 or arm64. */
    WORKER_IMAGE_PARAMETER: z.string().check(z.startsWith('/')),
    WORKER_INSTANCE_TYPES_AMD64: list,
    WORKER_INSTANCE_TYPES_ARM64: list,
    /** What that AMI runs. */
    WORKER_PLATFORM: z.enum(workerPlatforms),
    /** Seconds from launch to report. */
    WORKER_SECONDS: z.pipe(z.pipe(z.string(), z.transform(Number)), z.int().check(z.positive())),
    /** Types that recipes may have their image tried on, in the order in which they are taken when a recipe names none. */
    BOOT_TEST_INSTANCE_TYPES_AMD64: list,
    BOOT_TEST_INSTANCE_TYPES_ARM64: list,
    /** SSM parameter with the Windows AMI whose place images of the windows road take. */
    WINDOWS_IMAGE_PARAMETER: z.string().check(z.startsWith('/')),
    WINDOWS_INSTANCE_TYPES: list,
    /** Regions that recipes may distribute to, beside the factory's own. */
    DISTRIBUTION_REGIONS: z.optional(list),
    /** What the paths of recipes' SSM parameters begin with. */
    PARAMETER_PREFIX: z.string().check(z.regex(/^\/([A-Za-z0-9._-]+\/)*$/)),
  }),
  launch: z.object({
    ARTIFACTS_BUCKET: bucket,
    SUBNET_IDS: list,
    SECURITY_GROUP_ID: z.string().check(z.startsWith('sg-')),
    /** The worker's payload: dist/worker-payload.tar.gz, uploaded by the deployment. */
    PAYLOAD_BUCKET: bucket,
    PAYLOAD_KEY: z.string().check(z.minLength(1)),
    PAYLOAD_SHA256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  }),
  attach: z.object({}),
  'wait-for-worker': z.object({ ARTIFACTS_BUCKET: bucket }),
  wait: z.object({}),
  snapshot: z.object({}),
  'start-snapshot': z.object({}),
  'write-blocks': z.object({ ARTIFACTS_BUCKET: bucket }),
  'complete-snapshot': z.object({ ARTIFACTS_BUCKET: bucket }),
  register: z.object({}),
  'launch-windows': z.object({
    SUBNET_IDS: list,
    SECURITY_GROUP_ID: z.string().check(z.startsWith('sg-')),
  }),
  'swap-root': z.object({}),
  'create-image': z.object({}),
  'wait-for-image': z.object({}),
  'launch-boot-test': z.object({
    SUBNET_IDS: list,
    SECURITY_GROUP_ID: z.string().check(z.startsWith('sg-')),
  }),
  'wait-for-boot': z.object({ ARTIFACTS_BUCKET: bucket }),
  preflight: z.object({}),
  distribute: z.object({}),
  publish: z.object({ ARTIFACTS_BUCKET: bucket }),
  'roll-back': z.object({
    ARTIFACTS_BUCKET: bucket,
    /** How long the verified copies of a failed build wait for the next attempt; 0: not at all. */
    RESUMABLE_HOURS: hours,
  }),
  salvage: z.object({
    ARTIFACTS_BUCKET: bucket,
    /** How long what is whole of a failed build waits for the next attempt; 0: not at all. */
    RESUMABLE_HOURS: hours,
  }),
  'clean-up': z.object({ ARTIFACTS_BUCKET: bucket }),
  'name-build': z.object({
    ARTIFACTS_BUCKET: bucket,
    /** Whose executions the builds are. */
    STATE_MACHINE_ARN: stateMachine,
  }),
  'recall-build': z.object({ STATE_MACHINE_ARN: stateMachine }),
  'report-matrix': z.object({ ARTIFACTS_BUCKET: bucket, STATE_MACHINE_ARN: stateMachine }),
  reaper: z.object({
    /** Whose executions the builds are. */
    STATE_MACHINE_ARN: stateMachine,
    /** Whose executions the matrices are. */
    MATRIX_STATE_MACHINE_ARN: stateMachine,
    /** How long what was held for a matrix that failed waits for the next attempt. */
    RESUMABLE_HOURS: hours,
    ARTIFACTS_BUCKET: bucket,
    /** Where copies may be, beside the factory's own region. */
    DISTRIBUTION_REGIONS: z.optional(list),
    /** What is younger stays, unless its execution has just ended. */
    GRACE_SECONDS: z.pipe(z.pipe(z.string().check(z.regex(/^\d+$/)), z.transform(Number)), z.int()),
    /** Only tell what would be ended. */
    DRY_RUN: z.pipe(
      z.enum(['yes', 'no']),
      z.transform((answer) => answer === 'yes'),
    ),
  }),
  'start-build': z.object({
    STATE_MACHINE_ARN: stateMachine,
    MATRIX_STATE_MACHINE_ARN: stateMachine,
    /** Takes the list of a matrix' builds. */
    ARTIFACTS_BUCKET: bucket,
  }),
  'show-matrix': z.object({
    STATE_MACHINE_ARN: stateMachine,
    MATRIX_STATE_MACHINE_ARN: stateMachine,
    ARTIFACTS_BUCKET: bucket,
  }),
  'abort-matrix': z.object({ MATRIX_STATE_MACHINE_ARN: stateMachine }),
  'list-builds': z.object({ STATE_MACHINE_ARN: stateMachine }),
  'show-build': z.object({ STATE_MACHINE_ARN: stateMachine, ARTIFACTS_BUCKET: bucket }),
  'resume-build': z.object({ STATE_MACHINE_ARN: stateMachine }),
  'abort-build': z.object({ STATE_MACHINE_ARN: stateMachine }),
  'build-log': z.object({ STATE_MACHINE_ARN: stateMachine, ARTIFACTS_BUCKET: bucket }),
  'list-images': z.object({
    /** Where copies may be, beside the factory's own region. */
    DISTRIBUTION_REGIONS: z.optional(list),
  }),
  'retire-image': z.object({ RETENTION_FUNCTION: z.string().check(z.minLength(1)) }),
  'list-releases': z.object({ ARTIFACTS_BUCKET: bucket }),
  'list-subscriptions': z.object({ ARTIFACTS_BUCKET: bucket }),
  subscribe: z.object({ ARTIFACTS_BUCKET: bucket }),
  unsubscribe: z.object({ ARTIFACTS_BUCKET: bucket }),
  'openapi-document': z.object({}),
  'watch-releases': z.object({
    /** Whose executions the builds are. */
    STATE_MACHINE_ARN: stateMachine,
    ARTIFACTS_BUCKET: bucket,
    /** Mirrors whose releases are told of, beside those of subscriptions. */
    WATCHED_MIRRORS: z.optional(list),
  }),
  retention: z.object({
    ARTIFACTS_BUCKET: bucket,
    /** Where copies may be, beside the factory's own region. */
    DISTRIBUTION_REGIONS: z.optional(list),
    /** What the paths of recipes' SSM parameters begin with. */
    PARAMETER_PREFIX: z.string().check(z.regex(/^\/([A-Za-z0-9._-]+\/)*$/)),
    /** How long an image is put away before it is deleted. */
    QUARANTINE_DAYS: z.pipe(z.pipe(z.string().check(z.regex(/^\d+$/)), z.transform(Number)), z.int()),
    /** Only tell what would be put away or deleted. */
    DRY_RUN: z.pipe(
      z.enum(['yes', 'no']),
      z.transform((answer) => answer === 'yes'),
    ),
  }),
  'record-build': z.object({ ARTIFACTS_BUCKET: bucket }),
  notify: z.object({
    /** Whom to mail, and in whose name; nobody when absent. */
    MAIL_TO: z.optional(list),
    MAIL_FROM: z.optional(mailAddress),
    /** What takes the mail when SES may not send in that name. */
    RELAY_HOST: z.optional(z.string().check(z.minLength(1))),
    RELAY_PORT: z.optional(port),
    RELAY_TLS: z.optional(z.enum(['tls', 'starttls', 'none'])),
    /** SSM parameter with `user:password`. */
    RELAY_SECRET_PARAMETER: z.optional(z.string().check(z.startsWith('/'))),
    /** Where events are posted; by http only to the machine itself, where tests listen. */
    WEBHOOK_URL: z.optional(z.url().check(z.regex(/^(https:\/\/|http:\/\/127\.0\.0\.1:)/))),
    /** SSM parameter with what they are signed with. */
    WEBHOOK_SECRET_PARAMETER: z.optional(z.string().check(z.startsWith('/'))),
  }),
} as const;

export type FunctionName = keyof typeof functionEnvironment;

/** The functions that no state calls: events and schedules do. */
export const eventFunctions = [
  'reaper',
  'retention',
  'record-build',
  'notify',
  'watch-releases',
] as const satisfies FunctionName[];
export type EventFunctionName = (typeof eventFunctions)[number];

/** Steps of a matrix, which no single build takes. */
export const matrixFunctions = [
  'name-build',
  'recall-build',
  'report-matrix',
] as const satisfies FunctionName[];

/** Those that API Gateway calls; each has the name of its route in core/api/routes.ts. */
export const apiFunctions = [
  'start-build',
  'list-builds',
  'show-build',
  'resume-build',
  'abort-build',
  'show-matrix',
  'abort-matrix',
  'build-log',
  'list-images',
  'retire-image',
  'list-releases',
  'list-subscriptions',
  'subscribe',
  'unsubscribe',
  'openapi-document',
] as const satisfies (FunctionName & RouteName)[];
export type ApiFunctionName = (typeof apiFunctions)[number];

export type StepName = Exclude<FunctionName, EventFunctionName | ApiFunctionName>;

/** clean-up → CleanUp: a function is called like its states. */
export const pascalCase = (name: string): string =>
  name.replaceAll(/(^|-)([a-z])/g, (_whole, _dash, letter: string) => letter.toUpperCase());

/** What must be set for a function: name to text. */
export type EnvironmentOf<Name extends FunctionName> = {
  [Variable in keyof z.input<(typeof functionEnvironment)[Name]>]: string;
};

/** Reads a function's settings; throws `ConfigurationError` that lists every one that is missing or wrong. */
export function readEnvironment<Name extends FunctionName>(
  name: Name,
  environment: Readonly<Record<string, string | undefined>>,
): z.output<(typeof functionEnvironment)[Name]> {
  const result = functionEnvironment[name].safeParse(environment);
  if (result.success) return result.data as z.output<(typeof functionEnvironment)[Name]>;
  throw new FactoryError(
    'ConfigurationError',
    {
      message: `the environment of the ${name} function is not right:\n${z.prettifyError(result.error)}`,
      remedy: 'deploy again: infra/ sets these variables.',
    },
    { cause: result.error },
  );
}
