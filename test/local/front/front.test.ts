import { request as httpRequest } from 'node:http';
import { DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { ListStateMachinesCommand, SFNClient } from '@aws-sdk/client-sfn';
import { CreateTopicCommand, ListTopicsCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../local/clock.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
let s3: S3Client;
/** Milliseconds that the cloud's clock is ahead. */
let ahead = 0;
const object = { Bucket: 'front-bucket', Key: 'a dir/ü+name.txt' };

beforeAll(async () => {
  stage = await openStage({ clock: { ...systemClock, now: () => Date.now() + ahead } });
  s3 = new S3Client(stage.client);
  await s3.send(new CreateBucketCommand({ Bucket: object.Bucket }));
  await s3.send(new PutObjectCommand({ ...object, Body: 'content' }));
});
afterAll(() => stage.close());

describe('presigned URLs', () => {
  const presign = (client = s3, expiresIn = 60) =>
    getSignedUrl(client, new GetObjectCommand(object), { expiresIn });
  const status = async (url: string, init?: RequestInit) => {
    const response = await fetch(url, init);
    return [response.status, /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1]];
  };

  test('fetch, whole or in part', async () => {
    const url = await presign();
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('content');
    const part = await fetch(url, { headers: { range: 'bytes=3-' } });
    expect(part.status).toBe(206);
    expect(await part.text()).toBe('tent');
  });

  test('expire', async () => {
    const url = await presign(s3, 60);
    ahead = 59_000;
    expect((await status(url))[0]).toBe(200);
    ahead = 62_000;
    expect(await status(url)).toEqual([403, 'AccessDenied']);
    ahead = 0;
  });

  test.each([
    ['another object', (url: string) => url.replace('name.txt', 'other.txt')],
    ['another bucket', (url: string) => url.replace('front-bucket', 'other-bucket')],
    ['a longer life', (url: string) => url.replace('X-Amz-Expires=60', 'X-Amz-Expires=600')],
    ['another signature', (url: string) => url.replace(/(X-Amz-Signature=)[0-9a-f]{4}/, '$10000')],
    ['one parameter more', (url: string) => `${url}&versionId=1`],
  ])('are refused with %s', async (_what, forge) => {
    expect(await status(forge(await presign()))).toEqual([403, 'SignatureDoesNotMatch']);
  });

  test('are refused with another method or another secret', async () => {
    expect(await status(await presign(), { method: 'PUT', body: 'x' })).toEqual([
      403,
      'SignatureDoesNotMatch',
    ]);
    const liar = new S3Client({
      ...stage.client,
      credentials: { accessKeyId: 'local', secretAccessKey: 'wrong' },
    });
    expect(await status(await presign(liar))).toEqual([403, 'SignatureDoesNotMatch']);
  });

  test('of other keys have only their expiry checked: their secrets are not known here', async () => {
    const other = new S3Client({
      ...stage.client,
      credentials: { accessKeyId: 'AKIAOTHER', secretAccessKey: 'unknown' },
    });
    expect((await status(await presign(other)))[0]).toBe(200);
    const url = await presign(other);
    ahead = 62_000;
    expect(await status(url)).toEqual([403, 'AccessDenied']);
    ahead = 0;
  });

  test.each([
    [
      'without a date',
      (url: string) => url.replace(/&X-Amz-Date=[^&]*/, ''),
      'AuthorizationQueryParametersError',
    ],
    [
      'for longer than a week',
      (url: string) => url.replace('X-Amz-Expires=60', 'X-Amz-Expires=604801'),
      'AuthorizationQueryParametersError',
    ],
    ['without anything', (url: string) => url.replace(/\?.*/, ''), 'MissingAuthenticationToken'],
    [
      'of signature version 2',
      (url: string) => url.replace(/\?.*/, '?AWSAccessKeyId=a&Signature=b&Expires=1'),
      'InvalidRequest',
    ],
  ])('%s are refused', async (_what, change, code) => {
    expect((await status(change(await presign())))[1]).toBe(code);
  });
});

describe('one port', () => {
  test('serves every service', async () => {
    const sns = new SNSClient(stage.client);
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news' }));
    expect((await sns.send(new ListTopicsCommand({}))).Topics).toEqual([{ TopicArn }]);
    expect((await new SFNClient(stage.client).send(new ListStateMachinesCommand({}))).stateMachines).toEqual(
      [],
    );
    expect((await new EC2Client(stage.client).send(new DescribeVolumesCommand({}))).Volumes).toEqual([]);
    await expect(
      new SSMClient(stage.client).send(new GetParameterCommand({ Name: '/none' })),
    ).rejects.toMatchObject({
      name: 'ParameterNotFound',
    });
  });

  test('has what the factory itself lives on in its own region only', async () => {
    const elsewhere = new SFNClient({ ...stage.client, region: 'eu-west-1' });
    await expect(elsewhere.send(new ListStateMachinesCommand({}))).rejects.toMatchObject({
      name: 'UnsupportedByLocalCloud',
    });
  });

  test('refuses services, actions and versions it has not', async () => {
    const post = async (service: string, body: string) => {
      const response = await fetch(stage.cloud.endpoint, {
        method: 'POST',
        headers: {
          authorization: `AWS4-HMAC-SHA256 Credential=local/20261123/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        body,
      });
      return /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1];
    };
    expect(await post('rds', 'Action=DescribeDBInstances')).toBe('UnsupportedByLocalCloud');
    expect(await post('constructor', 'Action=x')).toBe('UnsupportedByLocalCloud');
    expect(await post('ec2', 'Action=MakeCoffee&Version=2016-11-15')).toBe('InvalidAction');
    expect(await post('ec2', 'Action=DescribeFleets&Version=2016-11-15')).toBe('UnsupportedByLocalCloud');
    expect(await post('ec2', 'Action=DescribeVolumes&Version=2014-09-01')).toBe('InvalidParameterValue');
    expect(await post('ec2', 'Action=DescribeVolumes&Version=2016-11-15&Colour=red')).toBe(
      'UnknownParameter',
    );
  });

  test('refuses who does not sign', async () => {
    const response = await fetch(stage.cloud.endpoint, { method: 'POST', body: 'Action=DescribeVolumes' });
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('MissingAuthenticationToken');
  });

  test.each([
    ['a conditional write', () => new PutObjectCommand({ ...object, Body: 'x', IfNoneMatch: '*' })],
    ['tags', () => new PutObjectCommand({ ...object, Body: 'x', Tagging: 'a=b' })],
    ['an access list', () => new PutObjectCommand({ ...object, Body: 'x', ACL: 'public-read' })],
    ['a body over 11 MiB', () => new PutObjectCommand({ ...object, Body: Buffer.alloc(12 * 1024 * 1024) })],
    [
      'versioning',
      () =>
        new PutBucketVersioningCommand({
          Bucket: object.Bucket,
          VersioningConfiguration: { Status: 'Enabled' },
        }),
    ],
  ])('refuses %s, which the object store would ignore', async (_what, command) => {
    await expect(s3.send(command() as PutObjectCommand)).rejects.toMatchObject({
      name: 'UnsupportedByLocalCloud',
    });
    const { Body } = await s3.send(new GetObjectCommand(object));
    expect(await Body?.transformToString()).toBe('content');
  });

  test('keeps 10 MB objects whole', async () => {
    const Body = Buffer.alloc(10_000_000, 'foundry ');
    await s3.send(new PutObjectCommand({ Bucket: object.Bucket, Key: 'large', Body }));
    const { Body: stream } = await s3.send(new GetObjectCommand({ Bucket: object.Bucket, Key: 'large' }));
    expect(Buffer.compare(Buffer.from((await stream?.transformToByteArray()) ?? []), Body)).toBe(0);
  });

  test('listens on the loopback interface only', async () => {
    const { hostname, port } = new URL(stage.cloud.endpoint);
    expect(hostname).toBe('127.0.0.1');
    const refused = new Promise((resolve) => {
      const call = httpRequest({ host: '127.0.0.2', port }, () => resolve('answered'));
      call.once('error', (error) => resolve((error as NodeJS.ErrnoException).code));
      call.end();
    });
    expect(await refused).toBe('ECONNREFUSED');
  });
});
