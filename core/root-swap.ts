import type { Instance, InstanceDisk } from './ports.ts';

export const rootOf = ({ disks, rootDeviceName }: Instance): InstanceDisk | undefined =>
  disks.find(({ device }) => device === rootDeviceName);

/** Whether that volume is the root, attached under exactly the root device's name, and goes away with its instance. */
export function rootIsOurs(instance: Instance, volumeId: string): boolean {
  const root = rootOf(instance);
  return root?.volumeId === volumeId && root.state === 'attached' && root.deleteOnTermination;
}

/**
 * Whether the instance was started with that volume in it. LaunchTime is that of the last start (API Reference, Instance), so it is later
 * than the attachment only then.
 */
export function ranWith({ disks, startedAt }: Instance, volumeId: string): boolean {
  const attachedAt = disks.find((disk) => disk.volumeId === volumeId)?.attachedAt;
  return attachedAt !== undefined && startedAt !== undefined && startedAt > attachedAt;
}
