import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readBootConsole } from '../../core/boot-console.ts';
import { type BootFacts, bootFailure, bootSucceeded } from '../../core/boot-verdict.ts';
import type { ErrorCode } from '../../core/errors.ts';

/** Serial consoles of a real FreeBSD 13.2 under QEMU, as they came: colour codes, spinners, bare carriage returns. */
const recorded = (name: string) => readFileSync(new URL(`fixtures/${name}.txt`, import.meta.url), 'utf8');

/** What sshd, ec2_loghostkey and getty add, which the recorded machines did not have. */
const keys = [
  'ec2: #############################################################',
  'ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----',
  'ec2: 256 SHA256:4JqXl0p4T5oHkIu0pQe6oQx0J1m2b3n4v5c6x7z8a9s root@freebsd (ECDSA)',
  'ec2: 256 SHA256:hT7mX9f2N4bV6cZ8lK0jH1gF3dS5aP7oI9uY2tR4eW6 root@freebsd (ED25519)',
  'ec2: -----END SSH HOST KEY FINGERPRINTS-----',
  'ec2: #############################################################',
];
const prompt = ['', 'FreeBSD/amd64 (freebsd) (ttyu0)', '', 'login: '];
const ends = (...lines: string[]) => `\r\n${lines.join('\r\n')}`;

const facts = (text: string, more: Partial<BootFacts> = {}): BootFacts => ({
  progress: readBootConsole(text),
  machine: 'i-1 (m6i.large)',
  hostKeysExpected: true,
  console: 'builds/demo/boot.log',
  goneFor: 0,
  lastWords: 'running: no reason given',
  silentFor: 0,
  secondsTaken: 30,
  secondsAllowed: 900,
  ...more,
});
const codeOf = (text: string, more?: Partial<BootFacts>) => bootFailure(facts(text, more))?.code;

describe.each(['boot-ok-uefi', 'boot-ok-bios'])('a recorded good boot (%s)', (name) => {
  const text = recorded(name);

  test('shows nothing that went wrong, and that it has not come to its login yet', () => {
    expect(readBootConsole(text)).toMatchObject({ failure: undefined, reached: ['firmware', 'kernel'] });
    expect(codeOf(text)).toBeUndefined();
    expect(bootSucceeded(facts(text))).toBe(false);
  });

  test('with keys and prompt passes', () => {
    const whole = text + ends(...keys, ...prompt);
    expect(readBootConsole(whole).reached).toEqual(['firmware', 'kernel', 'host-keys', 'login']);
    expect(bootSucceeded(facts(whole))).toBe(true);
    expect(codeOf(whole)).toBeUndefined();
  });

  test('with a prompt alone passes only if no keys are expected', () => {
    const whole = text + ends(...prompt);
    expect(bootSucceeded(facts(whole, { hostKeysExpected: false }))).toBe(true);
    expect(bootSucceeded(facts(whole))).toBe(false);
    expect(codeOf(whole)).toBeUndefined();
    expect(codeOf(whole, { silentFor: 11_000 })).toBe('BootNoHostKeys');
  });
});

describe('a recorded bad boot', () => {
  test.each<[string, ErrorCode, string]>([
    ['panic', 'BootPanicked', 'Starting local daemons:debug.kdb.panic:panic: kdb_sysctl_panic'],
    ['mountroot-prompt', 'BootStuckAtMountroot', 'Mounting from ufs:/dev/gpt/rootX failed with error 19.'],
    ['damaged-superblock-uefi', 'BootLoaderFailed', '\\Failed to find bootable partition'],
  ])('%s is %s, by its line', (name, code, line) => {
    const failure = bootFailure(facts(recorded(name)));
    expect(failure?.code).toBe(code);
    expect(failure?.message.split('\n')[0]).toBe(`the image on i-1 (m6i.large) failed to boot: ${line}`);
    expect(failure?.message).toContain('builds/demo/boot.log');
  });

  test('is bad although it comes to a prompt in the end', () => {
    const text = recorded('panic') + ends(...keys, ...prompt);
    expect(bootSucceeded(facts(text))).toBe(false);
    expect(codeOf(text)).toBe('BootPanicked');
  });

  test('shows its last lines', () => {
    expect(bootFailure(facts(recorded('panic')))?.message).toContain(
      '#3 0xffffffff8065dfa1 at kdb_sysctl_panic+0x61',
    );
  });
});

