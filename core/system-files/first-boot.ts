import { type ImageParts, rootFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';

const empty = (path: string, because: string) => rootFile(path, '', because);

/** rc(8) runs the scripts with KEYWORD firstboot only while this file exists, and then removes it. */
const sentinel = empty('/firstboot', 'rc(8) runs the first-boot scripts while it exists.');

/** When updates come, with the default of the flavour. */
export const updatesOf = ({ updates, flavour }: Recipe): 'at-build' | 'first-boot' | 'none' =>
  updates ?? (flavour === 'cloud-init' ? 'none' : 'first-boot');

/** What the instance installs itself. FreeBSD's base image gets the AWS CLI that way (release/tools/ec2-base.conf). */
const firstbootPackagesOf = ({ firstbootPackages, flavour }: Recipe): readonly string[] =>
  firstbootPackages ?? (flavour === 'base' ? ['devel/py-awscli'] : []);

const updater = (recipe: Recipe): ImageParts => {
  if (updatesOf(recipe) !== 'first-boot') return {};
  const because = 'Security updates at first boot; the instance reboots if there were any.';
  if (recipe.system === 'sets') {
    return {
      packages: ['firstboot-freebsd-update'],
      rcConf: [{ key: 'firstboot_freebsd_update_enable', value: 'YES', because }],
    };
  }
  return {
    packages: ['firstboot-pkg-upgrade'],
    rcConf: [
      { key: 'firstboot_pkg_upgrade_enable', value: 'YES', because },
      { key: 'firstboot_pkg_upgrade_repos', value: 'FreeBSD-base', because },
    ],
  };
};

const packagesAtFirstBoot = (recipe: Recipe): ImageParts => {
  const list = firstbootPackagesOf(recipe);
  if (list.length === 0 && recipe.flavour === 'cloud-init') return {};
  if (list.length === 0) return { packages: ['firstboot-pkgs'] };
  const because = 'Packages that the instance installs at its first boot.';
  return {
    packages: ['firstboot-pkgs'],
    rcConf: [
      { key: 'firstboot_pkgs_enable', value: 'YES', because },
      { key: 'firstboot_pkgs_list', value: list.join(' '), because },
    ],
  };
};

/** What happens at the first boot of an instance. */
export function firstBoot(recipe: Recipe): ImageParts[] {
  const diskSeen = empty(
    '/var/db/ec2_ephemeral_diskseen',
    'ec2_ephemeral_swap takes disks that were not seen before.',
  );
  return [
    updater(recipe),
    packagesAtFirstBoot(recipe),
    { files: recipe.flavour === 'cloud-init' ? [sentinel] : [sentinel, diskSeen] },
  ];
}
