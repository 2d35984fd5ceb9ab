import { contentUuid } from './names.ts';
import type { Recipe } from './recipe.ts';

/** One GPT partition, in the order it stands on the disk. */
export interface Partition {
  readonly type: 'freebsd-boot' | 'efi' | 'freebsd-ufs';
  readonly label: string;
  /** Bytes; 0 is all that is left. A multiple of 1 MiB or less than that, since every start is aligned to 1 MiB. */
  readonly size: number;
  readonly id: string;
}

const MIB = 1024 ** 2;

/** gpart(8): gptboot and gptzfsboot need a partition of at most 545 KiB; FreeBSD's own images use 512 KiB. */
const BOOT_SIZE = 512 * 1024;

/**
 * FreeBSD's images use 33,292 KiB, a cluster count a few above the least that FAT32 may have (65,525). 34 MiB
 * keeps away from that edge: mtools refuses file systems that firmware accepts there.
 */
const ESP_SIZE = 34 * MIB;

/** The partitions of release/tools/vmimage.subr: BIOS boot code on amd64 only, an ESP, the root. */
export function partitions(recipe: Recipe, contentDigest: string): Partition[] {
  const make = (type: Partition['type'], label: string, size: number): Partition => ({
    type,
    label,
    size,
    id: contentUuid(contentDigest, `partition ${label}`),
  });
  return [
    ...(recipe.architecture === 'amd64' ? [make('freebsd-boot', 'bootfs', BOOT_SIZE)] : []),
    make('efi', 'efiboot0', ESP_SIZE),
    make('freebsd-ufs', 'rootfs', 0),
  ];
}
