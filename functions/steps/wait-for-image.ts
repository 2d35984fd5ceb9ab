import * as z from 'zod/mini';
import { buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { type ErrorCode, FactoryError } from '../../core/errors.ts';
import { differences, expectedProperties, hasKey } from '../../core/image-properties.ts';
import type { Image, Images, Snapshots } from '../../core/ports.ts';
import { beginWaiting, noteSeen, within } from '../../core/waiting.ts';
import { billingProblems, windowsRoadProblems } from '../../core/windows-road.ts';

export const waitForImageStep = {
  name: 'wait-for-image',
  input: z.extend(
    z.pick(buildState, { plan: true, snapshot: true, image: true }),
    z.partial(z.pick(buildState, { waiting: true })).shape,
  ),
  output: z.pick(buildState, { waiting: true, snapshot: true }),
  options: z.object({}),
};

interface WaitForImageDependencies {
  readonly images: Images;
  readonly snapshots: Pick<Snapshots, 'describe'>;
  readonly clock: Clock;
}

const MINUTE = 60_000;

/** An image is available seconds after RegisterImage. */
const REGISTERED_LIMIT = 15 * MINUTE;
/** CreateImage makes a snapshot first: as long as one may take (WaitForSnapshot). */
const CREATED_LIMIT = 120 * MINUTE;

const fail = (code: ErrorCode, message: string, remedy: string) =>
  new FactoryError(code, { message, remedy });

/** Looks once at the image; when it is available, compares it with what was asked for. Its snapshot is what the build delivers. */
export const waitForImage =
  ({ images, snapshots, clock }: WaitForImageDependencies) =>
  async ({
    plan,
    snapshot,
    image: { imageId, registeredAt },
    waiting,
  }: z.output<typeof waitForImageStep.input>): Promise<z.output<typeof waitForImageStep.output>> => {
    /** What is wrong with what RegisterImage has made. */
    async function registered({ properties }: Image): Promise<string[]> {
      const { snapshotId } = snapshot;
      const wanted = { ...plan.image, snapshotId, rootSizeGiB: plan.rootSizeGiB };
      const wrong = differences(expectedProperties(wanted, plan.encryption), properties);
      if (plan.encryption === null) return wrong;
      const { kmsKeyId: key } = (await snapshots.describe(snapshotId)) ?? {};
      return hasKey(plan.encryption, key)
        ? wrong
        : [...wrong, `- KmsKeyId of ${snapshotId} is ${key ?? 'absent'}, not ${plan.encryption.kmsKeyId}`];
    }

    /** What is wrong with what CreateImage has made. */
    function created({ properties }: Image): string[] {
      const unbilled = billingProblems(properties);
      if (unbilled.length === 0) return windowsRoadProblems(plan, properties);
      throw fail(
        'ImageNotWindows',
        `${imageId} is not billed as Windows:\n${unbilled.join('\n')}`,
        'build again with image.road: unix; EC2 no longer gives an image the billing of the instance that it is made of.',
      );
    }

    const byWindows = plan.road === 'windows';
    const found = await images.describe(imageId);
    if (found && ['failed', 'error', 'invalid', 'deregistered', 'disabled'].includes(found.state)) {
      throw fail(
        'ImageFailed',
        `${imageId} went to ${found.state}: ${found.stateReason || 'no reason given'}`,
        'build again.',
      );
    }
    const look = (seen: string) => noteSeen(beginWaiting(waiting, clock.now()), seen, clock.now());
    const notYet = (seen: string) => {
      const limit = byWindows ? CREATED_LIMIT : REGISTERED_LIMIT;
      return { waiting: within({ ...look(seen), ready: false }, clock.now(), limit, imageId), snapshot };
    };
    if (found?.state !== 'available') return notYet(found?.state ?? 'unknown');
    const wrong = byWindows ? created(found) : await registered(found);
    if (byWindows && plan.image.imdsV2Only && found.properties.ImdsSupport !== 'v2.0') {
      // CreateImage cannot be told, and takes over what the Windows AMI says.
      await images.requireImdsV2(imageId);
      return notYet('available, but for IMDSv2');
    }
    if (wrong.length > 0) {
      throw fail(
        'ImageMismatch',
        `${imageId} is not what was asked for:\n${wrong.join('\n')}`,
        'report this: EC2 took the request and made something else of it.',
      );
    }
    const { rootSnapshotId: snapshotId } = found;
    return {
      waiting: { ...look('available'), ready: true },
      snapshot: byWindows && snapshotId ? { ...snapshot, snapshotId, startedAt: registeredAt } : snapshot,
    };
  };
