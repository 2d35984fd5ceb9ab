import { setTimeout as pause } from 'node:timers/promises';
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  RunInstancesCommand,
  type Tag,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

/** An image that is billed as Windows: made by the true worker and booted; stopped at each call of its own steps; billed otherwise. */

const road = { image: { road: 'windows' } };

/** Waits until nothing is left; shows what is when that takes too long. */
async function comesToNothing({ ec2 }: Factory): Promise<void> {
  const started = performance.now();
  // What a step had begun when its build was stopped may still arrive.
  for (let since = started; performance.now() - since < 700; await pause(50)) {
    const left = await whatIsLeft(ec2);
    if (left.length > 0) since = performance.now();
    if (performance.now() - started > 45_000) expect(left).toEqual([]);
  }
}

describe('a build by the windows road', () => {
  let factory: Factory;
  beforeAll(async () => {
    factory = await startFactory();
  }, 120_000);
  afterAll(() => factory[Symbol.asyncDispose]());

  it('ends with an image that boots and is billed as Windows, and with nothing beside it', async () => {
    const execution = await factory.end(
      await factory.start({ recipe: factory.recipe({ name: 'billed', bootTest: {}, ...road }) }, 'billed'),
    );
    expect(`${execution.error ?? ''}${execution.cause ?? ''}`).toBe('');
    const { imageId, snapshotId } = JSON.parse(execution.output ?? '{}');
    expect(new Set(await whatIsLeft(factory.ec2))).toEqual(new Set([imageId, snapshotId]));
    const { Images: [image] = [] } = await factory.ec2.send(
      new DescribeImagesCommand({ ImageIds: [imageId] }),
    );
    expect(image).toMatchObject({
      UsageOperation: 'RunInstances:0002',
      Platform: 'windows',
      PlatformDetails: 'Windows',
      BootMode: 'uefi',
      EnaSupport: true,
      ImdsSupport: 'v2.0',
      RootDeviceName: '/dev/sda1',
      BlockDeviceMappings: [
        {
          DeviceName: '/dev/sda1',
          Ebs: { SnapshotId: snapshotId, VolumeSize: 1, DeleteOnTermination: true },
        },
      ],
    });
    const { Snapshots: [snapshot] = [] } = await factory.ec2.send(
      new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }),
    );
    const tags = (thing: { Tags?: Tag[] | undefined } | undefined) =>
      Object.fromEntries(thing?.Tags?.map(({ Key, Value }) => [Key, Value]) ?? []);
    expect(tags(image)).toMatchObject({ 'ami-foundry:build': 'billed', 'ami-foundry:role': 'image' });
    expect(tags(snapshot)).toMatchObject({ 'ami-foundry:build': 'billed', 'ami-foundry:role': 'snapshot' });

    const { Instances: [instance] = [] } = await factory.ec2.send(
      new RunInstancesCommand({ ImageId: imageId, InstanceType: 'm6i.large', MinCount: 1, MaxCount: 1 }),
    );
    const InstanceIds = [instance?.InstanceId ?? ''];
    const { Reservations: [reservation] = [] } = await factory.ec2.send(
      new DescribeInstancesCommand({ InstanceIds }),
    );
    expect(reservation?.Instances?.[0]).toMatchObject({ UsageOperation: 'RunInstances:0002' });
    await factory.ec2.send(new TerminateInstancesCommand({ InstanceIds }));
  }, 180_000);
});

describe('a build by the windows road that goes wrong', () => {
  let factory: Factory;
  beforeAll(async () => {
    factory = await startFactory({
      cloud: { stub: {}, throttle: false, createImageBilling: 'root volume' },
    });
  }, 120_000);
  afterAll(() => factory[Symbol.asyncDispose]());

  it('leaves nothing when EC2 bills its image by the root, and says so', async () => {
    const { status, error, cause } = await factory.end(
      await factory.start({ recipe: factory.recipe({ name: 'unbilled', ...road }) }),
    );
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'ImageNotWindows' });
    expect(cause).toContain('- UsageOperation is RunInstances, not RunInstances:0002');
    expect(cause).toContain('docs/runbook.md#imagenotwindows');
    expect(await whatIsLeft(factory.ec2)).toEqual([]);
  }, 60_000);

  it.each([
    ['launch-windows', 'RunInstances'],
    ['launch-windows', 'CreateVolume'],
    ['swap-root', 'StopInstances'],
    ['swap-root', 'DetachVolume'],
    ['swap-root', 'DeleteVolume'],
    ['swap-root', 'AttachVolume'],
    ['swap-root', 'ModifyInstanceAttribute'],
    ['create-image', 'CreateImage'],
    ['wait-for-image', 'DescribeImages'],
  ])(
    'leaves nothing when it is stopped in %s after %s',
    async (step, action) => {
      const name = `stopped-${action.toLowerCase()}`;
      let stopped = false;
      factory.cloud.faults.add({
        action,
        afterEffect: true,
        where: ({ caller }) => caller === `ami-foundry-${step}`,
        strike: async () => {
          await factory.sfn.send(new StopExecutionCommand({ executionArn: await arn }));
          stopped = true;
        },
      });
      const arn = factory.start({ recipe: factory.recipe({ name, ...road }) });
      expect((await factory.end(await arn)).status).toBe('ABORTED');
      expect(stopped).toBe(true);
      await comesToNothing(factory);
    },
    90_000,
  );
});
