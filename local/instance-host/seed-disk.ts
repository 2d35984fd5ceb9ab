import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MachineUnavailable } from './machine.ts';

const run = promisify(execFile);

/** A floppy's worth of KiB: user-data has 16 at most. */
const KIBIBYTES = 1440;

/**
 * A disk with the user-data, for systems that look for it there: the NoCloud source of cloud-init, and of FreeBSD's nuageinit, which
 * knows no metadata service. Its label is in lower case: nuageinit looks for /dev/msdosfs/cidata, letter by letter in its first
 * versions (libexec/rc/rc.d/nuageinit). nuageinit of 15.1 keeps a script for nuageinit_user_data_script, which runs it when
 * the network is up. Neither reads the disk on an image that asks IMDS.
 */
export async function makeSeedDisk(
  scratch: string,
  seed: { readonly instanceId: string; readonly hostName: string; readonly userData: Buffer | undefined },
): Promise<string> {
  const disk = join(scratch, 'seed.img');
  const files = {
    'meta-data': `instance-id: ${seed.instanceId}\nlocal-hostname: ${seed.hostName}\n`,
    // cloud-init takes a disk without this file for none of its own.
    'user-data': seed.userData ?? '',
  };
  try {
    await run('mkfs.vfat', ['-n', 'cidata', '-C', disk, String(KIBIBYTES)]);
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(scratch, name), content);
      await run('mcopy', ['-i', disk, join(scratch, name), `::${name}`]);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new MachineUnavailable(
      `the disk with the user-data cannot be made (${(error as Error).message}): install Debian's dosfstools and mtools`,
    );
  }
  return disk;
}
