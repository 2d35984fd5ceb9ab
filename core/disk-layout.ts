import { contentUuid } from './names.ts';
import type { Recipe } from './recipe.ts';

/** One GPT partition, in the order it stands on the disk. */
export interface Partition {
  readonly type: 'freebsd-boot' | 'efi' | 'freebsd-swap' | 'freebsd-ufs' | 'freebsd-zfs';
  /** What goes into it. */
  readonly content: 'boot' | 'efi' | 'swap' | 'data' | 'root';
  readonly label: string;
  /** Bytes; 0 is all that is left. A multiple of 1 MiB or less than that, since every start is aligned to 1 MiB. */
  readonly size: number;
  readonly id: string;
  /** Where the data partition is mounted. */
  readonly mount?: string;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** gpart(8): gptboot and gptzfsboot need a partition of at most 545 KiB; FreeBSD's own images use 512 KiB. */
const BOOT_SIZE = 512 * 1024;

/**
 * FreeBSD's images use 33,292 KiB, a cluster count a few above the least that FAT32 may have (65,525). 34 MiB
 * keeps away from that edge: mtools refuses file systems that firmware accepts there.
 */
const ESP_SIZE = 34 * MIB;

/**
 * The partitions of release/tools/vmimage.subr: BIOS boot code on amd64 only, an ESP, the root. Swap and data of the recipe stand before
 * the root: what is behind it would keep growfs from growing it.
 */
export function partitions(recipe: Recipe, contentDigest: string): Partition[] {
  const make = (
    content: Partition['content'],
    type: Partition['type'],
    label: string,
    size: number,
    mount?: string,
  ): Partition => ({
    type,
    content,
    label,
    size,
    id: contentUuid(contentDigest, `partition ${label}`),
    ...(mount === undefined ? {} : { mount }),
  });
  return [
    ...(recipe.architecture === 'amd64' ? [make('boot', 'freebsd-boot', 'bootfs', BOOT_SIZE)] : []),
    make('efi', 'efi', 'efiboot0', ESP_SIZE),
    ...(typeof recipe.swap === 'number' ? [make('swap', 'freebsd-swap', 'swap0', recipe.swap * GIB)] : []),
    ...(recipe.data ? [make('data', 'freebsd-ufs', 'data0', recipe.data.size * GIB, recipe.data.mount)] : []),
    make('root', recipe.filesystem === 'zfs' ? 'freebsd-zfs' : 'freebsd-ufs', 'rootfs', 0),
  ];
}

/** A dataset of the root pool. */
export interface Dataset {
  readonly name: string;
  /** `property=value` separated by semicolons, as makefs(8) takes them after the name. */
  readonly options: string;
}

export const ZFS_POOL = 'zroot';
export const ZFS_ROOT = 'zroot/ROOT/default';

/** The datasets of FreeBSD's images (release/tools/vmimage.subr) and of bsdinstall(8). */
export const datasets: readonly Dataset[] = [
  ['zroot', 'mountpoint=none'],
  ['zroot/ROOT', 'mountpoint=none'],
  // noauto: the loader mounts the boot environment that was chosen, and no other.
  [ZFS_ROOT, 'mountpoint=/;canmount=noauto'],
  ['zroot/home', 'mountpoint=/home'],
  ['zroot/tmp', 'mountpoint=/tmp;exec=on;setuid=off'],
  ['zroot/usr', 'mountpoint=/usr;canmount=off'],
  ['zroot/usr/ports', 'setuid=off'],
  ['zroot/usr/src', ''],
  ['zroot/usr/obj', ''],
  ['zroot/var', 'mountpoint=/var;canmount=off'],
  ['zroot/var/audit', 'setuid=off;exec=off'],
  ['zroot/var/crash', 'setuid=off;exec=off'],
  ['zroot/var/log', 'setuid=off;exec=off'],
  ['zroot/var/mail', 'atime=on'],
  ['zroot/var/tmp', 'setuid=off'],
].map(([name = '', options = '']) => ({ name, options }));
