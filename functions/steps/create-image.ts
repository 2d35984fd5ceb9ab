import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { buildTags, tagKey } from '../../core/names.ts';
import { findOwnImage } from '../../core/own-image.ts';
import type { Images, Instances } from '../../core/ports.ts';
import { ranWith, rootIsOurs } from '../../core/root-swap.ts';

export const createImageStep = {
  name: 'create-image',
  input: z.pick(buildState, { plan: true, windows: true }),
  output: z.pick(buildState, { image: true }),
  options: z.object({}),
};

interface CreateImageDependencies {
  readonly instances: Pick<Instances, 'describe'>;
  readonly images: Images;
  readonly clock: Clock;
}

/** Makes the AMI of the stopped Windows instance that has the FreeBSD disk for its root, unless that was done before. */
export const createImage =
  ({ instances, images, clock }: CreateImageDependencies) =>
  async ({ plan, windows }: Pick<BuildState, 'plan' | 'windows'>): Promise<Pick<BuildState, 'image'>> => {
    const { build } = plan;
    const { name, description, tags } = plan.image;
    const existing = await findOwnImage(images, { name, build });
    if (existing !== undefined) return { image: { imageId: existing.imageId, registeredAt: clock.now() } };
    const instance = await instances.describe(windows.instanceId);
    const swapped =
      instance?.state === 'stopped' &&
      rootIsOurs(instance, windows.volumeId) &&
      !ranWith(instance, windows.volumeId);
    if (!swapped) {
      throw new FactoryError('RootSwapDisturbed', {
        message: `${windows.instanceId} is ${instance?.state ?? 'gone'} with ${instance?.disks.map(({ volumeId, device }) => `${volumeId} as ${device}`).join(', ') || 'no disk'}, not stopped with ${windows.volumeId} as its root`,
        remedy: 'find out who changes instances with the tag ami-foundry:build; then build again.',
      });
    }
    const { imageId } = await images.createFromInstance({
      instanceId: windows.instanceId,
      name,
      description,
      tags,
      snapshotTags: { ...tags, ...buildTags(build, 'snapshot'), [tagKey.name]: name },
    });
    return { image: { imageId, registeredAt: clock.now() } };
  };
