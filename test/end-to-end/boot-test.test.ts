import { execFileSync } from 'node:child_process';
import { chmod, open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { paginateGetExecutionHistory } from '@aws-sdk/client-sfn';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BuildState } from '../../core/build-state.ts';
import { snapshotPath } from '../../local/ec2/disks.ts';
import { whatIsLeft } from './account.ts';
import { partitionStart } from './disk-judges.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * Images of a small demo release, booted by firmware and loader in QEMU: a good one, and one for each thing that can be wrong with a disk.
 * No FreeBSD boots here: its own words are judged in test/core/boot-console.test.ts.
 */

let factory: Factory;
beforeAll(async () => {
  factory = await startFactory();
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());

const machines = () =>
  execFileSync('ps', ['-eo', 'stat,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(factory.stateDirectory) && /^[^Z].*qemu-system/.test(line));
afterEach(() => expect(machines()).toEqual([]));

const recipe = (name: string, changes: Record<string, unknown> = {}) => {
  const { bootTest: _, ...rest } = factory.recipe({ name });
  return { ...rest, ...changes };
};

const consoleOf = async (build: string) => {
  const { Body } = await factory.s3.send(
    new GetObjectCommand({ Bucket: 'ami-foundry-artifacts', Key: `builds/${build}/boot/m6i.large.log` }),
  );
  return await Body?.transformToString();
};

describe('an image that boots', () => {
  it('passes on every type of the recipe, and the state says when it had come how far', async () => {
    const bootTest = { instanceTypes: ['m6i.large', 'm5.large'] };
    const executionArn = await factory.start({ recipe: recipe('good', { bootTest }) }, 'good');
    const { status, cause } = await factory.end(executionArn);
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
    expect(await consoleOf('good')).toContain('foundry-demo-release: this file was read from the root');
    const { machines: booted } = (await lastState(executionArn, 'CleanUp')).bootTest;
    expect(booted.map(({ instanceType }) => instanceType)).toEqual(bootTest.instanceTypes);
    for (const { phases } of booted) {
      // The loader is no kernel, and does not pretend to be one.
      expect(phases.map(({ name }) => name)).toEqual(['firmware', 'host-keys', 'login']);
      expect(phases.at(-1)?.seconds).toBeGreaterThan(0.1);
    }
  }, 120_000);

  it('is adopted by the next build, and not booted again', async () => {
    const launches = () =>
      factory.cloud.faults.calls.filter(({ action }) => action === 'RunInstances').length;
    const before = launches();
    const bootTest = { instanceTypes: ['m6i.large', 'm5.large'] };
    const { output } = await factory.end(await factory.start({ recipe: recipe('good', { bootTest }) }));
    expect(JSON.parse(output ?? '{}')).toMatchObject({ adopted: true });
    expect(launches()).toBe(before);
  });
});

interface Damage {
  readonly what: string;
  readonly code: string;
  readonly says: RegExp;
  readonly changes?: Record<string, unknown>;
  /** What happens to the disk between its snapshot and the AMI. */
  readonly damage?: (image: string) => Promise<void>;
}

/** Bytes of the root's superblock, at 64 KiB of the partition (ufs(5)). */
const superblock = (image: string) => ({ at: partitionStart(image, 3) * 512 + 65_536, bytes: 8192 });

const faulty: Damage[] = [
  {
    what: 'without a loader on its ESP',
    code: 'BootLoaderNotFound',
    says: /UEFI Interactive Shell|No bootable option/,
    damage: async (image) => {
      execFileSync('mdel', ['-i', `${image}@@${partitionStart(image, 2) * 512}`, '::EFI/BOOT/BOOTX64.EFI']);
    },
  },
  {
    what: 'without an ESP',
    code: 'BootLoaderNotFound',
    says: /UEFI Interactive Shell|No bootable option/,
    damage: (image) =>
      edit(image, { at: partitionStart(image, 2) * 512, bytes: 65_536 }, (bytes) => bytes.fill(0)),
  },
  {
    what: 'whose root has another label',
    code: 'BootLoaderFailed',
    says: /Failed to find bootable partition/,
    damage: (image) =>
      edit(image, superblock(image), (bytes) => {
        const at = bytes.indexOf('rootfs\0');
        expect(at).toBeGreaterThan(0);
        bytes.write('rootX', at);
      }),
  },
  {
    what: 'whose superblock is gone',
    code: 'BootLoaderFailed',
    says: /Failed to find bootable partition/,
    damage: (image) => edit(image, superblock(image), (bytes) => bytes.fill(0)),
  },
  {
    what: 'that panics',
    code: 'BootPanicked',
    says: /failed to boot: panic: no init/,
    changes: { files: [{ path: '/etc/ami-foundry-demo', content: 'panic: no init\ncpuid = 0\n' }] },
  },
  {
    what: 'that hangs',
    code: 'BootTimedOut',
    says: /no login prompt 15 s after its launch[\s\S]*waiting for ever/,
    changes: { bootTest: { timeout: 15 } },
    // The loader waits for ever when the file is not there: its entry in /etc gets another name.
    damage: (image) =>
      edit(image, { at: partitionStart(image, 3) * 512, bytes: 256 * 1024 * 1024 }, (bytes) => {
        for (
          let at = bytes.indexOf('ami-foundry-demo\0');
          at >= 0;
          at = bytes.indexOf('ami-foundry-demo\0', at)
        ) {
          bytes.write('ami-foundry-dem0', at);
        }
      }),
  },
  {
    what: 'that has no boot code for BIOS',
    code: 'BootSilent',
    says: /printed nothing 10 s after its launch/,
    changes: { image: { bootMode: 'legacy-bios' }, bootTest: { timeout: 10 } },
  },
];

describe('an image', () => {
  it.each(faulty)(
    '$what fails with $code, and is taken away',
    async ({ what, code, says, changes, damage }) => {
      const before = await whatIsLeft(factory.ec2);
      const build = code + what.length;
      const executionArn = await start(
        build,
        recipe('faulty', { ...changes, hostname: `h${what.length}` }),
        damage,
      );
      const { status, error, cause = '' } = await factory.end(executionArn);
      expect({ status, error }, cause).toEqual({ status: 'FAILED', error: code });
      expect(cause).toMatch(says);
      expect(cause).toContain(`docs/runbook.md#${code.toLowerCase()}`);
      expect(typeof (await consoleOf(build))).toBe('string');
      expect(await whatIsLeft(factory.ec2)).toEqual(before);
    },
    120_000,
  );
});

const disk = (snapshotId: string) => snapshotPath(factory.stateDirectory, snapshotId);

const snapshots = async () => {
  const { Snapshots = [] } = await factory.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  return Snapshots.filter(({ State }) => State === 'completed').map(({ SnapshotId = '' }) => SnapshotId);
};

/** Starts a build whose disk is damaged while RegisterImage takes its time. */
async function start(name: string, wanted: object, damage: Damage['damage']): Promise<string> {
  const { faults } = factory.cloud;
  const known = new Set(await snapshots());
  if (damage) faults.add({ action: 'RegisterImage', delayMilliseconds: 3000 });
  const registered = () => faults.calls.filter(({ action }) => action === 'RegisterImage').length;
  const before = registered();
  const executionArn = await factory.start({ recipe: wanted }, name);
  if (!damage) return executionArn;
  let fresh: string | undefined;
  while (fresh === undefined) {
    await pause(50);
    fresh = (await snapshots()).find((id) => !known.has(id));
  }
  await chmod(disk(fresh), 0o644);
  await damage(disk(fresh));
  expect(registered(), 'the disk was damaged too late').toBe(before);
  return executionArn;
}

async function edit(
  image: string,
  { at, bytes }: { readonly at: number; readonly bytes: number },
  change: (bytes: Buffer) => void,
): Promise<void> {
  const file = await open(image, 'r+');
  const { buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, at);
  change(buffer);
  await file.write(buffer, 0, bytes, at);
  await file.close();
}

async function lastState(executionArn: string, name: string): Promise<BuildState> {
  for await (const { events = [] } of paginateGetExecutionHistory(
    { client: factory.sfn },
    { executionArn },
  )) {
    for (const { stateEnteredEventDetails: entered } of events) {
      if (entered?.name === name) return JSON.parse(entered.input ?? '{}') as BuildState;
    }
  }
  throw new Error(`the execution never entered ${name}`);
}
