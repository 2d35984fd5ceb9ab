/**
 * The trees of the demo sets: which names, kinds, owners, modes, flags, dates and sizes. Content is made when it is read.
 * Counts and sizes are chosen so that a base system's work (some twenty thousand names, hundreds of megabytes, most
 * files small, few large) is done by whatever reads the sets.
 */
import { gidOf, uidOf } from './accounts.ts';
import { gptBootCode, protectiveMbrCode } from './boot-files.ts';
import { Dice, noise, prose } from './content.ts';
import { type Architecture, BUILD_TIME } from './release.ts';
import type { Entry, Extent } from './tar-stream.ts';
import { baseTexts } from './texts.ts';

export interface TreeInputs {
  readonly architecture: Architecture;
  /** 1 is the full size; less makes fewer and smaller files, with every kind of entry still present. */
  readonly scale: number;
  /** A FreeBSD program, and the licence that goes with it. */
  readonly program: Buffer;
  readonly license: Buffer;
  readonly efiLoader: Buffer;
}

interface Facts {
  mode?: number;
  owner?: string;
  group?: string;
  mtime?: number;
  nanoseconds?: number;
  flags?: string;
}

type Comment = { before: string; after: string };
const HASH: Comment = { before: '# ', after: '' };
const C: Comment = { before: '/* ', after: ' */' };
const ROFF: Comment = { before: '.\\" ', after: '' };
const NONE: Comment = { before: '', after: '' };

/** Old dates occur in real sets too: 1993-06-12, 2001-09-09, 2038-01-19 less ten years, and others. */
const OLD_TIMES = [739_843_200, 1_000_000_000, 1_234_567_890, 1_500_000_000, 1_700_000_001, 86_400];

/** Collects entries by path; parents come to be when a child is put, with root:wheel 0755. */
class Tree {
  readonly #entries = new Map<string, Entry>();

  #facts(path: string, facts: Facts, mode: number) {
    return {
      path,
      mode: facts.mode ?? mode,
      uid: uidOf(facts.owner ?? 'root'),
      gid: gidOf(facts.group ?? 'wheel'),
      uname: facts.owner ?? 'root',
      gname: facts.group ?? 'wheel',
      mtime: facts.mtime ?? BUILD_TIME,
      ...(facts.nanoseconds === undefined ? {} : { nanoseconds: facts.nanoseconds }),
      ...(facts.flags === undefined ? {} : { flags: facts.flags }),
    };
  }

  #put(entry: Entry): void {
    if (this.#entries.has(entry.path)) throw new Error(`${entry.path} occurs twice in the demo release.`);
    const parent = entry.path.slice(0, entry.path.lastIndexOf('/'));
    if (entry.path !== '.' && parent !== '' && !this.#entries.has(parent)) this.directory(parent);
    this.#entries.set(entry.path, entry);
  }

  directory(path: string, facts: Facts = {}): void {
    this.#put({ kind: 'directory', ...this.#facts(path, facts, 0o755) });
  }

  /** A file whose bytes are at hand or are made by `make` when the archive reaches it. */
  file(path: string, content: Buffer | string | (() => Buffer<ArrayBufferLike>), facts: Facts = {}): void {
    const given: Buffer<ArrayBufferLike> | (() => Buffer<ArrayBufferLike>) =
      typeof content === 'string' ? Buffer.from(content) : content;
    let made: WeakRef<Buffer<ArrayBufferLike>> | undefined;
    const bytes = () => {
      if (typeof given !== 'function') return given;
      const buffer: Buffer<ArrayBufferLike> = made?.deref() ?? given();
      made = new WeakRef(buffer);
      return buffer;
    };
    const base = this.#facts(path, facts, 0o444);
    this.#put({
      kind: 'file',
      ...base,
      get size() {
        return bytes().length;
      },
      read: (offset, length) => bytes().subarray(offset, offset + length),
    });
  }

  /** A file of known size whose bytes come by offset. */
  stream(
    path: string,
    size: number,
    read: (offset: number, length: number) => Buffer,
    facts: Facts & { extents?: readonly Extent[] } = {},
  ): void {
    this.#put({
      kind: 'file',
      ...this.#facts(path, facts, 0o444),
      size,
      read,
      ...(facts.extents === undefined ? {} : { extents: facts.extents }),
    });
  }

  symlink(path: string, target: string, facts: Facts = {}): void {
    this.#put({ kind: 'symlink', target, ...this.#facts(path, facts, 0o755) });
  }

  /** Another name of `target`; owner, mode, date and flags are the file's. */
  link(path: string, target: string): void {
    const file = this.#entries.get(target);
    if (file?.kind !== 'file') throw new Error(`${target} is no file to link ${path} to.`);
    // The first name of an archive carries the bytes, and the order is the names': swap when the new one is earlier.
    if (path < target) throw new Error(`${path} sorts before ${target}: link the other way round.`);
    const { uid, gid, uname, gname, mode, mtime, nanoseconds, flags } = file;
    this.#put({
      kind: 'hardlink',
      target,
      path,
      uid,
      gid,
      uname,
      gname,
      mode,
      mtime,
      ...(nanoseconds === undefined ? {} : { nanoseconds }),
      ...(flags === undefined ? {} : { flags }),
    });
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  /** In the order of a sorted METALOG: every directory before what is in it. */
  sorted(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }
}

