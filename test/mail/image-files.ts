import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ImageParts } from '../../core/image-parts.ts';

/** Where an image's directories lie on this machine. Longer ones first. */
const directories = [
  '/usr/local/etc',
  '/var/spool/postfix',
  '/var/db',
  '/var/run/foundry-mail',
  '/var/crash',
  '/etc/mail',
  '/etc/ssl/certs',
  '/etc/rc.subr',
  '/etc/periodic.conf',
  '/etc/cron.d',
];

/** The text with every path of the image below `root`, and nothing else changed. */
export const relocated = (text: string, root: string): string =>
  directories.reduce((all, directory) => all.replaceAll(directory, root + directory), text);

/** Lays the files of `parts` below `root`, their paths relocated in name and content, and applies the edits to empty files. */
export function layFiles(parts: ImageParts, root: string): void {
  const lay = (path: string, content: string, mode: number) => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, relocated(content, root), { mode });
  };
  for (const { path, source, mode } of parts.files ?? []) {
    if (!('content' in source)) throw new Error(`${path} has no content`);
    lay(path, source.content, Number.parseInt(mode, 8));
  }
  for (const { path, first, last } of parts.edits ?? []) lay(path, first + last, 0o644);
}
