import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import {
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import { tagKey } from '../../core/names.ts';
import { snapshotPath } from '../../local/ec2/disks.ts';
import type { Fault, RecordedCall } from '../../local/faults.ts';
import { stubDisk } from '../../local/instance-host/stub-worker.ts';
import type { StatusChange } from '../../local/states/service.ts';
import type { Factory } from './local-build.ts';

/** A way through the state machine: builds of it are broken at each of its calls. */
export interface Road {
  readonly name: string;
  /** What the recipe has beside what every recipe has. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** The code that the worker of a first build reports; good when absent. */
  readonly fails?: string;
  /** The call at which every first build is stopped, so that the reaper has something to do. */
  readonly stopsAt?: Pick<Point, 'label' | 'action'>;
  /** Where the recipe publishes to, beside the region of the factory. */
  readonly regions?: readonly string[];
  /** Takes only every so manyth fault of what is taken by default: it has many calls, and they are much alike. */
  readonly sparse?: number;
  /** The functions whose calls are broken; all of them when absent. */
  readonly breaks?: readonly string[];
}

/** A call of a function. */
export interface Point {
  /** Function, and what its state tells it: `wait:image`. */
  readonly label: string;
  readonly service: string;
  readonly action: string;
  /** Of what a call makes: the role that it tags it with. */
  readonly role: string;
  /** Which of its calls of this kind: of one invocation, or of the build. */
  readonly nth: number;
  readonly of: 'invocation' | 'build';
}

export const faultKinds = [
  'killed',
  'stopped',
  'stopped and killed',
  'answer lost',
  'answer lost for good',
  'throttled',
  'internal error',
  'no capacity',
  'not seen yet',
  'refused for ever',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What came of one run. */
export interface Outcome {
  readonly point: Point;
  readonly kind: FaultKind;
  readonly reached: boolean;
  /** How the first build ended, and with what. */
  readonly status: string;
  readonly error: string | undefined;
  /** What was there beyond what was delivered, after the reaper. */
  readonly leftovers: readonly string[];
  /** What went wrong; undefined when the next build of the same recipe ended with the one right image. */
  readonly problem: string | undefined;
}

interface Payload {
  readonly execution?: { readonly name: string; readonly arn: string };
  readonly build?: string;
  readonly options?: { readonly for?: string; readonly outcome?: string };
}

const payloadOf = ({ invocation }: RecordedCall) => (invocation?.payload ?? {}) as Payload;
const buildOf = (call: RecordedCall) => payloadOf(call).execution?.name ?? payloadOf(call).build;

/** `wait:image`, `clean-up:failed`; what succeeds is the rule and not told. */
function labelOf(call: RecordedCall): string {
  const { options } = payloadOf(call);
  const what = [options?.for, options?.outcome === 'failed' ? 'failed' : undefined].filter(Boolean);
  return [call.caller.replace(/^ami-foundry-/, ''), ...what].join(':');
}

/** The calls of a build's functions: each kind of call of each invocation once, or every single one. */
export function pointsOf(
  calls: readonly RecordedCall[],
  build: string,
  every: boolean,
  { breaks }: Road,
): Point[] {
  const counts = new Map<string, number>();
  const points = new Map<string, Point>();
  for (const call of calls) {
    if (call.invocation === undefined || buildOf(call) !== build) continue;
    const label = labelOf(call);
    if (breaks && !breaks.includes(label)) continue;
    const { service, action } = call;
    const scope = every ? 'build' : call.invocation.requestId;
    const counted = `${label} ${action} ${scope}`;
    const nth = (counts.get(counted) ?? 0) + 1;
    counts.set(counted, nth);
    points.set(`${label} ${action} ${nth}`, {
      label,
      service,
      action,
      role: roleOf(call.input),
      nth,
      of: every ? 'build' : 'invocation',
    });
  }
  return [...points.values()];
}

export const tell = ({ label, action, nth }: Point): string =>
  `${label} ${action}${nth > 1 ? ` (${nth})` : ''}`;

/** Codes of each service (Common Errors of EC2, S3, Systems Manager, Step Functions, EBS direct APIs, EventBridge). */
const throttled: Readonly<Record<string, NonNullable<Fault['error']>>> = {
  ec2: { code: 'RequestLimitExceeded', status: 503 },
  s3: { code: 'SlowDown', status: 503 },
  ssm: { code: 'ThrottlingException', status: 400 },
  states: { code: 'ThrottlingException', status: 400 },
  events: { code: 'ThrottlingException', status: 400 },
  ebs: { code: 'RequestThrottledException', status: 400 },
};
const refused: Readonly<Record<string, NonNullable<Fault['error']>>> = {
  ec2: { code: 'UnauthorizedOperation', status: 403 },
  s3: { code: 'AccessDenied', status: 403 },
  ebs: { code: 'AccessDeniedException', status: 403 },
};
const withoutCapacity: Readonly<Record<string, string>> = {
  RunInstances: 'InsufficientInstanceCapacity',
  CreateVolume: 'InsufficientVolumeCapacity',
};
const creates = [
  'RunInstances',
  'CreateVolume',
  'CreateSnapshot',
  'RegisterImage',
  'CreateImage',
  'CopyImage',
];
const applies = (kind: FaultKind, { label, action }: Point): boolean =>
  (label !== 'reaper' || !kind.startsWith('stopped')) &&
  (kind !== 'no capacity' || action in withoutCapacity) &&
  (kind !== 'not seen yet' || creates.includes(action));

/** The faults that a point can meet. */
export const faultsOf = (point: Point): FaultKind[] => faultKinds.filter((kind) => applies(kind, point));

/** Ends of executions, by name. */
export class Ends implements Disposable {
  readonly #waiting = new Map<string, (change: StatusChange) => void>();
  readonly #unsubscribe: () => void;

  constructor({ cloud }: Factory) {
    this.#unsubscribe = cloud.states.subscribe((change) => {
      if (change.status === 'RUNNING') return;
      this.#waiting.get(change.name)?.(change);
      this.#waiting.delete(change.name);
    });
  }

  of(name: string): Promise<StatusChange> {
    return new Promise((resolve) => this.#waiting.set(name, resolve));
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }
}

/** Stops the execution whose function calls. */
async function stopBuild({ sfn }: Factory, call: RecordedCall): Promise<void> {
  const { arn: executionArn } = payloadOf(call).execution ?? {};
  await sfn.send(new StopExecutionCommand({ executionArn }));
}

/** Stops a build at its first call of that kind, if the road says so. */
export function stopAsTold(factory: Factory, build: string, { stopsAt }: Road): void {
  if (stopsAt === undefined) return;
  factory.cloud.faults.add({
    action: stopsAt.action,
    where: (call) => buildOf(call) === build && labelOf(call) === stopsAt.label,
    afterEffect: true,
    strike: (call) => stopBuild(factory, call),
  });
}

/** How many calls miss what was made a moment ago. */
const UNSEEN_LOOKS = 3;

/** Sets a fault of that kind to a point of a build. */
function trap(factory: Factory, build: string, point: Point, kind: FaultKind) {
  const { cloud } = factory;
  const counts = new Map<string, number>();
  let struck: string | undefined;
  const lasts = !['killed', 'stopped', 'stopped and killed', 'answer lost'].includes(kind);
  const where = (call: RecordedCall): boolean => {
    if (call.action !== point.action || call.invocation === undefined) return false;
    if (buildOf(call) !== build || labelOf(call) !== point.label) return false;
    const { requestId } = call.invocation;
    if (struck !== undefined) return lasts && (kind === 'refused for ever' || struck === requestId);
    const scope = point.of === 'build' ? '' : requestId;
    const nth = (counts.get(scope) ?? 0) + 1;
    counts.set(scope, nth);
    if (nth !== point.nth) return false;
    struck = requestId;
    return true;
  };
  if (kind === 'not seen yet') {
    cloud.consistency.lag({
      action: point.action,
      looks: UNSEEN_LOOKS,
      where: (input) => {
        const hit = JSON.stringify(input).includes(`"${build}"`) && roleOf(input) === point.role;
        if (hit) struck = build;
        return hit;
      },
    });
    return { reached: () => struck !== undefined, take: () => {} };
  }
  const kill = async ({ invocation }: RecordedCall) => {
    if (invocation) await cloud.lambda.kill(invocation);
  };
  const stop = (call: RecordedCall) => stopBuild(factory, call);
  const faults: Readonly<Record<Exclude<FaultKind, 'not seen yet'>, (service: string) => Fault>> = {
    killed: () => ({ afterEffect: true, strike: kill }),
    stopped: () => ({ afterEffect: true, strike: stop }),
    'stopped and killed': () => ({
      afterEffect: true,
      strike: async (call) => {
        await stop(call);
        await kill(call);
      },
    }),
    'answer lost': () => ({ afterEffect: true, cut: true }),
    'answer lost for good': () => ({ afterEffect: true, error: { code: 'InternalError', status: 500 } }),
    throttled: (service) => ({ error: throttled[service] ?? { code: 'ThrottlingException' } }),
    'internal error': (service) => ({
      error: {
        code: service === 'ec2' || service === 's3' ? 'InternalError' : 'InternalServerError',
        status: 500,
      },
    }),
    'no capacity': () => ({ error: { code: withoutCapacity[point.action] ?? '', status: 500 } }),
    'refused for ever': (service) => ({ error: refused[service] ?? { code: 'AccessDeniedException' } }),
  };
  const take = cloud.faults.add({ ...faults[kind](point.service), times: Number.POSITIVE_INFINITY, where });
  return { reached: () => struck !== undefined, take };
}

const roleOf = (input: Readonly<Record<string, unknown>>): string =>
  /"ami-foundry:role","Value":"([a-z-]+)"/.exec(JSON.stringify(input))?.[1] ?? '';
/** Longer than any build takes here, on a machine that has much else to do. */
const LIMIT_MILLISECONDS = 600_000;

/** A fault to come, under a name of its own. */
export interface Run {
  readonly point: Point;
  readonly kind: FaultKind;
  readonly name: string;
}

/** Breaks a build at that point, has the reaper come, and builds again. */
export async function breakBuild(
  factory: Factory,
  ends: Ends,
  road: Road,
  { point, kind, name }: Run,
): Promise<Outcome> {
  const input = { recipe: factory.recipe({ name, ...road.recipe }) };
  const [first, second] = [firstBuild(name), `${name}-again`];
  stopAsTold(factory, first, road);
  const { reached, take } = trap(factory, first, point, kind);
  const broken = await finished(factory, ends, input, first);
  // The rule that has the reaper come is only begun when the execution has ended.
  if (point.label === 'reaper') await until(reached);
  await quiet(factory, first);
  take();
  const wanted = deliveredBy(broken);
  const { left, says } = await afterReaper(factory, first, wanted, road);
  const outcome = {
    point,
    kind,
    reached: reached(),
    status: broken.status,
    error: broken.error ?? undefined,
    leftovers: left.filter((id) => !wanted.includes(id)),
  };
  if (differ(left, wanted)) {
    return {
      ...outcome,
      problem: `left ${left.join()} instead of ${wanted.join()}; the reaper says ${says}`,
    };
  }

  const again = await finished(factory, ends, input, second);
  const all = [...left, ...(await carrying(factory, second, road))];
  const problem =
    wanted.length > 0 && differ(wanted, deliveredBy(again))
      ? 'another image than was delivered before'
      : await whatIsWrong(factory, again, all);
  for (const build of [first, second]) await forget(factory, build, road);
  return { ...outcome, problem: problem && `resume: ${problem}` };
}

/** Begins two builds of one recipe at the same moment, and breaks the first at that point. */
export async function breakTwin(
  factory: Factory,
  ends: Ends,
  road: Road,
  { point, kind, name }: Run,
): Promise<Outcome> {
  const input = { recipe: factory.recipe({ name, ...road.recipe }) };
  const [first, second] = [firstBuild(name), `${name}-twin`];
  const { reached, take } = trap(factory, first, point, kind);
  const [broken, other] = await Promise.all([
    finished(factory, ends, input, first),
    finished(factory, ends, input, second),
  ]);
  await quiet(factory, first);
  take();
  const wanted = deliveredBy(other);
  // The image has the tag of the one that made it, and so stays whatever the other comes to.
  await afterReaper(factory, first, wanted, road);
  const all = [...(await carrying(factory, first, road)), ...(await carrying(factory, second, road))];
  const problem =
    broken.status === 'SUCCEEDED' && differ(deliveredBy(broken), wanted)
      ? 'two images'
      : await whatIsWrong(factory, other, all);
  for (const build of [first, second]) await forget(factory, build, road);
  const { status, error } = broken;
  const leftovers = all.filter((id) => !wanted.includes(id));
  return { point, kind, reached: reached(), status, error: error ?? undefined, leftovers, problem };
}

/** Beyond the grace that local/deploy.ts gives the reaper. */
const GRACE_MILLISECONDS = 1_200;

/** What a build has left when the reaper was called as the rule calls it, and, for what a function made after that, as the schedule does. */
async function afterReaper(
  factory: Factory,
  build: string,
  wanted: readonly string[],
  road: Road,
): Promise<{ left: string[]; says: string }> {
  const { lambda } = factory.cloud;
  let { payload } = await lambda.invoke('ami-foundry-reaper', { build });
  let left = await carrying(factory, build, road);
  if (differ(left, wanted)) {
    // What a publication may yet show stays that long.
    await pause(GRACE_MILLISECONDS);
    ({ payload } = await lambda.invoke('ami-foundry-reaper', {}));
    left = await carrying(factory, build, road);
  }
  return { left, says: JSON.stringify(payload) };
}

/** A first build; its worker fails where the road says so. */
export const firstBuild = (name: string): string => `${name}-first`;
export const isFirstBuild = (build: string): boolean => build.endsWith('-first');

type Ended = Pick<StatusChange, 'status' | 'error' | 'cause' | 'output'>;

/** Runs an execution to its end. */
export async function finished(factory: Factory, ends: Ends, input: unknown, name: string): Promise<Ended> {
  const end = ends.of(name);
  await factory.start(input, name);
  const late = new AbortController();
  const result = await Promise.race([
    end,
    pause(LIMIT_MILLISECONDS, undefined, { signal: late.signal }).then(() => undefined),
  ]).finally(() => late.abort());
  return result ?? { status: 'RUNNING', error: 'TooLate', cause: null, output: null };
}

const PATIENCE_MILLISECONDS = 10_000;

async function until(holds: () => boolean): Promise<void> {
  const late = performance.now() + PATIENCE_MILLISECONDS;
  while (!holds() && performance.now() < late) await pause(5);
}

/** Until no function works for that build: one goes on when its execution is stopped. */
export async function quiet({ cloud }: Factory, build: string): Promise<void> {
  const busy = () =>
    cloud.lambda.invocations.some(({ payload }) => {
      const { execution, build: reaped } = payload as Payload;
      return (execution?.name ?? reaped) === build;
    });
  while (busy()) await pause(5);
}

const deliveredBy = ({ status, output }: Ended): string[] => {
  if (status !== 'SUCCEEDED') return [];
  const { regions, ...home } = JSON.parse(output ?? '{}') as Delivered & { regions?: readonly Delivered[] };
  const all = [home, ...(regions ?? [])].flatMap(({ imageId, snapshotId }) => [imageId, snapshotId]);
  return [...new Set(all)];
};

interface Delivered {
  readonly imageId: string;
  readonly snapshotId: string;
}

const differ = (a: readonly string[], b: readonly string[]): boolean =>
  a.toSorted().join() !== b.toSorted().join();

/** Everything that carries the tag of a build and costs money or is in the way, in all regions of the road. */
export async function carrying(factory: Factory, build: string, { regions = [] }: Road): Promise<string[]> {
  const places = [factory.ec2, ...regions.map((region) => ec2In(factory, region))];
  return (await Promise.all(places.map((ec2) => carryingIn(ec2, build)))).flat();
}

const ec2In = ({ cloud }: Factory, region: string): EC2Client =>
  new EC2Client({ region, endpoint: cloud.endpoint, credentials: cloud.credentials });

async function carryingIn(ec2: EC2Client, build: string): Promise<string[]> {
  const Filters = [{ Name: `tag:${tagKey.build}`, Values: [build] }];
  const [{ Reservations = [] }, { Volumes = [] }, { Snapshots = [] }, { Images = [] }] = await Promise.all([
    ec2.send(new DescribeInstancesCommand({ Filters })),
    ec2.send(new DescribeVolumesCommand({ Filters })),
    ec2.send(new DescribeSnapshotsCommand({ Filters, OwnerIds: ['self'] })),
    ec2.send(new DescribeImagesCommand({ Filters, Owners: ['self'] })),
  ]);
  const instances = Reservations.flatMap(({ Instances = [] }) => Instances);
  return [
    ...instances.flatMap(({ State, InstanceId = '' }) => (State?.Name === 'terminated' ? [] : [InstanceId])),
    ...Volumes.map(({ VolumeId = '' }) => VolumeId),
    ...Snapshots.map(({ SnapshotId = '' }) => SnapshotId),
    ...Images.map(({ ImageId = '' }) => ImageId),
  ];
}

/** Why a build did not end with the one right image, and nothing beside it; undefined when it did. */
async function whatIsWrong(
  factory: Factory,
  built: Ended,
  all: readonly string[],
): Promise<string | undefined> {
  if (built.status !== 'SUCCEEDED') return `${built.status} ${built.error}: ${built.cause}`;
  const delivered = deliveredBy(built);
  if (differ(all, delivered)) return `${all.join()} instead of ${delivered.join()}`;
  const [imageId = '', snapshotId = ''] = delivered;
  const { Images: [image] = [] } = await factory.ec2.send(new DescribeImagesCommand({ ImageIds: [imageId] }));
  if (image?.State !== 'available') return `${imageId} is ${image?.State}`;
  const maker = image.Tags?.find(({ Key }) => Key === tagKey.build)?.Value;
  const { Body } = await factory.s3.send(
    new GetObjectCommand({ Bucket: 'ami-foundry-artifacts', Key: `builds/${maker}/job` }),
  );
  const [, diskId = ''] = /^disk\.id=(.*)$/m.exec((await Body?.transformToString()) ?? '') ?? [];
  const content = stubDisk(diskId);
  const file = await open(snapshotPath(factory.stateDirectory, snapshotId));
  const { buffer } = await file.read(Buffer.alloc(content.length), 0, content.length, 0);
  await file.close();
  return buffer.equals(content) ? undefined : `the disk of ${imageId} is another`;
}

/** Takes delivered images away, as their owner may: the account stays small. */
export async function forget(factory: Factory, build: string, road: Road): Promise<void> {
  const places = [factory.ec2, ...(road.regions ?? []).map((region) => ec2In(factory, region))];
  for (const ec2 of places) {
    const ids = await carryingIn(ec2, build);
    for (const ImageId of ids.filter((id) => id.startsWith('ami-'))) {
      await ec2.send(new DeregisterImageCommand({ ImageId }));
    }
    for (const SnapshotId of ids.filter((id) => id.startsWith('snap-'))) {
      await ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
    }
  }
}
