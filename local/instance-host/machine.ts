import { spawn } from 'node:child_process';
import { access, constants, copyFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ArchitectureValues } from '@aws-sdk/client-ec2';
import { blockNode, DISK_SLOTS, deviceOf, serialOf, slotName } from './hot-plug.ts';

/** A machine to run: what its AMI and its volumes say of it. */
export interface MachineRequest {
  readonly architecture: ArchitectureValues;
  readonly bootMode: 'legacy-bios' | 'uefi';
  /** The root first. */
  readonly disks: readonly { readonly volumeId: string; readonly file: string }[];
  /** Where it keeps the variables of its firmware. */
  readonly scratch: string;
  /** The serial console, which is added to. */
  readonly console: string;
  /** What only a worker's machine has. */
  readonly online?: Online | undefined;
}

/** A way out, a metadata service, a disk with the user-data, and slots for disks that come while it runs. */
export interface Online {
  readonly macAddress: string;
  /** A program, without spaces in its name, that speaks for the metadata service on its standard input and output. */
  readonly metadataProgram: string;
  readonly seedDisk: string;
}

/** What a machine calls the host that it runs on: whatever listens on its 127.0.0.1 is found there under the same port. */
export const HOST_ADDRESS = '169.254.0.1';

/** The host cannot run such a machine. */
export class MachineUnavailable extends Error {
  override readonly name = 'MachineUnavailable';
}

interface Kind {
  readonly program: string;
  /** Firmware for UEFI, without secure boot, for which FreeBSD's loader is not signed; and its empty variables. */
  readonly firmware: string;
  readonly variables: string;
  /** Debian's packages with all that. */
  readonly packages: string;
  readonly board: readonly string[];
  /** What the board needs beside that, so that slots announce disks in PCI Express's own way. */
  readonly slots: readonly string[];
  /** The processor where it is emulated. */
  readonly cpu: string;
  /** What Node calls a host of that architecture: only such a one can run it by KVM. */
  readonly host: string;
}

/** As near to EC2's machines as QEMU's boards come: PCIe, NVMe, ACPI, a serial port. */
const kinds: Readonly<Partial<Record<ArchitectureValues, Kind>>> = {
  x86_64: {
    program: 'qemu-system-x86_64',
    firmware: '/usr/share/OVMF/OVMF_CODE_4M.fd',
    variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
    packages: 'qemu-system-x86 and ovmf',
    board: ['-machine', 'q35'],
    // By ACPI is q35's usual way. Every system that knows slots at all knows theirs, FreeBSD since 11.
    slots: ['-global', 'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'],
    cpu: 'max',
    host: 'x64',
  },
  arm64: {
    program: 'qemu-system-aarch64',
    firmware: '/usr/share/AAVMF/AAVMF_CODE.fd',
    variables: '/usr/share/AAVMF/AAVMF_VARS.fd',
    packages: 'qemu-system-arm and qemu-efi-aarch64',
    board: ['-machine', 'virt'],
    slots: [],
    // Of the cores that EC2 has had: Graviton 1 was a Cortex-A72.
    cpu: 'cortex-a72',
    host: 'arm64',
  },
};

/** FreeBSD needs 256 MB to boot; what the guest does not touch costs nothing. */
const memory = ['-m', '512'];
/** A worker unpacks, compresses and hashes on both of an m6i.large's processors; a quarter of its 8 GB will do. */
const workerMemory = ['-m', '2048', '-smp', '2'];

/** Nothing but what is named here: no network, no screen, no floppy. */
const bare = ['-nodefaults', '-no-user-config', '-display', 'none'];

/**
 * QEMU's user network ("Network options", -netdev user), laid so that the addresses which every EC2 machine knows lie in
 * it: guestfwd answers for addresses of the network only. Whatever it does not know itself goes out as this user's connection.
 * No IPv6: where the host has none, each connection would wait for it first. ENA is not emulated; GENERIC has virtio.
 */
const networkOf = ({ macAddress, metadataProgram }: Online): string[] => [
  '-netdev',
  `user,id=network,net=169.254.0.0/16,host=${HOST_ADDRESS},dns=169.254.169.253,dhcpstart=169.254.0.15,ipv6=off,` +
    `guestfwd=tcp:169.254.169.254:80-cmd:${metadataProgram}`,
  '-device',
  // Without the ROM for booting by network, which Debian has in another package.
  `virtio-net-pci,netdev=network,mac=${macAddress},romfile=`,
];

/** The descriptor by which a worker's machine is told of disks; 0 to 2 are the usual ones, 3 is machine.sh's. */
export const MONITOR_DESCRIPTOR = 4;

