import { FactoryError } from './errors.ts';
import type { Recipe } from './recipe.ts';
import { updatesOf } from './system-files/first-boot.ts';

/** What the worker's machine runs. Linux serves where no FreeBSD is: on a laptop, in CI. */
export const workerPlatforms = ['freebsd', 'linux'] as const;
export type WorkerPlatform = (typeof workerPlatforms)[number];

/** What a Linux worker cannot do, each with the field that asks for it and the reason. */
const linuxLimits: readonly { asks: (recipe: Recipe) => boolean; reason: string }[] = [
  {
    asks: ({ filesystem }) => filesystem === 'zfs',
    reason: 'filesystem: zfs needs makefs -t zfs, which only FreeBSD has',
  },
  {
    asks: ({ scripts }) => scripts.length > 0,
    reason: 'scripts run in a chroot of the image, whose programs need FreeBSD’s kernel',
  },
  {
    asks: (recipe) => updatesOf(recipe) === 'at-build' && recipe.system === 'sets',
    reason: 'updates: at-build needs freebsd-update, which only FreeBSD has (first-boot and none do not)',
  },
];

/** What of a recipe needs a FreeBSD worker, a line each. */
export const freebsdOnly = (recipe: Recipe): string[] =>
  linuxLimits.filter(({ asks }) => asks(recipe)).map(({ reason }) => reason);

/** Throws `UnsupportedOnPlatform` that lists everything the worker cannot do, before anything is made. */
export function refuseUnsupported(recipe: Recipe, platform: WorkerPlatform): void {
  if (platform === 'freebsd') return;
  const reasons = freebsdOnly(recipe).map((reason) => `- ${reason}`);
  if (reasons.length === 0) return;
  throw new FactoryError('UnsupportedOnPlatform', {
    message: `this deployment has a Linux worker, which cannot make the image:\n${reasons.join('\n')}`,
    remedy: 'leave these out of the recipe, or build where the worker is FreeBSD, as it is on AWS.',
  });
}
