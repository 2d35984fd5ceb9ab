import { setTimeout as pause } from 'node:timers/promises';
import { EC2Client } from '@aws-sdk/client-ec2';
import { SSMClient } from '@aws-sdk/client-ssm';
import { s3Artifacts, s3Sources } from '../../adapters/aws/artifacts.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ssmParameters } from '../../adapters/aws/parameters.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { httpMirror } from '../../adapters/mirror/http-mirror.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { updateServer } from '../../core/update-server.ts';
import { stepHandler } from '../edge/step.ts';
import { plan, planStep } from './plan.ts';

const settings = readEnvironment('plan', process.env);
const ec2 = new EC2Client();
const mirror = httpMirror(pause);
const run = plan({
  parameters: ssmParameters(new SSMClient()),
  images: ec2Images(ec2),
  snapshots: ec2Snapshots(ec2),
  mirror,
  updates: updateServer(mirror),
  artifacts: s3Artifacts(process.env, settings.ARTIFACTS_BUCKET),
  sources: s3Sources(process.env),
  clock: systemClock,
  settings,
});

export const handler = stepHandler(planStep, ({ input, execution }) => run(input, execution));
