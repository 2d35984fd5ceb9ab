import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AutoScalingClient, CreateLaunchConfigurationCommand } from '@aws-sdk/client-auto-scaling';
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  RunInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { GetParametersByPathCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../local/clock.ts';
import { haveVenv, judge, program } from '../local/judges/judges.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * Images of weeks, made in seconds: the cloud's clock is in the past while they are built, and functions have today's. Workers are
 * stubs. Nothing is in quarantine for longer than from one run to the next.
 */

const HOME = 'us-east-1';
const ELSEWHERE = 'us-west-2';
const REGIONS = [HOME, ELSEWHERE];
const READER = '111122223333';
const DAY = 86_400_000;

let factory: Factory;
let daysAgo = 0;
const clock: Clock = {
  now: () => Date.now() - daysAgo * DAY,
  sleep: (milliseconds, signal) => systemClock.sleep(milliseconds, signal),
};

/** One image and its copy, by region. */
type Edition = Readonly<Record<string, string>>;
/** The oldest first. */
const editions: Edition[] = [];
let untouched: Awaited<ReturnType<typeof everything>>;
const KEPT_BY = ['template', 'parameter', 'instance', 'configuration'] as const;

const client = (region: string) => ({
  region,
  endpoint: factory.cloud.endpoint,
  credentials: factory.cloud.credentials,
});
const ec2 = (region: string) => new EC2Client(client(region));
const edition = (index: number): Edition => {
  const found = editions.at(index);
  if (found === undefined) throw new Error(`there is no edition ${index}`);
  return found;
};
const of = (index: number, region: string): string => edition(index)[region] ?? '';

beforeAll(async () => {
  factory = await startFactory({
    // Its buckets fill by its clock, which stands in the past for no longer than a build.
    cloud: { stub: { worker: () => 'ok', machine: () => 'ok' }, clock, throttle: false },
    quarantineDays: 0,
  });
  // Four that somebody uses, one that nobody does, and the newest.
  for (const age of [60, 50, 40, 30, 20, 10]) {
    daysAgo = age;
    const recipe = factory.recipe({
      name: 'web',
      image: { description: `${age} days ago` },
      retention: { keep: 1 },
      distribution: {
        regions: [ELSEWHERE],
        share: { accounts: [READER] },
        parameters: '/company/{name}',
      },
    });
    const { status, cause, output } = await factory.end(await factory.start({ recipe }, `web-${age}`));
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    const { regions } = JSON.parse(output ?? '{}') as { regions: { region: string; imageId: string }[] };
    editions.push(Object.fromEntries(regions.map(({ region, imageId }) => [region, imageId])));
  }
  daysAgo = 0;
}, 300_000);
afterAll(() => factory[Symbol.asyncDispose]());
afterEach(() => factory.cloud.faults.clear());

interface Outcome {
  readonly functionError?: string | undefined;
  readonly payload: Readonly<Record<string, unknown>>;
}
const run = async (event: object = {}): Promise<Outcome> =>
  (await factory.cloud.lambda.invoke('ami-foundry-retention', event)) as Outcome;

/** Everything that retention could change, as EC2, Parameter Store and readers see it. */
async function everything() {
  const found = REGIONS.map(async (region) => {
    const { Images = [] } = await ec2(region).send(
      new DescribeImagesCommand({ Owners: ['self'], IncludeDisabled: true }),
    );
    const { Snapshots = [] } = await ec2(region).send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    const { Parameters = [] } = await new SSMClient(client(region)).send(
      new GetParametersByPathCommand({ Path: '/company', Recursive: true }),
    );
    const permissions = Images.map(async ({ ImageId }) => {
      const { LaunchPermissions = [] } = await ec2(region).send(
        new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' }),
      );
      return [ImageId, LaunchPermissions.map(({ UserId }) => UserId)];
    });
    return {
      images: Images.map(({ ImageId, State, Tags = [] }) => ({
        ImageId,
        State,
        tags: Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])),
      })),
      snapshots: Snapshots.map(({ SnapshotId, Tags }) => ({ SnapshotId, Tags })),
      parameters: Parameters.map(({ Name, Value }) => ({ Name, Value })),
      permissions: await Promise.all(permissions),
    };
  });
  return await Promise.all(found);
}

const stateOf = async (region: string, imageId: string) => {
  const input = {
    Owners: ['self'],
    IncludeDisabled: true,
    Filters: [{ Name: 'image-id', Values: [imageId] }],
  };
  return (await ec2(region).send(new DescribeImagesCommand(input))).Images?.[0]?.State;
};

