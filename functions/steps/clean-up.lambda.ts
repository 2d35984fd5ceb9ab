import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { cleanUp, cleanUpStep } from './clean-up.ts';

const settings = readEnvironment('clean-up', process.env);
const ec2 = new EC2Client();
const run = cleanUp({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  snapshots: ec2Snapshots(ec2),
  images: ec2Images(ec2),
  artifacts: s3Artifacts(process.env, settings.ARTIFACTS_BUCKET),
  clock: systemClock,
});

export const handler = stepHandler(cleanUpStep, ({ input, options, execution }) =>
  run(input, options.outcome, execution),
);
