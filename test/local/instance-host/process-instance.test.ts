import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  TerminateInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilVolumeAvailable,
  waitUntilVolumeInUse,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, quickly, type Stage } from '../stage.ts';

const run = promisify(execFile);

let stage: Stage;
let ec2: EC2Client;
let image: string;
beforeAll(async () => {
  stage = await openStage({ throttle: false });
  ec2 = new EC2Client(stage.client);
  const name = '/aws/service/freebsd/amd64/base/ufs/15.0/RELEASE';
  image =
    (await new SSMClient(stage.client).send(new GetParameterCommand({ Name: name }))).Parameter?.Value ?? '';
});
afterAll(() => stage.close());

async function launch(script: string | Buffer | undefined, change: Partial<RunInstancesCommandInput> = {}) {
  const { Instances: [one] = [] } = await ec2.send(
    new RunInstancesCommand({
      ImageId: image,
      InstanceType: 't3.micro',
      MinCount: 1,
      MaxCount: 1,
      ...(script === undefined ? {} : { UserData: Buffer.from(script).toString('base64') }),
      InstanceInitiatedShutdownBehavior: 'terminate',
      ...change,
    }),
  );
  return one?.InstanceId ?? '';
}

/** The console once it holds `text`. */
async function consoleWith(id: string, text: string | RegExp): Promise<string> {
  const until = Date.now() + 10_000;
  for (;;) {
    const console = await readFile(stage.cloud.instanceHost.consolePath(id), 'utf8').catch(() => '');
    if (typeof text === 'string' ? console.includes(text) : text.test(console)) return console;
    if (Date.now() > until) throw new Error(`the console never had ${text}: ${console}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Not the SDK's waiter: it takes `pending` for a failure, and these may be terminated before anybody looks. */
async function terminated(id: string): Promise<void> {
  const until = Date.now() + 10_000;
  while (Date.now() < until) {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    if (Reservations?.[0]?.Instances?.[0]?.State?.Name === 'terminated') return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${id} was not terminated`);
}

const FOREVER = 'while :; do sleep 1; done';

describe('user data', () => {
  test('runs with the environment of the contract and nothing of this machine', async () => {
    process.env.LEAKED_FROM_HOST = 'yes';
    const id = await launch('#!/bin/sh\nenv\nid -u\necho "at $PWD"\necho complaint >&2\necho end\n');
    await terminated(id);
    delete process.env.LEAKED_FROM_HOST;
    const text = await consoleWith(id, 'end\n');
    const names = [...text.matchAll(/^(\w+)=/gm)].map(([, name = '']) => name).toSorted();
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([
      'AWS_EC2_METADATA_SERVICE_ENDPOINT',
      'FOUNDRY_DEV',
      'FOUNDRY_POWER_OFF',
      'HOME',
      'LANG',
      'PATH',
      'TMPDIR',
    ]);
    expect(text).toContain('complaint'); // Standard error is the console too.
  });

  test.each([
    ['that is no script is not run', 'echo hello\n', 'not a script (no #!)'],
    ['that is missing leaves the machine to itself', undefined, 'no user-data'],
    [
      'with an interpreter runs by it',
      '#!/usr/bin/env node\nconsole.log(process.version);\n',
      `${process.version}\n`,
    ],
  ])('%s', async (_what, script, said) => {
    const id = await launch(script);
    await consoleWith(id, said);
    await terminated(id);
  });

  test('is what the console shows: CR LF, and the last 64 KB only', async () => {
    const id = await launch(
      `#!/bin/sh\ni=0; while [ $i -lt 3000 ]; do echo "line $i ${'x'.repeat(40)}"; i=$((i+1)); done; echo last\n${FOREVER}`,
    );
    await consoleWith(id, 'last\n');
    const read = async (Latest: boolean) => {
      const { Output = '' } = await ec2.send(new GetConsoleOutputCommand({ InstanceId: id, Latest }));
      return Buffer.from(Output, 'base64');
    };
    const live = await read(true);
    expect(live.length).toBe(64 * 1024);
    expect(live.toString()).toMatch(/line 2999 x+\r\nlast\r\n$/);
    // Posted at state changes only: nothing yet without Latest, everything after the end.
    expect((await read(false)).length).toBe(0);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await terminated(id);
    expect((await read(false)).toString()).toMatch(/last\r\n$/);
  });
});

describe('disks', () => {
  test('appear and disappear by id while the machine runs', async () => {
    const id = await launch(`#!/bin/sh\n${FOREVER}`);
    await waitUntilInstanceRunning({ client: ec2, ...quickly }, { InstanceIds: [id] });
    const directory = `${stage.cloud.instanceHost.scratch(id)}/dev/disk/by-id`;
    const root = await readdir(directory);
    expect(root).toHaveLength(1);
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const AvailabilityZone = Reservations?.[0]?.Instances?.[0]?.Placement?.AvailabilityZone;
    const { VolumeId = '' } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone, Size: 3 }));
    await waitUntilVolumeAvailable({ client: ec2, ...quickly }, { VolumeIds: [VolumeId] });
    await ec2.send(new AttachVolumeCommand({ InstanceId: id, VolumeId, Device: '/dev/sdf' }));
    await waitUntilVolumeInUse({ client: ec2, ...quickly }, { VolumeIds: [VolumeId] });
    const name = `nvme-Amazon_Elastic_Block_Store_${VolumeId.replace('-', '')}`;
    const until = Date.now() + 5000;
    while (!(await readdir(directory)).includes(name) && Date.now() < until);
    expect(await readlink(`${directory}/${name}`)).toBe(`${stage.stateDirectory}/volumes/${VolumeId}.raw`);
    await ec2.send(new DetachVolumeCommand({ VolumeId }));
    await waitUntilVolumeAvailable({ client: ec2, ...quickly }, { VolumeIds: [VolumeId] });
    expect(await readdir(directory)).toEqual(root);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  });
});