const onlineParts = (online: Online, { slots }: Kind): string[] => [
  ...workerMemory,
  ...slots,
  ...Array.from({ length: DISK_SLOTS }, (_, index) => [
    '-device',
    `pcie-root-port,id=${slotName(index)},chassis=${index + 1},slot=${index + 1}`,
  ]).flat(),
  ...networkOf(online),
  // Graviton's and emulated processors have no random numbers of their own.
  '-device',
  'virtio-rng-pci',
  '-drive',
  `if=none,id=seed,format=raw,readonly=on,file=${fileName(online.seedDisk)}`,
  '-device',
  'nvme,drive=seed,serial=user-data',
  '-chardev',
  `socket,id=monitor,fd=${MONITOR_DESCRIPTOR}`,
  '-mon',
  'chardev=monitor,mode=control',
];

/** A file name as an option of QEMU takes it. */
const fileName = (path: string): string => path.replaceAll(',', ',,');

const flash = (unit: number, file: string, more = ''): string[] => [
  '-drive',
  `if=pflash,unit=${unit},format=raw${more},file=${fileName(file)}`,
];

/** The command of a machine. Throws {@link MachineUnavailable} with what to install. */
export async function machineCommand(request: MachineRequest): Promise<string[]> {
  const kind = kinds[request.architecture];
  if (kind === undefined) {
    throw new MachineUnavailable(`QEMU is not used for ${request.architecture} here`);
  }
  const program = await find(kind);
  const bios = request.bootMode === 'legacy-bios';
  const variables = join(request.scratch, 'firmware-variables.fd');
  const [rootDisk = [], ...otherDisks] = request.disks.map((disk, index) => [
    '-blockdev',
    JSON.stringify(blockNode(disk.volumeId, disk.file)),
    '-device',
    `nvme,id=${deviceOf(disk.volumeId)},drive=${disk.volumeId},serial=${serialOf(disk.volumeId)},bootindex=${index}` +
      // All but the root can be pulled out.
      (request.online && index > 0 ? `,bus=${slotName(index - 1)}` : ''),
  ]);
  if (!bios) await copyFile(kind.variables, variables, constants.COPYFILE_FICLONE);
  return [
    program,
    ...bare,
    ...kind.board,
    ...((await usableAccelerator(program, kind)) === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg', '-cpu', kind.cpu]),
    ...(bios ? [] : [...flash(0, kind.firmware, ',readonly=on'), ...flash(1, variables)]),
    // The first device is the first disk of a system that counts them.
    ...rootDisk,
    ...(request.online ? onlineParts(request.online, kind) : memory),
    ...otherDisks.flat(),
    '-chardev',
    `file,id=console,append=on,path=${fileName(request.console)}`,
    '-serial',
    'chardev:console',
  ];
}

/** QEMU's program, if it and its firmware are there. */
async function find({ program, firmware, packages }: Kind): Promise<string> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, program);
    if ((await there(path, constants.X_OK)) && (await there(firmware, constants.R_OK))) return path;
  }
  throw new MachineUnavailable(
    `${program} or ${firmware} is not there: install Debian's ${packages} (bootTest: false builds without)`,
  );
}

const there = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

const accelerators = new Map<string, Promise<'kvm' | 'tcg'>>();

/** How guests run on this host; found out once. */
function usableAccelerator(program: string, { host, board, firmware }: Kind): Promise<'kvm' | 'tcg'> {
  if (process.arch !== host) return Promise.resolve('tcg');
  const known =
    accelerators.get(program) ?? probeAccelerator(program, [...board, ...flash(0, firmware, ',readonly=on')]);
  accelerators.set(program, known);
  return known;
}

/** A firmware under KVM prints within a second; one that prints nothing in this time never will. Milliseconds. */
const PROBE_LIMIT = 5000;

/** KVM only if a firmware really comes up under it: in containers and nested clouds /dev/kvm may be there and run nothing. */
export async function probeAccelerator(program: string, machine: readonly string[]): Promise<'kvm' | 'tcg'> {
  if (!(await there('/dev/kvm', constants.R_OK | constants.W_OK))) return 'tcg';
  const probe = spawn(
    program,
    [...bare, ...memory, ...machine, '-accel', 'kvm', '-cpu', 'host', '-serial', 'stdio'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const verdict = await Promise.race([
    new Promise<'kvm'>((resolve) => probe.stdout.once('data', () => resolve('kvm'))),
    // "KVM internal error": QEMU says so and stays.
    new Promise<'tcg'>((resolve) => probe.stderr.once('data', () => resolve('tcg'))),
    new Promise<'tcg'>((resolve) => probe.once('close', () => resolve('tcg'))),
    new Promise<'tcg'>((resolve) => probe.once('error', () => resolve('tcg'))),
    pause(PROBE_LIMIT, 'tcg' as const, { ref: false }),
  ]);
  probe.kill('SIGKILL');
  return verdict;
}