const BIN = (
  'cat chflags chio chmod cp csh date dd df domainname echo ed expr freebsd-version getfacl hostname kenv kill ln ls mkdir ' +
  'mv nproc pax pgrep ps pwait pwd realpath rm rmdir setfacl sh sleep stty sync test timeout uuidgen'
).split(' ');
const SBIN = (
  'adjkerntz bectl bsdlabel camcontrol ccdconfig comcontrol conscontrol ddb decryptcore devd devfs devmatch dhclient dmesg ' +
  'dump dumpfs dumpon etherswitchcfg fdisk ffsinfo fsck fsck_ffs fsck_msdosfs fsdb fsirand gbde gcache gconcat geli ' +
  'geom ggatec ggated ggatel gjournal glabel gmirror gmountver gmultipath gnop gpart graid growfs gstripe gvirstor hastctl ' +
  'hastd ifconfig init ipf ipfw iscontrol kldconfig kldload kldstat kldunload ldconfig md5 mdconfig mdmfs mknod mount ' +
  'mount_cd9660 mount_fusefs mount_msdosfs mount_nfs mount_nullfs mount_udf natd newfs newfs_msdos nfsiod nologin nos-tun ' +
  'nvmecontrol pfctl pflogd ping ping6 poweroff quotacheck rcorder reboot recoverdisk resolvconf restore route routed ' +
  'rtquery rtsol savecore setkey shutdown spppcontrol swapon sysctl tunefs umount veriexec zdb zfs zpool'
).split(' ');
const USR_BIN = (
  'awk basename bc bmake bsdtar bzip2 c++ c89 c99 cal calendar cap_mkdb cc cmp col colrm column comm compress cpp crontab ' +
  'csplit ctags cut dc diff dig dirname drill du ed egrep elfdump enigma env expand fetch fgrep file find finger fmt fold ' +
  'fstat ftp gcov getent getopt grep groups gzip head hexdump host iconv id indent install ipcs join jot kdump keylogin ' +
  'killall ktrace lam last ld ldd less lex limits locale locate lock lockf logger login look lorder lsvfs m4 mail make ' +
  'man mandoc minigzip mkfifo mklocale mkstr more mt nc netstat newgrp nice nl nm objcopy od openssl passwd paste patch ' +
  'pr printf procstat quota ranlib readelf renice resizewin rev rs rup sdiff sed seq shar showmount size sockstat sort ' +
  'split ssh ssh-add ssh-agent ssh-keygen stat strings strip su tail talk tar tee telnet tftp time touch tput tr truss ' +
  'tset tsort ul uname unexpand uniq unzip uudecode uuencode vi vis vmstat w wall wc whereis which who whois write xargs ' +
  'xz yacc yes zcat zgrep zstd'
).split(' ');
const USR_SBIN = (
  'ac adduser amd apm arp authpf automount bhyve bhyvectl blacklistd boot0cfg bsdconfig bsdinstall chkgrp chown chroot ' +
  'config cron ctladm daemon dconschat devctl devinfo diskinfo efibootmgr efivar etcupdate extattr fdformat freebsd-update ' +
  'fwcontrol gstat i2c inetd iostat ip6addrctl jail jexec jls keyserv kldxref lastlogin lpd makefs mkimg mountd moused ' +
  'mptable mtree newsyslog nfsd nscd ntpd ntpdate pciconf periodic pkg powerd ppp praudit pw pwd_mkdb quot rarpd ' +
  'route6d rpcbind rtadvd rtsold sendmail service services_mkdb sesutil setfib sshd spi syslogd sysrc tcpdump traceroute ' +
  'trim tzsetup ugidfw unbound usbconfig utx valectl vidcontrol watch wpa_supplicant zdump zic zonectl'
).split(' ');
const SETUID_ROOT = new Set([
  './usr/bin/passwd',
  './usr/bin/su',
  './usr/bin/login',
  './usr/bin/crontab',
  './usr/bin/quota',
  './usr/bin/lock',
  './sbin/ping',
  './sbin/shutdown',
  './sbin/mksnap_ffs',
  './sbin/poweroff',
  './usr/sbin/authpf',
  './usr/sbin/ppp',
  './usr/sbin/traceroute',
]);
const SETGID_TTY = new Set(['./usr/bin/wall', './usr/bin/write']);

