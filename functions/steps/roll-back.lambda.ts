import { setTimeout as pause } from 'node:timers/promises';
import { ec2ImageAccess } from '../../adapters/aws/image-access.ts';
import { ssmImageParameters } from '../../adapters/aws/image-parameters.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { rollBack, rollBackStep } from './roll-back.ts';

const settings = readEnvironment('roll-back', process.env);
const run = rollBack({
  regions: regional((ec2, region) => ({
    images: ec2Images(ec2),
    snapshots: ec2Snapshots(ec2),
    access: ec2ImageAccess(ec2),
    parameters: ssmImageParameters(process.env, region),
  })),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
  clock: systemClock,
  pause,
  settings,
});

export const handler = stepHandler(rollBackStep, ({ input, options, execution }) =>
  run(input, execution, options),
);
