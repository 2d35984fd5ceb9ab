import {
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { ListStateMachinesCommand, SFNClient } from '@aws-sdk/client-sfn';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Statement } from '../../../local/iam/policy.ts';
import { openStage, type Stage } from '../stage.ts';

const allow = (
  Action: string,
  Resource: string | string[],
  Condition: Statement['Condition'] = {},
): Statement => ({ Effect: 'Allow', Action: [Action], Resource: [Resource].flat(), Condition });

const volumes = 'arn:aws:ec2:us-east-1:000000000000:volume/*';
const mine = { StringLike: { 'aws:ResourceTag/build': '?*' } };

let stage: Stage;
let owner: EC2Client;
const named = (name: string) => ({ ...stage.client, credentials: stage.cloud.iam.credentialsOf(name) });
/** What an answer says of itself when it is no. */
const no = async (call: Promise<unknown>) =>
  await call.then(
    () => undefined,
    (error: Error & { $metadata: { httpStatusCode?: number } }) => ({
      name: error.name,
      status: error.$metadata.httpStatusCode,
      message: error.message,
    }),
  );

beforeAll(async () => {
  stage = await openStage();
  owner = new EC2Client(stage.client);
  const s3 = new S3Client(stage.client);
  await s3.send(new CreateBucketCommand({ Bucket: 'shelf' }));
  for (const Key of ['in/1', 'out/1']) {
    await s3.send(new PutObjectCommand({ Bucket: 'shelf', Key, Body: Key }));
  }
  stage.cloud.iam.setPolicy('maker', [
    allow('ec2:DescribeVolumes', '*'),
    allow('ec2:CreateVolume', volumes, { StringLike: { 'aws:RequestTag/build': '?*' } }),
    allow('ec2:DeleteVolume', volumes, mine),
    allow('ec2:CreateTags', volumes, { StringEquals: { 'ec2:CreateAction': ['CreateVolume'] } }),
    allow('ssm:GetParameter', 'arn:aws:ssm:us-east-1::parameter/aws/service/freebsd/*'),
    allow('s3:GetObject', 'arn:aws:s3:::shelf/in/*'),
  ]);
});
afterAll(() => stage.close());

const tagged = (build: string) => ({
  AvailabilityZone: 'us-east-1a',
  Size: 1,
  TagSpecifications: [{ ResourceType: 'volume' as const, Tags: [{ Key: 'build', Value: build }] }],
});