/** An executable stand-in: a FreeBSD ELF header, what it is, and machine code from the real program. */
function programSlice(path: string, size: number, program: Buffer): () => Buffer {
  return () => {
    const start = new Dice(`slice ${path}`).below(program.length);
    const head: Buffer = Buffer.concat([
      program.subarray(0, 64),
      Buffer.from(`\n${path}: part of the ami-foundry demo release, a stand-in. This is not FreeBSD.\n`),
    ]);
    const parts: Buffer[] = [head];
    for (let left = size - head.length, at = start; left > 0; ) {
      const part = program.subarray(at, at + left);
      parts.push(part);
      left -= part.length;
      at = 0;
    }
    return Buffer.concat(parts);
  };
}

/** A maker of trees with the sizes and counts of one scale. */
function planter(tree: Tree, inputs: TreeInputs) {
  const { program, scale } = inputs;
  const count = (full: number) => Math.max(3, Math.round(full * scale));
  // Sizes shrink less than counts: a small variant should still hold files of more than one block.
  const bytes = (full: number) => Math.max(64, Math.round(full * Math.max(scale, 0.02)));
  const dated = (dice: Dice): number =>
    dice.below(10) === 0 ? dice.pick(OLD_TIMES) + dice.below(1_000_000) : BUILD_TIME - dice.below(7200);

  return {
    count,
    bytes,
    executable(path: string, median: number, facts: Facts = {}): void {
      const dice = new Dice(path);
      const size = bytes(Math.min(dice.size(median), 24 << 20));
      tree.file(path, programSlice(path, size, program), { mode: 0o555, mtime: dated(dice), ...facts });
    },
    text(path: string, median: number, comment: Comment, facts: Facts = {}): void {
      const dice = new Dice(path);
      const size = bytes(dice.size(median));
      tree.file(path, () => prose(path, size, comment), { mtime: dated(dice), ...facts });
    },
    /** Data that does not compress. */
    data(path: string, median: number, facts: Facts = {}): void {
      const dice = new Dice(path);
      const size = bytes(dice.size(median));
      tree.stream(path, size, (offset, length) => noise(path, offset, length), {
        mtime: dated(dice),
        ...facts,
      });
    },
    /** `full` names such as `stem-0042`, spread over `directories` of sixty names. */
    many(full: number, stem: string, each: (name: string, index: number) => void): void {
      for (let index = 0; index < count(full); index++)
        each(`${stem}${String(index).padStart(4, '0')}`, index);
    },
  };
}

const LONG_NAME = `long-${'n'.repeat(245)}.text`; // 255 bytes, NAME_MAX

function bootDirectory(tree: Tree, inputs: TreeInputs): void {
  const { architecture, efiLoader } = inputs;
  tree.file('./boot/loader.efi', efiLoader, { mode: 0o555 });
  tree.link('./boot/loader_lua.efi', './boot/loader.efi');
  if (architecture === 'amd64') {
    tree.file('./boot/pmbr', protectiveMbrCode());
    tree.file('./boot/mbr', protectiveMbrCode());
    tree.file('./boot/gptboot', gptBootCode('gptboot', 126_976));
    tree.file('./boot/gptzfsboot', gptBootCode('gptzfsboot', 196_608));
    tree.file('./boot/boot1', gptBootCode('boot1', 512));
  }
  for (const name of [
    'efi',
    'dtb',
    'firmware',
    'fonts',
    'images',
    'loader.conf.d',
    'modules',
    'uboot',
    'zfs',
  ]) {
    tree.directory(`./boot/${name}`);
  }
}

