/**
 * A base system as packages (pkgbase), from the trees of the sets in a small scale: every kind of entry, few of each. Names, origins,
 * scripts and dependencies as in FreeBSD's own; the division into packages is coarser.
 */
import { createHash } from 'node:crypto';
import type { DemoPackage, PackageEntry } from './package-archive.ts';
import type { Entry } from './tar-stream.ts';
import { baseTree, kernelTree, type TreeInputs } from './tree.ts';

const VERSION = '15.1';
/** Of the full release: set-up time counts. */
const SCALE = 0.02;

/** Holes are written out: pkg's archives of base have none that matter. */
function packageEntry(entry: Entry): PackageEntry {
  const facts = {
    path: entry.path.replace(/^\./, ''),
    mode: entry.mode,
    owner: entry.uname,
    group: entry.gname,
    ...(entry.flags === undefined ? {} : { flags: entry.flags }),
  };
  switch (entry.kind) {
    case 'directory':
      return { kind: 'directory', ...facts };
    case 'symlink':
      return { kind: 'symlink', target: entry.target, ...facts };
    case 'hardlink':
      return { kind: 'hardlink', target: entry.target.replace(/^\./, ''), ...facts };
    case 'file':
      return { kind: 'file', content: whole(entry), ...facts };
  }
}

function whole(entry: Entry & { kind: 'file' }): Buffer {
  if (!entry.extents) return entry.read(0, entry.size);
  const bytes = Buffer.alloc(entry.size);
  for (const { offset, length } of entry.extents) entry.read(offset, length).copy(bytes, offset);
  return bytes;
}

function basePackage(
  name: string,
  comment: string,
  entries: readonly PackageEntry[],
  more: Partial<DemoPackage> = {},
): DemoPackage {
  return {
    name: `FreeBSD-${name}`,
    version: VERSION,
    origin: 'base',
    comment,
    prefix: '/',
    entries,
    ...more,
  };
}

export function basePackages(inputs: TreeInputs): DemoPackage[] {
  const small = { ...inputs, scale: Math.min(inputs.scale, SCALE) };
  // The large sparse files are there to try the sets' own format.
  const base = baseTree(small)
    .filter(({ path }) => path !== '.' && !path.startsWith('./usr/share/demo/sparse'))
    .map(packageEntry);
  const kernel = kernelTree(small)
    .filter(({ path }) => path.startsWith('./boot/kernel'))
    .map(packageEntry);
  const isBoot = ({ path }: PackageEntry): boolean => path.startsWith('/boot/');
  const isRescue = ({ path }: PackageEntry): boolean => path === '/rescue' || path.startsWith('/rescue/');
  const etc = base.filter(
    (entry) =>
      entry.kind === 'file' &&
      entry.path.startsWith('/etc/') &&
      /\/(master\.passwd|group|hosts|ntp\.conf|sshd_config)$/.test(entry.path),
  );
  const runtime = base.filter((entry) => !isBoot(entry) && !isRescue(entry));
  return [
    basePackage('runtime', 'Base system: programs, libraries and settings', runtime, {
      vital: true,
      config: etc.map(({ path }) => path),
      scripts: {
        'post-install':
          'pwd_mkdb -i -p -d  $' +
          '{PKG_ROOTDIR}/etc $' +
          '{PKG_ROOTDIR}/etc/master.passwd\n' +
          'services_mkdb $' +
          '{CAP_MKDB_ENDIAN} -q -o $' +
          '{PKG_ROOTDIR}/var/db/services.db $' +
          '{PKG_ROOTDIR}/\n',
      },
    }),
    basePackage('bootloader', 'Boot loader', base.filter(isBoot)),
    basePackage('rescue', 'Programs for emergencies', base.filter(isRescue), {
      dependencies: ['FreeBSD-runtime'],
    }),
    basePackage('kernel-generic', 'Kernel GENERIC', kernel, {
      scripts: { 'post-install': '\t/usr/sbin/kldxref $' + '{PKG_ROOTDIR}/boot/kernel\n' },
    }),
    basePackage('kernel-generic-dbg', 'Debug symbols of the kernel GENERIC', [], {
      dependencies: ['FreeBSD-kernel-generic'],
    }),
    basePackage('set-minimal', 'Base system without extras (metapackage)', [], {
      vital: true,
      dependencies: ['FreeBSD-runtime', 'FreeBSD-bootloader'],
    }),
    basePackage('set-base', 'Base system (metapackage)', [], {
      vital: true,
      dependencies: ['FreeBSD-set-minimal', 'FreeBSD-rescue'],
    }),
    basePackage('set-kernels', 'Kernels (metapackage)', [], { dependencies: ['FreeBSD-kernel-generic'] }),
    basePackage('set-kernels-dbg', 'Debug symbols of kernels (metapackage)', [], {
      dependencies: ['FreeBSD-kernel-generic-dbg'],
    }),
    ...['base-dbg', 'lib32', 'lib32-dbg', 'tests'].map((name) =>
      basePackage(`set-${name}`, `Set ${name} (metapackage)`, [
        {
          kind: 'file',
          path: `/usr/share/demo/set-${name}`,
          content: `${createHash('sha256').update(name).digest('hex')}\n`,
          mode: 0o444,
        },
      ]),
    ),
  ];
}
