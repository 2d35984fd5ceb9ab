import { rootFile, type SystemFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';

/** fstab(5), by label: the disk is nda0, nvd0, ada0 or xbd0 depending on the instance type. */
export function fstab(recipe: Recipe): SystemFile {
  const rows = [
    '# Device\tMountpoint\tFStype\tOptions\tDump\tPass#',
    // The root of a ZFS pool is a property of the pool (bootfs).
    ...(recipe.filesystem === 'ufs' ? ['/dev/gpt/rootfs\t/\tufs\trw,noatime\t1\t1'] : []),
    // failok: an image without a mountable ESP has still booted, and must not stop in single-user mode for it.
    '/dev/gpt/efiboot0\t/boot/efi\tmsdosfs\trw,failok\t2\t2',
    ...(typeof recipe.swap === 'number' ? ['/dev/gpt/swap0\tnone\tswap\tsw\t0\t0'] : []),
    ...(recipe.data ? [`/dev/gpt/data0\t${recipe.data.mount}\tufs\trw,noatime\t2\t2`] : []),
  ];
  return rootFile('/etc/fstab', rows.map((row) => `${row}\n`).join(''), 'fstab(5): what is mounted at boot.');
}