function specials(tree: Tree, inputs: TreeInputs): void {
  const plant = planter(tree, inputs);
  // Directories with a meaning of their own.
  tree.directory('./tmp', { mode: 0o1777 });
  tree.directory('./var/tmp', { mode: 0o1777 });
  tree.directory('./var/empty', { mode: 0o555, flags: 'schg' });
  tree.directory('./var/mail', { mode: 0o775, group: 'mail' });
  tree.directory('./var/games', { mode: 0o775, group: 'games' });
  tree.directory('./var/audit', { mode: 0o750, group: 'audit' });
  tree.directory('./var/crash', { mode: 0o750, flags: 'nodump' });
  tree.directory('./var/db/entropy', { mode: 0o700, owner: 'operator', group: 'operator' });
  tree.directory('./var/db/ntp', { owner: 'ntpd', group: 'ntpd' });
  tree.directory('./var/spool/clientmqueue', { mode: 0o770, owner: 'smmsp', group: 'smmsp' });
  tree.directory('./var/spool/lpd', { mode: 0o775, group: 'daemon' });
  tree.directory('./var/unbound', { mode: 0o755, owner: 'unbound', group: 'unbound' });
  tree.directory('./var/news', { mode: 0o2775, owner: 'news', group: 'news' });
  tree.directory('./etc/bluetooth', { mode: 0o700 });
  tree.directory('./usr/share/demo/readonly', { mode: 0o555 });
  for (const path of (
    'dev home media mnt net proc usr/local usr/obj usr/src usr/share/keys/pkg/revoked usr/share/keys/pkgbase-15/revoked var/account var/at var/backups var/cache ' +
    'var/db/pkg var/log var/preserve var/run var/rwho var/yp usr/tests usr/libdata'
  ).split(' ')) {
    tree.directory(`./${path}`);
  }
  tree.file('./var/log/messages', '', { mode: 0o644, flags: 'nodump' });
  tree.file('./var/db/locate.database', '', { owner: 'nobody', group: 'nobody' });
  tree.file('./var/db/dhclient.leases.example', '', { mode: 0o640, owner: '_dhcp', group: '_dhcp' });
  tree.file('./var/mail/demo', '', { mode: 0o600, owner: 'man', group: 'mail' });

  // Password databases: binary on a real system, too.
  plant.data('./etc/pwd.db', 40_960, { mode: 0o644 });
  plant.data('./etc/spwd.db', 40_960, { mode: 0o600 });

  // Links of every sort: relative, absolute, short (< 120 bytes fit into a UFS2 inode), long, dangling, to a directory.
  tree.symlink('./sys', 'usr/src/sys');
  tree.symlink('./etc/localtime', '/usr/share/zoneinfo/UTC');
  tree.symlink('./etc/os-release', '../var/run/os-release');
  tree.symlink('./etc/termcap', '/usr/share/misc/termcap');
  tree.symlink('./etc/rmt', '../usr/sbin/rmt');
  tree.symlink('./usr/tmp', '/var/tmp');
  tree.symlink('./usr/share/demo/link-119', `../${'a'.repeat(116)}`);
  tree.symlink('./usr/share/demo/link-120', `../${'b'.repeat(117)}`);
  tree.symlink('./usr/share/demo/link-long', `../${'deep/'.repeat(40)}target`);
  tree.symlink('./usr/share/demo/link-very-long', `/${'segment-of-a-long-target/'.repeat(38)}end`);

  // Names: longest, UTF-8, spaces, quotes, shell and mtree metacharacters, leading dash, a trailing dot.
  plant.text(`./usr/share/demo/names/${LONG_NAME}`, 1000, NONE);
  for (const name of [
    'caf\u00e9 \u6771\u4eac.text',
    'F\u0151tan\u00fas\u00edtv\u00e1ny=Gold.pem',
    'with space',
    'with  two  spaces',
    '"double"',
    "it's",
    '-dash',
    '#hash',
    'back\\slash',
    'dollar$HOME',
    'glob*?[a]',
    'semi;colon&amp',
    'equals=sign',
    'colon:name',
    'percent%20',
    'tab\there',
    'trailing.',
    '~tilde',
    '@at',
    '{brace}',
    '(paren)',
    'pipe|',
    '<angle>',
    '!bang',
    'comma,name',
    '..dots',
  ]) {
    plant.text(`./usr/share/demo/names/${name}`, 500, NONE);
  }
  let deep = './usr/share/demo/deep';
  for (let level = 0; level < 40; level++) deep += `/level-${String(level).padStart(2, '0')}`;
  plant.text(`${deep}/bottom`, 400, NONE);

  // Sizes around the limits of UFS: fragments (4096), blocks (32768), twelve direct blocks, the first indirect one.
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 32_767, 32_768, 32_769, 393_216, 393_217]) {
    const path = `./usr/share/demo/sizes/${size}`;
    tree.stream(path, size, (offset, length) => noise(path, offset, length));
  }

  // Holes: at the start, in the middle, at the end, everywhere.
  const sparse = (name: string, size: number, extents: readonly Extent[]) => {
    const path = `./usr/share/demo/sparse/${name}`;
    tree.stream(path, size, (offset, length) => noise(path, offset, length), { extents, mode: 0o644 });
  };
  const mebibyte = 1 << 20;
  sparse('middle', 64 * mebibyte, [
    { offset: 0, length: 65_536 },
    { offset: 64 * mebibyte - 65_536, length: 65_536 },
  ]);
  sparse('end', 16 * mebibyte, [{ offset: 0, length: 4096 }]);
  sparse('start', 16 * mebibyte, [{ offset: 16 * mebibyte - 32_768, length: 32_768 }]);
  sparse('all', 8 * mebibyte, []);
  sparse(
    'islands',
    32 * mebibyte,
    Array.from({ length: 32 }, (_, at) => ({ offset: at * mebibyte + 65_536, length: 32_768 })),
  );

  // A directory with many entries.
  plant.many(2000, 'entry-', (name, index) =>
    tree.file(`./usr/share/demo/many/${name}`, index % 3 === 0 ? '' : `demo release, entry ${index}\n`),
  );

  // Dates: a fraction of a second, the first second of the epoch but one, and a time after 2038.
  tree.file('./usr/share/demo/times/nanoseconds', 'demo\n', {
    mtime: 1_234_567_890,
    nanoseconds: 123_456_789,
  });
  tree.file('./usr/share/demo/times/epoch', 'demo\n', { mtime: 1 });
  tree.file('./usr/share/demo/times/after-2038', 'demo\n', { mtime: 2_200_000_000 });

  // Flags beside those of the real files.
  tree.file('./usr/share/demo/flags/uarch', 'demo\n', { flags: 'uarch' });
  tree.file('./usr/share/demo/flags/nodump', 'demo\n', { flags: 'nodump' });
  tree.file('./usr/share/demo/flags/both', 'demo\n', { flags: 'schg,nodump' });
  tree.file('./usr/share/demo/flags/uchg', 'demo\n', { flags: 'uchg', owner: 'nobody', group: 'nobody' });
  tree.directory('./usr/share/demo/flags/sunlnk', { flags: 'sunlnk' });
}

