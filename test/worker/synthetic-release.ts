import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

/** An entry of a set, as FreeBSD's release build records it. */
export interface Entry {
  readonly path: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo';
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly content?: Buffer | string;
  readonly link?: string;
  readonly flags?: string;
}

const typeflag = { file: '0', hardlink: '1', symlink: '2', directory: '5', fifo: '6' } as const;
const MODIFIED = 1_790_000_000;

const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`;

function header(name: string, type: string, size: number, entry: Entry): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0, 100, 'utf8');
  block.write(octal(entry.mode ?? 0o644, 8), 100);
  block.write(octal(entry.uid ?? 0, 8), 108);
  block.write(octal(entry.gid ?? 0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(MODIFIED, 12), 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write(entry.link ?? '', 157, 100, 'utf8');
  block.write('ustar\x0000', 257, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const padded = (data: Buffer) => Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);

function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length++;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

/** A pax archive of the entries, byte for byte the same on every machine and for every user. */
export function tar(entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = Buffer.from(entry.content ?? '');
    const size = entry.type === undefined || entry.type === 'file' ? data.length : 0;
    const records = [
      ...(/[^ -~]/.test(entry.path) || entry.path.length > 99 ? [paxRecord('path', entry.path)] : []),
      ...(entry.flags ? [paxRecord('SCHILY.fflags', entry.flags)] : []),
    ];
    const extended = Buffer.concat(records);
    return [
      ...(records.length > 0
        ? [header('PaxHeader/x', 'x', extended.length, {} as Entry), padded(extended)]
        : []),
      header(entry.path.replace(/[^ -~]/g, '_').slice(0, 99), typeflag[entry.type ?? 'file'], size, entry),
      ...(size > 0 ? [padded(data)] : []),
    ];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export interface ReleasedSet {
  readonly name: string;
  readonly file: string;
  readonly sha256: string;
  readonly entries: number;
  readonly body: Buffer;
}

export function releasedSet(name: string, entries: readonly Entry[]): ReleasedSet {
  const packed = spawnSync('xz', ['-1c'], { input: tar(entries), maxBuffer: 2 ** 28 });
  if (packed.status !== 0) throw new Error(`xz: ${packed.stderr.toString()}`);
  const body = packed.stdout;
  const sha256 = createHash('sha256').update(body).digest('hex');
  return { name, file: `${name}.txz`, sha256, entries: entries.length, body };
}

/** Bytes that do not compress and are the same in every run. */
export function noise(length: number, seed: string): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < length; i++) blocks.push(createHash('sha256').update(`${seed} ${i}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

const directory = (path: string, mode = 0o755): Entry => ({ path, type: 'directory', mode });

export const loader = noise(300_000, 'loader');
export const gptboot = noise(70_001, 'gptboot');
export const gptzfsboot = noise(80_003, 'gptzfsboot');
export const pmbr = noise(512, 'pmbr');
/** Not text: nothing may treat it as lines. */
export const zurich = Buffer.concat([Buffer.from('TZif2\0\n\n'), noise(900, 'Zurich')]);

export const base = releasedSet('base', [
  directory('./'),
  directory('./bin/'),
  { path: './bin/sh', mode: 0o555, content: noise(120_000, 'sh') },
  { path: './bin/su', mode: 0o4555, gid: 5, content: 'setuid\n', flags: 'schg' },
  directory('./boot/'),
  directory('./boot/efi/'),
  { path: './boot/loader_lua.efi', mode: 0o555, content: loader },
  { path: './boot/loader.efi', mode: 0o555, content: 'the other one' },
  { path: './boot/gptboot', mode: 0o444, content: gptboot },
  { path: './boot/gptzfsboot', mode: 0o444, content: gptzfsboot },
  { path: './boot/pmbr', mode: 0o444, content: pmbr },
  directory('./etc/'),
  { path: './etc/master.passwd', mode: 0o600, content: 'root:*:0:0::0:0:Charlie &:/root:/bin/sh\n' },
  { path: './etc/rc', mode: 0o644, content: 'echo rc\n' },
  directory('./home'),
  directory('./usr/'),
  directory('./usr/bin/'),
  { path: './usr/bin/first', mode: 0o555, content: 'linked\n' },
  { path: './usr/bin/second', mode: 0o555, type: 'hardlink', link: './usr/bin/first' },
  { path: './usr/bin/third', mode: 0o755, type: 'symlink', link: 'first' },
  directory('./usr/share/'),
  { path: './usr/share/Főtanúsítvány =Class Gold=.pem', content: 'a name that FreeBSD really has\n' },
  { path: './usr/share/blank and\ttab', content: 'x' },
  { path: './usr/share/unreadable', mode: 0o000, content: 'even for its owner\n' },
  directory('./usr/share/zoneinfo/'),
  directory('./usr/share/zoneinfo/Europe/'),
  { path: './usr/share/zoneinfo/Europe/Zurich', mode: 0o444, content: zurich },
  {
    path: './usr/share/zoneinfo/Europe/Vaduz',
    type: 'symlink',
    mode: 0o755,
    link: '/usr/share/zoneinfo/Europe/Zurich',
  },
  directory('./usr/share/closed/', 0o555),
  { path: './usr/share/closed/file', mode: 0o444, content: 'in a directory without write permission\n' },
  { path: './usr/share/zeroes', content: Buffer.alloc(3 * 2 ** 20) },
  { path: './usr/share/inside', type: 'symlink', mode: 0o755, link: '../../etc' },
  { path: './usr/share/outside', type: 'symlink', mode: 0o755, link: '/' },
  { path: './usr/share/upwards', type: 'symlink', mode: 0o755, link: '../../../../../../../../tmp' },
  { path: './usr/share/dangling', type: 'symlink', mode: 0o755, link: 'nothing' },
  directory('./var/', 0o755),
  { path: './var/empty/', type: 'directory', mode: 0o555, flags: 'schg' },
  { path: './var/fifo', type: 'fifo', mode: 0o644 },
  { path: './var/tmp/', type: 'directory', mode: 0o1777 },
]);

export const kernel = releasedSet('kernel', [
  directory('./boot/'),
  directory('./boot/kernel/'),
  { path: './boot/kernel/kernel', mode: 0o555, content: noise(900_000, 'kernel') },
  {
    path: './usr/share/closed/late',
    mode: 0o444,
    content: 'a later set writes where an earlier one closed\n',
  },
]);

export const sets = [base, kernel];
