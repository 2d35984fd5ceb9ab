import { mkdir, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { snapshotPath } from '../../local/ec2/disks.ts';
import { guestMissing, makeGuest } from '../local/instance-host/guest/make.ts';
import { whatIsLeft } from './account.ts';
import { listUfs, partitionStart } from './disk-judges.ts';
import { startFactory } from './local-build.ts';

/**
 * A whole build whose worker is a machine in QEMU, as with WORKER_IMAGE: state machine, functions and worker are those of every build, and
 * only the deployment knows. The machine's system is a Linux that has its user-data by IMDSv2; no FreeBSD was at hand.
 *
 * Emulated, it takes minutes of two processors, so it runs when it is asked for: MACHINE_BUILD=1.
 */

const missing =
  process.env.MACHINE_BUILD === '1' ? await guestMissing() : 'it takes minutes: set MACHINE_BUILD=1';
if (missing !== undefined) console.warn(`SKIPPED: a build with a machine as its worker: ${missing}`);

interface Output {
  readonly snapshotId: string;
  readonly imageId: string;
  readonly report: { readonly manifestSha256: string };
}

/** Builds the image in an account of its own, and tells what came of it and what is left there. */
async function build(settings: Parameters<typeof startFactory>[0]) {
  await using factory = await startFactory(settings);
  const { status, cause, output } = await factory.end(await factory.start({ recipe: factory.recipe() }));
  expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
  const { snapshotId, imageId, report } = JSON.parse(output ?? '{}') as Output;
  const disk = snapshotPath(factory.stateDirectory, snapshotId);
  return {
    made: [snapshotId, imageId],
    left: await whatIsLeft(factory.ec2),
    manifest: report.manifestSha256,
    files: [...listUfs(disk, partitionStart(disk, 3)).keys()].toSorted(),
  };
}

describe.skipIf(missing !== undefined)('a build whose worker is a machine', () => {
  it('makes the image that a process makes, and leaves nothing behind', async () => {
    const directory = new URL('../../.state/worker-guest', import.meta.url).pathname;
    await mkdir(directory, { recursive: true });
    const guest = `${directory}/build-test.raw`;
    await makeGuest(guest, 'imds');
    const byMachine = await build({ cloud: { workerImage: guest, timeScale: 0.2 } });
    await rm(guest);
    expect(byMachine.left.toSorted()).toEqual(byMachine.made.toSorted());
    const byProcess = await build({});
    expect(byMachine.files).toEqual(byProcess.files);
    // Owners, modes, times and the SHA-256 of every file.
    expect(byMachine.manifest).toBe(byProcess.manifest);
  }, 1_500_000);
});