describe('a line', () => {
  test.each<[string, ErrorCode]>([
    ['panic: ffs_valloc: dup alloc', 'BootPanicked'],
    ['Fatal trap 12: page fault while in kernel mode', 'BootPanicked'],
    ['db> ', 'BootPanicked'],
    ['db{0}> ', 'BootPanicked'],
    ['KDB: enter: panic', 'BootPanicked'],
    ['mountroot> ', 'BootStuckAtMountroot'],
    ['/dev/gpt/rootfs: UNEXPECTED SOFT UPDATE INCONSISTENCY; RUN fsck MANUALLY.', 'BootFsckFailed'],
    ['/dev/ada1p1: UNEXPECTED INCONSISTENCY; RUN fsck_msdosfs MANUALLY.', 'BootFsckFailed'],
    ['Automatic file system check failed; help!', 'BootFsckFailed'],
    ['ERROR: ABORTING BOOT (sending SIGTERM to parent)!', 'BootSingleUser'],
    ['Mounting /etc/fstab filesystems failed, startup aborted', 'BootSingleUser'],
    ['Enter full pathname of shell or RETURN for /bin/sh: ', 'BootSingleUser'],
    ['BdsDxe: No bootable option or device was found.', 'BootLoaderNotFound'],
    ['No bootable device.', 'BootLoaderNotFound'],
    ["can't load 'kernel'", 'BootLoaderFailed'],
    ['gptboot: No /boot/loader on 0:ad(0p3)', 'BootLoaderFailed'],
    ['/etc/rc: WARNING: failed to start sshd', 'BootServiceFailed'],
    ['/etc/rc.d/sshd: WARNING: failed precmd routine for sshd', 'BootServiceFailed'],
    ['/etc/rc: ERROR: /etc/rc: no interpreter', 'BootServiceFailed'],
  ])('%j is %s', (line, code) => {
    expect(readBootConsole(`first\r\n${line}\r\nlast`).failure).toEqual({ code, line: line.trim() });
  });

  test.each([
    'Mounting from ufs:/dev/gpt/rootfs failed with error 19; retrying for 3 more seconds',
    'mountroot: waiting for device /dev/gpt/rootfs...',
    "can't find '/boot/entropy'",
    'kern.panic_reboot_wait_time: 15 -> 0',
    'panicmail: no report waits',
    '/etc/rc: WARNING: $sshd_enable is not set properly - see rc.conf(5).',
    'BdsDxe: failed to load Boot0001 "UEFI Floppy" from PciRoot(0x0): Not Found',
    'Starting ntpd.',
  ])('%j says nothing', (line) => {
    expect(readBootConsole(`first\r\n${line}\r\nlast`).failure).toBeUndefined();
  });

  test('that comes first is the reason for those that follow', () => {
    const lines = [
      'Automatic file system check failed; help!',
      'ERROR: ABORTING BOOT (sending SIGTERM to parent)!',
    ];
    expect(readBootConsole(lines.join('\n')).failure?.code).toBe('BootFsckFailed');
  });
});

describe('host keys', () => {
  const reads = (lines: readonly string[]) =>
    readBootConsole(lines.join('\r\n')).reached.includes('host-keys');

  test('are there when their block is whole, also behind the marks of logger(1)', () => {
    expect(reads(keys)).toBe(true);
    expect(
      reads(keys.map((line) => `<13>1 2026-11-26T12:00:00.000000+00:00 freebsd root 912 - - ${line}`)),
    ).toBe(true);
  });
  test.each([
    ['is not closed yet', keys.slice(0, 4)],
    ['lost its head', keys.slice(2)],
    ['is empty', [keys[1] ?? '', keys[4] ?? '']],
    ['is cloud-init’s', keys.map((line) => line.replace('ec2: ', 'ci-info: '))],
  ])('are not there when the block %s', (_what, lines) => expect(reads(lines)).toBe(false));
});

describe('a prompt', () => {
  test('is one at the start of a line only, also with bare carriage returns as GRUB prints them', () => {
    const reached = (text: string) => readBootConsole(text).reached;
    expect(reached('\n\r\n\rlogin:')).toContain('login');
    expect(reached('Last login: Thu Nov 26')).not.toContain('login');
  });
});

describe('without a decisive line', () => {
  const late = { secondsTaken: 901 };

  test('a boot is waited for until its time is over', () => {
    expect(codeOf('', { secondsTaken: 900 })).toBeUndefined();
    expect(codeOf('', late)).toBe('BootSilent');
    expect(codeOf('BdsDxe: loading Boot0001', { secondsTaken: 900, silentFor: 600_000 })).toBeUndefined();
    expect(codeOf('BdsDxe: loading Boot0001', late)).toBe('BootTimedOut');
    expect(bootFailure(facts(recorded('boot-ok-uefi'), late))?.message).toContain('after kernel');
  });

  test('a prompt without keys, on a console that never comes to rest, ends with the time', () => {
    expect(codeOf(ends(...prompt), { ...late, silentFor: 0 })).toBe('BootNoHostKeys');
  });

  test('an instance that ended is given some polls for its last lines', () => {
    const gone = { goneFor: 3, lastWords: 'terminated: Server.InternalError' };
    expect(codeOf('', gone)).toBeUndefined();
    const failure = bootFailure(facts('', { ...gone, goneFor: 4 }));
    expect(failure?.code).toBe('BootDied');
    expect(failure?.message).toContain('terminated: Server.InternalError');
    expect(codeOf(recorded('panic'), { ...gone, goneFor: 4 })).toBe('BootPanicked');
  });
});
