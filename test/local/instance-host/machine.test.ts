import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  EC2Client,
  RebootInstancesCommand,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  waitUntilImageAvailable,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
  waitUntilInstanceTerminated,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snapshotPath, volumePath } from '../../../local/ec2/disks.ts';
import { machineCommand, probeAccelerator } from '../../../local/instance-host/machine.ts';
import { openStage, quickly, type Stage } from '../stage.ts';

let stage: Stage;
let ec2: EC2Client;
let scratch: string;
let snapshotId: string;
beforeAll(async () => {
  stage = await openStage({ throttle: false });
  ec2 = new EC2Client(stage.client);
  scratch = await mkdtemp(join(tmpdir(), 'machine-'));
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', VolumeType: 'gp3', Size: 1 }),
  );
  await waitUntilVolumeAvailable(waiting(), { VolumeIds: [VolumeId] });
  ({ SnapshotId: snapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId })));
  await waitUntilSnapshotCompleted(waiting(), { SnapshotIds: [snapshotId] });
});
afterAll(async () => {
  await stage.close();
  await rm(scratch, { recursive: true });
});
const waiting = () => ({ client: ec2, ...quickly });

/** An instance of an image with an empty disk. */
async function launch(change: Partial<RegisterImageCommandInput> = {}, InstanceType = 't3.micro') {
  const { ImageId = '' } = await ec2.send(
    new RegisterImageCommand({
      Name: `machine ${Math.random()}`,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      EnaSupport: true,
      BootMode: 'uefi-preferred',
      RootDeviceName: '/dev/sda1',
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: snapshotId } }],
      ...change,
    } as RegisterImageCommandInput),
  );
  await waitUntilImageAvailable(waiting(), { ImageIds: [ImageId] });
  const { Instances: [one] = [] } = await ec2.send(
    new RunInstancesCommand({ ImageId, InstanceType: InstanceType as 't3.micro', MinCount: 1, MaxCount: 1 }),
  );
  return one?.InstanceId ?? '';
}

