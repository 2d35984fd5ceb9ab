import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';
import { haveVenv, judge, program } from './judges.ts';

describe.skipIf(!haveVenv())('the AWS CLI as a judge', () => {
  let stage: Stage;
  const environment: Record<string, string> = { AWS_PAGER: '' };
  beforeAll(async () => {
    stage = await openStage();
    environment.AWS_CONFIG_FILE = join(stage.stateDirectory, 'aws-config');
    // CLI 1 presigns with Signature Version 2 unless told otherwise; S3 takes 4 only.
    await writeFile(environment.AWS_CONFIG_FILE, '[default]\ns3 =\n  signature_version = s3v4\n');
    const bundle = join(stage.stateDirectory, 'bundle');
    await mkdir(bundle);
    await writeFile(join(bundle, 'index.mjs'), 'export const handler = async (event) => ({ got: event });\n');
    await stage.cloud.lambda.deploy({
      name: 'echo',
      bundle: join(bundle, 'index.mjs'),
      handler: 'handler',
      environment: {},
      timeoutSeconds: 5,
      memoryMegabytes: 128,
    });
  });
  afterAll(() => stage.close());

  const aws = (...args: string[]) => judge(stage, program('aws'), args, environment);
  const json = async <T = Record<string, unknown>>(...args: string[]): Promise<T> => {
    const { code, output } = await aws(...args, '--output', 'json');
    expect(output, args.join(' ')).not.toMatch(/error occurred/);
    expect(code).toBe(0);
    return JSON.parse(output) as T;
  };

  test('who am I', async () => {
    expect(await json('sts', 'get-caller-identity')).toMatchObject({ Account: stage.cloud.accountId });
  });

  test('finds the worker images by path, page by page, and by name', async () => {
    const found = await json(
      'ssm',
      'get-parameters-by-path',
      '--path',
      '/aws/service/freebsd',
      '--recursive',
    );
    expect(found.Parameters).toHaveLength(12);
    const images = await json(
      'ec2',
      'describe-images',
      '--filters',
      'Name=name,Values=FreeBSD 15.1-RELEASE-arm64*',
    );
    expect(images.Images).toHaveLength(2);
  });

  test('writes a block into a snapshot by the EBS direct APIs, and reads it back', async () => {
    const { SnapshotId } = await json<{ SnapshotId: string }>('ebs', 'start-snapshot', '--volume-size', '1');
    const data = randomBytes(524_288);
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
    await writeFile(join(stage.stateDirectory, 'block'), data);
    const put = await json(
      'ebs',
      'put-snapshot-block',
      '--snapshot-id',
      SnapshotId,
      '--block-index',
      '2',
      '--data-length',
      '524288',
      '--block-data',
      'block',
      '--checksum',
      sha256(data).toString('base64'),
      '--checksum-algorithm',
      'SHA256',
    );
    expect(put.Checksum).toBe(sha256(data).toString('base64'));
    await json(
      'ebs',
      'complete-snapshot',
      '--snapshot-id',
      SnapshotId,
      '--changed-blocks-count',
      '1',
      '--checksum-algorithm',
      'SHA256',
      '--checksum',
      sha256(sha256(data)).toString('base64'),
      '--checksum-aggregation-method',
      'LINEAR',
    );
    await aws('ec2', 'wait', 'snapshot-completed', '--snapshot-ids', SnapshotId);
    const { Blocks } = await json<{ Blocks: { BlockIndex: number; BlockToken: string }[] }>(
      'ebs',
      'list-snapshot-blocks',
      '--snapshot-id',
      SnapshotId,
    );
    expect(Blocks.map(({ BlockIndex }) => BlockIndex)).toEqual([2]);
    await json(
      'ebs',
      'get-snapshot-block',
      '--snapshot-id',
      SnapshotId,
      '--block-index',
      '2',
      '--block-token',
      Blocks[0]?.BlockToken ?? '',
      'read',
    );
    expect((await readFile(join(stage.stateDirectory, 'read'))).equals(data)).toBe(true);
  }, 30_000);

  test('makes a volume, sees it in pages and deletes it', async () => {
    const zone = `${stage.cloud.region}a`;
    for (let index = 0; index < 2; index++) {
      await json('ec2', 'create-volume', '--availability-zone', zone, '--size', '1', '--volume-type', 'gp3');
    }
    const { Volumes } = await json<{ Volumes: { VolumeId: string }[] }>(
      'ec2',
      'describe-volumes',
      '--page-size',
      '5',
      '--max-items',
      '1',
    );
    expect(Volumes).toHaveLength(1);
    expect(
      (await aws('ec2', 'wait', 'volume-available', '--volume-ids', Volumes[0]?.VolumeId ?? '')).code,
    ).toBe(0);
    expect((await aws('ec2', 'delete-volume', '--volume-id', Volumes[0]?.VolumeId ?? '')).code).toBe(0);
  });

  test('an error looks like an error', async () => {
    const ended = await aws('ec2', 'describe-instances', '--instance-ids', 'i-0123456789abcdef0');
    expect(ended.code).not.toBe(0);
    expect(ended.output).toContain(
      '(InvalidInstanceID.NotFound) when calling the DescribeInstances operation',
    );
  });

  test('a role is known by its keys, and refused what its policy does not say', async () => {
    const { accessKeyId, secretAccessKey, sessionToken } = stage.cloud.iam.credentialsOf('reader');
    stage.cloud.iam.setPolicy('reader', [
      { Effect: 'Allow', Action: ['ec2:DescribeVolumes'], Resource: ['*'], Condition: {} },
    ]);
    const asReader = (...args: string[]) =>
      judge(stage, program('aws'), args, {
        ...environment,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_SESSION_TOKEN: sessionToken,
      });
    expect((await asReader('sts', 'get-caller-identity')).output).toContain('assumed-role/reader/');
    expect((await asReader('ec2', 'describe-volumes')).code).toBe(0);
    for (const [args, error] of [
      [['ec2', 'describe-images'], '(UnauthorizedOperation) when calling the DescribeImages operation'],
      [
        ['s3api', 'get-object', '--bucket', 'shelf', '--key', 'one', 'one'],
        '(AccessDenied) when calling the GetObject operation',
      ],
      [
        ['ssm', 'get-parameter', '--name', 'one'],
        '(AccessDeniedException) when calling the GetParameter operation',
      ],
    ] as const) {
      expect((await asReader(...args)).output).toContain(error);
    }
  }, 90_000);

  test('S3: puts, lists and presigns what any HTTP client can then fetch, but not forge', async () => {
    const file = join(stage.stateDirectory, 'greeting.txt');
    await writeFile(file, 'good day\n');
    expect((await aws('s3', 'mb', 's3://judge-bucket')).code).toBe(0);
    expect((await aws('s3', 'cp', file, 's3://judge-bucket/a b+c/greeting.txt')).code).toBe(0);
    const { output } = await aws(
      's3',
      'presign',
      's3://judge-bucket/a b+c/greeting.txt',
      '--expires-in',
      '600',
    );
    const url = output.trim();
    expect(url).toContain('X-Amz-Signature=');
    expect(await (await fetch(url)).text()).toBe('good day\n');
    const forged = await fetch(url.replace(/X-Amz-Expires=600/, 'X-Amz-Expires=60000'));
    expect(forged.status).toBe(403);
    expect(await forged.text()).toContain('SignatureDoesNotMatch');
  });

  test('Step Functions and Lambda answer', async () => {
    expect(await json('stepfunctions', 'list-state-machines')).toEqual({ stateMachines: [] });
    expect(await json('lambda', 'list-functions')).toMatchObject({ Functions: [{ FunctionName: 'echo' }] });
    const out = join(stage.stateDirectory, 'out.json');
    const called = await json('lambda', 'invoke', '--function-name', 'echo', '--payload', '{"a":1}', out);
    expect(called).toMatchObject({ StatusCode: 200 });
  });

  test('finds the image that it copied to another region, and who refers to it', async () => {
    const { SnapshotId } = await json<{ SnapshotId: string }>('ebs', 'start-snapshot', '--volume-size', '1');
    await json('ebs', 'complete-snapshot', '--snapshot-id', SnapshotId, '--changed-blocks-count', '0');
    await aws('ec2', 'wait', 'snapshot-completed', '--snapshot-ids', SnapshotId);
    const { ImageId } = await json<{ ImageId: string }>(
      'ec2',
      'register-image',
      '--name',
      'from the CLI',
      '--root-device-name',
      '/dev/sda1',
      '--architecture',
      'arm64',
      '--virtualization-type',
      'hvm',
      '--ena-support',
      '--boot-mode',
      'uefi',
      '--block-device-mappings',
      `DeviceName=/dev/sda1,Ebs={SnapshotId=${SnapshotId}}`,
    );
    await aws('ec2', 'wait', 'image-available', '--image-ids', ImageId);
    const there = ['--region', 'ap-southeast-2'];
    const { ImageId: copy } = await json<{ ImageId: string }>(
      'ec2',
      'copy-image',
      '--name',
      'from the CLI',
      '--source-region',
      stage.cloud.region,
      '--source-image-id',
      ImageId,
      '--encrypted',
      ...there,
    );
    await aws('ec2', 'wait', 'image-available', '--image-ids', copy, ...there);
    expect(await json('ec2', 'describe-images', '--image-ids', copy, ...there)).toMatchObject({
      Images: [
        { SourceImageId: ImageId, BootMode: 'uefi', BlockDeviceMappings: [{ Ebs: { Encrypted: true } }] },
      ],
    });
    await json(
      'ec2',
      'create-launch-template',
      '--launch-template-name',
      'cli',
      ...there,
      '--launch-template-data',
      JSON.stringify({ ImageId: copy }),
    );
    const found = await json(
      'ec2',
      'describe-image-references',
      '--image-ids',
      copy,
      '--include-all-resource-types',
      ...there,
    );
    expect(found).toMatchObject({ ImageReferences: [{ ImageId: copy, ResourceType: 'ec2:LaunchTemplate' }] });
  }, 180_000); // `aws … wait` looks every 15 s.
});
