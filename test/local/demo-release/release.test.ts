import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { grubDirectory, loaderScript } from '../../../local/demo-release/boot-files.ts';
import { type DemoRelease, makeDemoRelease } from '../../../local/demo-release/make.ts';

// Each reading of base.txz takes 3 to 10 s on a machine that others use, too.
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);
const UTF8 = { env: { ...process.env, LC_ALL: 'C.UTF-8' }, maxBuffer: 64 << 20 };
/** Shared with other tests and the image command; the stamp makes a second call quick. */
const SHARED = join(import.meta.dirname, '../../../.state/demo-release');

interface Member {
  name: string;
  /** ustar type flag: 0 file, 1 hard link, 2 symlink, 5 directory. */
  type: string;
  mode: number;
  uid: number;
  gid: number;
  uname: string;
  gname: string;
  size: number;
  link: string;
  mtime: string;
  flags: string;
  /** Bytes that a sparse file stores; null if it has no holes. */
  stored: number | null;
}

async function members(path: string): Promise<Member[]> {
  const { stdout } = await run('python3', [join(import.meta.dirname, 'read-tar.py'), path], UTF8);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Member);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

let scratch: string;
let release: DemoRelease;
let base: Member[];
let byName: Map<string, Member>;

function member(name: string): Member {
  const found = byName.get(name);
  if (!found) throw new Error(`base.txz has no ${name}`);
  return found;
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'ami-foundry-demo-release-'));
  release = await makeDemoRelease({ directory: SHARED });
  base = await members(join(release.directory, 'base.txz'));
  byName = new Map(base.map((entry) => [entry.name, entry]));
}, 240_000);

afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('the release directory', () => {
  it('has a MANIFEST whose digests and entry counts an independent reader confirms', async () => {
    const lines = (await readFile(join(release.directory, 'MANIFEST'), 'utf8')).split('\n');
    expect(lines.pop()).toBe('');
    const rows = lines.map((line) => line.split('\t'));
    expect(rows.map((row) => row.slice(3))).toEqual([
      ['base_dbg', '"Base system (Debugging)"', 'off'],
      ['base', '"Base system (MANDATORY)"', 'on'],
      ['kernel_dbg', '"Kernel (Debugging)"', 'on'],
      ['kernel', '"Kernel (MANDATORY)"', 'on'],
      ['src', '"System source tree"', 'off'],
    ]);
    for (const row of rows) {
      const [file = '', digest = '', entries = '', name = ''] = row;
      expect(row).toHaveLength(6);
      expect(file).toBe(`${name.replaceAll('_', '-')}.txz`);
      const path = join(release.directory, file);
      expect(await sha256(path), file).toBe(digest);
      const { stdout } = await run('bsdtar', ['-tf', path], UTF8);
      expect(stdout.trimEnd().split('\n').length, file).toBe(Number(entries));
    }
  }, 120_000);

  it('has the small files and the short path of the real tree', async () => {
    const read = (name: string) => readFile(join(release.directory, name), 'utf8');
    expect(await read('BUILDDATE')).toMatch(/^\d{8}\n$/);
    expect(await read('GITBRANCH')).toBe('releng/15.1\n');
    expect(await read('REVISION')).toMatch(/^[0-9a-f]{40}\n$/);
    expect(await readlink(join(SHARED, 'releases/amd64/15.1-RELEASE'))).toBe('amd64/15.1-RELEASE');
    expect(release.path).toBe('/releases/amd64/amd64/15.1-RELEASE/');
  });

  it('has sets of one xz stream', async () => {
    const { stdout } = await run('xz', ['--robot', '--list', join(release.directory, 'base.txz')]);
    expect(/^file\t(\d+)\t/m.exec(stdout)?.[1]).toBe('1');
  });
});

