import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { createImage, createImageStep } from './create-image.ts';

const ec2 = new EC2Client();
const run = createImage({ instances: ec2Instances(ec2), images: ec2Images(ec2), clock: systemClock });

export const handler = stepHandler(createImageStep, ({ input }) => run(input));
