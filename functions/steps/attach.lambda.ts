import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { attach, attachStep } from './attach.ts';

const run = attach({ volumes: ec2Volumes(new EC2Client()), clock: systemClock });

export const handler = stepHandler(attachStep, ({ input }) => run(input));