describe('EC2', () => {
  const maker = () => new EC2Client(named('maker'));

  test('lets a role do what its policy says, and what it made itself goes again', async () => {
    const { VolumeId } = await maker().send(new CreateVolumeCommand(tagged('a')));
    while ((await maker().send(new DescribeVolumesCommand({}))).Volumes?.[0]?.State !== 'available');
    expect(await no(maker().send(new DeleteVolumeCommand({ VolumeId })))).toBeUndefined();
  });

  test('refuses, and names user, action and resource', async () => {
    // IAM User Guide, "Access denied error messages"; EC2 API Reference, "Error codes", UnauthorizedOperation.
    expect(
      await no(maker().send(new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', Size: 1 }))),
    ).toEqual({
      name: 'UnauthorizedOperation',
      status: 403,
      message: `You are not authorized to perform this operation. User: arn:aws:sts::000000000000:assumed-role/maker/local is not authorized to perform: ec2:CreateVolume on resource: ${volumes} because no identity-based policy allows the ec2:CreateVolume action`,
    });
  });

  test('judges what exists by its tags, and what does not exist as untagged', async () => {
    const { VolumeId = '' } = await owner.send(
      new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', Size: 1 }),
    );
    for (const id of [VolumeId, 'vol-0123456789abcdef0']) {
      expect(await no(maker().send(new DeleteVolumeCommand({ VolumeId: id })))).toMatchObject({
        name: 'UnauthorizedOperation',
      });
    }
    // The right to tag ends with the call that creates (EC2 User Guide, "Grant permission to tag Amazon EC2 resources during creation").
    const tag = new CreateTagsCommand({ Resources: [VolumeId], Tags: [{ Key: 'build', Value: 'a' }] });
    expect(await no(maker().send(tag))).toMatchObject({ name: 'UnauthorizedOperation' });
  });

  test('DryRun tells whether it would be allowed', async () => {
    // "If you have the required permissions, the error response is DryRunOperation. Otherwise, it is UnauthorizedOperation."
    const dry = (input: object) =>
      no(
        maker().send(
          new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', Size: 1, DryRun: true, ...input }),
        ),
      );
    expect(await dry(tagged('a'))).toMatchObject({ name: 'DryRunOperation' });
    expect(await dry({})).toMatchObject({ name: 'UnauthorizedOperation' });
  });

  test('remembers each question with its answer', () => {
    const asked = stage.cloud.iam.decisions.filter(
      ({ role, action }) => role === 'maker' && action === 'ec2:CreateVolume',
    );
    expect(asked.map(({ allowed }) => allowed)).toEqual([true, false, true, false]);
    expect(asked[0]?.context).toEqual({ 'aws:RequestTag/build': 'a', 'aws:TagKeys': ['build'] });
  });
});

describe('S3', () => {
  const s3 = () => new S3Client(named('maker'));
  const get = (Key: string) => new GetObjectCommand({ Bucket: 'shelf', Key });

  test('judges a presigned URL by the role that signed it', async () => {
    // S3 User Guide, "Download and upload objects with presigned URLs": limited by the permissions of who created it.
    expect(await (await fetch(await getSignedUrl(s3(), get('in/1')))).text()).toBe('in/1');
    const refused = await fetch(await getSignedUrl(s3(), get('out/1')));
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain('<Code>AccessDenied</Code>');
    const put = new PutObjectCommand({ Bucket: 'shelf', Key: 'in/1' });
    expect((await fetch(await getSignedUrl(s3(), put), { method: 'PUT', body: 'x' })).status).toBe(403);
  });

  test('does not tell who may not list that an object is missing', async () => {
    // GetObject, Permissions: 404 with s3:ListBucket, 403 without; HeadObject likewise.
    expect(await no(s3().send(get('in/2')))).toMatchObject({ name: 'AccessDenied', status: 403 });
    expect(await no(s3().send(new HeadObjectCommand({ Bucket: 'shelf', Key: 'in/2' })))).toMatchObject({
      status: 403,
    });
    stage.cloud.iam.setPolicy('lister', [
      allow('s3:GetObject', 'arn:aws:s3:::shelf/*'),
      allow('s3:ListBucket', 'arn:aws:s3:::shelf'),
    ]);
    expect(await no(new S3Client(named('lister')).send(get('in/2')))).toMatchObject({ name: 'NoSuchKey' });
  });

  test('a key of a role is nothing without its session token', async () => {
    const { sessionToken: _, ...keys } = stage.cloud.iam.credentialsOf('maker');
    const url = await getSignedUrl(new S3Client({ ...stage.client, credentials: keys }), get('in/1'));
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('InvalidToken')]);
    const bare = new EC2Client({ ...stage.client, credentials: keys });
    expect(await no(bare.send(new DescribeVolumesCommand({})))).toMatchObject({ status: 403 });
  });
});

describe('the JSON services', () => {
  test('refuse with AccessDeniedException', async () => {
    const ssm = new SSMClient(named('maker'));
    const Name = '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE';
    expect(await no(ssm.send(new GetParameterCommand({ Name })))).toBeUndefined();
    expect(
      await no(ssm.send(new PutParameterCommand({ Name: '/a/b', Value: 'c', Type: 'String' }))),
    ).toMatchObject({
      name: 'AccessDeniedException',
      status: 400,
      message: expect.stringContaining(
        'ssm:PutParameter on resource: arn:aws:ssm:us-east-1:000000000000:parameter/a/b',
      ),
    });
  });

  test('what nobody has modelled is refused loudly, and only for who has a policy', async () => {
    expect(await no(new SFNClient(named('maker')).send(new ListStateMachinesCommand({})))).toMatchObject({
      name: 'UnsupportedByLocalCloud',
      message: expect.stringContaining('states:ListStateMachines'),
    });
    for (const client of [new SFNClient(stage.client), new SFNClient(named('nobody knows'))]) {
      expect(await no(client.send(new ListStateMachinesCommand({})))).toBeUndefined();
    }
  });
});
