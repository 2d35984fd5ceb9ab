import * as z from 'zod/mini';
import { described } from './described.ts';

/** What the factory tells others by the account's default event bus. docs/events.md is made of this. */
export const SOURCE = 'ami-foundry';

const text = (description: string) => described(z.string(), description);
const time = (description: string) => described(z.iso.datetime(), description);
const orNull = <T extends z.ZodMiniType>(schema: T, description: string) =>
  described(z.nullable(schema), description);

const build = {
  id: text(
    'The same when the same event comes twice: EventBridge and the factory deliver at least once, and a receiver drops what it has seen.',
  ),
  build: text('Name of the build’s execution.'),
  execution: text('ARN of the execution.'),
  region: text('Where the image is made.'),
  recipe: orNull(z.string(), 'Name of the recipe; null when it was not readable.'),
  startedAt: time('When the execution began.'),
};

const ended = {
  ...build,
  endedAt: time('When the execution ended.'),
  seconds: described(z.number(), 'From its beginning to its end.'),
  dollars: described(z.number(), 'What the build cost by list prices: the total of its receipt.'),
  receipt: text('Key of the receipt in the artifacts bucket.'),
};

const regions = described(
  z.record(z.string(), z.string()),
  'The image of each region to which it was published.',
);

const badly = {
  ...ended,
  code: text('Name of the error; the factory’s own are in the runbook.'),
  decisive: text('The line that decided.'),
  message: text('What happened.'),
  remedy: orNull(z.string(), 'What to do about it.'),
  runbook: text('The entry of the runbook.'),
  evidence: described(z.array(z.string()), 'Objects that tell more.'),
  kept: described(z.array(z.string()), 'What waits for the next attempt.'),
  resume: orNull(
    z.string(),
    'The command that builds once more with what was kept; null when the recipe has to be changed first.',
  ),
};

/** An image and its copies, as retention tells of them. */
const edition = {
  name: described(z.optional(z.string()), 'Name of the AMI.'),
  line: text('Images of one line replace each other: recipe, release line, architecture and so on.'),
  regions: described(z.record(z.string(), z.string()), 'The image of each region.'),
};

/** Every event, by its detail-type. */
export const busEvents = {
  'Build Started': {
    when: 'An execution of the build state machine has begun. Not of dry runs.',
    detail: z.strictObject(build),
  },
  'Build Succeeded': {
    when: 'A build has ended with an image: a new one, or one that it adopted.',
    detail: z.strictObject({
      ...ended,
      monthlyDollars: orNull(
        z.number(),
        'What a month of the new snapshots costs; null when an earlier attempt wrote them, and their size is not known.',
      ),
      imageId: text('The AMI.'),
      snapshotId: text('Its snapshot.'),
      name: text('Name of the AMI.'),
      release: text('What it is made of.'),
      adopted: described(z.boolean(), 'An earlier build made this very image; nothing was built.'),
      held: described(
        z.boolean(),
        'It is not published yet: its matrix does that, when all of its builds have succeeded.',
      ),
      regions,
    }),
  },
  'Build Failed': {
    when: 'A build has ended without an image: it failed, or (`status` TIMED_OUT) took too long.',
    detail: z.strictObject({ ...badly, status: z.enum(['FAILED', 'TIMED_OUT']) }),
  },
  'Build Aborted': {
    when: 'Somebody has stopped a build.',
    detail: z.strictObject(badly),
  },
  'Image Published': {
    when: 'All regions show the image to its readers. The state machine itself says so (Announce).',
    detail: z.strictObject({
      name: text('Name of the AMI.'),
      recipe: text('Name of the recipe.'),
      release: z.string(),
      architecture: z.string(),
      filesystem: z.string(),
      flavour: z.string(),
      digest: text('Of the content: equal means the same image.'),
      build: build.build,
      publishedAt: time('When all regions had it.'),
      regions,
      parameters: described(z.array(z.string()), 'SSM parameters that name it, the same in every region.'),
    }),
  },
  'Image Quarantined': {
    when: 'Retention has put an image away: it cannot be launched any more, and can be brought back.',
    detail: z.strictObject({
      ...edition,
      deletedAfter: time('When it will be deleted.'),
      undo: text('The command that brings it back.'),
    }),
  },
  'Image Restored': {
    when: 'Somebody has brought an image back from quarantine.',
    detail: z.strictObject(edition),
  },
  'Image Retired': {
    when: 'Retention has deleted an image that was in quarantine, with its snapshots and parameters.',
    detail: z.strictObject(edition),
  },
  'Release Seen': {
    when: 'A release appeared whole on a mirror that the release watcher looks at, or was built anew there.',
    detail: z.strictObject({
      id: build.id,
      release: text('As its directory is called, such as 15.1-RELEASE.'),
      architecture: z.enum(['amd64', 'arm64']),
      builtOn: orNull(z.string(), 'BUILDDATE, YYYY-MM-DD.'),
      revision: orNull(z.string(), 'REVISION: the commit that it was built from.'),
    }),
  },
} as const satisfies Record<string, { readonly when: string; readonly detail: z.ZodMiniType }>;

export type BusEventType = keyof typeof busEvents;
export const busEventTypes = Object.keys(busEvents) as BusEventType[];
export type DetailOf<Type extends BusEventType> = z.output<(typeof busEvents)[Type]['detail']>;

/** The events that record-build sends; retention, the release watcher and Announce beside it. */
export const buildEventTypes = [
  'Build Started',
  'Build Succeeded',
  'Build Failed',
  'Build Aborted',
] as const satisfies BusEventType[];
export const retentionEventTypes = [
  'Image Quarantined',
  'Image Restored',
  'Image Retired',
] as const satisfies BusEventType[];

export const watcherEventTypes = ['Release Seen'] as const satisfies BusEventType[];

/** `build-failed` is how a deployment's settings name Build Failed. */
export const eventSlug = (type: BusEventType): string => type.toLowerCase().replaceAll(' ', '-');
