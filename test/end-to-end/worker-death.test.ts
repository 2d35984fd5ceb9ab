import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import {
  DescribeInstancesCommand,
  GetConsoleOutputCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

let factory: Factory;
const base = '/releases/amd64/amd64/15.1-RELEASE/base.txz';

beforeAll(async () => {
  factory = await startFactory({ workerSeconds: 20 });
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());

/** Starts a build whose download is slow, and waits until its worker is in phase fetch. */
async function buildInFetch(name: string) {
  factory.mirror.faults.set(base, [{ kind: 'slow', bytesPerSecond: 20_000 }]);
  const executionArn = await factory.start({ recipe: factory.recipe({ name }) });
  for (;;) {
    const { Reservations = [] } = await factory.ec2.send(
      new DescribeInstancesCommand({ Filters: [{ Name: 'instance-state-name', Values: ['running'] }] }),
    );
    const instanceId = Reservations[0]?.Instances?.[0]?.InstanceId;
    if (instanceId) {
      const { Output = '' } = await factory.ec2.send(
        new GetConsoleOutputCommand({ InstanceId: instanceId, Latest: true }),
      );
      if (Buffer.from(Output, 'base64').includes('phase=fetch state=start'))
        return { executionArn, instanceId };
    }
    await pause(50);
  }
}

it('a worker that is killed: the build names the phase it died in, and leaves nothing', async () => {
  const { executionArn } = await buildInFetch('killed');
  // The whole process group, bootstrap included: what a crash of the machine does.
  const pid = execFileSync('pgrep', ['-f', `worker/main.sh.*--work ${factory.stateDirectory}`], {
    encoding: 'utf8',
  });
  const group = execFileSync('ps', ['-o', 'pgid=', '-p', pid.split('\n')[0] ?? ''], { encoding: 'utf8' });
  process.kill(-Number(group), 'SIGKILL');
  const { status, error, cause } = await factory.end(executionArn);
  expect({ status, error }).toEqual({ status: 'FAILED', error: 'WorkerDied' });
  expect(cause).toContain('during phase fetch');
  expect(await whatIsLeft(factory.ec2)).toEqual([]);
}, 60_000);

it('an instance that is terminated under the build: the same', async () => {
  const { executionArn, instanceId } = await buildInFetch('terminated');
  await factory.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId], SkipOsShutdown: true }));
  const { error, cause } = await factory.end(executionArn);
  // Whether the worker still gets its word out is a race that either answer settles.
  expect(['WorkerDied', 'WorkerInterrupted']).toContain(error);
  expect(cause).toContain('phase fetch');
  expect(await whatIsLeft(factory.ec2)).toEqual([]);
}, 60_000);

it('a worker that takes too long: ends within its time-out, with its phase', async () => {
  const started = performance.now();
  const { executionArn } = await buildInFetch('late');
  const { status, error, cause } = await factory.end(executionArn);
  expect({ status, error }).toEqual({ status: 'FAILED', error: 'WorkerTimedOut' });
  expect(cause).toContain('during phase fetch');
  expect(performance.now() - started).toBeLessThan(40_000);
  expect(await whatIsLeft(factory.ec2)).toEqual([]);
}, 60_000);
