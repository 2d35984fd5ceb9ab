import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Network } from '../../adapters/aws/network.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import bootstrap from '../../worker/bootstrap.sh';
import { stepHandler } from '../edge/step.ts';
import { launch, launchStep } from './launch.ts';

const settings = readEnvironment('launch', process.env);
const ec2 = new EC2Client();
const run = launch({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  network: ec2Network(ec2),
  artifacts: s3Artifacts(process.env, settings.ARTIFACTS_BUCKET),
  payloads: s3Artifacts(process.env, settings.PAYLOAD_BUCKET),
  clock: systemClock,
  settings: { ...settings, bootstrap },
});

export const handler = stepHandler(launchStep, ({ input, retryCount }) => run(input, retryCount));
