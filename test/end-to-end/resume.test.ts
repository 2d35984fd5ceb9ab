import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

const program = new URL('../../cli/main.ts', import.meta.url).pathname;

describe('a build whose image cannot be registered', () => {
  let factory: Factory;
  beforeAll(async () => {
    factory = await startFactory();
  }, 120_000);
  afterAll(() => factory[Symbol.asyncDispose]());

  /** `foundry`, with the credentials of the local cloud. */
  const foundry = (...args: string[]) =>
    promisify(execFile)(process.execPath, [program, ...args], {
      env: {
        PATH: process.env.PATH,
        FOUNDRY_API_URL: factory.cloud.endpoint,
        AWS_REGION: factory.cloud.region,
        AWS_ACCESS_KEY_ID: factory.cloud.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: factory.cloud.credentials.secretAccessKey,
      },
    });

  it('is resumed with its disk by the very command of its cause, and leaves one image', async () => {
    factory.cloud.faults.add({
      action: 'RegisterImage',
      error: { code: 'ResourceLimitExceeded', message: 'AMI quota' },
    });
    const failed = await factory.start(
      { recipe: factory.recipe({ name: 'resumed' }) },
      'resumed-0123456789ab',
    );
    const { status, error, cause = '' } = await factory.end(failed);
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'ResourceLimitExceeded' });
    const [snapshotId = '', ...more] = await whatIsLeft(factory.ec2);
    expect(more).toEqual([]);
    expect(cause).toContain(snapshotId);
    expect(cause).toMatch(/^AMI quota \(request id [0-9a-f-]{36}\)\n/);

    const [, bucket = '', key = ''] = /Evidence: s3:\/\/([^/]+)\/(\S+)/.exec(cause) ?? [];
    const read = async (object: string) => {
      const { Body } = await factory.s3.send(new GetObjectCommand({ Bucket: bucket, Key: object }));
      return JSON.parse((await Body?.transformToString()) ?? '');
    };
    const evidence = await read(key);
    expect(evidence).toMatchObject({ error: 'ResourceLimitExceeded', kept: [snapshotId] });
    expect(evidence.state.report.seconds).toBeGreaterThan(0);
    const history: { name?: string; type: string }[] = await read(`builds/${evidence.build}/history.json`);
    expect(history.some(({ name }) => name === 'WaitForWorker')).toBe(true);
    expect(history.findLast(({ type }) => type === 'TaskStateEntered')?.name).toBe('Salvage');
    for (const file of evidence.files) expect((await read(file).catch((e) => e)).name).not.toBe('NoSuchKey');

    // The reaper knows that it waits for somebody.
    await factory.cloud.lambda.invoke('ami-foundry-reaper', {});
    expect(await whatIsLeft(factory.ec2)).toEqual([snapshotId]);

    const workers = () => factory.cloud.faults.calls.filter(({ action }) => action === 'RunInstances').length;
    const before = workers();
    const [, command = ''] = /Resume: foundry (.+)$/.exec(cause) ?? [];
    const { stdout, stderr } = await foundry(...command.split(' '));
    expect(stdout).toBe('resumed-0123456789ab-2\n');
    expect(stderr).toContain('goes on as resumed-0123456789ab-2');
    const end = await factory.end(failed.replace(/$/, '-2'));
    expect(end.status).toBe('SUCCEEDED');
    const output = JSON.parse(end.output ?? '{}');
    expect(output).toMatchObject({ snapshotId, adopted: false });
    expect(workers()).toBe(before);
    await factory.cloud.lambda.invoke('ami-foundry-reaper', {});
    expect((await whatIsLeft(factory.ec2)).toSorted()).toEqual(
      [String(output.imageId), snapshotId].toSorted(),
    );

    // By its name too; and what has succeeded is not begun again.
    const again = await foundry('resume', 'resumed-0123456789ab-2', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ build: 'resumed-0123456789ab-2', created: false });
    await expect(foundry('resume', 'nobody-0123456789ab')).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('BuildNotFound'),
    });
  }, 120_000);
});
