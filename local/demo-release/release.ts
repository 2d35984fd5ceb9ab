/** What the demo release is called, in the words of download.freebsd.org (`TARGET/TARGET_ARCH/REVISION-BRANCH`). */

export type Architecture = 'amd64' | 'arm64';

export const RELEASE = '15.1-RELEASE';

/** TARGET_ARCH of a TARGET. */
export const MACHINE_ARCHITECTURE: Readonly<Record<Architecture, string>> = {
  amd64: 'amd64',
  arm64: 'aarch64',
};

/** Seconds since the epoch: 2026-06-02 00:00 UTC. Every file without a date of its own, and BUILDDATE, have this. */
export const BUILD_TIME = 1_780_358_400;
export const BUILD_DATE = '20260602';
export const GIT_BRANCH = 'releng/15.1';
/** The SHA-1 of "ami-foundry demo release": in the format of a git revision, but the name of no commit. */
export const REVISION_TEXT = 'ami-foundry demo release';
