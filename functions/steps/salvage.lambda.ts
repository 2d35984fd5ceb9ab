import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { executionHistory } from '../../adapters/aws/execution-history.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { salvage, salvageStep } from './salvage.ts';

const settings = readEnvironment('salvage', process.env);
const ec2 = new EC2Client();
const run = salvage({
  snapshots: ec2Snapshots(ec2),
  images: ec2Images(ec2),
  artifacts: s3Artifacts(process.env, settings.ARTIFACTS_BUCKET),
  history: executionHistory(process.env),
  clock: systemClock,
  settings,
});

export const handler = stepHandler(salvageStep, ({ input, options, execution }) =>
  run(input, options, execution),
);
