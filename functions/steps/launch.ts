import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import { lacksCapacity } from '../../core/capacity.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { buildTags, clientToken } from '../../core/names.ts';
import type { Artifacts, Instances, Network, Subnet, Volumes } from '../../core/ports.ts';
import { renderUserData } from '../../core/user-data.ts';

export const launchStep = {
  name: 'launch',
  input: z.pick(buildState, { plan: true }),
  output: z.pick(buildState, { worker: true }),
  options: z.object({}),
};

export interface LaunchSettings extends z.output<(typeof functionEnvironment)['launch']> {
  /** The text of worker/bootstrap.sh. */
  readonly bootstrap: string;
}

interface LaunchDependencies {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly network: Network;
  readonly artifacts: Artifacts;
  /** The bucket with the worker's payload. */
  readonly payloads: Pick<Artifacts, 'presign'>;
  readonly clock: Clock;
  readonly settings: LaunchSettings;
}

/** A worker fetches its payload within minutes of its launch; a slow boot and a few retries are allowed for. */
const PRESIGNED_SECONDS = 1800;

/** Makes the target volume, if the road has one, and the worker in one zone; goes on to the next type and zone where there is no capacity. */
export const launch =
  ({ instances, volumes, network, artifacts, payloads, clock, settings }: LaunchDependencies) =>
  async ({ plan }: Pick<BuildState, 'plan'>, retryCount: number): Promise<Pick<BuildState, 'worker'>> => {
    const { build } = plan;
    const withVolume = plan.road !== 'ebs-direct';
    const refusals: string[] = [];
    // A token whose resource is gone returns the dead resource: each try of the state has tokens of its own.
    const token = (...what: string[]) => clientToken(build, String(retryCount), ...what);

    const makeVolume = async (zone: string) => {
      try {
        return await volumes.create({
          clientToken: token('target', zone),
          zone,
          sizeGiB: plan.rootSizeGiB,
          encryption: plan.encryption,
          tags: buildTags(build, 'target'),
        });
      } catch (error) {
        // EBS has no room in this zone; another may have (Error codes, InsufficientVolumeCapacity).
        if (!(error instanceof Error && error.name === 'InsufficientVolumeCapacity')) throw error;
        refusals.push(`a volume in ${zone}: ${error.message}`);
        return undefined;
      }
    };

    const tryZone = async ({ subnetId, zone }: Subnet) => {
      const volume = withVolume ? await makeVolume(zone) : undefined;
      if (withVolume && volume === undefined) return undefined;
      const userData = renderUserData(settings.bootstrap, {
        payloadUrl: await payloads.presign(settings.PAYLOAD_KEY, PRESIGNED_SECONDS),
        payloadSha256: settings.PAYLOAD_SHA256,
        jobUrl: await artifacts.presign(plan.job.key, PRESIGNED_SECONDS),
        jobSha256: plan.job.sha256,
        volume: volume?.volumeId ?? '',
        build,
      });
      for (const instanceType of plan.worker.instanceTypes) {
        try {
          const { instanceId } = await instances.runWorker({
            clientToken: token('worker', zone, instanceType),
            imageId: plan.worker.imageId,
            instanceType,
            subnetId,
            securityGroupId: settings.SECURITY_GROUP_ID,
            userData,
            tags: buildTags(build, 'worker'),
          });
          return { instanceId, ...volume, zone, instanceType, launchedAt: clock.now() };
        } catch (error) {
          if (!lacksCapacity(error)) throw error;
          refusals.push(`${instanceType} in ${zone}: ${error.message}`);
        }
      }
      try {
        if (volume !== undefined) await volumes.delete(volume.volumeId);
      } catch (error) {
        // A volume that is still being made cannot be deleted (DeleteVolume): CleanUp finds it by its tags.
        if (!(error instanceof Error && error.name === 'IncorrectState')) throw error;
      }
      return undefined;
    };

    for (const subnet of await network.subnets(settings.SUBNET_IDS)) {
      const worker = await tryZone(subnet);
      if (worker) return { worker };
    }
    throw new FactoryError('InsufficientCapacity', {
      message: `no worker could be launched:\n${refusals.map((refusal) => `- ${refusal}`).join('\n')}`,
      remedy: 'wait, or give the launch function more subnets or other instance types.',
    });
  };
