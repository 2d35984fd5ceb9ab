import * as z from 'zod/mini';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import type { Volumes } from '../../core/ports.ts';

export const attachStep = {
  name: 'attach',
  input: z.pick(buildState, { worker: true }),
  output: z.pick(buildState, { attached: true }),
  options: z.object({}),
};

/** The first name that AWS recommends for data volumes (User Guide, "Device names for volumes"); Nitro guests never see it. */
const DEVICE = '/dev/sdf';

/** Attaches the target volume to the worker, which finds it by its volume id. */
export const attach =
  ({ volumes, clock }: { readonly volumes: Volumes; readonly clock: Clock }) =>
  async ({ worker }: Pick<BuildState, 'worker'>): Promise<Pick<BuildState, 'attached'>> => {
    const volumeId = required(worker.volumeId, 'worker.volumeId');
    const volume = await volumes.describe(volumeId);
    if (!volume?.attachments.some(({ instanceId }) => instanceId === worker.instanceId)) {
      await volumes.attach(volumeId, worker.instanceId, DEVICE);
    }
    return { attached: { device: DEVICE, at: clock.now() } };
  };
