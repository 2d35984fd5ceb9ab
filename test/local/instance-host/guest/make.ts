/**
 * A stand-in for the system of a worker image, made of Debian's cloud kernel and this host's own programs: a disk with a GPT, an
 * EFI loader, and a root that does what FreeBSD's EC2 images do at their first boot, and has what a Linux worker needs.
 */
import { execFile } from 'node:child_process';
import {
  access,
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = new URL('../../../../', import.meta.url).pathname;
const state = join(root, '.state/worker-guest');
const here = new URL('./', import.meta.url).pathname;

/** Where the guest's system looks for its user-data. */
export type UserDataSource = 'imds' | 'cidata';

/** What the worker's Linux layer and the bootstrap call. */
const PROGRAMS = (
  'sh bsdtar curl sfdisk mkfs.vfat mcopy mmd minfo mdir mtools xz gzip tar openssl pgrep lsblk blockdev node awk sed grep find ' +
  'cat chmod chown cp cut basename date dd dirname du env expr false fold head id ln ls mkdir mkfifo mktemp mv od paste printf readlink ' +
  'realpath rm rmdir sha256sum sleep sort stat sync tail tee test touch tr true truncate uname uniq wc base64 cmp join comm nl seq'
).split(' ');
/** What the host may have only as one of busybox's names. */
const BUSYBOX = 'mount umount insmod ip udhcpc blkid kill ps setsid'.split(' ');
/** In an order in which each finds what it needs. */
const MODULES = (
  'virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net ' +
  'fat vfat nls_cp437 nls_ascii'
).split(' ');

/** Why the guest cannot be made here, or undefined. */
export async function guestMissing(): Promise<string | undefined> {
  const needed = [
    join(state, 'kernel/boot'),
    '/usr/share/OVMF/OVMF_CODE_4M.fd',
    '/usr/lib/grub/x86_64-efi/linux.mod',
  ];
  for (const path of needed) {
    if (!(await there(path))) return `${path} is not there: make test fetches it`;
  }
  for (const program of ['qemu-system-x86_64', 'qemu-img', 'mkfs.ext4', 'busybox', ...PROGRAMS]) {
    if ((await which(program)) === undefined) return `${program} is not there`;
  }
  return undefined;
}

const there = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const which = async (program: string): Promise<string | undefined> => {
  for (const directory of `${process.env.PATH}:/usr/sbin:/sbin`.split(':')) {
    const path = join(directory, program);
    if (await there(path)) return path;
  }
  return undefined;
};

const MEBIBYTE = 1024 ** 2;
const ESP = { start: 1, size: 48 };
const ROOT = { start: 49, size: 1024 };

/** Makes the guest's disk, raw, at `path`. Takes seconds. */
export async function makeGuest(path: string, source: UserDataSource): Promise<void> {
  const scratch = await mkdtemp(join(dirname(path), 'guest-'));
  try {
    const tree = join(scratch, 'root');
    await makeTree(tree);
    const esp = join(scratch, 'esp.img');
    await makeEsp(esp, scratch, source);
    const system = join(scratch, 'root.img');
    await run('truncate', ['-s', `${ROOT.size}M`, system]);
    await run('mkfs.ext4', ['-q', '-E', 'root_owner=0:0', '-d', tree, system]);
    await run('truncate', ['-s', `${ROOT.start + ROOT.size + 1}M`, path]);
    const table = [
      'label: gpt',
      ...[`U`, 'L'].map((type, index) => {
        const { start, size } = index === 0 ? ESP : ROOT;
        return `start=${start * 2048}, size=${size * 2048}, type=${type}`;
      }),
    ];
    await run('sh', ['-c', 'printf "%s\\n" "$2" | sfdisk -q "$1"', 'sh', path, table.join('\n')]);
    for (const [image, { start }] of [
      [esp, ESP],
      [system, ROOT],
    ] as const) {
      await run('dd', [`if=${image}`, `of=${path}`, 'bs=1M', `seek=${start}`, 'conv=notrunc,sparse']);
    }
  } finally {
    await rm(scratch, { recursive: true });
  }
}

async function makeTree(tree: string): Promise<void> {
  for (const directory of 'usr/bin usr/sbin usr/lib/guest-modules proc sys dev run mnt root etc tmp var/tmp'.split(
    ' ',
  )) {
    await mkdir(join(tree, directory), { recursive: true });
  }
  await chmod(join(tree, 'tmp'), 0o1777);
  for (const [name, target] of Object.entries({
    bin: 'usr/bin',
    sbin: 'usr/sbin',
    lib: 'usr/lib',
    lib64: 'usr/lib64',
  })) {
    await symlink(target, join(tree, name));
  }
  await mkdir(join(tree, 'usr/lib64'));
  const libraries = new Set<string>();
  const put = async (name: string) => {
    const file = name === 'node' ? process.execPath : await realpath((await which(name)) as string);
    await copyFile(file, join(tree, 'usr/bin', basename(file)));
    await chmod(join(tree, 'usr/bin', basename(file)), 0o755);
    if (basename(file) !== name)
      await symlink(basename(file), join(tree, 'usr/bin', name)).catch(ignoreTwice);
    const { stdout } = await run('ldd', [file]).catch(() => ({ stdout: '' })); // A static program.
    for (const [, library = ''] of stdout.matchAll(/(\/\S+) \(0x/g)) libraries.add(library);
  };
  for (const name of ['busybox', ...PROGRAMS]) await put(name);
  for (const library of libraries) {
    const place = join(tree, 'usr', library.replace(/^\/usr\//, '/'));
    await mkdir(dirname(place), { recursive: true });
    await copyFile(await realpath(library), place);
  }
  for (const name of BUSYBOX) {
    await symlink('busybox', join(tree, 'usr/bin', name)).catch(ignoreTwice);
  }
  // bsdtar reads names as UTF-8 in this locale.
  await cp('/usr/lib/locale/C.utf8', join(tree, 'usr/lib/locale/C.utf8'), { recursive: true });
  // mtools writes names in a code page of DOS.
  const [gconv = ''] = [...libraries]
    .filter((path) => path.includes('/libc.so'))
    .map((path) => join(dirname(path), 'gconv'));
  await cp(gconv, join(tree, 'usr', gconv.replace(/^\/usr\//, '/')), { recursive: true });
  const modules = join(state, 'kernel/lib/modules');
  const [version = ''] = await readdir(modules);
  const { stdout } = await run('find', [join(modules, version), '-name', '*.ko']);
  for (const [index, name] of MODULES.entries()) {
    const file = stdout.split('\n').find((one) => basename(one) === `${name}.ko`);
    if (file) {
      const place = `${String(index).padStart(2, '0')}-${name}.ko`;
      await copyFile(file, join(tree, 'usr/lib/guest-modules', place));
    }
  }
  const scripts = { init: join(here, 'init.sh'), 'usr/lib/guest-dhcp': join(here, 'dhcp.sh') };
  for (const [place, script] of Object.entries(scripts)) {
    await copyFile(script, join(tree, place));
    await chmod(join(tree, place), 0o755);
  }
  await writeFile(join(tree, 'usr/sbin/poweroff'), '#!/bin/sh\nsync\nexec busybox poweroff -f\n', {
    mode: 0o755,
  });
  await writeFile(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
}

function ignoreTwice(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

/** GRUB and the kernel: `early` is what GRUB does before anything else. */
async function makeEsp(esp: string, scratch: string, source: UserDataSource): Promise<void> {
  const early = join(scratch, 'early.cfg');
  const kernel = `linux /vmlinuz root=/dev/nvme0n1p2 rw console=ttyS0,115200 init=/init panic=1 userdata=${source}`;
  await writeFile(early, `search --no-floppy --set=root --file /vmlinuz\n${kernel}\nboot\n`);
  const loader = join(scratch, 'BOOTX64.EFI');
  const modules = 'normal linux part_gpt fat search search_fs_file boot'.split(' ');
  await run('grub-mkimage', ['-O', 'x86_64-efi', '-c', early, '-p', '/', '-o', loader, ...modules]);
  const [image = ''] = (await readdir(join(state, 'kernel/boot'))).filter((name) =>
    name.startsWith('vmlinuz'),
  );
  await run('mkfs.vfat', ['-C', esp, String((ESP.size * MEBIBYTE) / 1024)]);
  await run('mmd', ['-i', esp, '::EFI', '::EFI/BOOT']);
  await run('mcopy', ['-i', esp, loader, '::EFI/BOOT/BOOTX64.EFI']);
  await run('mcopy', ['-i', esp, join(state, 'kernel/boot', image), '::vmlinuz']);
}
