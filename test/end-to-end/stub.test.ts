import { readFile } from 'node:fs/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readWorkerConsole } from '../../core/worker-console.ts';
import { snapshotPath } from '../../local/ec2/disks.ts';
import type { StubMachineEnd } from '../../local/instance-host/stub.ts';
import { type StubWorkerEnd, stubDisk } from '../../local/instance-host/stub-worker.ts';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

/** The stub of the instance host, held against the worker and the boot test that it stands for: what it says must not drift. */

const objectOf = async (factory: Factory, key: string) => {
  const { Body } = await factory.s3.send(new GetObjectCommand({ Bucket: 'ami-foundry-artifacts', Key: key }));
  return (await Body?.transformToString()) ?? '';
};

let workerEnd: StubWorkerEnd = 'ok';
let machineEnd: StubMachineEnd = 'ok';
let stubbed: Factory;
beforeAll(async () => {
  stubbed = await startFactory({
    cloud: { stub: { worker: () => workerEnd, machine: () => machineEnd }, throttle: false },
  });
}, 120_000);
afterAll(() => stubbed[Symbol.asyncDispose]());

const build = async (name: string, changes: Record<string, unknown> = {}) =>
  await stubbed.end(await stubbed.start({ recipe: stubbed.recipe({ name, ...changes }) }, name));

describe('a stub', () => {
  it('says what the worker says of the same job: line by line, but for the numbers', async () => {
    const real = await startFactory();
    try {
      const name = 'same';
      const [{ status }, { status: stubStatus }] = [
        await real.end(await real.start({ recipe: real.recipe({ name }) }, name)),
        await build(name),
      ];
      expect([status, stubStatus]).toEqual(['SUCCEEDED', 'SUCCEEDED']);
      const consoles = await Promise.all(
        [real, stubbed].map((factory) => objectOf(factory, `builds/${name}/console.log`)),
      );
      const [words, stubWords] = consoles.map((text) =>
        text
          .split('\n')
          .map((line) => line.trimEnd())
          .filter((line) => line.startsWith('foundry: ') && !line.includes('state=progress'))
          .map((line) => line.replace(/=\d+(\.\d+)?\b/g, '=N')),
      );
      expect(stubWords).toEqual(words);
      const [report, stubReport] = consoles.map((text) => readWorkerConsole(text, name).report);
      expect(shapeOf(stubReport)).toEqual(shapeOf(report));
    } finally {
      await real[Symbol.asyncDispose]();
    }
  }, 120_000);

  it('leaves the disk that was asked for in the image, and its records beside it', async () => {
    const { output = '{}' } = await build('disk');
    const job = await objectOf(stubbed, 'builds/disk/job');
    const [, diskId = ''] = /^disk\.id=(.*)$/m.exec(job) ?? [];
    const { snapshotId } = JSON.parse(output) as { snapshotId: string };
    const content = await readFile(snapshotPath(stubbed.stateDirectory, snapshotId));
    const wanted = stubDisk(diskId);
    expect(content.subarray(0, wanted.length)).toEqual(wanted);
    expect(await objectOf(stubbed, 'images/disk/sbom.cdx.json')).toContain('CycloneDX');
  });

  it('boots as FreeBSD does for a boot test, host keys and all', async () => {
    const { status, cause } = await build('boots', { bootTest: {} });
    expect({ status, cause }).toEqual({ status: 'SUCCEEDED', cause: undefined });
  });

  it.each([
    ['fails by a code', { code: 'SetNotFound' }, 'SetNotFound'],
    ['dies', 'die', 'WorkerDied'],
  ] as const)('%s if it is told to', async (what, end, error) => {
    workerEnd = end;
    const before = await whatIsLeft(stubbed.ec2);
    expect(await build(`worker-${what.replaceAll(' ', '-')}`)).toMatchObject({ status: 'FAILED', error });
    workerEnd = 'ok';
    expect(await whatIsLeft(stubbed.ec2)).toEqual(before);
  });

  it('panics if it is told to', async () => {
    machineEnd = 'panic';
    expect(await build('panics', { bootTest: {} })).toMatchObject({ error: 'BootPanicked' });
    machineEnd = 'ok';
  });
});

/** The members of a value and what they are, without the values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, key === 'name' ? member : shapeOf(member)]),
  );
}
