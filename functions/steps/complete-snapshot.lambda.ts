import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { ebsSnapshotBlocks } from '../../adapters/aws/snapshot-blocks.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { completeSnapshot, completeSnapshotStep } from './complete-snapshot.ts';

const run = completeSnapshot({
  snapshots: ec2Snapshots(new EC2Client()),
  artifacts: s3Artifacts(process.env, readEnvironment('complete-snapshot', process.env).ARTIFACTS_BUCKET),
  // One try: the step must know when an earlier one may have had its effect.
  blocks: ebsSnapshotBlocks(new EBSClient({ maxAttempts: 1 })),
});

export const handler = stepHandler(completeSnapshotStep, ({ input, retryCount }) => run(input, retryCount));
