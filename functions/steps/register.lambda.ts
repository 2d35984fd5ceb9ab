import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Images } from '../../adapters/aws/images.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { register, registerStep } from './register.ts';

const run = register({ images: ec2Images(new EC2Client()), clock: systemClock });

export const handler = stepHandler(registerStep, ({ input }) => run(input));
