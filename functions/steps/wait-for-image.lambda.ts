import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { waitForImage, waitForImageStep } from './wait-for-image.ts';

const ec2 = new EC2Client();
const run = waitForImage({ images: ec2Images(ec2), snapshots: ec2Snapshots(ec2), clock: systemClock });

export const handler = stepHandler(waitForImageStep, ({ input }) => run(input));
