import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { tagKey } from '../../core/names.ts';
import type { Images } from '../../core/ports.ts';

export const registerStep = {
  name: 'register',
  input: z.pick(buildState, { plan: true, snapshot: true }),
  output: z.pick(buildState, { image: true }),
  options: z.object({}),
};

/** Registers the snapshot as an AMI. RegisterImage has no client token: the name, unique per account, stands for one. */
export const register =
  ({ images, clock }: { readonly images: Images; readonly clock: Clock }) =>
  async ({ plan, snapshot }: Pick<BuildState, 'plan' | 'snapshot'>): Promise<Pick<BuildState, 'image'>> => {
    const { tags, ...image } = plan.image;
    const [existing, another] = await images.findByName(image.name);
    if (another !== undefined) {
      throw new FactoryError('AmbiguousResource', {
        message: `two images are called ${image.name}: ${existing?.imageId} and ${another.imageId}`,
        remedy: 'deregister the one that is not wanted.',
      });
    }
    if (existing !== undefined) {
      if (existing.tags[tagKey.build] !== plan.build) {
        throw new FactoryError('ImageNameTaken', {
          message: `${existing.imageId} took the name ${image.name} while this build was running`,
          remedy:
            'if another build of the same recipe made it, use that image; else deregister it and build again.',
        });
      }
      return { image: { imageId: existing.imageId, registeredAt: clock.now() } };
    }
    const { imageId } = await images.register({
      ...image,
      snapshotId: snapshot.snapshotId,
      rootSizeGiB: plan.rootSizeGiB,
      tags,
    });
    return { image: { imageId, registeredAt: clock.now() } };
  };
