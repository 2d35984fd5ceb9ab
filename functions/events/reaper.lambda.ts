import { setTimeout as pause } from 'node:timers/promises';
import { EC2Client } from '@aws-sdk/client-ec2';
import { SFNClient } from '@aws-sdk/client-sfn';
import { sfnExecutions } from '../../adapters/aws/executions.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { eventHandler, log } from '../edge/event.ts';
import { reaper, reaperEvent } from './reaper.ts';

const settings = readEnvironment('reaper', process.env);
const ec2 = new EC2Client();
const run = reaper({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  snapshots: ec2Snapshots(ec2),
  images: ec2Images(ec2),
  executions: sfnExecutions(new SFNClient(), settings.STATE_MACHINE_ARN),
  clock: systemClock,
  pause,
  log,
  settings,
});

export const handler = eventHandler(reaperEvent, run);
