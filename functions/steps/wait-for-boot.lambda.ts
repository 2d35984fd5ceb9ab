import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { waitForBoot, waitForBootStep } from './wait-for-boot.ts';

const ec2 = new EC2Client();
const run = waitForBoot({
  instances: ec2Instances(ec2),
  images: ec2Images(ec2),
  artifacts: s3Artifacts(process.env, readEnvironment('wait-for-boot', process.env).ARTIFACTS_BUCKET),
  clock: systemClock,
});

export const handler = stepHandler(waitForBootStep, ({ input }) => run(input));
