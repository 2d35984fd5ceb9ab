import type { Recipe } from './recipe.ts';

/** A file laid over the release. */
export interface SystemFile {
  readonly path: string;
  /** Four octal digits. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly content: string;
}

const assignment = (key: string, value: string): string => `${key}="${value}"`;

/** rc.conf(5): what an instance needs to be reached. */
const rcConf = (recipe: Recipe): string[] => [
  // DHCP gives the instance its own name; until then a console shows this one.
  assignment('hostname', recipe.hostname),
  // EC2's interface is ena0, vtnet0 or xn0: DEFAULT takes them all. SYNCDHCP: services need the address at start.
  assignment('ifconfig_DEFAULT', 'SYNCDHCP accept_rtadv'),
  assignment('ipv6_activate_all_interfaces', 'YES'),
  // No other host shares an address in a VPC: asking for it costs seconds of every boot.
  assignment('dhclient_arpwait', 'NO'),
  assignment('sshd_enable', 'YES'),
  // A volume larger than the image becomes a larger root at first boot (rc.d/growfs).
  assignment('growfs_enable', 'YES'),
];

/** loader.conf(5): what the kernel needs on EC2. */
const loaderConf = (): string[] => [
  // Nobody sits at the keyboard of an instance.
  assignment('autoboot_delay', '-1'),
  assignment('beastie_disable', 'YES'),
  // Serial console for GetConsoleOutput, video for GetConsoleScreenshot.
  assignment('boot_multicons', 'YES'),
  // The Elastic Network Adapter is a module, not in GENERIC.
  assignment('if_ena_load', 'YES'),
  // nda(4), the NVMe driver that newer releases use by default, on the older ones too.
  assignment('hw.nvme.use_nvd', '0'),
];

/** fstab(5), by label: the disk is nda0, nvd0, ada0 or xbd0 depending on the instance type. */
const fstab: string[] = [
  '# Device\tMountpoint\tFStype\tOptions\tDump\tPass#',
  '/dev/gpt/rootfs\t/\tufs\trw,noatime\t1\t1',
  // failok: an image without a mountable ESP has still booted, and must not stop in single-user mode for it.
  '/dev/gpt/efiboot0\t/boot/efi\tmsdosfs\trw,failok\t2\t2',
];

const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

/** Every file the factory adds to a release. Reasons stand beside each line above. */
export function systemFiles(recipe: Recipe): SystemFile[] {
  const root = { uid: 0, gid: 0 };
  return [
    { path: '/etc/fstab', mode: '0644', ...root, content: text(fstab) },
    { path: '/etc/rc.conf', mode: '0644', ...root, content: text(rcConf(recipe)) },
    { path: '/boot/loader.conf', mode: '0644', ...root, content: text(loaderConf()) },
    // rc(8) runs the scripts with KEYWORD firstboot only while this file exists, and then removes it.
    { path: '/firstboot', mode: '0644', ...root, content: '' },
  ];
}
