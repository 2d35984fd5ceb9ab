import * as z from 'zod/mini';
import { type BuildState, buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { findOwnImage } from '../../core/own-image.ts';
import type { Images } from '../../core/ports.ts';

export const registerStep = {
  name: 'register',
  input: z.pick(buildState, { plan: true, snapshot: true }),
  output: z.pick(buildState, { image: true }),
  options: z.object({}),
};

/** Registers the snapshot as an AMI, unless that was done before. */
export const register =
  ({ images, clock }: { readonly images: Images; readonly clock: Clock }) =>
  async ({ plan, snapshot }: Pick<BuildState, 'plan' | 'snapshot'>): Promise<Pick<BuildState, 'image'>> => {
    const { build, image, rootSizeGiB } = plan;
    const existing = await findOwnImage(images, { name: image.name, build });
    const { imageId } =
      existing ?? (await images.register({ ...image, snapshotId: snapshot.snapshotId, rootSizeGiB }));
    return { image: { imageId, registeredAt: clock.now() } };
  };
