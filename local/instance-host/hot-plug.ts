import type { Clock } from '../clock.ts';
import { type Monitor, MonitorClosed } from './qmp.ts';

/** How many disks a machine may have beside its root. Each slot costs the firmware some milliseconds to look at. */
export const DISK_SLOTS = 8;

export const slotName = (index: number): string => `slot${index}`;
/** What QEMU calls the device of a disk; its node of the block layer has the name of the volume. */
export const deviceOf = (volumeId: string): string => `disk-${volumeId}`;
/** NVMe serial of an EBS volume: its id without the dash ("Identify NVMe EBS device names", EBS User Guide). */
export const serialOf = (volumeId: string): string => volumeId.replace('-', '');

/** What a disk is to QEMU's block layer. Never flushed: what a volume holds after a crash of this very host matters to nobody. */
export const blockNode = (volumeId: string, file: string) => ({
  driver: 'raw',
  'node-name': volumeId,
  cache: { direct: false, 'no-flush': true },
  file: { driver: 'file', filename: file },
});

/** The guest has not let go of the disk: DetachVolume leaves such an attachment `busy`. */
export class DiskBusy extends Error {
  override readonly name = 'DiskBusy';
}

/**
 * A system is asked by the slot's attention button, at which it waits five seconds for a second thought (PCI Express Base
 * Specification, "Attention Button"); FreeBSD has hw.pci.pcie_hp_detach_timeout for it. Emulated, it takes longer.
 */
const DETACH_MILLISECONDS = 60_000;

/** Plugs disks into a machine that runs, and pulls them out. */
export class HotPlug {
  readonly #monitor: Monitor;
  readonly #clock: Clock;
  readonly #slots: (string | undefined)[] = Array.from({ length: DISK_SLOTS });

  constructor(monitor: Monitor, clock: Clock, atBoot: readonly string[]) {
    this.#monitor = monitor;
    this.#clock = clock;
    for (const [index, volumeId] of atBoot.entries()) this.#slots[index] = volumeId;
  }

  async connect(volumeId: string, file: string): Promise<void> {
    const slot = this.#slots.indexOf(undefined);
    if (slot < 0) throw new Error(`all ${DISK_SLOTS} slots have disks`);
    this.#slots[slot] = volumeId;
    try {
      await this.#monitor.execute('blockdev-add', blockNode(volumeId, file));
      await this.#monitor.execute('device_add', {
        driver: 'nvme',
        id: deviceOf(volumeId),
        drive: volumeId,
        serial: serialOf(volumeId),
        bus: slotName(slot),
      });
    } catch (error) {
      this.#slots[slot] = undefined;
      // A machine that has ended sees no disk: that is no failure of the attachment.
      if (!(error instanceof MonitorClosed)) throw error;
    }
  }

  /** Resolves when the guest no longer has the disk. Throws {@link DiskBusy} when it keeps it. */
  async disconnect(volumeId: string): Promise<void> {
    const late = new AbortController();
    try {
      const gone = this.#monitor.deleted(deviceOf(volumeId));
      gone.catch(() => {}); // Read below, unless the request itself fails.
      await this.#monitor.execute('device_del', { id: deviceOf(volumeId) });
      const kept = this.#clock.sleep(DETACH_MILLISECONDS, late.signal).then(
        () => Promise.reject(new DiskBusy(`the system of the machine still has ${volumeId}`)),
        () => {}, // The disk came out first.
      );
      await Promise.race([gone, kept]);
      // The file is closed, and another machine may open it.
      await this.#monitor.execute('blockdev-del', { 'node-name': volumeId });
    } catch (error) {
      if (!(error instanceof MonitorClosed)) throw error;
    } finally {
      late.abort();
    }
    const slot = this.#slots.indexOf(volumeId);
    if (slot >= 0) this.#slots[slot] = undefined;
  }
}