describe('base.txz', () => {
  it('has the size of a base system', async () => {
    expect(base.length).toBeGreaterThanOrEqual(20_000);
    const data = base.reduce(
      (sum, entry) => sum + (entry.type === '0' ? (entry.stored ?? entry.size) : 0),
      0,
    );
    expect(data).toBeGreaterThanOrEqual(300e6);
    const set = release.sets.find((entry) => entry.name === 'base');
    expect(set?.dataSize).toBe(data);
    const packed = (await stat(join(release.directory, 'base.txz'))).size;
    expect(packed).toBeGreaterThan(60e6);
    expect(packed).toBeLessThan(120e6);
  });

  it('names everything below ./, parents first, nothing twice', () => {
    const seen = new Set<string>();
    for (const { name } of base) {
      expect(seen.has(name), name).toBe(false);
      if (name !== '.') {
        expect(name.startsWith('./'), name).toBe(true);
        expect(seen.has(name.slice(0, name.lastIndexOf('/'))), `parent of ${name}`).toBe(true);
      }
      seen.add(name);
    }
    expect(base[0]?.name).toBe('.');
  });

  it('has hard links, each to an earlier file with the same owner and mode', () => {
    const links = base.filter((entry) => entry.type === '1');
    expect(links.filter((entry) => entry.name.startsWith('./rescue/')).length).toBeGreaterThan(130);
    const order = new Map(base.map((entry, index) => [entry.name, index]));
    for (const [index, link] of base.entries()) {
      if (link.type !== '1') continue;
      const target = member(link.link);
      expect(target.type, link.name).toBe('0');
      expect(order.get(link.link) ?? Infinity, link.name).toBeLessThan(index);
      expect([link.mode, link.uid, link.gid]).toEqual([target.mode, target.uid, target.gid]);
    }
    expect(member('./boot/loader_lua.efi').link).toBe('./boot/loader.efi');
  });

  it('has symlinks: relative, absolute, at and beyond what an inode holds', () => {
    const target = (name: string) => [member(name).type, member(name).link];
    expect(target('./etc/localtime')).toEqual(['2', '/usr/share/zoneinfo/UTC']);
    expect(target('./sys')).toEqual(['2', 'usr/src/sys']);
    for (const length of [119, 120]) {
      expect(member(`./usr/share/demo/link-${length}`).link).toHaveLength(length);
    }
    expect(member('./usr/share/demo/link-very-long').link.length).toBeGreaterThan(900);
  });

  it('has modes and owners that only root could give', () => {
    const facts = ({ mode, uid, gid, uname, gname }: Member) => [mode.toString(8), uid, gid, uname, gname];
    expect(facts(member('./usr/bin/passwd'))).toEqual(['4555', 0, 0, 'root', 'wheel']);
    expect(facts(member('./usr/bin/wall'))).toEqual(['2555', 0, 4, 'root', 'tty']);
    expect(facts(member('./tmp'))).toEqual(['1777', 0, 0, 'root', 'wheel']);
    expect(facts(member('./var/mail'))).toEqual(['775', 0, 6, 'root', 'mail']);
    expect(facts(member('./var/news'))).toEqual(['2775', 8, 8, 'news', 'news']);
    expect(facts(member('./var/db/entropy'))).toEqual(['700', 2, 5, 'operator', 'operator']);
    expect(facts(member('./var/db/dhclient.leases.example'))).toEqual(['640', 65, 65, '_dhcp', '_dhcp']);
    expect(facts(member('./var/db/locate.database'))).toEqual(['444', 65534, 65534, 'nobody', 'nobody']);
    expect(facts(member('./etc/master.passwd'))).toEqual(['600', 0, 0, 'root', 'wheel']);
  });

  it('has file flags that libarchive carries into an mtree spec', async () => {
    const { stdout } = await run(
      'bsdtar',
      [
        '-cf',
        '-',
        '--format=mtree',
        '--options=mtree:!all,type,uid,gid,mode,link,time,flags',
        `@${join(release.directory, 'base.txz')}`,
      ],
      UTF8,
    );
    const flags = new Map<string, string>();
    for (const line of stdout.split('\n')) {
      const match = /^(\S+) .*\bflags=(\S+)/.exec(line);
      if (match?.[1] && match[2] && match[2] !== 'none') flags.set(match[1], match[2]);
    }
    expect(flags.get('./libexec/ld-elf.so.1')).toBe('schg');
    expect(flags.get('./sbin/init')).toBe('schg');
    expect(flags.get('./bin/rcp')).toBe('schg');
    expect(flags.get('./var/empty')).toBe('schg');
    expect(flags.get('./usr/bin/opieinfo')).toBe('uarch');
    expect(flags.get('./usr/share/demo/flags/both')).toBe('schg,nodump');
    // Whatever Python reads as flags, libarchive must have read too.
    expect([...flags.keys()].sort()).toEqual(
      base
        .filter((entry) => entry.flags !== '')
        .map((entry) => entry.name)
        .sort(),
    );
  });

  it('has long, deep, UTF-8 and odd names', () => {
    const names = base.map((entry) => entry.name);
    const last = (name: string) => name.slice(name.lastIndexOf('/') + 1);
    expect(Math.max(...names.map((name) => Buffer.byteLength(last(name))))).toBe(255);
    expect(Math.max(...names.map((name) => name.length))).toBeGreaterThan(300);
    for (const name of [
      'café 東京.text',
      'with  two  spaces',
      '"double"',
      "it's",
      'back\\slash',
      'tab\there',
      '#hash',
    ]) {
      expect(names).toContain(`./usr/share/demo/names/${name}`);
    }
    expect(names.some((name) => name.includes('\n'))).toBe(false);
  });

  it('has empty files, empty directories and sizes around the limits of UFS blocks', () => {
    expect(member('./usr/share/demo/sizes/0').size).toBe(0);
    for (const size of [1, 4095, 4096, 4097, 32_768, 32_769, 393_217]) {
      expect(member(`./usr/share/demo/sizes/${size}`).size).toBe(size);
    }
    expect(member('./proc').type).toBe('5');
    expect(base.some((entry) => entry.name.startsWith('./proc/'))).toBe(false);
  });

  it('has dates of all sorts', () => {
    expect(member('./usr/share/demo/times/nanoseconds').mtime).toBe('1234567890.123456789');
    expect(member('./usr/share/demo/times/epoch').mtime).toBe('1');
    expect(member('./usr/share/demo/times/after-2038').mtime).toBe('2200000000');
    expect(new Set(base.map((entry) => entry.mtime)).size).toBeGreaterThan(1000);
  });

  it('says in its texts that it is not FreeBSD, and has the FreeBSD program and the boot files', async () => {
    const directory = join(scratch, 'texts');
    await mkdir(directory);
    const texts =
      'etc/rc etc/master.passwd etc/motd.template COPYRIGHT bin/freebsd-version etc/ami-foundry-demo etc/ntp.conf'.split(
        ' ',
      );
    const wanted = [...texts, 'usr/bin/esbuild', 'boot/loader.efi', 'boot/pmbr', 'boot/gptboot'];
    const archive = join(release.directory, 'base.txz');
    await run('bsdtar', ['-xf', archive, '-C', directory, ...wanted.map((name) => `./${name}`)], UTF8);
    for (const name of texts)
      expect(await readFile(join(directory, name), 'utf8'), name).toContain('not FreeBSD');
    const elf = await readFile(join(directory, 'usr/bin/esbuild'));
    expect(elf.subarray(0, 8).toString('hex')).toBe('7f454c4602010109');
    const pmbr = await readFile(join(directory, 'boot/pmbr'));
    expect([pmbr.length, pmbr.subarray(510).toString('hex')]).toEqual([512, '55aa']);
    const loader = await readFile(join(directory, 'boot/loader.efi'));
    const pe = loader.readUInt32LE(0x3c);
    expect(loader.toString('latin1', pe, pe + 4)).toBe('PE\0\0');
    expect(loader.readUInt16LE(pe + 4)).toBe(0x8664); // IMAGE_FILE_MACHINE_AMD64
    expect(loader.readUInt16LE(pe + 24 + 68)).toBe(10); // IMAGE_SUBSYSTEM_EFI_APPLICATION
    const gptboot = (await stat(join(directory, 'boot/gptboot'))).size;
    expect(gptboot).toBeGreaterThanOrEqual(100_000);
    expect(gptboot).toBeLessThanOrEqual(150_000);
  });

  it('has real holes', async () => {
    const directory = join(scratch, 'sparse');
    await mkdir(directory);
    const sparse = base.filter((entry) => entry.stored !== null);
    expect(new Set(sparse.map((entry) => entry.name.split('/').at(-1)))).toEqual(
      new Set(['all', 'end', 'islands', 'middle', 'start']),
    );
    const archive = join(release.directory, 'base.txz');
    await run('bsdtar', ['-xSf', archive, '-C', directory, ...sparse.map((entry) => entry.name)], UTF8);
    for (const { name, size, stored } of sparse) {
      const facts = await stat(join(directory, name));
      expect(facts.size, name).toBe(size);
      expect(facts.blocks * 512, name).toBeLessThanOrEqual((stored ?? 0) + 64 * 4096);
    }
    const middle = await readFile(join(directory, 'usr/share/demo/sparse/middle'));
    expect(middle.subarray(65_536, middle.length - 65_536).every((byte) => byte === 0)).toBe(true);
    expect(middle.subarray(0, 65_536).filter((byte) => byte === 0).length).toBeLessThan(1000);
    expect(middle.subarray(middle.length - 65_536).filter((byte) => byte === 0).length).toBeLessThan(1000);
  });
});

