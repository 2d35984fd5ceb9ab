import { setTimeout as pause } from 'node:timers/promises';
import { EC2Client } from '@aws-sdk/client-ec2';
import { SFNClient } from '@aws-sdk/client-sfn';
import { sfnExecutions } from '../../adapters/aws/executions.ts';
import { ec2ImageAccess } from '../../adapters/aws/image-access.ts';
import { ssmImageParameters } from '../../adapters/aws/image-parameters.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { regionOf } from '../../core/build-state.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { eventHandler, log } from '../edge/event.ts';
import { reaper, reaperEvent } from './reaper.ts';

const settings = readEnvironment('reaper', process.env);
const ec2 = new EC2Client();
const regions = regional((client, region) => ({
  images: ec2Images(client),
  snapshots: ec2Snapshots(client),
  access: ec2ImageAccess(client),
  parameters: ssmImageParameters(process.env, region),
}));
const home = regionOf(settings.STATE_MACHINE_ARN);
const others = (settings.DISTRIBUTION_REGIONS ?? []).filter((region) => region !== home);
const sfn = new SFNClient();
const run = reaper({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  snapshots: ec2Snapshots(ec2),
  images: ec2Images(ec2),
  executions: sfnExecutions(sfn, settings.STATE_MACHINE_ARN),
  matrices: sfnExecutions(sfn, settings.MATRIX_STATE_MACHINE_ARN),
  regions,
  elsewhere: others.map((region) => ({ region, ...regions(region) })),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
  clock: systemClock,
  pause,
  log,
  settings,
});

export const handler = eventHandler(reaperEvent, run);
