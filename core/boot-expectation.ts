import type { ImageContents } from './image-contents.ts';

/**
 * Whether an image prints the fingerprints of its SSH host keys at boot, by ec2_loghostkey: read from the rc.conf that it gets, so that
 * flavour, `ec2`, `services`, `rcConf` and a file of the recipe's own count as they count for rc(8). cloud-init prints other marks.
 */
export function printsHostKeys({ files }: Pick<ImageContents, 'files'>): boolean {
  const source = files.find(({ path }) => path === '/etc/rc.conf')?.source;
  const lines = source !== undefined && 'content' in source ? source.content.split('\n') : [];
  // sh(1) reads it: the last assignment counts, and checkyesno of rc.subr(8) knows these words.
  const on = (variable: string) =>
    /^(?:yes|true|on|1)$/i.test(
      lines
        .findLast((line) => line.startsWith(`${variable}=`))
        ?.slice(variable.length + 1)
        .replaceAll(/["']/g, '') ?? '',
    );
  return on('sshd_enable') && on('ec2_loghostkey_enable');
}
