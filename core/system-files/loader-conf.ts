import { rootFile, type Setting, type SystemFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';
import { merged, settingsText } from './quoting.ts';

const menu =
  'Nobody sits at the keyboard of an instance: no menu, no wait, and no frame that the web console cannot draw.';
const panics =
  'A panic prints its trace and reboots; the debugger would wait for a keyboard that is not there.';
const probing =
  'Probing for a keyboard controller, a floppy or a parallel port costs seconds, and there is none.';
const graviton = 'Graviton: GPIO pins, ejection of disks and interrupts need these (release/tools/ec2.conf).';

/** Devices of PCs; kernels for arm64 know none of them. */
const pcDevices = ['atkbd', 'atkbdc', 'fd', 'fdc', 'ppc'].map((device) => ({
  key: `hint.${device}.0.disabled`,
  value: '1',
  because: probing,
}));

/** loader.conf(5) of FreeBSD's EC2 images (release/tools/ec2.conf) and of the 2014 design. */
export function loaderConf(recipe: Recipe, fromFeatures: readonly Setting[]): SystemFile {
  const settings = merged(
    [
      { key: 'autoboot_delay', value: '-1', because: menu },
      { key: 'beastie_disable', value: 'YES', because: menu },
      { key: 'loader_menu_frame', value: 'ascii', because: menu },
      {
        key: 'boot_multicons',
        value: 'YES',
        because: 'Serial console for GetConsoleOutput, video for GetConsoleScreenshot.',
      },
      ...(recipe.serialConsole.speed === 115200
        ? []
        : [
            {
              key: 'comconsole_speed',
              value: String(recipe.serialConsole.speed),
              because: 'The recipe says so.',
            },
          ]),
      { key: 'debug.debugger_on_panic', value: '0', because: panics },
      { key: 'debug.trace_on_panic', value: '1', because: panics },
      { key: 'kern.panic_reboot_wait_time', value: '0', because: panics },
      {
        key: 'entropy_efi_seed_size',
        value: '64',
        because:
          'The EFI random number generator of Graviton 2 takes seconds for the 2048 bytes asked by default.',
      },
      ...(recipe.architecture === 'amd64' ? pcDevices : []),
      { key: 'debug.acpi.quirks', value: '56', because: graviton },
      { key: 'hw.pci.intx_reroute', value: '0', because: graviton },
      {
        key: 'hw.pci.pcie_hp_detach_timeout',
        value: '0',
        because: 'A detached EBS volume is let go at once, not after 5 s.',
      },
      {
        key: 'if_ena_load',
        value: 'YES',
        because: 'The Elastic Network Adapter is a module, not in GENERIC.',
      },
      { key: 'hw.nvme.use_nvd', value: '0', because: 'NVMe disks are nda(4) on older releases too.' },
      ...(recipe.filesystem === 'zfs'
        ? [
            { key: 'zfs_load', value: 'YES', because: 'The root is ZFS.' },
            {
              key: 'kern.geom.label.disk_ident.enable',
              value: '0',
              because:
                'The pool finds its disk by its device, not by a serial number that changes with the volume.',
            },
          ]
        : []),
    ],
    fromFeatures,
    Object.entries(recipe.loaderConf).map(([key, value]) => ({ key, value, because: 'The recipe says so.' })),
  );
  return rootFile(
    '/boot/loader.conf',
    settingsText(settings, ({ key, value }) => `${key}="${value}"`),
    'loader.conf(5): what the kernel needs on EC2.',
  );
}
