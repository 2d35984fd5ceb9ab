import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { wait, waitStep } from './wait.ts';

const ec2 = new EC2Client();
const run = wait({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  snapshots: ec2Snapshots(ec2),
  clock: systemClock,
});

export const handler = stepHandler(waitStep, ({ input, options }) => run(options.for, input));
