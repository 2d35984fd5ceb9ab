import * as z from 'zod/mini';
import { readBootConsole } from '../boot-console.ts';
import { machinesOf } from '../build-machines.ts';
import { stagesOf, statesOf } from '../build-stages.ts';
import { buildState, regionOf } from '../build-state.ts';
import { type Ec2Thing, ec2Link, executionLink, prefixLink } from '../console-links.ts';
import { consoleLines, consoleTail, forReading } from '../console-text.ts';
import { errorCatalogue, isOurs, runbookAnchor } from '../errors.ts';
import { heldFor, publishedBy } from '../matrix.ts';
import { artifactKey } from '../names.ts';
import type { BuildRuns, HistoryEvent } from '../ports.ts';
import { receiptOf } from '../receipt.ts';
import { readWorkerConsole, type WorkerPhase } from '../worker-console.ts';
import { detailOf } from './problems.ts';
import type { BuildDetails } from './schemas.ts';
import { summaryOf } from './summary.ts';

type Run = NonNullable<Awaited<ReturnType<BuildRuns['find']>>>;

/** What was looked at to tell of a build. */
export interface BuildSights {
  readonly run: Run;
  readonly events: readonly HistoryEvent[];
  readonly state: unknown;
  /** Consoles by their source, as far as they were read. */
  readonly consoles: ReadonlyMap<string, string>;
  /** failure.json, when the build has left one. */
  readonly failure: unknown;
  readonly artifactsBucket: string;
  readonly now: number;
}

const { plan, worker, report, snapshot, image, bootTest, windows, distribution } = buildState.shape;

/** Every part for itself: what one version of the factory wrote otherwise must not hide the rest. */
const parts = {
  plan: z.pick(plan, {
    release: true,
    architecture: true,
    filesystem: true,
    flavour: true,
    road: true,
    contentDigest: true,
    warnings: true,
    bootTest: true,
    distribution: true,
    image: true,
    estimate: true,
  }),
  worker,
  report: z.pick(report, { phases: true }),
  snapshot: z.pick(snapshot, { snapshotId: true }),
  image: z.pick(image, { imageId: true }),
  bootTest,
  windows,
  distribution: z.pick(distribution, { copies: true }),
};
type Parts = { readonly [Name in keyof typeof parts]?: z.output<(typeof parts)[Name]> };

const partsOf = (state: unknown): Parts =>
  Object.fromEntries(
    Object.entries(parts).flatMap(([name, schema]) => {
      const result = schema.safeParse((state as Readonly<Record<string, unknown>> | undefined)?.[name]);
      return result.success ? [[name, result.data]] : [];
    }),
  );

/** Which consoles are worth a look: the worker's until it has reported, and that of the machine that ran last. */
export function consolesWanted(build: string, state: unknown, failed: boolean): string[] {
  const sources = machinesOf(build, state).map(({ source }) => source);
  const reported = partsOf(state).report !== undefined;
  return sources.filter(
    (source, index) => index === sources.length - 1 || (source === 'worker' ? !reported : failed),
  );
}

/** All that is known of a build. */
export function detailsOf(sights: BuildSights): BuildDetails {
  const { run, events, state, now } = sights;
  const { status } = run;
  const known = partsOf(state);
  const dryRun = (JSON.parse(run.input) as { dryRun?: unknown } | null)?.dryRun === true;
  const region = regionOf(run.arn);
  const partition = run.arn.split(':')[1] ?? 'aws';
  const entered = events.findLast(({ type }) => type.endsWith('StateEntered'))?.name ?? null;
  const phases = phasesOf(sights, known);
  const machines = machinesOf(run.name, state);
  const last = machines.at(-1);
  const made = dryRun ? null : resultOf(run, region);
  const matrix = heldFor(run.output);
  const held = made === null || matrix === undefined ? null : { matrix, ...made };
  return {
    ...summaryOf(run, status === 'RUNNING' ? entered : null, now),
    executionArn: run.arn,
    dryRun,
    image:
      known.plan === undefined
        ? null
        : {
            name: known.plan.image.name,
            release: known.plan.release,
            architecture: known.plan.architecture,
            filesystem: known.plan.filesystem,
            flavour: known.plan.flavour,
            road: known.plan.road,
            contentDigest: known.plan.contentDigest,
          },
    warnings: [
      ...(known.plan?.warnings ?? []),
      ...(held === null
        ? []
        : [`held for ${held.matrix}, which publishes its image with all others of the matrix or not at all`]),
    ],
    stages: stagesOf({ status, dryRun, events, phases, plan: known.plan, now }),
    states: statesOf({ status, events, now }),
    resources: resourcesOf(known, { partition, region }),
    result: held === null ? made : null,
    held,
    failure: failureOf(sights),
    receipt: receiptOf({
      build: run.name,
      status,
      region,
      startedAt: run.startedAt,
      endedAt: run.endedAt,
      now,
      events,
      state,
    }),
    console:
      last === undefined
        ? null
        : { source: last.source, tail: consoleTail(consoleLines(sights.consoles.get(last.source) ?? '')) },
    links: {
      execution: executionLink(run.arn),
      artifacts: prefixLink(partition, region, sights.artifactsBucket, `builds/${run.name}/`),
    },
  };
}

