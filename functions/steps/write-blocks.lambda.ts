import { EBSClient } from '@aws-sdk/client-ebs';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { ebsSnapshotBlocks } from '../../adapters/aws/snapshot-blocks.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { writeBlocks, writeBlocksStep } from './write-blocks.ts';

const run = writeBlocks({
  artifacts: s3Artifacts(process.env, readEnvironment('write-blocks', process.env).ARTIFACTS_BUCKET),
  blocks: ebsSnapshotBlocks(new EBSClient()),
});

export const handler = stepHandler(writeBlocksStep, ({ input }) => run(input));
