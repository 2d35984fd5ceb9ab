/**
 * Stand-ins for FreeBSD's boot files. The EFI loader is GRUB from Debian's package, made at set-up: it is a real EFI program
 * that finds the UFS by its label and reads files from it, which is what a boot test can see. The BIOS parts are
 * a few instructions that print what they are and halt.
 */
import { execFile } from 'node:child_process';
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { noise } from './content.ts';
import type { Architecture } from './release.ts';
import { tarStream } from './tar-stream.ts';

const run = promisify(execFile);

const GRUB = {
  amd64: { format: 'x86_64-efi', debianPackage: 'grub-efi-amd64-bin' },
  arm64: { format: 'arm64-efi', debianPackage: 'grub-efi-arm64-bin' },
} as const;

/** Without one of these the loader cannot do its work; `serial` and the like exist on some platforms only. */
const NEEDED = (
  'normal memdisk tar part_gpt part_msdos fat ufs1 ufs2 search search_label search_fs_file echo cat read test regexp ' +
  'true sleep configfile terminal halt reboot ls minicmd'
).split(' ');
const OPTIONAL = ['serial', 'terminfo', 'probe', 'loadenv', 'date', 'eval', 'all_video', 'efi_gop'];

export class MissingGrub extends Error {
  override readonly name = 'MissingGrub';
}

/** The directory of GRUB's modules for the architecture; throws {@link MissingGrub} with the package to install. */
export async function grubDirectory(architecture: Architecture, given?: string): Promise<string> {
  const { format, debianPackage } = GRUB[architecture];
  const directory = given ?? `/usr/lib/grub/${format}`;
  const remedy = `The demo release makes its EFI loader from GRUB: install the Debian packages grub-common and ${debianPackage} (on a machine of another architecture: fetch ${debianPackage}:${architecture}, unpack it with dpkg -x, and name its usr/lib/grub/${format} as the GRUB directory).`;
  try {
    await access(join(directory, 'moddep.lst'));
  } catch {
    throw new MissingGrub(`${directory} has no GRUB modules for ${format}. ${remedy}`);
  }
  try {
    await run('grub-mkimage', ['--version']);
  } catch (error) {
    throw new MissingGrub(`grub-mkimage does not run (${(error as Error).message}). ${remedy}`);
  }
  return directory;
}

export async function grubVersion(): Promise<string> {
  return (await run('grub-mkimage', ['--version'])).stdout.trim();
}

/**
 * What the loader does. It ends in an endless sleep, as a machine that waits for a login would, so that the
 * console is not cleared and the watcher decides when the machine stops. GRUB's ufs2 cuts the last
 * character of symlink targets (2.06), so only plain paths are read. On amd64 it drives the UART itself, since firmware
 * need not mirror its console there; on arm64 the firmware's console is the serial line.
 */
export function loaderScript(architecture: Architecture): string {
  const lines = [
    ...(architecture === 'amd64'
      ? ['serial --unit=0 --speed=115200', 'terminal_output serial']
      : ['terminal_output console']),
    // Below 80 columns: GRUB breaks longer lines, and a reader of the console would see two.
    'echo "ami-foundry demo loader: this is GRUB, not the FreeBSD loader"',
    'if search --no-floppy --set=root --label rootfs; then',
    '  echo "foundry-demo-loader: root=$root label=rootfs"',
    '  if cat /etc/ami-foundry-demo; then',
    '    echo ""',
    // What a boot test waits for, in the form of ec2_loghostkey and getty.
    ...[
      '-----BEGIN SSH HOST KEY FINGERPRINTS-----',
      '256 SHA256:none-this-is-the-ami-foundry-demo-release root@demo (ED25519)',
      '-----END SSH HOST KEY FINGERPRINTS-----',
    ].map((line) => `    echo "ec2: ${line}"`),
    '    echo ""',
    `    echo "ami-foundry demo/${architecture} (ttyu0)"`,
    '    echo ""',
    '    echo "login:"',
    '  else',
    '    echo "foundry-demo-loader: no /etc/ami-foundry-demo: waiting for ever"',
    '  fi',
    'else',
    // FreeBSD's loader says it in these words.
    '  echo "foundry-demo-loader: Failed to find bootable partition"',
    'fi',
    'while true; do sleep 3600; done',
  ];
  return `${lines.join('\n')}\n`;
}

export async function efiLoader(architecture: Architecture, modules: string): Promise<Buffer> {
  const present = new Set((await readdir(modules)).filter((name) => name.endsWith('.mod')));
  const missing = NEEDED.filter((name) => !present.has(`${name}.mod`));
  if (missing.length > 0)
    throw new MissingGrub(`GRUB in ${modules} lacks the modules ${missing.join(', ')}.`);
  const extra = OPTIONAL.filter((name) => present.has(`${name}.mod`));
  const scratch = await mkdtemp(join(tmpdir(), 'ami-foundry-demo-loader-'));
  try {
    const script = Buffer.from(loaderScript(architecture));
    const facts = { uid: 0, gid: 0, uname: 'root', gname: 'wheel', mtime: 0 } as const;
    const memdisk = Buffer.concat([
      ...tarStream([
        { ...facts, kind: 'directory', path: 'boot', mode: 0o755 },
        { ...facts, kind: 'directory', path: 'boot/grub', mode: 0o755 },
        {
          ...facts,
          kind: 'file',
          path: 'boot/grub/grub.cfg',
          mode: 0o644,
          size: script.length,
          read: (offset, length) => script.subarray(offset, offset + length),
        },
      ]),
    ]);
    await writeFile(join(scratch, 'memdisk.tar'), memdisk);
    await run('grub-mkimage', [
      `--directory=${modules}`,
      `--format=${GRUB[architecture].format}`,
      `--memdisk=${join(scratch, 'memdisk.tar')}`,
      '--prefix=(memdisk)/boot/grub',
      `--output=${join(scratch, 'loader.efi')}`,
      ...NEEDED,
      ...extra,
    ]);
    return await readFile(join(scratch, 'loader.efi'));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Real-mode code that prints the text behind it with INT 10h, function 0Eh, and halts. */
function biosMessage(origin: number, message: string): Buffer {
  const code = Buffer.from([
    0x31,
    0xc0, // xor ax, ax
    0x8e,
    0xd8, // mov ds, ax
    0xfc, // cld
    0xbe,
    0x00,
    0x00, // mov si, message (filled in below)
    0xac, // next: lodsb
    0x84,
    0xc0, // test al, al
    0x74,
    0x09, // jz halt
    0xb4,
    0x0e, // mov ah, 0Eh
    0xbb,
    0x07,
    0x00, // mov bx, 7
    0xcd,
    0x10, // int 10h
    0xeb,
    0xf2, // jmp next
    0xf4, // halt: hlt
    0xeb,
    0xfd, // jmp halt
  ]);
  code.writeUInt16LE(origin + code.length, 6);
  return Buffer.concat([code, Buffer.from(`${message}\r\n\0`, 'latin1')]);
}

/** 512 bytes that a BIOS accepts: code, an empty partition table, the signature 55 AA at 510. */
export function protectiveMbrCode(): Buffer {
  const sector = Buffer.alloc(512);
  biosMessage(0x7c00, 'ami-foundry demo pmbr: not FreeBSD, no BIOS boot').copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** As large as FreeBSD's gptboot is, so that the sizes of the boot partition are exercised. */
export function gptBootCode(name: string, size: number): Buffer {
  const bytes = noise(`boot code ${name}`, 0, size);
  biosMessage(0x7c00, `ami-foundry demo ${name}: not FreeBSD`).copy(bytes);
  return bytes;
}
