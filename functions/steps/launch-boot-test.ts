import * as z from 'zod/mini';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import { lacksCapacity } from '../../core/capacity.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import type { functionEnvironment } from '../../core/function-environment.ts';
import { buildTags, clientToken } from '../../core/names.ts';
import type { Instances, Network, Subnet } from '../../core/ports.ts';
import { beginWaiting } from '../../core/waiting.ts';

export const launchBootTestStep = {
  name: 'launch-boot-test',
  input: z.pick(buildState, { plan: true, image: true }),
  output: z.pick(buildState, { bootTest: true }),
  options: z.object({}),
};

interface LaunchBootTestDependencies {
  readonly instances: Instances;
  readonly network: Network;
  readonly clock: Clock;
  readonly settings: z.output<(typeof functionEnvironment)['launch-boot-test']>;
}

type Machine = BuildState['bootTest']['machines'][number];

/**
 * Launches the new image as anybody would, in the network without ingress, on every machine of the plan; goes on to a machine's next
 * type and zone where there is no capacity.
 */
export const launchBootTest =
  ({ instances, network, clock, settings }: LaunchBootTestDependencies) =>
  async (
    { plan, image }: Pick<BuildState, 'plan' | 'image'>,
    retryCount: number,
  ): Promise<Pick<BuildState, 'bootTest'>> => {
    const wanted = required(plan.bootTest, 'plan.bootTest').machines;
    const subnets = await network.subnets(settings.SUBNET_IDS);

    const launchOne = async (instanceTypes: readonly string[]): Promise<Machine> => {
      const refusals: string[] = [];
      for (const [{ subnetId, zone }, instanceType] of everyPlace(subnets, instanceTypes)) {
        try {
          const { instanceId } = await instances.runBootTest({
            // A token whose instance is gone returns the dead instance: each try of the state has tokens of its own.
            clientToken: clientToken(plan.build, String(retryCount), 'boot-test', zone, instanceType),
            imageId: image.imageId,
            instanceType,
            subnetId,
            securityGroupId: settings.SECURITY_GROUP_ID,
            tags: buildTags(plan.build, 'boot-test'),
          });
          const now = clock.now();
          return {
            instanceId,
            instanceType,
            launchedAt: now,
            phases: [],
            watch: beginWaiting(undefined, now),
          };
        } catch (error) {
          if (!lacksCapacity(error)) throw error;
          refusals.push(`${instanceType} in ${zone}: ${error.message}`);
        }
      }
      throw new FactoryError('InsufficientCapacity', {
        message: `no instance could be launched to test ${image.imageId}:\n${refusals.map((refusal) => `- ${refusal}`).join('\n')}`,
        remedy: 'wait, or name other types under bootTest.instanceTypes.',
      });
    };

    const machines: Machine[] = [];
    try {
      // One after the other: RunInstances takes five at once and two a second ("Request throttling for the Amazon EC2 API").
      for (const instanceTypes of wanted) machines.push(await launchOne(instanceTypes));
    } catch (error) {
      // The next try of the state launches all of them anew.
      await instances.terminate(machines.map(({ instanceId }) => instanceId));
      throw error;
    }
    return { bootTest: { machines } };
  };

const everyPlace = (subnets: readonly Subnet[], instanceTypes: readonly string[]) =>
  subnets.flatMap((subnet) => instanceTypes.map((type) => [subnet, type] as const));
