/** Readers of disks and archives that are not ours: sgdisk, sleuthkit, GRUB, mtools, bsdtar, Python's tarfile. */
import { execFileSync } from 'node:child_process';

const MAXIMUM_OUTPUT = 512 * 1024 * 1024;

export const read = (program: string, ...args: string[]): string =>
  execFileSync(program, args, {
    encoding: 'utf8',
    maxBuffer: MAXIMUM_OUTPUT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });

export const readBytes = (program: string, ...args: string[]): Buffer =>
  execFileSync(program, args, { maxBuffer: MAXIMUM_OUTPUT, stdio: ['ignore', 'pipe', 'pipe'] });

/** What two readers can agree on about one file. */
export interface Entry {
  readonly type: 'file' | 'directory' | 'link' | 'other';
  /** Permission bits with setuid, setgid and sticky, as `ls -l` writes them after the type. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; 0 for what is not a file. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Target of a symbolic link. */
  readonly target?: string;
}

/** One file of a file system. */
export interface UfsEntry extends Entry {
  readonly inode: number;
}

const types: Record<string, Entry['type']> = { r: 'file', d: 'directory', l: 'link' };

/** First sector of a GPT partition, by sgdisk. */
export function partitionStart(image: string, number: number): number {
  const match = /First sector: (\d+)/.exec(read('sgdisk', '-i', String(number), image));
  return Number(match?.[1]);
}

/** Every entry of a UFS, by sleuthkit's fls in its body format (MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime). */
export function listUfs(image: string, startSector: number): Map<string, UfsEntry> {
  const entries = new Map<string, UfsEntry>();
  const body = read('fls', '-o', String(startSector), '-f', 'ufs2', '-r', '-p', '-m', '/', image);
  for (const line of body.split('\n').filter((text) => text !== '')) {
    const fields = line.split('|');
    // Names may contain "|" themselves: the nine fields behind the name are counted from the end.
    const [inode, mode = '', uid, gid, size, , mtime] = fields.slice(-9);
    const [name = '', target] = fields.slice(1, -9).join('|').split(' -> ');
    if (name.startsWith('/$OrphanFiles')) continue;
    const type = types[mode[0] ?? ''] ?? 'other';
    entries.set(name.replace(/^\/+/, '/'), {
      inode: Number(inode),
      type,
      mode: mode.slice(3),
      uid: Number(uid),
      gid: Number(gid),
      size: type === 'file' ? Number(size) : 0,
      mtime: Number(mtime),
      ...(target === undefined ? {} : { target }),
    });
  }
  return entries;
}

const tarLister = `
import json, sys, tarfile, stat
with tarfile.open(sys.argv[1]) as tar:
    first = {}
    path_of = lambda name: "/" if name in (".", "./") else "/" + name.removeprefix("./")
    for m in tar:
        path = path_of(m.name)
        kind = "file" if m.isfile() or m.islnk() else "directory" if m.isdir() else "link" if m.issym() else "other"
        row = dict(type=kind, mode=stat.filemode(m.mode)[1:], uid=m.uid, gid=m.gid, size=m.size if kind == "file" else 0, mtime=int(m.mtime // 1))
        if m.issym(): row["target"] = m.linkname
        if m.islnk():
            row = dict(first[path_of(m.linkname)]); row["hardLinkTo"] = path_of(m.linkname)
        first[path] = row
        print(json.dumps([path, row]))
`;

/** Every entry of a set, by Python's tarfile. Hard links carry their first name. */
export function listSet(archive: string): Map<string, Entry & { hardLinkTo?: string }> {
  const lines = read('python3', '-c', tarLister, archive).trim().split('\n');
  return new Map(lines.map((line) => JSON.parse(line) as [string, Entry & { hardLinkTo?: string }]));
}
