import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

let factory: Factory;
/** In their order: "Contract: worker" in docs/architecture.md. */
const workerPhases =
  'preflight fetch extract packages configure customise seal inventory filesystem write verify'.split(' ');

const base = '/releases/amd64/amd64/15.1-RELEASE/base.txz';

beforeAll(async () => {
  factory = await startFactory();
}, 120_000);
afterEach(() => factory.mirror.faults.clear());
afterAll(() => factory[Symbol.asyncDispose]());

/** Starts a build and waits until its worker has begun a phase; a slow download leaves it in `fetch`. */
async function buildIn(phase: string, name: string, where: Factory = factory) {
  if (phase === 'fetch') where.mirror.faults.set(base, [{ kind: 'slow', bytesPerSecond: 20_000 }]);
  const executionArn = await where.start({ recipe: where.recipe({ name }) }, name);
  for (;;) {
    const { Reservations = [] } = await where.ec2.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'instance-state-name', Values: ['running'] },
          { Name: `tag:${tagKey.build}`, Values: [name] },
        ],
      }),
    );
    const instanceId = Reservations[0]?.Instances?.[0]?.InstanceId;
    if (instanceId) {
      const console = where.cloud.instanceHost.consolePath(instanceId);
      while (!(await readFile(console, 'utf8')).includes(`phase=${phase} state=start`)) await pause(10);
      return { executionArn, instanceId };
    }
    await pause(50);
  }
}

it.each(['fetch', 'extract', 'filesystem', 'write'])(
  'a worker that is killed in %s: the build names the phase it died in, leaves nothing, and can be built again',
  async (phase) => {
    const name = `killed-in-${phase}`;
    const { executionArn, instanceId } = await buildIn(phase, name);
    // The whole process group, bootstrap included: what a crash of the machine does.
    const work = join('instances', instanceId);
    const pid = execFileSync('pgrep', ['-f', `worker/main.sh.*--work .*/${work}`], { encoding: 'utf8' });
    const group = execFileSync('ps', ['-o', 'pgid=', '-p', pid.split('\n')[0] ?? ''], { encoding: 'utf8' });
    process.kill(-Number(group), 'SIGKILL');
    const { status, error, cause } = await factory.end(executionArn);
    factory.mirror.faults.clear();
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'WorkerDied' });
    // It may have come further before the signal.
    const died = /during phase (\w+)/.exec(cause ?? '')?.[1] ?? '';
    expect(workerPhases.indexOf(died)).toBeGreaterThanOrEqual(workerPhases.indexOf(phase));
    expect(await whatIsLeft(factory.ec2)).toEqual([]);

    const again = await factory.end(await factory.start({ recipe: factory.recipe({ name }) }));
    expect(again.status).toBe('SUCCEEDED');
    const { imageId, snapshotId } = JSON.parse(again.output ?? '{}') as {
      imageId: string;
      snapshotId: string;
    };
    expect((await whatIsLeft(factory.ec2)).toSorted()).toEqual([imageId, snapshotId].toSorted());
    await factory.ec2.send(new DeregisterImageCommand({ ImageId: imageId }));
    await factory.ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
  },
  90_000,
);

it('an instance that is terminated under the build: the same', async () => {
  const { executionArn, instanceId } = await buildIn('fetch', 'terminated');
  await factory.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId], SkipOsShutdown: true }));
  const { error, cause } = await factory.end(executionArn);
  // Whether the worker still gets its word out is a race that either answer settles.
  expect(['WorkerDied', 'WorkerInterrupted']).toContain(error);
  expect(cause).toContain('phase fetch');
  expect(await whatIsLeft(factory.ec2)).toEqual([]);
}, 60_000);

it('a worker that takes too long: ends within its time-out, with its phase', async () => {
  await using hurried = await startFactory({ workerSeconds: 20 });
  const started = performance.now();
  const { executionArn } = await buildIn('fetch', 'late', hurried);
  const { status, error, cause } = await hurried.end(executionArn);
  expect({ status, error }).toEqual({ status: 'FAILED', error: 'WorkerTimedOut' });
  expect(cause).toContain('during phase fetch');
  expect(performance.now() - started).toBeLessThan(40_000);
  expect(await whatIsLeft(hurried.ec2)).toEqual([]);
}, 120_000);
