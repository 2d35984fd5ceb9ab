import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { swapRoot, swapRootStep } from './swap-root.ts';

const ec2 = new EC2Client();
const run = swapRoot({ instances: ec2Instances(ec2), volumes: ec2Volumes(ec2), clock: systemClock });

export const handler = stepHandler(swapRootStep, ({ input }) => run(input));