describe('retention', () => {
  beforeAll(async () => {
    const elsewhere = ec2(ELSEWHERE);
    // Its copy stands in the first of two versions.
    await elsewhere.send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: 'web',
        LaunchTemplateData: { ImageId: of(0, ELSEWHERE) },
      }),
    );
    await elsewhere.send(
      new CreateLaunchTemplateVersionCommand({
        LaunchTemplateName: 'web',
        LaunchTemplateData: { ImageId: of(-1, ELSEWHERE) },
      }),
    );
    await new SSMClient(client(HOME)).send(
      new PutParameterCommand({ Name: '/ops/pinned', Type: 'String', Value: of(1, HOME) }),
    );
    const { Instances: [machine] = [] } = await ec2(HOME).send(
      new RunInstancesCommand({
        ImageId: of(2, HOME),
        InstanceType: 'm5.large',
        MinCount: 1,
        MaxCount: 1,
      }),
    );
    const InstanceIds = [machine?.InstanceId ?? ''];
    const stateNow = async () => {
      const { Reservations = [] } = await ec2(HOME).send(new DescribeInstancesCommand({ InstanceIds }));
      return Reservations[0]?.Instances?.[0]?.State?.Name;
    };
    while ((await stateNow()) !== 'running') await systemClock.sleep(50);
    await ec2(HOME).send(new StopInstancesCommand({ InstanceIds }));
    while ((await stateNow()) !== 'stopped') await systemClock.sleep(50);
    await new AutoScalingClient(client(ELSEWHERE)).send(
      new CreateLaunchConfigurationCommand({
        LaunchConfigurationName: 'web',
        ImageId: of(3, ELSEWHERE),
        InstanceType: 'm5.large',
      }),
    );
  }, 120_000);

  it.each([
    ['DescribeLaunchTemplateVersions', ELSEWHERE, 'RequestLimitExceeded'],
    ['DescribeImageReferences', HOME, 'UnauthorizedOperation'],
    ['DescribeInstances', HOME, 'InternalError'],
    ['DescribeLaunchConfigurations', HOME, 'Throttling'],
    ['GetParametersByPath', ELSEWHERE, 'AccessDeniedException'],
    ['DescribeImages', ELSEWHERE, 'UnauthorizedOperation'],
  ])(
    'keeps everything when %s is refused in %s (%s)',
    async (action, region, code) => {
      const before = await everything();
      factory.cloud.faults.add({
        action,
        region,
        times: Number.POSITIVE_INFINITY,
        where: ({ caller }) => caller === 'ami-foundry-retention',
        error: { code, status: 400 },
      });
      const { functionError, payload } = await run();
      factory.cloud.faults.clear();
      expect(functionError).toBe('Unhandled');
      expect(payload.errorType).toBe('RetentionIncomplete');
      expect(payload.errorMessage).toContain(`- ${region}: `);
      expect(payload.errorMessage).toContain(code);
      expect(await everything()).toEqual(before);
    },
    60_000,
  );

  it('puts away what nobody uses, with its copy; a template’s version, a parameter, a stopped instance and a launch configuration keep theirs', async () => {
    untouched = await everything();
    const { functionError, payload } = await run();
    expect(functionError, JSON.stringify(payload)).toBeUndefined();
    expect(payload).toMatchObject({ quarantined: [of(4, HOME), of(4, ELSEWHERE)], inUse: 8, retired: [] });
    for (const region of REGIONS) {
      expect(await stateOf(region, of(4, region))).toBe('disabled');
      for (const [index] of KEPT_BY.entries())
        expect(await stateOf(region, of(index, region))).toBe('available');
      expect(await stateOf(region, of(5, region))).toBe('available');
    }
  }, 60_000);

  it.skipIf(!haveVenv())(
    'its undo command, run by the AWS CLI, brings everything back as it was',
    async () => {
      const log = await readFile(join(factory.stateDirectory, 'logs/ami-foundry-retention.log'), 'utf8');
      const told = log.split('\n').find((line) => line.includes('"message":"quarantined"')) ?? '{}';
      const { undo } = JSON.parse(told) as { undo: string };
      const { cloud, stateDirectory } = factory;
      // Node's pipes are sockets, which nobody can open as /dev/stdout.
      const { output } = await judge({ cloud, stateDirectory }, 'sh', ['-c', `${undo} | cat`], {
        PATH: `${dirname(program('aws'))}:${process.env.PATH}`,
      });
      expect(output).toContain(of(4, ELSEWHERE));
      const pinned = JSON.stringify(await everything());
      expect(pinned.match(/ never/g)).toHaveLength(2);
      expect(JSON.parse(pinned.replaceAll(' never', ''))).toEqual(JSON.parse(JSON.stringify(untouched)));
    },
    60_000,
  );

  it('an image that is in use is not put away by hand either', async () => {
    const { payload } = await run({ retire: of(5, HOME) });
    expect(payload.errorType).toBe('ImageInUse');
    expect(payload.errorMessage).toContain(`${ELSEWHERE}: parameter /company/web/latest`);
  });

  it('what was brought back stays, until somebody wants it gone; then it goes with snapshots and parameter', async () => {
    expect((await run()).payload).toMatchObject({ quarantined: [], inUse: 8 });
    expect((await run({ retire: of(4, HOME) })).payload).toMatchObject({
      quarantined: [of(4, HOME), of(4, ELSEWHERE)],
    });
    const before = await everything();
    const { payload } = await run();
    expect(payload).toMatchObject({ retired: [of(4, HOME), of(4, ELSEWHERE)], uncertain: 0 });
    const after = await everything();
    for (const [index] of REGIONS.entries()) {
      expect(after[index]?.images).toHaveLength((before[index]?.images.length ?? 0) - 1);
      expect(after[index]?.snapshots).toHaveLength((before[index]?.snapshots.length ?? 0) - 1);
      expect(after[index]?.parameters).toHaveLength((before[index]?.parameters.length ?? 0) - 1);
    }
    expect((await run()).payload).toMatchObject({ retired: [], quarantined: [], uncertain: 0 });
    expect(await everything()).toEqual(after);
  }, 60_000);
});
