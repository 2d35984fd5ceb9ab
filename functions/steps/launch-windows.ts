import * as z from 'zod/mini';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import { lacksCapacity } from '../../core/capacity.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { buildTags, clientToken } from '../../core/names.ts';
import type { Instances, Network, Subnet, Volumes } from '../../core/ports.ts';

export const launchWindowsStep = {
  name: 'launch-windows',
  input: z.pick(buildState, { plan: true, snapshot: true }),
  output: z.pick(buildState, { windows: true }),
  options: z.object({}),
};

interface LaunchWindowsDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly network: Network;
  readonly clock: Clock;
  readonly settings: z.output<(typeof functionEnvironment)['launch-windows']>;
}

/**
 * Launches Windows, and makes a disk of the completed snapshot beside it: a root comes from the instance's own zone. The snapshot, not
 * the worker's volume, because every road ends in one: a build is taken up again there, in whichever zone has room.
 */
export const launchWindows =
  ({ instances, volumes, network, clock, settings }: LaunchWindowsDependencies) =>
  async (
    { plan, snapshot: { snapshotId } }: Pick<BuildState, 'plan' | 'snapshot'>,
    retryCount: number,
  ): Promise<Pick<BuildState, 'windows'>> => {
    const { imageId, instanceTypes } = required(plan.windows, 'plan.windows');
    const tags = buildTags(plan.build, 'windows');
    const refusals: string[] = [];
    // A token whose resource is gone returns the dead resource: each try of the state has tokens of its own.
    const token = (...what: string[]) => clientToken(plan.build, String(retryCount), 'windows', ...what);

    const run = async ({ subnetId, zone }: Subnet, instanceType: string) => {
      try {
        return await instances.runWindows({
          clientToken: token(zone, instanceType),
          imageId,
          instanceType,
          subnetId,
          securityGroupId: settings.SECURITY_GROUP_ID,
          tags,
        });
      } catch (error) {
        if (!lacksCapacity(error)) throw error;
        refusals.push(`${instanceType} in ${zone}: ${error.message}`);
        return undefined;
      }
    };

    const makeDisk = async (zone: string, instanceId: string) => {
      try {
        const sizeGiB = plan.rootSizeGiB;
        return await volumes.create({ clientToken: token('disk', zone), zone, sizeGiB, snapshotId, tags });
      } catch (error) {
        // The next try launches another.
        await instances.terminate([instanceId]);
        // EBS has no room in this zone; another may have (Error codes, InsufficientVolumeCapacity).
        if (!(error instanceof Error && error.name === 'InsufficientVolumeCapacity')) throw error;
        refusals.push(`a volume in ${zone}: ${error.message}`);
        return undefined;
      }
    };

    for (const subnet of await network.subnets(settings.SUBNET_IDS)) {
      for (const instanceType of instanceTypes) {
        const instance = await run(subnet, instanceType);
        if (instance === undefined) continue;
        const { instanceId } = instance;
        const disk = await makeDisk(subnet.zone, instanceId);
        if (disk === undefined) break;
        return {
          windows: { instanceId, volumeId: disk.volumeId, snapshotId, instanceType, launchedAt: clock.now() },
        };
      }
    }
    throw new FactoryError('InsufficientCapacity', {
      message: `Windows could not be launched:\n${refusals.map((refusal) => `- ${refusal}`).join('\n')}`,
      remedy: 'wait, or deploy with more subnets.',
    });
  };
