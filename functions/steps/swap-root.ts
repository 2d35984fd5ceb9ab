import * as z from 'zod/mini';
import { buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { Instance, Instances, Volume, Volumes } from '../../core/ports.ts';
import { ranWith, rootIsOurs, rootOf } from '../../core/root-swap.ts';
import { beginWaiting, noteSeen } from '../../core/waiting.ts';

export const swapRootStep = {
  name: 'swap-root',
  input: z.extend(
    z.pick(buildState, { plan: true, windows: true }),
    z.partial(z.pick(buildState, { waiting: true })).shape,
  ),
  output: z.pick(buildState, { waiting: true }),
  options: z.object({}),
};

interface SwapRootDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly clock: Clock;
}

const MINUTE = 60_000;

/** For each step of the swap. Starting and stopping take a minute or two, a disk seconds; a stop that EC2 must force takes ten minutes. */
const STEP_LIMIT = 15 * MINUTE;
/** For all of it: steps that follow each other round and round are no progress. */
const SWAP_LIMIT = 45 * MINUTE;

const remedy = 'find out who changes instances with the tag ami-foundry:build; then build again.';

const disturbed = (message: string) => new FactoryError('RootSwapDisturbed', { message, remedy });

/**
 * Replaces the root of the Windows instance by the FreeBSD disk. Each call looks at the instance and its disks, does the one thing that is
 * due, and says what it saw; so it does not matter where an earlier call ended. Ready when EC2 shows the disk as the root that it must be.
 */
export const swapRoot =
  ({ instances, volumes, clock }: SwapRootDependencies) =>
  async ({
    plan,
    windows,
    waiting,
  }: z.output<typeof swapRootStep.input>): Promise<z.output<typeof swapRootStep.output>> => {
    const { instanceId, volumeId } = windows;

    /** The next step of a stopped instance. */
    async function swap(instance: Instance, disk: Volume | undefined): Promise<string> {
      const { rootDeviceName } = instance;
      if (rootIsOurs(instance, volumeId)) return 'swapped';
      const root = rootOf(instance);
      if (root?.volumeId === volumeId) {
        if (root.state !== 'attached') return `the disk is ${root.state}`;
        // Whatever is attached later stays when its instance ends (EC2 User Guide, "Preserve data when an instance is terminated").
        await instances.deleteOnTermination(instanceId, rootDeviceName);
        return 'the disk is attached';
      }
      // Windows' own disk, or whatever else is in the way.
      const inTheWay = instance.disks.filter(
        (each) => each.volumeId !== volumeId && each.state !== 'detached',
      );
      for (const { volumeId: other, state } of inTheWay)
        if (state !== 'detaching') await volumes.detach(other);
      if (inTheWay.length > 0) return 'Windows’ disk is detaching';
      const remains = (await volumes.findByBuild(plan.build)).filter((each) => each.volumeId !== volumeId);
      if (remains.some(({ attachments }) => attachments.some((each) => each.instanceId === instanceId)))
        return 'Windows’ disk is detaching';
      // All that the build still has beside its snapshot: Windows' disk, and the one that the snapshot was made of.
      for (const { volumeId: other, state } of remains)
        if (state === 'available') await volumes.delete(other);
      if (disk?.state === 'available') await volumes.attach(volumeId, instanceId, rootDeviceName);
      return `Windows’ disk is gone, the other is ${disk?.state ?? 'unknown'}`;
    }

    async function next(): Promise<string> {
      const instance = await instances.describe(instanceId);
      const disk = await volumes.describe(volumeId);
      if (disk?.state === 'error') {
        throw new FactoryError('VolumeFailed', {
          message: `${volumeId} could not be made of ${windows.snapshotId}`,
          remedy: 'build again; if it recurs, see AWS Health.',
        });
      }
      const strange = disk?.attachments.find((each) => each.instanceId !== instanceId);
      if (strange) throw disturbed(`${volumeId} is attached to ${strange.instanceId}`);
      if (disk?.state === 'deleting' || disk?.state === 'deleted')
        throw disturbed(`${volumeId} is ${disk.state}`);
      if (instance === undefined) return 'the instance is unknown';
      if (instance.state === 'shutting-down' || instance.state === 'terminated') {
        throw new FactoryError('WindowsDied', {
          message: `${instanceId} (${windows.instanceType}) went to ${instance.state}: ${instance.stateReason || 'no reason given'}`,
          remedy: "see StateReason's code in the EC2 User Guide, Troubleshoot instance launch issues.",
        });
      }
      // The first boot of the disk belongs to whoever launches the image.
      if (ranWith(instance, volumeId)) throw disturbed(`${instanceId} was started with ${volumeId} in it`);
      if (instance.state === 'stopped') return await swap(instance, disk);
      // Also one that somebody has started again.
      if (instance.state === 'running') await instances.stop(instanceId);
      return `the instance is ${instance.state}`;
    }

    const seen = await next();
    const now = {
      ...noteSeen(beginWaiting(waiting, clock.now()), seen, clock.now()),
      ready: seen === 'swapped',
    };
    const late = clock.now() - now.seenAt > STEP_LIMIT || clock.now() - now.since > SWAP_LIMIT;
    if (!late || now.ready) return { waiting: now };
    throw new FactoryError('WaitTimedOut', {
      message: `the root of ${instanceId} is not replaced after ${Math.round((clock.now() - now.since) / MINUTE)} minutes: ${seen}`,
      remedy: 'look at the instance in the EC2 console and at the AWS Health Dashboard; then build again.',
    });
  };
