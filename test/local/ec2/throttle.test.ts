import { DescribeVolumesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { describe, expect, test } from 'vitest';
import { Throttle } from '../../../local/ec2/throttle.ts';
import { openStage } from '../stage.ts';
import { VirtualClock } from '../virtual-clock.ts';

const exceeded = expect.objectContaining({ name: 'RequestLimitExceeded' });

/** Calls until the bucket refuses. */
function drain(throttle: Throttle, action: string, input: Record<string, unknown> = {}): number {
  for (let calls = 0; calls < 100_000; calls++) {
    try {
      throttle.take(action, input);
    } catch (error) {
      expect(error).toEqual(exceeded);
      return calls;
    }
  }
  throw new Error(`${action} is never throttled`);
}

describe('token buckets as published', () => {
  test.each([
    ['RunInstances', { MaxCount: 1 }, 5, 2],
    ['CreateSnapshot', {}, 100, 5],
    ['CreateVolume', {}, 100, 5],
    ['CreateTags', {}, 100, 10],
    ['RegisterImage', {}, 50, 5],
    ['DescribeImages', {}, 100, 20],
    ['GetConsoleOutput', {}, 100, 20],
    ['DescribeInstances', {}, 50, 10],
    ['DescribeInstances', { InstanceIds: ['i-1'] }, 100, 20],
    ['DescribeVolumes', { Filters: [] }, 100, 20],
  ] as const)('%s %j: %i at once, then %i a second', (action, input, size, perSecond) => {
    const clock = new VirtualClock();
    const throttle = new Throttle(clock);
    expect(drain(throttle, action, input)).toBe(size);
    clock.advance(1000);
    expect(drain(throttle, action, input)).toBe(perSecond);
    clock.advance(3600 * 1000);
    expect(drain(throttle, action, input)).toBe(size);
  });

  test('a second bucket pays per instance', () => {
    const clock = new VirtualClock();
    const throttle = new Throttle(clock);
    throttle.take('RunInstances', { MaxCount: 998 });
    throttle.take('RunInstances', { MaxCount: 2 });
    expect(() => throttle.take('RunInstances', { MaxCount: 1 })).toThrow(exceeded);
  });

  test('actions do not take from each other', () => {
    const throttle = new Throttle(new VirtualClock());
    drain(throttle, 'RunInstances', { MaxCount: 1 });
    expect(drain(throttle, 'CreateVolume')).toBe(100);
  });
});

test('on the wire: 503 RequestLimitExceeded, which the SDK knows to retry', async () => {
  const stage = await openStage();
  try {
    const ec2 = new EC2Client(stage.client);
    const run = () => ec2.send(new RunInstancesCommand({ ImageId: 'ami-0', MinCount: 1, MaxCount: 1 }));
    const errors = await Promise.all(Array.from({ length: 6 }, () => run().catch((error: unknown) => error)));
    expect(errors.filter((error) => (error as Error).name === 'RequestLimitExceeded')).toHaveLength(1);
    expect(errors.at(-1)).toMatchObject({ $metadata: { httpStatusCode: 503 }, $retryable: undefined });
    const patient = new EC2Client({ ...stage.client, maxAttempts: 6 });
    const started = Date.now();
    await Promise.all(Array.from({ length: 55 }, () => patient.send(new DescribeVolumesCommand({}))));
    // The bucket of unfiltered calls holds 50 and gets 10 a second: the SDK has waited for the rest.
    expect(Date.now() - started).toBeGreaterThan(50);
  } finally {
    await stage.close();
  }
});