const described = async (id: string) =>
  (await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations?.[0]?.Instances?.[0];
const consoleOf = (id: string) => readFile(stage.cloud.instanceHost.consolePath(id), 'utf8').catch(() => '');
const rootOf = async (id: string) => (await described(id))?.BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? '';

/** QEMU processes of an instance that live, by the place of its disk. */
const machinesOn = (volumeId: string) =>
  execFileSync('ps', ['-eo', 'stat,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(volumeId) && /^[^Z]/.test(line));

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error('it never came to be');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('an image of ours', () => {
  test('is booted by a firmware that sees its volume, and killed with its instance', async () => {
    const id = await launch();
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    const volumeId = await rootOf(id);
    expect(machinesOn(volumeId).join('\n')).toContain(`serial=${volumeId.replace('-', '')}`);
    // Nothing to boot there: the firmware says so, in its shell or without one.
    await until(async () => /UEFI Interactive Shell|No bootable option/.test(await consoleOf(id)));
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceTerminated(waiting(), { InstanceIds: [id] });
    expect(machinesOn(volumeId)).toEqual([]);
  }, 60_000);

  test('lies on a disk of its own: what it writes reaches neither snapshot nor image', async () => {
    const id = await launch();
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    const [volume, snapshot] = [
      await stat(volumePath(stage.cloud.stateDirectory, await rootOf(id))),
      await stat(snapshotPath(stage.cloud.stateDirectory, snapshotId)),
    ];
    expect(volume.ino).not.toBe(snapshot.ino);
    expect(volume.nlink).toBe(1);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  }, 60_000);

  test('boots again when it is started again', async () => {
    const id = await launch();
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    const volumeId = await rootOf(id);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceStopped(waiting(), { InstanceIds: [id] });
    expect(machinesOn(volumeId)).toEqual([]);
    await ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceRunning(waiting(), { InstanceIds: [id] });
    expect(machinesOn(volumeId)).not.toEqual([]);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  }, 60_000);

  test('for arm64 is booted as well', async () => {
    const id = await launch({ Architecture: 'arm64', BootMode: 'uefi' }, 't4g.micro');
    await until(async () => /UEFI Interactive Shell|No bootable option/.test(await consoleOf(id)));
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  }, 60_000);

  test('is reset by a reboot, and goes on with its disk', async () => {
    const id = await launch();
    const starts = async () => (await consoleOf(id)).split('UEFI Interactive Shell v').length - 1;
    await until(async () => (await starts()) === 1);
    await ec2.send(new RebootInstancesCommand({ InstanceIds: [id] }));
    await until(async () => (await starts()) === 2);
    expect((await described(id))?.State?.Name).toBe('running');
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  }, 60_000);

  test('on a host without QEMU fails its launch, and says what to install', async () => {
    const { PATH } = process.env;
    // The cloud copies disks by cp(1).
    process.env.PATH = join(scratch, 'bin');
    await mkdir(process.env.PATH);
    await symlink('/bin/cp', join(process.env.PATH, 'cp'));
    try {
      const id = await launch();
      await until(async () => (await described(id))?.State?.Name === 'terminated');
      expect((await described(id))?.StateReason).toMatchObject({
        Code: 'Server.InternalError',
        Message: expect.stringContaining('qemu-system-x86 and ovmf'),
      });
    } finally {
      process.env.PATH = PATH;
    }
  });
});

describe('the command of a machine', () => {
  const request = { architecture: 'x86_64', bootMode: 'uefi', disks: [], console: '/c' } as const;

  test('has a firmware for UEFI with variables of its own, and none for BIOS', async () => {
    const uefi = await machineCommand({ ...request, scratch });
    expect(uefi.join(' ')).toContain(join(scratch, 'firmware-variables.fd'));
    expect((await machineCommand({ ...request, scratch, bootMode: 'legacy-bios' })).join(' ')).not.toContain(
      'pflash',
    );
  });

  test('is there for the processors of AMIs that are built here, and no other', async () => {
    await expect(machineCommand({ ...request, scratch, architecture: 'i386' })).rejects.toThrow(/i386/);
  });
});

/** A program in the place of QEMU. */
async function double(name: string, body: string): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}

const haveDevice = existsSync('/dev/kvm');

describe('KVM', () => {
  test.skipIf(!haveDevice).each([
    ['a firmware that prints', "printf '\\033[2J'; exec sleep 60", 'kvm'],
    ['an internal error', 'echo "KVM internal error. Suberror: 1" >&2; exec sleep 60', 'tcg'],
    ['an end', 'exit 1', 'tcg'],
    ['silence', 'exec sleep 60', 'tcg'],
  ])(
    'is judged by %s',
    async (what, body, expected) => {
      expect(await probeAccelerator(await double(what.replaceAll(' ', '-'), body), [])).toBe(expected);
    },
    20_000,
  );

  test('is not used where there is no QEMU to try it with', async () => {
    expect(await probeAccelerator(join(scratch, 'no-such-program'), [])).toBe('tcg');
  });
});

describe('the script around a machine', () => {
  const script = new URL('../../../local/instance-host/machine.sh', import.meta.url).pathname;
  const alive = (mark: string) =>
    execFileSync('ps', ['-eo', 'stat,args'], { encoding: 'utf8' })
      .split('\n')
      .some((line) => line.endsWith(`sleep ${mark}`) && /^[^Z]/.test(line));

  test('ends it when whoever started it is gone, without a signal', async () => {
    const mark = '31001.5';
    const child = spawn('/bin/sh', [script, 'sleep', mark], { stdio: ['pipe', 'ignore', 'ignore'] });
    await until(() => alive(mark));
    child.stdin.destroy();
    await until(() => !alive(mark));
  });

  test('ends with it, with its status', async () => {
    const child = spawn('/bin/sh', [script, 'sh', '-c', 'exit 7'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const status = await new Promise((resolve) => child.once('exit', resolve));
    expect(status).toBe(7);
    process.kill(-(child.pid as number), 'SIGKILL');
  });

  test('gives shellcheck nothing to say', () => {
    expect(execFileSync('shellcheck', ['-s', 'sh', '-S', 'style', script], { encoding: 'utf8' })).toBe('');
  });
});
