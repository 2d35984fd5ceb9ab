import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescribeImagesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCloud } from '../../../local/cloud.ts';
import { findWorkerImage, WorkerImageUnusable } from '../../../local/ec2/worker-image.ts';
import { openStage } from '../stage.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'worker-image-'));
});
afterAll(() => rm(directory, { recursive: true }));

const place = (name: string) => join(directory, name);
const GIBIBYTE = 2 ** 30;

/** A disk as FreeBSD publishes them, as far as it is looked at: a GPT with an EFI partition and a loader on it. */
async function disk(name: string, loader: string | undefined): Promise<string> {
  const file = place(name);
  await writeFile(file, '');
  await truncate(file, 8 * 2 ** 20);
  execFileSync('sfdisk', ['-q', file], {
    input: 'label: gpt\nstart=10240, size=1024, type=L\nstart=2048, size=8192, type=U\n',
  });
  const esp = `${file}@@${2048 * 512}`;
  execFileSync('mkfs.vfat', ['--offset=2048', '-n', 'EFISYS', file, '4096'], { stdio: 'ignore' });
  if (loader !== undefined) {
    await writeFile(place('loader'), 'not a loader');
    execFileSync('mmd', ['-i', esp, '::EFI', '::EFI/BOOT']);
    execFileSync('mcopy', ['-i', esp, place('loader'), `::EFI/BOOT/${loader}`]);
  }
  return file;
}

/** Boot record and table. */
async function headOf(path: string): Promise<Buffer> {
  const handle = await open(path);
  const { buffer } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
  await handle.close();
  return buffer;
}

const unpack = async (file: string) => (await findWorkerImage(file)).unpack(place('unpacked'), GIBIBYTE);

describe('a worker image', () => {
  test.each(['raw', 'qcow2', 'raw.xz', 'qcow2.xz'])('may be %s', async (format) => {
    let file = await disk('amd64.raw', 'BOOTX64.EFI');
    const head = await headOf(file);
    if (format.startsWith('qcow2')) {
      execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', file, place('amd64.qcow2')]);
      file = place('amd64.qcow2');
    }
    if (format.endsWith('.xz')) {
      execFileSync('xz', ['-kf', file]);
      file = `${file}.xz`;
    }
    const before = await readFile(file);
    expect(await unpack(file)).toEqual({ architecture: 'amd64', bytes: GIBIBYTE });
    expect((await stat(place('unpacked'))).size).toBe(GIBIBYTE);
    expect(await headOf(place('unpacked'))).toEqual(head);
    // The user's file is only read, and nothing is left beside what was asked for.
    expect((await readFile(file)).equals(before)).toBe(true);
    expect((await readdir(directory)).filter((name) => name.startsWith('unpacked'))).toEqual(['unpacked']);
    await rm(place('unpacked'));
  });

  test('says what architecture it is of', async () => {
    expect(await unpack(await disk('arm64.raw', 'bootaa64.efi'))).toMatchObject({ architecture: 'arm64' });
  });

  test.each([
    ['that is not there', () => Promise.resolve(place('nowhere')), 'cannot be read (ENOENT)'],
    ['that is a directory', () => Promise.resolve(directory), 'is not a file'],
    [
      'that is no disk',
      () => text('text', 'FreeBSD, but not a disk of it'),
      'neither a qcow2 nor a raw disk',
    ],
    ['that is empty', () => text('empty', ''), 'neither a qcow2 nor a raw disk'],
    ['of VMware', () => text('vmdk', 'KDMV\x01\0\0\0'), 'is a vmdk disk: take the qcow2 or the raw one'],
    ['that was cut', () => text('cut', 'QFI\xfb\0\0\0\x03'), 'cannot be unpacked'],
    ['without a loader', () => disk('no-loader.raw', undefined), 'has no folder EFI/BOOT'],
    [
      'with another loader',
      () => disk('riscv.raw', 'BOOTRISCV64.EFI'),
      'neither BOOTX64.EFI nor BOOTAA64.EFI',
    ],
  ])('%s is refused, by the name of the field', async (_, make, says) => {
    const file = await make();
    const refused = (async () => unpack(file))();
    await expect(refused).rejects.toThrow(WorkerImageUnusable);
    await expect(refused).rejects.toThrow(/^WORKER_IMAGE=/);
    await expect(refused).rejects.toThrow(says);
    expect((await readdir(directory)).filter((name) => name.startsWith('unpacked.'))).toEqual([]);
  });
});

const text = async (name: string, content: string): Promise<string> => {
  await writeFile(place(name), content, 'latin1');
  return place(name);
};

describe('a cloud with a worker image', () => {
  const parameter = (architecture: string) => `/aws/service/freebsd/${architecture}/base/ufs/15.1/RELEASE`;

  test('leads its parameters of that architecture there, as long as the file is the same', async () => {
    const file = await disk('worker.raw', 'BOOTX64.EFI');
    const stage = await openStage({ workerImage: file });
    const imageOf = async (architecture: string) =>
      (await new SSMClient(stage.client).send(new GetParameterCommand({ Name: parameter(architecture) })))
        .Parameter?.Value ?? '';
    const imageId = await imageOf('amd64');
    const { Images: [image] = [] } = await new EC2Client(stage.client).send(
      new DescribeImagesCommand({ ImageIds: [imageId] }),
    );
    expect(image).toMatchObject({
      Architecture: 'x86_64',
      State: 'available',
      Description: `local cloud: ${file}`,
    });
    await expect(imageOf('arm64')).rejects.toThrow(/not found/);
    await stage.cloud.stop();

    const images = async (workerImage?: string) => {
      const cloud = await startCloud({ stateDirectory: stage.stateDirectory, workerImage, log: () => {} });
      const client = { ...stage.client, endpoint: cloud.endpoint };
      const { Parameter } = await new SSMClient(client).send(
        new GetParameterCommand({ Name: parameter('amd64') }),
      );
      const { Images = [] } = await new EC2Client(client).send(
        new DescribeImagesCommand({ Filters: [{ Name: 'name', Values: ['WORKER_IMAGE *'] }] }),
      );
      await cloud.stop();
      return { chosen: Parameter?.Value, own: Images.map(({ ImageId }) => ImageId) };
    };
    expect(await images(file)).toEqual({ chosen: imageId, own: [imageId] });
    // Without it workers are processes again.
    expect((await images()).chosen).not.toBe(imageId);
    await writeFile(file, await readFile(file));
    const other = await images(file);
    expect(other.own).toEqual([other.chosen]);
    expect(other.chosen).not.toBe(imageId);
    expect(await readdir(join(stage.stateDirectory, 'snapshots'))).toHaveLength(1);
    await rm(stage.stateDirectory, { recursive: true });
  });
});
