import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { waitForWorker, waitForWorkerStep } from './wait-for-worker.ts';

const run = waitForWorker({
  instances: ec2Instances(new EC2Client()),
  artifacts: s3Artifacts(process.env, readEnvironment('wait-for-worker', process.env).ARTIFACTS_BUCKET),
  clock: systemClock,
});

export const handler = stepHandler(waitForWorkerStep, ({ input }) => run(input));
