import { EC2Client } from '@aws-sdk/client-ec2';
import { expect, test } from 'vitest';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';

/** A client that answers every call with this. */
function answering(output: object): EC2Client {
  const ec2 = new EC2Client({ region: 'eu-west-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
  ec2.middlewareStack.add(
    () => async () => ({ output: { $metadata: {}, ...output } as never, response: {} }),
    {
      step: 'initialize',
      priority: 'high',
    },
  );
  return ec2;
}

const began = Date.UTC(2026, 10, 23, 12);

test('a snapshot says when it was begun, if EC2 does', async () => {
  const of = (snapshot: object) => ec2Snapshots(answering({ Snapshots: [snapshot] })).describe('snap-1');
  expect((await of({ SnapshotId: 'snap-1', StartTime: new Date(began) }))?.startedAt).toBe(began);
  expect((await of({ SnapshotId: 'snap-1' }))?.startedAt).toBeUndefined();
});

test('an image says when it was registered, if EC2 does', async () => {
  const of = (image: object) => ec2Images(answering({ Images: [image] })).describe('ami-1');
  expect((await of({ ImageId: 'ami-1', CreationDate: '2026-11-23T12:00:00.000Z' }))?.startedAt).toBe(began);
  expect((await of({ ImageId: 'ami-1' }))?.startedAt).toBeUndefined();
});