describe('the end', () => {
  const children = async (id: string): Promise<number[]> => {
    const text = await consoleWith(id, /pids \d+ \d+\n/);
    return (/pids (\d+) (\d+)/.exec(text)?.slice(1) ?? []).map(Number);
  };
  const lives = (pid: number) => {
    try {
      process.kill(pid, 0);
      return readFile(`/proc/${pid}/stat`, 'utf8').then(
        (text) => !/\) [ZX] /.test(text),
        () => false,
      );
    } catch {
      return Promise.resolve(false);
    }
  };

  test('takes the whole process group, also one that ignores SIGTERM', async () => {
    const id = await launch(
      `#!/bin/sh\ntrap '' TERM\n(trap '' TERM; exec sleep 600) & echo "pids $$ $!"\nwait`,
    );
    const pids = await children(id);
    expect(await Promise.all(pids.map(lives))).toEqual([true, true]);
    const started = Date.now();
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id], SkipOsShutdown: true }));
    await terminated(id);
    expect(Date.now() - started).toBeLessThan(1500); // No grace was given.
    expect(await Promise.all(pids.map(lives))).toEqual([false, false]);
  });

  test('comes with a SIGTERM first, so that a program can clean up', async () => {
    const id = await launch(
      `#!/bin/sh\ntrap 'echo goodbye; exit 0' TERM\necho ready\nwhile :; do sleep 0.1; done`,
    );
    await consoleWith(id, 'ready');
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await terminated(id);
    expect(await consoleWith(id, 'ready')).toContain('goodbye');
  });
});

describe('the metadata service', () => {
  async function curl(endpoint: string, path: string, ...args: string[]) {
    const { stdout } = await run('curl', ['-sS', '-w', '\n%{http_code}', ...args, `${endpoint}${path}`]);
    const at = stdout.lastIndexOf('\n');
    return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) };
  }
  async function endpointOf(id: string) {
    const text = await consoleWith(id, /endpoint=\S+\n/);
    return /endpoint=(\S+)/.exec(text)?.[1] ?? '';
  }
  const script = `#!/bin/sh\necho "endpoint=$AWS_EC2_METADATA_SERVICE_ENDPOINT"\n${FOREVER}`;
  const TTL = 'X-aws-ec2-metadata-token-ttl-seconds';
  const token = async (endpoint: string) =>
    (await curl(endpoint, '/latest/api/token', '-X', 'PUT', '-H', `${TTL}: 60`)).body;

  test('gives nothing without a token where tokens are required', async () => {
    const id = await launch(script, { MetadataOptions: { HttpTokens: 'required' } });
    const endpoint = await endpointOf(id);
    expect((await curl(endpoint, '/latest/meta-data/instance-id')).status).toBe(401);
    expect((await curl(endpoint, '/latest/user-data')).status).toBe(401);
    expect(
      (await curl(endpoint, '/latest/meta-data/', '-H', 'X-aws-ec2-metadata-token: made-up')).status,
    ).toBe(401);
    expect((await curl(endpoint, '/latest/api/token', '-X', 'PUT')).status).toBe(400);
    expect((await curl(endpoint, '/latest/api/token', '-X', 'PUT', '-H', `${TTL}: 21601`)).status).toBe(400);
    expect(
      (
        await curl(
          endpoint,
          '/latest/api/token',
          '-X',
          'PUT',
          '-H',
          `${TTL}: 60`,
          '-H',
          'X-Forwarded-For: 1.2.3.4',
        )
      ).status,
    ).toBe(403);
    expect((await curl(endpoint, '/latest/api/token')).status).toBe(405);

    const header = ['-H', `X-aws-ec2-metadata-token: ${await token(endpoint)}`];
    const get = async (path: string) => (await curl(endpoint, path, ...header)).body;
    expect(await get('/latest/meta-data/instance-id')).toBe(id);
    expect(await get('/latest/meta-data/ami-id')).toBe(image);
    expect(await get('/latest/meta-data/instance-type')).toBe('t3.micro');
    expect(await get('/latest/meta-data/placement/region')).toBe(stage.cloud.region);
    expect(await get('/latest/meta-data/placement/availability-zone')).toMatch(/^us-east-1[abc]$/);
    expect(await get('/latest/meta-data/local-ipv4')).toMatch(/^172\.31\./);
    expect((await get('/latest/meta-data/placement/')).split('\n')).toContain('region');
    expect((await get('/latest/meta-data')).split('\n')).toContain('placement/');
    expect(await get('/latest/user-data')).toBe(script);
    expect(JSON.parse(await get('/latest/dynamic/instance-identity/document'))).toMatchObject({
      instanceId: id,
      region: stage.cloud.region,
    });
    expect((await curl(endpoint, '/latest/meta-data/iam/info', ...header)).status).toBe(404);
    expect((await curl(endpoint, '/latest/meta-data/tags/instance', ...header)).status).toBe(404);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await terminated(id);
    await expect(curl(endpoint, '/latest/meta-data/')).rejects.toThrow(); // Nobody there any more.
  });

  test('answers without one where they are optional, and tells tags where that is allowed', async () => {
    const id = await launch(script, {
      MetadataOptions: { HttpTokens: 'optional', InstanceMetadataTags: 'enabled' },
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'Name', Value: 'me' }] }],
    });
    const endpoint = await endpointOf(id);
    expect((await curl(endpoint, '/latest/meta-data/instance-id')).body).toBe(id);
    expect((await curl(endpoint, '/latest/meta-data/tags/instance/Name')).body).toBe('me');
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  });
});
