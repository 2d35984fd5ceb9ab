import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Network } from '../../adapters/aws/network.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { launchWindows, launchWindowsStep } from './launch-windows.ts';

const ec2 = new EC2Client();
const run = launchWindows({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  network: ec2Network(ec2),
  clock: systemClock,
  settings: readEnvironment('launch-windows', process.env),
});

export const handler = stepHandler(launchWindowsStep, ({ input, retryCount }) => run(input, retryCount));
