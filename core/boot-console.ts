import { type BootPhase, bootPhases } from './build-state.ts';
import { consoleLines, consoleTail, forReading } from './console-text.ts';
import type { ErrorCode } from './errors.ts';

interface Rule {
  readonly code: ErrorCode;
  /** A line that a boot which goes well never prints. */
  readonly sign: RegExp;
  /** A line before the sign that says more than the sign itself. */
  readonly reason?: RegExp;
}

/**
 * What FreeBSD and the firmware print when a boot has gone wrong: as recorded consoles have it (test/core/fixtures), and where none was at
 * hand as kernel, loader(8), rc(8) and fsck(8) are known to print it. What a boot that goes well also prints is not here: the kernel mounts a root that is not ready yet with
 * `failed with error 19; retrying`, the loader misses `/boot/entropy`, rc warns.
 */
const rules: readonly Rule[] = [
  {
    code: 'BootPanicked',
    // `debug.kdb.panic_…` and `panicmail:` are words of their own.
    sign: /(?:^|[^\w.-])panic: \S|\bFatal (?:double fault|trap \d+)\b|^db(?:\{\d+\})?> ?|^KDB: enter: /,
  },
  {
    code: 'BootStuckAtMountroot',
    sign: /^mountroot> ?|^Manual root filesystem specification:/,
    reason: /Mounting from \S+ failed with error \d+\.?$/,
  },
  {
    code: 'BootFsckFailed',
    sign: /\bUNEXPECTED (?:[A-Z+]+ ){0,3}INCONSISTENCY\b|^Automatic file system check failed|^File system preen failed/,
  },
  {
    code: 'BootSingleUser',
    sign: /\bgoing to single user mode|^Enter full pathname of shell or RETURN for |^ERROR: ABORTING BOOT\b|\bstartup aborted$/,
  },
  {
    code: 'BootLoaderNotFound',
    sign: /^BdsDxe: No bootable option or device was found|^UEFI Interactive Shell\b|^No bootable device\b|^Boot failed: not a bootable disk/,
  },
  {
    code: 'BootLoaderFailed',
    // A spinner may stand before it.
    sign: /\bFailed to find bootable partition|^can't load 'kernel'|\b[Uu]nable to load a kernel|\bFailed to load kernel\b|^don't know how to boot kernel|\bLUA ERROR\b|^(?:gptboot|gptzfsboot): No /,
  },
  {
    code: 'BootServiceFailed',
    sign: /^\/etc\/rc(?:\.d\/[\w.-]+)?: (?:ERROR: |WARNING: failed (?:to start|precmd routine for) )/,
  },
];

/** How far a boot has come, and the line that shows it. */
const milestones = {
  kernel: /^---<<BOOT>>---|^Copyright \(c\) 1992-\d+ The FreeBSD Project/,
  login: /^login:/,
} as const;

/** ec2_loghostkey's lines, each of which logger(1) may head with time and host. */
const keysBegin = /\bec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----/;
const keysEnd = /\bec2: -----END SSH HOST KEY FINGERPRINTS-----/;
/** ssh-keygen -l: bits, digest, comment, type. */
const key = /\bec2: \d+ \S+:\S+ .*\(\w[\w-]*\)$/;

/** What a console says about a boot so far. */
export interface BootProgress {
  readonly reached: readonly BootPhase[];
  /** The first thing that went wrong. */
  readonly failure: { readonly code: ErrorCode; readonly line: string } | undefined;
  /** The last lines, without colour codes, for a reader of a failure. */
  readonly tail: readonly string[];
}

/** Reads the serial console of a machine that boots: possibly cut at the front, with colour codes and bare carriage returns. */
export function readBootConsole(text: string): BootProgress {
  const lines = consoleLines(text).map((line) => line.replace(/^\r+/, '').trimEnd());
  const shows = (sign: RegExp) => lines.some((line) => sign.test(line));
  const reached: Record<BootPhase, boolean> = {
    firmware: lines.some((line) => line !== ''),
    kernel: shows(milestones.kernel),
    'host-keys': hasHostKeys(lines),
    login: shows(milestones.login),
  };
  return {
    reached: bootPhases.filter((phase) => reached[phase]),
    failure: firstFailure(lines),
    tail: consoleTail(lines),
  };
}

function firstFailure(lines: readonly string[]): BootProgress['failure'] {
  for (const [index, line] of lines.entries()) {
    const rule = rules.find(({ sign }) => sign.test(line));
    if (rule === undefined) continue;
    const { code, reason } = rule;
    const decisive = reason && lines.slice(0, index).findLast((before) => reason.test(before));
    return { code, line: forReading(decisive ?? line).trim() };
  }
  return undefined;
}

/** A block that is not closed yet is no block; one without a key in it says that there are none. */
function hasHostKeys(lines: readonly string[]): boolean {
  const end = lines.findLastIndex((line) => keysEnd.test(line));
  const begin = lines.slice(0, Math.max(end, 0)).findLastIndex((line) => keysBegin.test(line));
  return begin >= 0 && lines.slice(begin, end).some((line) => key.test(line));
}