/** base.txz. */
export function baseTree(inputs: TreeInputs): Entry[] {
  const tree = new Tree();
  const plant = planter(tree, inputs);
  tree.directory('.');
  for (const [path, facts] of baseTexts(inputs.architecture)) {
    const { text, mode, owner, group } = facts;
    tree.file(path, text, {
      mode: mode ?? 0o644,
      ...(owner === undefined ? {} : { owner }),
      ...(group === undefined ? {} : { group }),
    });
  }
  bootDirectory(tree, inputs);
  specials(tree, inputs);

  // /.cshrc and /root/.cshrc are one file on FreeBSD; the archive's first name carries it.
  tree.file(
    './.cshrc',
    '# Part of the ami-foundry demo release, a stand-in. This is not FreeBSD.\numask 22\n',
    { mode: 0o644 },
  );
  tree.file('./.profile', '# Part of the ami-foundry demo release, a stand-in. This is not FreeBSD.\n', {
    mode: 0o644,
  });
  tree.link('./root/.cshrc', './.cshrc');
  tree.link('./root/.profile', './.profile');

  const program = (path: string, median: number): void => {
    if (tree.has(path)) return;
    const facts: Facts = SETUID_ROOT.has(path)
      ? { mode: 0o4555 }
      : SETGID_TTY.has(path)
        ? { mode: 0o2555, group: 'tty' }
        : {};
    plant.executable(path, median, facts);
  };
  for (const name of BIN) program(`./bin/${name}`, 30_000);
  plant.executable('./bin/rcp', 30_000, { mode: 0o4555, flags: 'schg' });
  for (const name of SBIN) {
    if (name === 'init') plant.executable('./sbin/init', 1_200_000, { mode: 0o500, flags: 'schg' });
    else program(`./sbin/${name}`, 40_000);
  }
  for (const name of USR_BIN) program(`./usr/bin/${name}`, 60_000);
  for (const name of USR_SBIN) program(`./usr/sbin/${name}`, 80_000);
  plant.many(120, 'demo-tool-', (name) => plant.executable(`./usr/bin/${name}`, 40_000));
  plant.many(110, 'demo-helper-', (name) => plant.executable(`./usr/libexec/${name}`, 30_000));
  plant.executable('./usr/libexec/ssh-keysign', 300_000, { mode: 0o4555 });
  plant.executable('./usr/libexec/sm.bin/sendmail', 700_000, { mode: 0o2555, group: 'smmsp' });
  plant.executable('./usr/libexec/dma-mbox-create', 30_000, { mode: 0o4554, group: 'mail' });
  plant.executable('./usr/bin/opieinfo', 30_000, { mode: 0o4555, flags: 'uarch' });
  plant.executable('./usr/games/fortune', 30_000, { group: 'games' });
  tree.file('./usr/bin/esbuild', inputs.program, { mode: 0o555 });
  tree.file('./usr/share/licenses/esbuild/LICENSE.md', inputs.license);

  // One program under some hundred and fifty names.
  const rescue = [...new Set([...BIN, ...SBIN])].sort();
  const first = `./rescue/${rescue[0]}`;
  const rescueSize = plant.bytes(16 << 20);
  tree.file(first, programSlice(first, rescueSize, inputs.program), { mode: 0o555 });
  for (const name of rescue.slice(1)) tree.link(`./rescue/${name}`, first);

  // A few large files, as compilers and debuggers are.
  for (const [path, size] of [
    ['./usr/bin/clang', 36 << 20],
    ['./usr/bin/lldb', 14 << 20],
    ['./usr/bin/ld.lld', 18 << 20],
  ] as const) {
    const scaled = plant.bytes(size);
    tree.file(path, programSlice(path, scaled, inputs.program), { mode: 0o555 });
  }
  tree.link('./usr/bin/clang++', './usr/bin/clang');
  tree.link('./usr/bin/clang-cpp', './usr/bin/clang');

  plant.executable('./libexec/ld-elf.so.1', 140_000, { flags: 'schg' });
  tree.symlink('./usr/libexec/ld-elf.so.1', '../../libexec/ld-elf.so.1');
  plant.many(70, 'libdemo', (name, index) => {
    plant.executable(`./lib/${name}.so.${1 + (index % 9)}`, 90_000, {
      mode: 0o444,
      ...(index < 3 ? { flags: 'schg' } : {}),
    });
    tree.symlink(`./usr/lib/${name}.so`, `../../lib/${name}.so.${1 + (index % 9)}`);
    plant.executable(`./usr/lib/${name}.a`, 120_000, { mode: 0o444 });
  });
  plant.many(180, 'libextra', (name) => {
    plant.executable(`./usr/lib/${name}.so.5`, 70_000, { mode: 0o444 });
    tree.symlink(`./usr/lib/${name}.so`, `${name}.so.5`);
  });

  // Headers, manual pages with their links, and data below /usr/share.
  plant.many(3600, 'demo', (name, index) =>
    plant.text(`./usr/include/part-${index % 60}/${name}.h`, 3500, C),
  );
  for (let section = 1; section <= 9; section++) {
    plant.many(900, 'demo', (name, index) => {
      const path = `./usr/share/man/man${section}/${name}.${section}`;
      plant.text(path, 3500, ROFF);
      if (index % 6 === 0) tree.link(`./usr/share/man/man${section}/${name}.also.${section}`, path);
    });
  }
  plant.many(1000, 'example-', (name, index) =>
    plant.text(`./usr/share/examples/kit-${index % 40}/${name}`, 2500, HASH),
  );
  plant.many(420, 'zone-', (name, index) => {
    const region = `./usr/share/zoneinfo/Region-${index % 12}`;
    plant.data(`${region}/${name}`, 900);
    if (index % 3 === 0) tree.link(`${region}/${name}-old`, `${region}/${name}`);
  });
  plant.data('./usr/share/zoneinfo/UTC', 128);
  plant.data('./usr/share/zoneinfo/Europe/Berlin', 900);
  tree.link('./usr/share/zoneinfo/Zulu', './usr/share/zoneinfo/UTC');
  plant.many(180, 'demo_', (name, index) => {
    const directory = `./usr/share/locale/${name}.UTF-8`;
    if (index % 3 === 0)
      for (const part of ['LC_COLLATE', 'LC_CTYPE']) plant.data(`${directory}/${part}`, 40_000);
    else tree.symlink(`${directory}/LC_COLLATE`, '../demo_0000.UTF-8/LC_COLLATE');
    for (const part of ['LC_MESSAGES', 'LC_MONETARY', 'LC_NUMERIC', 'LC_TIME']) {
      plant.text(`${directory}/${part}`, 300, NONE);
    }
  });
  plant.many(140, 'demo-ca-', (name, index) => {
    plant.text(`./usr/share/certs/trusted/${name}.pem`, 5000, NONE);
    tree.symlink(`./etc/ssl/certs/${name}.${index % 10}`, `../../../usr/share/certs/trusted/${name}.pem`);
  });
  plant.many(700, 'map-', (name, index) =>
    plant.text(`./usr/share/i18n/csmapper/set-${index % 30}/${name}`, 9000, HASH),
  );
  plant.many(160, 'guide-', (name) =>
    plant.text(`./usr/share/doc/demo/${name}`, 20_000, NONE, { group: 'bin' }),
  );
  plant.text('./usr/share/misc/termcap', 220_000, HASH, { mtime: 739_843_200 });
  plant.many(60, 'script-', (name, index) =>
    plant.text(`./etc/periodic/${['daily', 'weekly', 'monthly'][index % 3]}/${name}`, 1500, HASH, {
      mode: 0o755,
    }),
  );
  return tree.sorted();
}

