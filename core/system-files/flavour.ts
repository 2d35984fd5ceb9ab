import { type ImageParts, rootFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';

/** In all flavours: names for EBS disks (release/tools/ec2.conf). */
const common = ['sysutils/ebsnvme-id'];

/** release/tools/ec2-small.conf, ec2-base.conf, ec2-cloud-init.conf; updater and first-boot packages: first-boot.ts. */
const packages = {
  small: ['sysutils/ec2-scripts', 'net/isc-dhcp44-client'],
  // The agent is installed and not enabled, for instances that cannot reach a repository.
  base: ['sysutils/ec2-scripts', 'net/isc-dhcp44-client', 'sysutils/amazon-ssm-agent'],
  'cloud-init': ['net/cloud-init'],
} as const;

/** cloud.cfg.d(5): read after cloud.cfg and over it. The user is FreeBSD's; doas, because base has no sudo. */
const cloudConfig = rootFile(
  '/usr/local/etc/cloud/cloud.cfg.d/98_ec2.cfg',
  `disable_root: true
system_info:
  distro: freebsd
  default_user:
    name: ec2-user
    lock_passwd: true
    gecos: EC2 default user
    groups: [wheel]
    shell: /bin/sh
    homedir: /home/ec2-user
    doas: ["permit nopass ec2-user"]
`,
  'cloud-init: the login user of EC2, without a password.',
);

/** What makes a flavour, beside its settings in rc.conf. */
export const flavour = (recipe: Recipe): ImageParts => ({
  packages: [...common, ...packages[recipe.flavour]],
  files: recipe.flavour === 'cloud-init' ? [cloudConfig] : [],
});

/** Sets that a flavour adds where the release has them (facts: base is full, with debug symbols, lib32 and tests). */
const optionalSets = {
  base: ['base_dbg', 'kernel_dbg', 'lib32', 'lib32_dbg', 'tests'],
  small: [],
  'cloud-init': ['base_dbg', 'kernel_dbg', 'lib32', 'lib32_dbg', 'tests'],
} as const;

/** The sets to extract: those that must be there, and those that are taken if the release has them. */
export const setsOf = (
  recipe: Recipe,
): { readonly required: readonly string[]; readonly optional: readonly string[] } => {
  if (recipe.system === 'pkgbase') return { required: [], optional: [] };
  return recipe.sets === undefined
    ? { required: ['base', 'kernel'], optional: optionalSets[recipe.flavour] }
    : { required: recipe.sets, optional: [] };
};

/** Meta-packages of a package-built system (release/tools/vmimage.subr): small has no debug symbols, 32-bit libraries and tests. */
const basePackages = {
  base: ['base-dbg', 'kernels-dbg', 'lib32', 'lib32-dbg', 'tests'],
  small: [],
  'cloud-init': ['base-dbg', 'kernels-dbg', 'lib32', 'lib32-dbg', 'tests'],
} as const;

export const basePackagesOf = (recipe: Recipe): string[] =>
  recipe.system === 'pkgbase'
    ? ['base', 'kernels', ...basePackages[recipe.flavour]].map((set) => `FreeBSD-set-${set}`)
    : [];