function phasesOf({ run, consoles }: BuildSights, { report: reported }: Parts): readonly WorkerPhase[] {
  if (reported) {
    return reported.phases.map(({ name, seconds, bytes }) => ({
      title: name,
      state: 'done',
      seconds,
      ...(bytes === undefined ? {} : { bytes }),
    }));
  }
  return readWorkerConsole(consoles.get('worker') ?? '', run.name).phases;
}

interface Place {
  readonly partition: string;
  readonly region: string;
}

function resourcesOf(known: Parts, home: Place): BuildDetails['resources'] {
  const at = (kind: Ec2Thing, role: string, id: string | null | undefined, region = home.region) =>
    id ? [{ kind, role, id, region, link: ec2Link(home.partition, region, kind, id) }] : [];
  return [
    ...at('instance', `worker ${known.worker?.instanceType}`, known.worker?.instanceId),
    ...at('volume', 'target', known.worker?.volumeId),
    ...at('snapshot', 'disk', known.snapshot?.snapshotId),
    ...at('instance', `windows ${known.windows?.instanceType}`, known.windows?.instanceId),
    ...at('volume', 'disk in the place of windows', known.windows?.volumeId),
    ...at('image', 'image', known.image?.imageId),
    ...(known.bootTest?.machines ?? []).flatMap(({ instanceId, instanceType }) =>
      at('instance', `boot test ${instanceType}`, instanceId),
    ),
    ...(known.distribution?.copies ?? []).flatMap(({ region, imageId, snapshotId }) => [
      ...at('image', 'copy', imageId, region),
      ...at('snapshot', 'copy', snapshotId, region),
    ]),
  ];
}

/** What statemachines/build-image.asl.json ends with. */
const output = z.object({
  imageId: z.string(),
  snapshotId: z.string(),
  adopted: z.boolean(),
  regions: z._default(z.array(z.object({ region: z.string(), imageId: z.string() })), []),
});

function resultOf({ status, output: text }: Run, region: string): BuildDetails['result'] {
  if (status !== 'SUCCEEDED' || text === undefined) return null;
  const { regions, ...made } = output.parse(JSON.parse(text));
  return { ...made, images: regions.length > 0 ? regions : [{ region, imageId: made.imageId }] };
}

/** What Salvage has written (functions/steps/salvage.ts). */
const bundle = z.object({
  error: z.string(),
  cause: z.string(),
  kept: z.array(z.string()),
  files: z.array(z.string()),
});

function failureOf({ run, failure, consoles }: BuildSights): BuildDetails['failure'] {
  const { status, name } = run;
  if (status === 'RUNNING' || status === 'SUCCEEDED') return null;
  const written = bundle.safeParse(failure).data;
  const code = written?.error ?? run.error ?? (status === 'ABORTED' ? 'Aborted' : 'States.Timeout');
  const cause = written?.cause ?? run.cause ?? 'it was stopped, and nobody said why';
  return {
    code,
    message: messageOf(cause),
    decisive: decisiveLines(name, consoles),
    runbook: isOurs(code, cause) ? runbookAnchor(code) : 'docs/runbook.md',
    evidence: written === undefined ? [] : [artifactKey(name, 'failure.json'), ...written.files],
    kept: written?.kept ?? [],
    // What its author has to change is another recipe, and so another build; and some can only be built again with all of their matrix.
    resumable:
      publishedBy(run.input) === undefined &&
      (!isOurs(code, cause) || errorCatalogue[code].owner !== 'caller'),
  };
}

/** Lambda wraps a function's message in JSON; Salvage adds lines for readers of the execution view. */
function messageOf(cause: string): string {
  let text = cause;
  try {
    const wrapped = JSON.parse(cause) as { errorMessage?: unknown } | null;
    if (typeof wrapped?.errorMessage === 'string') text = wrapped.errorMessage;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return detailOf(text).split('\n\nEvidence: ')[0] ?? text;
}

const MOST_DECISIVE = 10;

/** Of each console the line that decided: a boot's first bad one, and the phase in which a worker failed. */
function decisiveLines(build: string, consoles: ReadonlyMap<string, string>): string[] {
  const lines = [...consoles].flatMap(([source, text]) => {
    const broken = readBootConsole(text).failure?.line;
    const failed =
      source === 'worker'
        ? consoleLines(text)
            .filter((line) => /foundry: phase=[a-z]+ state=failed/.test(line))
            .map(forReading)
        : [];
    const told = source === 'worker' ? readWorkerConsole(text, build).report : undefined;
    return [
      ...(broken === undefined ? [] : [broken]),
      ...failed,
      ...(told?.ok === false ? [forReading(`${told.code}: ${told.message}`)] : []),
    ];
  });
  return lines.slice(0, MOST_DECISIVE);
}
