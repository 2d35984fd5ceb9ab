import { EC2Client } from '@aws-sdk/client-ec2';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { snapshot, snapshotStep } from './snapshot.ts';

const ec2 = new EC2Client();
// CreateSnapshot has no client token: a client that asks again when the answer was lost makes a second one. The state machine asks
// again too, and the step looks first.
const once = new EC2Client({ maxAttempts: 1 });
const run = snapshot({
  instances: ec2Instances(ec2),
  volumes: ec2Volumes(ec2),
  snapshots: ec2Snapshots(once),
  clock: systemClock,
});

export const handler = stepHandler(snapshotStep, ({ input, retryCount }) => run(input, retryCount));
