import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ebsSnapshotBlocks } from '../../adapters/aws/snapshot-blocks.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { startSnapshot, startSnapshotStep } from './start-snapshot.ts';

const run = startSnapshot({
  snapshots: ec2Snapshots(new EC2Client()),
  blocks: ebsSnapshotBlocks(new EBSClient()),
  clock: systemClock,
});

export const handler = stepHandler(startSnapshotStep, ({ input }) => run(input));
