import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Network } from '../../adapters/aws/network.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { launchBootTest, launchBootTestStep } from './launch-boot-test.ts';

const ec2 = new EC2Client();
const run = launchBootTest({
  instances: ec2Instances(ec2),
  network: ec2Network(ec2),
  clock: systemClock,
  settings: readEnvironment('launch-boot-test', process.env),
});

export const handler = stepHandler(launchBootTestStep, ({ input, retryCount }) => run(input, retryCount));