/** kernel.txz: the kernel and its modules, most of them small. */
export function kernelTree(inputs: TreeInputs): Entry[] {
  const tree = new Tree();
  const plant = planter(tree, inputs);
  tree.directory('.');
  tree.file(
    './boot/kernel/kernel',
    programSlice('./boot/kernel/kernel', plant.bytes(28 << 20), inputs.program),
    {
      mode: 0o555,
    },
  );
  const named =
    'if_ena if_vmx nvme opensolaris zfs tmpfs nullfs fusefs pf ipfw cryptodev aesni geom_eli geom_mirror'.split(
      ' ',
    );
  for (const name of named) plant.executable(`./boot/kernel/${name}.ko`, 60_000);
  plant.many(860, 'demo_', (name) => plant.executable(`./boot/kernel/${name}.ko`, 18_000));
  plant.data('./boot/kernel/linker.hints', 200_000);
  return tree.sorted();
}

/** src.txz: sources, off by default. */
export function sourceTree(inputs: TreeInputs): Entry[] {
  const tree = new Tree();
  const plant = planter(tree, inputs);
  tree.directory('.');
  tree.directory('./usr/src/sys');
  plant.many(300, 'demo', (name, index) =>
    plant.text(`./usr/src/sys/part-${index % 10}/${name}.c`, 6000, C, { mode: 0o644 }),
  );
  return tree.sorted();
}

/** base-dbg.txz and kernel-dbg.txz: symbol files below /usr/lib/debug. */
export function debugTree(inputs: TreeInputs, set: 'base' | 'kernel'): Entry[] {
  const tree = new Tree();
  const plant = planter(tree, inputs);
  tree.directory('.');
  const directory = set === 'base' ? './usr/lib/debug/usr/bin' : './usr/lib/debug/boot/kernel';
  const median = 40_000;
  plant.many(40, 'demo-', (name) => plant.executable(`${directory}/${name}.debug`, median, { mode: 0o444 }));
  return tree.sorted();
}