describe('kernel.txz', () => {
  it('has a kernel and many modules', async () => {
    const kernel = await members(join(release.directory, 'kernel.txz'));
    expect(kernel.find((entry) => entry.name === './boot/kernel/kernel')?.size).toBeGreaterThan(20e6);
    expect(kernel.filter((entry) => entry.name.endsWith('.ko')).length).toBeGreaterThan(500);
    expect(kernel.some((entry) => entry.name === './boot/kernel/if_ena.ko')).toBe(true);
  }, 60_000);
});

describe('making it', () => {
  it('gives the same bytes twice, and another scale gives others', async () => {
    const digests: string[][] = [];
    for (const [name, scale] of [
      ['one', 0.02],
      ['two', 0.02],
      ['three', 0.03],
    ] as const) {
      const directory = join(scratch, name);
      // The tarball is fetched once.
      await cp(join(SHARED, '.cache'), join(directory, '.cache'), {
        recursive: true,
        filter: (path) => !/\/(lock|making-)|\.json$/.test(path),
      });
      const made = await makeDemoRelease({ directory, scale });
      expect(made.made).toBe(true);
      digests.push(await Promise.all(made.sets.map((set) => sha256(join(made.directory, set.file)))));
    }
    expect(digests[1]).toEqual(digests[0]);
    expect(digests[2]).not.toEqual(digests[0]);
  }, 120_000);

  it('does nothing when it was made, and makes again what was damaged', async () => {
    const directory = join(scratch, 'one');
    const base = join(directory, release.path, 'base.txz');
    const before = await stat(base);
    const again = await makeDemoRelease({ directory, scale: 0.02 });
    expect(again.made).toBe(false);
    expect((await stat(base)).ino).toBe(before.ino);
    await writeFile(join(again.directory, 'src.txz'), 'damaged');
    const repaired = await makeDemoRelease({ directory, scale: 0.02 });
    expect(repaired.made).toBe(true);
    expect(repaired.sets).toEqual(again.sets);
  }, 60_000);

  it('names the Debian package when GRUB is missing', async () => {
    await expect(grubDirectory('arm64', join(scratch, 'no-such'))).rejects.toThrow(/grub-efi-arm64-bin/);
    await expect(grubDirectory('amd64', join(scratch, 'no-such'))).rejects.toThrow(/grub-efi-amd64-bin/);
  });

  it('gives GRUB a script that GRUB can parse', async () => {
    const path = join(scratch, 'loader.cfg');
    await writeFile(path, loaderScript('amd64'));
    await run('grub-script-check', [path]);
    await writeFile(path, loaderScript('amd64').replace('\nfi\n', '\n'));
    await expect(run('grub-script-check', [path])).rejects.toThrow();
  });
});
